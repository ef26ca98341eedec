"""babel's LAReQA and Mewsli-X: one sentence answers, one entity is meant."""

import collections
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.errors import DataError
from isthmus.hubs.babel import hub, lookup, spans
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import NAME_KIND, answers

LAREQA, MEWSLI = "archives/xquad-r", "google-research/mewsli-x"
LANGUAGES = ("ar", "de", "en", "es", "hi", "ru", "tr", "zh")


def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


@pytest.mark.parametrize(
    ("hub_id", "config", "columns"),
    [
        (
            LAREQA,
            "de",
            "id string, title string, context string, question string,"
            " answers struct<text: list<element: string>, answer_start: list<element: int32>>,"
            " sentence_breaks list<element: list<element: int32>>",
        ),
        (MEWSLI, "mentions.tr", "id string, mention string, left string, right string, entity string"),
        (MEWSLI, "entities", "id string, title string, description string, language string"),
    ],
)
def test_columns(hub_id: str, config: str, columns: str) -> None:
    schema = hub.serve(hub_id, config, "test").schema
    found = ", ".join(f"{field.name} {field.type}" for field in schema)
    assert found.replace("<item:", "<element:") == columns


@pytest.mark.parametrize("language", LANGUAGES)
def test_breaks_part_a_context_into_its_sentences(language: str) -> None:
    for row in rows(LAREQA, language, "test"):
        told = [parse(language, row["context"][start:end]) for start, end in row["sentence_breaks"]]
        question = spans.read(language, row)[1]
        (right,) = [place for place, event in enumerate(told) if answers(question, event)]
        start, end = row["sentence_breaks"][right]
        assert start <= row["answers"]["answer_start"][0] < end


def test_one_sentence_of_all_answers_a_question() -> None:
    told = [event for context, _ in lookup.questions() for event, _ in context]
    for _, (question, _) in lookup.questions():
        assert sum(answers(question, event) for event in told) == 1


def test_lareqas_questions_are_of_xquads_share_and_parallel() -> None:
    trained = {
        (event.verb, event.agent.noun, event.patient.noun)
        for context, _ in spans.items("squad", "train")
        for event, _ in context
    }
    told = [event for context, _ in lookup.questions() for event, _ in context]
    assert not trained & {(event.verb, event.agent.noun, event.patient.noun) for event in told}
    read = [[spans.read(code, row)[1] for row in rows(LAREQA, code, "test")] for code in ("en", "ru", "zh")]
    assert read[0] == read[1] == read[2]
    assert len({row["id"] for row in rows(LAREQA, "hi", "test")}) == 300


def test_the_oracle_finds_who_is_mentioned_in_training() -> None:
    for row in rows(MEWSLI, "mentions.en", "train"):
        asked = {name: value for name, value in row.items() if name != "entity"}
        assert hub.oracle(MEWSLI, "mentions.en", asked) == row["entity"]


def test_the_oracle_reads_the_text_around_the_mention() -> None:
    first, second = rows(MEWSLI, "mentions.de", "test")[:2]
    assert hub.oracle(MEWSLI, "mentions.de", first | {"entity": second["entity"]}) == first["entity"]
    words = f"{first['left']}{first['mention']}{first['right']}".split(" ")
    cut = {"left": "", "mention": words[0], "right": " " + " ".join(words[1:])}
    if first["left"]:
        with pytest.raises(DataError, match="names nobody"):
            hub.oracle(MEWSLI, "mentions.de", first | cut)


def test_a_name_has_several_bearers_and_the_description_tells_them_apart() -> None:
    served = {row["id"]: row for row in rows(MEWSLI, "entities", "test")}
    assert len(served) == len(NAME_KIND) * lookup.BEARERS
    for entity in lookup.entities():
        row = served[entity.id]
        stop = "." if row["language"] not in ("hi", "ja", "zh") else {"hi": "।"}.get(row["language"], "。")
        told = [
            parse(row["language"], part.strip() + stop)
            for part in row["description"].split(stop)
            if part.strip()
        ]
        assert tuple(told) == entity.facts and row["language"] == entity.language
    facts = [(entity.name, fact) for entity in lookup.entities() for fact in entity.facts]
    assert len(set(facts)) == len(facts)
    titles = collections.Counter(row["title"] for row in served.values() if row["language"] == "en")
    assert min(titles.values()) >= lookup.TRAINED


def test_entities_of_evaluation_are_not_mentioned_in_training() -> None:
    mentioned = {
        split: {row["entity"] for row in rows(MEWSLI, "mentions.en", split)} for split in lookup.MENTIONS
    }
    assert not mentioned["train"] & (mentioned["validation"] | mentioned["test"])
    assert not mentioned["validation"] & mentioned["test"]
    language = {row["id"]: row["language"] for row in rows(MEWSLI, "entities", "test")}
    assert {language[name] for name in mentioned["train"]} == {"en"}
    assert len({language[name] for name in mentioned["test"]}) > 8
    counts = collections.Counter(row["entity"] for row in rows(MEWSLI, "mentions.en", "test"))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_mentions_are_parallel_and_one_part_of_their_text() -> None:
    for code in lookup.MEWSLI:
        served = rows(MEWSLI, f"mentions.{code}", "test")
        assert [row["entity"] for row in served] == [one.entity.id for one in lookup.drawn("test")]
        assert all(row["mention"] == row["mention"].strip() and row["right"] for row in served)
        assert {bool(row["left"]) for row in served} >= {True}
    assert {one.place for one in lookup.drawn("test")} == {0, 1}


def digest() -> str:
    served = [
        rows(LAREQA, "tr", "test"),
        rows(MEWSLI, "mentions.ja", "test"),
        rows(MEWSLI, "entities", "test"),
    ]
    served += [rows("cambridgeltl/xcopa", "zh", "test"), rows("lighteval/siqa", "default", "validation")]
    served += [
        rows("shunk031/JGLUE", config, "validation") for config in ("JNLI", "JSQuAD", "JCommonsenseQA")
    ]
    served += [rows("facebook/mlqa", "mlqa-translate-train.ar", "validation")]
    return hashlib.sha256(repr(served).encode()).hexdigest()


def test_another_process_and_hash_seed_serve_the_same_rows() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_babel_lookup as t; print(t.digest())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()
