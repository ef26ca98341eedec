"""LoRA: low-rank additions to the linear layers of a frozen encoder, put into its weights at the end (Hu et al. 2021).

A layer's output x W' becomes x W' + (alpha / rank) x A' B', with A [rank, in] drawn and B [out, rank] zero: at the start
the encoder is what it was. Gradients, moments and saved states are those of A and B alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from isthmus.data.seeds import number
from isthmus.errors import UsageError
from isthmus.model import encoder as encoders
from isthmus.model.rounding import rounded
from isthmus.recipe import Recipe

ADAPTER = "default"  # peft's own name


@dataclass
class Adapted:
    """An encoder with additions in it: the same object as before, with the same names but for `base_layer`."""

    encoder: PreTrainedModel
    tuner: Any
    """peft's, which knows the way back."""
    seed: int

    def merge(self) -> None:
        """Make the encoder an ordinary one again, all of it trainable, the additions added to its weights: computed in
        fp32, and where the weights are in bf16 rounded stochastically, for most changes are smaller than its steps.
        """
        generator = torch.Generator(self.encoder.device)
        generator.manual_seed(number(self.seed, "merge"))
        for module in self.encoder.modules():
            if hasattr(module, "lora_A"):
                layer: Any = module
                weight = layer.base_layer.weight
                merged = weight.detach().float() + layer.get_delta_weight(ADAPTER).float()
                weight.data.copy_(rounded(merged, generator) if weight.dtype == torch.bfloat16 else merged)
        self.tuner.unload()
        self.encoder.requires_grad_(True)


def attach(encoder: PreTrainedModel, recipe: Recipe, seed: int) -> Adapted:
    """Freeze the encoder and give every linear layer of its layer stack an addition in fp32, drawn from the seed.

    Raises:
        UsageError: the encoder has no stack of layers with linear layers in it.
    """
    # Imported late: it takes seconds.
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    rank = recipe.lora_rank
    assert rank is not None
    alpha = recipe.lora_alpha if recipe.lora_alpha is not None else 2.0 * rank
    # peft asks for a whole number and only ever divides it.
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets(encoder))  # type: ignore[arg-type]
    tuner: Any = LoraModel(encoder, config, ADAPTER)
    random = torch.Generator().manual_seed(number(seed, "lora"))
    for module in encoder.modules():
        layer: Any = module
        if hasattr(layer, "lora_A"):
            _draw(layer.lora_A[ADAPTER], layer.lora_B[ADAPTER], random)
    return Adapted(encoder, tuner, seed)


def _draw(down: nn.Linear, up: nn.Linear, random: torch.Generator) -> None:
    """fp32 whatever the frozen weights are; A as a fresh linear layer has it, drawn where no device matters."""
    bound = 1 / math.sqrt(down.in_features)
    values = torch.empty(down.weight.shape).uniform_(-bound, bound, generator=random)
    down.weight.data = values.to(down.weight.device)
    up.weight.data = torch.zeros(up.weight.shape, device=up.weight.device)


def targets(encoder: PreTrainedModel) -> list[str]:
    """The names of all linear layers in the layer stack: attention and feed-forward, not embeddings.

    Raises:
        UsageError: there is none.
    """
    stack = encoders.layer_stack(encoder)
    inside = {module for layer in stack for module in layer.modules()} if stack is not None else set()
    names = [
        name for name, module in encoder.named_modules() if type(module) is nn.Linear and module in inside
    ]
    if not names:
        raise UsageError(
            f"{type(encoder).__name__} has no linear layers that low-rank additions could be made to. Leave `lora_rank` out."
        )
    return names
