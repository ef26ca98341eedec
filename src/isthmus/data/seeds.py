"""Randomness as a pure function of names: the same seed and names give the same numbers, in any order of asking.

Nothing keeps a generator's state between two steps, so a resumed run needs only its step number to go on with
the numbers of the uninterrupted one.
"""

import hashlib

import numpy as np


def number(*names: int | str) -> int:
    """A non-negative 63-bit number from a seed and names. `1` and `"1"` differ, as do `("ab", "c")`, `("a", "bc")`."""
    return int.from_bytes(hashlib.sha256(repr(names).encode()).digest()[:8], "big") >> 1


def stream(*names: int | str) -> np.random.Generator:
    """A fresh generator (PCG64) that belongs to a seed and names."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(number(*names))))
