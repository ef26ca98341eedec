"""How long the rest of a run takes: the mean seconds of jobs like those still to do, shared among the cores."""

import heapq
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus import receipt
from isthmus.errors import DataError
from isthmus.jobs import Job
from isthmus.store import MANIFEST, Store

# Seconds of one job of the synthetic studies on a small machine. They weigh the bar until something was measured;
# no time is promised that rests mostly on them.
DEFAULT_SECONDS: Mapping[str, float] = {
    "fetch": 1,
    "encoder": 20,
    "check": 12,
    "tokenizer": 3,
    "tokenize": 2,
    "train": 20,
    "predict": 6,
    "score": 1,
    "fingerprint": 1,
    "audit": 1,
    "tabulate": 1,
    "report": 1,
}
START_UP_SECONDS = 0.5  # of a job's process, before the time that manifests count
NEWEST = 40  # artifacts of a stage that are looked at for what its jobs cost before
LEAST_SHARE = 0.02  # of a training's steps, before its speed tells anything
LEAST_BASIS = 1 / 10  # of the time left that must rest on measurements


@dataclass
class Mean:
    """A running mean of seconds."""

    total: float = 0.0
    count: int = 0

    def add(self, seconds: float) -> None:
        """Count one more job."""
        self.total += seconds
        self.count += 1


@dataclass(frozen=True)
class Running:
    """What is known of a job that runs: seconds since its start, training steps done and to do, the seconds it says
    are left.
    """

    job: Job
    elapsed: float
    step: int = 0
    steps: int = 0
    left: float | None = None

    @property
    def share(self) -> float:
        """The share of its steps that a training has done, else 0."""
        return self.step / self.steps if self.steps else 0.0

    def rest(self, expected: float) -> float:
        """Seconds until it ends. A job that takes longer than expected is given another tenth of its time."""
        if self.left is not None:
            return self.left
        if self.share >= LEAST_SHARE:
            return self.elapsed * (1 - self.share) / self.share
        return max(expected - self.elapsed, 0.1 * self.elapsed)


@dataclass
class Pace:
    """Expected seconds of a job: of its rule, else what its stage took before this run, else the default.

    `earlier` has seconds per job by rule and stage, from before this run. They count as one job, so that this
    run's own jobs soon outweigh them. A rule tells nothing of another one of this run: pre-training is a training, too.
    """

    earlier: Mapping[str, float] = field(default_factory=dict)
    finished: dict[str, Mean] = field(default_factory=dict)
    projected: dict[str, Mean] = field(default_factory=dict)

    def note(self, job: Job, seconds: float) -> None:
        """A job of this run ended after so many seconds."""
        _count(self.finished, job, seconds)

    def project(self, running: Iterable[Running]) -> None:
        """Count trainings that run now with the time they will have taken."""
        self.projected = {}
        for run in running:
            if run.share >= LEAST_SHARE:
                _count(self.projected, run.job, run.elapsed + run.rest(0.0))

    def measured(self, job: Job) -> float | None:
        """Seconds by what was measured, None if nothing was."""
        means = [kind[job.rule] for kind in (self.finished, self.projected) if job.rule in kind]
        seconds = [mean.total for mean in means]
        count = sum(mean.count for mean in means)
        if job.rule in self.earlier:
            seconds.append(self.earlier[job.rule])
            count += 1
        return sum(seconds) / count if count else self.earlier.get(job.stage)

    def expected(self, job: Job) -> float:
        """Seconds to reckon with."""
        measured = self.measured(job)
        return DEFAULT_SECONDS[job.stage] if measured is None else measured


@dataclass(frozen=True)
class Forecast:
    """The share of the run's work that is done, 0 to 1, and the seconds left; None where nothing supports them."""

    share: float
    left: float | None


def forecast(
    jobs: Sequence[Job],
    done: Iterable[str],
    running: Mapping[str, Running],
    pace: Pace,
    cores: int,
    nodes: bool,
    failed: Iterable[str] = (),
) -> Forecast:
    """Look ahead.

    `jobs` are those of the run, parents first; `done` has the keys of finished ones, `running` is by key; jobs that
    need a `failed` one will not run. On `cores` cores a job takes its threads; with `nodes` each job has one of
    `cores` places. The time left is all work by the cores, but no less than the longest chain of jobs that wait for
    each other.
    """
    pace.project(running.values())
    finished, lost = set(done), set(failed)
    total = behind = work = basis = 0.0
    ends: dict[str, float] = {}
    expectations: dict[str, tuple[float, bool]] = {}
    for job in jobs:
        if job.rule not in expectations:
            expectations[job.rule] = (pace.expected(job), pace.measured(job) is not None)
        expected, measured = expectations[job.rule]
        total += expected
        if job.key in finished:
            behind += expected
            continue
        if job.key in lost or any(maker.key in lost for maker in job.waits_for):
            lost.add(job.key)
            continue
        run = running.get(job.key)
        rest = run.rest(expected) if run else expected
        if run:
            behind += max(0.0, expected - rest)
        threads = 1 if nodes else min(job.threads, cores)
        work += rest * threads
        basis += rest * threads * measured
        ends[job.key] = rest + max((ends.get(maker.key, 0.0) for maker in job.waits_for), default=0.0)
    share = behind / total if total else 1.0
    if not ends:
        return Forecast(share, None)
    left = max(work / max(1, cores), max(ends.values()))
    return Forecast(min(share, 1.0), left if basis >= LEAST_BASIS * work and basis > 0 else None)


def seconds_of(store: Store, path: Path) -> float | None:
    """What a finished job took by its artifacts' manifests: the longest of its units, which began together."""
    try:
        outcomes = receipt.read(path).values()
    except DataError:
        return None
    costs = [_manifest(store.folder(outcome.stage, outcome.digest)) for outcome in outcomes]
    return max((cost["seconds"] for _, cost in costs if cost), default=None)


def earlier(store: Store, jobs: Iterable[Job], ahead: Iterable[Job]) -> dict[str, float]:
    """Mean seconds per job by stage, and by rule for the units of this plan, from the newest artifacts of the stages
    that are ahead.
    """
    rules = {unit.key: job.rule for job in jobs for unit in job.units}
    together: dict[tuple[str, Any], float] = {}
    for stage in sorted({job.stage for job in ahead}):
        for folder in _newest(store.root / stage):
            key, cost = _manifest(folder)
            if cost:
                for name in {stage, rules.get(key, stage)}:
                    # Units of one process began at one instant; the last of them tells how long the job was.
                    start = (name, cost["started"])
                    together[start] = max(together.get(start, 0.0), cost["seconds"])
    means: dict[str, Mean] = {}
    for (name, _), seconds in together.items():
        means.setdefault(name, Mean()).add(seconds + START_UP_SECONDS)
    return {name: mean.total / mean.count for name, mean in means.items()}


def _count(means: dict[str, Mean], job: Job, seconds: float) -> None:
    means.setdefault(job.rule, Mean()).add(seconds)


def _newest(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            dated = [(entry.stat().st_mtime, entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [Path(path) for _, path in heapq.nlargest(NEWEST, dated)]


def _manifest(folder: Path) -> tuple[str, Mapping[str, float]]:
    """The key and the cost that an artifact's manifest states; nothing where there is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return str(manifest["key"]), {name: float(manifest["cost"][name]) for name in ("started", "seconds")}
    except (OSError, ValueError, KeyError, TypeError):
        return "", {}
