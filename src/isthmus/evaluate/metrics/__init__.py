"""One module per metric, found by its name.

A metric module has these names, and nothing else of isthmus knows which metrics there are:

    GOLD        str, the column of the data artifact that holds the gold
    PREDICTED   str, the column of the prediction artifact that holds the predictions
    labelled, score, aggregate, interval, floor  functions, as in `Metric`
"""

import importlib
import pkgutil
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import UsageError


class Metric(Protocol):
    """What every module of this package offers; arrays have one entry per example."""

    GOLD: str
    PREDICTED: str

    @staticmethod
    def labelled(gold: NDArray[Any]) -> NDArray[np.bool_]:
        """Which rows have gold, shape (n,)."""
        ...

    @staticmethod
    def score(gold: NDArray[Any], predicted: NDArray[Any]) -> NDArray[np.float64]:
        """Per-example values 0 to 1, shape (n,)."""
        ...

    @staticmethod
    def aggregate(values: NDArray[np.float64]) -> float:
        """The metric of these examples, 0 to 1."""
        ...

    @staticmethod
    def interval(values: NDArray[np.float64], *names: str) -> tuple[float, float]:
        """Its 95 % interval over examples, 0 to 1; the names seed whatever is resampled."""
        ...

    @staticmethod
    def floor(gold: NDArray[Any]) -> float | None:
        """What the best constant prediction gets, 0 to 1; None if there is none."""
        ...


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
