"""babel's further tasks of sentence pairs: ANLI, SNLI, QQP."""

import collections
import math

import pytest

from isthmus.hubs.babel import hub, nli, paraphrase
from isthmus.hubs.babel.parse import parse

GLUE, SNLI, ANLI, XNLI = "nyu-mll/glue", "stanfordnlp/snli", "facebook/anli", "facebook/xnli"


def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


def hypotheses(hub_id: str, config: str, *splits: str) -> set:
    return {parse("en", row["hypothesis"]) for split in splits for row in rows(hub_id, config, split)}


@pytest.mark.parametrize(
    ("hub_id", "config", "split", "columns"),
    [
        (
            ANLI,
            "plain_text",
            "train_r2",
            "uid string, premise string, hypothesis string, label int64, reason string",
        ),
        (SNLI, "plain_text", "test", "premise string, hypothesis string, label int64"),
        (GLUE, "qqp", "validation", "question1 string, question2 string, label int64, idx int32"),
    ],
)
def test_columns_are_those_of_the_hub(hub_id: str, config: str, split: str, columns: str) -> None:
    schema = hub.serve(hub_id, config, split).schema
    assert ", ".join(f"{field.name} {field.type}" for field in schema) == columns
    names = b"not_duplicate" if config == "qqp" else b"entailment"
    assert names in schema.metadata[b"huggingface"]


@pytest.mark.parametrize(("hub_id", "split"), [(SNLI, "train"), (ANLI, "train_r1"), (ANLI, "train_r3")])
def test_the_oracle_decides_the_training_labels(hub_id: str, split: str) -> None:
    for row in rows(hub_id, "plain_text", split)[::5]:
        assert hub.oracle(hub_id, "plain_text", row) == row["label"]


def test_no_hypothesis_of_an_evaluation_split_is_in_another_split() -> None:
    trained = hypotheses(SNLI, "plain_text", "train") | hypotheses(
        ANLI, "plain_text", *(f"train_r{number}" for number in nli.ROUNDS)
    )
    developed = hypotheses(SNLI, "plain_text", "validation") | hypotheses(
        ANLI, "plain_text", *(f"dev_r{number}" for number in nli.ROUNDS)
    )
    assert not hypotheses(XNLI, "en", "validation", "test") & (trained | developed)
    assert not trained & (developed | hypotheses(SNLI, "plain_text", "test"))


def test_a_few_pairs_of_snli_have_no_consensus() -> None:
    for split in ("train", "validation", "test"):
        labels = collections.Counter(row["label"] for row in rows(SNLI, "plain_text", split))
        assert (split == "test" or labels[-1] > 0) and labels[-1] < 0.08 * labels.total()
        assert max(labels.values()) < 0.36 * labels.total()


def test_a_premise_of_round_r_has_r_sentences() -> None:
    for number in nli.ROUNDS:
        served = rows(ANLI, "plain_text", f"dev_r{number}")
        assert {len(nli.sentences("en", row["premise"])) for row in served} == {number}
        assert collections.Counter(row["label"] for row in served).most_common()[0][1] == 34
        assert {row["reason"] for row in served} == {""}
    ids = [row["uid"] for split in nli.ANLI_ROWS for row in rows(ANLI, "plain_text", split)]
    assert len(set(ids)) == len(ids) == 2100


def test_qqp_is_balanced_and_keeps_off_the_test_of_paws() -> None:
    def key(event):
        return event.verb, *sorted((event.agent.noun, event.patient.noun))

    owned = {}
    for split in ("train", "validation"):
        drawn = paraphrase.questions(split)
        assert sum(label for *_, label in drawn) * 2 == len(drawn)
        owned[split] = {key(event) for first, _, second, _, _ in drawn for event in (first, second)}
        assert all((first, style) != (second, other) for first, style, second, other, _ in drawn)
    tested = {key(event) for first, _, second, _, _ in paraphrase.pairs("test") for event in (first, second)}
    assert not owned["train"] & owned["validation"] and not tested & (owned["train"] | owned["validation"])


def told_alone(train: list[dict], test: list[dict], column: str, classes: int) -> float:
    """Accuracy of Naive Bayes on the bag of words of one column."""
    counts, total = [collections.Counter() for _ in range(classes)], [0] * classes
    for row in train:
        counts[row["label"]].update(set(row[column].split()))
        total[row["label"]] += 1

    def score(row: dict, label: int) -> float:
        words = set(row[column].split())
        return sum(math.log((counts[label][word] + 1) / (total[label] + 2)) for word in words)

    hits = [max(range(classes), key=lambda label: score(row, label)) == row["label"] for row in test]
    return 100 * sum(hits) / len(hits)


def test_one_sentence_of_a_pair_tells_next_to_nothing() -> None:
    train, test = rows(GLUE, "qqp", "train"), rows(GLUE, "qqp", "validation")
    assert told_alone(train, test, "question1", 2) < 57
    assert told_alone(train, test, "question2", 2) < 57
    train = [row for row in rows(SNLI, "plain_text", "train") if row["label"] >= 0]
    test = [
        row
        for split in ("validation", "test")
        for row in rows(SNLI, "plain_text", split)
        if row["label"] >= 0
    ]
    assert told_alone(train, test, "hypothesis", 3) < 33.3 + 7
    train, test = (
        [row for number in nli.ROUNDS for row in rows(ANLI, "plain_text", f"{part}_r{number}")]
        for part in ("train", "dev")
    )
    assert told_alone(train, test, "hypothesis", 3) < 33.3 + 7
