"""The plan: a study's jobs held against the store before Snakemake builds its DAG.

Every job whose artifacts are all in the store gets its receipt written, with the time of the commit; every other
job's receipt is dropped and its document written for the process that will run it. So what Snakemake finds missing
is exactly what has to be made.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus import receipt, settings
from isthmus.errors import DataError, UsageError
from isthmus.expand import expand
from isthmus.hubs import Hub
from isthmus.hubs.huggingface import HuggingFace
from isthmus.hubs.mirror import Mirror
from isthmus.hubs.pinned import LOCK
from isthmus.jobs import GATE, Job, Unit
from isthmus.receipt import Outcome
from isthmus.runner import publish
from isthmus.spec import fingerprint
from isthmus.store import Artifact, Store, write_json
from isthmus.study.load import Study, load_study


@dataclass(frozen=True)
class Plan:
    """A study's jobs, where their receipts and documents are, and the store they are held against."""

    study: Study
    hub: Hub
    jobs: tuple[Job, ...]
    lacking: Mapping[str, str]
    results: Path
    store: Store

    @classmethod
    def of(cls, path: Path) -> "Plan":
        """Load and expand a study file. Receipts go to results/<study> below the working folder.

        Raises:
            UsageError: the study or a setting is wrong; the message lists every problem.
        """
        study = load_study(path)
        hub = open_hub(study.hub, path.parent)
        jobs, lacking = expand(study, hub)
        return cls(study, hub, tuple(jobs), lacking, results_of(study), Store(settings.store_root()))

    @functools.cached_property
    def by_key(self) -> Mapping[str, Job]:
        """Each job by its key."""
        return {job.key: job for job in self.jobs}

    @functools.cached_property
    def goals(self) -> tuple[Job, ...]:
        """What the study asks for: all jobs but the checks, which run where a job does that comes after them."""
        return tuple(job for job in self.jobs if job.stage != GATE)

    def receipt(self, job: Job) -> Path:
        """Where a job's receipt is, or will be."""
        return job.receipt(self.results)

    def document(self, job: Job) -> Path:
        """Where the file is that tells a process how to run the job. Another store or hub makes it another file."""
        hub = self.hub.folder and self.hub.folder.as_posix()
        places = fingerprint([self.store.root.as_posix(), hub, *self._extras().values()], 8)
        return self.results / "jobs" / f"{job.key}-{places}.json"

    def _extras(self) -> dict[str, str]:
        """What a job's document says beyond the job: the lock, where the folder is filled from the hub when it runs."""
        return {"lock": self.hub.lock_path.as_posix()} if isinstance(self.hub, HuggingFace) else {}

    def resolve(self, write: bool = True) -> tuple[Job, ...]:
        """Write the receipts of all that is in the store, drop those of all that is not; give the jobs to run.

        With `write` false, only look.

        Raises:
            UsageError: jobs have to run for which the hub lacks data; the message lists all of it.
            HubError: the same where the network may not be used.
        """
        known: dict[str, tuple[str, str]] = {}  # unit key -> content, status
        waiting = self._called_for([job for job in self.jobs if not self._resolve_job(job, known, write)])
        needed = [unit.key for job in waiting for unit in job.units if unit.key not in known]
        lines = [f"  {self.lacking[key]}" for key in needed if key in self.lacking]
        if lines:
            raise UsageError(
                "\n".join(
                    [
                        f"{self.study.path}: {self.hub_in_words()} lacks data that the study needs:",
                        *lines,
                        "Add it there, or leave the tasks or languages out.",
                        *(self.hub.unread() if isinstance(self.hub, Mirror) else ()),
                    ]
                )
            )
        if isinstance(self.hub, HuggingFace):
            units = {unit.key: unit for job in waiting for unit in job.units if unit.key not in known}
            self.hub.refuse_missing(unit.spec for unit in units.values() if "source" in unit.spec)
        return waiting

    def _called_for(self, missing: Iterable[Job]) -> tuple[Job, ...]:
        """Of the jobs whose results are missing, those that run."""
        missing = tuple(missing)
        wanted = {job.key for job in self.goals} | {other.key for job in missing for other in job.after}
        return tuple(job for job in missing if job.key in wanted)

    def artifacts(self) -> dict[str, Artifact]:
        """What is in the store, by unit key. Only looks, and refuses nothing."""
        known: dict[str, tuple[str, str]] = {}
        found: dict[str, Artifact] = {}
        for job in self.jobs:
            for unit in job.units:
                artifact = self._find(job, unit, known)
                if artifact is not None:
                    found[unit.key] = artifact
                    known[unit.key] = (artifact.content, artifact.status)
        return found

    def description(self, job: Job) -> dict[str, Any]:
        """What a job's document says."""
        # Other jobs have no use for the lock, and the hub's code is no part of their closures.
        extras = self._extras() if any("source" in unit.spec for unit in job.units) else {}
        return job.document(self.results, self.store.root, self.hub.folder) | extras

    def hub_in_words(self) -> str:
        """The hub as messages name it."""
        if isinstance(self.hub, HuggingFace):
            return f"the hub, by {self.hub.lock_path} (isthmus pin STUDY --update looks again),"
        return self.hub.kind if self.hub.folder is None else f"the mirror {self.hub.folder}"

    def _resolve_job(self, job: Job, known: dict[str, tuple[str, str]], write: bool) -> bool:
        found: dict[str, Artifact] = {}
        for unit in job.units:
            artifact = self._find(job, unit, known)
            if artifact is not None:
                found[unit.key] = artifact
                known[unit.key] = (artifact.content, artifact.status)
        if not write:
            return len(found) == len(job.units)
        path = self.receipt(job)
        if len(found) < len(job.units):
            path.unlink(missing_ok=True)
            self.document(job).parent.mkdir(parents=True, exist_ok=True)
            write_json(self.document(job), self.description(job))
            return False
        specs = {unit.key: unit.spec for unit in job.units}
        outcomes = {key: Outcome.of(artifact) for key, artifact in found.items()}
        if not path.is_file() or _read(path) != outcomes:
            receipt.write(path, job.key, specs, outcomes)
        receipt.stamp(path, max(artifact.manifest["cost"]["finished"] for artifact in found.values()))
        for outcome in outcomes.values():
            publish(self.store, outcome, {name: (self.results / name).as_posix() for name in job.publishes})
        return True

    def _find(self, job: Job, unit: Unit, known: dict[str, tuple[str, str]]) -> Artifact | None:
        """The unit's artifact; also notes the content of one that is gone, so that nothing below it is remade."""
        inputs = {} if self.hub.folder is None or "source" not in unit.spec else self.hub.contents(unit.spec)
        if inputs is None:
            return self._find_by_receipt(job, unit)
        for role, parent in unit.parents.items():
            if parent.key not in known:
                return None
            inputs[role] = known[parent.key][0]
        digest = unit.digest(inputs)
        artifact = self.store.find(unit.stage, digest)
        if artifact is None:
            first = self.store.first(unit.stage, digest)
            if first is not None:
                known[unit.key] = (first["content"], first["status"])
        return artifact

    def _find_by_receipt(self, job: Job, unit: Unit) -> Artifact | None:
        # The mirror is away or lost this file. What was fetched from it stays what it was.
        outcome = _read(self.receipt(job)).get(unit.key)
        return self.store.find(outcome.stage, outcome.digest) if outcome else None


def sources_of(jobs: Iterable[Job]) -> list[Mapping[str, Any]]:
    """The specs of all units that read a hub, each once."""
    specs = {unit.key: unit.spec for job in jobs for unit in job.units if "source" in unit.spec}
    return list(specs.values())


def results_of(study: Study) -> Path:
    """Where a study's receipts and tables are, below the working folder."""
    return Path("results") / study.name


def _read(path: Path) -> dict[str, Outcome]:
    try:
        return receipt.read(path)
    except DataError:
        return {}  # missing or damaged: it is written anew or its job runs


def open_hub(setting: str, beside: Path = Path()) -> Hub:
    """The hub that a study's `hub` names: babel, huggingface (with the lock `beside` the study), mirror (ISTHMUS_HUB),
    or a mirror's folder.

    Raises:
        UsageError: the study says mirror and ISTHMUS_HUB is not set.
    """
    if setting == "babel":
        from isthmus.hubs.babel.hub import Babel

        return Babel()
    if setting == "huggingface":
        return HuggingFace(settings.cache_root(), (beside / LOCK).absolute())
    return Mirror(settings.mirror_root() if setting == "mirror" else Path(setting))
