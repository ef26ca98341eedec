"""Reproducible random numbers: one independent stream per name.

The streams are read as raw 64-bit words of PCG64, which numpy promises to keep equal between versions, and
are seeded by SHA-256 of the name, so they are equal across processes, hash seeds and Python versions.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

WORLD_SEED = 20200526  # one world for everybody; studies vary their own seeds, not the data
T = TypeVar("T")


def fraction(name: str) -> float:
    """A fixed number in [0, 1) for a name: which split a meaning belongs to."""
    digest = hashlib.sha256(f"{WORLD_SEED}/{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class Dice:
    """A stream of random choices named `name`; `block` raw numbers are drawn at a time."""

    def __init__(self, name: str, block: int = 2048) -> None:
        entropy = int.from_bytes(hashlib.sha256(f"{WORLD_SEED}/{name}".encode()).digest()[:16], "big")
        self._source = np.random.PCG64(np.random.SeedSequence(entropy))
        self._block = block
        self._numbers: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._numbers:
            raw = self._source.random_raw(self._block)
            self._numbers = ((raw >> np.uint64(11)) * 2.0**-53).tolist()
        return self._numbers.pop()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely."""
        return options[int(self.uniform() * len(options))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a random order (Fisher and Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = int(self.uniform() * (last + 1))
            result[last], result[other] = result[other], result[last]
        return result
