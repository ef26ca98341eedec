"""One training set of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import nn

from isthmus.data.batch import Epochs


@dataclass(frozen=True)
class Task:
    """One training set: its form and family, its examples and batches, its head, what it is scored on.

    `dev` holds development examples by name: those in the language trained on under "" (there may be none), and for
    `select: oracle_dev` those of each target and language that it is to be transferred to.
    """

    name: str
    form: Mapping[str, Any]
    family: ModuleType
    examples: Any
    epochs: Epochs
    head: nn.Module
    dev: Mapping[str, Any]
