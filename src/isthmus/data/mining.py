"""Nearest neighbours among sentence vectors, and the pairs of two pools that choose each other.

Products are made tile by tile, so that memory grows with the sentences and not with the pairs of them: in plain numpy, or on a
GPU, which has the same rule and its own last digits. Where cosines are equal the sentence that comes first wins, so equal
vectors give equal answers on every run.

Shapes: n and m sentences, H width, k neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

NEIGHBOURS = 4
ROWS, COLUMNS = 1024, 8192  # of a tile: 32 MB of float32
AT_ONCE = 8192  # vectors that are scaled together


@dataclass(frozen=True)
class Neighbours:
    """The nearest sentences of each: cosines float32 [n, k], falling, and their places int64 [n, k]."""

    cosines: Floats
    places: Places


@dataclass(frozen=True)
class Pairs:
    """Pairs of places in two pools, best first: first and second int64 [pairs], scores float32 [pairs]."""

    first: Places
    second: Places
    scores: Floats


def unit(vectors: Floats, out: Floats | None = None) -> Floats:
    """Vectors [n, H] of length 1, in `out` (which may be the vectors) where it is given; a zero vector stays zero."""
    scaled = np.empty(vectors.shape, np.float32) if out is None else out
    for start in range(
        0, len(vectors), AT_ONCE
    ):  # in double precision all of them would take three times their room
        some = vectors[start : start + AT_ONCE]
        lengths = np.sqrt(np.einsum("nh,nh->n", some, some, dtype=np.float64))
        scaled[start : start + AT_ONCE] = some / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]
    return scaled


def nearest(
    queries: Floats, index: Floats, k: int = 1, device: str = "cpu", scaled: bool = False
) -> Neighbours:
    """The k nearest sentences (or all, if there are fewer) of the index [m, H] for each query [n, H], by cosine; on a GPU if
    `device` is one. `scaled`: all are of length 1 already (`unit`), and no copy is made.
    """
    if not scaled:
        queries, index = unit(queries), unit(index)
    if device != "cpu":
        from isthmus.data import mining_on_device

        return Neighbours(*mining_on_device.nearest(queries, index, k, device))
    found = _blank(len(queries), min(k, len(index)))
    for row, column in _tiles(len(queries), len(index)):
        _update(found, row, queries[row] @ index[column].T, column.start)
    return found


def neighbours(
    first: Floats, second: Floats, k: int, device: str = "cpu", scaled: bool = False
) -> tuple[Neighbours, Neighbours]:
    """The k nearest (or all, if there are fewer) in `second` [m, H] of each in `first` [n, H], and the reverse; on a GPU
    if `device` is one. `scaled` as in `nearest`.
    """
    if not scaled:
        first, second = unit(first), unit(second)
    if device != "cpu":
        from isthmus.data import mining_on_device

        return tuple(  # type: ignore[return-value]
            Neighbours(*found) for found in mining_on_device.neighbours(first, second, k, device)
        )
    forward = _blank(len(first), min(k, len(second)))
    backward = _blank(len(second), min(k, len(first)))
    for row, column in _tiles(len(first), len(second)):
        tile = first[row] @ second[column].T
        _update(backward, column, tile.T.copy(), row.start)
        _update(forward, row, tile, column.start)
    return forward, backward


def mine(
    first: Floats, second: Floats, k: int = NEIGHBOURS, device: str = "cpu", scaled: bool = False
) -> Pairs:
    """Pairs of two pools [n, H], [m, H] by ratio margin (Artetxe and Schwenk 2019), each sentence in one at most.

    A pair's score is its cosine over the mean of its sentences' average cosines with their k nearest in the other
    pool. Each sentence of either pool proposes the best of its k nearest; proposals are taken by falling score (then
    by place), passing over those with a sentence already taken. Scores that are not above 0 are no pairs. `scaled` as in
    `nearest`.
    """
    forward, backward = neighbours(first, second, k, device, scaled)
    around_first = forward.cosines.mean(axis=1, dtype=np.float64)
    around_second = backward.cosines.mean(axis=1, dtype=np.float64)
    partner, score = _proposals(forward, around_first, around_second)
    suitor, back_score = _proposals(backward, around_second, around_first)
    places_first = np.concatenate([np.arange(len(first)), suitor])
    places_second = np.concatenate([partner, np.arange(len(second))])
    scores = np.concatenate([score, back_score])
    order = np.lexsort((places_second, places_first, -scores))
    order = order[scores[order] > 0]
    taken = order[_greedy(places_first[order], places_second[order], len(first), len(second))]
    return Pairs(places_first[taken], places_second[taken], scores[taken])


def _blank(rows: int, k: int) -> Neighbours:
    return Neighbours(np.full((rows, k), -np.inf, np.float32), np.full((rows, k), -1, np.int64))


def _tiles(rows: int, columns: int) -> list[tuple[slice, slice]]:
    """Each row's tiles come in the order of their columns, and the reverse: what keeps the first of equals first."""
    return [
        (slice(row, min(row + ROWS, rows)), slice(column, min(column + COLUMNS, columns)))
        for row in range(0, rows, ROWS)
        for column in range(0, columns, COLUMNS)
    ]


def _update(found: Neighbours, rows: slice, tile: Floats, start: int) -> None:
    """Put a tile's best among those found so far; `start` is the place of its first column. The tile is used up."""
    k = found.places.shape[1]
    here = np.arange(len(tile))
    cosines, places = [found.cosines[rows]], [found.places[rows]]
    for _ in range(min(k, tile.shape[1])):
        column = tile.argmax(axis=1)
        cosines.append(tile[here, column][:, None])
        places.append(column[:, None] + start)
        tile[here, column] = -np.inf
    together, where = np.concatenate(cosines, axis=1), np.concatenate(places, axis=1)
    best = np.argsort(-together, axis=1, kind="stable")[:, :k]
    found.cosines[rows] = np.take_along_axis(together, best, axis=1)
    found.places[rows] = np.take_along_axis(where, best, axis=1)


def _proposals(
    found: Neighbours, around: NDArray[np.float64], around_others: NDArray[np.float64]
) -> tuple[Places, Floats]:
    """Each sentence's neighbour of highest margin, and that margin."""
    scale = (around[:, None] + around_others[found.places]) / 2
    margins = np.divide(found.cosines, scale, out=np.zeros_like(scale), where=scale != 0)
    best = margins.argmax(axis=1)[:, None]
    chosen: Places = np.take_along_axis(found.places, best, axis=1)[:, 0]
    score: Floats = np.take_along_axis(margins, best, axis=1)[:, 0].astype(np.float32)
    return chosen, score


def _greedy(first: Places, second: Places, n: int, m: int) -> list[int]:
    """Which pairs to take, going down the list, so that no place comes twice."""
    used_first, used_second = bytearray(n), bytearray(m)
    taken = []
    for place, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        if not (used_first[a] or used_second[b]):
            used_first[a] = used_second[b] = 1
            taken.append(place)
    return taken
