"""What the tests of training share: units of training on the invented world."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from isthmus.train import stage
from isthmus.work import Work
from tests.unit.conftest import ARCHITECTURE

CUE = {"task": "cue", "family": "classify", "labels": ["no", "yes"], "languages": ["here"]}
TWIN = {**CUE, "task": "twin"}
TEXT = {"task": "text", "family": "mlm", "languages": ["here", "there"]}
FAST = {"learning_rate": 5e-3, "batch_size": 8, "steps": 12, "eval_every": 5, "max_length": 32}


@pytest.fixture
def train(unit: Callable[..., Work], world: Path) -> Callable[..., Work]:
    """Run one unit of training; returns its work. `after` stops it with a signal once so many steps are done."""

    def run(
        name: str = "model",
        tasks: list | None = None,
        parent: Path | None = None,
        after: int | None = None,
        **changes,
    ) -> Work:
        tasks = tasks or [CUE]
        spec = {"tasks": tasks, "recipe": {**FAST, **changes.pop("recipe", {})}, "seed": 1, **changes}
        inputs = {
            f"tokens/{task['task']}/{language}": world / f"tokens/{task['task']}/{language}"
            for task in tasks
            for language in task["languages"]
        }
        if parent is None:
            spec["init"], inputs["tokenizer"] = ARCHITECTURE, world / "tokenizer"
        else:
            inputs["parent"] = parent
        asked = iter(range(10**6))
        work = unit(name, spec, inputs, lambda: after is not None and next(asked) >= after)
        stage.run([work])
        return work

    return run


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
