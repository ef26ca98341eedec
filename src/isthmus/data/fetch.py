"""The fetch stage: a task's rows in one language, from whichever hub, in the project's own columns.

Everything below this stage is blind to hubs: it sees parquet files with the canonical columns of the task's
family, labels as indices into the spec's label list (-1 = no gold) and ids that are unique within a split.
"""

import importlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus import families
from isthmus.data import columns
from isthmus.data.faults import refuse
from isthmus.data.unspaced import unspaced
from isthmus.errors import DataError, HubError, IsthmusError
from isthmus.hubs import HUB_MODULES
from isthmus.log import say
from isthmus.work import Work

NO_GOLD = -1
LABELS = "labels.json"
TRAIN = "train"
LISTS = pa.list_(pa.string())
SPANS = pa.list_(pa.list_(pa.int32()))


def run(works: Sequence[Work]) -> None:
    """Fetch each unit: one task in one language, all the splits that its spec names.

    What is wrong with one split or language hinders no other: the good ones are committed, then all is said.

    Raises:
        DataError, HubError: something is wrong; one line for each split.
    """
    problems: list[IsthmusError] = []
    for work in works:
        problems += fetch(work)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = HubError if all(isinstance(error, HubError) for error in problems) else DataError
        raise kind("\n".join(map(str, problems)))


def fetch(work: Work) -> list[IsthmusError]:
    """Fetch and commit one unit, or give what is wrong with it."""
    rows, labels = {}, None
    problems: list[IsthmusError] = []
    for split in sorted(work.spec["splits"], key=lambda name: name != TRAIN):
        try:
            tables = read(work, work.spec["splits"][split])
            if split == TRAIN or labels is None:
                labels = own_labels(work, split, tables)
            table = canonical_rows(tables, work.spec, place(work, split), labels)
        except (DataError, HubError) as error:
            problems.append(type(error)(" ".join(str(error).split())))  # one line each: it stands in a list
            if split == TRAIN and brings_labels(work):
                break  # the other splits cannot be read without
            continue
        pq.write_table(table, work.folder / f"{split}.parquet", compression="zstd")
        rows[split] = {"rows": len(table), "published_rows": work.spec.get("rows", {}).get(split)}
    if not problems:
        rows = {split: rows[split] for split in work.spec["splits"]}
        say(f"{work.name}: " + ", ".join(_counted(split, **count) for split, count in rows.items()))
        work.commit(details={"splits": rows})
    return problems


def place(work: Work, split: str) -> str:
    """A split in the words of messages: ours, then the hub's."""
    source, names = work.spec["source"], work.spec["splits"][split]
    hub_split = names if isinstance(names, str) else "+".join(names)
    return f"{work.name} {split} ({source.get('id', '')} {' '.join(configs(source).values())} {hub_split})"


def brings_labels(work: Work) -> bool:
    """Whether the labels of its tags are those that its training split has."""
    return "tags" in work.spec["columns"] and "labels" not in work.spec


def own_labels(work: Work, split: str, tables: Mapping[str, pa.Table]) -> list[str] | None:
    """Where the task names no labels for its tags: those that the training split has, also written to labels.json."""
    if not brings_labels(work):
        return None
    if split != TRAIN:
        raise DataError(
            f"{work.name} names no labels and has no training split to take them from. Give `labels` in its YAML."
        )
    where = place(work, split)
    column = _tags(tables[""], work.spec["columns"]["tags"], where)
    labels = sorted({tag for tags in column.to_pylist() for tag in tags or () if tag is not None})
    (work.folder / LABELS).write_text(json.dumps(labels, ensure_ascii=False) + "\n", encoding="utf-8")
    return labels


def _tags(table: pa.Table, name: str, where: str) -> pa.Array:
    """The column of tags: a list for each row."""
    column = columns.column(table, name, where)
    if not pa.types.is_list(column.type):
        raise columns.mistyped(name, column.type, "a list of tags", where)
    return column


def configs(source: Mapping[str, Any]) -> dict[str, str]:
    """The configs that a source reads, by the names of their tables; "" where it is one."""
    return dict(source["configs"]) if "configs" in source else {"": source["config"]}


def _counted(split: str, rows: int, published_rows: int | None) -> str:
    cut = f" of {published_rows:,} published" if published_rows not in (None, rows) else ""
    return f"{split} {rows:,} rows{cut}"


def read(work: Work, hub_split: str | Sequence[str]) -> dict[str, pa.Table]:
    """A split's rows as the hub has them, already narrowed to the unit's language where one file serves many: a table
    by itself under "", or the tables of a source with several configs under their names.

    Raises:
        HubError: the hub does not have it.
        DataError: the spec's filter names a column that is not there, or files do not fit each other.
    """
    source = work.spec["source"]
    hub = importlib.import_module(HUB_MODULES[source["hub"]])
    names = [hub_split] if isinstance(hub_split, str) else hub_split
    found = {}
    for name, config in configs(source).items():
        try:
            parts = [hub.read({**source, "config": config}, split, work.inputs.get("hub")) for split in names]
            table = pa.concat_tables(parts)
        except pa.ArrowException as error:
            raise DataError(
                f"{work.name} ({source['id']} {config} {'+'.join(names)}): the files of it have other columns than each "
                f"other ({error}). Fetch them again, or read them as sources of their own."
            ) from error
        mine = _where(table, source.get("where", {}), work.name)
        if "join" in source:
            mine = _joined(mine, _where(table, source["join"]["where"], work.name), work)
        found[name] = mine
    return found


def _where(table: pa.Table, conditions: Mapping[str, str], name: str) -> pa.Table:
    for column, value in conditions.items():
        _require_column(table, column, name)
        if value.endswith("*"):
            table = table.filter(pc.starts_with(table[column], value.removesuffix("*")))
        else:
            table = table.filter(pc.equal(table[column], value))
    return table


def _joined(mine: pa.Table, others: pa.Table, work: Work) -> pa.Table:
    """Each row of `mine` with the text of the row of `others` that shares its `on`; null where there is none."""
    join, text = work.spec["source"]["join"], work.spec["columns"]["text"]
    for column in (join["on"], text):
        _require_column(mine, column, work.name)
    matches = dict(zip(others[join["on"]].to_pylist(), others[text].to_pylist(), strict=True))
    paired = [matches.get(value) for value in mine[join["on"]].to_pylist()]
    return mine.append_column(join["as"], pa.array(paired, pa.string()))


def _require_column(table: pa.Table, column: str, where: str) -> None:
    if column not in table.column_names:
        raise columns.missing(table, column, where)


def canonical_rows(
    tables: Mapping[str, pa.Table], spec: Mapping[str, Any], where: str, labels: Sequence[str] | None = None
) -> pa.Table:
    """The hub's rows in the canonical columns of the task's family: `id`, texts, labels as indices.

    `labels` are those of the training data where the task names none; what is not among them is no gold.

    Raises:
        DataError: a column is missing or of the wrong type, a text is null, an id occurs twice, a label is unknown, no
            row is left, or the family finds that the columns do not fit each other.
    """
    named = {}
    for name, table in tables.items():
        if not len(table):
            raise DataError(
                f"{where}{f' ({name})' if name else ''} has no rows. Correct the task's YAML (config, split, where) or the data."
            )
        table = _with_places(table, spec, labels) if labels is not None else table
        named[name] = _named(table, spec, where if not name else f"{where} ({name})", pool=name)
    return families.load(spec["family"]).canonical(named, where)


def _with_places(table: pa.Table, spec: Mapping[str, Any], labels: Sequence[str]) -> pa.Table:
    """The table with its tags as indices into the labels that were found."""
    name, places = spec["columns"]["tags"], {label: place for place, label in enumerate(labels)}
    tags = [row and [places.get(tag, NO_GOLD) for tag in row] for row in table[name].to_pylist()]
    return table.set_column(table.column_names.index(name), name, pa.array(tags, pa.list_(pa.int32())))


def _named(table: pa.Table, spec: Mapping[str, Any], where: str, pool: str) -> pa.Table:
    """A table's columns under our names; of sentences to mine, those of a pool (a, b) or of the pairs (gold)."""
    wanted = dict(spec["columns"])
    if pool:
        pairs = pool == "gold"
        wanted = {name: source for name, source in wanted.items() if (name in ("id_a", "id_b")) == pairs}
    found: dict[str, pa.Array] = {}
    if pool != "gold":
        found["id"] = _ids(table, wanted, where)
    names = found["id"].to_pylist() if "id" in wanted and "id" in found else None
    for name, source in wanted.items():
        if name == "id":
            continue
        if name in ("label", "tags"):
            found[name] = _labels(table, name, spec, where, names)
        elif name == "answers":
            texts = columns.column(table, f"{source}.text", where)
            starts = columns.column(table, f"{source}.answer_start", where)
            found["answers"] = columns.typed(texts, pa.list_(pa.string()), f"{source}.text", where)
            found["starts"] = columns.typed(starts, pa.list_(pa.int32()), f"{source}.answer_start", where)
        elif name == "sentences":
            found[name] = columns.typed(columns.column(table, source, where), SPANS, source, where)
        elif name in ("tokens", "choices"):
            found[name] = columns.array(columns.lists(table, source, where), LISTS, source, where)
        else:
            texts = columns.array(columns.texts(table, source, where), pa.string(), source, where)
            found[name] = _unspaced(texts) if spec.get("unspaced") else texts
        _refuse_nulls(found[name], name, spec, where, names)
    return pa.table(found)


def _unspaced(texts: pa.Array) -> pa.Array:
    return pa.array([text and unspaced(text) for text in texts.to_pylist()], pa.string())


def _ids(table: pa.Table, wanted: Mapping[str, str], where: str) -> pa.Array:
    if "id" not in wanted:
        return pa.array([str(row) for row in range(len(table))], pa.string())
    ids = columns.typed(columns.column(table, wanted["id"], where), pa.string(), wanted["id"], where)
    if ids.null_count:
        rows = ((row, "has no id (a null)") for row, name in enumerate(ids.to_pylist()) if name is None)
        refuse(where, rows, "Mend the data, or choose another id column.")
    if len(pc.unique(ids)) != len(ids):
        refuse(where, _repeated(ids.to_pylist()), "Mend the data, or choose another id column.")
    return ids


def _repeated(ids: Sequence[str]) -> Iterator[tuple[int, str]]:
    seen: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in seen:
            yield row, f"has the id {name!r}, which row {seen[name]} has"
        else:
            seen[name] = row


def _refuse_nulls(
    column: pa.Array, name: str, spec: Mapping[str, Any], where: str, ids: Sequence[str] | None
) -> None:
    joined = spec["source"].get("join", {}).get("as")
    if column.null_count and spec["columns"][name] != joined:
        empty = column.is_null().to_pylist()
        rows = ((row, f"has no {name} (a null)") for row, missing in enumerate(empty) if missing)
        refuse(where, rows, "Mend the data or leave the row out.", ids)


def _labels(
    table: pa.Table, name: str, spec: Mapping[str, Any], where: str, ids: Sequence[str] | None
) -> pa.Array:
    """Labels (or lists of them) as indices into the task's; where the task names none, they are that already."""
    source, labels = spec["columns"][name], spec.get("labels")
    column = _tags(table, source, where) if name == "tags" else columns.column(table, source, where)
    if labels is None:
        return column
    if name != "tags" and not _tells_labels(column.type):
        raise columns.mistyped(source, column.type, "a label", where)
    names = columns.class_names(table, source)
    if names is not None and sorted(names) != sorted(labels):
        raise DataError(
            f"{where} has the labels {', '.join(names)}; the task expects {', '.join(labels)}. Correct `labels` in the "
            "task's YAML, or take another source."
        )
    if name != "tags":
        rows: Sequence[int] = range(len(column))
        found = _indices(column.to_pylist(), column.type, names, labels, where, rows, ids)
        return pa.array(found, pa.int32())
    offsets = _offsets(column)
    rows = list(_row_of_each(offsets.to_pylist()))
    flat = _indices(column.flatten().to_pylist(), column.type.value_type, names, labels, where, rows, ids)
    return pa.ListArray.from_arrays(offsets, pa.array(flat, pa.int32()))


def _tells_labels(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return any(is_it(kind) for is_it in (*kinds, pa.types.is_null))


def _row_of_each(offsets: Sequence[int]) -> Iterator[int]:
    for row, (start, stop) in enumerate(itertools.pairwise(offsets)):
        yield from itertools.repeat(row, stop - start)


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Where each row of a list column begins in its flattened values."""
    lengths = [0 if length is None else length for length in pc.list_value_length(lists).to_pylist()]
    return pa.array([0, *itertools.accumulate(lengths)], pa.int32())


def _indices(
    values: Sequence[Any],
    kind: pa.DataType,
    names: list[str] | None,
    labels: list[str],
    where: str,
    rows: Sequence[int],
    ids: Sequence[str] | None,
) -> list[int]:
    """Labels as indices into `labels`. The file's own names win over positions, so another order cannot mislead.
    `rows` says which row each value is of.
    """
    order = names or labels
    places: dict[Any, int] = {None: NO_GOLD, NO_GOLD: NO_GOLD, "": NO_GOLD, str(NO_GOLD): NO_GOLD}
    for index, label in enumerate(order):
        places[index if pa.types.is_integer(kind) else label] = labels.index(label)
    refuse(
        where,
        ((rows[n], f"has the label {value!r}") for n, value in enumerate(values) if value not in places),
        f"The task expects {', '.join(labels)} or their places 0 to {len(labels) - 1}. Correct `labels` in the task's "
        "YAML or the data.",
        ids,
    )
    return [places[value] for value in values]
