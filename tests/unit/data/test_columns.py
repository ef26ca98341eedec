"""Columns under our names: renamed, taken out of structs, put together."""

import numpy as np
import pyarrow as pa
import pytest

from isthmus.data import columns
from isthmus.errors import DataError

TABLE = pa.table(
    {
        "context": ["It rained.", "She slept."],
        "question": ["Why?", "When?"],
        "endings": [["a", "b"], ["c", "d"]],
        "begun": ["he", ""],
        "number": [1, 2],
        "choices": [{"label": ["A"], "text": ["x"]}, {"label": ["B"], "text": ["y"]}],
    }
)


def test_a_name_is_a_column_and_numbers_become_text():
    assert columns.texts(TABLE, "question", "here") == ["Why?", "When?"]
    assert columns.texts(TABLE, "number", "here") == ["1", "2"]


def test_a_template_joins_columns():
    assert columns.texts(TABLE, "{context} {question}", "here") == ["It rained. Why?", "She slept. When?"]


def test_a_template_with_a_list_goes_over_it_and_an_empty_part_leaves_no_blank():
    assert columns.lists(TABLE, "{begun} {endings}", "here") == [["he a", "he b"], ["c", "d"]]


def test_a_list_comes_from_a_column_a_field_or_a_template_for_each_place():
    assert columns.lists(TABLE, "endings", "here") == [["a", "b"], ["c", "d"]]
    assert columns.lists(TABLE, "choices.text", "here") == [["x"], ["y"]]
    assert columns.lists(TABLE, ["{question}", "{begun}!"], "here") == [["Why?", "he!"], ["When?", "!"]]


def test_a_null_stays_a_null():
    table = pa.table({"a": ["x", None], "b": ["y", "z"]})
    assert columns.texts(table, "{a} {b}", "here") == ["x y", None]
    assert columns.lists(table, ["a", "b"], "here") == [["x", "y"], None]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{context} {nothing}", "here has no column 'nothing'; it has context"),
        ("choices.words", "the column 'choices' has no field 'words'"),
        ("context.text", "the column 'context' has no field 'text'"),
        ("question", "row 0 has 'Why\\?' in question, which is no list"),
    ],
)
def test_what_is_not_there_is_said(source, message):
    with pytest.raises(DataError, match=message):
        columns.lists(TABLE, source, "here")


def test_lists_of_one_row_must_be_equally_long():
    table = pa.table({"a": [["x"]], "b": [["y", "z"]]})
    with pytest.raises(DataError, match="row 0 has lists of 1 and 2 entries"):
        columns.texts(table, "{a} {b}", "here")


def test_label_names_are_found_below_a_list():
    metadata = '{"info": {"features": {"tags": {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "List"}}}}'
    table = pa.table({"tags": [[0, 1]]}).replace_schema_metadata({"huggingface": metadata})
    assert columns.class_names(table, "tags") == ["O", "B"]
    older = '{"info": {"features": {"tags": [{"names": ["O", "B"], "_type": "ClassLabel"}]}}}'
    assert columns.class_names(table.replace_schema_metadata({"huggingface": older}), "tags") == ["O", "B"]
    assert columns.class_names(TABLE, "context") is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [([["a"]], "list<item: string>"), (["a", ["b"]], "of several types"), ([b"\xff"], "binary")],
)
def test_values_of_another_type_are_said_to_be_of_it(values, kind):
    with pytest.raises(DataError, match=f"here: the column 'context' is {kind}, not string"):
        columns.array(values, pa.string(), "context", "here")


@pytest.mark.parametrize("kind", [pa.large_list(pa.int64()), pa.list_(pa.int64(), 2), pa.list_(pa.int64())])
def test_all_kinds_of_lists_are_lists(kind):
    table = pa.table({"tags": pa.array([[0, 1], [1, 0]], kind)})
    found = columns.column(table, "tags", "here")
    assert pa.types.is_list(found.type) and found.to_pylist() == [[0, 1], [1, 0]]


def test_texts_of_more_than_two_gibibytes_are_read_part_by_part():
    # Three nulls, each of which takes a gibibyte that nobody looks at.
    data, places = pa.py_buffer(np.zeros(1 << 30, np.uint8)), pa.py_buffer(np.array([0, 1 << 30], np.int32))
    part = pa.Array.from_buffers(pa.string(), 1, [pa.py_buffer(b"\0"), places, data], 1)
    table = pa.table({"a": pa.chunked_array([part] * 3)})
    assert columns.texts(table, "a", "here") == columns.texts(table, "{a}!", "here") == [None] * 3


def test_a_table_without_rows_has_no_texts():
    table = TABLE.slice(0, 0)
    assert columns.texts(table, "question", "here") == columns.lists(table, "choices.text", "here") == []
