"""Rows of different lengths as two flat arrays: no padding, no Python object per row, and Arrow's own layout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

IDS_TYPE = pa.list_(pa.int32())


@dataclass(frozen=True)
class Ragged:
    """Rows of token ids: row i is flat[offsets[i]:offsets[i + 1]]. flat int32 [tokens], offsets int64 [rows + 1]."""

    flat: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        return self.flat[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [rows]."""
        return np.diff(self.offsets)


def from_rows(rows: Sequence[Sequence[int]]) -> Ragged:
    """Rows of ids, packed."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    flat = np.fromiter((token for row in rows for token in row), dtype=np.int32, count=int(offsets[-1]))
    return Ragged(flat, offsets)


def from_column(column: pa.ChunkedArray) -> Ragged:
    """A list<int32> column; a null row becomes an empty one."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    offsets = np.zeros(len(array) + 1, dtype=np.int64)
    lengths = array.value_lengths().fill_null(0)
    np.cumsum(lengths.to_numpy(zero_copy_only=False), out=offsets[1:])
    flat = array.flatten().to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
    return Ragged(flat, offsets)


def to_column(rows: Ragged, missing: np.ndarray | None = None) -> pa.Array:
    """A list<int32> column; rows marked in `missing` (bool [rows]) become null."""
    offsets = pa.array(rows.offsets.astype(np.int32))
    mask = None if missing is None or not missing.any() else pa.array(missing)
    return pa.ListArray.from_arrays(offsets, pa.array(rows.flat), mask=mask)


def concatenate(parts: Sequence[Ragged]) -> Ragged:
    """Parts one after another."""
    offsets = [np.zeros(1, dtype=np.int64)]
    for part in parts:
        offsets.append(offsets[-1][-1] + part.offsets[1:])
    flat = [part.flat for part in parts] or [np.zeros(0, dtype=np.int32)]
    return Ragged(np.concatenate(flat), np.concatenate(offsets))
