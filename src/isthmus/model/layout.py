"""Where the sequences of a padded batch lie in one row of its real tokens.

Shapes: B rows, T tokens with padding, N real tokens.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from isthmus.data.batch import Array
from isthmus.model.device import tensor

# Sequences of nearly one length share a call of the CPU's attention while that adds at most so many pairs of tokens.
# Measured, one thread, forward and backward of 32 NLI-like sequences (965 tokens, longest 70), in ms: at 12 heads of
# 64, all padded together 78, none padded 21, this 22; at 4 heads of 16, where calls cost more than sums: 12.8, 5.8
# (7.7 one by one), 4.8.
PAIRS_ADDED = 1000
# A batch with less padding than a twentieth runs as it is: keeping its sequences apart costs more than that. (The
# demo's pre-training, 2 % padding, two threads: 53 ms a step padded, 64 ms packed.)
ALMOST_FULL = 0.95


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
        return tensor(ends, self.places.device)

    @cached_property
    def groups(self) -> list[Group]:
        """On a CPU many small calls without padding; on a GPU one call, as there calls are what costs."""
        place = self.places.device
        most = PAIRS_ADDED if place.type == "cpu" else math.inf
        return [_group(self.lengths[first:end], place) for first, end in spans(self.lengths, most)]


def layout(mask_BT: Tensor, device: torch.device) -> Layout | None:
    """The packed form of a batch padded on the right, for the device that its tokens are on; None where there is hardly
    any padding, or no row of two tokens. The mask is best on the host, which needs to know how long each row is.
    """
    lengths = mask_BT.sum(1).cpu().numpy()
    width = mask_BT.shape[1]
    if not worth_it(lengths, mask_BT.numel(), device):
        return None
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    lengths = lengths[order]
    positions = _counted(lengths)
    places = np.repeat(order * width, lengths) + positions
    return Layout(lengths, tensor(places, device), tensor(positions, device))


def worth_it(lengths: Array, cells: int, device: torch.device) -> bool:
    """Whether a batch of so many cells whose rows have these lengths has padding enough to be packed. On a GPU any is:
    a mask keeps attention from its fastest kernel.
    """
    if device.type == "cuda":
        return bool(lengths.sum() < cells and lengths.max() >= 2)
    return bool(lengths.sum() <= ALMOST_FULL * cells and lengths.max() >= 2)


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
    return Group(tokens, rows, longest, *(tensor(array, place) for array in (source, cells, keys)))
