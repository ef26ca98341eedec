"""The door: rows in canonical columns, or one clear sentence about what is wrong with them."""

import json

import pyarrow as pa
import pytest

from isthmus.data.fetch import canonical_rows
from isthmus.errors import DataError

LABELS = ["entailment", "neutral", "contradiction"]
SPEC = {
    "source": {},
    "columns": {"text_a": "premise", "text_b": "hypothesis", "label": "label"},
    "labels": LABELS,
}


def rows(label, names=None, **columns) -> pa.Table:
    count = len(label)
    table = pa.table(
        {
            "premise": pa.array(columns.get("premise", ["p"] * count), pa.string()),
            "hypothesis": pa.array(columns.get("hypothesis", ["h"] * count), pa.string()),
            "label": label,
            "idx": columns.get("idx", list(range(count))),
        }
    )
    if names is None:
        return table
    info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    return table.replace_schema_metadata({b"huggingface": json.dumps(info).encode()})


def labels(table: pa.Table, spec=SPEC) -> list[int]:
    return canonical_rows(table, spec, "xnli/en test")["label"].to_pylist()


def test_columns_are_renamed_and_ids_made():
    table = canonical_rows(rows([0, 2]), SPEC, "here")
    assert table.column_names == ["id", "text_a", "text_b", "label"]
    assert table.schema.field("label").type == pa.int32()
    assert table["id"].to_pylist() == ["0", "1"]


@pytest.mark.parametrize("label", [[0, 1, 2], ["entailment", "neutral", "contradiction"]])
def test_labels_are_places_in_the_tasks_list(label):
    assert labels(rows(label)) == [0, 1, 2]


def test_the_files_own_label_order_wins():
    # JGLUE orders entailment, contradiction, neutral: taken by place, every neutral would be a contradiction.
    assert labels(rows([0, 1, 2], names=["entailment", "contradiction", "neutral"])) == [0, 2, 1]


def test_rows_without_gold_are_kept_as_such():
    assert labels(rows([-1, 2, None])) == [-1, 2, -1]
    assert labels(rows(["", "neutral", None])) == [-1, 1, -1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows([0, 3]), "row 1 has the label 3"),
        (rows(["entailment", "maybe"]), "row 1 has the label 'maybe'"),
        (rows([0], names=["yes", "no", "maybe"]), "has the labels yes, no, maybe; the task expects"),
        (rows([0, 1], premise=["p", None]), "row 1 has no text_a"),
        (rows([0]).drop_columns(["hypothesis"]), "has no column 'hypothesis'; it has premise, label, idx"),
        (rows([]), "has no rows"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(table, message):
    with pytest.raises(DataError, match=message) as caught:
        labels(table)
    assert "xnli/en test" in str(caught.value)


def test_ids_that_occur_twice_are_refused():
    spec = {**SPEC, "columns": {**SPEC["columns"], "id": "idx"}}
    assert canonical_rows(rows([0, 1]), spec, "here")["id"].to_pylist() == ["0", "1"]
    with pytest.raises(DataError, match="more than once: 7"):
        canonical_rows(rows([0, 1], idx=[7, 7]), spec, "here")
