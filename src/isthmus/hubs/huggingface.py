"""The Hugging Face hub: what a spec reads is brought into a cache that is a mirror, and read there as from any mirror.

Whether a file came from the hub or lay in a mirror is no part of an identity, so both are one kind of hub. Nothing is
asked of the network while a study is planned, and nothing at all once the cache has what is needed.

    <cache>/<owner>/<name>/…                       the mirror
    <cache>/.hub/<kind>s/<owner>/<name>.json       the commit of its files, sizes, hashes; written after the files
    <cache>/.hub/partial/…                         files that are not whole yet
"""

import contextlib
import dataclasses
import fcntl
import functools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus import disk, settings
from isthmus.errors import HubError, StorageError
from isthmus.hubs import wanted
from isthmus.hubs.archives import Archives
from isthmus.hubs.mirror import found_files, shards
from isthmus.hubs.pinned import (
    ARCHIVE,
    Item,
    Pinned,
    Repository,
    is_safe,
    lock_text,
    places,
    read_lock,
    roles,
)
from isthmus.log import say

if TYPE_CHECKING:
    from isthmus.hubs.listing import Listing
    from isthmus.hubs.remote import Remote

STATE = ".hub"


class HuggingFace:
    """The plan's view of the hub, and the way to bring what specs read into the cache."""

    kind = "hub"
    synthetic = False

    def __init__(self, cache: Path, lock: Path) -> None:
        self.folder: Path | None = cache
        self.cache = cache
        self.lock_path = lock
        self._lock = read_lock(lock)
        self._updated: set[Repository] = set()
        self.archives = Archives(self, self._lock)

    # What the plan asks --------------------------------------------------------------------------------------

    def languages(self) -> tuple[str, ...] | None:
        """Only the datasets limit the hub's languages."""
        return None

    def offers(self, hub_id: str, config: str, split: str) -> bool:
        """Whether the lock does not say that it is absent. A plan does not ask the network: it shows when it is fetched."""
        locked = self._lock.get(Repository("dataset", hub_id))
        return locked is None or f"{config}/{split}" not in locked.absent

    def contents(self, spec: Mapping[str, Any]) -> dict[str, str] | None:
        """The hashes of the files that a spec reads, by role; None before they were fetched or pinned."""
        items = self._known_items(spec)
        return None if items is None else roles(spec, items)

    def refuse_missing(self, specs: Iterable[Mapping[str, Any]]) -> None:
        """Where the network may not be used, everything must be there.

        Raises:
            HubError: it is not; the message names all that is missing.
        """
        if not settings.hub_offline():
            return
        lines = list(dict.fromkeys(line for spec in specs for line in self._out_of_reach(spec)))
        if lines:
            raise HubError(
                "\n".join(
                    (
                        f"HF_HUB_OFFLINE is set, and the cache {self.cache} lacks what the study needs:",
                        *(f"  {line}" for line in lines),
                        "Run `isthmus fetch STUDY` where there is a network, or bring a bundle of it (isthmus unbundle).",
                    )
                )
            )

    def _out_of_reach(self, spec: Mapping[str, Any]) -> list[str]:
        lines = self.missing(spec)
        return [] if lines and _is_archive(spec) and self.archives.is_at_hand(spec) else lines

    def missing(self, spec: Mapping[str, Any]) -> list[str]:
        """A line for each file that a spec reads and that the cache does not have."""
        repository = Repository.of(spec)
        items = self._known_items(spec)
        if items is not None:
            absent = [item for item in items if not self._is_there(repository, item)]
            return [f"{repository.id}/{item.local} ({item.size:,} bytes)" for item in absent]
        if "splits" not in spec:
            return [f"{repository.id}: {', '.join(spec['files'])} (not fetched yet)"]
        return [f"{repository.id}/{place} (not fetched yet)" for place in sorted(places(spec))]

    def _known_items(self, spec: Mapping[str, Any]) -> list[Item] | None:
        known = self.knowing(spec)
        return None if known is None else known.find(spec)

    def knowing(self, spec: Mapping[str, Any]) -> Pinned | None:
        """What is known of a spec's repository, if that tells all the files that it reads."""
        if _is_archive(spec):
            return self.archives.knowing(spec)
        for pinned in self._known(Repository.of(spec), spec["source"].get("revision")):
            if pinned.find(spec) is not None:
                return pinned
        return None

    def _known(self, repository: Repository, asked: str | None) -> Iterator[Pinned]:
        """What is known of a repository at the revision that is asked for: in the cache, then in the lock."""
        locked = self._lock.get(repository)
        if locked is not None and not locked.fits(asked):
            locked = None  # the study asks for another one since it was pinned
        record = self.record(repository)
        if record is not None and record.fits(locked.revision if locked else asked):
            yield record
        if locked is not None:
            yield locked

    # What lies in the cache ----------------------------------------------------------------------------------

    def path(self, repository: Repository, item: Item) -> Path:
        """Where a file lies, or will."""
        return self.cache / repository.id / item.local

    def record_path(self, repository: Repository) -> Path:
        """Where the cache's own knowledge of a repository lies."""
        return self.cache / STATE / f"{repository.kind}s" / f"{repository.id}.json"

    def record(self, repository: Repository) -> Pinned | None:
        """What the cache has of a repository; None if nothing, or if that cannot be read."""
        path = self.record_path(repository)
        try:
            state = path.stat()
            return _read_record(path, state.st_ino, state.st_mtime_ns)
        except (OSError, ValueError):
            return None

    def write_record(self, repository: Repository, record: Pinned) -> None:
        """Make files known that lie in their places."""
        write_text(self.record_path(repository), json.dumps(record.document(), indent=1, sort_keys=True))

    def _is_there(self, repository: Repository, item: Item) -> bool:
        try:
            return self.path(repository, item).stat().st_size == item.size
        except OSError:
            return False

    def is_whole(self, repository: Repository, item: Item) -> bool:
        """Whether a file lies in its place with the right bytes."""
        return self._is_there(repository, item) and disk.sha256(self.path(repository, item)) == item.sha256

    # Fetching ------------------------------------------------------------------------------------------------

    def supply(self, specs: Sequence[Mapping[str, Any]]) -> None:
        """Bring everything that the specs read into the cache. Asks nothing of the network if it is there.

        Raises:
            HubError: something cannot be had.
            StorageError: the cache cannot be written, or the disk is too small.
        """
        self.refuse_missing(specs)
        self.archives.expect(specs)
        for spec in specs:
            repository = Repository.of(spec)
            with self._held(repository):
                self._supply(repository, spec)

    def _supply(self, repository: Repository, spec: Mapping[str, Any]) -> None:
        if _is_archive(spec):
            self._remove_older(repository, spec, self.archives.supply(spec))
            return
        record = self._record_for(repository, spec["source"].get("revision"))
        items = self._known_items(spec) or self.listing.items(repository, record, spec)
        items = self.download(repository, items)
        self._remove_older(repository, spec, items)
        self.write_record(repository, record.with_items(items, spec.get("files", ())))

    def _remove_older(self, repository: Repository, spec: Mapping[str, Any], items: Iterable[Item]) -> None:
        """Remove what another revision left among the files of a split or an encoder: a mirror would read it along."""
        mine = {self.path(repository, item) for item in items}
        if "splits" not in spec:
            found = found_files(self.cache, repository.id, spec["files"])
        else:
            splits = wanted(spec["source"], spec["splits"].values())
            found = [path for split in splits for path in shards(self.cache, repository.id, *split)]
        for path in set(found) - mine:
            path.unlink()

    def _record_for(self, repository: Repository, asked: str | None) -> Pinned:
        """The cache's record of the right revision. A branch is turned into a commit once, and written down."""
        for known in self._known(repository, asked):
            record = self.record(repository)
            if record is not None and record.revision == known.revision:
                return record
            record = Pinned(known.asked, known.revision)
            break
        else:
            record = Pinned(asked, self.remote.revision(repository, asked))
        self.write_record(repository, record)
        return record

    def download(self, repository: Repository, items: Sequence[Item]) -> list[Item]:
        """Bring files into their places, all together when the last of them is whole; give them with their hashes."""
        unsafe = [item.local for item in items if not is_safe(item.local)]
        if unsafe:
            raise HubError(
                f"{repository}: {unsafe[0]!r} is no name for a file of a mirror. Correct the task's YAML."
            )
        lacking = [item for item in items if item.sha256 is None or not self.is_whole(repository, item)]
        needed = sum(item.size for item in lacking)
        free = shutil.disk_usage(self.cache).free
        if needed > free:
            raise StorageError(
                f"{repository} needs {needed:,} bytes in {self.cache}, where {free:,} are free. Make room, or name another "
                "folder with ISTHMUS_CACHE."
            )
        if lacking:
            say(f"Downloading {len(lacking)} files of {repository}, {needed / 2**20:.1f} MiB.")
        whole = {item.local: item for item in items}
        for item in lacking:
            part = self._part(repository, item)
            sha256 = self.remote.download(repository, item.revision, item.remote, item.entry, part)
            whole[item.local] = dataclasses.replace(item, sha256=sha256)
        for item in lacking:
            path = self.path(repository, item)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._part(repository, item).replace(path)
        return list(whole.values())

    def _part(self, repository: Repository, item: Item) -> Path:
        """Where a file grows: named by its content, so that what is left of another revision is never gone on with."""
        return self.partial(repository) / f"{item.sha256 or item.blob}.{item.local.replace('/', '.')}"

    def partial(self, repository: Repository) -> Path:
        """The folder of what is not whole yet."""
        folder = self.cache / STATE / "partial" / f"{repository.kind}s" / repository.id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @functools.cached_property
    def remote(self) -> "Remote":
        """The hub itself; its client library is imported when something is asked for."""
        if settings.hub_offline():
            raise HubError(
                "HF_HUB_OFFLINE is set, and this needs the hub. Unset it, and run where there is a network."
            )
        from isthmus.hubs.remote import Remote

        return Remote()

    @functools.cached_property
    def listing(self) -> "Listing":
        """What the hub says it has."""
        from isthmus.hubs.listing import Listing

        return Listing(self.remote, self._part)

    @contextlib.contextmanager
    def _held(self, repository: Repository) -> Iterator[None]:
        """One process at a time fetches from a repository: the others find what it brought."""
        path = self.record_path(repository).with_suffix(".busy")
        with self._storage_errors(self.cache):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield

    @contextlib.contextmanager
    def _storage_errors(self, place: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"{place} could not be written: {error}. Check the free space and the permissions there (ISTHMUS_CACHE "
                "names another folder for downloads), then run again."
            ) from error

    # The lock ------------------------------------------------------------------------------------------------

    def pin(self, spec: Mapping[str, Any]) -> None:
        """Note the commit, sizes and hashes of what a spec reads; what the lock has already stays.

        Raises:
            HubError: something cannot be had.
        """
        repository, asked = Repository.of(spec), spec["source"].get("revision")
        if _is_archive(spec):
            with self._held(repository):
                self.archives.pin(spec)
            return
        items = self._known_items(spec)
        with self._held(repository):
            if items is None:
                record = self._record_for(repository, asked)
                items = self._with_hashes(repository, self.listing.items(repository, record, spec))
            known = next(self._known(repository, asked))
        locked = self._lock.get(repository, Pinned(None, ""))
        if locked.revision != known.revision:
            locked = Pinned(known.asked, known.revision, absent=locked.absent)
        self._lock[repository] = locked.with_items(items, spec.get("files", ()))

    def note_absent(self, specs: Iterable[Mapping[str, Any]]) -> None:
        """Note that the hub does not have what some fetch specs read."""
        for spec in specs:
            repository = Repository.of(spec)
            locked = self._lock.get(repository, Pinned(None, ""))
            self._lock[repository] = dataclasses.replace(locked, absent=locked.absent | places(spec))

    def note_unsure(self, specs: Iterable[Mapping[str, Any]]) -> None:
        """Take back that the hub does not have what some fetch specs read."""
        for spec in specs:
            repository = Repository.of(spec)
            locked = self._lock[repository]
            self._lock[repository] = dataclasses.replace(locked, absent=locked.absent - places(spec))
            if self._lock[repository] == Pinned(None, ""):
                del self._lock[repository]

    def forget_absent(self) -> None:
        """Look again for what the hub did not have: every source of the tasks is tried anew."""
        for repository, locked in list(self._lock.items()):
            self._lock[repository] = dataclasses.replace(locked, absent=frozenset())

    def update(self, spec: Mapping[str, Any]) -> None:
        """Note the newest commit of what a spec reads, once."""
        repository, asked = Repository.of(spec), spec["source"].get("revision")
        if _is_archive(spec):
            self.archives.update(spec)
        elif repository not in self._updated:
            self._updated.add(repository)
            newest = self.remote.revision(repository, asked)
            locked = self._lock.get(repository, Pinned(None, ""))
            if locked.revision != newest:
                self._lock[repository] = Pinned(asked, newest, absent=locked.absent)

    def write_lock(self) -> None:
        """Write down what was noted; no lock is begun for nothing."""
        if not self._lock and not self.lock_path.is_file():
            return
        with self._storage_errors(self.lock_path):
            write_text(self.lock_path, lock_text(self._lock))

    def revision(self, spec: Mapping[str, Any]) -> str:
        """The commit that the lock has for a spec's repository, or the hashes of an archive."""
        if _is_archive(spec):
            return self.archives.revision(spec)
        return self._lock[Repository.of(spec)].revision

    def _with_hashes(self, repository: Repository, items: list[Item]) -> list[Item]:
        """Of small files the listing has no SHA-256: they are downloaded."""
        small = self.download(repository, [item for item in items if item.sha256 is None])
        return [item for item in items if item.sha256 is not None] + small

    def moved(self, specs: Iterable[Mapping[str, Any]]) -> list[str]:
        """A line for each repository of the lock whose newest commit is another one by now."""
        lines = []
        for repository in dict.fromkeys(Repository.of(spec) for spec in specs if not _is_archive(spec)):
            locked = self._lock.get(repository)
            if locked is not None and locked.revision:
                newest = self.remote.revision(repository, locked.asked)
                if newest != locked.revision:
                    lines.append(
                        f"{repository} moved on from {locked.revision} to {newest}; the lock keeps the former."
                    )
        return lines


def _is_archive(spec: Mapping[str, Any]) -> bool:
    return ARCHIVE in spec["source"]


@functools.lru_cache(maxsize=256)
def _read_record(path: Path, inode: int, mtime_ns: int) -> Pinned:
    """A record; cached within the process, because one may serve forty languages."""
    return Pinned.read(json.loads(path.read_text(encoding="utf-8")))


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder where there is none, so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.write_text(path, text)
