"""One module per metric, found by its name.

A metric module has these names, and nothing else of isthmus knows which metrics there are:

    SCORES      the column that holds the gold, or the way of retrieval, of the tasks it can score
    NAMES       what `values` gives; the first is the main one, the one that counts in tables
    PARTS       the per-example columns that the metric is made of (for F1: hits, predicted, gold)
    score       gold and predictions to parts, example by example
    values      mean parts to metrics; so a resampled mean of parts is a resampled metric
    interval    the main metric's interval over examples

and may have

    FLOOR       what its floor is the score of, where that is no constant answer

Everything is between 0 and 1 here; tables show points. Shapes: n examples, k parts.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import pyarrow as pa

from isthmus.errors import UsageError
from isthmus.evaluate.statistics import Floats, bootstrap_mean


@dataclass(frozen=True)
class Scored:
    """What a metric found: `ids` and `parts` [n, k] of the examples with gold, out of `rows` examples.

    `floor` is the main metric of the best constant prediction, or of what FLOOR says, None where there is none; `details` are plain JSON
    that the score's file keeps.
    """

    ids: Sequence[str]
    parts: Floats
    floor: float | None
    rows: int
    details: Mapping[str, Any] = field(default_factory=dict)


class Metric(Protocol):
    """What every module of this package offers."""

    NAMES: tuple[str, ...]
    PARTS: tuple[str, ...]

    @staticmethod
    def score(
        gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]
    ) -> Scored:
        """The parts of the examples of `spec["split"]`; tables by split, others serve to choose settings.

        Raises:
            DataError: the two do not belong together.
        """
        ...

    @staticmethod
    def values(means: Floats) -> dict[str, Floats]:
        """Mean parts, shape (..., k), to each metric of NAMES, shape (...)."""
        ...

    @staticmethod
    def interval(parts: Floats, *names: str) -> tuple[float, float]:
        """The main metric's 95 % interval over examples; the names seed whatever is resampled."""
        ...


def bootstrap_interval(
    values: Callable[[Floats], Mapping[str, Floats]], main: str, parts: Floats, *names: str
) -> tuple[float, float]:
    """The percentile interval of a metric of mean parts [n, k], for metrics without one of their own."""
    return bootstrap_mean(parts, lambda means: values(means)[main], *names)


def names() -> list[str]:
    """The metrics there are, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Metric:
    """The metric module of that name.

    Raises:
        UsageError: there is no such metric.
    """
    if name not in names():
        raise UsageError(
            f"There is no metric called {name!r}. Those that exist: {', '.join(names())}. "
            "Correct `metric` in the task's YAML, or add a module to isthmus/evaluate/metrics."
        )
    return cast(Metric, importlib.import_module(f"{__name__}.{name}"))
