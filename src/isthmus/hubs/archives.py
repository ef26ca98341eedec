"""Datasets that are files at an address: downloaded, verified, kept in the cache, and turned into the hub's layout there.

    <cache>/archives/<name>/<file>                                     the file as it was published
    <cache>/archives/<name>/<config>/<split>-00000-of-00001.parquet    what is read; written when it is whole, the record last

The cache thereby stays a mirror. A file that somebody put in its place beforehand is taken as if it had been downloaded. Where the
lock or the task's YAML has a file's hash, other bytes are refused; where neither has, those of the first download are pinned.
"""

import dataclasses
import fnmatch
import hashlib
import io
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
        self._stale: set[tuple[Repository, str]] = set()  # addresses of which all is to be downloaded anew …
        self._renewed: set[tuple[Repository, str]] = set()  # … and was
        self._failed: dict[
            tuple[str, str | None], HubError
        ] = {}  # what could not be had, by address and hash
        self._downloaded: set[Path] = set()
        self._together: dict[Repository, dict[str, Spec]] = {}

    # What is known ---------------------------------------------------------------------------------------------

    def knowing(self, spec: Spec) -> Pinned | None:
        """What is known of a spec's dataset, if that tells all that it reads, made of the bytes that are pinned."""
        repository = Repository.of(spec)
        if any((repository, url) in self._stale for url in _urls(spec)):
            return None
        expected = {url: self._pinned_hash(spec, url) for url in _urls(spec)}
        for pinned in (self._hub.record(repository), self._lock.get(repository)):
            items = pinned.find(spec) if pinned is not None else None
            if items and all(expected[_url(item)] in (None, item.revision) for item in items):
                return pinned
        return None

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
        repository, name = Repository.of(spec), str(file["name"])
        _refuse_unsafe(repository, name, is_file=True)
        return self._hub.cache / repository.id / name

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
        except Damaged as error:
            refusal = Damaged(f"{error} {self._let_go(spec, url, path)}")
            self._failed[url, self._pinned_hash(spec, url)] = refusal
            raise refusal from error
        except DataError as error:
            # An archive tells by itself that it came whole; of a plain file nothing else does.
            if "members" in file:
                raise
            raise DataError(f"{error} {self._let_go(spec, url, path)}") from error
        items = [
            self._write(repository, place, table, origin(kind, wants[place]), published.sha256)
            for place, table in tables
        ]
        if (repository, url) in self._stale:
            self._stale.remove((repository, url))
            self._renewed.add((repository, url))
        self._note(repository, items, {url: published})

    def _let_go(self, spec: Spec, url: str, path: Path) -> str:
        """Remove a file that is not what it should be, if this process brought it and no hash says that these bytes are
        meant; tell which.
        """
        if path in self._downloaded and self._pinned_hash(spec, url) is None:
            path.unlink()
            self._downloaded.remove(path)
            return "Nothing of it was kept."
        return f"The file is {path}, and stays there: take it away to have it downloaded."

    def _published(self, repository: Repository, spec: Spec, file: Mapping[str, Any]) -> Published:
        """What the published file is, which lies in its place then.

        Raises:
            HubError: it cannot be had, or its bytes are not those that are pinned.
        """
        url, target = file["url"], self._path(spec, file)
        is_stale = (repository, url) in self._stale
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
        part = self._part(repository, url, target.name)
        locked = self._lock[repository].archives.get(url) if repository in self._lock else None
        sha256 = self._download(url, part, pinned, None if "sha256" in file else locked)
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        self._downloaded.add(target)
        return Published(target.stat().st_size, sha256)

    def _download(self, url: str, part: Path, pinned: str | None, locked: Published | None) -> str:
        """Bring a file; give its hash. What failed once in this process fails at once for the next language."""
        if (url, pinned) in self._failed:
            raise self._failed[url, pinned]
        say(f"Downloading {url}.")
        try:
            return self._host(url).download(url, part, pinned, locked)
        except HubError as error:
            self._failed[url, pinned] = error
            raise

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
        _refuse_unsafe(repository, local)
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
        """Have what a spec reads downloaded anew when it is pinned next, once. What other studies pinned of the dataset
        stays.
        """
        repository = Repository.of(spec)
        urls = {url for url in _urls(spec) if (repository, url) not in self._renewed}
        self._stale |= {(repository, url) for url in urls}
        locked = self._lock.get(repository)
        if locked is not None and urls:
            files = {name: item for name, item in locked.files.items() if _url(item) not in urls}
            archives = {url: file for url, file in locked.archives.items() if url not in urls}
            self._lock[repository] = dataclasses.replace(locked, files=files, archives=archives)


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


def _refuse_unsafe(repository: Repository, local: str, is_file: bool = False) -> None:
    if not is_safe(local) or (is_file and "/" in local):
        raise HubError(f"{repository}: {local!r} is no name for a file of a mirror. Correct the task's YAML.")


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

    reads = formats.by_word(kind)
    parts: dict[Place, dict[str, pa.Table]] = {}
    spoilt: set[Place] = set()
    for name, file in _opened(path, wants, url):
        mine = [place for place, entry in wants.items() if _is_of(reads, name, place, entry)]
        if not mine:
            continue
        for names, places, content in _by_columns(mine, wants, file):
            try:
                table = reads.read(content, name, names)
            except DataError:
                if needed.intersection(places):
                    raise
                spoilt.update(places)
                continue
            for place in places:
                parts.setdefault(place, {})[name] = table
    for config, split in sorted(needed - parts.keys()):
        raise Absent(
            f"{url} has no member like {wants[config, split].get('members')} for config {config}, split {split}. Correct "
            "`members` in the task's YAML, or leave the task or language out."
        )
    found = []
    for place, tables in parts.items():
        if place in spoilt:
            continue
        strange = _of_another_form(tables)
        if strange is None:
            by_name = sorted(tables, key=lambda name: (name.rpartition("/")[2], name))
            found.append((place, pa.concat_tables([tables[name] for name in by_name])))
        elif place in needed:
            raise DataError(
                f"{url}: config {place[0]}, split {place[1]} is made of members with different columns: {strange}. Correct "
                "`members` in the task's YAML, so that only files of one kind are read."
            )
    return found


def _by_columns(
    places: Sequence[Place], wants: Mapping[Place, Mapping[str, Any]], file: BinaryIO
) -> Iterator[tuple[Sequence[str], list[Place], BinaryIO]]:
    """The places that a member is read for, by the names that they give its columns. It is kept in memory only where they
    give several, for a stream is read once.
    """
    groups: dict[tuple[str, ...], list[Place]] = {}
    for place in places:
        groups.setdefault(tuple(wants[place].get("names", ())), []).append(place)
    content = file.read() if len(groups) > 1 else None
    for names, mine in groups.items():
        yield names, mine, file if content is None else io.BytesIO(content)


def _of_another_form(tables: Mapping[str, "pa.Table"]) -> str | None:
    """Two members whose columns differ, in words; None where there are none."""
    first, *others = sorted(tables)
    for other in others:
        if not tables[other].schema.equals(tables[first].schema):
            columns = (f"{name} has {', '.join(tables[name].column_names)}" for name in (first, other))
            return "; ".join(columns)
    return None


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
