"""babel's COPA, XCOPA and Social IQa: one choice alone is right, and nothing but the text tells which."""

import collections
import itertools
import math

import pytest

from isthmus.hubs.babel import causes, hub, spans
from isthmus.hubs.babel.choices import follows
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import ASKING, Event, Phrase, answers

COPA, XCOPA, SIQA = "aps/super_glue", "cambridgeltl/xcopa", "lighteval/siqa"
TEXTS = "premise string, choice1 string, choice2 string, question string"
Row = dict


def rows(hub_id: str, config: str, split: str) -> list[Row]:
    return hub.serve(hub_id, config, split).to_pylist()


@pytest.mark.parametrize(
    ("hub_id", "config", "columns"),
    [
        (COPA, "copa", f"{TEXTS}, idx int32, label int64"),
        (XCOPA, "tr", f"{TEXTS}, label int32, idx int32, changed bool"),
        (
            SIQA,
            "default",
            "context string, question string, answerA string, answerB string, answerC string, label string",
        ),
    ],
)
def test_columns_are_those_of_the_hub(hub_id: str, config: str, columns: str) -> None:
    schema = hub.serve(hub_id, config, "validation").schema
    assert ", ".join(f"{field.name} {field.type}" for field in schema) == columns


@pytest.mark.parametrize(
    ("hub_id", "config"), [(COPA, "copa"), (SIQA, "default"), ("allenai/social_i_qa", "default")]
)
def test_the_oracle_decides_every_training_answer(hub_id: str, config: str) -> None:
    for row in rows(hub_id, config, "train"):
        unanswered = {name: value for name, value in row.items() if name != "label"}
        assert hub.oracle(hub_id, config, unanswered) == row["label"]


def test_the_oracle_reads_the_choices_and_the_question() -> None:
    row = next(row for row in rows(XCOPA, "sw", "test") if row["question"] == "cause")
    turned = row | {"choice1": row["choice2"], "choice2": row["choice1"]}
    assert hub.oracle(XCOPA, "sw", turned) == 1 - row["label"]
    right = row[causes.LABELS[row["label"]]]
    with pytest.raises(
        ValueError, match="unpack"
    ):  # the premise tells less than its cause: no effect follows
        hub.oracle(XCOPA, "sw", row | {"question": "effect"})
    effect = row | {"premise": right, "question": "effect", causes.LABELS[row["label"]]: row["premise"]}
    assert hub.oracle(XCOPA, "sw", effect) == row["label"]
    row = rows(SIQA, "default", "validation")[0]
    turned = row | {"answerA": row["answerB"], "answerB": row["answerC"], "answerC": row["answerA"]}
    assert hub.oracle(SIQA, "default", turned) == str((int(row["label"]) - 2) % 3 + 1)


def test_a_cause_is_what_the_premise_follows_from() -> None:
    less = Event(Phrase("dog"), "see", Phrase("cat"))
    more = less._replace(agent=Phrase("dog", "big"), place="city")
    assert causes.is_right("effect", more, less) and not causes.is_right("effect", less, more)
    assert causes.is_right("cause", less, more) and not causes.is_right("cause", more, less)
    assert not causes.is_right("cause", less, more._replace(verb="help"))


@pytest.mark.parametrize(
    ("name", "split"), [("copa", "train"), ("copa", "validation"), ("xcopa", "validation"), ("xcopa", "test")]
)
def test_places_are_balanced_and_the_choices_differ_in_one_thing(name: str, split: str) -> None:
    drawn = causes.items(name, split)
    counts = collections.Counter(item.label for item in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert 0.4 < sum(item.question == "cause" for item in drawn) / len(drawn) < 0.6
    for item in drawn:
        (first, _), (second, _) = item.choices
        assert sum(a != b for a, b in zip(first, second, strict=True)) == 1
        right = item.choices[item.label][0]
        assert item.premise[0] != right
        assert follows([right], item.premise[0]) == (item.question == "cause")


def test_xcopa_is_parallel() -> None:
    meanings = [
        [
            [parse(code, row[column]) for column in ("premise", *causes.LABELS)]
            for row in rows(XCOPA, code, "validation")
        ]
        for code in ("sw", "tr", "zh")
    ]
    assert meanings[0] == meanings[1] == meanings[2]


def key(event: Event) -> tuple[str, str, str]:
    return (event.verb, event.agent.noun, event.patient.noun)


def test_no_event_of_an_evaluation_split_is_told_in_training() -> None:
    def of_copa(name: str, split: str) -> set:
        items = causes.items(name, split)
        return {key(item.premise[0]) for item in items}

    def of_social(split: str) -> set:
        return {key(event) for scene in causes.scenes(split) for event, _ in scene.told}

    trained = of_copa("copa", "train") | of_social("train")
    evaluated = [of_copa("copa", "validation"), of_copa("xcopa", "validation"), of_copa("xcopa", "test")]
    evaluated += [of_social("validation")]
    evaluated += [
        {key(event) for context, _ in spans.items(name, split) for event, _ in context}
        for name, split in (("xquad", "validation"), ("mlqa", "test"), ("tydiqa", "validation"))
    ]
    assert len(trained) > 1000 and all(not trained & events for events in evaluated)
    for first, second in itertools.combinations(evaluated[:3], 2):
        assert not first & second


def test_every_answer_stands_in_the_context_and_one_event_answers() -> None:
    for row in rows(SIQA, "default", "train"):
        texts = [row[f"answer{letter}"] for letter in causes.LETTERS]
        assert len(set(texts)) == 3 and all(text in row["context"] for text in texts)
    slots = collections.Counter(scene.slot for scene in causes.scenes("train"))
    assert set(slots) == set(ASKING) and max(slots.values()) < 0.3 * sum(slots.values())
    for scene in causes.scenes("train"):
        told = [answers(scene.question[0], event) for event, _ in scene.told]
        assert [place for place, right in enumerate(told) if right] == [scene.order[scene.label]]
    places = collections.Counter(scene.order[scene.label] for scene in causes.scenes("train"))
    labels = collections.Counter(scene.label for scene in causes.scenes("train"))
    assert max(places.values()) < 0.4 * 1500 and max(labels.values()) == min(labels.values())


def told_alone(train: list[Row], test: list[Row], names: list[str], right) -> float:
    """Accuracy of Naive Bayes on the bag of a choice's words and pairs of words, with what is asked."""

    def bag(row: Row, name: str) -> set:
        words = row[name].split()
        return {(row["question"].split()[0], part) for part in (*words, *itertools.pairwise(words))}

    counts, total = (collections.Counter(), collections.Counter()), [0, 0]
    for row in train:
        for place, name in enumerate(names):
            counts[place == right(row)].update(bag(row, name))
            total[place == right(row)] += 1

    def score(row: Row, name: str) -> float:
        wrong, good = (
            [math.log((counts[k][part] + 1) / (total[k] + 2)) for part in bag(row, name)] for k in (0, 1)
        )
        return sum(good) - sum(wrong)

    hits = [max(range(len(names)), key=lambda n: score(row, names[n])) == right(row) for row in test]
    return 100 * sum(hits) / len(hits)


def test_a_choice_alone_tells_next_to_nothing() -> None:
    served = [*rows(COPA, "copa", "train"), *rows(COPA, "copa", "validation")]
    found = told_alone(served[:250], served[250:], list(causes.LABELS), lambda row: row["label"])
    assert found < 50 + 8
    names = [f"answer{letter}" for letter in causes.LETTERS]
    train, test = rows(SIQA, "default", "train"), rows(SIQA, "default", "validation")
    assert told_alone(train, test, names, lambda row: int(row["label"]) - 1) < 33.3 + 8


def test_polarity_tells_nothing() -> None:
    """A choice that is negated is as often right as wrong, with and without adjuncts beside it."""
    drawn = [*causes.items("copa", "train"), *causes.items("xcopa", "test")]
    negated = collections.Counter(
        (item.choices[place][0].negated, place == item.label) for item in drawn for place in (0, 1)
    )
    assert abs(negated[True, True] - negated[True, False]) < 0.1 * len(drawn)
    for item in drawn:
        assert not any(event.negated and event.adjuncts() for event, _ in (item.premise, *item.choices))
