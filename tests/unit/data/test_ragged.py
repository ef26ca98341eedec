import numpy as np
import pyarrow as pa

from isthmus.data import ragged

ROWS = [[5, 6, 7], [], [8]]


def test_rows_survive_the_way_into_a_column_and_back() -> None:
    column = pa.chunked_array([ragged.to_column(ragged.from_rows(ROWS))])
    assert column.type == ragged.IDS_TYPE
    back = ragged.from_column(column)
    assert [back[i].tolist() for i in range(3)] == ROWS
    assert back.lengths.tolist() == [3, 0, 1] and len(back) == 3


def test_missing_rows_are_null_in_the_column_and_empty_in_the_arrays() -> None:
    column = ragged.to_column(ragged.from_rows([[1], [], [2, 3]]), np.array([False, True, False]))
    assert column.to_pylist() == [[1], None, [2, 3]]
    back = ragged.from_column(pa.chunked_array([column, column]))
    assert [back[i].tolist() for i in range(6)] == [[1], [], [2, 3]] * 2


def test_a_sliced_column_gives_its_own_rows() -> None:
    column = pa.chunked_array([ragged.to_column(ragged.from_rows(ROWS))]).slice(1)
    assert [ragged.from_column(column)[i].tolist() for i in range(2)] == [[], [8]]


def test_concatenation_keeps_the_order() -> None:
    joined = ragged.concatenate([ragged.from_rows(ROWS), ragged.from_rows([[9, 9]])])
    assert [joined[i].tolist() for i in range(4)] == [*ROWS, [9, 9]]
    assert len(ragged.concatenate([])) == 0
