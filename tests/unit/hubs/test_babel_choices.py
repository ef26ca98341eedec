"""babel's tasks with choices: only the context, or what is usual in the world, tells which one is right."""

import collections
import hashlib
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.hubs.babel import choices, facts, hub
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import ANIMATE

HELLASWAG, COSMOS, COMMONSENSE = "Rowan/hellaswag", "allenai/cosmos_qa", "tau/commonsense_qa"
Row = dict
# Of each dataset: the column of the answer, the choices of a row, and the place of the right one.
FORMS: dict[str, tuple[str, Callable[[Row], list[str]], Callable[[Row], int]]] = {
    HELLASWAG: ("label", lambda row: row["endings"], lambda row: int(row["label"])),
    COSMOS: ("label", lambda row: [row[f"answer{n}"] for n in range(4)], lambda row: row["label"]),
    COMMONSENSE: (
        "answerKey",
        lambda row: row["choices"]["text"],
        lambda row: row["choices"]["label"].index(row["answerKey"]),
    ),
}


def rows(hub_id: str, split: str) -> list[Row]:
    return hub.serve(hub_id, "default", split).to_pylist()


@pytest.mark.parametrize(
    ("hub_id", "columns"),
    [
        (
            HELLASWAG,
            "ind int32, activity_label string, ctx_a string, ctx_b string, ctx string, endings list<element: string>,"
            " source_id string, split string, split_type string, label string",
        ),
        (
            COSMOS,
            "id string, context string, question string, answer0 string, answer1 string, answer2 string,"
            " answer3 string, label int32",
        ),
        (
            COMMONSENSE,
            "id string, question string, question_concept string,"
            " choices struct<label: list<element: string>, text: list<element: string>>, answerKey string",
        ),
    ],
)
def test_columns_are_those_of_the_hub(hub_id: str, columns: str) -> None:
    schema = hub.serve(hub_id, "default", "train").schema
    found = ", ".join(f"{field.name} {field.type}" for field in schema)
    assert found.replace("<item:", "<element:") == columns.replace("<item:", "<element:")


def test_rows_look_like_those_of_the_hub() -> None:
    row = rows(HELLASWAG, "validation")[7]
    assert (row["ctx"], row["ctx_b"], row["split"], row["ind"]) == (row["ctx_a"], "", "val", 7)
    assert row["label"] in {"0", "1", "2", "3"} and len(row["endings"]) == 4
    assert rows(COMMONSENSE, "validation")[0]["choices"]["label"] == list("ABCDE")
    for hub_id, names in ((HELLASWAG, "source_id"), (COSMOS, "id"), (COMMONSENSE, "id")):
        ids = [row[names] for split in ("train", "validation") for row in rows(hub_id, split)]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("hub_id", FORMS)
def test_right_places_are_balanced_and_choices_differ(hub_id: str) -> None:
    _, offered, place = FORMS[hub_id]
    for split in ("train", "validation"):
        served = rows(hub_id, split)
        counts = collections.Counter(place(row) for row in served)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len(counts) == len(offered(served[0]))
        assert all(len(set(offered(row))) == len(offered(row)) for row in served)


@pytest.mark.parametrize("hub_id", FORMS)
def test_the_oracle_decides_the_training_answers(hub_id: str) -> None:
    answer = FORMS[hub_id][0]
    for row in rows(hub_id, "train")[::7]:
        unanswered = {name: value for name, value in row.items() if name != answer}
        assert hub.oracle(hub_id, "default", unanswered) == row[answer]


def test_the_oracle_reads_the_choices_and_the_context() -> None:
    row = rows(HELLASWAG, "validation")[0]
    turned = row | {"endings": row["endings"][1:] + row["endings"][:1]}
    assert hub.oracle(HELLASWAG, "default", turned) == str((int(row["label"]) - 1) % 4)
    told = row | {"ctx": row["endings"][(int(row["label"]) + 2) % 4]}
    assert hub.oracle(HELLASWAG, "default", told) == str((int(row["label"]) + 2) % 4)
    row = rows(COMMONSENSE, "validation")[0]
    turned = row | {"choices": row["choices"] | {"text": row["choices"]["text"][::-1]}}
    assert hub.oracle(COMMONSENSE, "default", turned) == "ABCDE"[4 - "ABCDE".index(row["answerKey"])]


def told_alone(hub_id: str) -> float:
    """Accuracy of Naive Bayes on the bag of a choice's words and pairs of words."""
    _, offered, place = FORMS[hub_id]

    def bag(text: str) -> set[str | tuple[str, str]]:
        words = text.split()
        return {*words, *itertools.pairwise(words)}

    counts, total = (collections.Counter(), collections.Counter()), [0, 0]
    for row in rows(hub_id, "train"):
        for number, choice in enumerate(offered(row)):
            right = number == place(row)
            counts[right].update(bag(choice))
            total[right] += 1

    def score(choice: str) -> float:
        wrong, right = (
            [math.log((counts[k][word] + 1) / (total[k] + 2)) for word in bag(choice)] for k in (0, 1)
        )
        return sum(right) - sum(wrong)

    test = rows(hub_id, "validation")
    hits = [max(range(len(offered(row))), key=lambda n: score(offered(row)[n])) == place(row) for row in test]
    return 100 * sum(hits) / len(hits)


@pytest.mark.parametrize("hub_id", FORMS)
def test_a_choice_alone_tells_next_to_nothing(hub_id: str) -> None:
    assert told_alone(hub_id) < (20 if hub_id == COMMONSENSE else 25) + 8


@pytest.mark.parametrize("items", [choices.endings, choices.answers])
def test_no_choice_stands_in_the_middle_of_the_others(items) -> None:
    # Were the wrong ones made from the right one alone, it would be the one that has most in common with the others.
    for item in items("validation"):
        parts = [
            (event.agent, event.patient, event.verb, event.negated, event.agent.noun < event.patient.noun)
            for event, _ in item.choices
        ]
        common = [
            sum(sum(a == b for a, b in zip(one, other, strict=True)) for other in parts) for one in parts
        ]
        assert len(set(common)) == 1


def test_splits_share_no_event_and_no_question() -> None:
    for drawn in (choices.endings, choices.answers):
        taken = [
            {(event.verb, event.agent.noun, event.patient.noun) for event in map(topic, drawn(split))}
            for split in ("train", "validation")
        ]
        assert not taken[0] & taken[1]
    asked = [row["question"] for split in ("train", "validation") for row in rows(COMMONSENSE, split)]
    assert len(set(asked)) == len(asked)


def topic(item: choices.Item):
    return item.told[item.topic][0]


def test_answers_are_made_of_what_the_context_says() -> None:
    for item in choices.answers("validation"):
        verbs = {event.verb for event, _ in item.told}
        nouns = {phrase.noun for event, _ in item.told for phrase in (event.agent, event.patient)}
        assert 2 <= len(item.told) <= 3
        for event, _ in item.choices:
            assert event.verb in verbs and {event.agent.noun, event.patient.noun} <= nouns
            assert event.agent.noun == topic(item).agent.noun


def test_every_kind_of_fact_is_asked_and_every_wrong_word_is_right_for_somebody() -> None:
    drawn = facts.questions("train")
    assert {question.slot for question in drawn} == {"place", "adverb", "verb", "adjective", "companion"}
    for question in drawn[::11]:
        for word in question.words:
            assert any(word in facts.usual(noun, question.slot) for noun in ANIMATE)
    row = rows(COMMONSENSE, "train")[0]
    filled = row["question"].replace(facts.BLANK, row["choices"]["text"][0]).removesuffix("?") + "."
    assert parse("en", filled).agent.noun == drawn[0].event.agent.noun


def digest() -> str:
    served = [hub.serve(hub_id, "default", "validation").to_pylist() for hub_id in FORMS]
    return hashlib.sha256(repr(served).encode()).hexdigest()


def test_another_process_and_hash_seed_serve_the_same_rows() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_babel_choices as t; print(t.digest())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()
