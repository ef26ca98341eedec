"""Metrics: found by name, right on hand-counted examples."""

import numpy as np
import pytest

from isthmus.errors import UsageError
from isthmus.evaluate import metrics
from isthmus.evaluate.statistics import wilson


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_has_what_the_stage_asks_for(name: str) -> None:
    metric = metrics.load(name)
    for attribute in ("GOLD", "PREDICTED", "labelled", "score", "aggregate", "interval", "floor"):
        assert hasattr(metric, attribute), attribute


@pytest.mark.parametrize("name", ["acuracy", "", "accuracy.x", "../accuracy", "__init__", "os"])
def test_unknown_metric_is_the_users_error_and_names_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="accuracy"):
        metrics.load(name)


def test_accuracy_counts_equal_labels() -> None:
    accuracy = metrics.load("accuracy")
    gold, predicted = np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2])
    values = accuracy.score(gold, predicted)
    assert values.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert accuracy.aggregate(values) == 0.75
    assert accuracy.interval(values, "any") == wilson(3, 4)


def test_accuracy_floor_is_the_most_frequent_label() -> None:
    assert metrics.load("accuracy").floor(np.array([0, 1, 1, 2])) == 0.5


def test_accuracy_knows_rows_without_gold() -> None:
    assert metrics.load("accuracy").labelled(np.array([0, -1, 2])).tolist() == [True, False, True]
