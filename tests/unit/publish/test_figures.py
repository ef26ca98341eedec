"""Positions and colours in the report's figures."""

from typing import Any

import pytest

from isthmus.publish import figures


def row(
    value: float | None, gain: float | None = None, low: float | None = None, high: float | None = None
) -> dict[str, Any]:
    baseline = None if gain is None or value is None else value - gain
    return {
        "value": value,
        "gain": gain,
        "ci_low": low,
        "ci_high": high,
        "baseline": baseline,
        "status": "ok",
    }


@pytest.mark.parametrize(
    ("gains", "unit"),
    [([], 0.1), ([None], 0.1), ([4.4, -1], 1.0), ([-8.2], 2.0), ([90.0], 20.0), ([0.2], 0.1)],
)
def test_the_largest_gain_fits_a_round_scale(gains: list[float | None], unit: float) -> None:
    assert figures.scale(gains).unit == unit


@pytest.mark.parametrize(
    ("gain", "step"), [(0.0, 0), (0.49, 0), (0.5, 1), (-0.5, -1), (2.6, 3), (99, 5), (-99, -5)]
)
def test_colour_steps_are_alike_on_both_sides(gain: float, step: int) -> None:
    assert figures.Scale(1.0).step(gain) == step


def test_no_gain_has_no_colour() -> None:
    assert figures.Scale(1.0).step(None) is None


def test_legend_reads_from_worst_to_best() -> None:
    legend = figures.Scale(0.5).legend()
    assert [step for step, _ in legend] == list(range(-5, 6))
    assert (legend[0][1], legend[5][1], legend[-1][1]) == ("−2.5", "0", "+2.5")


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([33.0, 91.2], 20, 100),
        ([70.1, 72.9], 70, 73),
        ([50.0], 49, 51),
        ([100.0], 99, 100),
        ([], 0, 100),
        ([None], 0, 100),
    ],
)
def test_axis_is_round_and_holds_all(values: list[float | None], low: float, high: float) -> None:
    axis = figures.axis(values)
    assert (axis.low, axis.high) == (low, high)
    positions = [x for x, _ in axis.ticks()]
    assert positions[0] == figures.LABELS and positions[-1] == figures.WIDTH - figures.RIGHT


def test_a_row_stands_where_its_numbers_say() -> None:
    axis = figures.Axis(0.0, 100.0, 25.0)
    panel = figures.panel([("mean", row(60, 10, 5, 15)), ("en", row(None))], axis, {"mean": 33.3})
    mean, english = panel["rows"]
    assert (mean["base"], mean["dot"]) == (axis.x(50), axis.x(60))
    assert mean["whisker"] == (axis.x(55), axis.x(65))
    assert (mean["tone"], mean["floor"]) == ("up", axis.x(33.3))
    assert english["blank"] == "ok" and "dot" not in english
    assert panel["void"] is None
    assert english["y"] - mean["y"] == figures.ROW


def test_a_panel_without_any_score_says_why() -> None:
    lost = row(None) | {"status": "diverged"}
    assert figures.panel([("mean", lost), ("en", None)], figures.axis([]), {})["void"] == "diverged, missing"


@pytest.mark.parametrize(
    ("low", "high", "tone"),
    [(0.1, 2, "up"), (-2, -0.1, "down"), (-1, 1, "even"), (0, 1, "even"), (None, None, "even")],
)
def test_tone_follows_the_interval(low: float | None, high: float | None, tone: str) -> None:
    assert figures.tone(row(50, 1, low, high)) == tone


def test_the_axis_has_room_for_intervals() -> None:
    assert sorted(figures.reach(row(60, 10, 5, 15))) == [50, 55, 60, 65]
    assert sorted(figures.reach(row(60, None, 55, 65))) == [55, 60, 65]
    assert figures.reach(None) == []
