"""Scorers: gold gets full marks, one answer to everything the floor, and a metric that does otherwise is found out."""

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.check import datasets, scorer
from isthmus.check.findings import Findings
from isthmus.evaluate import metrics

IDS = pa.list_(pa.string())
NAMES = [str(n) for n in range(6)]
GOLD = {
    "accuracy": pa.table({"id": NAMES, "label": pa.array([0, 1, 1, -1, 0, 1], pa.int32())}),
    "chunks": pa.table({"id": NAMES, "tags": [[0, 1, 2], [1], [0], [-1, 1], [1, 2], [0, 0]]}),
    "answers": pa.table({"id": NAMES, "answers": pa.array([["x"], ["y z"], [], ["x"], ["w"], ["v"]], IDS)}),
    "nearest": pa.table(
        {
            "id": ["a1", "a2", "b1", "b2"],
            "side": pa.array([0, 0, 1, 1], pa.int32()),
            "matches": pa.array([["b1"], ["b2"], ["a1"], ["a2"]], IDS),
        }
    ),
}
GOLD["mining"] = GOLD["ranked"] = GOLD["nearest"]


def tried(tmp_path: Path, metric: str, gold: pa.Table, dev: pa.Table | None = None) -> Findings:
    findings, splits = Findings(), {"test": gold} | ({"dev": dev} if dev is not None else {})
    for name, table in splits.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    source = {"task": "words", "language": "de", "hub": "me/words", "splits": {name: name for name in splits}}
    found = datasets.look({"data/words/de": source}, {"data/words/de": tmp_path}, findings)
    use = {"task": "words", "data": ["data/words/de"], "metric": metric, "labels": ["O", "B-A", "I-A"]}
    scorer.try_scorers([use, use], found, lambda use, role: {}, findings)
    return findings


@pytest.mark.parametrize("metric", GOLD)
def test_gold_and_constants_get_what_they_must(tmp_path, metric):
    findings = tried(tmp_path, metric, GOLD[metric], GOLD[metric])
    assert not findings.problems and not findings.notes


def test_answers_that_the_rules_leave_nothing_of_are_told_of(tmp_path):
    gold = pa.table({"id": ["0", "1"], "answers": pa.array([["the"], ["heron"]], IDS)})
    findings = tried(tmp_path, "answers", gold)
    assert not findings.problems
    assert "its own gold answers get 75.00 f1_em of 100: the scorer's rules" in findings.notes[0]


def test_a_threshold_that_cannot_be_chosen_is_a_problem(tmp_path):
    findings = tried(tmp_path, "mining", GOLD["mining"])
    assert "dev" in findings.problems[0]


def test_a_split_without_gold_is_no_matter_of_scorers(tmp_path):
    gold = pa.table({"id": ["0"], "label": pa.array([-1], pa.int32())})
    assert tried(tmp_path, "accuracy", gold) == Findings()


@pytest.mark.parametrize(("values", "said"), [((0.5, 0.4), "its own gold"), ((1.0, 0.2), "the floor is 20")])
def test_a_metric_that_counts_wrongly_is_found_out(tmp_path, monkeypatch, values, said):
    best, floor = values
    scored = SimpleNamespace(ids=["0"], parts=pa.array([1.0]).to_numpy()[:, None], floor=floor)
    wrong = SimpleNamespace(
        SCORES="label",
        NAMES=("accuracy",),
        score=lambda *_: scored,
        values=lambda means: {"accuracy": best * means[0]},
    )
    monkeypatch.setattr(metrics, "load", lambda name: wrong)
    (problem,) = tried(tmp_path, "accuracy", GOLD["accuracy"]).problems
    assert said in problem


def test_a_metric_of_another_kind_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "load", lambda name: SimpleNamespace(SCORES="songs"))
    (note,) = tried(tmp_path, "accuracy", GOLD["accuracy"]).notes
    assert "was not tried" in note


def test_every_metric_can_be_tried():
    assert {metrics.load(name).SCORES for name in metrics.names()} <= set(scorer.TRIALS)
