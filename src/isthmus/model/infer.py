"""Inference: a family's outputs for all examples, in batches of about one length, back in the order they came."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from isthmus.data.batch import Array
from isthmus.errors import Interrupted, OutOfMemory
from isthmus.log import say
from isthmus.model.columns import Columns
from isthmus.model.device import autocast, free, out_of_memory, reason, tensors
from isthmus.recipe import Recipe

# Real tokens of a batch: what it costs, as batches run packed. Sorting lets rows of about one length share attention.
TOKENS_PER_BATCH = 8192


def infer(
    family: ModuleType,
    examples: Any,
    encoder: PreTrainedModel,
    head: nn.Module,
    recipe: Recipe,
    interrupted: Callable[[], bool],
    spill: Path | None = None,
) -> dict[str, Any]:
    """The columns of `family.outputs`, one row per example: arrays, or lists of arrays where rows differ in length.
    Dropout is off; the model's mode is restored. Arrays too large to be held lie in the folder `spill`, where one is
    given, until they are let go (`model.columns`).

    What a batch holds depends on the examples' lengths alone, so equal inputs give equal bytes (where there is memory).

    Raises:
        Interrupted: a signal came.
        OutOfMemory: there is no room for a single example.
        StorageError: there is no room in `spill`.
    """
    rows, lengths = family.everything(examples)
    order = np.argsort(lengths, kind="stable")

    def answer(chosen: Array) -> dict[str, Any]:
        if interrupted():
            raise Interrupted("Stopped while predicting. Run the same command again to go on.")
        batch = family.collate(examples, rows[chosen], recipe, 0, "infer", int(chosen[0]))
        with autocast(recipe.precision, encoder.device):
            found: dict[str, Any] = family.outputs(encoder, head, tensors(batch, encoder.device))
        return found

    columns = Columns(len(rows), spill)
    training = encoder.training
    encoder.train(False)
    head.train(False)
    try:
        with torch.inference_mode():
            for chosen in _cut(order, lengths):
                for some, part in _answered(chosen, answer):
                    columns.put(some, part)
    finally:
        encoder.train(training)
        head.train(training)
    return columns.found


def _answered(chosen: Array, answer: Callable[[Array], dict[str, Any]]) -> list[tuple[Array, dict[str, Any]]]:
    """Some examples and their outputs, in halves where the memory does not suffice for all of them at once.

    Raises:
        OutOfMemory: it does not for a single one.
    """
    try:
        return [(chosen, answer(chosen))]
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        problem = reason(error)
    # Out here nothing holds the tensors of the attempt any more, as the exception did.
    free()
    if len(chosen) == 1:
        raise OutOfMemory(
            f"The memory does not suffice to predict a single example ({problem}). Lower max_length in the recipe, "
            "set precision: bf16_states, choose a smaller encoder or run where there is more memory."
        )
    say(f"out of memory at {len(chosen)} examples: they are predicted in halves")
    middle = len(chosen) // 2
    return [part for half in (chosen[:middle], chosen[middle:]) for part in _answered(half, answer)]


def _cut(order: Array, lengths: Array) -> list[Array]:
    """Longest last; each batch holds at most TOKENS_PER_BATCH tokens, or one example."""
    batches = []
    start = 0
    ends = np.cumsum(lengths[order])
    while start < len(order):
        before = ends[start] - lengths[order[start]]
        end = max(start + 1, int(np.searchsorted(ends, before + TOKENS_PER_BATCH, side="right")))
        batches.append(order[start:end])
        start = end
    return batches
