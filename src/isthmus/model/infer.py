"""Inference: a family's outputs for all examples, in batches of about one length, back in the order they came."""

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from isthmus.data.batch import Array
from isthmus.errors import Interrupted
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
) -> dict[str, Any]:
    """The columns of `family.outputs`, one row per example: arrays, or lists of arrays where rows differ in length.
    Dropout is off; the model's mode is restored.

    What a batch holds depends on the examples' lengths alone, so equal inputs give equal bytes.

    Raises:
        Interrupted: a signal came.
    """
    rows, lengths = family.everything(examples)
    order = np.argsort(lengths, kind="stable")
    training = encoder.training
    encoder.train(False)
    head.train(False)
    parts = []
    with torch.inference_mode():
        for chosen in _cut(order, lengths):
            if interrupted():
                raise Interrupted("Stopped while predicting. Run the same command again to go on.")
            batch = family.collate(examples, rows[chosen], recipe, 0, "infer", int(chosen[0]))
            parts.append(family.outputs(encoder, head, tensors(batch, encoder.device)))
    encoder.train(training)
    head.train(training)
    back = np.argsort(order, kind="stable")
    return {name: _in_order([part[name] for part in parts], back) for name in parts[0]} if parts else {}


def _in_order(parts: Sequence[Any], back: Array) -> Any:
    """One column of all batches, as an array or as a list where rows differ in length, in the examples' order."""
    if isinstance(parts[0], list):
        rows = list(itertools.chain.from_iterable(parts))
        return [rows[place] for place in back]
    return np.concatenate(parts)[back]


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


def tensors(batch: Mapping[str, Array], place: torch.device) -> dict[str, torch.Tensor]:
    """A batch's arrays on the device."""
    return {name: torch.from_numpy(array).to(place, non_blocking=True) for name, array in batch.items()}


def to_device(module: nn.Module) -> None:
    """Move a module to where things are computed: the first GPU if there is one."""
    module.to("cuda" if torch.cuda.is_available() else "cpu")


def settle(threads: int) -> None:
    """Make sums come out alike: a fixed number of threads, deterministic kernels only."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic cuBLAS asks for
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # A check for bugs that would cost time in every step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
