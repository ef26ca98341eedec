"""Vocabulary compaction: train with the embedding rows that a stage's data uses, and put them back afterwards.

A row whose piece never occurs has no gradient and no moments, so it adds nothing to the norm that is clipped, and
AdamW does one thing to it: the decay of every update. That is made good when the rows are put back, to the bit.

Shapes: V rows of the whole table, K rows kept, H width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from isthmus.data.batch import Array, Specials
from isthmus.recipe import Recipe

ROWS_AT_ONCE = 512  # examples laid out together to see which pieces they hold
# A copy of the kept rows costs less than the gradient and the two moments of the others save: V + 4 K < 4 V.
WORTH_IT = 0.75
MANTISSAS = 1 << 23
LOOKED_UP_FROM = MANTISSAS  # elements
ONE, MANTISSA, SIGN_AND_EXPONENT = 0x3F800000, 0x007FFFFF, -0x00800000  # of a float32, as int32
ELEMENTS_AT_ONCE = 1 << 16
# Values that the first-level caches hold while factor after factor is applied to them.
ELEMENTS_IN_CACHE = 1 << 15


class Part(nn.Embedding):
    """Some rows of an embedding, asked by the ids of the whole one: nothing else need know that rows are missing.

    An id whose row is not here is an error (IndexError; on a GPU, a failed assertion), never another row.
    """

    def __init__(self, whole: nn.Embedding, kept: Tensor) -> None:
        places = torch.full((whole.num_embeddings,), -1, dtype=torch.int64)
        places[kept] = torch.arange(len(kept))
        padding = None if whole.padding_idx is None else int(places[whole.padding_idx])
        rows = whole.weight.detach()[kept]
        super().__init__(len(kept), whole.embedding_dim, padding_idx=padding, _weight=rows)
        self.places: Tensor
        self.register_buffer("places", places, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """The vectors of some ids, [..., H]."""
        return functional.embedding(self.places[input], self.weight, self.padding_idx)


@dataclass
class Compaction:
    """An encoder whose embedding is a part for now. The whole table waits where it was loaded, without moments."""

    encoder: PreTrainedModel
    whole: nn.Embedding
    part: Part
    kept: Tensor

    @property
    def rows(self) -> dict[str, int]:
        """The rows that are trained, and all."""
        return {"trained": len(self.kept), "all": self.whole.num_embeddings}

    def undo(self, rates: Sequence[float], decay: float) -> None:
        """Give the encoder its whole table back: the trained rows, and the others as so many updates of AdamW at these
        learning rates with this weight decay leave rows without gradient.
        """
        table_VH = self.whole.weight.detach()
        others = torch.ones(len(table_VH), dtype=torch.bool)
        others[self.kept] = False
        decay_rows(table_VH, others.nonzero().squeeze(1), rates, decay, self.part.weight.device)
        table_VH[self.kept] = self.part.weight.detach().to(table_VH.device)
        self.encoder.set_input_embeddings(self.whole)


def compact(encoder: PreTrainedModel, seen: Array) -> Compaction | str:
    """Leave the encoder the rows of the ids that are `seen` (bool, one for each id of the tokenizer) and <pad>'s. Or
    say why not.
    """
    whole, problem = _embedding(encoder, len(seen))
    if whole is None:
        return problem
    needed = np.zeros(whole.num_embeddings, bool)  # there may be rows that no id of the tokenizer asks for
    needed[: len(seen)] = seen
    if whole.padding_idx is not None:
        needed[whole.padding_idx] = True
    kept = torch.from_numpy(np.flatnonzero(needed))
    if len(kept) > WORTH_IT * len(needed):
        return f"its data uses {len(kept)} of the {len(needed)} rows, too many to gain by it"
    part = Part(whole, kept)
    encoder.set_input_embeddings(part)
    return Compaction(encoder, whole, part, kept)


def _embedding(encoder: PreTrainedModel, rows: int) -> tuple[nn.Embedding | None, str]:
    """The encoder's embedding if it can be replaced by a part, or None and why it cannot."""
    try:
        whole: Any = encoder.get_input_embeddings()
        encoder.set_input_embeddings(whole)
    except (AttributeError, NotImplementedError):
        return None, "the encoder does not say where its embedding is"
    # A class of its own computes something of its own, and the options change what a row's gradient is.
    if (
        type(whole) is not nn.Embedding
        or whole.max_norm is not None
        or whole.scale_grad_by_freq
        or whole.sparse
    ):
        return None, "the encoder's embedding is of a special kind"
    uses = sum(p is whole.weight for _, p in encoder.named_parameters(remove_duplicate=False))
    if uses != 1:
        return None, "the encoder uses its embedding elsewhere too"
    if not whole.weight.requires_grad or whole.weight.dtype != torch.float32:
        return None, "the encoder's embedding is not trained in float32"
    if whole.num_embeddings < rows:
        return None, f"the embedding has {whole.num_embeddings} rows and the tokenizer {rows} ids"
    return whole, ""


def occurring(family: ModuleType, examples: Any, recipe: Recipe, seen: Array) -> None:
    """Mark in `seen` (bool, one for each id) every id that the family's batches of these examples can hold."""
    rows, lengths = family.everything(examples)
    order = np.argsort(lengths, kind="stable")  # like lengths together, so that little padding is looked at
    for start in range(0, len(order), ROWS_AT_ONCE):
        batch = family.collate(examples, rows[order[start : start + ROWS_AT_ONCE]], recipe, 0, "vocabulary")
        seen[batch["input_ids"].reshape(-1)] = True


def always(special: Specials, rows: int) -> Array:
    """bool [rows], true at the special tokens alone."""
    seen = np.zeros(rows, bool)
    seen[[special.bos, special.pad, special.eos, special.unk, special.mask]] = True
    return seen


def decay_rows(
    table_VH: Tensor, rows: Tensor, rates: Sequence[float], decay: float, device: torch.device
) -> None:
    """Apply the decay of AdamW, update after update as float32 rounds it, to some rows of a table, in place.

    One product of all factors would be cheaper and wrong by more than rounding: 1 - rate x decay is itself rounded (at
    a rate of 1e-5 and a decay of 0.01, by a fifth of what it takes away). How a number is rounded depends on its
    mantissa alone, and of those there are 2^23: a larger table is looked up from what becomes of each (the exception,
    numbers below 1e-38, become 0). Computed on `device`, where the training was, for devices round differently.
    """
    if not decay or not rates or not len(rows):
        return
    width = table_VH.shape[1]
    if len(rows) * width <= LOOKED_UP_FROM:
        table_VH[rows] = decayed(table_VH[rows].to(device), rates, decay).to(table_VH.device)
        return
    mantissas = (torch.arange(MANTISSAS, dtype=torch.int32) | ONE).view(torch.float32)
    results = decayed(mantissas.to(device), rates, decay).to(table_VH.device)
    for chosen in torch.split(rows, max(1, ELEMENTS_AT_ONCE // width)):
        bits = table_VH[chosen].view(torch.int32).view(-1)
        scale = (bits & SIGN_AND_EXPONENT).view(torch.float32)  # a power of two, so the product is exact
        table_VH[chosen] = (torch.index_select(results, 0, bits & MANTISSA) * scale).view(-1, width)


def decayed(values: Tensor, rates: Sequence[float], decay: float) -> Tensor:
    """What AdamW's updates at these rates make of float32 values that never have a gradient. Overwrites the values."""
    if values.device.type != "cpu":
        return by_adamw(values, rates, decay)
    factors = torch.tensor([1 - rate * decay for rate in rates], dtype=torch.float64).float()
    taking = factors[factors != 1].tolist()
    for piece in torch.split(values.view(-1), ELEMENTS_IN_CACHE):
        for factor in taking:
            piece.mul_(factor)
    return values


def by_adamw(values: Tensor, rates: Sequence[float], decay: float) -> Tensor:
    """The same by the optimiser itself, whatever its arithmetic is on the device of the values."""
    weight = nn.Parameter(values)
    weight.grad = torch.zeros_like(weight)
    optimizer = torch.optim.AdamW([weight], weight_decay=decay, fused=True)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    return weight.detach()
