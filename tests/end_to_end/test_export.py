"""From a finished study to a submission folder and back to its scores, by the commands alone."""

import json

import pyarrow.parquet as pq
import pytest


def test_a_finished_study_is_exported_and_scored_as_it_was(micro):
    shown = micro.isthmus("export", "xtreme", "micro.yaml", "out", "--arm", "mnli")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[0] == "xnli: de, en"
    table = pq.read_table(micro.results / "scores.parquet").to_pylist()
    scores = {row["language"]: row["value"] for row in table if row["intermediate"] == "mnli"}
    assert set(scores) == {"en", "de"}
    for language, value in scores.items():
        arguments = (
            "--task",
            "xnli",
            "--language",
            language,
            "--predictions",
            f"out/xnli/test-{language}.tsv",
        )
        scored = micro.isthmus("score", *arguments, "--hub", "babel")
        assert json.loads(scored.stdout)["metrics"]["accuracy"] == pytest.approx(value, abs=1e-8)
    choices = micro.isthmus("export", "xtreme", "micro.yaml", "again")
    assert choices.returncode == 2 and "--arm: none, mnli" in choices.stderr
