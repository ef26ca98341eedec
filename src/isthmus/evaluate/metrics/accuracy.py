"""Accuracy: the share of examples whose predicted label is the gold label.

As the official scorer of XTREME has it for XNLI and PAWS-X (google-research/xtreme, evaluate.py): plain share
of equal labels; a macro average or ignored classes do not come in.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.evaluate.join import align, column
from isthmus.evaluate.metrics import Scored
from isthmus.evaluate.statistics import Floats, wilson

SCORES = "label"
NAMES = ("accuracy",)
PARTS = ("correct",)
UNLABELLED = -1


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """1.0 where the labels are equal, else 0.0. The floor is the share of the most frequent gold label."""
    split = spec["split"]
    mine, theirs = gold[split], predicted[split]
    where = f"{spec['target']}/{spec['language']} {split}"
    order = align(mine, theirs, where)
    labels = np.array(column(mine, "label", f"The gold of {where}"), np.int64)
    answers = np.array(column(theirs, "prediction", f"The prediction of {where}"), np.int64)[order]
    present = labels != UNLABELLED
    ids = mine.column("id").to_pylist()
    _, counts = np.unique(labels[present], return_counts=True)
    return Scored(
        ids=[ids[i] for i in np.flatnonzero(present)],
        parts=(labels == answers)[present, None].astype(np.float64),
        floor=float(counts.max() / counts.sum()) if len(counts) else None,
        rows=len(ids),
    )


def values(means: Floats) -> dict[str, Floats]:
    """The mean of the parts."""
    return {"accuracy": means[..., 0]}


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion. Nothing is resampled, so `names` seed nothing."""
    return wilson(float(parts.sum()), len(parts))
