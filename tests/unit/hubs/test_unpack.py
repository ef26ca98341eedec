"""Archives are read member by member, and none is believed."""

import bz2
import errno
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isthmus.hubs.unpack import Damaged, members

FILES = {"top/a.txt": b"alpha\n", "top/sub/b.txt": b"beta\n" * 1000, "top/c.bin": b"\0" * 10}


def tar(files: dict[str, bytes], *strange: tarfile.TarInfo) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in strange:
            archive.addfile(member)
    return target.getvalue()


def zipped(files: dict[str, bytes], mode: int = 0) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "none": bytes,
}


def read(path: Path, content: bytes, bound: int | None = None) -> dict[str, bytes]:
    path.write_bytes(content)
    wanted = members(path, lambda name: name.endswith(".txt"), "the archive", bound)
    return {name: file.read() for name, file in wanted}


WANTED = {name: content for name, content in FILES.items() if name.endswith(".txt")}


@pytest.mark.parametrize("packing", PACKINGS)
def test_members_of_tar_archives(tmp_path: Path, packing: str) -> None:
    assert read(tmp_path / "x", PACKINGS[packing](tar(FILES))) == WANTED


def test_members_of_zip_archives(tmp_path: Path) -> None:
    assert read(tmp_path / "x", zipped(FILES)) == WANTED


def test_a_member_may_be_read_in_part(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(tar(FILES)))
    found = [file.readline() for _, file in members(tmp_path / "x", lambda name: name.endswith(".txt"), "it")]
    assert found == [b"alpha\n", b"beta\n"]


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz"])
def test_archives_that_are_cut_or_damaged(tmp_path: Path, packing: str) -> None:
    whole = PACKINGS[packing](tar(FILES))
    spoilt = bytearray(whole)
    spoilt[len(whole) // 2] ^= 0xFF
    for content in (whole[: len(whole) // 2], whole[:-1], bytes(spoilt), b"", b"<html>no</html>" * 100):
        with pytest.raises(Damaged, match=r"the archive cannot be unpacked .*: it came incomplete"):
            read(tmp_path / "x", content)


def test_a_zip_archive_that_is_damaged(tmp_path: Path) -> None:
    content = bytearray(zipped(FILES))
    content[content.index(b"top/sub/b.txt") + 20] ^= 0xFF
    with pytest.raises(Damaged, match="cannot be unpacked"):
        read(tmp_path / "x", bytes(content))


def strange(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        strange("top/l.txt", tarfile.SYMTYPE, "/etc/passwd"),
        strange("top/h.txt", tarfile.LNKTYPE, "top/a.txt"),
        strange("top/d.txt", tarfile.CHRTYPE),
        strange("top/p.txt", tarfile.FIFOTYPE),
        strange("../x.txt", tarfile.REGTYPE),
        strange("top/../../x.txt", tarfile.REGTYPE),
        strange("/tmp/x.txt", tarfile.REGTYPE),
    ],
    ids=lambda member: member.name,
)
def test_members_that_lead_elsewhere(tmp_path: Path, member: tarfile.TarInfo) -> None:
    with pytest.raises(Damaged, match="is a link, a device, or leads out of the archive"):
        read(tmp_path / "x", gzip.compress(tar(FILES, member)))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(("name", "mode"), [("a.txt", 0o120777), ("../a.txt", 0), ("/a.txt", 0o100644)])
def test_members_of_zip_archives_that_lead_elsewhere(tmp_path: Path, name: str, mode: int) -> None:
    with pytest.raises(Damaged, match="is a link, a device, or leads out"):
        read(tmp_path / "x", zipped({name: b"/etc/passwd"}, mode))


def test_what_is_not_wanted_may_be_anything(tmp_path: Path) -> None:
    content = gzip.compress(tar(FILES, strange("latest", tarfile.SYMTYPE, "top")))
    assert read(tmp_path / "x", content) == WANTED


@pytest.mark.parametrize("pack", [lambda files: gzip.compress(tar(files)), zipped], ids=["tar", "zip"])
def test_archives_that_swell_too_much(tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    bomb = pack({"a.txt": bytes(10**6)})
    with pytest.raises(Damaged, match="swells to more than 100 times its size"):
        read(tmp_path / "x", bomb, bound=10**6 - 1)
    assert len(read(tmp_path / "x", bomb, bound=2 * 10**6)["a.txt"]) == 10**6
    # What is passed over swells, too.
    with pytest.raises(Damaged, match="swells"):
        read(tmp_path / "x", gzip.compress(tar({"a.bin": bytes(10**6)})), bound=10**6 - 1)


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path: Path) -> None:
    assert read(tmp_path / "x", tar({**WANTED, "last.zip": zipped({"b.txt": b"not me"})})) == WANTED


def test_a_disk_that_fails_is_not_a_damaged_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = gzip.compress(tar(FILES))

    def fails(self: Any, size: int = -1) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(gzip.GzipFile, "read", fails)
    with pytest.raises(OSError, match="Input/output error"):
        read(tmp_path / "x", whole)
