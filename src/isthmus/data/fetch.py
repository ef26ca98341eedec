"""The fetch stage: a task's rows in one language, from whichever hub, in the project's own columns.

Everything below this stage is blind to hubs: it sees parquet files with the canonical columns of the task's
family, labels as indices into the spec's label list (-1 = no gold) and ids that are unique within a split.
"""

import importlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus import families
from isthmus.data import columns
from isthmus.errors import DataError
from isthmus.hubs import HUB_MODULES
from isthmus.log import say
from isthmus.work import Work

NO_GOLD = -1
LABELS = "labels.json"


def run(works: Sequence[Work]) -> None:
    """Fetch each unit: one task in one language, all the splits that its spec names."""
    for work in works:
        raw = {split: read(work, hub_split) for split, hub_split in work.spec["splits"].items()}
        rows = {}
        labels = own_labels(work, raw)
        for split, tables in raw.items():
            source = work.spec["source"]
            names = f"{source['id']} {' '.join(configs(source).values())} {work.spec['splits'][split]}"
            table = canonical_rows(tables, work.spec, f"{work.name} {split} ({names})", labels)
            pq.write_table(table, work.folder / f"{split}.parquet", compression="zstd")
            rows[split] = {"rows": len(table), "published_rows": work.spec.get("rows", {}).get(split)}
        say(f"{work.name}: " + ", ".join(_counted(split, **count) for split, count in rows.items()))
        work.commit(details={"splits": rows})


def own_labels(work: Work, raw: Mapping[str, Mapping[str, pa.Table]]) -> list[str] | None:
    """Where the task names no labels for its tags: those that the training split has, also written to labels.json."""
    if "tags" not in work.spec["columns"] or "labels" in work.spec:
        return None
    if "train" not in raw:
        raise DataError(
            f"{work.name} names no labels and has no training split to take them from. Give `labels` in its YAML."
        )
    column = columns.column(raw["train"][""], work.spec["columns"]["tags"], work.name)
    labels = sorted({tag for tags in column.to_pylist() for tag in tags or () if tag is not None})
    (work.folder / LABELS).write_text(json.dumps(labels, ensure_ascii=False) + "\n", encoding="utf-8")
    return labels


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
        DataError: the spec's filter names a column that is not there.
    """
    source = work.spec["source"]
    hub = importlib.import_module(HUB_MODULES[source["hub"]])
    names = [hub_split] if isinstance(hub_split, str) else hub_split
    found = {}
    for name, config in configs(source).items():
        parts = [hub.read({**source, "config": config}, split, work.inputs.get("hub")) for split in names]
        table = pa.concat_tables(parts)
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
        DataError: a column is missing, a text is null, an id occurs twice, a label is unknown, no row is left, or
            the family finds that the columns do not fit each other.
    """
    named = {}
    for name, table in tables.items():
        if not len(table):
            raise DataError(
                f"{where} has no rows. Correct the task's YAML (config, split, where) or the data."
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
    for name, source in wanted.items():
        if name == "id":
            continue
        if name in ("label", "tags"):
            found[name] = _labels(table, source, spec, where)
        elif name == "answers":
            found["answers"] = columns.column(table, f"{source}.text", where).cast(pa.list_(pa.string()))
            found["starts"] = columns.column(table, f"{source}.answer_start", where).cast(
                pa.list_(pa.int32())
            )
        elif name in ("tokens", "choices"):
            found[name] = pa.array(columns.lists(table, source, where), pa.list_(pa.string()))
        else:
            found[name] = pa.array(columns.texts(table, source, where), pa.string())
        _refuse_nulls(found[name], name, spec, where)
    return pa.table(found)


def _ids(table: pa.Table, wanted: Mapping[str, str], where: str) -> pa.Array:
    if "id" not in wanted:
        return pa.array([str(row) for row in range(len(table))], pa.string())
    ids = columns.column(table, wanted["id"], where).cast(pa.string())
    if ids.null_count:
        row = pc.index(ids.is_null(), True).as_py()
        raise DataError(f"{where}: row {row} has no id (a null). Mend the data, or choose another id column.")
    if len(pc.unique(ids)) != len(ids):
        counts = pc.value_counts(ids).to_pylist()
        twice = [entry["values"] for entry in counts if entry["counts"] > 1][:3]
        raise DataError(
            f"{where} has ids that occur more than once: {', '.join(map(str, twice))}. Mend the data."
        )
    return ids


def _refuse_nulls(column: pa.Array, name: str, spec: Mapping[str, Any], where: str) -> None:
    joined = spec["source"].get("join", {}).get("as")
    if column.null_count and spec["columns"][name] != joined:
        row = pc.index(column.is_null(), True).as_py()
        raise DataError(f"{where}: row {row} has no {name} (a null). Mend the data or leave the row out.")


def _labels(table: pa.Table, source: str, spec: Mapping[str, Any], where: str) -> pa.Array:
    """Labels (or lists of them) as indices into the task's; where the task names none, they are that already."""
    column, labels = columns.column(table, source, where), spec.get("labels")
    if labels is None:
        return column
    names = columns.class_names(table, source)
    if names is not None and sorted(names) != sorted(labels):
        raise DataError(f"{where} has the labels {', '.join(names)}; the task expects {', '.join(labels)}.")
    if not pa.types.is_list(column.type):
        return pa.array(_indices(column.to_pylist(), column.type, names, labels, where), pa.int32())
    flat = _indices(column.flatten().to_pylist(), column.type.value_type, names, labels, where)
    return pa.ListArray.from_arrays(_offsets(column), pa.array(flat, pa.int32()))


def _offsets(lists: pa.ListArray) -> pa.Array:
    """Where each row of a list column begins in its flattened values."""
    lengths = [0 if length is None else length for length in pc.list_value_length(lists).to_pylist()]
    return pa.array([0, *itertools.accumulate(lengths)], pa.int32())


def _indices(
    values: Sequence[Any], kind: pa.DataType, names: list[str] | None, labels: list[str], where: str
) -> list[int]:
    """Labels as indices into `labels`. The file's own names win over positions, so another order cannot mislead."""
    order = names or labels
    place: dict[Any, int] = {None: NO_GOLD, NO_GOLD: NO_GOLD, "": NO_GOLD, str(NO_GOLD): NO_GOLD}
    for index, label in enumerate(order):
        place[index if pa.types.is_integer(kind) else label] = labels.index(label)
    indices = []
    for row, value in enumerate(values):
        if value not in place:
            raise DataError(
                f"{where}: row {row} has the label {value!r}; the task expects {', '.join(labels)} or their places "
                f"0 to {len(labels) - 1}. Correct `labels` in the task's YAML or the data."
            )
        indices.append(place[value])
    return indices
