"""Predictions and gold of the same examples, joined by id."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.errors import DataError


def align(gold: pa.Table, predicted: pa.Table, where: str) -> NDArray[np.int64]:
    """Positions of the gold rows in the predictions, shape (n,); both sides must hold the same ids once.

    Raises:
        DataError: ids are missing, extra or doubled.
    """
    mine, theirs = (
        column(gold, "id", f"The gold of {where}"),
        column(predicted, "id", f"The prediction of {where}"),
    )
    if mine == theirs and len(set(mine)) == len(mine):
        return np.arange(len(mine))
    places = {name: position for position, name in enumerate(theirs)}
    known = set(mine)
    problems = [
        text
        for text in (
            _problem("gold ids are doubled", _doubled(mine)),
            _problem("predicted ids are doubled", _doubled(theirs)),
            _problem("ids of the gold have no prediction", [i for i in mine if i not in places]),
            _problem("predicted ids are not in the gold", [i for i in theirs if i not in known]),
        )
        if text
    ]
    if problems:
        raise DataError(
            f"Predictions and gold of {where} do not hold the same examples: {'; '.join(problems)}. They must "
            "come from the same rows of the same data: delete the prediction's artifact and predict again; if "
            "ids are doubled in the gold, choose another id column in the task's YAML."
        )
    return np.array([places[name] for name in mine], np.int64)


def column(table: pa.Table, name: str, where: str) -> list[Any]:
    """A column's values.

    Raises:
        DataError: the column is missing, or has a hole.
    """
    if name not in table.column_names:
        raise DataError(
            f"{where} has no column {name}; it has {', '.join(table.column_names)}. Make it again with this version of isthmus."
        )
    if table.column(name).null_count:
        raise DataError(
            f"{where} has {table.column(name).null_count} empty values in the column {name}. Every row needs one (a row "
            "without gold carries the task's mark for it); make the file again."
        )
    values: list[Any] = table.column(name).to_pylist()
    return values


def _doubled(ids: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(ids).items() if count > 1]


def _problem(what: str, ids: Sequence[str]) -> str:
    if not ids:
        return ""
    first = ", ".join(repr(name) for name in ids[:3]) + (", ..." if len(ids) > 3 else "")
    return f"{len(ids)} {what} ({first})"
