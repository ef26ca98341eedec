"""What files at an address are, one module each: how a file or a member of an archive becomes a table.

    VERSION                          counts up when the same file becomes another table
    picks(name, config, split)       whether a member called `name` is of this config and split
    read(file, name, names) -> table the rows of a file; `names` are the columns that the task's YAML gives

What a split is made of stands one after another, in the order of the files' names. Nothing here knows a server or a task.
A spec names a format with its version (`conllu.1`): what was made by another rule is something else.
"""

import ast
import functools
import importlib
from collections.abc import Sequence
from pathlib import Path
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


@functools.cache
def word(name: str) -> str:
    """A format with its version, as specs have it; read, not imported: a plan loads no pyarrow."""
    tree = ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    version = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["VERSION"]
    )
    return f"{name}.{version}"


def by_word(asked: str) -> Format:
    """The module that a spec means.

    Raises:
        UsageError: this version has none, or another rule.
    """
    name = asked.partition(".")[0]
    found = load(name)
    if asked != f"{name}.{found.VERSION}":
        raise UsageError(
            f"The job was planned for the format {asked}, and this version of isthmus has {name}.{found.VERSION}. Plan again."
        )
    return found


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
