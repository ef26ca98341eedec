"""The hub's columns under our names: renamed, taken out of structs, put together from templates."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import DataError

Column = TypeVar("Column", pa.Array, pa.ChunkedArray)
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def column(table: pa.Table, path: str, where: str) -> pa.Array:
    """A column, or with `a.b` the field b of a struct a. For texts use `texts`: an array holds 2 GiB of them at most.

    Raises:
        DataError: there is none.
    """
    return _chunks(table, path, where).combine_chunks()


def _chunks(table: pa.Table, path: str, where: str) -> pa.ChunkedArray:
    """A column in the parts that it was read in."""
    name, _, field = path.partition(".")
    if name not in table.column_names:
        raise missing(table, name, where)
    found = table[name]
    if field:
        if not pa.types.is_struct(found.type) or found.type.get_field_index(field) < 0:
            raise DataError(
                f"{where}: the column {name!r} has no field {field!r} (it is {found.type}). {REMEDY}"
            )
        found = pc.struct_field(found, field)
    if pa.types.is_large_list(found.type) or pa.types.is_fixed_size_list(found.type):
        found = found.cast(pa.list_(found.type.value_type))
    return found


REMEDY = "Correct `columns`, `where` or `join` in the task's YAML, or the data."


def missing(table: pa.Table, name: str, where: str) -> DataError:
    """What to raise where a column is missing."""
    return DataError(f"{where} has no column {name!r}; it has {', '.join(table.column_names)}. {REMEDY}")


def mistyped(name: str | Sequence[str], kind: pa.DataType | str, expected: str, where: str) -> DataError:
    """What to raise where a column holds something else than it must."""
    return DataError(f"{where}: the column {_quoted(name)} is {kind}, not {expected}. {REMEDY}")


def _quoted(name: str | Sequence[str]) -> str:
    return repr(name) if isinstance(name, str) else ", ".join(map(repr, name))


def typed(found: Column, kind: pa.DataType, name: str, where: str) -> Column:
    """A column as the type that it must have.

    Raises:
        DataError: it cannot be.
    """
    try:
        return found.cast(kind)
    except pa.ArrowException as error:
        raise mistyped(name, found.type, str(kind), where) from error


def array(values: Sequence[Any], kind: pa.DataType, source: str | Sequence[str], where: str) -> pa.Array:
    """Values put together from `source` as a column.

    Raises:
        DataError: they are of another type.
    """
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError) as error:
        raise mistyped(source, _kind_of(values), str(kind), where) from error


def _kind_of(values: Sequence[Any]) -> str:
    try:
        return str(pa.array(values).type)
    except (pa.ArrowException, TypeError):
        return "of several types"


def texts(table: pa.Table, template: str, where: str) -> list[Any]:
    """A text for each row: a column, or a template of several. A template with a list gives a list for each row.

    Raises:
        DataError: a column is missing, or the lists of a row differ in length.
    """
    names = PLACEHOLDER.findall(template)
    if not names:
        return _strings(_chunks(table, template, where), template, where)
    values = [_chunks(table, name, where).to_pylist() for name in names]
    return [_filled(template, row, f"{where}: row {n}") for n, row in enumerate(zip(*values, strict=True))]


def _strings(values: pa.ChunkedArray, name: str, where: str) -> list[Any]:
    if pa.types.is_list(values.type):
        found: list[Any] = values.to_pylist()
    else:
        found = typed(values, pa.string(), name, where).to_pylist()
    return found


def _filled(template: str, row: Sequence[Any], where: str) -> Any:
    if any(value is None for value in row):
        return None
    lengths = {len(value) for value in row if isinstance(value, list)}
    if not lengths:
        return _once(template, row)
    if len(lengths) > 1:
        raise DataError(f"{where} has lists of {' and '.join(map(str, sorted(lengths)))} entries. {REMEDY}")
    return [
        _once(template, [value[place] if isinstance(value, list) else value for value in row])
        for place in range(lengths.pop())
    ]


def _once(template: str, row: Sequence[Any]) -> str:
    """The template with its placeholders filled, blanks at the ends removed: a part may be empty."""
    parts = iter(row)
    return PLACEHOLDER.sub(lambda _: str(next(parts)), template).strip()


def lists(table: pa.Table, source: str | Sequence[str], where: str) -> list[list[str] | None]:
    """A list of texts for each row: one column or template of lists, or a template for each place.

    Raises:
        DataError: a column is missing or holds no lists.
    """
    if not isinstance(source, str):
        places = [texts(table, template, where) for template in source]
        return [None if None in row else list(row) for row in zip(*places, strict=True)]
    found = texts(table, source, where)
    for row, value in enumerate(found):
        if value is not None and not isinstance(value, list):
            raise DataError(f"{where}: row {row} has {value!r} in {source}, which is no list. {REMEDY}")
    return found


def class_names(table: pa.Table, name: str) -> list[str] | None:
    """The label names that the `datasets` library stored with the file, in the file's order."""
    column, _, field = name.partition(".")
    feature = _features(table).get(column, {})
    feature = feature.get(field, {}) if field and isinstance(feature, Mapping) else feature
    while isinstance(feature, list) or isinstance(feature.get("feature"), Mapping):
        feature = (
            feature[0] if isinstance(feature, list) else feature["feature"]
        )  # a list of labels, old or new form
    names: list[str] | None = feature.get("names")
    return names


def _features(table: pa.Table) -> Mapping[str, Any]:
    metadata = (table.schema.metadata or {}).get(b"huggingface")
    features: Mapping[str, Any] = json.loads(metadata)["info"]["features"] if metadata else {}
    return features
