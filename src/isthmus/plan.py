"""The plan: a study's jobs held against the store before Snakemake builds its DAG.

Every job whose artifacts are all in the store gets its receipt written, with the time of the commit; every other
job's receipt is dropped and its document written for the process that will run it. So what Snakemake finds missing
is exactly what has to be made.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus import receipt, settings
from isthmus.errors import DataError, UsageError
from isthmus.expand import expand
from isthmus.hubs import Hub
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import Job, Unit
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
        hub = open_hub(study.hub)
        jobs, lacking = expand(study, hub)
        return cls(study, hub, tuple(jobs), lacking, results_of(study), Store(settings.store_root()))

    @functools.cached_property
    def by_key(self) -> Mapping[str, Job]:
        """Each job by its key."""
        return {job.key: job for job in self.jobs}

    def receipt(self, job: Job) -> Path:
        """Where a job's receipt is, or will be."""
        return job.receipt(self.results)

    def document(self, job: Job) -> Path:
        """Where the file is that tells a process how to run the job. Another store or hub makes it another file."""
        places = fingerprint([self.store.root.as_posix(), self.hub.folder and self.hub.folder.as_posix()], 8)
        return self.results / "jobs" / f"{job.key}-{places}.json"

    def resolve(self, write: bool = True) -> tuple[Job, ...]:
        """Write the receipts of all that is in the store, drop those of all that is not; give the jobs to run.

        With `write` false, only look.

        Raises:
            UsageError: jobs have to run for which the hub lacks data; the message lists all of it.
        """
        known: dict[str, tuple[str, str]] = {}  # unit key -> content, status
        waiting = tuple(job for job in self.jobs if not self._resolve_job(job, known, write))
        needed = [unit.key for job in waiting for unit in job.units if unit.key not in known]
        lines = [f"  {self.lacking[key]}" for key in needed if key in self.lacking]
        if lines:
            raise UsageError(
                "\n".join(
                    [
                        f"{self.study.path}: the mirror {self.hub.folder} lacks data that the study needs:",
                        *lines,
                        "Add it there, or leave the tasks or languages out.",
                    ]
                )
            )
        return waiting

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
            document = job.document(self.results, self.store.root, self.hub.folder)
            self.document(job).parent.mkdir(parents=True, exist_ok=True)
            write_json(self.document(job), document)
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


def results_of(study: Study) -> Path:
    """Where a study's receipts and tables are, below the working folder."""
    return Path("results") / study.name


def _read(path: Path) -> dict[str, Outcome]:
    try:
        return receipt.read(path)
    except DataError:
        return {}  # missing or damaged: it is written anew or its job runs


def open_hub(setting: str) -> Hub:
    """The hub that a study's `hub` names: babel, mirror (ISTHMUS_HUB), or a mirror's folder.

    Raises:
        UsageError: the study says mirror and ISTHMUS_HUB is not set.
    """
    if setting == "babel":
        from isthmus.hubs.babel.hub import Babel

        return Babel()
    return Mirror(settings.mirror_root() if setting == "mirror" else Path(setting))
