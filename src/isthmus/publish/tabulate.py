"""The tabulate stage: all scores of a study as tables, failures included.

`scores.parquet` has a row per cell and metric, `arms.parquet` a row per arm with its factors, `gains.csv` the
differences from arm `none`. Rows stand in the order of the study; equal inputs give equal bytes.
"""

import csv
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.evaluate import metrics
from isthmus.log import say
from isthmus.publish import gains
from isthmus.publish.cells import Cell, load
from isthmus.work import Work

METADATA = b"isthmus"
SCORES = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("study", "encoder", "intermediate", "target", "language", "split")
        ),
        ("seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
        ("status", pa.string()),
        ("digest", pa.string()),
    ]
)
ARM = {"arm": pa.string(), "kind": pa.string(), "tasks": pa.string(), "links": pa.int64()}
DECIMALS = 4  # of gains.csv; more would be noise of the resampling


def run(works: Sequence[Work]) -> None:
    """Write the three tables of each unit and commit it.

    Raises:
        DataError: arms of one target were scored on different examples.
        StorageError: a finished score cannot be read.
    """
    for work in works:
        started = time.perf_counter()
        cells = load(work.spec["cells"], work.inputs, work.statuses)
        study, synthetic = work.spec["study"], bool(work.spec["synthetic"])
        metadata = {"study": study, "synthetic": synthetic}
        scores = pa.Table.from_pylist(list(_score_rows(study, cells)), SCORES)
        _write(
            scores,
            metadata
            | {"floors": _floors(cells), "floor_names": _floor_names(cells), "layers": _layers(cells)},
            work.folder / "scores.parquet",
        )
        _write(_arms(work.spec["arms"]), metadata, work.folder / "arms.parquet")
        rows = gains.table(study, cells, synthetic)
        _write_csv(rows, work.folder / "gains.csv")
        blank = sum(cell.value is None for cell in cells)
        say(f"{work.name}: {len(cells)} cells, {blank} of them blank")
        seconds = time.perf_counter() - started
        work.commit(details={"cells": len(cells), "blank": blank, "gains": len(rows), "seconds": seconds})


def _score_rows(study: str, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    rows = []
    for cell in cells:
        names = {name: getattr(cell, name) for name in ("encoder", "target", "language", "split", "seed")}
        names |= {"study": study, "intermediate": cell.arm, "status": cell.status, "digest": cell.digest}
        others = [name for name in cell.metrics if name != cell.main]
        for metric in [cell.main, *others] if cell.main else [None]:
            rows.append(names | {"metric": metric} | dict(cell.metrics[metric] if metric else {}))
    return rows


def _floors(cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """What the metric's floor is, by target and language; in the file's metadata."""
    floors: dict[str, dict[str, float]] = {}
    for cell in cells:
        if cell.floor is not None:
            floors.setdefault(cell.target, {})[cell.language] = cell.floor
    return floors


def _floor_names(cells: Sequence[Cell]) -> dict[str, str]:
    """What gets the floor, by target, where it is no constant answer; in the file's metadata."""
    named = {cell.target: getattr(metrics.load(cell.metric), "FLOOR", None) for cell in cells}
    return {target: name for target, name in named.items() if name is not None}


def _layers(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Where a metric chose a layer: each run's mean over languages and seeds by layer, 0 to 100, and how often each was
    chosen; in the file's metadata.
    """
    runs: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        if "layers" in cell.details:
            runs.setdefault((cell.encoder, cell.arm, cell.target), []).append(cell.details)
    rows = []
    for (encoder, arm, target), found in runs.items():
        names = sorted({int(name) for details in found for name in details["layers"]})
        means = [100 * sum(d["layers"].get(str(name), 0.0) for d in found) / len(found) for name in names]
        chosen = Counter(details["layer"] for details in found)
        rows.append(
            {
                "encoder": encoder,
                "arm": arm,
                "target": target,
                "layers": names,
                "means": [round(mean, DECIMALS) for mean in means],
                "chosen": [chosen[name] for name in names],
                "chosen_by": sorted({details["chosen_by"] for details in found}),
            }
        )
    return rows


def _arms(arms: Sequence[Mapping[str, Any]]) -> pa.Table:
    """One row per arm; whatever else than ARM stands in a row is a factor, one nullable column each."""
    factors = list(dict.fromkeys(name for arm in arms for name in arm if name not in ARM))
    columns = {name: pa.array([arm[name] for arm in arms], kind) for name, kind in ARM.items()}
    for name in factors:
        columns[name] = _factor([arm.get(name) for arm in arms])
    return pa.table(columns)


def _factor(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} or kinds <= {int} or kinds <= {str}:
        return pa.array(values)
    if kinds <= {int, float}:
        return pa.array([None if value is None else float(value) for value in values])
    return pa.array([None if value is None else json.dumps(value, sort_keys=True) for value in values])


def _write(table: pa.Table, metadata: Mapping[str, Any], file: Path) -> None:
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode()
    pq.write_table(table.replace_schema_metadata({METADATA: text}), file, compression="zstd")


def _write_csv(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, gains.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{round(value, DECIMALS) + 0.0:.{DECIMALS}f}"  # + 0.0 turns -0.0 into 0.0
    return str(value)
