"""Runs one job: finds what is in the store, makes the rest, writes the receipt.

The path of a hit imports nothing but this module's neighbours; the stage's own module is imported when there is work.
"""

import contextlib
import errno
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from isthmus import receipt, settings
from isthmus.closure import MissingModule, closure, outside
from isthmus.errors import DataError, EnvironmentMismatch, OutOfMemory, StorageError, UsageError
from isthmus.log import say
from isthmus.receipt import Outcome
from isthmus.spec import canonical, digest
from isthmus.stop import Stop
from isthmus.store import Artifact, Claim, Store
from isthmus.work import Work

# A unit whose input has one of these has nothing to work on; the status passes on to it.
BLOCKING = frozenset({"diverged", "no-gold"})
LIBRARIES = ("torch", "transformers", "tokenizers", "sentencepiece", "safetensors", "numpy", "pyarrow")
MORE_MEMORY = "Give the job more memory, or save some: gradient_checkpointing, precision, lora_rank or a preset in the recipe."


@dataclass
class Run:
    """One job on its way: what is known of its parents, what became of its units."""

    job: Mapping[str, Any]
    store: Store
    stop: Stop
    started: float = field(default_factory=time.time)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @functools.cached_property
    def parents(self) -> dict[str, Outcome]:
        """The outcomes of everything that this job's parents made, by unit key."""
        found: dict[str, Outcome] = {}
        for path in self.job["receipts"]:
            found |= receipt.read(Path(path))
        return found


def run_job(job_path: Path, receipt_path: Path, stop: Stop | None = None) -> None:
    """Make the job's artifacts, unless they are in the store, and write its receipt.

    A signal that `stop` listens for ends this wherever it is, but not a stage that asked for grace nor a commit.

    Raises:
        IsthmusError: with the exit code that says what kind of failure it was.
    """
    try:
        job = json.loads(job_path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"There is no job document {job_path} ({error}). Run Snakemake: its dry run writes it."
        ) from error
    _supply(job)
    run = Run(job, Store(Path(job["store"])), stop or Stop())
    missing = []
    for unit in job["units"]:
        unit["sources"] = _contents_of_sources(run, unit)
        unit["digest"] = _digest(run, unit)
        artifact = run.store.find(job["stage"], unit["digest"])
        if artifact is None:
            missing.append(unit)
        else:
            run.outcomes[unit["key"]] = Outcome.of(artifact)
    if missing:
        _make(run, missing)
    for unit in job["units"]:
        publish(run.store, run.outcomes[unit["key"]], job["publishes"])
    specs = {unit["key"]: unit["spec"] for unit in job["units"]}
    receipt.write(receipt_path, job["key"], specs, {unit: run.outcomes[unit] for unit in specs})
    say(f"{len(job['units']) - len(missing)} of {len(job['units'])} found in the store, {len(missing)} made.")


def publish(store: Store, outcome: Outcome, files: Mapping[str, str]) -> None:
    """Copy an artifact's files to where people look for them, if they are not there yet."""
    folder = store.folder(outcome.stage, outcome.digest)
    for name, target in files.items():
        source, path = folder / name, Path(target)
        if path.is_file() and path.read_bytes() == source.read_bytes():
            continue
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        shutil.copyfile(source, draft)
        draft.replace(path)


def _digest(run: Run, unit: Mapping[str, Any]) -> str:
    """The digest of a unit whose `sources` (hashes of the hub's files, by role) are known."""
    inputs = dict(unit["sources"])
    for role, key in unit["parents"].items():
        if key not in run.parents:
            raise DataError(
                f"No receipt of the job's parents holds {role} ({key}). The study changed since this job was planned: "
                "run Snakemake again."
            )
        inputs[role] = run.parents[key].content
    return digest(run.job["stage"], unit["spec"], unit["code"], inputs)


def _supply(job: Mapping[str, Any]) -> None:
    """Bring what the job reads from the Hugging Face hub into the folder that serves as its mirror."""
    if "lock" in job:
        from isthmus.hubs.huggingface import HuggingFace

        specs = [unit["spec"] for unit in job["units"] if "source" in unit["spec"]]
        HuggingFace(Path(job["hub"]), Path(job["lock"])).supply(specs)


def _contents_of_sources(run: Run, unit: Mapping[str, Any]) -> dict[str, str]:
    if run.job["hub"] is None or "source" not in unit["spec"]:
        return {}
    from isthmus.hubs.mirror import Mirror

    return Mirror(Path(run.job["hub"])).contents(unit["spec"]) or {}


def _make(run: Run, units: list[dict[str, Any]]) -> None:
    _check_code(units, "was planned")
    with contextlib.ExitStack() as claims:
        works = []
        for unit in sorted(
            units, key=lambda unit: unit["digest"]
        ):  # one order for all, so nobody waits in a circle
            claim = claims.enter_context(run.store.claim(run.job["stage"], unit["digest"]))
            if isinstance(claim, Artifact):
                run.outcomes[unit["key"]] = Outcome.of(claim)
                continue
            work = _work(run, unit, claim)
            blocked = sorted((status, role) for role, status in work.statuses.items() if status in BLOCKING)
            if blocked and not run.job["publishes"]:  # tables show every status
                status, role = blocked[0]
                work.commit(status=status, reason=f"its input {role} has the status {status}")
            else:
                works.append(work)
        if works:
            order = {unit["name"]: place for place, unit in enumerate(units)}
            works.sort(key=lambda work: order[work.name])
            with _resources_end():
                _imported(run.job["module"]).run(works)
    left = [unit["name"] for unit in units if unit["key"] not in run.outcomes]
    if left:
        raise RuntimeError(f"the stage {run.job['stage']} ended without a result for {', '.join(left)}")


def _imported(module: str) -> ModuleType:
    """A stage's module. Importing torch and transformers makes a million objects, none of them garbage: the collector
    would look through them again and again, for a fifth of the time that it takes.
    """
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _work(run: Run, unit: Mapping[str, Any], claim: Claim) -> Work:
    inputs, statuses = {}, {}
    for role, key in unit["parents"].items():
        outcome = run.parents[key]
        artifact = run.store.find(outcome.stage, outcome.digest)
        if artifact is None:
            raise DataError(
                f"The artifact {outcome.stage}/{outcome.digest}, input {role} of {unit['name']}, is not in the store "
                f"{run.store.root}. Run Snakemake again: it plans the job that remakes it."
            )
        if settings.verify_fully():
            run.store.verify(artifact)
        inputs[role], statuses[role] = artifact.folder, artifact.status
    if run.job["hub"] is not None and "source" in unit["spec"]:
        inputs["hub"] = Path(run.job["hub"])
    return Work(
        name=unit["name"],
        spec=unit["spec"],
        inputs=inputs,
        statuses=statuses,
        folder=claim.folder,
        state=claim.state,
        interrupted=run.stop,
        commit=functools.partial(_commit, run, unit, claim),
        graceful=run.stop.graceful,
    )


def _commit(
    run: Run,
    unit: Mapping[str, Any],
    claim: Claim,
    status: str = "ok",
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    _check_code([unit], "started")
    if _contents_of_sources(run, unit) != unit["sources"]:
        raise EnvironmentMismatch(
            f"The mirror's files for {unit['name']} changed while they were read. Nothing was published. Run Snakemake "
            "again when the mirror is complete."
        )
    entries = {entry for other in run.job["units"] for entry in other["entries"]}
    strangers = outside(entries, sys.modules)
    if strangers:
        # A result must not depend on code that its name does not cover.
        raise RuntimeError(f"{unit['name']} used modules outside its closure: {', '.join(strangers)}")
    now = time.time()
    record = {
        "name": unit["name"],
        "key": unit["key"],
        "spec": unit["spec"],
        "code": unit["code"],
        "inputs": {role: run.parents[key].digest for role, key in unit["parents"].items()},
        "status": status,
        "reason": reason,
        "details": details or {},
        "cost": {
            "started": run.started,
            "finished": now,
            "seconds": now - run.started,
            "cpu_seconds": time.process_time(),
            "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "host": socket.gethostname(),
            "versions": _versions(),
        },
    }
    # All the work is done: whoever stops this now wants what it made.
    with run.stop.graceful():
        run.outcomes[unit["key"]] = Outcome.of(claim.commit(json.loads(canonical(record))))


@contextlib.contextmanager
def _resources_end() -> Iterator[None]:
    """Give the errors of a machine that ran out of something their own exit codes.

    Raises:
        StorageError, OutOfMemory: the disk or the memory is full.
    """
    try:
        yield
    except MemoryError as error:
        raise OutOfMemory(f"The memory did not suffice ({error}). {MORE_MEMORY}") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageError(f"The disk is full: {error}. Free space, then run again.") from error
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        raise OutOfMemory(f"The accelerator's memory did not suffice ({error}). {MORE_MEMORY}") from error


def _versions() -> dict[str, str]:
    """The versions of what was loaded: recorded, no part of the identity."""
    loaded = [name for name in LIBRARIES if name in sys.modules]
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in loaded},
    }


def _check_code(units: list[Mapping[str, Any]] | list[dict[str, Any]], since: str) -> None:
    """Refuse to make a result whose name promises other code.

    Raises:
        EnvironmentMismatch: a module of the closure changed since the plan was made.
    """
    for entries, code in {(tuple(unit["entries"]), unit["code"]) for unit in units}:
        try:
            current = closure(entries)
        except (MissingModule, SyntaxError) as error:
            current = f"unreadable: {error}"
        if current != code:
            raise EnvironmentMismatch(
                f"The code behind {entries[0]} changed since this job {since}, so its result would carry a wrong "
                "name. Nothing was published. Run Snakemake again: it plans with the code as it is now."
            )
