"""Predictions that every layer of an encoder has made: rows with the column `layer`, layer by layer.

Works on lists: what turns Arrow into numpy imports pandas, which costs more than a whole score.
"""

from collections import Counter

import numpy as np
import pyarrow as pa

from isthmus.errors import DataError
from isthmus.evaluate.join import column

Matches = dict[str, list[str]]
"""The ids of one side, each with the ids of its matches on the other."""


def by_layer(predicted: pa.Table, where: str) -> dict[int, pa.Table]:
    """The rows of each layer, in rising order of layers.

    Raises:
        DataError: a layer's rows are not together, or layers do not rise from 0.
    """
    layers = np.array(column(predicted, "layer", f"The prediction of {where}"), np.int64)
    starts = np.flatnonzero(np.diff(layers, prepend=-1))
    names = layers[starts].tolist()
    if names != sorted(set(names)) or min(names, default=0) < 0:
        raise mismatch(f"has its layers in the order {names[:8]} and not each once, rising from 0", where)
    stops = [*starts.tolist(), len(layers)][1:]
    return {
        layer: predicted.slice(start, stop - start)
        for layer, start, stop in zip(names, starts.tolist(), stops, strict=True)
    }


def sides(gold: pa.Table, where: str) -> tuple[Matches, Matches]:
    """The sentences of the other language and the English ones, in the data's order."""
    names = [column(gold, name, f"The gold of {where}") for name in ("side", "id", "matches")]
    halves: tuple[Matches, Matches] = ({}, {})
    for side, name, matches in zip(*names, strict=True):
        halves[side][name] = matches
    return halves


def answers(
    rows: pa.Table, asked: Matches, offered: Matches, where: str
) -> tuple[list[str], list[str], list[float]]:
    """The ids, candidates and scores of one layer.

    Raises:
        DataError: an id is none of `asked` or comes twice, or a candidate is none of `offered`.
    """
    ids, candidates, scores = (
        column(rows, name, f"The prediction of {where}") for name in ("id", "candidate", "score")
    )
    problem = ""
    if len(set(ids)) < len(ids):
        problem = f"has {Counter(ids).most_common(1)[0][0]!r} more than once"
    for name, candidate in zip(ids, candidates, strict=True):
        if name not in asked:
            problem = f"has {name!r}, which is none of the {len(asked)} sentences to be answered"
        elif candidate not in offered:
            problem = f"answers {name!r} with {candidate!r}, which is no sentence of the other side"
        if problem:
            raise mismatch(problem, where)
    return ids, candidates, scores


def mismatch(problem: str, where: str) -> DataError:
    """The error of predictions that do not belong to the gold."""
    return DataError(
        f"The prediction of {where} {problem}. Both must come from the same rows of the same data: delete the "
        "prediction's artifact and predict again."
    )
