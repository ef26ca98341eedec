"""Packed batches: a padded batch becomes one row of its real tokens, with the same states and gradients.

Linear layers, norms and embeddings see real tokens only. Attention goes through the attention interface of
`transformers`, under a name of ours, and keeps the sequences apart there; so every encoder that uses the interface
can be packed. The others run padded, and the log says so.

The layout travels as a keyword argument of the encoder's forward: gradient checkpointing keeps those for the second
forward, which runs inside the backward, where a context variable would be gone. A model that does not hand keyword
arguments on is found out, not trusted (`_examine`).

Shapes: B rows, T tokens with padding, N real tokens, H width.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from isthmus.data.batch import Array
from isthmus.log import say
from isthmus.model.attention import LAYOUT, NAME, NotPackable
from isthmus.model.layout import Layout, layout, worth_it
from isthmus.model.trial import TOKENS_TRIED, distance, same, trial


@dataclass(frozen=True)
class Packed:
    """A packed batch: what the encoder is called with, and the way back. `shape` is (B, T)."""

    inputs: Mapping[str, Any]
    layout: Layout
    shape: tuple[int, int]

    def unpack(self, states_1NH: Tensor) -> Tensor:
        """States [B, T, H] from those of the packed row; zero at padding."""
        rows, width = self.shape
        states_NH = states_1NH.squeeze(0)
        empty = states_NH.new_zeros(rows * width, states_NH.shape[1])
        return empty.index_copy(0, self.layout.places, states_NH).view(rows, width, -1)

    def rows(self, cells_M: Tensor) -> Tensor:
        """The rows of the packed row, int64 [M], of some real cells of the flattened [B, T]."""
        rows_of = torch.empty(math.prod(self.shape), dtype=torch.int64, device=cells_M.device)
        rows_of[self.layout.places] = torch.arange(len(self.layout.places), device=cells_M.device)
        return rows_of[cells_M]


def pack(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> Packed | None:
    """The packed form of a batch's input_ids and attention_mask [B, T], for this encoder.

    None where the batch has no padding or the encoder cannot be packed: then it runs as it is.
    """
    found = layout(batch["attention_mask"], batch["input_ids"].device)
    if found is None:
        return None
    start = first_position(encoder, batch["input_ids"], found)
    return None if start is None else _packed(batch["input_ids"], found, start)


def _packed(ids_BT: Tensor, found: Layout, start: int) -> Packed:
    inputs = {
        "input_ids": ids_BT.flatten().index_select(0, found.places).unsqueeze(0),
        "position_ids": _positions(ids_BT, found, start).unsqueeze(0),
        # A mask of four axes is handed on as it is: so no model builds one of N x N.
        "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=ids_BT.device),
        LAYOUT: found,
    }
    return Packed(inputs, found, (ids_BT.shape[0], ids_BT.shape[1]))


def _positions(ids_BT: Tensor, found: Layout, start: int) -> Tensor:
    if start == 0:
        return found.positions
    # XLM-R counts from the row after <pad>'s, and leaves out a <pad> that stands in a text.
    text_BT = (ids_BT != start - 1).long()
    return (text_BT.cumsum(1) * text_BT + start - 1).flatten().index_select(0, found.places)


_first_positions: WeakKeyDictionary[PreTrainedModel, int | None] = WeakKeyDictionary()


def first_position(encoder: PreTrainedModel, ids_BT: Tensor, found: Layout) -> int | None:
    """The position that the encoder gives a first token (BERT 0, XLM-R 2); None if it cannot be packed.

    Found by trying on a few tokens of the first batch, once for each encoder.
    """
    if encoder not in _first_positions:
        start, reason = _examine(encoder, ids_BT, found)
        if start is None:
            say(
                f"{type(encoder).__name__} cannot run packed batches ({reason}): its batches are padded, which is "
                "slower and gives the same results"
            )
        _first_positions[encoder] = start
    return _first_positions[encoder]


def _examine(encoder: PreTrainedModel, ids_BT: Tensor, found: Layout) -> tuple[int | None, str]:
    """The first position, or the reason why the encoder cannot be packed. A packable one keeps our attention."""
    if not (encoder._supports_attention_backend and encoder._can_set_attn_implementation()):
        return None, "its attention does not go through the attention interface of transformers"
    if "position_ids" not in inspect.signature(encoder.forward).parameters:
        return None, "it takes no positions"
    before, reason = encoder.config._attn_implementation, "its states differ from those of padded batches"
    encoder.set_attn_implementation(NAME)
    # The nearest, not the first that is near enough: in bf16 a wrong position may hide within the tolerance.
    distances: dict[int, float] = {}
    for start in (0, (encoder.config.pad_token_id or 0) + 1):
        try:
            distances[start] = _distance(encoder, ids_BT, found, start)
        except (NotPackable, TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = str(error)
    start = min(distances, key=lambda start: distances[start], default=0)
    if distances and same(distances[start], encoder):
        return start, ""
    encoder.set_attn_implementation(before)
    return None, reason


def _distance(encoder: PreTrainedModel, ids_BT: Tensor, found: Layout, start: int) -> float:
    """How far apart the states of the beginnings of two rows of a batch are, packed and padded."""
    width = min(int(found.lengths[-1]), TOKENS_TRIED)
    rows = [int(found.places[-1]) // ids_BT.shape[1], int(found.places[0]) // ids_BT.shape[1]]
    lengths = torch.tensor([width, min(int(found.lengths[0]), width // 2)], device=ids_BT.device)
    mask = (torch.arange(width, device=ids_BT.device) < lengths[:, None]).long()
    padding = ids_BT[rows[1], -1]  # how the shortest row ends
    ids = torch.where(mask == 1, ids_BT[rows, :width], padding)
    small = layout(mask, mask.device)
    assert small is not None
    packed = _packed(ids, small, start)
    with trial(encoder):
        one = packed.unpack(encoder(**packed.inputs).last_hidden_state)
        other = encoder(ids, attention_mask=mask).last_hidden_state
    return distance(one, other.masked_fill(mask.unsqueeze(-1) == 0, 0))


def tokens_computed(encoder: PreTrainedModel, lengths: Array, cells: int) -> int:
    """How many tokens the encoder has run on for a batch of so many `cells` whose rows have these lengths."""
    packed = worth_it(lengths, cells, encoder.device) and _first_positions.get(encoder) is not None
    return int(lengths.sum()) if packed else cells
