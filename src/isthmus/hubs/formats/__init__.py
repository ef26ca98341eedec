"""What files at an address are, one module each: how a file or a member of an archive becomes a table.

    VERSION                          counts up when the same file becomes another table
    picks(name, config, split)       whether a member called `name` is of this config and split
    read(file, name, names) -> table the rows of a file; `names` are the columns that the task's YAML gives

What a split is made of stands one after another, in the order of the files' names. Nothing here knows a server or a task.
"""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from isthmus.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa


class Format(Protocol):
    """A module of this package."""

    VERSION: int

    def picks(self, name: str, config: str, split: str) -> bool:
        """Whether a member is of the config and split."""
        ...

    def read(self, file: BinaryIO, name: str, names: Sequence[str]) -> "pa.Table":
        """A file's rows; `name` is the file in messages.

        Raises:
            DataError: it does not have the format.
        """
        ...


def load(name: str) -> Format:
    """The module of a format.

    Raises:
        UsageError: there is none.
    """
    try:
        return cast(Format, importlib.import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise UsageError(
            f"There is no format {name!r}. A format is a module of isthmus.hubs.formats; correct the task's `format:`."
        ) from None
