"""The batches of a training run as isthmus draws them, for whoever is to be given the very same.

Written with the functions of the families alone; that these are the batches which the train stage takes is what the
equal losses show.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks.units import unit
from isthmus import families
from isthmus.data.batch import Array, Epochs, specials
from isthmus.data.seeds import number
from isthmus.recipe import Recipe, full
from isthmus.work import Work


@dataclass(frozen=True)
class Source:
    """A task's training examples in the order of its steps."""

    family: ModuleType
    examples: Any
    epochs: Epochs
    recipe: Recipe
    seed: int
    form: Mapping[str, Any]

    def at(self, step: int) -> dict[str, Array]:
        """The padded batch of a step (from 0)."""
        rows = self.epochs.at(step)
        found: dict[str, Array] = self.family.collate(
            self.examples, rows, self.recipe, self.seed, self.form["task"], step
        )
        return found

    def head(self, config: Any) -> nn.Module:
        """The head that the stage begins with."""
        torch.manual_seed(number(self.seed, "head", self.form["task"]))
        fresh: nn.Module = self.family.head(config, self.form)
        return fresh


def work_of(job: Mapping[str, Any], place: Path) -> tuple[Work, Any]:
    """The unit of the train stage that a job describes, and what keeps its commit."""
    form = job["form"]
    inputs = {"parent": Path(job["parent"])}
    inputs |= {
        f"tokens/{form['task']}/{language}": Path(job["tokens"], form["task"], language)
        for language in form["languages"]
    }
    spec = {"tasks": [form], "recipe": job["recipe"], "seed": job["seed"]}
    return unit(place, spec, inputs, f"{form['task']} ({job['recipe'].get('precision', 'fp32')})")


def source_of(job: Mapping[str, Any]) -> Source:
    """The training examples of a job."""
    form, recipe, seed = job["form"], full(job["recipe"]), job["seed"]
    family, special = families.load(form["family"]), specials(Path(job["parent"]))
    tables = [
        (language, pq.read_table(Path(job["tokens"], form["task"], language, "train.parquet")))
        for language in form["languages"]
    ]
    examples = family.read(tables, recipe, special)
    examples = family.subset(examples, family.usable(examples))

    def make(epoch: int) -> list[Array]:
        found: list[Array] = family.epoch(examples, recipe, epoch, seed, form["task"])
        return found

    return Source(family, examples, Epochs(make), recipe, seed, form)
