"""Where the pieces of a text stand in it, in characters, and how a long one is cut into windows of pieces."""

import unicodedata
from collections.abc import Sequence

import numpy as np

from isthmus.data.batch import Array
from isthmus.data.ragged import Ragged

ABSENT = -1


def trimmed(text: str, spans: Sequence[tuple[int, int]]) -> tuple[Array, Array]:
    """Of each span its first character that is no white space, and the place after its last one, int32 [spans].

    A tokenizer may count the space before a word to the word, and a mark that it has composed with the letter before
    it to nothing: the mark goes with the letter. Of a span that is nothing but white space, the first place is at the
    second or after it.
    """
    size = len(text)
    inked = np.fromiter((not character.isspace() for character in text), bool, size)
    places = np.arange(size)
    following = np.full(size + 1, size)
    following[:size] = np.minimum.accumulate(np.where(inked, places, size)[::-1])[::-1]
    before = np.zeros(size + 1, np.int64)
    before[1:] = np.maximum.accumulate(np.where(inked, places + 1, 0))
    pairs = np.array(spans, np.int64).reshape(-1, 2)
    begins, ends = following[pairs[:, 0]], before[pairs[:, 1]]
    return begins.astype(np.int32), _with_marks(text, begins, ends, inked).astype(np.int32)


def _with_marks(text: str, begins: Array, ends: Array, inked: Array) -> Array:
    """The ends, moved over the combining marks behind them that are in no span."""
    real = ends > begins
    change = np.zeros(len(text) + 1, np.int64)
    np.add.at(change, begins[real], 1)
    np.add.at(change, ends[real], -1)
    lone = np.flatnonzero(inked & (np.cumsum(change)[:-1] == 0)).tolist()
    after = np.arange(len(text) + 1)
    for place in reversed(lone):
        if unicodedata.category(text[place]).startswith("M"):
            after[place] = after[place + 1]
    return np.where(real, after[ends], ends)


def covering(rows: Ragged, begins: Array, ends: Array, left: Array, right: Array) -> tuple[Array, Array]:
    """The first and the last piece of each row that holds a character of its stretch left to right; -1 if none does.

    `begins` and `ends` are the pieces' places, laid out as `rows`; all other arrays are int64 [rows].
    """
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    held = np.flatnonzero((ends > left[row]) & (begins < right[row]) & (ends > begins))
    place = held - rows.offsets[row[held]]
    first, last = (np.full(len(rows), ABSENT) for _ in range(2))
    first[row[held][::-1]] = place[::-1]  # of what is written to one row, the last stays
    last[row[held]] = place
    return first, last


def windows(lengths: Array, room: Array, stride: int) -> tuple[Array, Array]:
    """Cut rows of some lengths into windows of at most `room` [rows] pieces: row and first piece of each, in order.

    Windows begin `stride` pieces apart, or half the room where the stride would leave pieces out. A row without
    pieces has one window, empty.
    """
    step = np.where(room < stride, np.maximum(1, room // 2), stride)
    count = 1 + np.maximum(0, -(-(lengths - room) // step))
    row = np.repeat(np.arange(len(lengths)), count)
    number = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    return row, number * step[row]
