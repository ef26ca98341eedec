"""Fields with tabs in between: every column as text. Quotes mean nothing; the columns' names are those of the task's YAML
(`names`), else the first line.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from isthmus.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1


def picks(name: str, config: str, split: str) -> bool:
    """The pattern of the members says all."""
    return True


def read(file: BinaryIO, name: str, names: Sequence[str]) -> "pa.Table":
    """The lines of a file; empty ones are passed over.

    Raises:
        DataError: a line has another number of fields, or is no UTF-8; two columns have one name.
    """
    import pyarrow as pa

    columns, rows = list(names), []
    for number, raw in enumerate(file, start=1):
        try:
            # Some programs put a mark before the first line, which is no part of a name.
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}, line {number} is no UTF-8 ({error}). Look at the source's address."
            ) from error
        if not line:
            continue
        fields = line.split("\t")
        if not columns:
            columns = fields
            continue
        if len(fields) != len(columns):
            raise DataError(
                f"{name}, line {number} has {len(fields)} fields, not {len(columns)} ({', '.join(columns)}). Correct `names` "
                "in the source, or look at its address and format."
            )
        rows.append(fields)
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise DataError(
            f"{name} has several columns called {', '.join(map(repr, repeated))}. Give each a name of its own: `names` in the "
            "source."
        )
    return pa.table(
        {column: pa.array([row[place] for row in rows], pa.string()) for place, column in enumerate(columns)}
    )
