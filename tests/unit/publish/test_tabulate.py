"""The tables of a study: their form, their blanks, their bytes."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from isthmus.errors import StorageError

COLUMNS = [
    "study",
    "encoder",
    "intermediate",
    "target",
    "language",
    "split",
    "seed",
    "metric",
    "value",
    "n",
    "ci_low",
    "ci_high",
    "status",
    "digest",
]


def scores(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(folder / "scores.parquet").to_pylist()
    return rows


def test_columns_and_order_are_those_of_the_study(small: Any) -> None:
    rows = scores(small.tabulate())
    assert list(rows[0]) == COLUMNS
    asked = [tuple(cell[name] for name in ("arm", "target", "language")) for cell in small.cells]
    assert [(row["intermediate"], row["target"], row["language"]) for row in rows] == asked
    assert {row["study"] for row in rows} == {"invented"}


def test_a_row_says_what_its_score_says(small: Any) -> None:
    row = scores(small.tabulate())[0]
    assert (row["metric"], row["value"], row["n"], row["status"]) == ("accuracy", 80.0, 100, "ok")
    assert (row["ci_low"], row["ci_high"], row["seed"], row["split"]) == (75.0, 85.0, 1, "test")
    assert row["digest"] == small.inputs["score/0"].name


def test_a_failed_run_is_blank_with_its_reason(small: Any) -> None:
    row = scores(small.tabulate())[-1]
    assert (row["value"], row["ci_low"], row["ci_high"]) == (None, None, None)
    assert row["status"] == "diverged"


def test_what_was_never_computed_is_missing(invented: Any) -> None:
    invented.add("none", "en", None, status="missing")
    (row,) = scores(invented.tabulate())
    assert (row["metric"], row["value"], row["n"], row["digest"]) == (None, None, None, None)
    assert row["status"] == "missing"


def test_a_failed_run_without_files_is_blank(invented: Any) -> None:
    invented.add("none", "en", None, status="diverged")
    (invented.inputs["score/0"] / "score.json").unlink()
    (row,) = scores(invented.tabulate())
    assert (row["value"], row["status"]) == (None, "diverged")


@pytest.mark.parametrize("content", [None, "{"])
def test_a_finished_score_that_cannot_be_read_is_an_error(invented: Any, content: str | None) -> None:
    invented.add("none", "en", [1.0])
    file = invented.inputs["score/0"] / "score.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    with pytest.raises(StorageError, match=r"score\.json.*made anew"):
        invented.tabulate()


def test_damaged_examples_are_an_error(small: Any) -> None:
    (small.inputs["score/1"] / "examples.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match=r"examples\.parquet"):
        small.tabulate()


def test_every_metric_has_a_row_the_main_one_first(invented: Any) -> None:
    invented.add("none", "en", [1.0, 0.0], others={"a_second_one": 12.5})
    rows = scores(invented.tabulate())
    assert [(row["metric"], row["value"]) for row in rows] == [("accuracy", 50.0), ("a_second_one", 12.5)]


def test_a_score_in_the_table_changes_with_its_artifact(small: Any) -> None:
    before = scores(small.tabulate())
    file = small.inputs["score/0"] / "score.json"
    report = json.loads(file.read_text())
    report["metrics"]["accuracy"]["value"] = 81.0
    file.write_text(json.dumps(report))
    after = scores(small.tabulate(folder="again"))
    assert [row["value"] for row in after] == [81.0, *(row["value"] for row in before[1:])]


@pytest.mark.parametrize("synthetic", [True, False])
def test_metadata_says_study_and_whether_it_is_synthetic(small: Any, synthetic: bool) -> None:
    folder = small.tabulate(synthetic=synthetic)
    for name in ("scores.parquet", "arms.parquet"):
        metadata = json.loads(pq.read_schema(folder / name).metadata[b"isthmus"])
        assert (metadata["study"], metadata["synthetic"]) == ("invented", synthetic)
    floors = json.loads(pq.read_schema(folder / "scores.parquet").metadata[b"isthmus"])["floors"]
    assert floors == {"xnli": {"en": 33.3, "de": 33.3, "ar": 33.3}, "pawsx": {"en": 33.3, "de": 33.3}}


def test_arms_have_a_nullable_column_per_factor(invented: Any) -> None:
    invented.add("none", "en", [1.0])
    invented.arms = [
        {"arm": "none", "kind": "none", "tasks": "", "links": 0},
        {"arm": "mnli-n100", "kind": "single", "tasks": "mnli", "links": 1, "examples": 100, "clip": 1},
        {"arm": "two", "kind": "chain", "tasks": "mnli>qqp", "links": 2, "clip": 0.5, "select": "last"},
    ]
    table = pq.read_table(invented.tabulate() / "arms.parquet").to_pydict()
    assert list(table) == ["arm", "kind", "tasks", "links", "examples", "clip", "select"]
    assert table["examples"] == [None, 100, None]
    assert table["clip"] == [None, 1.0, 0.5]
    assert table["select"] == [None, None, "last"]
    assert table["tasks"] == ["", "mnli", "mnli>qqp"]


def test_equal_inputs_give_equal_bytes(small: Any) -> None:
    first, second = small.tabulate(synthetic=True), small.tabulate(synthetic=True, folder="again")
    for name in ("scores.parquet", "arms.parquet", "gains.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert small.commits[0]["status"] == "ok"
    assert (small.commits[0]["details"]["cells"], small.commits[0]["details"]["blank"]) == (10, 1)
