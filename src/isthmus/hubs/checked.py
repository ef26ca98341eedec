"""A file on its way: what is known of it, and what came so far."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isthmus.errors import HubError

_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Entry:
    """A file as it is known before it comes: its size in bytes, its git blob's SHA-1 and its SHA-256, each None where
    nobody told.
    """

    size: int | None
    blob: str | None
    sha256: str | None

    @property
    def is_known(self) -> bool:
        """Whether its bytes can be told from others."""
        return self.blob is not None or self.sha256 is not None


class Received:
    """The part of a file that is there; `what` is the file in the words of messages.

    The bytes of a file of unknown hash are only gone on with if the server says that it is still the same: what it
    called the file (its ETag or its date) stands beside the part.
    """

    def __init__(self, part: Path, entry: Entry, what: str) -> None:
        self.part = part
        self.entry = entry
        self.what = what
        self.expected = entry.size
        self.size = part.stat().st_size if part.is_file() else 0
        self.found = ""  # the SHA-256 of what came in all
        self._has_ended = False
        if self.expected is not None and self.size > self.expected:
            self.restart()

    @property
    def is_complete(self) -> bool:
        """Whether all of it is there, right or wrong."""
        return self._has_ended if self.expected is None else self.size == self.expected

    def has_ended(self) -> None:
        """Note that an answer came to its end."""
        self._has_ended = True

    def restart(self) -> None:
        """Forget what came."""
        self.part.unlink(missing_ok=True)
        self.forget_origin()
        self.size = 0
        self.expected = self.entry.size
        self._has_ended = False

    def forget_origin(self) -> None:
        """Remove the note of which file the server sends."""
        self._origin.unlink(missing_ok=True)

    @property
    def _origin(self) -> Path:
        return self.part.with_name(f"{self.part.name}.of")

    def resume_headers(self) -> dict[str, str]:
        """What to send so that the rest comes; nothing where it has to come from its beginning."""
        if not self.size:
            return {}
        found = {"Range": f"bytes={self.size}-"}
        if self.entry.is_known:
            return found
        if not self._origin.is_file():
            self.restart()
            return {}
        return {**found, "If-Range": self._origin.read_text(encoding="utf-8")}

    def learn(self, size: int | None, headers: Mapping[str, str]) -> None:
        """Note what an answer's headers tell of the file, where nobody told before."""
        if self.expected is None:
            self.expected = size
        etag = headers.get("ETag", "")
        origin = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        if not self.entry.is_known and not self.size and origin:
            self._origin.write_text(origin, encoding="utf-8")

    def open(self) -> BinaryIO:
        """The file, to be written on."""
        return self.part.open("ab")

    def write(self, file: BinaryIO, chunk: bytes) -> None:
        """Add bytes that came.

        Raises:
            HubError: what comes is no part of the file.
        """
        if self.size == 0:
            kind = _stranger_kind(chunk, self.entry)
            if kind is not None:
                raise HubError(stranger(kind, self.what))
        self.size += len(chunk)
        if self.expected is not None and self.size > self.expected:
            file.close()
            told = f"{self.expected:,}"
            self.restart()
            raise HubError(
                f"{self.what}: more bytes come than the {told} that were announced. Nothing "
                "was kept. Look for a proxy in between, or try again later."
            )
        file.write(chunk)

    def verified(self) -> str | None:
        """The SHA-256 of the whole file, once it is on the disk; None where its bytes are not the right ones."""
        with self.part.open("ab") as file:  # a file of no bytes has not been made yet
            os.fsync(file.fileno())
        size = self.part.stat().st_size
        sha256, blob = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
        with self.part.open("rb") as file:
            while chunk := file.read(2**20):
                sha256.update(chunk)
                blob.update(chunk)
        found = self.found = sha256.hexdigest()
        if self.expected not in (None, size):
            return None
        if self.entry.sha256 is not None:
            return found if found == self.entry.sha256 else None
        return found if self.entry.blob in (None, blob.hexdigest()) else None


def _stranger_kind(chunk: bytes, entry: Entry) -> str | None:
    """What stands where the file should begin, if that is plain to see."""
    if chunk.startswith(_POINTER) and entry.sha256 is not None:
        return "pointer to a large file (git LFS)"
    if chunk[:64].lstrip().lower().startswith(_PAGES):
        return "web page"
    return None


def stranger(kind: str, what: str) -> str:
    """What a person is told about it."""
    return (
        f"A {kind} came in the place of {what}. Nothing of it was kept. A login page, a proxy or an incomplete mirror of "
        "the hub answers: open the address in a browser, or set HF_ENDPOINT right, then run again."
    )
