"""Datasets that are files at an address: downloaded, verified, kept in the cache, and turned into the hub's layout there.

    <cache>/archives/<name>/<file>                                     the file as it was published
    <cache>/archives/<name>/<config>/<split>-00000-of-00001.parquet    what is read; written when it is whole, the record last

The cache thereby stays a mirror. A file that somebody put in its place beforehand is taken as if it had been downloaded. Where the
lock or the task's YAML has a file's hash, other bytes are refused; where neither has, those of the first download are pinned.
"""

import dataclasses
import fnmatch
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from isthmus import disk, settings
from isthmus.errors import DataError, HubError
from isthmus.hubs import formats, wanted
from isthmus.hubs.pinned import ARCHIVE, Item, Pinned, Published, Repository, is_safe, origin
from isthmus.hubs.unpack import Damaged, members
from isthmus.log import say

if TYPE_CHECKING:
    import pyarrow as pa

    from isthmus.hubs.host import Host
    from isthmus.hubs.huggingface import HuggingFace

Spec = Mapping[str, Any]
Place = tuple[str, str]
"""Config and split."""


class Archives:
    """What the view of the hub does otherwise for datasets that are files at an address."""

    def __init__(self, hub: "HuggingFace", lock: dict[Repository, Pinned]) -> None:
        self._hub = hub
        self._lock = lock
        self._refreshed: dict[Repository, set[str]] = {}  # what is to be downloaded anew, and was
        self._together: dict[Repository, dict[str, Spec]] = {}

    # What is known ---------------------------------------------------------------------------------------------

    def knowing(self, spec: Spec) -> Pinned | None:
        """What is known of a spec's dataset, if that tells all that it reads, made of the bytes that are pinned."""
        repository = Repository.of(spec)
        if any(self._is_to_be_refreshed(repository, url) for url in _urls(spec)):
            return None
        expected = {url: self._pinned_hash(spec, url) for url in _urls(spec)}
        for pinned in (self._hub.record(repository), self._lock.get(repository)):
            items = pinned.find(spec) if pinned is not None else None
            if items and all(expected[_url(item)] in (None, item.revision) for item in items):
                return pinned
        return None

    def _is_to_be_refreshed(self, repository: Repository, url: str) -> bool:
        return repository in self._refreshed and url not in self._refreshed[repository]

    def _pinned_hash(self, spec: Spec, url: str) -> str | None:
        """The hash that a file has to have: by the task's YAML, else by the lock."""
        given = next((file.get("sha256") for file in _files(spec) if file["url"] == url), None)
        if given is not None:
            return str(given)
        locked = self._lock.get(Repository.of(spec))
        known = locked.archives.get(url) if locked is not None else None
        return None if known is None else known.sha256

    def is_at_hand(self, spec: Spec) -> bool:
        """Whether the published files lie in the cache, so that no network is needed to convert them."""
        return all(self._path(spec, file).is_file() for file in _files(spec))

    def revision(self, spec: Spec) -> str:
        """The hashes that the lock has of a spec's files, shortened."""
        known = self._lock[Repository.of(spec)].archives
        return " ".join(known[url].sha256[:16] for url in _urls(spec))

    def _path(self, spec: Spec, file: Mapping[str, Any]) -> Path:
        return self._hub.cache / Repository.of(spec).id / str(file["name"])

    # Bringing and turning --------------------------------------------------------------------------------------

    def expect(self, specs: Iterable[Spec]) -> None:
        """Tell what will be asked for, so that an archive of many languages is read once."""
        for spec in specs:
            if ARCHIVE in spec["source"]:
                self._together.setdefault(Repository.of(spec), {})[repr(spec)] = spec

    def supply(self, spec: Spec) -> list[Item]:
        """Bring all that a spec reads into its place; give it. The dataset is held by this process.

        Raises:
            HubError: something cannot be had, or is not what is pinned.
            DataError: a file does not have its format.
        """
        repository = Repository.of(spec)
        known = self.knowing(spec)
        items = (known.find(spec) if known is not None else None) or []
        if not items or not all(self._hub.is_whole(repository, item) for item in items):
            for url in _urls(spec):
                self._turn(repository, spec, url)
            known = self.knowing(spec)
            items = (known.find(spec) if known is not None else None) or []
            assert items  # they were just made
        elif known is not None and known is not self._hub.record(repository):
            self._note(repository, items, known.archives)
        return items

    def _turn(self, repository: Repository, spec: Spec, url: str) -> None:
        """Make the tables of one file, those of other specs that were announced among them."""
        file = next(file for file in _files(spec) if file["url"] == url)
        published = self._published(repository, spec, file)
        kind = spec["source"][ARCHIVE]["format"]
        specs = [*self._together.get(repository, {}).values(), spec]
        wants = {
            place: entry
            for other in specs
            if other["source"][ARCHIVE]["format"] == kind
            for place, entry in _places(other)
            if entry["url"] == url
        }
        needed = {place for place, entry in _places(spec) if entry["url"] == url}
        path = self._path(spec, file)
        say(f"Making tables of {path.name}: {len(wants)} splits.")
        try:
            tables = _tables(path, kind, wants, needed, url)
        except (Damaged, DataError) as error:
            # Of a plain file nothing else tells that it came whole; an archive tells it by itself.
            if self._pinned_hash(spec, url) is None and (isinstance(error, Damaged) or "members" not in file):
                path.unlink()
            raise
        items = [
            self._write(repository, place, table, origin(kind, wants[place]), published.sha256)
            for place, table in tables
        ]
        self._refreshed.get(repository, set()).add(url)
        self._note(repository, items, {url: published})

    def _published(self, repository: Repository, spec: Spec, file: Mapping[str, Any]) -> Published:
        """What the published file is, which lies in its place then.

        Raises:
            HubError: it cannot be had, or its bytes are not those that are pinned.
        """
        url, target = file["url"], self._path(spec, file)
        is_stale = self._is_to_be_refreshed(repository, url)
        pinned = self._pinned_hash(spec, url)
        if target.is_file() and not is_stale:
            found = disk.sha256(target)
            if pinned == found or (pinned is None and self._may_be(repository, url, found)):
                return Published(target.stat().st_size, found)
            if settings.hub_offline():
                raise HubError(
                    f"{target} has the SHA-256 {found}, and {pinned or 'another file'} is pinned. Put the right file there, or "
                    "run where there is a network."
                )
            say(f"{target} is not the file that is pinned: it is downloaded again.")
        say(f"Downloading {url}.")
        part = self._part(repository, url, str(file["name"]))
        locked = self._lock[repository].archives.get(url) if repository in self._lock else None
        sha256 = self._host(url).download(url, part, pinned, None if "sha256" in file else locked)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        return Published(target.stat().st_size, sha256)

    def _may_be(self, repository: Repository, url: str, sha256: str) -> bool:
        """Whether a file that nobody pinned may be the one of the address: it is not known to be of another one, nor has it
        changed since it was read.
        """
        record = self._hub.record(repository)
        known = {} if record is None else record.archives
        if url in known:
            return known[url].sha256 == sha256
        return all(other.sha256 != sha256 for other in known.values())

    def _part(self, repository: Repository, url: str, name: str) -> Path:
        """Where a file grows, by its address: two files of one name do not go on from each other."""
        address = hashlib.sha256(url.encode()).hexdigest()[:16]
        return self._hub.partial(repository) / f"{address}.{name}"

    def _host(self, url: str) -> "Host":
        if settings.hub_offline():
            raise HubError(
                f"HF_HUB_OFFLINE is set, and {url} is needed. Unset it, and run where there is a network."
            )
        from isthmus.hubs.host import Host

        parts = urlsplit(url)
        return Host(f"{parts.scheme}://{parts.netloc}")

    def _write(
        self, repository: Repository, place: Place, table: "pa.Table", made_of: str, revision: str
    ) -> Item:
        import pyarrow.parquet as pq

        local = "{}/{}-00000-of-00001.parquet".format(*place)
        if not is_safe(local):
            raise HubError(
                f"{repository}: {local!r} is no name for a file of a mirror. Correct the task's YAML."
            )
        draft = self._hub.partial(repository) / f"{revision}.{local.replace('/', '.')}"
        # As `data.parquet` has it, which counts as code of results and must not be loaded by what only brings data.
        pq.write_table(table.combine_chunks(), draft, compression="zstd", row_group_size=1 << 16)
        disk.sync(draft)
        item = Item(local, made_of, revision, draft.stat().st_size, disk.sha256(draft))
        target = self._hub.path(repository, item)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(target)
        return item

    def _note(self, repository: Repository, items: Sequence[Item], archives: Mapping[str, Published]) -> None:
        """Make files known that lie in their places."""
        record = self._hub.record(repository) or Pinned(None, ARCHIVE)
        record = dataclasses.replace(
            record.with_items(items), revision=ARCHIVE, archives={**record.archives, **archives}
        )
        self._hub.write_record(repository, record)

    # The lock --------------------------------------------------------------------------------------------------

    def pin(self, spec: Spec) -> None:
        """Note address, size and hash of what a spec reads, and what was made of it."""
        repository = Repository.of(spec)
        items = self.supply(spec)
        known = self.knowing(spec)
        assert known is not None
        archives = {url: known.archives[url] for url in _urls(spec) if url in known.archives}
        locked = self._lock.get(repository, Pinned(None, ARCHIVE))
        self._lock[repository] = dataclasses.replace(
            locked.with_items(items), revision=ARCHIVE, archives={**locked.archives, **archives}
        )

    def update(self, spec: Spec) -> None:
        """Have what a spec reads downloaded anew when it is pinned next, once."""
        repository = Repository.of(spec)
        if repository not in self._refreshed:
            self._refreshed[repository] = set()
            locked = self._lock.get(repository)
            if locked is not None:
                self._lock[repository] = dataclasses.replace(locked, files={}, archives={})


def _places(spec: Spec) -> list[tuple[Place, Mapping[str, Any]]]:
    """Every config and split that a spec reads, with the file that holds it."""
    files = spec["source"][ARCHIVE]["files"]
    return [
        ((config, split), files[split]) for config, split in wanted(spec["source"], spec["splits"].values())
    ]


def _files(spec: Spec) -> list[Mapping[str, Any]]:
    return list(spec["source"][ARCHIVE]["files"].values())


def _urls(spec: Spec) -> list[str]:
    return list(dict.fromkeys(file["url"] for file in _files(spec)))


def _url(item: Item) -> str:
    return item.remote.partition("#")[0]


def _tables(
    path: Path, kind: str, wants: Mapping[Place, Mapping[str, Any]], needed: set[Place], url: str
) -> list[tuple[Place, "pa.Table"]]:
    """The table of each place, read in one go through the file. What is not needed now may be missing or wrong: whoever
    needs it is told.

    Raises:
        Absent: the file holds nothing of a place that is needed.
        Damaged, DataError: it is not what it should be.
    """
    import pyarrow as pa

    from isthmus.hubs.transfer import Absent

    reads = formats.load(kind)
    parts: dict[Place, dict[str, pa.Table]] = {}
    spoilt: set[Place] = set()
    for name, file in _opened(path, wants, url):
        mine = [place for place, entry in wants.items() if _is_of(reads, name, place, entry)]
        if not mine:
            continue
        try:
            table = reads.read(file, name, wants[mine[0]].get("names", ()))
        except DataError:
            if needed.intersection(mine):
                raise
            spoilt.update(mine)
            continue
        for place in mine:
            parts.setdefault(place, {})[name] = table
    for config, split in sorted(needed - parts.keys()):
        raise Absent(
            f"{url} has no member like {wants[config, split].get('members')} for config {config}, split {split}. Correct "
            "`members` in the task's YAML, or leave the task or language out."
        )
    by_name = {
        place: [tables[name] for name in sorted(tables, key=lambda name: (name.rpartition("/")[2], name))]
        for place, tables in parts.items()
    }
    return [(place, pa.concat_tables(tables)) for place, tables in by_name.items() if place not in spoilt]


def _opened(path: Path, wants: Mapping[Place, Mapping[str, Any]], url: str) -> Iterator[tuple[str, BinaryIO]]:
    """The members of an archive that anything is wanted of, or a plain file by itself."""
    patterns = {entry["members"] for entry in wants.values() if "members" in entry}
    if patterns:
        matches = re.compile("|".join(map(fnmatch.translate, sorted(patterns)))).match
        yield from members(path, lambda name: matches(name) is not None, url)
    else:
        with path.open("rb") as file:
            yield path.name, file


def _is_of(reads: formats.Format, name: str, place: Place, entry: Mapping[str, Any]) -> bool:
    return fnmatch.fnmatchcase(name, entry.get("members", "*")) and reads.picks(name, *place)
