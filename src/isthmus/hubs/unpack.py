"""Archives (tar, packed by gzip, bzip2 or xz, and zip) read member by member, without unpacking them to the disk.

An archive comes from elsewhere, so nothing of it is believed: what is read has to be a regular file whose name stays within the
archive, and the bytes that come out of it in all are bounded by those that went in. What it is shows by its first bytes, not by
its name.
"""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from isthmus.errors import HubError

SWELLING = 100
"""How many times its size an archive of text may have, unpacked …"""
ROOM = 2**28
"""… or so many bytes, if that is more."""

_ZIP = (b"PK\3\4", b"PK\5\6")

_BAD = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class Damaged(HubError):
    """An archive is not whole, or not to be trusted."""


def members(
    path: Path, wants: Callable[[str], bool], what: str, bound: int | None = None
) -> Iterator[tuple[str, BinaryIO]]:
    """The members of an archive whose names are wanted, as they come; each is read before the next is asked for. `what` is
    the archive in messages, `bound` how many bytes may come out of it.

    Raises:
        Damaged: it is no archive, it ends early, it holds more than the bound, or a wanted member is no regular file of its
            own.
    """
    limit = _Limit(what, bound if bound is not None else max(ROOM, SWELLING * path.stat().st_size))
    try:
        if _begins(path).startswith(
            _ZIP
        ):  # zipfile.is_zipfile looks at the end, where a tar may hold anything
            yield from _zip_members(path, wants, what, limit)
        else:
            yield from _tar_members(path, wants, what, limit)
    except _BAD as error:
        raise _damaged(what, error) from error


def _damaged(what: str, error: Exception) -> Damaged:
    return Damaged(
        f"{what} cannot be unpacked ({str(error) or type(error).__name__}): it came incomplete, or is no archive. Run again; if "
        "it stays so, look at its address."
    )


class _Limit:
    """Counts what comes out of an archive."""

    def __init__(self, what: str, bytes_left: int) -> None:
        self.what = what
        self.bytes_left = bytes_left

    def count(self, chunk: bytes) -> bytes:
        self.bytes_left -= len(chunk)
        if self.bytes_left < 0:
            raise Damaged(
                f"{self.what} swells to more than {SWELLING} times its size: no archive of text does."
            )
        return chunk


class _Bounded(RawIOBase):
    """A stream whose bytes are counted, unless they were before. Its packing's complaints, some of which look like the
    disk's, become one kind; the disk's own stay what they are.
    """

    def __init__(self, stream: BinaryIO, limit: _Limit, is_counted: bool = True) -> None:
        self._stream = stream
        self._limit = limit
        self._is_counted = is_counted

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            chunk = self._stream.read(size)
        except (OSError, *_BAD) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # gzip.BadGzipFile and bz2's plain ones have no number
            raise _damaged(self._limit.what, error) from error
        return self._limit.count(chunk) if self._is_counted else chunk

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        chunk = self.read(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)


def _tar_members(
    path: Path, wants: Callable[[str], bool], what: str, limit: _Limit
) -> Iterator[tuple[str, BinaryIO]]:
    with _unpacked(path) as raw:
        stream = _Bounded(raw, limit)
        with tarfile.open(fileobj=cast(BinaryIO, stream), mode="r|") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # else it remembers every header
                if not wants(member.name) or member.isdir():
                    continue
                if not member.isreg() or member.issparse() or not _stays_within(member.name):
                    raise _strange(member.name, what)
                file = tar.extractfile(member)
                assert file is not None
                yield member.name, _buffered(_Bounded(cast(BinaryIO, file), limit, is_counted=False))
        while stream.read(2**20):  # to the end, where the packing's checksum is
            pass


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(6)


def _unpacked(path: Path) -> BinaryIO:
    start = _begins(path)
    if start.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(path))
    if start.startswith(b"BZh"):
        return cast(BinaryIO, bz2.open(path))
    if start == b"\xfd7zXZ\x00":
        return cast(BinaryIO, lzma.open(path))
    return path.open("rb")


def _zip_members(
    path: Path, wants: Callable[[str], bool], what: str, limit: _Limit
) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not wants(entry.filename) or entry.is_dir():
                continue
            mode = entry.external_attr >> 16
            if (stat.S_IFMT(mode) and not stat.S_ISREG(mode)) or not _stays_within(entry.filename):
                raise _strange(entry.filename, what)
            with archive.open(entry) as file:
                yield entry.filename, _buffered(_Bounded(cast(BinaryIO, file), limit))


def _buffered(stream: _Bounded) -> BinaryIO:
    """For reading line by line, which a raw stream does byte by byte."""
    return cast(BinaryIO, BufferedReader(stream, 2**20))


def _stays_within(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _strange(name: str, what: str) -> Damaged:
    return Damaged(
        f"{what}: its member {name!r} is a link, a device, or leads out of the archive. An archive of data has no such thing: "
        "look at its address."
    )
