"""Ranked candidates: hand-counted, against a definition typed anew, and by chance."""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data import candidates, fetch
from isthmus.errors import DataError
from isthmus.evaluate import official
from isthmus.evaluate.metrics import ranked
from isthmus.evaluate.official import rows
from isthmus.evaluate.official.hub import gold_of
from isthmus.evaluate.official.ranks import Ranks
from isthmus.tasks.files import catalogue
from isthmus.work import Work

LAREQA = catalogue()["lareqa"]
LISTS = pa.list_(pa.string())
SPEC = {"target": "look", "language": "en", "split": "test", "pool": ["look/de", "look/en"]}


def table(queries: Mapping[str, Sequence[str]], candidates: Sequence[str] = ()) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([*queries, *candidates], pa.string()),
            "side": pa.array([0] * len(queries) + [1] * len(candidates), pa.int32()),
            "matches": pa.array([*map(list, queries.values()), *([[]] * len(candidates))], LISTS),
        }
    )


def predicted(found: Mapping[str, Sequence[str]]) -> pa.Table:
    return pa.table({"id": list(found), "found": pa.array(list(map(list, found.values())), LISTS)})


EN = table({"q": ["1_0"], "r": ["1_1"], "s": []}, ["1_0", "1_1", "1_2"])
DE = table({"q": ["1_1"], "r": ["2_0"]}, ["1_0", "1_1", "2_0"])
GOLD = {"test": EN, "pool/look/en": EN, "pool/look/de": DE}


def score(found: Mapping[str, Sequence[str]], gold: Mapping[str, pa.Table] = GOLD, **changes: Any) -> Any:
    return ranked.score(gold, {"test": predicted(found)}, {**SPEC, **changes})


def test_what_is_right_in_any_language_of_the_pool_is_right() -> None:
    found = {"q": ["en_1_2", "de_1_1", "en_1_0"], "r": ["de_2_0", "en_1_1"], "s": ["de_1_0"]}
    scored = score(found)
    assert scored.ids == ["q", "r"] and scored.rows == 3
    assert scored.parts[0].tolist() == pytest.approx([(1 / 2 + 2 / 3) / 2, 1 / 2])
    assert scored.parts[1].tolist() == [1.0, 1.0]
    assert scored.details == {"pool": ["look/de", "look/en"], "candidates": 6}
    values = ranked.values(scored.parts.mean(axis=0))
    assert list(values) == ["map_at_20", "mrr_at_20"] == list(ranked.NAMES)
    assert values["map_at_20"] == pytest.approx((7 / 12 + 1) / 2)


def test_gold_gets_everything_and_nothing_found_gets_nothing() -> None:
    best = score({"q": ["en_1_0", "de_1_1"], "r": ["en_1_1", "de_2_0"], "s": []})
    assert best.parts.tolist() == [[1.0, 1.0]] * 2
    assert score({"q": [], "r": ["en_1_0"], "s": []}).parts.tolist() == [[0.0, 0.0]] * 2


def test_with_the_own_language_alone_one_is_right() -> None:
    gold = {"test": EN, "pool/look/en": EN}
    scored = score({"q": ["en_1_2", "en_1_0"], "r": ["en_1_1"], "s": []}, gold, pool=["look/en"])
    assert scored.parts.tolist() == [[0.5, 0.5], [1.0, 1.0]]


def test_candidates_of_another_task_keep_their_ids() -> None:
    mentions = table({"m": ["Q2"], "n": ["Q9"]})
    gold = {"test": mentions, "pool/things/en": table({}, ["Q1", "Q2"])}
    scored = score({"m": ["Q1", "Q2"], "n": ["Q2"]}, gold, pool=["things/en"])
    assert scored.parts.tolist() == [[0.5, 0.5], [0.0, 0.0]]  # what the pool does not have cannot be found
    assert scored.details["candidates"] == 2


def test_a_split_without_gold_has_no_score() -> None:
    gold = {"test": table({"m": []}), "pool/things/en": table({}, ["Q1"])}
    scored = score({"m": ["Q1"]}, gold, pool=["things/en"])
    assert scored.ids == [] and scored.parts.shape == (0, 2) and scored.floor is None


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"q": ["en_1_0"], "r": []}, "1 ids of the gold have no prediction"),
        ({"q": ["en_9_9"], "r": [], "s": []}, "answers 'q' with 'en_9_9', which the pool does not have"),
        ({"q": ["en_1_0", "en_1_0"], "r": [], "s": []}, "answers 'q' with one candidate more than once"),
        ({"q": [], "r": [], "s": [], "x": []}, "predicted ids are not in the gold"),
    ],
)
def test_what_does_not_belong_together_is_refused(found: Mapping[str, Sequence[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        score(found)


def test_only_twenty_count_and_no_more_than_twenty_can() -> None:
    names = [f"c{n}" for n in range(40)]
    assert ranked.precision(names, {"c20"}) == ranked.reciprocal(names, {"c20"}) == 0
    assert ranked.precision(names, {"c19"}) == ranked.reciprocal(names, {"c19"}) == 1 / 20
    assert ranked.precision(names, set(names)) == 1.0
    assert ranked.precision(names, set(names[10:])) == pytest.approx(
        sum((n - 10) / n for n in range(11, 21)) / 20
    )
    assert ranked.precision(["c0"], {"c0", "c1"}) == 0.5  # fewer candidates than right ones


def anew(found: Sequence[str], wanted: set[str]) -> tuple[float, float]:
    """The two as the paper's words have them: precision at each rank with a right one; one over the first such rank."""
    cut = found[:20]
    marks = [name in wanted and name not in cut[:place] for place, name in enumerate(cut)]
    at = [sum(marks[: place + 1]) / (place + 1) for place, right in enumerate(marks) if right]
    first = [place for place, right in enumerate(marks) if right][:1]
    return sum(at) / min(20, len(wanted)), sum(1 / (place + 1) for place in first)


def test_against_a_definition_typed_anew() -> None:
    random = np.random.default_rng(1)
    for _ in range(300):
        names = [f"c{n}" for n in range(random.integers(1, 60))]
        wanted = set(random.choice(names, random.integers(1, len(names) + 1), replace=False).tolist())
        found = random.choice(names, random.integers(0, 2 * len(names)), replace=True)
        expected = anew(found.tolist(), wanted)
        assert ranked.precision(found.tolist(), wanted) == pytest.approx(expected[0])
        assert ranked.reciprocal(found.tolist(), wanted) == pytest.approx(expected[1])


@pytest.mark.parametrize(("pool", "wanted"), [(1, 1), (4, 1), (4, 2), (5, 3), (6, 6)])
def test_the_floor_is_the_mean_over_all_orders(pool: int, wanted: int) -> None:
    names, right = [str(n) for n in range(pool)], {str(n) for n in range(wanted)}
    orders = list(itertools.permutations(names))
    mean = sum(ranked.precision(order, right) for order in orders) / len(orders)
    assert ranked.by_chance(pool, wanted) == pytest.approx(mean)


def test_the_floor_of_a_large_pool_looks_no_further_than_twenty() -> None:
    random, right = np.random.default_rng(2), {str(n) for n in range(11)}
    names = np.array([str(n) for n in range(200)])
    found = [ranked.precision(random.permutation(names)[:20].tolist(), right) for _ in range(20000)]
    assert ranked.by_chance(200, 11) == pytest.approx(np.mean(found), rel=0.05)
    assert ranked.by_chance(10**6, 1) == pytest.approx(sum(1 / n for n in range(1, 21)) / 10**6)
    assert ranked.by_chance(5, 0) == ranked.by_chance(5, 6) == 0.0


def test_the_interval_holds_the_mean() -> None:
    scored = score({"q": ["en_1_2", "de_1_1", "en_1_0"], "r": ["de_2_0", "en_1_1"], "s": []})
    low, high = ranked.interval(scored.parts, "look", "en", "test")
    assert low <= scored.parts[:, 0].mean() <= high


# Files of XTREME-R -------------------------------------------------------------------------------------------------


def write(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("task", ["mewslix", "lareqa"])
def test_a_file_is_scored_with_what_is_missing_as_nothing(tmp_path: Path, task: str) -> None:
    gold = write(tmp_path, "gold.json", {"a": [" Q1"], "b": ["Q2"], "c": ["Q3"], "d": ["Q4"]})
    said = write(tmp_path, "said.json", {"a": ["Q9", "Q1 "], "b": ["Q2"], "c": ["Q9"] * 20 + ["Q3"], "x": []})
    scored = official.score(task, "de", said, gold)
    expected = 100 * ((1 / 2 + 1) / 4)
    assert scored.report == {
        "task": task,
        "language": "de",
        "n": 4,
        "metrics": {"map_at_20": pytest.approx(expected), "mrr_at_20": pytest.approx(expected)},
    }
    assert scored.note.endswith("1 of 4 ids have no prediction and count 0.")
    best = official.score(task, "de", gold, gold).report["metrics"]
    assert best == {"map_at_20": 100.0, "mrr_at_20": 100.0}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("[1]", r"said.json:1: the file must be one JSON object"),
        ('{"a":\n "Q1"}', r"said.json:1: the answer to 'a' is 'Q1', and it must be a list of ids"),
        ('{"a": ["Q1"],\n "b": [2]}', r"said.json:2: the answer to 'b'"),
        ("{", "not JSON"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, said: str, message: str) -> None:
    gold = write(tmp_path, "gold.json", {"a": ["Q1"]})
    with pytest.raises(DataError, match=message):
        official.score("mewslix", "de", write(tmp_path, "said.json", said), gold)


def test_gold_with_nothing_right_is_refused(tmp_path: Path) -> None:
    said = write(tmp_path, "said.json", {"a": ["Q1"]})
    with pytest.raises(DataError, match="'a' has no right candidate"):
        official.score("mewslix", "de", said, write(tmp_path, "gold.json", {"a": []}))
    with pytest.raises(DataError, match="there is nothing to score"):
        official.score("mewslix", "de", said, write(tmp_path, "none.json", {}))


def test_what_is_written_is_read_and_scored_as_the_study_scores_it(tmp_path: Path) -> None:
    found = {"s": ["de_1_0"], "q": ["en_1_2", "de_1_1", "en_1_0"], "r": ["de_2_0", "en_1_1"]}
    values = rows.predictions(Ranks(), {"test": EN}, {"test": predicted(found)}, SPEC)
    assert values == [("q", found["q"]), ("r", found["r"]), ("s", found["s"])]
    said = write(tmp_path, "said.json", Ranks().write(values))
    assert Ranks().read(said).values == values
    right = rows.wanted(("en", EN), [("de", DE)])
    assert right == [("q", ["en_1_0", "de_1_1"]), ("r", ["en_1_1", "de_2_0"])]
    gold = write(tmp_path, "gold.json", Ranks().write(right))
    scored = score(found)
    assert official.score("lareqa", "en", said, gold).report["metrics"]["map_at_20"] == pytest.approx(
        100 * scored.parts[:, 0].mean(), abs=1e-9
    )


def test_gold_of_a_hub_is_right_in_every_language_that_it_has() -> None:
    gold = gold_of("lareqa", "de", "babel", "test")
    languages = {name.partition("_")[0] for _, candidates in gold.values for name in candidates}
    assert languages > {"de", "en"} and len(gold.values) > 50
    assert all(len({name.partition("_")[0] for name in row}) == len(languages) for _, row in gold.values)
    assert gold.source.endswith(f"right in {', '.join(sorted(languages))}")
    assert gold.note.startswith(f"right are the candidates in {', '.join(sorted(languages))};")
    mentions = gold_of("mewslix", "de", "babel", "test")
    assert mentions.note == ""
    assert all(len(candidates) == 1 for _, candidates in mentions.values)


def test_whoever_scores_by_a_hub_is_told_which_languages_are_right(tmp_path: Path) -> None:
    right = dict(gold_of("lareqa", "de", "babel", "test").values)
    scored = official.score("lareqa", "de", write(tmp_path, "said.json", right), None, "babel", "test")
    assert "right are the candidates in " in scored.note and scored.note.endswith(" has another score.")
    missing = dict(list(right.items())[1:])
    scored = official.score("lareqa", "de", write(tmp_path, "few.json", missing), None, "babel", "test")
    assert "1 of " in scored.note and "right are the candidates in " in scored.note


def test_lareqas_own_files_have_eleven_right_candidates_among_thirteen_thousand(
    mirror: Path, unit: Callable[..., Work]
) -> None:
    columns = {"id": "id", "context": "context", "question": "question", "answers": "answers"}
    tables = {}
    for language in LAREQA.codes:
        source = {
            "hub": "hub",
            "id": "mirror-extra/lareqa",
            "config": f"xquad-r.{language}",
            "revision": None,
        }
        spec = {"task": "lareqa", "family": "match", "language": language, "source": source}
        spec |= {"splits": {"test": "test"}, "columns": {**columns, "sentences": "sentence_breaks"}}
        work = unit(f"lareqa/{language}", spec, {"hub": mirror})
        fetch.run([work])
        tables[language] = pq.read_table(work.folder / "test.parquet")
    right, everything = candidates.right(("en", tables["en"]), list(tables.items()))
    assert len(right) == 1190 and all(len(found) == 11 for found in right.values())
    counts = {code: sum(name.startswith(f"{code}_") for name in everything) for code in tables}
    # github.com/google-research-datasets/lareqa, README
    assert counts == dict(
        zip(
            ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
            (1222, 1276, 1234, 1180, 1215, 1244, 1219, 852, 1167, 1209, 1196),
            strict=True,
        )
    )
    assert right["56beb4343aeaaa14008c925b"][:1] == ["en_1_0"]
