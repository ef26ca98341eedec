"""Attention within the sequences of a packed row, as an implementation that `transformers` knows by name.

Shapes: N tokens, H width, h heads, d width of a head.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from isthmus.model.layout import Group, Layout

NAME = "isthmus_packed"
LAYOUT = "isthmus_layout"


class NotPackable(Exception):
    """An encoder needs something of its attention that a packed one does not give."""


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
    """Whether the flash kernels of a GPU take these states: half precision, heads of a usual width, Ampere or later."""
    width = query.shape[-1]
    fits = query.dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= 256
    return fits and query.is_cuda and torch.cuda.get_device_capability(query.device) >= (8, 0)


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
