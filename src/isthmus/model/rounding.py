"""Stochastic rounding: what bf16 has no room for decides by chance, so that many small changes add up."""

import torch
from torch import Tensor

LOW_BITS = 1 << 16  # of a float32, those that bf16 has no room for


def rounded(values: Tensor, generator: torch.Generator) -> Tensor:
    """Float32 values that bf16 can hold, one of the two next to each, the nearer the likelier; the mean is the value.

    What bf16 holds stays, and so do infinities and NaN. Uses up the values.
    """
    noise = torch.randint(
        LOW_BITS, values.shape, generator=generator, device=values.device, dtype=torch.int32
    )
    bits = noise.add_(values.view(torch.int32)).bitwise_and_(-LOW_BITS).view(torch.float32)
    return torch.where(values == values, bits, values)  # a NaN plus noise may be a number
