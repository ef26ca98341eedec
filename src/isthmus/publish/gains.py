"""Gains: how much better an arm is than arm `none`, per target and language, with intervals.

Differences are paired by training seed and by example. A mean stands only where all its parts stand; if one is
missing the mean is blank and the note says which. Nothing is ever left out of a number without a word.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from isthmus.errors import DataError
from isthmus.evaluate import metrics
from isthmus.evaluate.statistics import Floats, joint_means, paired_difference, percentile, seed_weights
from isthmus.publish.cells import BASELINE, MISSING, OK, Cell, examples

COLUMNS = [
    "study",
    "encoder",
    "arm",
    "target",
    "language",
    "seeds",
    "n",
    "baseline",
    "value",
    "gain",
    "ci_low",
    "ci_high",
    "status",
    "note",
]
MEAN = "mean"
INCOMPLETE = "incomplete"
SYNTHETIC = "synthetic data"
ONE_SEED = "one seed: the interval covers examples only"

T = TypeVar("T")
Replicates = dict[Cell, Floats]


@dataclass(frozen=True)
class Estimate:
    """One number of the table; scores and gain in points, 0 to 100.

    `replicates` are resampled gains, shape (R,), None where there is no interval. `notes` say what a reader
    must know to read the number.
    """

    seeds: int
    n: int
    baseline: float | None
    value: float | None
    gain: float | None
    replicates: Floats | None
    status: str
    notes: tuple[str, ...] = ()


def table(study: str, cells: Sequence[Cell], synthetic: bool) -> list[dict[str, Any]]:
    """All rows of gains.csv, keyed by COLUMNS: encoder by encoder, arm by arm, in the order of the cells.

    After the languages of a target comes its mean (language "mean"), after the targets their mean (target and
    language "mean"). Arm `none` has rows too, with its score and no gain. Where a target was scored on several
    splits, the test split counts, else the first.
    """
    cells = list(_one_split(cells))
    rows: list[dict[str, Any]] = []
    for encoder in _unique(cell.encoder for cell in cells):
        mine = [cell for cell in cells if cell.encoder == encoder]
        estimates = _encoder(mine)
        for arm in _unique(cell.arm for cell in mine):
            for (of, target, language), estimate in estimates.items():
                if of == arm:
                    names = {
                        "study": study,
                        "encoder": encoder,
                        "arm": arm,
                        "target": target,
                        "language": language,
                    }
                    rows.append(names | _row(estimate, arm == BASELINE, synthetic))
    return rows


def _encoder(cells: Sequence[Cell]) -> dict[tuple[str, str, str], Estimate]:
    """The estimates of one encoder by (arm, target, language)."""
    estimates: dict[tuple[str, str, str], Estimate] = {}
    arms = _unique(cell.arm for cell in cells)
    targets = _unique(cell.target for cell in cells)
    for target in targets:
        of_target = [cell for cell in cells if cell.target == target]
        languages = _unique(cell.language for cell in of_target)
        index: dict[tuple[str, str], dict[int, Cell]] = {}
        for cell in of_target:
            index.setdefault((cell.arm, cell.language), {})[cell.seed] = cell
        replicates = _resample(of_target) if arms != [BASELINE] else {}
        for arm in arms:
            parts = {
                language: _estimate(
                    index.get((arm, language), {}), index.get((BASELINE, language), {}), arm, replicates
                )
                for language in languages
            }
            for language, part in parts.items():
                estimates[arm, target, language] = part
            estimates[arm, target, MEAN] = _mean(parts, "languages", arm)
    for arm in arms:
        means = {target: estimates[arm, target, MEAN] for target in targets}
        estimates[arm, MEAN, MEAN] = _mean(means, "targets", arm)
    return estimates


def _one_split(cells: Sequence[Cell]) -> Iterator[Cell]:
    splits: dict[str, list[str]] = {}
    for cell in cells:
        splits.setdefault(cell.target, []).append(cell.split)
    chosen = {target: "test" if "test" in seen else seen[0] for target, seen in splits.items()}
    return (cell for cell in cells if cell.split == chosen[cell.target])


def _resample(cells: Sequence[Cell]) -> Replicates:
    """Resampled scores (points, shape (R,)) of the cells of one target that have a score."""
    by_language: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.value is not None:
            by_language.setdefault(cell.language, []).append(cell)
    values: dict[str, Floats] = {}
    ids: dict[str, list[str]] = {}
    for language, members in by_language.items():
        tables = [examples(cell) for cell in members]
        for cell, other in zip(members, tables, strict=True):
            if not other.column("id").equals(tables[0].column("id")):
                raise _other_examples(members[0], cell)
        ids[language] = tables[0].column("id").to_pylist()
        values[language] = np.hstack(
            [_parts(cell, table) for cell, table in zip(members, tables, strict=True)]
        )
    names = _unique(f"{cell.target}/{cell.split}" for cell in cells)
    means = joint_means(values, ids, *names)
    return {
        cell: 100 * metrics.load(cell.metric).values(part)[cell.main or ""]
        for language, members in by_language.items()
        for cell, part in zip(members, np.split(means[language], len(members), axis=1), strict=True)
    }


def _parts(cell: Cell, table: pa.Table) -> Floats:
    """What the cell's metric is made of, example by example, shape (n, k)."""
    parts = metrics.load(cell.metric).PARTS
    return np.stack([table.column(part).to_numpy().astype(np.float64) for part in parts], axis=1)


def _other_examples(first: Cell, second: Cell) -> DataError:
    return DataError(
        f"{first.target}/{first.language}: arms {first.arm} (seed {first.seed}) and {second.arm} (seed "
        f"{second.seed}) were not scored on the same examples ({first.folder}, {second.folder}). Their data must "
        "be the same revision: delete both score artifacts and run the study again."
    )


def _estimate(
    treated: Mapping[int, Cell], baseline: Mapping[int, Cell], arm: str, replicates: Replicates
) -> Estimate:
    """One language: the mean over the seeds that both the arm and the baseline have."""
    with_value = [seed for seed, cell in treated.items() if cell.value is not None]
    if not with_value:
        return Estimate(0, 0, None, None, None, None, _status(treated), _reasons(treated, "seed"))
    paired = [seed for seed in with_value if seed in baseline and baseline[seed].value is not None]
    used = paired or with_value
    value, n = _average(treated, used), treated[used[0]].n
    if not paired:
        notes = ("no baseline", *_reasons(baseline, "seed"))
        return Estimate(len(used), n, None, value, None, None, _status(baseline), notes)
    asked = _unique((*treated, *baseline))
    status, notes = _flaws(treated, {} if arm == BASELINE else baseline, used)
    if len(used) < len(asked):
        lost = {seed: _worse(treated.get(seed), baseline.get(seed)) for seed in asked if seed not in used}
        status, notes = INCOMPLETE, (f"{len(used)} of {len(asked)} seeds{_which(lost, len(asked))}", *notes)
    base = _average(baseline, used)
    if arm == BASELINE:
        return Estimate(len(used), n, base, value, None, None, status, notes)
    draws = _differences(treated, baseline, used, replicates) if n > 1 else None
    notes += () if n > 1 else (f"n = {n}: no interval",)
    return Estimate(len(used), n, base, value, value - base, draws, status, notes)


def _flaws(
    treated: Mapping[int, Cell], baseline: Mapping[int, Cell], used: Sequence[int]
) -> tuple[str, tuple[str, ...]]:
    """The status of an average that contains collapsed runs, and which they are."""
    own = {seed: cell for seed, cell in treated.items() if seed in used and cell.status != OK}
    other = {seed: cell for seed, cell in baseline.items() if seed in used and cell.status != OK}
    if not own and not other:
        return OK, ()
    status = _only({cell.status for cell in (*own.values(), *other.values())})
    return status, (*_reasons(own, "seed"), *_reasons(other, "baseline seed"))


def _average(cells: Mapping[int, Cell], seeds: Sequence[int]) -> float:
    return float(np.mean([cells[seed].value for seed in seeds]))


def _differences(
    treated: Mapping[int, Cell], baseline: Mapping[int, Cell], seeds: Sequence[int], replicates: Replicates
) -> Floats:
    arm, none = (np.stack([replicates[cells[s]] for s in seeds], axis=1) for cells in (treated, baseline))
    return paired_difference(arm, none, seed_weights(seeds))


def _mean(parts: Mapping[str, Estimate], what: str, arm: str) -> Estimate:
    """The plain mean over languages or targets (XTREME, evaluate.py); blank if a part is."""
    blank = {name: part.status for name, part in parts.items() if part.value is None}
    seeds = min(part.seeds for part in parts.values())
    n = sum(part.n for part in parts.values())
    if blank:
        status = _only({part.status for part in parts.values()}) if len(blank) == len(parts) else INCOMPLETE
        note = f"{len(parts) - len(blank)} of {len(parts)} {what}{_which(blank, len(parts))}"
        return Estimate(seeds, n, None, None, None, None, status, (note,))
    value = float(np.mean([part.value for part in parts.values()]))
    flawed = {name: part.status for name, part in parts.items() if part.status != OK}
    status = _only(set(flawed.values())) if flawed else OK
    notes = _common(parts, flawed)
    bases = [part.baseline for part in parts.values() if part.baseline is not None]
    base = float(np.mean(bases)) if len(bases) == len(parts) else None
    if arm == BASELINE:
        return Estimate(seeds, n, base, value, None, None, status, notes)
    if base is None:
        lost = {name: part.status for name, part in parts.items() if part.gain is None}
        note = f"gain for {len(parts) - len(lost)} of {len(parts)} {what}{_which(lost, len(parts))}"
        return Estimate(seeds, n, None, value, None, None, INCOMPLETE, (note,))
    draws = [part.replicates for part in parts.values() if part.replicates is not None]
    together = np.mean(draws, axis=0) if len(draws) == len(parts) else None
    return Estimate(seeds, n, base, value, value - base, together, status, notes)


def _common(parts: Mapping[str, Estimate], flawed: Mapping[str, str]) -> tuple[str, ...]:
    """What to say of a mean with flawed parts: their note if all have the same, else which they are."""
    if not flawed:
        return ()
    notes = {part.notes for part in parts.values()}
    return notes.pop() if len(notes) == 1 else (f"not all sound{_which(flawed, len(parts))}",)


def _row(estimate: Estimate, is_baseline: bool, synthetic: bool) -> dict[str, Any]:
    low, high = percentile(estimate.replicates) if estimate.replicates is not None else (None, None)
    notes = list(estimate.notes)
    if is_baseline:
        notes.insert(0, "the baseline")
    elif estimate.replicates is not None and estimate.seeds == 1:
        notes.append(ONE_SEED)
    elif estimate.replicates is not None:
        notes.append(f"the interval covers examples and {estimate.seeds} seeds")
    if synthetic:
        notes.append(SYNTHETIC)
    return {
        "seeds": estimate.seeds,
        "n": estimate.n,
        "baseline": estimate.baseline,
        "value": estimate.value,
        "gain": estimate.gain,
        "ci_low": low,
        "ci_high": high,
        "status": estimate.status,
        "note": "; ".join(notes),
    }


def _unique(items: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(items))


def _only(statuses: set[str]) -> str:
    return statuses.pop() if len(statuses) == 1 else INCOMPLETE


def _status(cells: Mapping[int, Cell]) -> str:
    return _only({cell.status for cell in cells.values()} or {MISSING})


def _reasons(cells: Mapping[int, Cell], what: str) -> tuple[str, ...]:
    return tuple(f"{what} {name}: {cell.status}" for name, cell in sorted(cells.items()))


def _worse(treated: Cell | None, baseline: Cell | None) -> str:
    if treated is None or treated.value is None:
        return treated.status if treated else MISSING
    return f"baseline {baseline.status if baseline else MISSING}"


def _which(statuses: Mapping[Any, str], total: int) -> str:
    """' (diverged: fi, ja; missing: de)': every name, by what is wrong with it; 'all' if it is the same everywhere."""
    groups: dict[str, list[str]] = {}
    for name, status in statuses.items():
        groups.setdefault(status, []).append(str(name))
    if len(statuses) == total > 1 and len(groups) == 1:
        return f" (all {next(iter(groups))})"
    return " (" + "; ".join(f"{status}: {', '.join(names)}" for status, names in groups.items()) + ")"
