"""The fetch stage: a task's rows in one language, from whichever hub, in the project's own columns.

Everything below this stage is blind to hubs: it sees parquet files with the canonical columns of the task's
family, labels as indices into the spec's label list (-1 = no gold) and ids that are unique within a split.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.errors import DataError, Interrupted
from isthmus.hubs import HUB_MODULES
from isthmus.log import say
from isthmus.work import Work

NO_GOLD = -1


def run(works: Sequence[Work]) -> None:
    """Fetch each unit: one task in one language, all the splits that its spec names."""
    for work in works:
        rows = {}
        for split, hub_split in work.spec["splits"].items():
            if work.interrupted():
                raise Interrupted(f"Stopped while fetching {work.name}. Run the same command again to go on.")
            where = f"{work.name} {split} ({work.spec['source']['id']} {work.spec['source']['config']} {hub_split})"
            table = canonical_rows(read(work, hub_split), work.spec, where)
            pq.write_table(table, work.folder / f"{split}.parquet", compression="zstd")
            rows[split] = {"rows": len(table), "published_rows": work.spec.get("rows", {}).get(split)}
        say(f"{work.name}: " + ", ".join(_counted(split, **count) for split, count in rows.items()))
        work.commit(details={"splits": rows})


def _counted(split: str, rows: int, published_rows: int | None) -> str:
    cut = f" of {published_rows:,} published" if published_rows not in (None, rows) else ""
    return f"{split} {rows:,} rows{cut}"


def read(work: Work, hub_split: str) -> pa.Table:
    """A split's rows as the hub has them, already narrowed to the unit's language where one file serves many.

    Raises:
        HubError: the hub does not have it.
        DataError: the spec's filter names a column that is not there.
    """
    source = work.spec["source"]
    hub = importlib.import_module(HUB_MODULES[source["hub"]])
    table = hub.read(source, hub_split, work.inputs.get("hub"))
    if not source.get("where"):
        return table
    mine = _where(table, source["where"], work.name)
    if "join" not in source:
        return mine
    return _joined(mine, _where(table, source["join"]["where"], work.name), work)


def _where(table: pa.Table, conditions: Mapping[str, str], name: str) -> pa.Table:
    for column, value in conditions.items():
        _require_column(table, column, name)
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
        raise DataError(
            f"{where} has no column {column!r}; it has {', '.join(table.column_names)}. Correct `columns`, `where` or "
            "`join` in the task's YAML, or the data."
        )


def canonical_rows(table: pa.Table, spec: Mapping[str, Any], where: str) -> pa.Table:
    """The hub's rows in canonical columns: `id`, the task's text columns, `label` (int32) where it has labels.

    Raises:
        DataError: a column is missing, a text is null, an id occurs twice, a label is unknown, no row is left.
    """
    columns: dict[str, pa.Array] = {"id": _ids(table, spec["columns"], where)}
    for name, hub_column in spec["columns"].items():
        if name == "id":
            continue
        _require_column(table, hub_column, where)
        column = table[hub_column]
        if name == "label":
            columns[name] = pa.array(
                _label_indices(column, _class_names(table, hub_column), spec["labels"], where), pa.int32()
            )
        else:
            columns[name] = column.combine_chunks().cast(pa.string())
            _refuse_nulls(columns[name], name, spec, where)
    if not len(table):
        raise DataError(f"{where} has no rows. Correct the task's YAML (config, split, where) or the data.")
    return pa.table(columns)


def _ids(table: pa.Table, columns: Mapping[str, str], where: str) -> pa.Array:
    if "id" not in columns:
        return pa.array([str(row) for row in range(len(table))], pa.string())
    _require_column(table, columns["id"], where)
    ids = table[columns["id"]].combine_chunks().cast(pa.string())
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


def _class_names(table: pa.Table, column: str) -> list[str] | None:
    """The label names that the `datasets` library stored with the file, in the file's order."""
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata)["info"]["features"].get(column, {})
    return feature.get("names") if isinstance(feature, dict) else None


def _label_indices(
    column: pa.ChunkedArray, names: list[str] | None, labels: list[str], where: str
) -> list[int]:
    """Labels as indices into `labels`. The file's own names win over positions, so another order cannot mislead."""
    if names is not None and sorted(names) != sorted(labels):
        raise DataError(f"{where} has the labels {', '.join(names)}; the task expects {', '.join(labels)}.")
    order = names or labels
    place: dict[Any, int] = {None: NO_GOLD, NO_GOLD: NO_GOLD, "": NO_GOLD, str(NO_GOLD): NO_GOLD}
    for index, label in enumerate(order):
        place[index if pa.types.is_integer(column.type) else label] = labels.index(label)
    indices = []
    for row, value in enumerate(column.to_pylist()):
        if value not in place:
            raise DataError(
                f"{where}: row {row} has the label {value!r}; the task expects {', '.join(labels)} or their places "
                f"0 to {len(labels) - 1}. Correct `labels` in the task's YAML or the data."
            )
        indices.append(place[value])
    return indices
