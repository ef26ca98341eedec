"""`isthmus check STUDY`: fetch what is not in the store yet, look at all of it, and say everything that has to be mended.

Fetching and checking are the stages that a run would run, in processes of their own, so the run finds what they made.
One dataset that cannot be had hinders no other: the rest is checked without it.
"""

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus import receipt, settings
from isthmus.errors import DataError, HubError, Interrupted, IsthmusError, OutOfMemory
from isthmus.hubs import wanted
from isthmus.hubs.huggingface import HuggingFace
from isthmus.jobs import GATE, Job, Unit
from isthmus.plan import Plan
from isthmus.receipt import Outcome
from isthmus.store import write_json
from isthmus.view.watch import error_of, log_of

REPORT = "report.json"
OF_THE_DATA = (DataError.exit_code, HubError.exit_code)


@dataclass
class Result:
    """What came of it: the problems with their exit codes, and the report of what was looked at where there are none."""

    problems: dict[str, int] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    unreachable: bool = False

    def add(self, lines: Sequence[str], code: int) -> None:
        """Note problems, each once."""
        for line in lines:
            self.problems.setdefault(line, code)

    def error(self, study: Path) -> IsthmusError:
        """All problems. What ended a process otherwise than by the data or the hub gives the kind: the checks are not over."""
        others = [code for code in self.problems.values() if code not in OF_THE_DATA]
        codes = set(self.problems.values())
        kind = _kind(others[0]) if others else HubError if codes == {HubError.exit_code} else DataError
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        unfinished = " The checks did not come to their end." if others else ""
        return kind("\n".join((f"{study}: {count}. Nothing was trained.{unfinished}", *self.problems)))


def check(study: Path) -> Mapping[str, Any]:
    """Check a study; gives the report of what was looked at.

    Raises:
        DataError, HubError: something has to be mended; a line for each problem.
        IsthmusError: a process ended for another reason (memory, the disk, a signal, a bug): the error of that kind.
    """
    result = Result()
    plan = Plan.of(study)
    if isinstance(plan.hub, HuggingFace) and list(_to_fetch(plan)):
        plan = _downloaded(plan, result)
    with tempfile.TemporaryDirectory(prefix="isthmus-check-") as folder:
        _fetch(plan, Path(folder), result)
        _examine(plan, Path(folder), result)
    if result.problems:
        raise result.error(study)
    return result.report


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """What was looked at, in lines for a person: each task with its languages and rows, then what is to be known."""
    rows = [("task", "languages", "train", "dev", "test")]
    for task, entry in sorted(report["looked"]["tasks"].items()):
        counts = [f"{entry['rows'][split]:,}" if split in entry["rows"] else "" for split in rows[0][2:]]
        rows.append((task, str(len(entry["languages"])), *counts))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        yield "  ".join(cells).rstrip()
    yield ""
    yield from (f"note: {note}" for note in report["notes"])
    tried = report["looked"]["rows_tried"]
    yield f"No problems. Tokens, heads and scorers were tried on {tried:,} rows."


# Fetching -----------------------------------------------------------------------------------------------------------


def _downloaded(plan: Plan, result: Result) -> Plan:
    """Bring what the study reads from the hub into the cache, as `isthmus fetch` does; the plan as it is then."""
    from isthmus.hubs import commands
    from isthmus.hubs.transfer import Unreachable

    try:
        commands.fetch(plan.study.path)
    except Unreachable as error:
        result.unreachable = True
        result.add(str(error).splitlines(), error.exit_code)
    except (HubError, DataError):
        pass  # the stages say it below, each for its part
    return Plan.of(plan.study.path)


def _to_fetch(plan: Plan) -> Iterator[tuple[Job, list[Unit]]]:
    """The jobs that read the hub, with their units that are not in the store."""
    there = plan.artifacts()
    for job in plan.jobs:
        missing = [unit for unit in job.units if unit.key not in there and "source" in unit.spec]
        if missing:
            yield job, missing


def _fetch(plan: Plan, folder: Path, result: Result) -> None:
    for job, units in _to_fetch(plan):
        for unit in units:
            if unit.key in plan.lacking:
                result.add(list(_lacking(plan, unit)), HubError.exit_code)
        parts = list(
            _parts(plan, [unit for unit in units if unit.key not in plan.lacking], result.unreachable)
        )
        if parts:
            print(f"Fetching {job.place}", flush=True)
        for part in parts:
            _run(plan, dataclasses.replace(job, units=tuple(part)), folder, result)


def _parts(plan: Plan, units: Sequence[Unit], unreachable: bool) -> Iterator[list[Unit]]:
    """What of a job runs together. A download that fails ends a process before any of its units, so what could not be
    downloaded is tried alone, and not at all where nothing can be reached.
    """
    hub = plan.hub
    together: list[Unit] = []
    alone: list[Unit] = []
    for unit in units:
        is_here = not isinstance(hub, HuggingFace) or not hub.missing(unit.spec)
        (together if is_here else alone).append(unit)
    if together:
        yield together
    if not unreachable:
        yield from ([unit] for unit in alone)


def _lacking(plan: Plan, unit: Unit) -> Iterator[str]:
    """What the hub does not have of what a unit reads, a line for each split."""
    source = unit.spec["source"]
    for split, names in unit.spec["splits"].items():
        for config, name in wanted(source, [names]):
            if not plan.hub.offers(source["id"], config, name):
                yield (
                    f"{unit.name} {split} ({source['id']} {config} {name}): {plan.hub_in_words()} does not have it. Add it "
                    "there, or leave the task or language out."
                )


# Checking -----------------------------------------------------------------------------------------------------------


def _examine(plan: Plan, folder: Path, result: Result) -> None:
    """Run the check stage on all that is in the store now."""
    there = plan.artifacts()
    job = next(job for job in plan.jobs if job.stage == GATE)
    (unit,) = job.units
    parents = {role: parent for role, parent in unit.parents.items() if parent.key in there}
    made = folder / "parents.json"
    outcomes = {parent.key: Outcome.of(there[parent.key]) for parent in parents.values()}
    receipt.write(made, job.key, {parent.key: parent.spec for parent in parents.values()}, outcomes)
    mine = dataclasses.replace(job, units=(dataclasses.replace(unit, parents=parents),), makers=())
    print("Checking", flush=True)
    found = _run(plan, mine, folder, result, [made])
    for outcome in found.values():
        path = plan.store.folder(outcome.stage, outcome.digest) / REPORT
        result.report = json.loads(path.read_text(encoding="utf-8"))


def _run(
    plan: Plan, job: Job, folder: Path, result: Result, receipts: Sequence[Path] = ()
) -> dict[str, Outcome]:
    """Run a job as its rule does; gives what became of its units, none where it failed."""
    document, made = folder / f"{job.key}.json", folder / f"{job.key}-receipt.json"
    write_json(document, plan.description(job) | {"receipts": [path.as_posix() for path in receipts]})
    log = log_of(job, plan.results)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "isthmus",
        "stage",
        job.stage,
        "--job",
        str(document),
        "--receipt",
        str(made),
    ]
    settings.share_source()
    with log.open("wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        result.add(_said(log, job, code), code)
        return {}
    return receipt.read(made)


def _said(log: Path, job: Job, code: int) -> list[str]:
    """The lines of the error that a log ends with; what is not of the data is one line with the job and its log."""
    lines = [line.strip() for line in error_of(log) if line.strip()]
    if code in OF_THE_DATA:
        return lines or [f"{job.place}: the job ended without a word; its log is {log}."]
    how = f"the job ended with {code}" if code > 0 else f"the job was killed by {_signal(-code)}"
    return [" ".join((f"{job.place}: {how}; its log is {log}.", *lines))]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kind(code: int) -> type[IsthmusError]:
    """The error with an exit code. What is killed outright was most likely killed for its memory; what is stopped by
    another signal was stopped by somebody.
    """
    if code < 0:
        return OutOfMemory if -code == signal.SIGKILL else Interrupted
    return next((kind for kind in IsthmusError.__subclasses__() if kind.exit_code == code), IsthmusError)
