"""A study's predictions as a submission folder of XTREME: `<task>/test-<language>.tsv`, `.json` or `.jsonl`.

Written from the artifacts of one run, an encoder with an arm and a seed, as its scores were computed from them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus import receipt
from isthmus.errors import DataError, UsageError
from isthmus.evaluate.official import TASKS, rows
from isthmus.evaluate.overall import BENCHMARKS
from isthmus.jobs import Job, Unit
from isthmus.plan import Plan
from isthmus.receipt import Outcome
from isthmus.runner import BLOCKING
from isthmus.store import Artifact
from isthmus.tasks.task import STUDY, Task

RUN = ("encoder", "arm", "seed")
OK = "ok"


@dataclass(frozen=True)
class Cell:
    """One target in one language: the unit that scores it, whose parents are its data and its predictions."""

    target: str
    language: str
    score: Unit


def export(benchmark: str, plan: Plan, folder: Path, asked: Mapping[str, str | None]) -> list[str]:
    """Write the submission folder; give what a person should know of it, line by line.

    `asked` names the encoder, the arm and the seed where the study has several.

    Raises:
        UsageError: the run is not named, there is none, it is not finished, or the folder is in use.
        DataError: predictions and data do not belong together, or the store lost them.
    """
    cells, left_out = _of_benchmark(benchmark, _cells(plan, asked))
    if not cells:
        raise UsageError(
            f"{plan.study.path} has no target that a submission to {BENCHMARKS[benchmark].title} holds. "
            f"{' '.join(left_out)}"
        )
    found = _artifacts(plan, cells)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and not empty. Name a new folder.")
    notes: list[str] = left_out
    written: dict[str, set[str]] = {}
    for cell in cells:
        artifacts = {role: found[parent.key] for role, parent in cell.score.parents.items()}
        status = artifacts["prediction"].status
        if status != OK:
            notes.append(f"{cell.target}/{cell.language} has the status {status}.")
        if status not in BLOCKING:
            _write(folder, cell, artifacts)
            written.setdefault(TASKS[cell.target].folder, set()).add(cell.language)
    notes += _smaller_pools(plan.study.tasks, cells)
    return [*_counted(written), *notes, *_missing(benchmark, written)]


def _cells(plan: Plan, asked: Mapping[str, str | None]) -> list[Cell]:
    """The cells of one run, in the order of the study."""
    (tables,) = (unit for job in plan.jobs for unit in job.units if unit.stage == "tabulate")
    cells: Sequence[Mapping[str, Any]] = tables.spec["cells"]
    run = {name: _chosen(name, (str(cell[name]) for cell in cells), asked.get(name)) for name in RUN}
    return [
        Cell(cell["target"], cell["language"], tables.parents[cell["score"]])
        for cell in cells
        if all(str(cell[name]) == value for name, value in run.items())
    ]


def _chosen(name: str, values: Iterable[str], asked: str | None) -> str:
    known = list(dict.fromkeys(values))
    if asked is None and len(known) == 1:
        return known[0]
    if asked in known:
        return asked
    problem = f"has no {name} {asked!r}" if asked is not None else f"has several values of {name}"
    raise UsageError(f"The study {problem}. Choose one with --{name}: {', '.join(known)}.")


def _of_benchmark(benchmark: str, cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells that a submission holds, and a line for each other target."""
    revised = benchmark == "xtreme-r"
    taken: dict[str, str] = {}
    targets = dict.fromkeys(cell.target for cell in cells)
    # Where a study has a task twice, in XTREME's languages and in XTREME-R's, the benchmark's own comes first.
    for target in sorted((t for t in targets if t in TASKS), key=lambda t: TASKS[t].revised != revised):
        if TASKS[target].folder in BENCHMARKS[benchmark].tasks:
            taken.setdefault(TASKS[target].folder, target)
    left_out = []
    for target in targets:
        if target not in taken.values():
            other = taken.get(TASKS[target].folder) if target in TASKS else None
            why = f"{other} stands for it" if other else f"{BENCHMARKS[benchmark].title} has no such task"
            left_out.append(f"{target} is left out: {why}.")
    return [cell for cell in cells if cell.target in taken.values()], left_out


def _artifacts(plan: Plan, cells: Sequence[Cell]) -> dict[str, Artifact]:
    """The artifacts that the cells are scored from, by unit key."""
    makers: dict[str, Job] = {}
    for job in plan.jobs:
        for unit in job.units:
            makers.setdefault(unit.key, job)
    needed = dict.fromkeys(parent.key for cell in cells for parent in cell.score.parents.values())
    waiting = {unit.key for job in plan.resolve(write=False) for unit in job.units}
    lacking = [key for key in needed if key in waiting]
    if lacking:
        raise UsageError(
            f"{len(lacking)} of the {len(needed)} artifacts that this run is made of are not there yet: run the study first "
            f"(isthmus run {plan.study.path})."
        )
    outcomes: dict[str, Outcome] = {}
    for path in dict.fromkeys(plan.receipt(makers[key]) for key in needed):
        outcomes |= receipt.read(path)
    found = {}
    for key in needed:
        artifact = plan.store.find(outcomes[key].stage, outcomes[key].digest) if key in outcomes else None
        if artifact is None:
            raise DataError(
                f"The receipt {plan.receipt(makers[key])} does not name an artifact of the store {plan.store.root}. "
                f"Remove it, then run the study again: isthmus run {plan.study.path}."
            )
        found[key] = artifact
    return found


def _write(folder: Path, cell: Cell, artifacts: Mapping[str, Artifact]) -> None:
    official = TASKS[cell.target]
    predicted = _tables(artifacts["prediction"].folder)
    data = {split: _table(artifacts["data"].folder / f"{split}.parquet") for split in predicted}
    values = rows.predictions(official.form, data, predicted, cell.score.spec)
    path = folder / official.file(cell.language)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(official.form.write(values), encoding="utf-8", newline="\n")


def _tables(folder: Path) -> dict[str, pa.Table]:
    return {path.stem: _table(path) for path in sorted(folder.glob("*.parquet"))}


def _table(path: Path) -> pa.Table:
    if not path.is_file():
        raise DataError(
            f"There is no file {path}: the artifact is damaged. Remove its folder and run the study again."
        )
    return pq.ParquetFile(path).read(use_threads=False)


def _counted(written: Mapping[str, set[str]]) -> list[str]:
    return [f"{task}: {', '.join(sorted(languages))}" for task, languages in written.items()]


def _smaller_pools(tasks: Mapping[str, Task], cells: Sequence[Cell]) -> list[str]:
    """Where the study looked among fewer languages than a hub has: fewer candidates are right there."""
    lines: dict[str, str] = {}
    for cell in cells:
        task = tasks[cell.target]
        if task.pool != STUDY or len(cell.score.spec["pool"]) == len(task.codes):
            continue
        languages = [place.rpartition("/")[2] for place in cell.score.spec["pool"]]
        lines[cell.target] = (
            f"{cell.target}: candidates were looked for in {', '.join(languages)}, of {len(task.codes)} languages. "
            "isthmus score --hub counts those of all languages that the hub has as right, and gives other scores."
        )
    return list(lines.values())


def _missing(benchmark: str, written: Mapping[str, set[str]]) -> list[str]:
    """What a whole submission has beyond this one."""
    known = BENCHMARKS[benchmark]
    lines = []
    for task, languages in known.tasks.items():
        lacking = [language for language in languages if language not in written.get(task, ())]
        if lacking:
            said = "all of it" if task not in written else ", ".join(lacking)
            lines.append(f"Missing for {known.title}: {task} ({said}).")
    return lines
