"""The files that XTREME's scorers read: lines and JSON, in UTF-8.

Line ends of any system, blanks at both ends of a line and a last line without an end are tolerated, as in
google-research/xtreme, evaluate.py. What else is not of the format is an error with its file and line; the official
scripts end with an exception there, or count it as a wrong answer without a word.
"""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import DataError, UsageError


@dataclass(frozen=True)
class Answers:
    """What a file or a hub's split says, in order, and where: the line of each value (none in JSON), None for a hub; and
    what a person should know of it, which may be empty.
    """

    source: str
    values: list[Any]
    lines: Sequence[int] | None = None
    note: str = ""

    def place(self, number: int) -> str:
        """Where a value stands, or, where there are fewer, the last one."""
        if self.lines is None:
            return self.source
        line = self.lines[min(number, len(self.lines) - 1)] if self.lines else 1
        return f"{self.source}:{line}"


def text(path: Path) -> str:
    """A file's text, with line ends of one kind.

    Raises:
        UsageError: it cannot be read.
        DataError: it is not UTF-8, or begins with a byte-order mark, which would be part of the first answer.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Name an existing file.") from error
    if data.startswith(codecs.BOM_UTF8):
        raise DataError(f"{path}:1: the file begins with a byte-order mark. Save it as UTF-8 without one.")
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}:{line}: this is not UTF-8 ({error.reason}). Save the file as UTF-8."
        ) from error
    return decoded.replace("\r\n", "\n").replace("\r", "\n")


def lines(path: Path) -> list[str]:
    """The lines of a file without blanks at their ends.

    Only the end of a line ends one: characters that Unicode calls separators may stand in an id.

    Raises:
        UsageError, DataError: as `text`.
    """
    parts = text(path).split("\n")
    if parts[-1] == "":  # what follows the end of the last line
        parts.pop()
    return [line.strip() for line in parts]


def document(path: Path) -> tuple[Any, str]:
    """A JSON file's value and its text.

    Raises:
        UsageError, DataError: as `text`; or it is no JSON.
    """
    written = text(path)
    try:
        return json.loads(written), written
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}:{error.lineno}: not JSON ({error.msg}, column {error.colno}). Write the file again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:1: not JSON that can be read ({error}). Write the file again.") from error


def line_of(name: str, written: str) -> int:
    """The line of a JSON text on which a name first stands in quotes; 1 where it does not."""
    for spelled in (json.dumps(name), json.dumps(name, ensure_ascii=False)):
        place = written.find(spelled)
        if place >= 0:
            return written.count("\n", 0, place) + 1
    return 1


def shown(value: Any) -> str:
    """A value in a message: short, on one line."""
    said = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return said if len(said) <= 60 else said[:57] + "..."
