"""How many examples can go through the encoder at once: the memory of training, estimated before the first step.

An estimate, from shapes alone; where it is too low, running out of memory still halves the micro-batch later on. What is
counted for one token of a layer are the tensors that autograd keeps: the inputs and outputs of the linear layers, which
norms, activations and attention keep as their own inputs, and the masks of dropout.

Everything in bytes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from isthmus.data.batch import Array
from isthmus.model import room
from isthmus.model.encoder import layer_stack
from isthmus.recipe import Recipe

# What glibc keeps of freed memory, and holes between what is in use, however small the model is.
FRAGMENTS = 128 << 20
SHARE = 0.9  # of what is available, the rest being for what no estimate sees: workspaces, the data
# On a GPU the optimiser of bf16 weights computes so many elements at a time, with eleven numbers of fp32 for each.
ROUNDED_AT_ONCE, PER_ROUNDED_ELEMENT = 1 << 24, 44
COPIES_OF_LOGITS = 3  # itself, its log-softmax and the gradient, in fp32


@dataclass(frozen=True)
class Batch:
    """The size of a batch: `tokens` in all, `pairs` of tokens of one row (the sum of the squares of their lengths), and
    `logits` of a loss over the vocabulary.
    """

    tokens: int
    pairs: int
    logits: int = 0


@dataclass(frozen=True)
class Estimate:
    """The parts of the peak. Gradients come while activations go, but do not fill the gaps that these leave: an
    allocator's free memory is in pieces, and the sum of all is nearer to what was measured.
    """

    weights: int
    gradients: int
    moments: int
    best: int
    activations: int
    fragments: int

    @property
    def peak(self) -> int:
        """Everything together."""
        return sum(vars(self).values())


def choose(
    encoder: PreTrainedModel,
    heads: Sequence[nn.Module],
    recipe: Recipe,
    lengths: Array,
    place: torch.device,
    vocabulary: int = 0,
) -> int | None:
    """The most examples that go at once: None for whole batches, else the first of their half, quarter, … (rounded up)
    that fits into what is available. 1 where none does: then the first step will tell.

    `lengths` [examples] are tokens, in all rows of an example; `vocabulary` the rows of the embedding where the loss is
    over all of them. Judged by the longest examples, as if they came in one batch.
    """
    longest = np.sort(lengths)[::-1]
    size = min(len(longest), recipe.batch_size)
    if recipe.tokens_per_batch is not None:
        size = min(len(longest), max(1, recipe.tokens_per_batch // int(longest[0])))
    least = room.available(place) * SHARE
    whole = size
    while (
        size > 1 and _needed(encoder, heads, recipe, worst(longest[:size], recipe, vocabulary), place) > least
    ):
        size = (size + 1) // 2
    return None if size == whole else size


def worst(lengths: Array, recipe: Recipe, vocabulary: int) -> Batch:
    """A batch of these examples. Rows are no longer than `max_length`, of which a choice has several."""
    tokens = int(lengths.sum())
    pairs = int((lengths * np.minimum(lengths, recipe.max_length)).sum())
    return Batch(tokens, pairs, math.ceil(recipe.mask_rate * tokens) * vocabulary)


def _needed(
    encoder: PreTrainedModel, heads: Sequence[nn.Module], recipe: Recipe, batch: Batch, place: torch.device
) -> int:
    """What is to come. On a GPU the weights are there; in main memory they are still in mapped files, or may be."""
    found = estimate(encoder, heads, recipe, batch, place)
    return found.peak - (0 if place.type == "cpu" else found.weights)


def estimate(
    encoder: PreTrainedModel, heads: Iterable[nn.Module], recipe: Recipe, batch: Batch, place: torch.device
) -> Estimate:
    """The memory of training with this batch. What is trained, and in which types, the parameters themselves say."""
    parameters = [p for module in (encoder, *heads) for p in module.parameters()]
    trained = [p for p in parameters if p.requires_grad]
    size = sum(p.numel() * p.element_size() for p in trained)
    rounded = 0
    if place.type != "cpu":
        rounded = max((p.numel() for p in trained if p.dtype == torch.bfloat16), default=0)
    return Estimate(
        weights=sum(p.numel() * p.element_size() for p in parameters),
        gradients=size + PER_ROUNDED_ELEMENT * min(rounded, ROUNDED_AT_ONCE),
        moments=2 * size,
        best=size if recipe.select != "last" and place.type == "cpu" else 0,  # kept in main memory
        activations=activations(encoder, recipe, batch, place),
        fragments=FRAGMENTS if place.type == "cpu" else 0,
    )


def activations(encoder: PreTrainedModel, recipe: Recipe, batch: Batch, place: torch.device) -> int:
    """What autograd keeps of a forward, and what is there for a moment at the height of the backward."""
    stack = layer_stack(encoder)
    layers = list(stack) if stack is not None else []
    width = int(encoder.config.hidden_size)
    each = [layer_bytes(layer, encoder.config, recipe, batch, place) for layer in layers]
    if recipe.gradient_checkpointing:
        kept = len(layers) * 4 * width * batch.tokens + max(each, default=0)
    else:
        kept = sum(each)
    kept += sum(_casts(layer, recipe) for layer in layers)
    widest = max((m.out_features for layer in layers for m in _linear(layer)), default=0)
    passing = 4 * (2 * widest + 4 * width) * batch.tokens  # the gradients of a layer's states
    embedded = 2 * 4 * width * batch.tokens  # the sum that the first norm reads, and its mask
    return kept + passing + embedded + 4 * COPIES_OF_LOGITS * batch.logits


def layer_bytes(layer: nn.Module, config: Any, recipe: Recipe, batch: Batch, place: torch.device) -> int:
    """What autograd keeps of one layer. In bf16 each linear layer has an input of its own, as the cast makes a copy;
    the inputs of norms stay fp32. A mask of dropout is a byte for each element on a GPU, a number on a CPU.
    """
    width, heads = int(config.hidden_size), int(config.num_attention_heads)
    rotary = getattr(config, "rope_parameters", None) is not None
    numbers, copies = _states(layer)
    size = 4 if recipe.precision == "fp32" else 2
    states = size * (numbers + 2 * width) if rotary else size * numbers  # turned queries and keys
    if size == 2:
        states += 2 * (copies + 2 * width)
    mask = size if place.type == "cpu" else 1
    inside, rate = _attention_dropout(layer)
    masks = sum(isinstance(m, nn.Dropout) and m.p > 0 and m is not inside for m in layer.modules())
    # Attention keeps nothing for each pair of tokens but on a CPU with dropout: weights, mask and their product.
    per_pair = 3 * size * heads if rate > 0 and place.type == "cpu" else 0
    return (states + masks * width * mask) * batch.tokens + per_pair * batch.pairs


def _attention_dropout(layer: nn.Module) -> tuple[nn.Module | None, float]:
    """The module that attention's dropout is read from, if any, and its rate."""
    for module in layer.modules():
        if hasattr(module, "is_causal"):  # what transformers gives every attention
            inside = getattr(module, "dropout", None)
            if isinstance(inside, nn.Dropout):
                return inside, inside.p
            return None, float(getattr(module, "attention_dropout", 0.0))
    return None, 0.0


def _states(layer: nn.Module) -> tuple[int, int]:
    """Numbers kept for each token: what goes into the linear layers and what comes out, attention's result once more
    (it is put together from groups of rows), and the product of a gate. And the inputs shared by several linear
    layers, which a cast makes anew for each.
    """
    numbers = copies = 0
    for module in layer.modules():
        own = _own_linear(module)
        if not own:
            continue
        *before, last = own
        shared = [m for m in own if m.in_features == own[0].in_features]
        if hasattr(module, "is_causal"):
            numbers += last.in_features
            if len(own) in (2, 4):  # with the layer after attention, which reads something else
                shared = [m for m in before if m.in_features == own[0].in_features]
        elif before and sum(m.out_features for m in before) == 2 * last.in_features:
            numbers += last.in_features
        copies += sum(m.in_features for m in shared[1:])
        numbers += sum(m.in_features + m.out_features for m in own) - sum(m.in_features for m in shared[1:])
    return numbers, copies


def _own_linear(module: nn.Module) -> list[nn.Linear]:
    """The linear layers right inside a module; those with a low-rank addition as they are without it."""
    if hasattr(module, "base_layer") or isinstance(module, nn.ModuleDict):
        return []
    found = [getattr(child, "base_layer", child) for child in module.children()]
    return [each for each in found if type(each) is nn.Linear]


def _linear(layer: nn.Module) -> list[nn.Linear]:
    return [linear for module in layer.modules() for linear in _own_linear(module)]


def _casts(layer: nn.Module, recipe: Recipe) -> int:
    """Autocast keeps a copy in bf16 of every fp32 weight that a product uses, until the forward is over at least."""
    if recipe.precision == "fp32":
        return 0
    return sum(2 * m.weight.numel() for m in _linear(layer) if m.weight.dtype == torch.float32)
