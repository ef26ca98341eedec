"""A training run: what it is made of, where it stands, and what changes from step to step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from isthmus.clock import Clock
from isthmus.data.batch import Array, Schedule
from isthmus.model.lora import Adapted
from isthmus.model.vocabulary import Compaction
from isthmus.recipe import Recipe
from isthmus.train.flops import Flops
from isthmus.train.state import Slots
from isthmus.train.task import Task


@dataclass
class Run:
    """All that a run is made of. `schedule` says whose batch each step takes, `compaction` (or None) which rows of
    the embedding the encoder was left, `adapted` (or None) the low-rank additions in the place of its weights,
    `micro_batch` the most examples that go at once from the start (None = the whole batch).
    """

    encoder: PreTrainedModel
    tasks: Sequence[Task]
    schedule: Schedule
    recipe: Recipe
    seed: int
    slots: Slots
    interrupted: Callable[[], bool]
    compaction: Compaction | None = None
    adapted: Adapted | None = None
    micro_batch: int | None = None
    clock: Clock = field(default_factory=Clock)

    @cached_property
    def flops(self) -> Flops:
        """What the steps cost."""
        return Flops.of(self.encoder)

    @property
    def on_gpu(self) -> bool:
        """Whether the steps run on a device that the host need not wait for."""
        return self.encoder.device.type == "cuda"

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Every weight that is trained, under one name."""
        named = {f"encoder.{name}": p for name, p in self.encoder.named_parameters()}
        for task in self.tasks:
            named |= {f"head.{task.name}.{name}": p for name, p in task.head.named_parameters()}
        return {name: p for name, p in named.items() if p.requires_grad}


@dataclass
class Facts:
    """Where a run stands. Plain JSON, saved beside the tensors.

    `tokens` are real ones, `padded_tokens` those and padding, `computed_tokens` those that the encoder ran on.
    `micro_batch` is the most examples that go at once (None = the whole batch), `halved` how often it was halved.
    """

    step: int = 0
    assessed: int = 0
    best_score: float | None = None
    best_step: int = 0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    computed_tokens: int = 0
    flops: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    collapsed: list[str] = field(default_factory=list)
    diverged: str = ""
    micro_batch: int | None = None
    halved: int = 0


@dataclass(frozen=True)
class Step:
    """A step that was sent on its way: its loss and the gradient's norm [2], which may still be being computed."""

    task: Task
    rows: Array
    batch: Mapping[str, Array]
    rate: float
    values: Tensor
    computed: torch.cuda.Event | None

    def read(self) -> tuple[float, float]:
        """The two numbers, once they are there."""
        if self.computed is not None:
            self.computed.synchronize()
        loss, norm = self.values.tolist()
        return loss, norm


@dataclass
class State:
    """What changes from step to step. `best` holds the weights of the best score, where they are to be kept; `unread`
    is the step after the last that `facts` know of; `stuck` (1.0 or 0.0) says whether a step was not finite.
    """

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    stuck: Tensor
    facts: Facts
    saved_s: float
    next_save_s: float
    best: dict[str, Tensor] = field(default_factory=dict)
    unread: Step | None = None

    @property
    def next_step(self) -> int:
        """The step to be sent next, from 0."""
        return self.facts.step + (self.unread is not None)
