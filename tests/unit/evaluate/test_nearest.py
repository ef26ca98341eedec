"""Accuracy of nearest neighbours: hand-counted, in the right direction, on the right layer."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from isthmus.errors import DataError
from isthmus.evaluate.metrics import nearest
from isthmus.evaluate.statistics import wilson

SPEC = {"target": "look", "language": "xx", "split": "test"}


def gold(size: int = 3, unmatched: Sequence[int] = ()) -> pa.Table:
    matched = [[] if n in unmatched else [n] for n in range(size)]
    return pa.table(
        {
            "id": [f"a-{n}" for n in range(size)] + [f"b-{n}" for n in range(size)],
            "side": pa.array([0] * size + [1] * size, pa.int32()),
            "text": ["."] * 2 * size,
            "matches": pa.array(
                [[f"{side}-{n}" for n in row] for side in "ba" for row in matched], pa.list_(pa.string())
            ),
        }
    )


def predicted(*layers: Sequence[int]) -> pa.Table:
    """What each layer answers to the English sentences 0, 1, 2 ..."""
    rows = [
        (f"b-{n}", layer, f"a-{answer}")
        for layer, found in enumerate(layers)
        for n, answer in enumerate(found)
    ]
    return pa.table(
        {
            "id": [name for name, _, _ in rows],
            "layer": pa.array([layer for _, layer, _ in rows], pa.int32()),
            "candidate": [candidate for _, _, candidate in rows],
            "score": pa.array([0.5] * len(rows), pa.float32()),
        }
    )


def test_the_layer_of_the_protocol_is_read_where_there_is_no_dev() -> None:
    scored = nearest.score({"test": gold()}, {"test": predicted([0, 0, 0], [0, 1, 0], [0, 1, 2])}, SPEC)
    assert scored.ids == ["b-0", "b-1", "b-2"] and scored.parts.tolist() == [[1.0], [1.0], [0.0]]
    assert scored.details["layer"] == 1 and scored.details["chosen_by"] == "protocol"
    assert scored.details["layers"] == {"0": pytest.approx(1 / 3), "1": pytest.approx(2 / 3), "2": 1.0}
    assert scored.floor == pytest.approx(1 / 3) and scored.rows == 3


@pytest.mark.parametrize(("layers", "expected"), [(24, 14), (12, 7), (6, 4), (4, 2), (2, 1), (1, 1)])
def test_the_protocols_layer_is_at_the_same_depth(layers: int, expected: int) -> None:
    assert nearest.protocol_layer(layers) == expected


def test_the_layer_is_the_best_on_dev_and_of_equals_the_lowest() -> None:
    tables = {"test": predicted([0, 0, 0], [0, 1, 2], [0, 1, 0]), "dev": predicted([0, 1], [0, 0], [0, 1])}
    scored = nearest.score({"test": gold(), "dev": gold(2)}, tables, SPEC)
    assert scored.parts.mean() == pytest.approx(1 / 3)
    assert scored.details["layer"] == 0 and scored.details["chosen_by"] == "dev"
    assert scored.details["dev_layers"] == {"0": 1.0, "1": 0.5, "2": 1.0}
    assert scored.details["layers"]["1"] == 1.0


def test_a_dev_split_without_gold_or_predictions_chooses_nothing() -> None:
    right = predicted([0, 1, 2])
    for dev_gold, tables in (
        (gold(3, [0, 1, 2]), {"test": right, "dev": right}),
        (gold(), {"test": right}),
    ):
        scored = nearest.score({"test": gold(), "dev": dev_gold}, tables, SPEC)
        assert scored.details["chosen_by"] == "protocol" and "dev_layers" not in scored.details


def test_sentences_without_gold_do_not_count() -> None:
    scored = nearest.score({"test": gold(4, [1])}, {"test": predicted([0, 1, 0, 3])}, SPEC)
    assert scored.ids == ["b-0", "b-2", "b-3"] and scored.parts[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert scored.rows == 4 and scored.floor == pytest.approx(1 / 3)
    nothing = nearest.score({"test": gold(2, [0, 1])}, {"test": predicted([0, 1])}, SPEC)
    assert nothing.ids == [] and nothing.parts.shape == (0, 1) and nothing.floor is None


def test_one_answer_to_everything_gives_the_floor() -> None:
    scored = nearest.score({"test": gold(10)}, {"test": predicted([7] * 10)}, SPEC)
    assert scored.parts.mean() == scored.floor == 0.1


def test_the_order_of_the_answers_does_not_matter() -> None:
    tables = predicted([0, 1, 0]).take([2, 0, 1])
    assert nearest.score({"test": gold()}, {"test": tables}, SPEC).parts[:, 0].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        (predicted([0, 1, 3]), "no sentence of the other side"),
        (predicted([0, 1, 2, 2]), "none of the 3 sentences"),
        (predicted([0, 1]), "no answer to 'b-2' in layer 0"),
        (predicted([0, 1, 2], [0, 1]), "no answer to 'b-2' in layer 1"),
        (pa.concat_tables([predicted([0, 1, 2]), predicted([0, 1, 2])]), "'b-0' more than once"),
        (pa.concat_tables([predicted([0], [0]), predicted([0, 1, 2])]), "layers in the order"),
        (predicted([], [0, 1, 2]), "some are missing"),
        (predicted(), "some are missing"),
        (predicted([0, 1, 2]).drop_columns("candidate"), "no column candidate"),
    ],
)
def test_answers_that_do_not_belong_to_the_gold_are_refused(answers: pa.Table, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        nearest.score({"test": gold()}, {"test": answers}, SPEC)


def test_an_english_sentence_is_no_answer() -> None:
    table = predicted([0, 1, 2])
    english = table.set_column(2, "candidate", pa.array(["b-0", "b-1", "b-2"]))
    with pytest.raises(DataError, match="other side"):
        nearest.score({"test": gold()}, {"test": english}, SPEC)


def test_other_layers_on_dev_are_refused() -> None:
    tables = {"test": predicted([0, 1, 2], [0, 1, 2]), "dev": predicted([0, 1, 2])}
    with pytest.raises(DataError, match="other layers"):
        nearest.score({"test": gold(), "dev": gold()}, tables, SPEC)


def test_values_and_interval() -> None:
    assert nearest.values(np.array([[0.25], [1.0]]))["accuracy"].tolist() == [0.25, 1.0]
    assert nearest.interval(np.array([[1.0], [0.0], [1.0]]), "x") == wilson(2, 3)
