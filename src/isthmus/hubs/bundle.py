"""A study's downloads as one file, for a cluster without a network: a tar of the cache's files and what is known of them.

The first member is a lock; every other member is a file that the lock names, `<owner>/<name>/…`. A bundle comes from
elsewhere, so nothing of it is believed: members are written one by one under names of our own, only regular files that
the lock names and that have its sizes, and only files with the right SHA-256 are moved into the cache.
"""

import dataclasses
import os
import secrets
import shutil
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from isthmus.errors import DataError, HubError, StorageError
from isthmus.hubs.checked import Received
from isthmus.hubs.huggingface import STATE, HuggingFace, write_text
from isthmus.hubs.pinned import LOCK, Item, Pinned, Repository, lock_text, read_lock

MAX_LOCK = 64 * 2**20


def bundle(hub: HuggingFace, specs: Sequence[Mapping[str, Any]], path: Path) -> int:
    """Write all that the specs read to a tar file; give its size in bytes.

    Raises:
        HubError: the cache lacks something; the message names all of it.
        StorageError: the file cannot be written.
    """
    missing = list(dict.fromkeys(line for spec in specs for line in hub.missing(spec)))
    if missing:
        lines = "\n".join(f"  {line}" for line in missing)
        raise HubError(
            f"The cache {hub.cache} lacks what the study needs:\n{lines}\nRun `isthmus fetch STUDY` first."
        )
    wanted = _wanted(hub, specs)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            text = lock_text(wanted).encode()
            tar.addfile(_member(LOCK, len(text)), BytesIO(text))
            for repository, item in _items(wanted):
                if not hub.is_whole(repository, item):
                    raise HubError(
                        f"{hub.path(repository, item)} is damaged. Run `isthmus fetch STUDY`, which downloads it again."
                    )
                with hub.path(repository, item).open("rb") as file:
                    tar.addfile(_member(f"{repository.id}/{item.local}", item.size), file)
        draft.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error}. Free space or choose another place."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return path.stat().st_size


def _wanted(hub: HuggingFace, specs: Iterable[Mapping[str, Any]]) -> dict[Repository, Pinned]:
    """What is known of the repositories, narrowed to the files that the specs read."""
    found: dict[Repository, Pinned] = {}
    for spec in specs:
        repository = Repository.of(spec)
        known = hub.knowing(spec)
        assert known is not None  # nothing is missing
        items = known.find(spec) or ()
        addresses = {item.remote.partition("#")[0] for item in items}
        archives = {url: file for url, file in known.archives.items() if url in addresses}
        mine = found.get(repository, Pinned(known.asked, known.revision))
        mine = dataclasses.replace(mine, archives={**mine.archives, **archives})
        found[repository] = mine.with_items(items, spec.get("files", ()))
    return found


def _items(pinned: Mapping[Repository, Pinned]) -> list[tuple[Repository, Item]]:
    pairs = [(repository, item) for repository, entry in pinned.items() for item in entry.files.values()]
    return sorted(pairs, key=lambda pair: (pair[0].id, pair[1].local))


def _member(name: str, size: int) -> tarfile.TarInfo:
    """A member without anything of this machine: no owner, no time."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def unbundle(path: Path, hub: HuggingFace) -> tuple[int, int]:
    """Bring a bundle's files into the cache, and its lock beside the study where it names what that does not; give the
    number of files and of bytes.

    Raises:
        DataError: it is no bundle, or something in it is not what its lock says. The cache stays as it was.
        StorageError: the cache cannot be written.
    """
    folder = hub.cache / STATE / f"unbundle.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        with tarfile.open(path, "r:") as tar:
            pinned = _first_member(tar, folder, path)
            files = {
                f"{repository.id}/{item.local}": (repository, item) for repository, item in _items(pinned)
            }
            received = _receive(tar, files, folder, hub.cache, path)
        for name, part in received.items():
            target = hub.path(*files[name])
            target.parent.mkdir(parents=True, exist_ok=True)
            part.replace(target)
        for repository, entry in pinned.items():
            _note(hub, repository, entry)
        write_text(hub.lock_path, lock_text(pinned | read_lock(hub.lock_path)))
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"{path} is not a whole bundle that `isthmus bundle` wrote ({error}). Copy it again."
        ) from error
    except OSError as error:
        raise StorageError(f"{path} could not be brought into the cache {hub.cache}: {error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return len(files), sum(item.size for _, item in files.values())


def _first_member(tar: tarfile.TarFile, folder: Path, path: Path) -> dict[Repository, Pinned]:
    member = tar.next()
    if member is None or member.name != LOCK or not member.isreg() or member.size > MAX_LOCK:
        raise DataError(
            f"{path} does not begin with a {LOCK}: it is not a bundle that `isthmus bundle` wrote."
        )
    file = tar.extractfile(member)
    assert file is not None
    (folder / LOCK).write_bytes(file.read())
    return read_lock(folder / LOCK)


def _receive(
    tar: tarfile.TarFile, files: Mapping[str, tuple[Repository, Item]], folder: Path, cache: Path, path: Path
) -> dict[str, Path]:
    """Every file of the bundle, whole, under a name that is only a number."""
    needed, free = sum(item.size for _, item in files.values()), shutil.disk_usage(cache).free
    if needed > free:
        raise StorageError(f"{path} holds {needed:,} bytes; in {cache}, {free:,} are free. Make room there.")
    received: dict[str, Path] = {}
    while (member := tar.next()) is not None:
        name = member.name
        if name not in files or name in received or not member.isreg() or member.issparse():
            raise DataError(
                f"{path} holds {name!r}, which its lock does not name as a file. Nothing was taken from it."
            )
        entry = files[name][1].entry
        if member.size != entry.size:
            raise DataError(
                f"{path}: {name} has {member.size:,} bytes, not {entry.size:,}. Nothing was taken from it."
            )
        received[name] = folder / str(len(received))
        source = tar.extractfile(member)
        assert source is not None
        with received[name].open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        if Received(received[name], entry, name).verified() is None:
            raise DataError(
                f"{path}: {name} is damaged: its SHA-256 is not the one in the lock. Copy the bundle again."
            )
    lost = sorted(files.keys() - received.keys())
    if lost:
        raise DataError(
            f"{path} lacks {len(lost)} files that its lock names, such as {lost[0]}. Copy it again."
        )
    return received


def _note(hub: HuggingFace, repository: Repository, entry: Pinned) -> None:
    """Let the cache know of the files; of another revision's it forgets what it knew."""
    record = hub.record(repository)
    if record is not None and record.revision == entry.revision:
        archives = {**record.archives, **entry.archives}
        record = dataclasses.replace(record, archives=archives)
        entry = record.with_items(entry.files.values(), entry.patterns)
    hub.write_record(repository, entry)
