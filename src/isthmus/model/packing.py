"""Packed batches: a padded batch becomes one row of its real tokens, with the same states and gradients.

Linear layers, norms and embeddings see real tokens only. Attention goes through the attention interface of
`transformers`, under a name of ours, and keeps the sequences apart there; so every encoder that uses the interface
can be packed. The others run padded, and the log says so.

The layout travels as a keyword argument of the encoder's forward: gradient checkpointing keeps those for the second
forward, which runs inside the backward, where a context variable would be gone. A model that does not hand keyword
arguments on is found out, not trusted (`_agrees`).

Shapes: B rows, T tokens with padding, N real tokens, H width, h heads, d width of a head.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from isthmus.data.batch import Array
from isthmus.log import say

NAME = "isthmus_packed"
LAYOUT = "isthmus_layout"
# Sequences of nearly one length share a call of the CPU's attention while that adds at most so many pairs of tokens.
# Measured, one thread, forward and backward of 32 NLI-like sequences (965 tokens, longest 70), in ms: at 12 heads of
# 64, all padded together 78, none padded 21, this 22; at 4 heads of 16, where calls cost more than sums: 12.8, 5.8
# (7.7 one by one), 4.8.
PAIRS_ADDED = 1000
# How far packed and padded states of one input may differ, of the largest state, for an encoder to count as packable:
# well above rounding, well below what a wrong position or a neighbour's token does.
TOLERANCE, TOLERANCE_16_BITS = 1e-3, 5e-2
TOKENS_TRIED = 8
# A batch with less padding than a twentieth runs as it is: keeping its sequences apart costs more than that. (The
# demo's pre-training, 2 % padding, two threads: 53 ms a step padded, 64 ms packed.)
ALMOST_FULL = 0.95


class NotPackable(Exception):
    """An encoder needs something of its attention that a packed one does not give."""


@dataclass(frozen=True)
class Group:
    """Sequences that go through attention together: `rows` of them, next to each other in the packed row.

    `longest` tokens each; where some are shorter, `source` [rows * longest] says which of the group's tokens fills
    each cell of the padded form (the first one fills the padding), `cells` [tokens] where each token stands in it, and
    `keys` [rows, 1, 1, longest] which cells are real.
    """

    tokens: int
    rows: int
    longest: int
    source: Tensor | None = None
    cells: Tensor | None = None
    keys: Tensor | None = None


@dataclass(frozen=True)
class Layout:
    """Where the sequences of a padded batch lie in its packed row: shortest first, so that equals are neighbours.

    `lengths` in that order; `places` int64 [N]: the cell of the flattened [B, T] that each token comes from;
    `positions` int64 [N]: which token of its sequence it is, from 0.
    """

    lengths: Array
    places: Tensor
    positions: Tensor

    @cached_property
    def offsets(self) -> Tensor:
        """Where each sequence begins, and the end: int32 [B + 1]."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int32)
        return torch.from_numpy(ends).to(self.places.device, non_blocking=True)

    @cached_property
    def groups(self) -> list[Group]:
        """On a CPU many small calls without padding; on a GPU one call, as there calls are what costs."""
        place = self.places.device
        most = PAIRS_ADDED if place.type == "cpu" else math.inf
        return [_group(self.lengths[first:end], place) for first, end in spans(self.lengths, most)]


def layout(mask_BT: Tensor) -> Layout | None:
    """The packed form of a batch padded on the right; None where there is hardly any padding, or no row of two tokens."""
    # On a GPU this waits for the mask: the one number that the host needs is how long each row is.
    lengths = mask_BT.sum(1).cpu().numpy()
    width = mask_BT.shape[1]
    if lengths.sum() > ALMOST_FULL * mask_BT.numel() or lengths.max() < 2:
        return None
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    lengths = lengths[order]
    positions = _counted(lengths)
    places = np.repeat(order * width, lengths) + positions
    device = mask_BT.device
    return Layout(
        lengths,
        torch.from_numpy(places).to(device, non_blocking=True),
        torch.from_numpy(positions).to(device, non_blocking=True),
    )


def _counted(lengths: Array) -> Array:
    """0, 1, … up to each length, one after the other: int64 [sum of lengths]."""
    starts = np.cumsum(lengths) - lengths
    counted: Array = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    return counted


def spans(lengths: Sequence[int] | Array, most: float) -> list[tuple[int, int]]:
    """Ascending lengths cut into runs [first, end) whose padding adds at most `most` pairs of tokens."""
    cut, first, pairs = [], 0, 0
    for row, length in enumerate(map(int, lengths)):
        if length**2 * (row - first) - pairs > most:
            cut.append((first, row))
            first, pairs = row, 0
        pairs += length**2
    return [*cut, (first, len(lengths))]


def _group(lengths: Array, place: torch.device) -> Group:
    rows, longest, tokens = len(lengths), int(lengths[-1]), int(lengths.sum())
    if lengths[0] == longest:
        return Group(tokens, rows, longest)
    cells = np.repeat(np.arange(rows) * longest, lengths) + _counted(lengths)
    source = np.zeros(rows * longest, dtype=np.int64)
    source[cells] = np.arange(tokens)
    keys = (np.arange(longest) < lengths[:, None])[:, None, None]
    return Group(
        tokens, rows, longest, *(torch.from_numpy(array).to(place) for array in (source, cells, keys))
    )


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


def pack(encoder: PreTrainedModel, batch: Mapping[str, Tensor]) -> Packed | None:
    """The packed form of a batch's input_ids and attention_mask [B, T], for this encoder.

    None where the batch has no padding or the encoder cannot be packed: then it runs as it is.
    """
    found = layout(batch["attention_mask"])
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
    before, reason = encoder.config._attn_implementation, ""
    encoder.set_attn_implementation(NAME)
    for start in (0, (encoder.config.pad_token_id or 0) + 1):
        try:
            if _agrees(encoder, ids_BT, found, start):
                return start, ""
        except (NotPackable, TypeError, ValueError, IndexError, RuntimeError) as error:
            reason = str(error)
    encoder.set_attn_implementation(before)
    return None, reason or "its states differ from those of padded batches"


def _agrees(encoder: PreTrainedModel, ids_BT: Tensor, found: Layout, start: int) -> bool:
    """Whether the beginnings of two rows of a batch get the same states packed and padded.

    Draws no random number, adds no gradient; the encoder's mode is restored.
    """
    width = min(int(found.lengths[-1]), TOKENS_TRIED)
    rows = [int(found.places[-1]) // ids_BT.shape[1], int(found.places[0]) // ids_BT.shape[1]]
    lengths = torch.tensor([width, min(int(found.lengths[0]), width // 2)], device=ids_BT.device)
    mask = (torch.arange(width, device=ids_BT.device) < lengths[:, None]).long()
    padding = ids_BT[rows[1], -1]  # how the shortest row ends
    ids = torch.where(mask == 1, ids_BT[rows, :width], padding)
    small = layout(mask)
    assert small is not None
    packed = _packed(ids, small, start)
    training = [module for module in encoder.modules() if module.training]
    encoder.train(False)
    try:
        with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
            one = packed.unpack(encoder(**packed.inputs).last_hidden_state)
            other = encoder(ids, attention_mask=mask).last_hidden_state
    finally:
        for module in training:
            module.training = True
    other = other.masked_fill(mask.unsqueeze(-1) == 0, 0)
    tolerance = TOLERANCE if one.element_size() > 2 else TOLERANCE_16_BITS
    return bool((one - other).abs().max() <= tolerance * other.abs().max())


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """What `transformers` calls: query [1, h, N, d], key and value to states [1, N, h, d].

    `sliding_window`: a token sees those less than so many tokens away. Without a layout (a batch that is not packed)
    this is `transformers`' own scaled_dot_product_attention, with its mask.

    Raises:
        NotPackable: the model asks for what is not made here, or has lost the layout on the way.
    """
    found: Layout | None = kwargs.pop(LAYOUT, None)
    if found is None:
        if attention_mask is not None and attention_mask.numel() == 1 < query.shape[2]:
            raise NotPackable("it does not hand keyword arguments on to its attention")
        kwargs |= {"dropout": dropout, "scaling": scaling, "is_causal": is_causal}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    _refuse(module, query, key, found, is_causal, kwargs)
    flat = [states.squeeze(0).transpose(0, 1) for states in (query, key, value)]
    together = _flash if _has_flash(query) else _grouped
    return together(module, flat, found, dropout, scaling, sliding_window).unsqueeze(0), None


def _refuse(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    found: Layout,
    is_causal: bool | None,
    others: Mapping[str, Any],
) -> None:
    for name in ("position_bias", "softcap", "s_aux", "cache"):
        if others.get(name) is not None:
            raise NotPackable(f"its attention takes {name}")
    if getattr(module, "is_causal", False) if is_causal is None else is_causal:
        raise NotPackable("its attention is causal")
    if not query.shape[2] == key.shape[2] == len(found.places):
        raise NotPackable("its attention is not over the tokens of the input alone")


def _grouped(
    module: nn.Module,
    states: Sequence[Tensor],
    found: Layout,
    dropout: float,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """Attention of query, key and value [N, h, d], group by group, to [N, h, d]."""
    parts = []
    sizes = [group.tokens for group in found.groups]
    cut = [torch.split(each, sizes) for each in states]  # type: ignore[no-untyped-call]
    for group, query, key, value in zip(found.groups, *cut, strict=True):
        seen, _ = sdpa_attention_forward(
            module,
            _rows(query, group),
            _rows(key, group),
            _rows(value, group),
            _mask(group, window, query.device),
            dropout=dropout,
            scaling=scaling,
            is_causal=False,
        )
        flat = seen.flatten(0, 1)
        parts.append(flat if group.cells is None else flat.index_select(0, group.cells))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _rows(states: Tensor, group: Group) -> Tensor:
    """A group's tokens [n, h, d] as its padded rows [rows, h, longest, d]; a view where nothing is to be padded."""
    if group.source is not None:
        states = states.index_select(0, group.source)
    return states.unflatten(0, (group.rows, group.longest)).transpose(1, 2)  # type: ignore[no-untyped-call,no-any-return]


def _mask(group: Group, window: int | None, device: torch.device) -> Tensor | None:
    """Which keys a token of a group sees: bool, to be broadcast to [rows, h, longest, longest]; None for all."""
    if window is None or group.longest <= window:
        return group.keys
    place = torch.arange(group.longest, device=device)
    near = (place[:, None] - place[None]).abs() < window
    if group.keys is None:
        return near
    # Padding sees everything: a row that sees nothing would bring NaN into the gradients.
    return (group.keys & near) | ~group.keys.transpose(-1, -2)


def _has_flash(query: Tensor) -> bool:
    """Whether the flash kernels of a GPU take these states: half precision, heads of a usual width."""
    width = query.shape[-1]
    return (
        query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= 256
    )


def _flash(
    module: nn.Module,
    states: Sequence[Tensor],
    found: Layout,
    dropout: float,
    scaling: float | None,
    window: int | None,
) -> Tensor:
    """The same on a GPU, by the flash kernel for sequences of different lengths. Not run here: there was no GPU.

    The operator below `torch.nn.attention.varlen.varlen_attn`, which has no dropout. Its backward is torch's own, and
    follows `torch.use_deterministic_algorithms`. Grouped-query heads are the kernel's business.
    """
    longest, side = int(found.lengths[-1]), None if window is None else window - 1
    seen: Tensor = torch.ops.aten._flash_attention_forward(
        *states,
        found.offsets,
        found.offsets,
        longest,
        longest,
        dropout,
        False,  # not causal
        False,  # no mask for debugging
        scale=scaling,
        window_size_left=side,
        window_size_right=side,
    )[0]
    return seen


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
