"""Units of work outside a store: what a stage is handed, and what it commits. Imports nothing but isthmus itself."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.work import Work


@dataclass
class Commit:
    """Keeps what a stage commits, and when: seconds of the wall and of the process."""

    status: str = ""
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    cpu_at: float = 0.0

    def __call__(
        self, status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Publishes nothing."""
        self.status, self.reason, self.details = status, reason, dict(details or {})
        self.at, self.cpu_at = time.perf_counter(), time.process_time()


def unit(
    place: Path, spec: Mapping[str, Any], inputs: Mapping[str, Path], name: str = ""
) -> tuple[Work, Commit]:
    """A unit whose result goes to `place`; its state beside it. Never interrupted."""
    state = place.with_name(f"{place.name}.state")
    for folder in (place, state):
        folder.mkdir(parents=True, exist_ok=True)
    commit = Commit()
    statuses = dict.fromkeys(inputs, "ok")
    return Work(name or place.name, spec, dict(inputs), statuses, place, state, lambda: False, commit), commit


def remove(folder: Path) -> None:
    """Drop what is left of a measurement; its model may be a gigabyte."""
    shutil.rmtree(folder, ignore_errors=True)
