"""What was fetched: rows, gold, labels, and the sample to try things on."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.check import datasets
from isthmus.check.findings import Findings

IDS = pa.list_(pa.string())


def looked(
    tmp_path: Path, findings: Findings, rows=None, **splits: pa.Table
) -> dict[datasets.Key, datasets.Split]:
    for name, table in splits.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    source = {
        "task": "words",
        "language": "de",
        "hub": "me/words de",
        "splits": {name: f"{name}ed" for name in splits},
    }
    source |= {"rows": rows} if rows else {}
    return datasets.look({"data/words/de": source}, {"data/words/de": tmp_path}, findings)


def labelled(labels: list[int], texts: list[str] | None = None) -> pa.Table:
    texts = texts or [f"text {n}" for n in range(len(labels))]
    ids = [str(n) for n in range(len(labels))]
    return pa.table({"id": ids, "text_a": texts, "label": pa.array(labels, pa.int32())})


def use(trains: bool, **more) -> dict:
    return {"trains": trains, "data": ["data/words/de"], "labels": ["no", "yes"], **more}


@pytest.mark.parametrize(
    ("table", "gold"),
    [
        (labelled([0, 1, -1]), 2),
        (labelled([-1, -1]), 0),
        (pa.table({"id": ["a", "b"], "tags": [[-1, 0], [-1, -1]]}), 1),
        (pa.table({"id": ["a", "b"], "answers": pa.array([["x"], []], IDS)}), 2),
        (pa.table({"id": ["a", "b"], "answers": pa.array([[], []], IDS)}), 0),
        (pa.table({"id": ["a", "b"], "matches": pa.array([["b"], []], IDS)}), 1),
        (pa.table({"id": ["a"], "text": ["x"]}), None),
    ],
)
def test_rows_with_gold_are_counted(tmp_path, table, gold):
    (split,) = looked(tmp_path, Findings(), test=table).values()
    assert split.gold == gold
    assert split.where == "words/de test (me/words de tested)"


def test_the_sample_has_both_ends_and_rows_with_gold(tmp_path):
    table = labelled([-1] * 100 + [1] * 60 + [-1] * 40)
    (split,) = looked(tmp_path, Findings(), test=table).values()
    rows = [int(name) for name in split.sample["id"].to_pylist()]
    assert rows == [*range(8), *range(100, 124), *range(192, 200)]
    assert split.rows == 200 and split.labels == {1}


def test_the_sample_of_sentences_to_find_has_what_they_match(tmp_path):
    ids = [f"a{n}" for n in range(50)] + [f"b{n}" for n in range(50)]
    matches = [[f"b{n}"] if n == 20 else [] for n in range(50)] + [
        [f"a{n}"] if n == 20 else [] for n in range(50)
    ]
    (split,) = looked(
        tmp_path, Findings(), test=pa.table({"id": ids, "matches": pa.array(matches, IDS)})
    ).values()
    assert {"a20", "b20"} <= set(split.sample["id"].to_pylist())


def test_rows_are_held_against_what_was_published_where_that_is_known(tmp_path):
    findings = Findings()
    looked(tmp_path, findings, rows={"test": 3}, test=labelled([0, 1, 1]))
    assert not findings.problems
    looked(tmp_path, findings, rows={"test": 5}, test=labelled([0, 1, 1]))
    assert findings.problems[0].startswith(
        "words/de test (me/words de tested): it has 3 rows, and 5 were published."
    )


def test_a_file_that_cannot_be_read_hinders_no_other(tmp_path):
    findings = Findings()
    pq.write_table(labelled([0]), tmp_path / "dev.parquet")
    (tmp_path / "test.parquet").write_bytes(b"no")
    source = {"task": "w", "language": "de", "hub": "h", "splits": {"dev": "d", "test": "t"}}
    found = datasets.look({"data/w/de": source, "data/w/fr": source}, {"data/w/de": tmp_path}, findings)
    assert list(found) == [("data/w/de", "dev")]
    assert len(findings.problems) == 1 and findings.problems[0].startswith("w/de test (h t): ")


def test_empty_texts_are_told_of(tmp_path):
    findings = Findings()
    looked(tmp_path, findings, test=labelled([0, 1, 0], ["a", " ", ""]))
    assert findings.notes == [
        "words/de test (me/words de tested): 2 rows have an empty text_a, the first is row 1."
    ]
    assert not findings.problems


@pytest.mark.parametrize(
    ("labels", "trains", "problem", "note"),
    [
        ([0, 1], True, "", ""),
        ([-1, -1], True, "none of its 2 rows has a gold label, and the study trains on it", ""),
        ([-1, 1], True, "", "1 of 2 rows have no gold label"),
        ([-1, -1], False, "", "none of its 2 rows has a gold label: it gets no score"),
        ([-1, 1], False, "", "1 of 2 rows have no gold label"),
    ],
)
def test_rows_without_gold(tmp_path, labels, trains, problem, note):
    findings = Findings()
    splits = looked(tmp_path, findings, train=labelled(labels), test=labelled(labels))
    datasets.coverage([use(trains), use(trains)], splits, findings)  # each is said once
    for found, expected in ((findings.problems, problem), (findings.notes, note)):
        assert len(found) == bool(expected)
        assert expected in "".join(found)


def test_labels_that_were_never_learnt_are_told_of(tmp_path):
    findings = Findings()
    splits = looked(tmp_path, findings, train=labelled([0, 0]), test=labelled([0, 1]))
    datasets.coverage([use(False, learnt_from=["data/words/de"])], splits, findings)
    assert [note.partition(": ")[2] for note in findings.notes] == [
        "its gold has yes, which no row of its training data has."
    ]


def test_whole_texts_are_never_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "ROWS_AT_ONCE", 7)
    table = labelled([-1] * 60 + [1] * 40, [" " if n in (33, 71) else f"text {n}" for n in range(100)])
    pq.write_table(table, tmp_path / "test.parquet", row_group_size=30)
    monkeypatch.setattr(pq, "read_table", lambda *_: pytest.fail("the whole file was read"))
    monkeypatch.setattr(pq, "write_table", lambda *_: None)
    findings = Findings()
    (split,) = looked(tmp_path, findings, test=table).values()
    rows = [*range(8), *range(60, 84), *range(92, 100)]
    assert split.sample.equals(table.take(pa.array(rows)))
    assert split.head(50).equals(table.slice(0, 50))
    assert (split.rows, split.gold) == (100, 40)
    assert [note.partition(": ")[2] for note in findings.notes] == [
        "2 rows have an empty text_a, the first is row 33."
    ]
