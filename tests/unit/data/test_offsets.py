"""Places of pieces in a text."""

import numpy as np
import pytest

from isthmus.data import ragged
from isthmus.data.offsets import covering, trimmed


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        ("ab cd", [(0, 2), (2, 5)], [(0, 2), (3, 5)]),  # the space before a word is not its own
        ("ab \n cd", [(0, 5), (5, 7)], [(0, 2), (5, 7)]),
        ("e\u0301a", [(0, 1), (2, 3)], [(0, 2), (2, 3)]),  # a mark that is in no span goes with its letter
        ("e\u0301a", [(0, 1), (1, 3)], [(0, 1), (1, 3)]),  # one that is in a span stays there
        ("a\u200b", [(0, 1)], [(0, 1)]),
        ("", [], []),
    ],
)
def test_spans_lose_white_space_and_gain_marks(text: str, spans: list, expected: list) -> None:
    begins, ends = trimmed(text, spans)
    assert list(zip(begins.tolist(), ends.tolist(), strict=True)) == expected
    assert begins.dtype == ends.dtype == np.int32


def test_a_span_of_white_space_holds_nothing() -> None:
    begins, ends = trimmed("a  b", [(0, 1), (1, 3), (3, 4)])
    assert begins.tolist() == [0, 3, 3] and ends.tolist() == [1, 1, 4]


def test_the_pieces_that_hold_a_stretch_are_the_first_and_the_last_with_a_character_of_it() -> None:
    rows = ragged.from_rows([[7, 7, 7], [7], [7, 7]])
    begins, ends = np.array([0, 3, 3, 0, 0, 5]), np.array([1, 1, 5, 2, 4, 9])
    first, last = covering(rows, begins, ends, np.array([0, 2, 3]), np.array([4, 4, 6]))
    assert first.tolist() == [0, -1, 0] and last.tolist() == [2, -1, 1]
    only_space = covering(rows, begins, ends, np.array([1, 0, 4]), np.array([5, 1, 5]))
    assert [places.tolist() for places in only_space] == [[2, 0, -1], [2, 0, -1]]
    nothing = covering(rows, begins, ends, np.array([2, 0, 4]), np.array([4, 0, 4]))
    assert [places.tolist() for places in nothing] == [[2, -1, -1], [2, -1, -1]]
    spaced = ragged.from_rows([[7, 7]])
    inverted = covering(spaced, np.array([0, 4]), np.array([1, 3]), np.array([2]), np.array([5]))
    assert [places.tolist() for places in inverted] == [[-1], [-1]]
