"""Invented scores for the tests of tables and reports; no number here was ever measured."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.publish import tabulate
from isthmus.work import Work


class Invented:
    """Collects invented score artifacts and runs the tabulate stage on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cells: list[dict[str, Any]] = []
        self.inputs: dict[str, Path] = {}
        self.statuses: dict[str, str] = {}
        self.commits: list[dict[str, Any]] = []
        self.arms: list[dict[str, Any]] | None = None

    def add(
        self,
        arm: str,
        language: str,
        correct: Sequence[float] | None,
        *,
        encoder: str = "tiny",
        target: str = "xnli",
        split: str = "test",
        seed: int = 1,
        status: str = "ok",
        ids: Sequence[str] | None = None,
        others: Mapping[str, float] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """One cell: right and wrong answers, or None and a status."""
        role = f"score/{len(self.cells)}"
        names = {
            "encoder": encoder,
            "arm": arm,
            "target": target,
            "language": language,
            "split": split,
            "seed": seed,
            "metric": "accuracy",
        }
        self.cells.append(names | {"score": role})
        if status == "missing":
            return
        self.statuses[role] = status
        folder = self.root / "store" / f"{len(self.cells):08x}"
        folder.mkdir(parents=True)
        self.inputs[role] = folder
        value = None if correct is None else 100 * sum(correct) / len(correct)
        n = 0 if correct is None else len(correct)
        low, high = (None, None) if value is None else (max(0.0, value - 5), min(100.0, value + 5))
        metrics = {"accuracy": {"value": value, "n": n, "ci_low": low, "ci_high": high}}
        for name, number in (others or {}).items():
            metrics[name] = {"value": number, "n": n, "ci_low": None, "ci_high": None}
        floor = None if value is None else 33.3
        report = {"main": "accuracy", "metrics": metrics, "floor": floor, "details": details or {}}
        (folder / "score.json").write_text(json.dumps(report, sort_keys=True))
        names = list(ids) if ids else [f"{target}-{i}" for i in range(n)]
        table = {"id": pa.array(names, pa.string()), "correct": pa.array(correct or [], pa.float32())}
        pq.write_table(pa.table(table), folder / "examples.parquet")

    def commit(self, status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.commits.append({"status": status, "details": details})

    def work(self, name: str, spec: Mapping[str, Any], inputs: Mapping[str, Path], folder: Path) -> Work:
        return Work(name, spec, inputs, self.statuses, folder, self.root, lambda: False, self.commit)

    def tabulate(self, synthetic: bool = False, folder: str = "tables", study: str = "invented") -> Path:
        """Run the stage; returns the folder with the tables."""
        out = self.root / folder
        out.mkdir()
        names = dict.fromkeys(cell["arm"] for cell in self.cells)
        arms = self.arms or [{"arm": arm, "kind": "single", "tasks": arm, "links": 1} for arm in names]
        spec = {"study": study, "cells": self.cells, "arms": arms, "synthetic": synthetic}
        tabulate.run([self.work("tabulate invented", spec, self.inputs, out)])
        return out

    def gains(self, **options: Any) -> dict[tuple[str, ...], dict[str, str]]:
        """Rows of gains.csv by (arm, target, language); the tests that use it have one encoder."""
        with (self.tabulate(**options) / "gains.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {(row["arm"], row["target"], row["language"]): row for row in rows}


@pytest.fixture
def invented(tmp_path: Path) -> Invented:
    return Invented(tmp_path)


def answers(right: int, n: int) -> list[float]:
    """The first `right` of n answers are right."""
    return [1.0] * right + [0.0] * (n - right)


@pytest.fixture
def small(invented: Invented) -> Invented:
    """Two arms, two targets, three languages, one seed, with a hole: mnli diverged on pawsx/de."""
    for arm, extra in (("none", 0), ("mnli", 8)):
        for language, right in (("en", 80), ("de", 70), ("ar", 50)):
            invented.add(arm, language, answers(right + extra, 100))
        invented.add(arm, "en", answers(60 + extra, 100), target="pawsx")
        if arm == "none":
            invented.add(arm, "de", answers(55, 100), target="pawsx")
        else:
            invented.add(arm, "de", None, target="pawsx", status="diverged")
    return invented
