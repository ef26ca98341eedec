"""A file on its way: what the hub's listing says of it, and what came so far."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from isthmus.errors import HubError

_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Entry:
    """A file of a listing: its size in bytes, its git blob's SHA-1, and its SHA-256 where it is a large file (LFS)."""

    size: int
    blob: str | None
    sha256: str | None


class Received:
    """The part of a file that is there; `what` is the file in the words of messages."""

    def __init__(self, part: Path, entry: Entry, what: str) -> None:
        self.part = part
        self.entry = entry
        self.what = what
        self.size = part.stat().st_size if part.is_file() else 0
        if self.size > entry.size:
            self.restart()

    def restart(self) -> None:
        """Forget what came."""
        self.part.unlink(missing_ok=True)
        self.size = 0

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
        if self.size > self.entry.size:
            file.close()
            self.restart()
            raise HubError(
                f"{self.what}: more bytes come than the {self.entry.size:,} that the hub's listing names. Nothing "
                "was kept. Look for a proxy in between, or try again later."
            )
        file.write(chunk)

    def verified(self) -> str | None:
        """The SHA-256 of the whole file, once it is on the disk; None where its bytes are not those of the listing."""
        sha256, blob = (
            hashlib.sha256(),
            hashlib.sha1(f"blob {self.entry.size}\0".encode(), usedforsecurity=False),
        )
        with self.part.open("ab") as file:  # a file of no bytes has not been made yet
            os.fsync(file.fileno())
        with self.part.open("rb") as file:
            while chunk := file.read(2**20):
                sha256.update(chunk)
                blob.update(chunk)
        if self.size != self.entry.size:
            return None
        found = sha256.hexdigest()
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
        "the hub answers: open the hub in a browser, or set HF_ENDPOINT right, then run again."
    )
