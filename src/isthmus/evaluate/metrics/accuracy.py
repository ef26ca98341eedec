"""Accuracy: the share of examples whose predicted label is the gold label.

As the official scorer of XTREME has it for XNLI and PAWS-X (google-research/xtreme, evaluate.py): plain share
of equal labels; a macro average or ignored classes do not come in.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.evaluate.statistics import wilson

GOLD = "label"
PREDICTED = "prediction"
UNLABELLED = -1


def labelled(gold: NDArray[Any]) -> NDArray[np.bool_]:
    """Rows whose label is not -1, shape (n,)."""
    present: NDArray[np.bool_] = gold != UNLABELLED
    return present


def score(gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
    """1.0 where the labels are equal, else 0.0; all shapes (n,)."""
    return np.asarray(gold == predicted, np.float64)


def aggregate(values: NDArray[np.float64]) -> float:
    """Mean of the per-example values, 0 to 1; n must be at least 1."""
    return float(values.mean())


def interval(values: NDArray[np.float64], *names: str) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion, 0 to 1. Nothing is resampled, so `names` seed nothing."""
    return wilson(float(values.sum()), len(values))


def floor(gold: NDArray[Any]) -> float:
    """Accuracy of always answering the most frequent gold label, 0 to 1; n must be at least 1."""
    _, counts = np.unique(gold, return_counts=True)
    return float(counts.max() / counts.sum())
