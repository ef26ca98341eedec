"""Files at an address on their way into the cache, where the server is a stand-in."""

import errno
import gzip
import shutil
import zipfile
from collections import namedtuple
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest

from isthmus import disk
from isthmus.errors import DataError, HubError, StorageError
from isthmus.hubs import transfer
from isthmus.hubs.archives import Archives
from isthmus.hubs.checked import Entry, Received
from isthmus.hubs.host import Host
from isthmus.hubs.huggingface import HuggingFace
from isthmus.hubs.pinned import Published, Repository
from isthmus.hubs.transfer import Server
from isthmus.hubs.unpack import Damaged

URL = "https://example.org/words.zip"
WORDS = Repository("dataset", "archives/words")


def spec(split: str = "test", url: str = URL, **file: Any) -> dict[str, Any]:
    """What reads a split of a file with tabs."""
    entry = {"url": url, "name": url.rpartition("/")[2], **file}
    archive = {"format": "tsv.1", "files": {split: entry}}
    source = {"id": WORDS.id, "revision": None, "config": "de", "archive": archive}
    return {"source": source, "splits": {split: split}, "columns": {}}


class World:
    """A cache, and what a server has; `asked` are the addresses that were asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = HuggingFace(folder / "cache", folder / "hub.lock")
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def download(self, url: str, part: Path, pinned: str | None, locked: Published | None) -> str:
        self.asked.append(url)
        if url not in self.files:
            raise HubError(f"{url} is silent.")
        part.write_bytes(self.files[url])
        return disk.sha256(part)

    def zip(self, members: Mapping[str, str], url: str = URL) -> None:
        path = self.folder / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        self.files[url] = path.read_bytes()

    def put(self, name: str, content: bytes) -> Path:
        """Somebody puts a file in its place by hand."""
        path = self.hub.cache / WORDS.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def table(self, split: str) -> list[dict[str, str]]:
        path = self.hub.cache / WORDS.id / "de" / f"{split}-00000-of-00001.parquet"
        rows: list[dict[str, str]] = pq.read_table(path).to_pylist()
        return rows


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = World(tmp_path)
    monkeypatch.setattr(Archives, "_host", lambda self, url: found)
    return found


def test_places_that_name_a_members_columns_otherwise_get_their_own(world: World) -> None:
    world.zip({"a.tsv": "x\ty\n"})
    there = spec("train", members="a.tsv", names=["text", "label"])
    back = spec("test", members="a.tsv", names=["label", "text"])
    world.hub.supply([there, back])
    assert world.asked == [URL]
    assert world.table("train") == [{"text": "x", "label": "y"}]
    assert world.table("test") == [{"label": "x", "text": "y"}]


def test_members_with_different_columns_are_named(world: World) -> None:
    world.zip({"a.tsv": "id\ttext\n1\tx\n", "b.tsv": "id\tlabel\n1\ty\n"})
    with pytest.raises(DataError, match=r"a\.tsv has id, text; b\.tsv has id, label.*`members`"):
        world.hub.supply([spec(members="*.tsv")])


@pytest.mark.parametrize(("name", "file"), [("words.zip", {"members": "*.tsv"}), ("words.tsv", {})])
def test_a_file_that_somebody_put_there_is_never_removed(
    world: World, name: str, file: dict[str, str]
) -> None:
    path = world.put(name, b"PK\3\4 and no more" if file else b"a\tb\nc\n")
    with pytest.raises((Damaged, DataError), match=rf"The file is .*{name}, and stays there"):
        world.hub.supply([spec(url=f"https://example.org/{name}", **file)])
    assert path.is_file()


def test_what_was_downloaded_and_is_damaged_goes_and_is_not_asked_for_again(world: World) -> None:
    world.files[URL] = b"PK\3\4 and no more"
    for split in ("train", "test"):
        with pytest.raises(Damaged, match="Nothing of it was kept"):
            world.hub.supply([spec(split, members="*.tsv")])
    assert world.asked == [URL]
    assert not (world.hub.cache / WORDS.id / "words.zip").exists()


def test_a_disk_that_fails_while_it_is_read_removes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.put("words.tgz", gzip.compress(b"what it holds is not seen"))

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(gzip.GzipFile, "read", fails)
    with pytest.raises(StorageError, match="Input/output error"):
        world.hub.supply([spec(url="https://example.org/words.tgz", members="*.tsv")])
    assert path.is_file()


def test_what_could_not_be_had_is_not_waited_for_once_for_each_language(world: World) -> None:
    for split in ("train", "test"):
        with pytest.raises(HubError, match="is silent"):
            world.hub.supply([spec(split, members="*.tsv")])
    assert world.asked == [URL]


@pytest.mark.parametrize("name", ["../../../evil.tsv", "a/b.tsv", ".hidden"])
def test_a_name_that_leads_out_of_the_folder_is_refused(world: World, name: str) -> None:
    world.files["https://example.org/x"] = b"a\n1\n"
    with pytest.raises(HubError, match="is no name for a file of a mirror"):
        world.hub.supply([spec(url="https://example.org/x", name=name)])
    assert world.asked == []


def test_an_update_leaves_what_others_pinned(world: World) -> None:
    other = "https://example.org/other.zip"
    mine, theirs = spec(members="*.tsv"), spec("train", url=other, members="*.tsv")
    world.zip({"a.tsv": "text\nold\n"})
    world.zip({"a.tsv": "text\ntheirs\n"}, other)
    for each in (mine, theirs):
        world.hub.pin(each)
    world.zip({"a.tsv": "text\nnew\n"})
    world.hub.update(mine)
    world.hub.pin(mine)
    assert world.asked == [URL, other, URL]
    world.hub.write_lock()
    text = world.hub.lock_path.read_text()
    assert other in text and "de/train-00000-of-00001.parquet" in text
    assert world.table("test") == [{"text": "new"}]
    world.hub.update(mine)  # once
    world.hub.pin(mine)
    assert world.asked == [URL, other, URL]


def test_the_time_for_a_file_is_lengthened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers stop short again and again, and the server cannot go on from where they ended."""
    ends: list[float] = []
    content = bytes(1000)

    class Answers(httpx2.MockTransport):
        def __init__(self) -> None:
            super().__init__(lambda request: httpx2.Response(200, content=content))

    def written(self: Received, file: Any, chunk: bytes) -> None:
        ends.append(transfer._DEADLINE.get())
        write(self, file, chunk[: 1000 if len(ends) == 4 else 500])
        if len(ends) < 4:
            raise transfer.Passing("it ends early")

    write = Received.write
    monkeypatch.setattr(Received, "write", written)
    monkeypatch.setattr(transfer, "get_session", lambda: httpx2.Client(transport=Answers()))
    monkeypatch.setattr(transfer.time, "sleep", lambda seconds: None)
    server = Server("https://example.org")
    server.bring(
        URL, tmp_path / "part", Entry(None, None, None), "it", {}, lambda _: None, lambda _: HubError("wrong")
    )
    assert len(ends) == 4
    assert len(set(ends)) == 1


def test_what_is_there_already_needs_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = namedtuple("free", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free(1000, 400, 600))
    part = tmp_path / "part"
    answer = httpx2.Response(206, headers={"Content-Range": "bytes 500-999/1000"})
    monkeypatch.setattr(
        Host, "bring", lambda self, url, part, entry, what, headers, check, wrong: check(answer) or "hash"
    )
    with pytest.raises(StorageError, match="1,000 bytes, of which 0 are there, and 600 are free"):
        Host("https://example.org").download(URL, part, None, None)
    part.write_bytes(bytes(500))
    assert Host("https://example.org").download(URL, part, None, None) == "hash"
