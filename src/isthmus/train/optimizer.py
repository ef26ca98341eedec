"""The optimiser: AdamW without decay on biases and LayerNorms, linear warm-up and decay, clipping."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from isthmus.recipe import Recipe


def adamw(parameters: Mapping[str, nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over named parameters. Biases and LayerNorm weights, all that have one dimension, are not decayed."""
    groups = [
        {"params": [p for p in parameters.values() if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters.values() if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups,
        lr=recipe.learning_rate,
        betas=(recipe.adam_beta1, recipe.adam_beta2),
        eps=recipe.adam_epsilon,
        fused=True,
    )


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate of update `step` (from 0): up to the full rate over the warm-up share, then down to 0.

    The first update already learns, and the rate would reach 0 at the update after the last.
    """
    warmup = math.ceil(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (steps - step) / (steps - warmup)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from the next update on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients so that their total norm is at most `most`; returns the norm they had, without waiting."""
    return nn.utils.clip_grad_norm_(parameters, most)
