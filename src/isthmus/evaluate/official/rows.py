"""From the project's own rows to the values of XTREME's files, and from its predictions to them.

`data` is a split in the canonical columns of its family; labels are the task's, in the order of their indices.
Lines stand in the order of the data. Lists only: what turns Arrow into numpy imports pandas.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from isthmus.data.candidates import QUERY, right
from isthmus.errors import DataError
from isthmus.evaluate.join import align, column
from isthmus.evaluate.layers import Matches, sides
from isthmus.evaluate.metrics import mining, nearest
from isthmus.evaluate.official.forms import Form, Labels, Pairs, Tags
from isthmus.evaluate.official.ranks import Ranks

UNLABELLED = -1
TEST = "test"


def gold(form: Form, data: pa.Table, labels: Sequence[str] | None, where: str) -> list[Any]:
    """The right answers of a split; None for a label or tag that is not known, and no entry for such a question.

    Raises:
        DataError: a column is missing, or the labels are not XTREME's.
    """
    known = names(form, labels, where)
    if isinstance(form, Labels):
        if not form.names:
            return _places(data, where)
        return [_named(label, known) for label in column(data, "label", where)]
    if isinstance(form, Tags):
        return [[_named(tag, known) for tag in tags] for tags in column(data, "tags", where)]
    if isinstance(form, Pairs):
        other, _ = sides(data, where)
        return [(name, match) for name, matches in other.items() for match in matches]
    answers = zip(column(data, "id", where), column(data, "answers", where), strict=True)
    return [(name, texts) for name, texts in answers if texts]


def wanted(own: tuple[str, pa.Table], pool: Sequence[tuple[str, pa.Table]]) -> list[Any]:
    """The right candidates of each query of a split, which stands with its language as the tables of the pool do; no entry
    for a query that has none.
    """
    found, _ = right(own, pool)
    return [(name, candidates) for name, candidates in found.items() if candidates]


def predictions(
    form: Form, data: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]
) -> list[Any]:
    """The predictions for the test split, as its file has them.

    `spec` is that of the unit that scores them; splits other than test serve to choose the layer and the threshold
    of retrieval, as there.

    Raises:
        DataError: data and predictions do not belong together, the labels are not XTREME's, or dev cannot tell a
            threshold.
    """
    if isinstance(form, Pairs):
        return mining.pairs(data, predicted, spec)
    where = f"{spec['target']}/{spec['language']} {TEST}"
    if isinstance(form, Ranks):
        return _ranked(data[TEST], predicted[TEST], where)
    if isinstance(form, Labels) and not form.names:
        found = nearest.found(data, predicted, spec)
        _, places, order = _ordered(data[TEST], where)
        return [str(places[found[name]]) for name in order]
    mine, theirs = data[TEST], predicted[TEST]
    values = column(theirs, "prediction", f"The prediction of {where}")
    said = [values[place] for place in align(mine, theirs, where).tolist()]
    known = names(form, spec.get("labels"), where)
    if isinstance(form, Labels):
        return [_named(label, known) for label in said]
    if isinstance(form, Tags):
        return [[_named(tag, known) for tag in tags] for tags in said]
    return list(zip(column(mine, "id", where), said, strict=True))


def _ranked(data: pa.Table, predicted: pa.Table, where: str) -> list[Any]:
    """What each query of a split found."""
    sides = column(data, "side", where)
    queries = data.filter(pa.array([side == QUERY for side in sides], pa.bool_()))
    found = column(predicted, "found", f"The prediction of {where}")
    order = align(queries, predicted, where).tolist()
    return list(zip(column(queries, "id", where), [found[place] for place in order], strict=True))


def _named(label: int, known: Sequence[str] | None) -> str | None:
    return None if label == UNLABELLED or known is None else known[label]


def _places(data: pa.Table, where: str) -> list[str | None]:
    """For each English sentence in XTREME's order the place of its translation."""
    english, places, order = _ordered(data, where)
    return [str(places[english[name][0]]) if english[name] else None for name in order]


def _ordered(data: pa.Table, where: str) -> tuple[Matches, dict[str, int], list[str]]:
    """The English sentences with their matches, the place of each sentence of the other language in its file, and the
    English ids in XTREME's order: by text, code point by code point, equal ones as they stand (utils_preprocess.py).
    """
    other, english = sides(data, where)
    texts = dict(zip(column(data, "id", where), column(data, "text", where), strict=True))
    order = sorted(english, key=lambda name: texts[name].strip())
    return english, {name: place for place, name in enumerate(other)}, order


def names(form: Form, labels: Sequence[str] | None, task: str) -> Sequence[str] | None:
    """What XTREME's files call the labels of a task, in the order of their indices; None where it has no labels.

    Raises:
        DataError: it has labels that the files do not know.
    """
    known = form.names if isinstance(form, Labels | Tags) else ()
    if not known or (isinstance(form, Labels) and form.records):
        return known or None  # of choices, places count
    strangers = [label for label in labels or () if label not in known]
    if strangers or not labels:
        what = f"the labels {', '.join(strangers)}" if strangers else "no labels"
        raise DataError(
            f"{task} has {what}, and XTREME's files know {', '.join(known)}. Correct `labels` in its YAML."
        )
    return labels
