"""One cell of a study: an encoder, arm, target, language, split and seed, with its score or the lack of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.errors import StorageError

OK = "ok"
MISSING = "missing"  # nothing has been computed for this cell yet
NAMES = ("encoder", "arm", "target", "language", "split", "seed", "metric")
BASELINE = "none"  # the arm without an intermediate task


@dataclass(frozen=True, eq=False)
class Cell:
    """A score, or why there is none.

    `metric` is the module that scored; `metrics` maps each of its numbers to {"value", "n", "ci_low", "ci_high"},
    values 0 to 100 or None; `main` is the one that counts; `floor` is what an answer without the
    question would get (the best constant one, or what the metric's module names); `details` is what else the metric tells (the scores of
    all layers); `digest` names the artifact.
    """

    encoder: str
    arm: str
    target: str
    language: str
    split: str
    seed: int
    metric: str
    status: str
    folder: Path | None
    main: str | None
    metrics: Mapping[str, Mapping[str, Any]]
    floor: float | None
    details: Mapping[str, Any]

    @property
    def digest(self) -> str | None:
        """The score artifact's name, if there is one."""
        return self.folder.name if self.folder else None

    @property
    def value(self) -> float | None:
        """The main metric, 0 to 100."""
        return self.metrics[self.main]["value"] if self.main else None

    @property
    def n(self) -> int:
        """Examples behind the main metric."""
        return self.metrics[self.main]["n"] if self.main else 0


def load(
    rows: Sequence[Mapping[str, Any]], inputs: Mapping[str, Path], statuses: Mapping[str, str]
) -> list[Cell]:
    """The cells of a tabulate spec with what their score artifacts say, in the order of the spec.

    Raises:
        StorageError: an artifact that counts as fine has no readable score.
    """
    return [_load(row, inputs.get(row["score"]), statuses.get(row["score"])) for row in rows]


def _load(row: Mapping[str, Any], folder: Path | None, status: str | None) -> Cell:
    if status is None:
        status = OK if folder else MISSING
    report = _report(folder, status)
    return Cell(
        **{name: row[name] for name in NAMES},
        status=status,
        folder=folder,
        main=report.get("main"),
        metrics=report.get("metrics", {}),
        floor=report.get("floor"),
        details=report.get("details", {}),
    )


def _report(folder: Path | None, status: str) -> dict[str, Any]:
    file = folder / "score.json" if folder else None
    if file is not None and file.is_file():
        try:
            report: dict[str, Any] = json.loads(file.read_bytes())
        except ValueError as error:
            raise _damaged(file, str(error)) from error
        return report
    if status == OK:
        raise _damaged(file, "it is not there")
    return {}


def examples(cell: Cell) -> pa.Table:
    """The examples behind a cell: column id, and a column for each part of its metric.

    Raises:
        StorageError: the file is not there or cannot be read.
    """
    if cell.folder is None:
        raise _damaged(None, "it is not there")
    file = cell.folder / "examples.parquet"
    try:
        return pq.ParquetFile(file).read(use_threads=False)
    except (OSError, pa.ArrowInvalid) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path | None, why: str) -> StorageError:
    return StorageError(
        f"A score that the store counts as finished cannot be read ({file or 'no folder'}): {why}. "
        "Remove its folder and run the study again; it is made anew."
    )
