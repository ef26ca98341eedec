"""The outputs of an inference on their way: each batch's rows put where they belong, on the disk where they are many."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.batch import Array
from isthmus.errors import StorageError
from isthmus.log import say

HELD = 2**30
"""Bytes of a column up to which it is held in main memory."""


class Columns:
    """The columns of so many rows by name: arrays, or lists where rows differ in length."""

    def __init__(self, rows: int, spill: Path | None = None) -> None:
        self.found: dict[str, Any] = {}
        self._rows = rows
        self._spill = spill

    def put(self, places: Array, part: Mapping[str, Any]) -> None:
        """Put the outputs of some rows into their places.

        Raises:
            StorageError: the disk has no room for a column that is too large for the memory.
        """
        for name, values in part.items():
            if isinstance(values, list):
                column = self.found.setdefault(name, [None] * self._rows)
                for place, value in zip(places, values, strict=True):
                    column[place] = value
            else:
                if name not in self.found:
                    self.found[name] = self._blank(values)
                if values.dtype != self.found[name].dtype:
                    raise TypeError(f"{name} is {values.dtype} here and {self.found[name].dtype} elsewhere")
                self.found[name][places] = values

    def _blank(self, values: Array) -> Array:
        """An array for all rows of what one batch has."""
        shape = (self._rows, *values.shape[1:])
        size = int(np.prod(shape, dtype=np.int64)) * values.dtype.itemsize
        if self._spill is None or size <= HELD:
            return np.empty(shape, values.dtype)
        say(f"{size / 2**30:.1f} GiB of {shape} vectors are kept in {self._spill} while they are needed.")
        if len(shape) < 3:
            return _on_disk(self._spill, shape, values.dtype, size)
        # What is read later is one layer of all rows: they lie side by side.
        turned = (shape[1], shape[0], *shape[2:])
        return _on_disk(self._spill, turned, values.dtype, size).swapaxes(0, 1)


def _on_disk(folder: Path, shape: tuple[int, ...], dtype: Any, size: int) -> Array:
    """An array in a file without a name, which is gone with the array, or with the process.

    Raises:
        StorageError: there is no room for it. Found out now, for writing to a mapped file on a full disk kills the process.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _take(file.fileno(), folder, size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise StorageError(
            f"{folder} has no room for {size / 2**30:.1f} GiB of vectors ({error}). They are needed only while the unit runs. "
            "Make room, keep the store elsewhere (ISTHMUS_STORE), or take fewer sentences."
        ) from error


def _take(file: int, folder: Path, size: int) -> None:
    """Give an empty file its size, with the room for it; where a system takes none (macOS), there must be enough of it now.

    Raises:
        OSError: there is no room for it.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
        return
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.truncate(file, size)
