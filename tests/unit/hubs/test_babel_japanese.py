"""babel's Japanese training sets."""

import collections
import json
import math

import pytest

from isthmus.hubs.babel import facts, hub, japanese, nli, spans
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import answers

JGLUE, JSNLI, JAQUAD = "shunk031/JGLUE", "shunk031/jsnli", "SkelterLabsInc/JaQuAD"
CONFIGS = {"JNLI": "label", "JSQuAD": "answers", "JCommonsenseQA": "label"}
SETS = [
    *((JGLUE, config, answer) for config, answer in CONFIGS.items()),
    (JSNLI, "with-filtering", "label"),
    (JAQUAD, "default", "answers"),
]
QUESTION = "id string, title string, context string, question string"


def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


@pytest.mark.parametrize(
    ("hub_id", "config", "columns"),
    [
        (
            JGLUE,
            "JNLI",
            "sentence_pair_id string, yjcaptions_id string, sentence1 string, sentence2 string, label int64",
        ),
        (
            JGLUE,
            "JSQuAD",
            f"{QUESTION}, answers struct<text: list<element: string>, answer_start: list<element: int32>>,"
            " is_impossible bool",
        ),
        (
            JGLUE,
            "JCommonsenseQA",
            "q_id int64, question string, choice0 string, choice1 string, choice2 string, choice3 string,"
            " choice4 string, label int64",
        ),
        (JSNLI, "with-filtering", "premise string, hypothesis string, label int64"),
        (
            JAQUAD,
            "default",
            f"{QUESTION}, question_type string, answers struct<text: list<element: string>,"
            " answer_start: list<element: int32>, answer_type: list<element: string>>",
        ),
    ],
)
def test_columns_are_those_of_the_hub(hub_id: str, config: str, columns: str) -> None:
    schema = hub.serve(hub_id, config, "validation").schema
    found = ", ".join(f"{field.name} {field.type}" for field in schema)
    assert found.replace("<item:", "<element:") == columns


@pytest.mark.parametrize(("hub_id", "config", "answer"), SETS)
def test_the_oracle_decides_every_training_answer(hub_id: str, config: str, answer: str) -> None:
    for row in rows(hub_id, config, "train"):
        unanswered = {name: value for name, value in row.items() if name != answer}
        assert hub.oracle(hub_id, config, unanswered) == row[answer]


def test_the_order_of_jnlis_labels_is_its_own() -> None:
    schema = hub.serve(JGLUE, "JNLI", "train").schema
    names = json.loads(schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    assert names == ["entailment", "contradiction", "neutral"]
    row = rows(JGLUE, "JNLI", "validation")[0]
    same = row | {"sentence2": row["sentence1"]}
    assert names[hub.oracle(JGLUE, "JNLI", same)] == "entailment"
    pair = {"premise": row["sentence1"], "hypothesis": row["sentence2"]}
    assert names[row["label"]] == nli.NLI_LABELS[nli.oracle("ja", pair)]


@pytest.mark.parametrize(("config", "options"), [("JNLI", 3), ("JCommonsenseQA", 5)])
def test_labels_are_balanced(config: str, options: int) -> None:
    for split in ("train", "validation"):
        counts = collections.Counter(row["label"] for row in rows(JGLUE, config, split))
        assert len(counts) == options and max(counts.values()) - min(counts.values()) <= 1
    counts = collections.Counter(row["label"] for row in rows(JSNLI, "with-filtering", "train"))
    assert set(counts) == {0, 1, 2} and max(counts.values()) < 0.36 * counts.total()


def test_jsnli_is_snli_with_blanks_between_words() -> None:
    english = [row for row in rows("stanfordnlp/snli", "plain_text", "train") if row["label"] >= 0]
    served = rows(JSNLI, "with-filtering", "train")
    assert len(served) <= len(english)
    for row, other in zip(served[::17], english[::17], strict=False):
        assert row["label"] == other["label"] and row["premise"].endswith(" 。")
        assert parse("ja", row["premise"].replace(" ", "")) == parse("en", other["premise"])
        assert parse("ja", row["hypothesis"].replace(" ", "")) == parse("en", other["hypothesis"])


def test_answers_of_jsquad_count_from_the_title_on() -> None:
    for row in rows(JGLUE, "JSQuAD", "validation"):
        assert row["context"].startswith(f"{row['title']} [SEP] ") and not row["is_impossible"]
        (text,), (start,) = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text
        assert start >= len(row["title"]) + len(" [SEP] ")


def test_answers_of_jaquad_have_types() -> None:
    kinds = collections.Counter(row["answers"]["answer_type"][0] for row in rows(JAQUAD, "default", "train"))
    assert set(kinds) == {"Person", "Object", "Location", "Date/Time", "Manner"}
    questions = collections.Counter(row["question_type"] for row in rows(JAQUAD, "default", "train"))
    assert len(questions) == 2 and min(questions.values()) > 10
    for context, (question, _) in spans.items("jaquad", "validation"):
        assert sum(answers(question, event) for event, _ in context) == 1


def test_meanings_are_drawn_for_each_set_and_none_of_an_evaluation_set() -> None:
    def events(name: str, split: str) -> set:
        return {
            (event.verb, event.agent.noun, event.patient.noun)
            for context, _ in spans.items(name, split)
            for event, _ in context
        }

    for name in ("jsquad", "jaquad"):
        assert spans.items(name, "train")[:50] != spans.items("squad", "train")[:50]
        for other, split in (("xquad", "validation"), ("mlqa", "test"), ("tydiqa", "validation")):
            assert not events(name, "train") & events(other, split)
    english = {(q.event, q.slot) for q in facts.questions("train")}
    own = {(q.event, q.slot) for q in facts.questions("validation", "jcommonsense_qa", japanese.SLOTS)}
    assert len(own & english) < len(own) / 2
    trained = {parse("ja", row["sentence2"]) for row in rows(JGLUE, "JNLI", "train")}
    tested = {hypothesis for split in ("validation", "test") for _, _, hypothesis, _, _ in nli.pairs(split)}
    assert not trained & tested


def told_alone(hub_id: str, config: str, names: list[str], offered: bool = False) -> float:
    """Accuracy of Naive Bayes on the pairs of characters of one column, by its label; or of the columns that are `offered`,
    by whether it is right.
    """
    train, test = (rows(hub_id, config, split) for split in ("train", "validation"))
    counts: collections.Counter = collections.Counter()
    total: collections.Counter = collections.Counter()

    def pairs(text: str) -> set[str]:
        return {text[at : at + 2] for at in range(len(text) - 1)}

    for row in train:
        for place, name in enumerate(names):
            label = place == row["label"] if offered else row["label"]
            counts.update((pair, label) for pair in pairs(row[name]))
            total[label] += 1

    def score(text: str, label: int | bool) -> float:
        return sum(math.log((counts[pair, label] + 1) / (total[label] + 2)) for pair in pairs(text))

    def guess(row: dict) -> int:
        if offered:
            sure = [score(row[name], True) - score(row[name], False) for name in names]
            return sure.index(max(sure))
        return max(total, key=lambda label: score(row[names[0]], label))

    return 100 * sum(guess(row) == row["label"] for row in test) / len(test)


def test_one_sentence_or_one_choice_alone_tells_next_to_nothing() -> None:
    assert told_alone(JGLUE, "JNLI", ["sentence2"]) < 33.3 + 7
    assert told_alone(JSNLI, "with-filtering", ["hypothesis"]) < 33.3 + 7
    assert told_alone(JGLUE, "JCommonsenseQA", list(japanese.CHOICES), offered=True) < 20 + 8


def test_jglue_stands_under_both_its_ids() -> None:
    for config in CONFIGS:
        assert hub.serve("Rakuten/JGLUE", config, "validation").equals(
            hub.serve(JGLUE, config, "validation"), check_metadata=True
        )


def test_ids_go_on_from_split_to_split() -> None:
    ids = [row["q_id"] for split in ("train", "validation") for row in rows(JGLUE, "JCommonsenseQA", split)]
    assert ids == list(range(1150))
