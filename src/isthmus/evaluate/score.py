"""The score stage: predictions of one target and language against the gold, example by example.

Writes `score.json` and `examples.parquet`. Runs on the CPU with pyarrow and numpy alone: a corrected metric
costs seconds.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.errors import DataError
from isthmus.evaluate import metrics
from isthmus.evaluate.statistics import Floats, bootstrap_means, percentile
from isthmus.log import say
from isthmus.work import Work

NO_GOLD = "no-gold"
IDS = ("id", "side", "matches")  # of a pool's tables
DIGITS = 9  # the last ones of a float depend on the linear algebra library


def run(works: Sequence[Work]) -> None:
    """Score each unit and commit it at once.

    `spec`: target, language, split, metric, and `labels` where the task has them; inputs: `data` and `prediction`,
    whose splits other than the scored one serve to choose settings; and where answers are looked up in a `pool`, the data of
    its places (task/language) as `pool/<place>`. A unit whose gold has no labels is committed as
    "no-gold", without a number.

    Raises:
        DataError: files, columns or ids are missing, extra, doubled or empty.
    """
    for work in works:
        started = time.perf_counter()
        status, reason, details = _score(work)
        work.commit(
            status=status, reason=reason, details={**details, "seconds": time.perf_counter() - started}
        )


def _score(work: Work) -> tuple[str, str, dict[str, Any]]:
    spec = work.spec
    unit = f"{spec['target']}/{spec['language']} {spec['split']}"
    metric = metrics.load(spec["metric"])
    splits = sorted(path.stem for path in work.inputs["prediction"].glob("*.parquet"))
    if spec["split"] not in splits:
        splits = [*splits, spec["split"]]  # says below which file is missing
    predicted = {split: _read(work.inputs["prediction"], split, "prediction") for split in splits}
    gold = {split: _read(work.inputs["data"], split, "gold") for split in splits}
    for place in spec.get("pool", ()):  # the same tables for every language, of which no text is needed
        gold[f"pool/{place}"] = _read(work.inputs[f"pool/{place}"], spec["split"], "gold", IDS)
    scored = metric.score(gold, predicted, spec)
    details = {"rows": scored.rows, "labelled": len(scored.ids)}
    if not scored.ids:
        _write(work.folder, metric, {}, scored)
        say(f"{unit}: no gold labels, no score")
        return NO_GOLD, f"None of the {scored.rows} rows of {unit} has a gold label.", details
    numbers = _numbers(metric, scored.parts, (spec["target"], spec["language"], spec["split"]))
    _write(work.folder, metric, numbers, scored)
    n = len(scored.ids)
    partly = f" of {scored.rows} rows, the others have no label" if n < scored.rows else ""
    main = metric.NAMES[0]
    say(f"{unit}: {main} {numbers[main]['value']:.1f} (n {n}{partly})")
    status = work.statuses.get("prediction", "ok")
    reason = "" if status == "ok" else f"The predictions come from a run with status {status}."
    return status, reason, details


def _numbers(metric: metrics.Metric, parts: Floats, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Each metric in points with its interval, the main one first."""
    intervals = {metric.NAMES[0]: metric.interval(parts, *names)}
    if others := metric.NAMES[1:]:
        resampled = metric.values(bootstrap_means(parts, *names))
        intervals |= {name: percentile(resampled[name]) for name in others}
    means = metric.values(parts.mean(axis=0))
    return {
        name: {
            "value": round(100 * float(means[name]), DIGITS),
            "n": len(parts),
            "ci_low": round(100 * intervals[name][0], DIGITS),
            "ci_high": round(100 * intervals[name][1], DIGITS),
        }
        for name in metric.NAMES
    }


def _read(folder: Path, split: str, what: str, columns: Sequence[str] | None = None) -> pa.Table:
    file = folder / f"{split}.parquet"
    if not file.is_file():
        raise DataError(
            f"There is no {what} file {file}. The artifact is damaged: remove its folder, then run "
            "the study again; it is made anew."
        )
    return pq.ParquetFile(file).read(columns=columns, use_threads=False)


BLANK = {"value": None, "n": 0, "ci_low": None, "ci_high": None}


def _write(folder: Path, metric: metrics.Metric, numbers: Mapping[str, Any], scored: metrics.Scored) -> None:
    report = {
        "main": metric.NAMES[0],
        "metrics": {name: numbers.get(name, BLANK) for name in metric.NAMES},
        "floor": None if scored.floor is None else 100 * scored.floor,
        "details": scored.details,
    }
    (folder / "score.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    columns = {name: _floats(scored.parts[:, place]) for place, name in enumerate(metric.PARTS)}
    table = pa.table({"id": _strings(scored.ids), **columns})
    pq.write_table(table, folder / "examples.parquet", compression="zstd")


# pa.array() and to_numpy() import pandas, which costs more than the whole stage; buffers and DLPack do not.


def _strings(texts: Sequence[str]) -> pa.Array:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), len(texts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def _floats(values: Floats) -> pa.Array:
    return pa.Array.from_buffers(
        pa.float32(), len(values), [None, pa.py_buffer(np.ascontiguousarray(values, np.float32))]
    )
