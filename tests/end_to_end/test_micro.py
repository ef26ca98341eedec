"""The whole DAG on a study of seconds: every cell, the same bytes again, and what a run leaves behind."""

import csv
import hashlib
import json

import pyarrow.parquet as pq

from tests.conftest import MICRO, Folder

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


def test_every_cell_is_filled(finished):
    scores = pq.read_table(finished.results / "scores.parquet")
    assert scores.column_names == COLUMNS
    rows = scores.to_pylist()
    cells = {(row["intermediate"], row["target"], row["language"], row["seed"]) for row in rows}
    assert cells == {(arm, "xnli", language, 1) for arm in ("none", "mnli") for language in ("en", "de")}
    for row in rows:
        assert row["status"] in ("ok", "collapsed")
        assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 100
        assert row["n"] > 0


def test_gains_have_a_mean_and_an_interval(finished):
    rows = list(csv.DictReader((finished.results / "gains.csv").open()))
    by_language = {row["language"]: row for row in rows if row["arm"] == "mnli" and row["target"] == "xnli"}
    assert set(by_language) == {"en", "de", "mean"}
    mean = by_language["mean"]
    assert float(mean["ci_low"]) <= float(mean["gain"]) <= float(mean["ci_high"])
    parts = [float(by_language[language]["gain"]) for language in ("en", "de")]
    # The file has four decimals, each number rounded by itself.
    assert abs(float(mean["gain"]) - sum(parts) / 2) <= 1e-4 + 1e-9


def test_receipts_are_small_and_name_what_is_in_the_store(finished):
    receipts = [path for path in finished.results.rglob("*-*.json") if "jobs" not in path.parts]
    assert len(receipts) > 15
    for path in receipts:
        assert path.stat().st_size <= 64 * 1024
        for entry in json.loads(path.read_text())["units"].values():
            assert (finished.store / entry["stage"] / entry["digest"] / "manifest.json").is_file()


def test_synthetic_data_is_labelled_wherever_its_numbers_show(finished):
    metadata = pq.read_schema(finished.results / "scores.parquet").metadata
    assert json.loads(metadata[b"isthmus"])["synthetic"] is True
    assert "SYNTHETIC" in (finished.results / "report.html").read_text().upper()
    shown = finished.isthmus("answer", "micro.yaml")
    assert shown.returncode == 0
    assert "SYNTHETIC" in shown.stdout.upper()


def _hashes(folder: Folder) -> dict[str, str]:
    """Every file that stands for a result: receipts, tables, artifacts; but not logs, times and costs."""
    found = {}
    for path in sorted(folder.results.rglob("*")):
        if path.is_file() and path.parts[len(folder.results.parts)] not in ("logs", "benchmarks", "jobs"):
            found[path.relative_to(folder.path).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.store.glob("*/*/*")):
        if path.is_file() and path.name != "manifest.json":
            found[path.relative_to(folder.path).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def test_equal_seeds_give_equal_bytes_with_an_empty_path_and_another_hash_seed(finished, tmp_path):
    # No activated environment, no PATH at all: the rules call the interpreter that runs Snakemake.
    again = Folder(tmp_path / "elsewhere")
    again.path.mkdir()
    again.write(MICRO)
    again.snakemake("--cores", "1", PATH="", PYTHONHASHSEED="7", TZ="Asia/Tokyo", LC_ALL="C")
    first, second = _hashes(finished), _hashes(again)
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == set()


def test_the_study_named_by_configfile_is_the_only_one_read(finished):
    assert not (finished.path / "results" / "first").exists()
    run = Folder(finished.path).snakemake("-n", "--config", "seeds=[2]", check=False)
    assert run.returncode != 0
    assert "one study" in run.stdout + run.stderr


def test_a_bad_study_is_one_clear_message(finished, tmp_path):
    folder = Folder(tmp_path)
    folder.write(MICRO.replace("targets: [xnli]", "targets: [xnlii]"))
    run = folder.snakemake("-n", check=False)
    output = run.stdout + run.stderr
    assert run.returncode == 1
    assert 'Did you mean "xnli"' in output
    assert "Traceback" not in output
    command = folder.isthmus("run", str(folder.study))
    assert command.returncode == 2
    assert 'Did you mean "xnli"' in command.stderr


def test_the_audit_is_written_by_its_rule_and_the_report_shows_it(finished):
    rows = list(csv.DictReader((finished.results / "contamination.csv").open()))
    compared = {(row["training"], row["role"], row["target"], row["language"], row["field"]) for row in rows}
    trainings = {
        ("wikipedia", "pre-training"),
        ("ccmatrix", "pre-training"),
        ("mnli", "intermediate, target"),
    }
    assert compared == {
        (*training, "xnli", language, field)
        for training in trainings
        for language in ("en", "de")
        for field in ("text_a", "text_b")
    }
    assert all(0 <= int(row["exact"]) <= int(row["n"]) and int(row["n"]) > 0 for row in rows)
    assert "Test examples that were trained on" in (finished.results / "report.html").read_text()
