"""Answers that are texts: exact match and the overlap of tokens with the best of several gold answers.

What is the same text, and what a token is, each metric decides by its own normalisation. Standard library and
numpy only.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.evaluate.join import align, column
from isthmus.evaluate.metrics import Scored
from isthmus.evaluate.statistics import Floats

NAMES = ("f1_em", "f1", "exact_match")
PARTS = ("f1", "exact_match")
EMPTY = ""


def values(means: Floats) -> dict[str, Floats]:
    """Mean parts [..., 2] to the mean of F1 and exact match (XTREME's score of a task), F1, and exact match."""
    f1, exact = means[..., 0], means[..., 1]
    return {"f1_em": (f1 + exact) / 2, "f1": f1, "exact_match": exact}


def score(
    gold: Mapping[str, pa.Table],
    predicted: Mapping[str, pa.Table],
    spec: Mapping[str, Any],
    normalise: Callable[[str], str],
) -> Scored:
    """F1 and exact match of every question of `spec["split"]`. The floor is what the empty answer gets.

    A question with an empty list of answers has none, and the empty prediction is right; a split in which no
    question has an answer is one without gold.

    Raises:
        DataError: the questions are not the same, or a column is missing or has a hole.
    """
    split = spec["split"]
    where = f"{spec['target']}/{spec['language']} {split}"
    order = align(gold[split], predicted[split], where)
    ids, answers = (column(gold[split], name, f"The gold of {where}") for name in ("id", "answers"))
    texts = column(predicted[split], "prediction", f"The prediction of {where}")
    if not any(answers):
        return Scored([], np.zeros((0, len(PARTS))), None, len(ids))
    parts, empty = (np.zeros((len(ids), len(PARTS))) for _ in range(2))
    for row, place in enumerate(order.tolist()):
        golds = [normalise(text) for text in answers[row]]
        parts[row] = quality(normalise(texts[place]), golds)
        empty[row] = quality(EMPTY, golds)
    return Scored(ids, parts, float(values(empty.mean(axis=0))["f1_em"]), len(ids))


def quality(text: str, golds: Sequence[str]) -> tuple[float, float]:
    """F1 and exact match of a normalised text, each against the gold answer that gives it most."""
    if not golds:
        return float(text == EMPTY), float(text == EMPTY)
    return max(f1(text, gold) for gold in golds), float(any(text == gold for gold in golds))


def f1(text: str, gold: str) -> float:
    """The harmonic mean of precision and recall of the tokens, split at white space; 0 where none is shared.

    So two texts that both come out empty match exactly and have F1 0, as in the scripts of SQuAD and MLQA.
    """
    left, right = Counter(text.split()), Counter(gold.split())
    shared = (left & right).total()
    if not shared:
        return 0.0
    precision, recall = shared / left.total(), shared / right.total()
    return 2 * precision * recall / (precision + recall)
