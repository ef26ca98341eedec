"""What the checks find: problems, which stop a run, and notes, which do not. Each is one line."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from isthmus.errors import DataError, HubError, IsthmusError, UsageError


@dataclass
class Findings:
    """Problems and notes in the order in which they were found, and what was looked at, as JSON."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked: dict[str, Any] = field(default_factory=dict)

    def problem(self, where: str, text: str) -> None:
        """Something that has to be mended."""
        self.problems.append(_line(f"{where}: {text}"))

    def note(self, where: str, text: str) -> None:
        """Something to know of."""
        self.notes.append(_line(f"{where}: {text}"))

    @contextlib.contextmanager
    def caught(self, where: str) -> Iterator[None]:
        """Go on after an error of one part: the others are to be looked at as well. What the machine lacks (memory, a disk
        that can be read and written) is not of one part, and ends the checks.
        """
        try:
            yield
        except (DataError, HubError, UsageError) as error:
            self.problem(where, str(error))
        except (IsthmusError, OSError, MemoryError):
            raise
        except Exception as error:
            self.problem(
                where,
                f"{type(error).__name__}: {error}. That may be a bug of isthmus: report it with this line. Until it is mended, "
                "leave the task or language out.",
            )


def _line(text: str) -> str:
    return " ".join(text.split())
