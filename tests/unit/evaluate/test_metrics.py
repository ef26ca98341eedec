"""Metrics: found by name, right on hand-counted examples."""

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import UsageError
from isthmus.evaluate import metrics
from isthmus.evaluate.statistics import wilson


@pytest.mark.parametrize("name", metrics.names())
def test_every_metric_has_what_the_stage_asks_for(name: str) -> None:
    metric = metrics.load(name)
    assert metric.NAMES and metric.PARTS
    means = metric.values(np.zeros((3, len(metric.PARTS))))
    assert set(means) == set(metric.NAMES)
    assert all(np.isfinite(values).all() and values.shape == (3,) for values in means.values())
    low, high = metric.interval(np.ones((5, len(metric.PARTS))), "any")
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize("name", ["acuracy", "", "accuracy.x", "../accuracy", "__init__", "os"])
def test_unknown_metric_is_the_users_error_and_names_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="accuracy"):
        metrics.load(name)


def scored(gold: list[int], predicted: list[int]) -> metrics.Scored:
    ids = [str(row) for row in range(len(gold))]
    tables = {"id": ids, "label": gold}, {"id": ids, "prediction": predicted}
    spec = {"target": "t", "language": "en", "split": "test"}
    gold_table, predicted_table = (pa.table(columns) for columns in tables)
    return metrics.load("accuracy").score({"test": gold_table}, {"test": predicted_table}, spec)


def test_accuracy_counts_equal_labels() -> None:
    accuracy, found = metrics.load("accuracy"), scored([0, 1, 2, 2], [0, 1, 1, 2])
    assert found.parts.tolist() == [[1.0], [1.0], [0.0], [1.0]]
    assert accuracy.values(found.parts.mean(axis=0))["accuracy"] == 0.75
    assert accuracy.interval(found.parts, "any") == wilson(3, 4)


def test_accuracy_floor_is_the_most_frequent_label() -> None:
    assert scored([0, 1, 1, 2], [0, 0, 0, 0]).floor == 0.5


def test_accuracy_knows_rows_without_gold() -> None:
    found = scored([0, -1, 2], [0, 0, 0])
    assert (list(found.ids), found.rows) == (["0", "2"], 3)
