"""Prediction measured side by side: XNLI in several languages, ours against `Trainer.predict` padded to 128."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.child import measure
from benchmarks.scale import Scale
from benchmarks.verdict import Target

FASTER = 3.0
SAME_LOGITS = 1e-4


def prediction(
    prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """The targets of prediction: rows per second, and the same answers."""
    told = {
        "tokens": prepared["tokens"],
        "parent": prepared["parent"],
        "form": prepared["forms"]["mnli"],
        "target": "xnli",
        "languages": prepared["languages"],
        "recipe": {"threads": scale.threads, "max_length": scale.max_length},
        "seed": 1,
        "padding": "fixed",
        "batch": scale.batch,
    }
    sides = {}
    for name, side in (("ours", "predict_ours"), ("fixed", "predict_trainer")):
        sides[name] = measure(side, told, work)
        say(f"prediction, {name}: {sides[name]['rows'] / sides[name]['seconds']:.1f} rows/s")
    return compare(sides)


def compare(sides: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How many times faster, and how far the answers are apart. A margin is a difference of two logits."""
    ours, other = sides["ours"], sides["fixed"]
    if ours["rows"] != other["rows"] or not ours["rows"]:
        raise ValueError(f"The sides predicted {ours['rows']} and {other['rows']} rows.")
    times = (ours["rows"] / ours["seconds"]) / (other["rows"] / other["seconds"])
    unequal = sum(a != b for a, b in zip(ours["answers"], other["answers"], strict=True))
    apart = max(abs(a - b) for a, b in zip(ours["margins"], other["margins"], strict=True))
    targets = [
        Target("rows per second, times Trainer.predict padded to 128", times, at_least=FASTER),
        Target("answers that differ", unequal, at_most=0),
        Target("largest difference of a margin (logits)", apart, at_most=SAME_LOGITS),
    ]
    return {
        "sides": sides,
        "times": times,
        "answers_that_differ": unequal,
        "largest_margin_difference": apart,
        "targets": [target.json() for target in targets],
    }
