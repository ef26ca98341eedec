"""What a stage is handed: one unit of work, its inputs, a private folder, and the way to publish it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Commit(Protocol):
    """Publishes the work folder; the artifact is visible from here on."""

    def __call__(
        self, status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Publish with a status, a reason where it is not `ok`, and details that are no part of the content."""
        ...


@dataclass(frozen=True)
class Work:
    """One unit of a job that is not in the store yet.

    `spec` holds everything that decides the result; `inputs` maps each role to the folder of the input's
    artifact and `statuses` to its status; `folder` is private to this process; `state` survives a kill and
    holds what a resumed run needs.

    SIGTERM, SIGINT and SIGUSR2 end a stage wherever it is. Within `with work.graceful():` they only turn
    `interrupted` true: the block looks at it in every step, saves what it has to and raises Interrupted.
    """

    name: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Path]
    statuses: Mapping[str, str]
    folder: Path
    state: Path
    interrupted: Callable[[], bool]
    commit: Commit
    graceful: Callable[[], AbstractContextManager[None]] = nullcontext
