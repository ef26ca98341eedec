"""What was fetched, dataset by dataset: how many rows, how many with gold, which labels; and the rows to try things on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.check.findings import Findings
from isthmus.data.batch import Array

NO_GOLD = -1
LABELS = "labels.json"
TRAIN, DEV, TEST = "train", "dev", "test"
# Rows to try the tokenizer, features and heads on: the first with gold, the first and the last of all.
WITH_GOLD, AT_EACH_END = 24, 8
FACTS = ("id", "label", "tags", "answers", "matches")
"""The columns that gold and labels are told by, of all rows; texts are read of some, or some at a time."""
ROWS_AT_ONCE = 1 << 14
Key = tuple[str, str]
"""(role of a dataset, split)."""


@dataclass(frozen=True)
class Split:
    """One split of a task in one language: where it is, in the words of messages, and some facts of its rows."""

    where: str
    path: Path
    rows: int
    gold: int | None  # rows with gold; None where there are no labels at all
    labels: frozenset[int]
    sample: pa.Table

    def table(self) -> pa.Table:
        """All rows."""
        return pq.read_table(self.path)

    def head(self, rows: int) -> pa.Table:
        """The first rows."""
        return _taken(self.path, np.arange(min(rows, self.rows)))


def where_of(source: Mapping[str, Any], split: str) -> str:
    """A split in the words of messages: ours, then the hub's."""
    names = source["splits"].get(split, split)
    hub_split = names if isinstance(names, str) else "+".join(names)
    return f"{source['task']}/{source['language']} {split} ({source['hub']} {hub_split})"


def look(sources: Mapping[str, Any], inputs: Mapping[str, Path], findings: Findings) -> dict[Key, Split]:
    """Every split that is there."""
    found: dict[Key, Split] = {}
    for role, source in sources.items():
        for split in source["splits"] if role in inputs else ():
            where = where_of(source, split)
            with findings.caught(where):
                path = inputs[role] / f"{split}.parquet"
                found[role, split] = _split(where, path)
                _count(found[role, split], source.get("rows", {}).get(split), findings)
                _blanks(where, path, findings)
    return found


def own_labels(folder: Path) -> list[str] | None:
    """The labels that a task's training data bring along, where its file names none."""
    path = folder / LABELS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _split(where: str, path: Path) -> Split:
    facts = _facts(path)
    gold = _gold(facts)
    first = np.flatnonzero(gold)[:WITH_GOLD] if gold is not None else np.arange(0)
    ends = np.arange(len(facts))
    chosen = np.unique(np.concatenate([first, ends[:AT_EACH_END], ends[-AT_EACH_END:]]))
    if "matches" in facts.column_names:
        chosen = np.union1d(chosen, np.flatnonzero(named(facts, matched(facts.take(pa.array(chosen))))))
    return Split(
        where=where,
        path=path,
        rows=len(facts),
        gold=None if gold is None else int(gold.sum()),
        labels=_labels(facts),
        sample=_taken(path, chosen),
    )


def _facts(path: Path) -> pa.Table:
    """All rows, without their texts: these may be gigabytes."""
    with pq.ParquetFile(path) as file:
        return file.read([name for name in file.schema_arrow.names if name in FACTS])


def _taken(path: Path, rows: Array) -> pa.Table:
    """Some rows in all their columns; `rows` is sorted, int64."""
    begun, parts = 0, list[pa.RecordBatch]()
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        for group in range(file.num_row_groups):
            ended = begun + file.metadata.row_group(group).num_rows
            mine = rows[(rows >= begun) & (rows < ended)] - begun
            if len(mine):
                parts += _taken_of(file, group, mine)
            begun = ended
    return pa.Table.from_batches(parts, schema).combine_chunks()


def _taken_of(file: pq.ParquetFile, group: int, rows: Array) -> Iterator[pa.RecordBatch]:
    begun = 0
    for batch in file.iter_batches(ROWS_AT_ONCE, [group]):
        mine = rows[(rows >= begun) & (rows < begun + len(batch))] - begun
        if len(mine):
            yield batch.take(pa.array(mine))
        begun += len(batch)


def _gold(table: pa.Table) -> Array | None:
    """Which rows have gold, bool [rows]; None where no column is for it."""
    if "label" in table.column_names:
        labelled: Array = pc.not_equal(table["label"], NO_GOLD).to_numpy()
        return labelled
    if "tags" in table.column_names:
        lists = table["tags"].combine_chunks()
        marked = pc.not_equal(lists.flatten(), NO_GOLD).to_numpy(zero_copy_only=False)
        rows = pc.list_parent_indices(lists).to_numpy()
        return np.bincount(rows[marked], minlength=len(table)) > 0
    for name in ("matches", "answers"):
        if name in table.column_names:
            filled = pc.greater(pc.list_value_length(table[name]), 0).to_numpy()
            # A question without an answer has gold as long as another one has an answer.
            return filled if name == "matches" or not filled.any() else np.ones(len(table), bool)
    return None


def matched(table: pa.Table) -> pa.Array:
    """The ids that some rows match."""
    return table["matches"].combine_chunks().flatten()


def named(table: pa.Table, ids: pa.Array) -> Array:
    """Which rows have one of some ids, bool [rows]."""
    found: Array = pc.is_in(table["id"], ids).to_numpy()
    return found


def _labels(table: pa.Table) -> frozenset[int]:
    """The gold labels that occur."""
    if "label" in table.column_names:
        values = pc.unique(table["label"])
    elif "tags" in table.column_names:
        values = pc.unique(table["tags"].combine_chunks().flatten())
    else:
        return frozenset()
    return frozenset(values.to_pylist()) - {NO_GOLD}


def _count(split: Split, published: int | None, findings: Findings) -> None:
    if published is not None and published != split.rows:
        findings.problem(
            split.where,
            f"it has {split.rows:,} rows, and {published:,} were published. Fetch it again; if the publisher changed it, "
            "pin another revision or correct `rows` in the task's YAML.",
        )


def _blanks(where: str, path: Path, findings: Findings) -> None:
    """Texts without a letter are read as they are, so they are only told of."""
    with pq.ParquetFile(path) as file:
        names = [
            field.name for field in file.schema_arrow if field.type == pa.string() and field.name != "id"
        ]
        counts, first, begun = dict.fromkeys(names, 0), dict.fromkeys(names, 0), 0
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=names) if names else ():
            for name in names:
                blank = pc.equal(pc.utf8_trim_whitespace(batch[name]), "").fill_null(False)
                if count := pc.sum(blank).as_py():
                    first[name] = first[name] if counts[name] else begun + pc.index(blank, True).as_py()
                    counts[name] += count
            begun += len(batch)
    for name in names:
        if counts[name]:
            findings.note(
                where, f"{counts[name]:,} rows have an empty {name}, the first is row {first[name]}."
            )


def coverage(uses: Sequence[Mapping[str, Any]], splits: Mapping[Key, Split], findings: Findings) -> None:
    """Gold: none where something is trained or scored, and labels of a target that its training data never show."""
    said: set[str] = set()
    for use in uses:
        part = TRAIN if use["trains"] else TEST
        for split in (splits[role, part] for role in use["data"] if (role, part) in splits):
            if split.where in said:
                continue
            said.add(split.where)
            _gold_of(split, use["trains"], findings)
        _unseen(use, splits, findings)


def _gold_of(split: Split, trains: bool, findings: Findings) -> None:
    if split.gold is None or split.gold == split.rows:
        return
    if not split.gold and trains:
        findings.problem(
            split.where,
            f"none of its {split.rows:,} rows has a gold label, and the study trains on it. Take another source in the "
            "task's YAML, or leave the task out.",
        )
    elif not split.gold:
        findings.note(split.where, f"none of its {split.rows:,} rows has a gold label: it gets no score.")
    elif "matches" not in split.sample.column_names:  # of sentences to mine few have a match
        findings.note(split.where, f"{split.rows - split.gold:,} of {split.rows:,} rows have no gold label.")


def _unseen(use: Mapping[str, Any], splits: Mapping[Key, Split], findings: Findings) -> None:
    names = use.get("labels")
    learnt = [splits[role, TRAIN].labels for role in use.get("learnt_from", ()) if (role, TRAIN) in splits]
    if not names or not learnt:
        return
    seen = frozenset[int]().union(*learnt)
    for role in use["data"]:
        split = splits.get((role, TEST))
        missing = sorted(split.labels - seen) if split is not None and seen else []
        if split is not None and missing:
            listed = ", ".join(names[label] for label in missing)
            line = f"its gold has {listed}, which no row of its training data has."
            if f"{split.where}: {line}" not in findings.notes:
                findings.note(split.where, line)
