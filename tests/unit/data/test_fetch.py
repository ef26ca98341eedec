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
    with pytest.raises(DataError, match="row 1 has the id '7', which row 0 has"):
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


def test_many_wrong_rows_are_counted_and_the_first_three_named_with_their_ids():
    spec = {**SPEC, "columns": {**SPEC["columns"], "id": "idx"}}
    with pytest.raises(DataError) as caught:
        canonical_rows({"": rows([3, 0, 4, 5, 6], idx=["a", "b", "c", "d", "e"])}, spec, "here")
    text = str(caught.value)
    assert text.startswith(
        "here: row 0 (id 'a') has the label 3; row 2 (id 'c') has the label 4; row 3 (id 'd')"
    )
    assert "4 rows are like that. The task expects entailment" in text


def test_a_wrong_tag_is_named_by_its_sentence():
    spec = {
        "source": {},
        "family": "tag",
        "columns": {"id": "id", "tokens": "tokens", "tags": "tags"},
        "labels": ["O", "B"],
    }
    table = pa.table({"id": ["p", "q"], "tokens": [["a", "b"], ["c"]], "tags": [[0, 1], [7]]})
    with pytest.raises(DataError, match=r"row 1 \(id 'q'\) has the label 7"):
        canonical_rows({"": table}, spec, "here")


SPAN = {"source": {}, "family": "span", "columns": {"context": "c", "question": "q", "answers": "a"}}
TAGS = {"source": {}, "family": "tag", "columns": {"tokens": "tokens", "tags": "tags"}, "labels": ["O", "B"]}


@pytest.mark.parametrize(
    ("table", "spec", "message"),
    [
        (rows([0.0, 1.0]), SPEC, "the column 'label' is double, not a label"),
        (rows([[0], [1]]), SPEC, "the column 'label' is list<.*>, not a label"),
        (
            rows([0]).set_column(0, "premise", [[{"a": 1}]]),
            SPEC,
            "the column 'premise' is struct<.*>, not string",
        ),
        (rows([0]).set_column(0, "premise", [[["p"]]]), SPEC, "the column 'premise' is list<.*>, not string"),
        (
            rows([0], idx=[{"n": 1}]),
            {**SPEC, "columns": {**SPEC["columns"], "id": "idx"}},
            "the column 'idx' is struct<.*>, not string",
        ),
        (
            pa.table({"c": ["x"], "q": ["y"], "a": [{"text": ["x"], "answer_start": ["first"]}]}),
            SPAN,
            "the column 'a.answer_start' is list<.*string>, not list<.*int32>",
        ),
        (
            pa.table({"tokens": [["a"]], "tags": ["O"]}),
            TAGS,
            "the column 'tags' is string, not a list of tags",
        ),
        (
            pa.table({"tokens": [[1]], "tags": [[0]]}),
            TAGS,
            "the column 'tokens' is list<.*int64>, not list<.*",
        ),
    ],
)
def test_a_column_of_the_wrong_type_is_named_with_both_types(table, spec, message):
    with pytest.raises(DataError, match=f"here: {message}"):
        canonical_rows({"": table}, spec, "here")


def written(tmp_path, name, **splits) -> None:
    folder = tmp_path / "me" / "set" / name
    folder.mkdir(parents=True)
    for split, table in splits.items():
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")


def test_one_bad_split_hinders_no_other_unit_and_every_bad_split_is_said(unit, tmp_path):
    written(tmp_path, "bad", dev=rows([0, 9]), test=rows([0]).drop_columns(["premise"]))
    written(tmp_path, "good", dev=rows([0]), test=rows([1]))
    works = []
    for config in ("bad", "gone", "good"):
        spec = {**SPEC, "source": {"hub": "hub", "id": "me/set", "config": config}}
        spec["splits"] = {"dev": "dev", "test": "test"}
        works.append(unit(config, spec, {"hub": tmp_path}))
    with pytest.raises(DataError) as caught:
        run(works)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("bad dev (me/set bad dev): row 1 has the label 9. ")
    assert lines[1].startswith("bad test (me/set bad test) has no column 'premise'")
    assert len(lines) == 4 and "gone" in lines[2] and "gone" in lines[3]
    assert [len(work.commit.calls) for work in works] == [0, 0, 1]


def test_files_of_one_split_that_differ_in_columns_are_named(unit, tmp_path):
    folder = tmp_path / "me" / "set" / "x"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a"]}), folder / "r-00000-of-00002.parquet")
    pq.write_table(pa.table({"name": ["a"]}), folder / "r-00001-of-00002.parquet")
    work = unit("work", {"source": {"hub": "hub", "id": "me/set", "config": "x"}}, {"hub": tmp_path})
    with pytest.raises(DataError, match=r"work \(me/set x r\): the files of it have other columns"):
        read(work, "r")
