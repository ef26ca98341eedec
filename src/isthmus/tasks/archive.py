"""Sources that are no repository of the hub but files at an address: what their keys mean, and what is wrong with them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from isthmus.errors import UsageError
from isthmus.hubs import OWNER
from isthmus.hubs.formats import word
from isthmus.study.problems import did_you_mean, shown

if TYPE_CHECKING:
    from isthmus.tasks.task import Source

FORMATS = Path(__file__).parent.parent / "hubs" / "formats"
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PLACEHOLDERS = ("language", "hub_language", "split")
PACKED = (".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.xz", ".tar", ".zip")

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_KEYS = ("sha256", "format", "members", "names")


def formats() -> tuple[str, ...]:
    """The formats that this version reads, one module each."""
    return tuple(sorted(path.stem for path in FORMATS.glob("[a-z]*.py")))


def fill(template: str, names: Mapping[str, str]) -> str:
    """A template with its placeholders filled in."""
    return PLACEHOLDER.sub(lambda match: names[match.group(1)], template)


def files(
    source: "Source", splits: Mapping[str, str | list[str]], names: Mapping[str, str]
) -> dict[str, Any]:
    """The files at an address that hold the splits: their `format` with its version, and `files` by the hub's name of the
    split: `url`, `name` (what the file is called in the cache), and, where the source says them, `sha256`, `members` and
    `names`.

    Raises:
        UsageError: a name that is filled in makes another folder of the cache, or no name of a file.
    """
    assert source.url is not None and source.format is not None
    found = {}
    for split in (
        name for value in splits.values() for name in ([value] if isinstance(value, str) else value)
    ):
        here = {**names, "split": split}
        url = fill(source.url, here)
        hashes = source.sha256
        facts = {
            "url": url,
            "name": _name(source, here),
            "sha256": hashes.get(url) if isinstance(hashes, dict) else hashes,
            "members": None if source.members is None else fill(source.members, here),
            "names": source.names,
        }
        found[split] = {name: fact for name, fact in facts.items() if fact is not None}
    return {"format": word(source.format), "files": found}


def _name(source: "Source", names: Mapping[str, str]) -> str:
    assert source.url is not None
    name = fill(file_name(source.url), names)
    if not _FILE.match(name):
        filled = ", ".join(f"{key} {shown(value)}" for key, value in names.items())
        raise UsageError(
            f"{source.hub}: its url names the file {shown(name)} for {filled}, and that is no name of a file (letters, digits, "
            "dots, hyphens, underscores). Correct languages, splits or url in the task's YAML."
        )
    return name


def file_name(url: str) -> str:
    """The last part of an address, after the folders whose placeholders it does not repeat: two addresses of a source
    that differ have two names.
    """
    *folders, last = urlsplit(url).path.lstrip("/").split("/")
    mine = set(PLACEHOLDER.findall(last))
    telling = [folder for folder in folders if set(PLACEHOLDER.findall(folder)) - mine]
    return "-".join((*telling, last))


def faults(source: "Source") -> Iterator[tuple[tuple[str, ...], str]]:
    """What hinders that a source is read from its address, with the key that is wrong."""
    owner = source.hub.partition("/")[0]
    if source.url is None:
        for key in _KEYS:
            if getattr(source, key) is not None:
                yield (key,), "is said of files at an address: give url, or drop it."
        if owner == OWNER:
            yield ("hub",), f"{OWNER}/… is the name of files at an address: give url, or the hub's id."
        return
    if owner != OWNER:
        yield (
            ("hub",),
            f"files at an address are called {OWNER}/…: no repository of the hub can be meant then.",
        )
    if source.revision is not None:
        yield ("revision",), "files at an address have none: sha256 says which bytes are meant."
    yield from _url_faults(source.url)
    yield from _content_faults(source)
    for key in ("url", "members"):
        for name in PLACEHOLDER.findall(getattr(source, key) or ""):
            if name not in PLACEHOLDERS:
                yield (key,), f"nothing is called {{{name}}}.{did_you_mean(name, PLACEHOLDERS)}"


def _url_faults(url: str) -> Iterator[tuple[tuple[str, ...], str]]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield ("url",), f"{shown(url)} is no address such as https://example.org/data.tgz."
    elif parts.username is not None or parts.password is not None:
        yield ("url",), "a task file is no place for a name and a password: leave them out."
    elif "#" in url:
        yield ("url",), "what follows a # is never sent to a server: leave it out."
    elif not all(
        _FILE.match(PLACEHOLDER.sub("x", name)) for name in (parts.path.rpartition("/")[2], file_name(url))
    ):
        yield (
            ("url",),
            "its path has to end with the name of a file (letters, digits, dots, hyphens, underscores).",
        )


def _content_faults(source: "Source") -> Iterator[tuple[tuple[str, ...], str]]:
    if source.format is None:
        yield ("format",), f"say what the files are: {', '.join(formats())}."
    elif source.format not in formats():
        yield (
            ("format",),
            f"there is no format {shown(source.format)}.{did_you_mean(source.format, formats())}",
        )
    assert source.url is not None
    packed = urlsplit(source.url).path.endswith(PACKED)
    if packed and source.members is None:
        yield ("members",), "say which files of the archive hold a split, such as */{language}-{split}.tsv."
    if not packed and source.members is not None:
        yield ("members",), f"only archives ({', '.join(PACKED)}) have them: drop it."
    if isinstance(source.sha256, str) and PLACEHOLDER.search(source.url):
        yield ("sha256",), "the address stands for several files: give a hash for each, by its address."
    hashes = source.sha256 if isinstance(source.sha256, dict) else {"": source.sha256}
    for value in hashes.values():
        if value is not None and not _HASH.match(value):
            yield ("sha256",), f"{shown(value)} is no SHA-256 in 64 small hexadecimal digits."
