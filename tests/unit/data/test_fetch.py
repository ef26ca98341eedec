"""The door: rows in canonical columns, or one clear sentence about what is wrong with them."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data.fetch import canonical_rows, read, run
from isthmus.errors import DataError

LABELS = ["entailment", "neutral", "contradiction"]
SPEC = {
    "source": {},
    "family": "classify",
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
    return canonical_rows({"": table}, spec, "xnli/en test")["label"].to_pylist()


def test_columns_are_renamed_and_ids_made():
    table = canonical_rows({"": rows([0, 2])}, SPEC, "here")
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
    assert canonical_rows({"": rows([0, 1])}, spec, "here")["id"].to_pylist() == ["0", "1"]
    with pytest.raises(DataError, match="more than once: 7"):
        canonical_rows({"": rows([0, 1], idx=[7, 7])}, spec, "here")


def test_tags_are_places_in_the_tasks_list_whatever_the_files_order():
    feature = {"feature": {"names": ["O", "B"], "_type": "ClassLabel"}, "_type": "List"}
    metadata = json.dumps({"info": {"features": {"tags": feature}}})
    table = pa.table({"tokens": [["a", "b"], ["c"]], "tags": [[0, 1], [1]]})
    spec = {
        "source": {},
        "family": "tag",
        "columns": {"tokens": "tokens", "tags": "tags"},
        "labels": ["B", "O"],
    }
    found = canonical_rows({"": table.replace_schema_metadata({"huggingface": metadata})}, spec, "here")
    assert found["tags"].to_pylist() == [[1, 0], [0]]
    assert found["tags"].type == pa.list_(pa.int32())


def test_tags_without_a_list_of_labels_bring_their_own(unit, tmp_path):
    folder = tmp_path / "me" / "tags" / "default"
    folder.mkdir(parents=True)
    train = pa.table({"tokens": [["a", "b"], ["c"]], "tags": [["N", "NP/N"], ["N"]]})
    dev = pa.table({"tokens": [["a", "b"]], "tags": [["N", "S"]]})
    pq.write_table(train, folder / "train-00000-of-00001.parquet")
    pq.write_table(dev, folder / "validation-00000-of-00001.parquet")
    spec = {
        "source": {"hub": "hub", "id": "me/tags", "config": "default"},
        "family": "tag",
        "splits": {"train": "train", "dev": "validation"},
        "columns": {"tokens": "tokens", "tags": "tags"},
    }
    work = unit("work", spec, {"hub": tmp_path})
    run([work])
    assert json.loads((work.folder / "labels.json").read_text()) == ["N", "NP/N"]
    assert pq.read_table(work.folder / "train.parquet")["tags"].to_pylist() == [[0, 1], [0]]
    assert pq.read_table(work.folder / "dev.parquet")["tags"].to_pylist() == [[0, -1]]


def test_answers_are_two_lists():
    answers = [{"text": ["rain"], "answer_start": [3]}, {"text": [], "answer_start": []}]
    table = pa.table({"c": ["It rained.", "no"], "q": ["What?", "Who?"], "a": answers})
    spec = {"source": {}, "family": "span", "columns": {"context": "c", "question": "q", "answers": "a"}}
    found = canonical_rows({"": table}, spec, "here")
    assert found["answers"].to_pylist() == [["rain"], []]
    assert found["starts"].to_pylist() == [[3], []]


def test_several_splits_and_configs_and_a_prefix(unit, tmp_path):
    for config, split, ids in (("x", "r1", ["en-1", "de-1"]), ("x", "r2", ["en-2"]), ("y", "r1", ["en-9"])):
        folder = tmp_path / "me" / "set" / config
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": ids}), folder / f"{split}-00000-of-00001.parquet")

    def rows(splits, **source):
        work = unit("work", {"source": {"hub": "hub", "id": "me/set", **source}}, {"hub": tmp_path})
        return {name: table["id"].to_pylist() for name, table in read(work, splits).items()}

    assert rows(["r1", "r2"], config="x") == {"": ["en-1", "de-1", "en-2"]}
    assert rows("r1", config="x", where={"id": "en-*"}) == {"": ["en-1"]}
    assert rows("r1", configs={"a": "x", "b": "y"}) == {"a": ["en-1", "de-1"], "b": ["en-9"]}


def test_a_null_id_is_refused():
    spec = {**SPEC, "columns": {**SPEC["columns"], "id": "idx"}}
    with pytest.raises(DataError, match="row 1 has no id"):
        canonical_rows({"": rows([0, 1], idx=[7, None])}, spec, "here")


def test_a_pool_without_its_column_is_named():
    spec = {
        "source": {},
        "family": "retrieve",
        "columns": {"id": "id", "text": "sentense", "id_a": "id1", "id_b": "id2"},
    }
    pool = pa.table({"id": ["x"], "sentence": ["y"]})
    tables = {"a": pool, "b": pool, "gold": pa.table({"id1": ["x"], "id2": ["x"]})}
    with pytest.raises(DataError, match=r"here \(a\) has no column 'sentense'; it has id, sentence"):
        canonical_rows(tables, spec, "here")
    spec["columns"]["text"] = "sentence"
    found = canonical_rows(tables, spec, "here")
    assert found["matches"].to_pylist() == [["b-x"], ["a-x"]]
