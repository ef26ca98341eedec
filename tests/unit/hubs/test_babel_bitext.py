"""babel's sentences and translations: gold is what means the same, and nothing else."""

import collections
import contextlib
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.errors import DataError
from isthmus.hubs.babel import bitext, hub
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import Event

XTREME, BUCC, CCMATRIX = (
    "google/xtreme",
    "comparable.limsi.fr/bucc2018",
    "sentence-transformers/parallel-sentences-ccmatrix",
)


def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


def pools(language: str, split: str) -> tuple[dict[str, Event], dict[str, Event], set[tuple[str, str]]]:
    """What each sentence means, by its id, and the gold pairs."""
    sides = [
        {row["id"]: parse(code, row["sentence"]) for row in rows(BUCC, f"{language}-en.{code}", split)}
        for code in (language, "en")
    ]
    gold = {(row["id1"], row["id2"]) for row in rows(BUCC, f"{language}-en.gold", split)}
    return sides[0], sides[1], gold


@pytest.mark.parametrize(("code", "language"), bitext.TATOEBA.items())
def test_tatoeba_pairs_mean_the_same_and_no_two_rows_do(code: str, language: str) -> None:
    served = rows(XTREME, f"tatoeba.{code}", "validation")
    source = [parse(language, row["source_sentence"]) for row in served]
    assert source == [parse("en", row["target_sentence"]) for row in served]
    assert len(set(source)) == len(source) == 400
    assert {(row["source_lang"], row["target_lang"]) for row in served} == {(code, "eng")}


@pytest.mark.parametrize("split", ["sample", "training"])
@pytest.mark.parametrize("language", bitext.BUCC)
def test_gold_of_bucc_is_exactly_what_means_the_same(language: str, split: str) -> None:
    other, english, gold = pools(language, split)
    meaning = collections.defaultdict(list)
    for name, event in english.items():
        meaning[event].append(name)
    found = {(name, match) for name, event in other.items() for match in meaning[event]}
    assert found == gold
    assert len(other) == len(english) == bitext.SENTENCES[split]
    assert len(gold) == 0.4 * len(other)
    assert len({name for name, _ in gold}) == len({name for _, name in gold}) == len(gold)


def test_ids_are_those_of_the_hub_and_gold_is_spread_over_the_pools() -> None:
    first = rows(BUCC, "ru-en.ru", "sample")[0], rows(BUCC, "ru-en.en", "sample")[0]
    assert [row["id"] for row in first] == ["ru-000000001", "en-000000001"]
    gold = rows(BUCC, "ru-en.gold", "sample")
    assert [row["id1"] for row in gold] == sorted(row["id1"] for row in gold)
    places = [int(row["id2"][3:]) for row in gold]
    assert places != sorted(places) and min(places) < 20 and max(places) > 380


def test_all_languages_have_the_same_meanings_in_the_same_order() -> None:
    sides = [pools(language, "sample") for language in bitext.BUCC]
    assert len({tuple(other.values()) for other, _, _ in sides}) == 1
    targets = {
        tuple(hub.serve(XTREME, f"tatoeba.{code}", "validation")["target_sentence"].to_pylist())
        for code in bitext.TATOEBA
    }
    assert len(targets) == 1


def test_pools_hold_near_misses_and_a_few_repeated_sentences() -> None:
    other, english, gold = pools("de", "training")
    matched = [{pair[side] for pair in gold} for side in (0, 1)]
    for side, across, golden in ((other, english, matched[0]), (english, other, matched[1])):
        known = set(across.values())
        alone = [event for name, event in side.items() if name not in golden]
        near = [event for event in alone if any(differences(event, gold_) == 1 for gold_ in known)]
        assert len(near) > 0.2 * len(alone)
        repeated = [event for event, times in collections.Counter(side.values()).items() if times > 1]
        assert 0 < len(repeated) < 0.05 * len(side)
        assert all(alone.count(event) == 2 for event in repeated)


def differences(one: Event, other: Event) -> int:
    """In how many of their slots two events differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def test_evaluation_shares_no_event_with_the_parallel_text() -> None:
    seen = set()
    for row in rows(CCMATRIX, "en-de", "train"):
        for part in re.split(r"(?<=[.?]) | (?:and|because) ", row["english"]):
            with contextlib.suppress(DataError):  # a short answer after a question
                seen.add(parse("en", part if part[-1] in ".?" else f"{part}."))
    evaluated = {event for event, _ in bitext.translations()}
    for split in bitext.SENTENCES:
        drawn = bitext.pools(split)
        evaluated |= {event for event, _ in (*drawn.other, *drawn.english)}
    assert len(seen) > 4500 and not seen & evaluated


def digest() -> str:
    served = [rows(XTREME, "tatoeba.kor", "validation"), rows(BUCC, "zh-en.zh", "sample")]
    return hashlib.sha256(repr(served).encode()).hexdigest()


def test_another_process_and_hash_seed_serve_the_same_rows() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_babel_bitext as t; print(t.digest())"
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest()
