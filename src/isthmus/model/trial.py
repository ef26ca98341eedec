"""Trying out, on a few tokens, whether an encoder gives the same states in another way."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

TOKENS_TRIED = 8
# How far states may differ, of the largest, to count as the same: well above rounding, well below what a wrong position
# or a neighbour's token does.
TOLERANCE, TOLERANCE_16_BITS = 1e-3, 5e-2


@contextlib.contextmanager
def trial(encoder: PreTrainedModel) -> Iterator[None]:
    """A block that draws no random number and adds no gradient; the encoder's mode is restored. Products are as exact as
    around it, so that what is tried is what will run.
    """
    training = [module for module in encoder.modules() if module.training]
    encoder.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def distance(one: Tensor, other: Tensor) -> float:
    """How far apart some states are, of the largest."""
    return float((one - other).abs().max() / other.abs().max())


def same(found: float, encoder: PreTrainedModel) -> bool:
    """Whether states at this distance are the same but for rounding."""
    coarse = encoder.dtype.itemsize == 2 or torch.is_autocast_enabled(encoder.device.type)
    return found <= (TOLERANCE_16_BITS if coarse else TOLERANCE)
