"""Where things stand in the report's figures: colour steps of the heat maps, positions in the dot plots.

Only numbers come from here; the template draws them as SVG and tables. Lengths are SVG units.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.publish.results import signed

STEPS = 5  # colours on each side of zero
WIDTH = 340  # of a panel
LABELS = 58  # room for language names at the left
RIGHT = 12
TOP = 26  # room for the axis
ROW = 18
_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """A symmetric scale of gains: colour step k stands for about k times `unit` points."""

    unit: float

    def step(self, gain: float | None) -> int | None:
        """-STEPS to STEPS, 0 around no difference; None for no gain."""
        if gain is None:
            return None
        # floor(x + 0.5) on the magnitude keeps both signs alike; round() would favour even steps
        size = min(STEPS, math.floor(abs(gain) / self.unit + 0.5))
        return size if gain > 0 else -size

    def legend(self) -> list[tuple[int, str]]:
        """(step, label) from the worst to the best."""
        digits = 0 if self.unit == int(self.unit) else 1 if self.unit * 10 == int(self.unit * 10) else 2
        return [
            (k, f"{k * self.unit:+.{digits}f}".replace("-", "−") if k else "0")
            for k in range(-STEPS, STEPS + 1)
        ]


def scale(gains: Iterable[float | None]) -> Scale:
    """The scale on which the largest of these gains gets the strongest colour, with a round unit."""
    largest = max((abs(gain) for gain in gains if gain is not None), default=0.0)
    return Scale(next((unit for unit in _round_units() if unit * STEPS >= largest), 20.0))


def _round_units() -> list[float]:
    return [0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0]


@dataclass(frozen=True)
class Axis:
    """Scores from `low` to `high` (0 to 100), laid out over a panel's width, with round ticks."""

    low: float
    high: float
    tick: float

    def x(self, value: float) -> float:
        """The position of a score; what lies outside stops at the edge."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(LABELS + share * (WIDTH - LABELS - RIGHT), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """(position, label) of each tick."""
        count = round((self.high - self.low) / self.tick)
        return [(self.x(v), f"{v:g}") for v in (self.low + i * self.tick for i in range(count + 1))]


def axis(values: Iterable[float | None]) -> Axis:
    """The smallest round axis within 0 to 100 that holds all values."""
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 100.0)
    tick = next(t for t in (1.0, 2.0, 5.0, 10.0, 20.0, 25.0) if (high - low) / t <= _TICKS - 1 or t == 25.0)
    low, high = max(0.0, math.floor(low / tick) * tick), min(100.0, math.ceil(high / tick) * tick)
    if high <= low:
        low, high = max(0.0, low - tick), min(100.0, high + tick)
    return Axis(low, high, tick)


def panel(
    rows: Sequence[tuple[str, Mapping[str, Any] | None]], scores: Axis, floors: Mapping[str, float]
) -> dict[str, Any]:
    """A dot plot: one row per language, from the baseline's score to the arm's.

    Args:
        rows: label and row of gains.csv (for the baseline alone: a row whose ci_* are those of the score).
        floors: what can be had without looking, by label.

    Returns:
        void: why all rows are blank, or None; height and rows for the template: y and, where known, base, dot, whisker (x1, x2), floor, tone
        ("up", "down" where the interval leaves out zero, else "even"), or why the row is blank.
    """
    drawn = [
        {"label": label, "y": TOP + ROW * index + ROW / 2} | _marks(row, scores, floors.get(label))
        for index, (label, row) in enumerate(rows)
    ]
    reasons = {mark.get("blank") for mark in drawn}
    void = ", ".join(sorted(map(str, reasons))) if None not in reasons else None
    return {"void": void, "height": TOP + ROW * len(rows) + 4, "rows": drawn, "ticks": scores.ticks()}


def _marks(row: Mapping[str, Any] | None, scores: Axis, floor: float | None) -> dict[str, Any]:
    if row is None or row["value"] is None:
        return {"blank": row["status"] if row else "missing"}
    marks: dict[str, Any] = {"dot": scores.x(row["value"]), "value": f"{row['value']:.1f}", "tone": tone(row)}
    if floor is not None and scores.low <= floor <= scores.high:
        marks["floor"] = scores.x(floor)
    if row["gain"] is not None:
        marks |= {"base": scores.x(row["baseline"]), "gain": signed(row["gain"])}
    if row["ci_low"] is not None:
        zero = row["baseline"] if row["gain"] is not None else 0.0
        marks["whisker"] = (scores.x(zero + row["ci_low"]), scores.x(zero + row["ci_high"]))
    return marks


def reach(row: Mapping[str, Any] | None) -> list[float]:
    """The scores that a row of a dot plot must have room for."""
    if row is None or row["value"] is None:
        return []
    zero = row["baseline"] if row["gain"] is not None else 0.0
    ends = [zero + row[name] for name in ("ci_low", "ci_high") if row[name] is not None]
    return [row["value"], *([row["baseline"]] if row["gain"] is not None else []), *ends]


def tone(row: Mapping[str, Any]) -> str:
    """Whether the interval of the gain leaves out zero, and on which side."""
    if row["gain"] is None or row["ci_low"] is None:
        return "even"
    return "up" if row["ci_low"] > 0 else "down" if row["ci_high"] < 0 else "even"
