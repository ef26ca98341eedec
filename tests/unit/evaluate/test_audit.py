"""The audit of contamination: what was planted is found, and nothing else; per field, language and role."""

import csv
import itertools
import random
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.audits import PROSE
from isthmus.data import fetch
from isthmus.errors import DataError
from isthmus.evaluate import audit, fingerprint
from isthmus.hubs import wanted
from isthmus.hubs.babel.hub import Babel
from isthmus.tasks.files import audited as audited_by
from isthmus.tasks.files import catalogue, sides
from isthmus.units import fetch_spec
from isthmus.work import Work

WORDS = [f"word{number}" for number in range(4000)]
CHINESE = "".join(chr(0x4E00 + 7 * number) for number in range(400))
THAI = "".join(random.Random(1).choices([chr(0x0E01 + number) for number in range(40)], k=400))


def words(first: int, count: int) -> str:
    return " ".join(WORDS[first : first + count])


@pytest.fixture
def make(unit: Callable[..., Work], tmp_path: Path) -> Callable[..., Path]:
    """The fingerprint of some rows."""

    def fingerprint_of(name: str, split: str, rows: Mapping[str, list[Any]], **more: Any) -> Path:
        data = tmp_path / "data" / name
        data.mkdir(parents=True)
        ids = [f"{split}{row}" for row in range(len(next(iter(rows.values()))))]
        pq.write_table(pa.table({"id": ids, **rows}), data / f"{split}.parquet")
        kept = "set" if split == "train" else "examples"
        work = unit(f"print-{name}", {"fields": PROSE, "split": split, "kept": kept, **more}, {"data": data})
        fingerprint.run([work])
        return work.folder

    return fingerprint_of


@pytest.fixture
def compared(unit: Callable[..., Work], make: Callable[..., Path]) -> Callable[..., list[dict[str, str]]]:
    """The rows of contamination.csv for one test split and one training split."""

    def rows_of(
        train: Mapping[str, list[Any]], test: Mapping[str, list[Any]], **more: Any
    ) -> list[dict[str, str]]:
        inputs = {
            "train/seen/en": make("train", "train", train, **more),
            "test/asked/de": make("test", "test", test, **more),
        }
        trainings = [{"training": "seen", "languages": ["en"], "roles": {"target": ["asked"]}}]
        spec = {"study": "s", "tests": {"asked": ["de"]}, "trainings": trainings}
        return audited(unit, spec, inputs)

    return rows_of


def audited(
    unit: Callable[..., Work], spec: Mapping[str, Any], inputs: Mapping[str, Path]
) -> list[dict[str, str]]:
    work = unit("audit", spec, inputs)
    audit.run([work])
    with (work.folder / audit.FILE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def counts(row: Mapping[str, str]) -> tuple[int, ...]:
    return tuple(int(row[name]) for name in ("n", "exact", "n_with_ngrams", "ngram"))


def test_a_planted_sentence_is_found_whatever_its_case_and_punctuation(compared: Any) -> None:
    test = {"text_a": [words(0, 9), "Is it so?", words(20, 30), words(60, 5)]}
    train = {"text_a": [words(500, 20), "is it - SO", words(20, 30).upper() + "!", words(700, 3)]}
    (row,) = compared(train, test)
    assert counts(row) == (4, 2, 2, 1)
    assert (row["exact_percent"], row["ngram_percent"], row["covered_percent"]) == ("50.00", "50.00", "50.00")
    assert row["examples"] == "test1; test2"
    names = ("study", "training", "training_languages", "role", "target", "language", "field")
    assert [row[name] for name in names] == ["s", "seen", "en", "target", "asked", "de", "text_a"]


def test_thirteen_words_within_a_long_text_are_found_and_twelve_are_not(compared: Any) -> None:
    test = {"text_a": [words(0, 40), words(100, 40)]}
    train = {
        "text_a": [f"{words(900, 50)} {words(5, 13)} {words(960, 9)}", f"{words(120, 12)} {words(970, 20)}"]
    }
    (row,) = compared(train, test)
    assert counts(row) == (2, 0, 2, 1)
    # One of the 28 runs of 13 words in the first text, none in the second.
    assert row["covered_percent"] == f"{100 / 28 / 2:.2f}" and row["examples"] == "test0"


def test_of_a_short_text_eight_words_count(compared: Any) -> None:
    test = {"text_a": [words(0, 10), words(50, 10), words(80, 7)]}
    train = {"text_a": [f"{words(900, 50)} {words(1, 8)}", f"{words(50, 7)} {words(960, 20)}", words(78, 20)]}
    (row,) = compared(train, test)
    assert counts(row) == (3, 0, 2, 1) and row["covered_percent"] == f"{100 / 3 / 2:.2f}"


@pytest.mark.parametrize(("text", "per_word"), [(CHINESE, 2), (THAI, 5), ("のカ" + CHINESE, 2)])
def test_scripts_without_blanks(compared: Any, text: str, per_word: int) -> None:
    mine, size = text[:150], 13 * per_word
    train = {"text_a": ["。".join((text[200:300], mine[70 : 70 + size], text[300:380])), text[200:260]]}
    (row,) = compared(train, {"text_a": [mine, mine[: 69 + size], mine[70 : 69 + 8 * per_word]]})
    assert counts(row) == (3, 0, 2, 1) and row["examples"] == "test0"


def test_no_leak_is_nothing_at_all(compared: Any) -> None:
    test = {"text_a": [words(0, 40), CHINESE[:99], THAI[:99], "?", ""], "text_b": [words(40, 5)] * 5}
    rows = compared({"text_a": [words(50, 900), CHINESE[120:], "!"], "text_b": [words(1000, 9)] * 3}, test)
    assert [counts(row) for row in rows] == [(3, 0, 3, 0), (5, 0, 0, 0)]
    for name in ("ngram_percent", "covered_percent"):
        assert [row[name] for row in rows] == ["0.00", ""]
    assert {row["examples"] for row in rows} == {""}


def test_only_examples_that_have_a_field_count(compared: Any) -> None:
    rows = {"text_a": [words(0, 20), "", "?", words(40, 3)], "text_b": ["", "!", "", ""]}
    (row,) = compared({"text_a": [words(0, 20)], "text_b": [""]}, rows)
    assert (row["field"], *counts(row), row["exact_percent"]) == ("text_a", 2, 1, 1, 1, "50.00")


SIDED = {
    "side": [0, 0, 1, 1],
    "text": [words(0, 20), words(50, 20), words(100, 20), words(150, 20)],
    "beside": [None, None, words(200, 20), None],
}


@pytest.mark.parametrize(("called", "names"), [({"sides": ["ask", "answer"]}, ("ask", "answer")), ({}, "01")])
def test_each_side_is_a_field_of_its_own(compared: Any, called: dict[str, Any], names: Any) -> None:
    train = {"text": [words(100, 20), words(0, 13), words(150, 20)], "side": [0, 0, 1]}
    rows = compared(train, SIDED, fields=["text", "beside"], **called)
    assert [(row["field"], *counts(row), row["examples"]) for row in rows] == [
        (f"text ({names[0]})", 2, 0, 2, 1, "test0"),
        (f"text ({names[1]})", 2, 2, 2, 2, "test2; test3"),
        (f"beside ({names[1]})", 1, 0, 1, 0, ""),
    ]


def test_a_field_is_looked_for_in_all_fields_and_each_has_a_row(compared: Any) -> None:
    train = {"question": [words(0, 20)], "context": [words(100, 40)], "answers": [[words(300, 20)]]}
    test = {"question": [words(300, 20)], "context": [words(0, 20)], "answers": [[words(0, 20)]]}
    rows = compared(train, test)
    assert [(row["field"], *counts(row)) for row in rows] == [
        ("context", 1, 1, 1, 1),
        ("question", 1, 0, 1, 0),
    ]


def test_words_and_choices_are_one_text(compared: Any) -> None:
    train = {"tokens": [["do", "n't", "go", "."], ["one", "two"]]}
    (row,) = compared(train, {"tokens": [["don't", "go"], ["two", "one"]]})
    assert counts(row)[:2] == (2, 1)


def test_training_sets_count_for_their_targets_in_all_their_languages(make: Any, unit: Any) -> None:
    one, other, none = ({"text_a": [words(start, 20)]} for start in (0, 100, 200))
    inputs = {
        "train/mixed/en": make("mixed-en", "train", one),
        "train/mixed/de": make("mixed-de", "train", other),
        "train/own/en": make("own", "train", one),
        "test/x/de": make("x", "test", {"text_a": [words(0, 20), words(100, 20), words(200, 20)]}),
        "test/y/de": make("y", "test", none),
    }
    trainings = [
        {"training": "mixed", "languages": ["en", "de"], "roles": {"pre-training": None, "target": ["y"]}},
        {"training": "own", "languages": ["en"], "roles": {"target": ["x"]}},
    ]
    rows = audited(unit, {"study": "s", "tests": {"x": ["de"], "y": ["de"]}, "trainings": trainings}, inputs)
    found = [(row["target"], row["training"], row["role"], int(row["exact"])) for row in rows]
    assert found == [
        ("x", "mixed", "pre-training", 2),
        ("x", "own", "target", 1),
        ("y", "mixed", "pre-training, target", 0),
    ]
    assert rows[0]["training_languages"] == "en de"


def test_a_fingerprint_is_a_sorted_set_with_the_same_bytes_again(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"text_a": [words(start % 50, 30) for start in range(200)]}
    first = make("first", "train", rows)
    monkeypatch.setattr(fingerprint, "PENDING", 10)
    monkeypatch.setattr(fingerprint, "BATCH", 7)
    monkeypatch.setattr(fingerprint, "CHARACTERS", 500)
    again = make("again", "train", rows)
    for name in (fingerprint.WHOLE, fingerprint.RUNS):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    whole, runs = fingerprint.training_hashes(first)
    assert (len(whole), len(runs)) == (50, 67 + 72)
    assert all(left < right for left, right in itertools.pairwise(runs))


def test_so_many_characters_are_hashed_at_once_whatever_the_rows(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, grams = [], fingerprint.grams
    monkeypatch.setattr(fingerprint, "CHARACTERS", 300)
    monkeypatch.setattr(fingerprint, "grams", lambda texts: asked.append(list(texts)) or grams(texts))
    texts = [words(start, 10) for start in range(0, 400, 10)] + [words(500, 300)]
    make("long", "train", {"text": texts})
    assert [text for piece in asked for text in piece] == texts
    assert all(sum(map(len, piece)) <= 300 for piece in asked[:-1]) and asked[-1] == texts[-1:]


def test_a_set_is_made_up_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, every = [], fingerprint._Sorted.all
    monkeypatch.setattr(fingerprint._Sorted, "all", lambda self: asked.append(self) or every(self))
    make("once", "train", {"text": [words(0, 30)]})
    assert len(asked) == len(set(map(id, asked))) == 2  # whole texts, n-grams


def test_a_growing_set_takes_little_more_than_twice_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "PENDING", 1000)
    rng, kept = np.random.default_rng(1), fingerprint._Sorted()
    parts = [rng.integers(0, 1 << 63, 2000, np.uint64) for _ in range(100)]
    tracemalloc.start()
    for part in 4 * parts:
        kept.add(part)
    found = kept.all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found == np.unique(np.concatenate(parts))).all()
    assert peak < 3 * found.nbytes


def first_of(family: str) -> dict[str, Any]:
    """What to fetch of a task of the family that babel serves."""
    hub = Babel()
    for task in catalogue().values():
        for source in task.sources if task.family == family else ():
            for code in task.codes:
                request = task.request(source, code)
                places = wanted(request["source"], request["splits"].values())
                if request["splits"] and all(hub.offers(source.hub, *place) for place in places):
                    return fetch_spec(task, code, source, request, hub.kind)
    raise AssertionError(f"babel serves no task of {family}")


@pytest.mark.parametrize("family", sorted({task.family for task in catalogue().values() if not task.unites}))
def test_every_text_of_a_familys_rows_is_looked_at(unit: Callable[..., Work], family: str) -> None:
    spec = first_of(family)
    split = next(iter(spec["splits"]))
    work = unit("data", {**spec, "splits": {split: spec["splits"][split]}}, {})
    fetch.run([work])
    schema = pq.read_schema(work.folder / f"{split}.parquet")
    texts = {name for name, kind in zip(schema.names, schema.types, strict=True) if "string" in str(kind)}
    known = audited_by().get(family, PROSE)
    assert texts - set(known) <= {"id", "answers", "matches"} and texts & set(known), spec["task"]
    assert (fingerprint.SIDE in schema.names) == (family in sides()), spec["task"]


def test_rows_without_text_are_an_error_with_a_remedy(make: Any) -> None:
    with pytest.raises(DataError, match=r"no column of text that the audit of contamination knows.*AUDITED"):
        make("numbers", "train", {"label": [1, 2]})
