"""Targets: what was measured against what is asked, and the exit code that follows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PASSED, MISSED, NO_DATA = 0, 1, 2


@dataclass(frozen=True)
class Target:
    """A number that must lie between two bounds, either of which may be absent. NaN lies nowhere."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it is met."""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return low and high and self.value == self.value

    @property
    def asked(self) -> str:
        """The bounds as a person reads them."""
        bounds = [(self.at_least, "≥"), (self.at_most, "≤")]
        return " and ".join(f"{sign} {bound:g}" for bound, sign in bounds if bound is not None)

    def json(self) -> dict[str, Any]:
        """As a result records it."""
        return {"name": self.name, "value": self.value, "asked": self.asked, "passed": self.passed}


def exit_code(results: Iterable[Mapping[str, Any]]) -> int:
    """1 if any target of any result was missed, else 0."""
    return MISSED if any(not t["passed"] for result in results for t in result["targets"]) else PASSED


def largest_difference(one: Iterable[float], other: Iterable[float]) -> float:
    """The largest relative difference of two series, over as many values as both have; infinite if there are none."""
    pairs = list(zip(one, other, strict=False))
    return max((abs(a - b) / max(abs(a), abs(b), 1e-30) for a, b in pairs), default=float("inf"))
