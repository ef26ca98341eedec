"""The job table: a study expanded into units of work, each with its identity, and the jobs that carry them.

A unit makes one artifact. A job is what Snakemake runs: most have one unit; fetching, tokenizing and predicting
bundle one unit per language, so that a new language is new work for itself alone while a model is loaded once.
Everything here is pure: no store, no torch, no data.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus import spec as identity
from isthmus.closure import closure

STAGES = {
    "fetch": "isthmus.data.fetch",
    "encoder": "isthmus.data.encoder",
    "check": "isthmus.check.stage",
    "tokenizer": "isthmus.data.tokenizer",
    "tokenize": "isthmus.data.tokenize",
    "train": "isthmus.train.stage",
    "predict": "isthmus.evaluate.predict",
    "score": "isthmus.evaluate.score",
    "fingerprint": "isthmus.evaluate.fingerprint",
    "audit": "isthmus.evaluate.audit",
    "tabulate": "isthmus.publish.tabulate",
    "report": "isthmus.publish.report",
}

GATE = "check"  # the stage that others wait for, and that nobody asks for by itself


@dataclass(frozen=True)
class Unit:
    """One piece of work with one artifact.

    `spec` is everything that decides the result, `parents` maps each role to the unit that makes that input,
    `plugins` are the modules that the stage loads by name (a family, a hub, a metric), `code` is the closure's hash.
    """

    stage: str
    name: str
    spec: Mapping[str, Any]
    parents: Mapping[str, "Unit"] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

    @functools.cached_property
    def code(self) -> str:
        """The hash of the code that decides this unit's result."""
        return _closure(self.entries)

    @property
    def entries(self) -> tuple[str, ...]:
        """The modules the closure starts from."""
        return (STAGES[self.stage], *self.plugins)

    @functools.cached_property
    def key(self) -> str:
        """The unit's identity before anything runs."""
        parents = {role: parent.key for role, parent in self.parents.items()}
        return identity.key(self.stage, self.spec, self.code, parents)

    def digest(self, inputs: Mapping[str, str]) -> str:
        """The artifact's identity, once the content of every input (by role) is known."""
        return identity.digest(self.stage, self.spec, self.code, inputs)


@dataclass(frozen=True)
class Job:
    """What Snakemake runs: a rule, the units it makes, and where its receipt goes.

    `place` is the receipt's path below results/<study> without its key; `publishes` names the files that are
    copied from the artifact to results/<study> for people to read. `after` are jobs that have to be done before this one
    begins, but that decide nothing of its result and make it no older: it is no part of any identity.
    """

    rule: str
    place: str
    units: tuple[Unit, ...]
    makers: tuple["Job", ...] = ()
    threads: int = 1
    publishes: tuple[str, ...] = ()
    after: tuple["Job", ...] = ()

    @property
    def waits_for(self) -> tuple["Job", ...]:
        """All jobs that come before this one."""
        return (*self.makers, *self.after)

    @functools.cached_property
    def key(self) -> str:
        """The job's identity: that of its units."""
        return identity.fingerprint([unit.key for unit in self.units], identity.KEY_LENGTH)

    @property
    def memory_mb(self) -> int:
        """Memory to ask a cluster for at the first attempt. Snakemake's own processes take 400 MB of it."""
        return 6000 if self.stage in ("train", "predict", "fingerprint", GATE) else 2000

    @property
    def runtime_minutes(self) -> int:
        """Time limit to ask a cluster for at the first attempt."""
        return 24 * 60 if self.stage == "train" else 60

    @property
    def stage(self) -> str:
        """The stage that makes this job's units."""
        return self.units[0].stage

    def receipt(self, results: Path) -> Path:
        """Where the receipt is, or will be, below the study's results folder."""
        return results / f"{self.place}-{self.key}.json"

    def document(self, results: Path, store: Path, hub: Path | None) -> dict[str, Any]:
        """All that a process needs to run this job, as JSON: written beside the receipts, no part of identity."""
        return {
            "rule": self.rule,
            "stage": self.stage,
            "key": self.key,
            "module": STAGES[self.stage],
            "units": [
                {
                    "name": unit.name,
                    "key": unit.key,
                    "spec": unit.spec,
                    "code": unit.code,
                    "entries": unit.entries,
                    "parents": {role: parent.key for role, parent in unit.parents.items()},
                }
                for unit in self.units
            ],
            "receipts": [maker.receipt(results).as_posix() for maker in self.makers],
            "store": store.as_posix(),
            "hub": hub.as_posix() if hub else None,
            "publishes": {name: (results / name).as_posix() for name in self.publishes},
        }


@functools.cache
def _closure(entries: tuple[str, ...]) -> str:
    return closure(entries)


class JobTable:
    """Jobs in an order in which parents come first; a unit that two jobs would make is made by the first."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._makers: dict[str, Job] = {}

    def add(
        self,
        rule: str,
        place: str,
        units: Iterable[Unit],
        threads: int = 1,
        publishes: Iterable[str] = (),
        after: Iterable[Job] = (),
    ) -> Job:
        """Add the job that makes these units, unless a job here makes all of them already; give that job."""
        units = tuple(units)
        standing = {
            self._makers[unit.key].key: self._makers[unit.key] for unit in units if unit.key in self._makers
        }
        if len(standing) == 1 and all(unit.key in self._makers for unit in units):
            return next(iter(standing.values()))
        parents = {parent.key for unit in units for parent in unit.parents.values()}
        makers = {self._makers[parent].key: self._makers[parent] for parent in sorted(parents)}
        job = Job(rule, place, units, tuple(makers.values()), threads, tuple(publishes), tuple(after))
        self.jobs.append(job)
        for unit in units:
            self._makers.setdefault(unit.key, job)
        return job
