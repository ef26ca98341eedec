"""The score stage: predictions of one target and language against the gold, example by example.

Writes `score.json` and `examples.parquet`. Runs on the CPU with pyarrow and numpy alone: a corrected metric
costs seconds.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.errors import DataError, Interrupted
from isthmus.evaluate import metrics
from isthmus.log import say
from isthmus.work import Work

PREDICTIONS = "predictions.parquet"
SCORABLE = ("ok", "collapsed")  # a collapsed run predicts, badly; a diverged one has nothing to predict with
NO_GOLD = "no-gold"


def run(works: Sequence[Work]) -> None:
    """Score each unit and commit it at once.

    A unit whose gold has no labels is committed as "no-gold", one whose predictions come from a run that
    failed with that run's status; neither gets a number.

    Raises:
        DataError: files, columns or ids are missing, extra, doubled or empty.
        Interrupted: a signal came; finished units are kept.
    """
    for work in works:
        if work.interrupted():
            raise Interrupted(f"Stopped before {work.name} was scored. Run the same command again to go on.")
        started = time.perf_counter()
        status, reason, details = _score(work)
        work.commit(
            status=status, reason=reason, details={**details, "seconds": time.perf_counter() - started}
        )


def _score(work: Work) -> tuple[str, str, dict[str, Any]]:
    spec = work.spec
    unit = f"{spec['target']}/{spec['language']} {spec['split']}"
    upstream = work.statuses.get("prediction", "ok")
    if upstream not in SCORABLE:
        _write(work.folder, spec["metric"], _blank(), [], np.zeros(0))
        return upstream, f"The predictions come from a run with status {upstream}.", {}
    name = spec["metric"]
    metric = metrics.load(name)
    gold = _read(work.inputs["data"] / f"{spec['split']}.parquet", metric.GOLD, "gold")
    predicted = _read(work.inputs["prediction"] / PREDICTIONS, metric.PREDICTED, "prediction")
    order = _join(gold, predicted)
    present = metric.labelled(gold.values) if len(gold.ids) else np.zeros(0, bool)
    details = {"rows": len(gold.ids), "labelled": int(present.sum())}
    if not present.any():
        _write(work.folder, name, _blank(), [], np.zeros(0))
        say(f"{unit}: no gold labels, no score")
        return NO_GOLD, f"None of the {len(gold.ids)} rows of {unit} has a gold label.", details
    kept = gold.values[present]
    values = metric.score(kept, predicted.values[order][present])
    low, high = metric.interval(values, spec["target"], spec["language"], spec["split"], name)
    floor = metric.floor(kept)
    numbers = {
        "value": 100 * metric.aggregate(values),
        "n": len(values),
        "ci_low": 100 * low,
        "ci_high": 100 * high,
        "floor": None if floor is None else 100 * floor,
    }
    _write(work.folder, name, numbers, [gold.ids[i] for i in np.flatnonzero(present)], values)
    partly = f" of {len(gold.ids)} rows, the others have no label" if len(values) < len(gold.ids) else ""
    say(f"{unit}: {name} {numbers['value']:.1f} (n {len(values)}{partly})")
    reason = "" if upstream == "ok" else f"The predictions come from a run with status {upstream}."
    return upstream, reason, details


@dataclass(frozen=True)
class Column:
    """One column of a file with its ids, both (n,), and where it was read."""

    file: Path
    ids: list[str]
    values: NDArray[Any]


def _read(file: Path, column: str, what: str) -> Column:
    if not file.is_file():
        raise DataError(
            f"There is no {what} file {file}. The artifact is damaged: remove its folder, then run "
            "the study again; it is made anew."
        )
    parquet = pq.ParquetFile(file)
    absent = [name for name in ("id", column) if name not in parquet.schema_arrow.names]
    if absent:
        raise DataError(
            f"{file} has no column {' and no column '.join(absent)}; it has "
            f"{', '.join(parquet.schema_arrow.names)}. Make it again with this version of isthmus."
        )
    table = parquet.read(columns=["id", column])
    holes = table.column("id").null_count + table.column(column).null_count
    if holes:
        raise DataError(
            f"{file} has {holes} empty values in the columns id and {column}. Every row needs both "
            "(a row without gold carries the task's mark for it); make the file again."
        )
    values = np.from_dlpack(table.column(column).combine_chunks())
    return Column(file, table.column("id").to_pylist(), values)


def _join(gold: Column, predicted: Column) -> NDArray[np.int64]:
    """Positions of the gold rows in the predictions, shape (n,); both sides must hold the same ids once."""
    if gold.ids == predicted.ids and len(set(gold.ids)) == len(gold.ids):
        return np.arange(len(gold.ids))
    places = {name: position for position, name in enumerate(predicted.ids)}
    known = set(gold.ids)
    problems = [
        text
        for text in (
            _problem("gold ids are doubled", _doubled(gold.ids), gold.file),
            _problem("ids are doubled", _doubled(predicted.ids), predicted.file),
            _problem("ids of the gold are missing", [i for i in gold.ids if i not in places], predicted.file),
            _problem("ids are not in the gold", [i for i in predicted.ids if i not in known], predicted.file),
        )
        if text
    ]
    if problems:
        raise DataError(
            f"Predictions and gold ({gold.file}) do not hold the same examples: {'; '.join(problems)}. They must "
            "come from the same rows of the same data: delete the prediction's artifact and predict again; if "
            "ids are doubled in the gold, choose another id column in the task's YAML."
        )
    return np.array([places[name] for name in gold.ids], np.int64)


def _doubled(ids: list[str]) -> list[str]:
    return [name for name, count in Counter(ids).items() if count > 1]


def _problem(what: str, ids: list[str], file: Path) -> str:
    if not ids:
        return ""
    first = ", ".join(repr(name) for name in ids[:3]) + (", ..." if len(ids) > 3 else "")
    return f"{len(ids)} {what} in {file} ({first})"


def _blank() -> dict[str, Any]:
    return {"value": None, "n": 0, "ci_low": None, "ci_high": None, "floor": None}


def _write(
    folder: Path, name: str, numbers: dict[str, Any], ids: list[str], values: NDArray[np.float64]
) -> None:
    floor = numbers.pop("floor")
    report = {"main": name, "metrics": {name: numbers}, "floor": floor}
    (folder / "score.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    table = pa.table({"id": _strings(ids), "correct": _floats(values)})
    pq.write_table(table, folder / "examples.parquet", compression="zstd")


# pa.array() and to_numpy() import pandas, which costs more than the whole stage; buffers and DLPack do not.


def _strings(texts: list[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def _floats(values: NDArray[np.float64]) -> pa.Array:
    return pa.Array.from_buffers(pa.float32(), len(values), [None, pa.py_buffer(values.astype(np.float32))])
