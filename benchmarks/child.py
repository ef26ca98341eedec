"""One measurement, one process: so that its peak memory is its own, and nothing is warm that would not be.

    python -m benchmarks.child SIDE JOB.json OUT.json

The parent process stays small: on Linux a child's peak begins with what its parent had when it was started.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.mirror import REPOSITORY

SIDES = {
    "prepare": "benchmarks.data",
    "ours": "benchmarks.ours",
    "trainer": "benchmarks.trainer",
    "predict_ours": "benchmarks.predict_ours",
    "predict_trainer": "benchmarks.trainer",
    "demo": "benchmarks.demo",
    "gpu_model": "benchmarks.gpu_sides",
    "equality": "benchmarks.gpu_sides",
    "pretrain": "benchmarks.gpu_sides",
    "device": "benchmarks.gpu_sides",
}
LINES_SHOWN = 30


class ChildFailed(Exception):
    """A measurement ended with an error; the message holds its last lines."""


def measure(side: str, job: Mapping[str, Any], work: Path) -> dict[str, Any]:
    """Run one side in a process of its own; gives what it measured, with `wall_s` of the whole process.

    Raises:
        ChildFailed: it ended with an error.
    """
    place = work / f"{side}-{time.monotonic_ns()}"
    place.mkdir(parents=True)
    source, target, log = place / "job.json", place / "out.json", place / "log"
    source.write_text(json.dumps({**job, "place": str(place)}), encoding="utf-8")
    start = time.monotonic()
    with log.open("w", encoding="utf-8") as out:
        command = [sys.executable, "-m", "benchmarks.child", side, str(source), str(target)]
        ended = subprocess.run(
            command, cwd=REPOSITORY, env=environment(), stdout=out, stderr=out, check=False
        )
    if ended.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_SHOWN:]
        raise ChildFailed(f"{side} ended with {ended.returncode}:\n" + "\n".join(lines))
    measured: dict[str, Any] = json.loads(target.read_text(encoding="utf-8"))
    return {**measured, "wall_s": round(time.monotonic() - start, 1)}


def here(side: str, job: Mapping[str, Any], work: Path) -> dict[str, Any]:
    """The same in this process: for toy sizes, where starting processes would take the time. Its peaks mean nothing."""
    place = work / f"{side}-{time.monotonic_ns()}"
    place.mkdir(parents=True)
    function = getattr(importlib.import_module(SIDES[side]), side)
    measured: dict[str, Any] = json.loads(json.dumps(function({**job, "place": str(place)})))
    return measured


def environment() -> dict[str, str]:
    """What every process of the benchmarks runs in: the code beside them, no network, warnings kept short."""
    paths = [str(REPOSITORY / "src"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {
        **{name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"},
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def main() -> None:
    side, source, target = sys.argv[1:]
    job = json.loads(Path(source).read_text(encoding="utf-8"))
    measured = getattr(importlib.import_module(SIDES[side]), side)(job)
    Path(target).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
