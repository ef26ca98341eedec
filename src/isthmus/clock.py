"""Where a stage's seconds go."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Clock:
    """Seconds by purpose, and those of the process's CPU time, over all processes of a run that was resumed."""

    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, purpose: str) -> Iterator[None]:
        """Count the time of the block for a purpose."""
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.add({purpose: time.perf_counter() - start}, {purpose: time.process_time() - cpu_start})

    def add(self, seconds: Mapping[str, float], cpu_seconds: Mapping[str, float]) -> None:
        """Count what was measured before."""
        for mine, other in ((self.seconds, seconds), (self.cpu_seconds, cpu_seconds)):
            for purpose, value in other.items():
                mine[purpose] = mine.get(purpose, 0.0) + value

    def rounded(self) -> dict[str, Any]:
        """Both, as manifests have them."""
        return {
            name: {purpose: round(value, 3) for purpose, value in sorted(values.items())}
            for name, values in vars(self).items()
        }
