"""Narrow last layers: where only some tokens' states are read, the last layer is computed for those alone.

A classifier reads `<s>`, a language model the masked pieces, a tagger the beginnings of words. All tokens are keys and
values of the last attention, but what follows it, three quarters of a layer's products, is done token by token: states
that nobody reads have no gradient either, so leaving them out changes nothing but rounding and the draws of dropout.

Shapes: B rows, T tokens, N tokens of all rows, M tokens that are read, H width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from isthmus.model.trial import TOKENS_TRIED, distance, same, trial

# Selecting costs a copy or two; below this share of the tokens it is always worth it.
WORTH_IT = 0.75


@dataclass
class Narrow:
    """A hook before the module that ends the last attention: it takes the attention's result and the residual stream
    [1 or B, N or T, H], of which it hands on the `chosen` rows of the flattened tokens: [1, M, H]; all where None.
    With gradient checkpointing `chosen` outlives the forward, as the backward runs the layer anew.
    """

    layer: nn.Module
    chosen: Tensor | None = None

    @property
    def runs_again(self) -> bool:
        """Whether the backward runs the layer once more."""
        return self.layer.training and bool(getattr(self.layer, "gradient_checkpointing", False))

    def __call__(self, module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """What the module is called with instead."""
        if self.chosen is None:
            return None
        return tuple(each.flatten(0, 1).index_select(0, self.chosen).unsqueeze(0) for each in states)


_hooks: WeakKeyDictionary[PreTrainedModel, Narrow | None] = WeakKeyDictionary()


def states(encoder: PreTrainedModel, inputs: Mapping[str, Any], chosen_M: Tensor) -> Tensor:
    """The last layer's states [M, H] of the `chosen` tokens, int64 places in the flattened input [1 or B, N or T]."""
    if len(chosen_M) <= WORTH_IT * inputs["input_ids"].numel():
        narrow = _hook(encoder, inputs["input_ids"])
        if narrow is not None:
            return _narrowed(encoder, inputs, narrow, chosen_M)
    every: Tensor = encoder(**inputs).last_hidden_state
    return every.flatten(0, 1).index_select(0, chosen_M)


def _narrowed(
    encoder: PreTrainedModel, inputs: Mapping[str, Any], narrow: Narrow, chosen_M: Tensor
) -> Tensor:
    narrow.chosen = chosen_M
    try:
        found: Tensor = encoder(**inputs).last_hidden_state
    finally:
        if not narrow.runs_again:
            narrow.chosen = None
    return found.squeeze(0)


def release(encoder: PreTrainedModel) -> None:
    """Have the encoder compute all states again. What gradient checkpointing kept for a backward ends here."""
    narrow = _hooks.get(encoder)
    if narrow is not None:
        narrow.chosen = None


def _hook(encoder: PreTrainedModel, ids: Tensor) -> Narrow | None:
    """The encoder's hook; None if its last layer cannot be narrowed. Found by trying, once for each encoder."""
    if encoder not in _hooks:
        _hooks[encoder] = _attach(encoder, ids.flatten()[:TOKENS_TRIED])
    return _hooks[encoder]


def _attach(encoder: PreTrainedModel, ids: Tensor) -> Narrow | None:
    layer = _last_layer(encoder)
    # BERT and its kin have a module that takes the attention's result and the residual stream.
    end = getattr(getattr(layer, "attention", None), "output", None)
    if layer is None or not isinstance(end, nn.Module):
        return None
    narrow = Narrow(layer)
    handle = end.register_forward_pre_hook(narrow)
    if _agrees(encoder, narrow, ids.unsqueeze(0)):
        return narrow
    handle.remove()
    return None


def _last_layer(encoder: PreTrainedModel) -> nn.Module | None:
    layers = getattr(getattr(encoder, "encoder", None), "layer", None)
    return layers[-1] if isinstance(layers, nn.ModuleList) else None


def _agrees(encoder: PreTrainedModel, narrow: Narrow, ids_1N: Tensor) -> bool:
    """Whether the last of some tokens has the same state alone as among all."""
    inputs = {"input_ids": ids_1N, "attention_mask": torch.ones_like(ids_1N)}
    last = torch.tensor([ids_1N.shape[1] - 1], device=ids_1N.device)
    try:
        with trial(encoder):
            one = _narrowed(encoder, inputs, narrow, last)
            other = encoder(**inputs).last_hidden_state[0, last]
    except (TypeError, ValueError, IndexError, RuntimeError):
        return False
    return one.shape == other.shape and same(distance(one, other), encoder)
