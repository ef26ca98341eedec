"""What is wrong with rows, said in one way: where, which row, what, how many more, and how to mend it."""

from collections.abc import Iterable, Sequence
from typing import Any

from isthmus.errors import DataError

MOST_SHOWN = 3


def refuse(
    where: str, faults: Iterable[tuple[int, str]], remedy: str, ids: Sequence[Any] | None = None
) -> None:
    """Say what is wrong with some rows, if anything is: (row, `has no text`). The first three are shown.

    A row is named by its place, counted from 0, and by its id, unless `ids` holds nothing else than that place.

    Raises:
        DataError: there are faults.
    """
    found = list(faults)
    if not found:
        return
    shown = "; ".join(f"{_named(row, ids)} {text}" for row, text in found[:MOST_SHOWN])
    more = f"; {len(found)} rows are like that" if len(found) > MOST_SHOWN else ""
    raise DataError(f"{where}: {shown}{more}. {remedy}")


def _named(row: int, ids: Sequence[Any] | None) -> str:
    name = None if ids is None or row >= len(ids) else ids[row]
    return f"row {row}" if name is None or str(name) == str(row) else f"row {row} (id {str(name)!r})"
