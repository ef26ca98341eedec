"""What is known of a repository of the Hugging Face hub: the commit its files are of, and their sizes and hashes.

`hub.lock`, beside the study file, holds it for a study to be repeated; the cache holds the same for what lies there.
"""

import dataclasses
import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from isthmus.errors import UsageError
from isthmus.hubs import wanted
from isthmus.hubs.checked import Entry

LOCK = "hub.lock"
FORMAT = 1
ARCHIVE = "archive"
"""The key of a source that is files at an address, and the revision of such a dataset."""
_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?\Z")


@dataclass(frozen=True)
class Repository:
    """A dataset or a model of the hub."""

    kind: Literal["dataset", "model"]
    id: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.id}"

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Repository":
        """The repository that a fetch or encoder spec reads."""
        return cls("dataset" if "splits" in spec else "model", spec["source"]["id"])


@dataclass(frozen=True)
class Item:
    """A file: its name in a mirror below the repository's folder, its path on the hub, the commit it is read at.

    `sha256` is None where only its git hash `blob` is known: small files before they were downloaded.
    """

    local: str
    remote: str
    revision: str
    size: int
    sha256: str | None = None
    blob: str | None = None

    @property
    def entry(self) -> Entry:
        """What its bytes are held against."""
        return Entry(self.size, self.blob, self.sha256)


@dataclass(frozen=True)
class Published:
    """A file at an address: its size in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Pinned:
    """A repository at one commit, or files at addresses (`archives`, by address; the revision is then that word). `asked` is the branch, tag or commit that was asked for (None = the newest);
    `patterns` are those of an encoder's files of which all are among `files`; `absent` are config/split that the hub
    does not have there, so that a task's next source is read. The revision is "" where nothing of it is read.
    """

    asked: str | None
    revision: str
    patterns: frozenset[str] = frozenset()
    files: Mapping[str, Item] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    archives: Mapping[str, Published] = field(default_factory=dict)

    def fits(self, revision: str | None) -> bool:
        """Whether it may serve where this revision is asked for."""
        if not self.revision:
            return False
        if revision is None or revision == self.asked:
            return True
        return _COMMIT.match(revision) is not None and self.revision.startswith(revision)

    @property
    def copy(self) -> str | None:
        """The commit of the hub's parquet copy, where files of it are among `files`."""
        return next((item.revision for item in self.files.values() if item.revision != self.revision), None)

    def find(self, spec: Mapping[str, Any]) -> list[Item] | None:
        """The files that a spec needs; None if not all of them are known."""
        if "splits" not in spec:
            found = [item for name, item in self.files.items() if matches(name, encoder_patterns(spec))]
            return found if self.patterns.issuperset(spec["files"]) else None
        found = []
        archive = spec["source"].get(ARCHIVE)
        for config, split in wanted(spec["source"], spec["splits"].values()):
            shard = re.compile(rf"{re.escape(config)}/{re.escape(split)}-\d{{5}}-of-(\d{{5}})\.parquet")
            mine = {name: match for name in self.files if (match := shard.fullmatch(name))}
            if not mine or any(int(match.group(1)) != len(mine) for match in mine.values()):
                return None
            if archive is not None:
                made_of = origin(archive["format"], archive["files"][split])
                if any(self.files[name].remote != made_of for name in mine):
                    return None  # the task's YAML says another file, or another rule, since
            found += [self.files[name] for name in sorted(mine)]
        return found

    def with_items(self, items: Iterable[Item], patterns: Iterable[str] = ()) -> "Pinned":
        """The same with more files."""
        return dataclasses.replace(
            self,
            files={**self.files, **{item.local: item for item in items}},
            patterns=self.patterns.union(patterns),
        )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        names = ("remote", "revision", "size", "sha256")
        archives = {url: dataclasses.asdict(file) for url, file in sorted(self.archives.items())}
        return {
            "asked": self.asked,
            "revision": self.revision,
            "patterns": sorted(self.patterns),
            "absent": sorted(self.absent),
            "files": {
                local: {name: getattr(item, name) for name in names}
                for local, item in sorted(self.files.items())
            },
        } | ({"archives": archives} if archives else {})

    @classmethod
    def read(cls, value: Any) -> "Pinned":
        """From JSON.

        Raises:
            ValueError: it does not have this form.
        """
        try:
            files = {local: Item(local, **_checked(local, entry)) for local, entry in value["files"].items()}
            patterns, absent = (frozenset(value[name]) for name in ("patterns", "absent"))
            archives = {url: _published(url, entry) for url, entry in value.get("archives", {}).items()}
            return cls(value["asked"], str(value["revision"]), patterns, files, absent, archives)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not what is known of a repository: {error!r}") from error


def _checked(local: str, entry: Any) -> dict[str, Any]:
    if (
        not isinstance(entry["size"], int)
        or not re.fullmatch("[0-9a-f]{64}", entry["sha256"])
        or not is_safe(local)
    ):
        raise ValueError(f"{local}: its size, hash or name is none")
    return {name: entry[name] for name in ("remote", "revision", "size", "sha256")}


def _published(url: str, entry: Any) -> Published:
    if not isinstance(entry["size"], int) or not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):
        raise ValueError(f"{url}: its size or hash is none")
    return Published(entry["size"], entry["sha256"])


def origin(format: str, file: Mapping[str, Any]) -> str:
    """What a table was made of, and how: a file's address, then format (with its version), members and columns."""
    more = [file["members"]] if "members" in file else []
    return "#".join((file["url"], ":".join((format, *more, *file.get("names", ())))))


def is_safe(local: str) -> bool:
    """Whether a file's name stays within its repository's folder: no step up, no hidden part."""
    parts = local.split("/")
    return len(parts) <= 2 and all(re.fullmatch(r"[^./\\\0][^/\\\0]*", part) for part in parts)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name of a file at the top of an encoder's repository is meant by one of the patterns."""
    return "/" not in name and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def places(spec: Mapping[str, Any]) -> frozenset[str]:
    """The config/split that a fetch spec reads."""
    return frozenset("/".join(place) for place in wanted(spec["source"], spec["splits"].values()))


def encoder_patterns(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """What an encoder spec needs: what it reads, and the file by which a mirror knows an encoder."""
    return (*spec["files"], "config.json")


def roles(spec: Mapping[str, Any], items: Iterable[Item]) -> dict[str, str]:
    """The hashes of the files that a spec reads by role, as a mirror of the same files gives them.

    Raises:
        ValueError: a hash is not known.
    """
    found = {}
    for item in items:
        if item.sha256 is None:
            raise ValueError(item.local)
        if "splits" not in spec and not matches(item.local, spec["files"]):
            continue
        name = item.local if "configs" in spec["source"] else item.local.rpartition("/")[2]
        found[f"file/{name}"] = item.sha256
    return found


def read_lock(path: Path) -> dict[Repository, Pinned]:
    """All that a lock holds; nothing where there is none.

    Raises:
        UsageError: it is damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    try:
        if value["format"] != FORMAT:
            raise ValueError(f"its format is {value['format']!r}, not {FORMAT}")
        entries = {kind: value[f"{kind}s"] for kind in ("dataset", "model")}
        strange = [id for found in entries.values() for id in found if not _ID.match(id)]
        if strange:
            raise ValueError(f"{strange[0]!r} is no id")
        return {
            Repository("dataset" if kind == "dataset" else "model", id): Pinned.read(entry)
            for kind, found in entries.items()
            for id, entry in found.items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} is not a lock that `isthmus pin` wrote ({error}). Take it back from version control, or remove it and "
        "pin the study again."
    )


def lock_text(pinned: Mapping[Repository, Pinned]) -> str:
    """A lock as text: one line per value, so that a change can be read in a diff."""
    document: dict[str, Any] = {"format": FORMAT, "datasets": {}, "models": {}}
    for repository, entry in pinned.items():
        document[f"{repository.kind}s"][repository.id] = entry.document()
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
