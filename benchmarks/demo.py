"""Where the demo's CPU time goes: config.yaml from nothing, and how much of it is the model's own computing."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.mirror import REPOSITORY

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".snakemake", "results", "build", ".*_cache", "__pycache__"
)
MODEL_STAGES = ("train", "predict")
COMPUTE = ("compute", "assess")
PURPOSES = ("startup", "data", "saving")
LINES_SHOWN = 30


def demo(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run the study in a copy of the tree; give CPU seconds of all its processes and of the model's computing.

    A copy, because a job refuses to publish what was made by code that has changed since.
    """
    with tempfile.TemporaryDirectory(prefix="isthmus-demo-") as name:
        clone = Path(name, "tree")
        shutil.copytree(REPOSITORY, clone, ignore=LEFT_OUT)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ISTHMUS_")}
        environment = {**kept, "PYTHONPATH": str(clone / "src")}
        command = [sys.executable, "-m", "isthmus", "run", job["study"], "--cores", str(job["cores"])]
        before, start = children(), time.monotonic()
        ended = subprocess.run(
            command, cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        cpu, wall = children() - before, time.monotonic() - start
        if ended.returncode != 0:
            lines = (ended.stdout + ended.stderr).splitlines()[-LINES_SHOWN:]
            raise RuntimeError(f"The demo ended with {ended.returncode}:\n" + "\n".join(lines))
        return account(manifests(clone / "results" / "store"), cpu) | {"wall_seconds": round(wall, 1)}


def children() -> float:
    """CPU seconds of all processes that this one and theirs have waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def manifests(store: Path) -> list[dict[str, Any]]:
    """The manifests of a store."""
    paths = sorted(store.glob("*/*/manifest.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def account(records: Iterable[Mapping[str, Any]], cpu_total: float) -> dict[str, Any]:
    """CPU seconds by stage and purpose, and the share outside the model's computing of `cpu_total`.

    A manifest's CPU seconds are those of its process up to its commit: a job of several units counts its last one.
    """
    stages: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    jobs: dict[tuple[str, float], float] = {}
    estimated = 0
    for record in records:
        stage, cost = record["stage"], record["cost"]
        known = (stage, cost["started"])
        jobs[known] = max(jobs.get(known, 0.0), cost["cpu_seconds"])
        seconds, measured = purposes(record)
        estimated += bool(seconds) and not measured
        for purpose, value in seconds.items():
            stages[stage][purpose] += value
    for (stage, _), cpu in jobs.items():
        stages[stage]["jobs"] += 1
        stages[stage]["cpu"] += cpu
    for entry in stages.values():
        named = sum(entry[purpose] for purpose in ("compute", *PURPOSES))
        entry["rest"] = entry["cpu"] - named
    compute = sum(entry["compute"] for entry in stages.values())
    in_stages = sum(entry["cpu"] for entry in stages.values())
    return {
        "cpu_seconds": round(cpu_total, 1),
        "compute_cpu_seconds": round(compute, 1),
        "outside_jobs_cpu_seconds": round(cpu_total - in_stages, 1),
        "share_outside_compute": round(1 - compute / cpu_total, 4),
        "units_estimated_from_wall_time": estimated,
        "stages": {
            stage: {name: round(value, 2) for name, value in sorted(entry.items())}
            for stage, entry in sorted(stages.items())
        },
    }


def purposes(record: Mapping[str, Any]) -> tuple[dict[str, float], bool]:
    """A unit's CPU seconds by purpose, and whether they are measured. Where only wall seconds are recorded, those
    times the threads: they are close, for a job's threads have a core each. Other stages compute no model.
    """
    if record["stage"] not in MODEL_STAGES:
        return {}, True
    details = record["details"]
    measured = isinstance(details.get("cpu_seconds"), Mapping)
    found = details["cpu_seconds"] if measured else details.get("seconds", {})
    if not isinstance(found, Mapping):  # an older prediction: one number, all its work
        found = {"compute": found}
    threads = 1 if measured else record["spec"].get("recipe", {}).get("threads", 1)
    seconds = {name: found.get(name, 0.0) for name in PURPOSES if name in found}
    computing = [found[name] for name in COMPUTE if name in found]
    if computing:
        seconds["compute"] = threads * sum(computing)
    return seconds, measured
