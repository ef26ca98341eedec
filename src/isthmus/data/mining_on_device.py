"""Nearest neighbours on a GPU, by the rule of `data.mining`: of equal cosines the sentence that comes first.

Pools that are mined lie on the device whole, scaled to length 1: 400,000 vectors of width 1,024 take 1.6 GB. Of an index that
queries look into, so many vectors as a tile is wide do. Shapes: n and m sentences, H width, k neighbours.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS, COLUMNS = 4096, 32768  # of a tile: 512 MB of float32

Found = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Cosines [rows, k], falling, and places [rows, k]."""


def neighbours(
    first: NDArray[np.float32], second: NDArray[np.float32], k: int, device: str
) -> tuple[Found, Found]:
    """The k nearest (or all, if there are fewer) in `second` [m, H] of each in `first` [n, H], and the reverse."""
    with torch.inference_mode():
        first_NH, second_MH = (torch.from_numpy(pool).to(device) for pool in (first, second))
        forward = _blank(len(first), min(k, len(second)), device)
        backward = _blank(len(second), min(k, len(first)), device)
        # Each row's tiles come in the order of their columns, and the reverse: what keeps the first of equals first.
        for row in range(0, len(first), ROWS):
            for column in range(0, len(second), COLUMNS):
                tile = first_NH[row : row + ROWS] @ second_MH[column : column + COLUMNS].T
                _update(backward, column, tile.T.clone(memory_format=torch.contiguous_format), row)
                _update(forward, row, tile, column)
        return _on_host(forward), _on_host(backward)


def nearest(queries: NDArray[np.float32], index: NDArray[np.float32], k: int, device: str) -> Found:
    """The k nearest (or all, if there are fewer) of the index [m, H] for each query [n, H]."""
    with torch.inference_mode():
        queries_NH = torch.from_numpy(queries).to(device)
        found = _blank(len(queries), min(k, len(index)), device)
        for column in range(0, len(index), COLUMNS):
            part_CH = torch.from_numpy(index[column : column + COLUMNS]).to(device)
            for row in range(0, len(queries), ROWS):
                _update(found, row, queries_NH[row : row + ROWS] @ part_CH.T, column)
        return _on_host(found)


def _blank(rows: int, k: int, device: str) -> tuple[Tensor, Tensor]:
    cosines = torch.full((rows, k), -torch.inf, device=device)
    return cosines, torch.full((rows, k), -1, dtype=torch.int64, device=device)


def _update(found: tuple[Tensor, Tensor], row: int, tile: Tensor, start: int) -> None:
    """Put a tile's best among those found so far; `start` is the place of its first column. The tile is used up."""
    here = slice(row, row + len(tile))
    k = found[0].shape[1]
    cosines, places = [found[0][here]], [found[1][here]]
    for _ in range(min(k, tile.shape[1])):
        best = tile.argmax(1, keepdim=True)  # of equals the first, which topk does not promise
        cosines.append(tile.gather(1, best))
        places.append(best + start)
        tile.scatter_(1, best, -torch.inf)
    together, where = torch.cat(cosines, 1), torch.cat(places, 1)
    ordered = torch.sort(together, dim=1, descending=True, stable=True)
    found[0][here] = ordered.values[:, :k]
    found[1][here] = where.gather(1, ordered.indices[:, :k])


def _on_host(found: tuple[Tensor, Tensor]) -> Found:
    return found[0].cpu().numpy(), found[1].cpu().numpy()
