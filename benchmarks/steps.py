"""Seconds of every training step, taken in one way on both sides: when an update ends, another step has ended."""

import itertools
import resource
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook


class Stamps:
    """Notes the time of each update of any optimiser of this process. From one to the next lies a whole step: making
    the batch, forward, backward, clipping, update, and what the trainer does besides. On a GPU it is the device's time
    that is noted, by events that nobody waits for until the end.
    """

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.rss: list[float] = []
        self.events: list[torch.cuda.Event] = []
        self.hook = register_optimizer_step_post_hook(self._note)

    def _note(self, optimizer: Optimizer, arguments: Any, named: Any) -> None:
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())
        self.rss.append(peak_rss_mb())
        if torch.cuda.is_available():
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.events.append(event)

    def seconds(self, steps: int) -> dict[str, Any]:
        """Seconds of the second step to the last one: by the wall (on a GPU, the device's), and the CPU's. Ends it."""
        self.hook.remove()
        if self.events:
            torch.cuda.synchronize()
            first, *others = self.events[:steps]
            wall = [0.0, *(first.elapsed_time(event) / 1000 for event in others)]
        else:
            wall = self.wall[:steps]
        return {
            "step_seconds": _between(wall),
            "step_cpu_seconds": _between(self.cpu[:steps]),
            "peak_rss_mb_in_training": self.rss[min(steps, len(self.rss)) - 1],
        }


def _between(times: Sequence[float]) -> list[float]:
    return [round(b - a, 5) for a, b in itertools.pairwise(times)]


def peak_rss_mb() -> float:
    """The most memory that this process has had, MiB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def peak_gpu_mb() -> float | None:
    """The most memory that torch has had on the GPU, MiB; None without one."""
    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch.cuda.is_available() else None


def lengths(counts: np.ndarray[Any, Any]) -> dict[str, float]:
    """Mean, middle and largest of some lengths in tokens."""
    return {
        "mean": round(float(np.mean(counts)), 2),
        "median": float(np.median(counts)),
        "max": int(np.max(counts)),
    }
