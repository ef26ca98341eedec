"""Texts as hashes: of the whole and of every run of words, for finding the same words elsewhere.

What counts as the same text is decided here. A text is normalised (NFKC, case folded), and letters, digits and their marks
are all that is left of it; everything else parts words. A whole text is its letters without what parts them, so that
"do n't" is "don't". An n-gram is a run of 13 words (Brown et al. 2020, appendix C, who take 8 to 13); of a text that has
8 to 12 words a run of 8; one with fewer words has none.

Scripts that write no blanks have no words to count: each of their characters stands for itself, and a text that consists
mostly of such takes so many of them for a word: 2 of Han and kana, 5 of Thai, Lao, Khmer and the like. (On the premises of
XNLI's test set there are 1.6 Chinese and 5.1 Thai characters for each English word, in that of PAWS-X 2.4 Japanese ones.)

Hashes have 64 bits. They are polynomials over random values of the characters, then of the words; all runs of one length
cost one subtraction of prefix sums each, whatever the length. numpy and the standard library only.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORDS, FEWER = 13, 8
Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

# Kinds of characters: not part of a word, of a word, and of scripts without blanks the two that differ in what they
# take for a word.
_APART, _LETTER, _DENSE, _LOOSE = range(4)
_UNKNOWN = 255
_PER_WORD = np.array([0, 1, 2, 5])
_DENSE_RANGES = ((0x3005, 0x3007), (0x3041, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_LOOSE_RANGES = ((0x0E00, 0x109F), (0x1780, 0x17FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F))

# Steele, Lea and Flood 2014 (splitmix64); the base is any odd number, so that it can be undone.
_GAMMA, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_BASE = 0x5851F42D4C957F2D


@dataclass(frozen=True)
class Grams:
    """Of T texts: `whole` [T], 0 for one without letters; the n-grams of each, flat with offsets [T + 1], in `long` where a
    text has 13 words or more, and in `short`, runs of 8, where it has 8 or more.
    """

    whole: Hashes
    long: Hashes
    long_ends: Places
    short: Hashes
    short_ends: Places


def grams(texts: Sequence[str]) -> Grams:
    """The hashes of some texts."""
    folded = [unicodedata.normalize("NFKC", text).casefold() for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(text) + 1 for text in folded], dtype=np.int64)])
    # The line end after each text parts it from the next.
    joined = "".join(f"{text}\n" for text in folded).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(joined, "<u4")
    kinds = _kinds(codes)
    within = kinds != _APART
    letters = _before(within, ends)
    values = _mixed(codes[within].astype(np.uint64))
    whole = np.where(np.diff(letters) > 0, _runs(values, letters[:-1], letters[1:]), np.uint64(0))

    alone = kinds > _LETTER
    begins = alone | (within & np.concatenate([[True], kinds[:-1] != _LETTER]))
    starts = np.flatnonzero(begins[within])
    words = _runs(values, starts, np.append(starts[1:], len(values)))
    bounds = np.searchsorted(starts, letters)
    dense, loose = (np.diff(_before(kinds == kind, ends)) for kind in (_DENSE, _LOOSE))
    unspaced = dense + loose > np.diff(letters) / 2
    per_word = _PER_WORD[np.where(unspaced, np.where(dense >= loose, _DENSE, _LOOSE), _LETTER)]
    return Grams(
        whole, *_windows(words, bounds, WORDS * per_word), *_windows(words, bounds, FEWER * per_word)
    )


def _windows(words: Hashes, bounds: Places, sizes: Places) -> tuple[Hashes, Places]:
    """The hashes of every run of sizes[t] words of each text t, flat, and the offsets [T + 1]."""
    text = np.repeat(np.arange(len(sizes)), np.diff(bounds))
    stops = np.arange(len(words)) + sizes[text]
    fitting = np.flatnonzero(stops <= bounds[1:][text])
    counts = np.bincount(text[fitting], minlength=len(sizes))
    return _runs(words, fitting, stops[fitting]), np.concatenate([[0], np.cumsum(counts)])


def _runs(values: Hashes, starts: Places, stops: Places) -> Hashes:
    """One hash for each stretch of values, from starts to before stops."""
    powers, inverses = _powers(len(values) + 1)
    sums = np.concatenate(
        [np.zeros(1, np.uint64), np.cumsum(values * powers[: len(values)], dtype=np.uint64)]
    )
    return _mixed((sums[stops] - sums[starts]) * inverses[starts] + (stops - starts).astype(np.uint64))


_POWERS = [np.ones(1, np.uint64), np.ones(1, np.uint64)]


def _powers(count: int) -> tuple[Hashes, Hashes]:
    """At least so many powers of the base and of its inverse modulo 2^64, from the 0th: one table, which grows."""
    if len(_POWERS[0]) < count:
        for place, base in enumerate((_BASE, pow(_BASE, -1, 1 << 64))):
            factors = np.full(1 << max(10, count.bit_length()), base, np.uint64)
            factors[0] = 1
            _POWERS[place] = np.cumprod(factors, dtype=np.uint64)
    return _POWERS[0], _POWERS[1]


def _mixed(values: Hashes) -> Hashes:
    """Numbers spread over 64 bits, each other numbers."""
    z = values + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def _before(marks: NDArray[np.bool_], ends: Places) -> Places:
    """How many marks stand before each end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(marks)])[ends]


_TABLE = np.full(0x110000, _UNKNOWN, np.uint8)


def _kinds(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The kind of each character; what was looked up once is remembered."""
    kinds = _TABLE[codes]
    unknown = np.unique(codes[kinds == _UNKNOWN])
    if len(unknown):
        _TABLE[unknown] = [_kind(code) for code in unknown.tolist()]
        kinds = _TABLE[codes]
    return kinds


def _kind(code: int) -> int:
    if unicodedata.category(chr(code))[0] not in "LNM":
        return _APART
    for kind, ranges in ((_DENSE, _DENSE_RANGES), (_LOOSE, _LOOSE_RANGES)):
        if any(first <= code <= last for first, last in ranges):
            return kind
    return _LETTER
