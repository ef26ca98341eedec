"""What is wrong with rows: where, which, what, how many, and the remedy."""

import pytest

from isthmus.data.faults import refuse
from isthmus.errors import DataError


def said(faults, ids=None) -> str:
    with pytest.raises(DataError) as caught:
        refuse("xnli/de test", faults, "Mend it.", ids)
    return str(caught.value)


def test_nothing_wrong_is_nothing_said():
    refuse("here", [], "Mend it.")


def test_a_row_is_named_by_place_and_id():
    assert said([(1, "is bad")], ["a", "b"]) == "xnli/de test: row 1 (id 'b') is bad. Mend it."


@pytest.mark.parametrize("ids", [None, ["0", "1"], [0, 1], ["x"]])
def test_an_id_that_tells_nothing_is_left_out(ids):
    assert said([(1, "is bad")], ids) == "xnli/de test: row 1 is bad. Mend it."


def test_of_many_the_first_three_are_shown_and_all_are_counted():
    text = said([(row, f"has {row}") for row in range(2, 9)])
    assert text == "xnli/de test: row 2 has 2; row 3 has 3; row 4 has 4; 7 rows are like that. Mend it."
    assert "like that" not in said([(0, "a"), (1, "b"), (2, "c")])
