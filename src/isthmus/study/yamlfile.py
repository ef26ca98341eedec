"""The bounded YAML loader: reads a study or task file without surprises, in bounded time and memory.

Differences from an ordinary YAML loader, all on purpose:

* The written text decides, not YAML 1.1: `2e-5` is a number, only `true` and `false` are booleans, and `no`
  (Norwegian), `on`, `1:30` and dates are text. `010`, `.inf` and `.nan` are refused: readers disagree on
  them.
* Refused: more than 256 KB, nesting deeper than 20, duplicate keys, tabs, tags, several documents, bytes that
  are not UTF-8, `__use_yte__` (Snakemake would execute Python that the file holds), and aliases beyond a
  bound (a few lines of nested aliases expand to gigabytes).
* Every value keeps the line where it stands and the text as it was written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from isthmus.errors import UsageError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_ALIASES = 100
MAX_ALIASED_NODES = 1000

Where = tuple[str | int, ...]
"""The way to a value: keys and list positions from the root, as in ("arms", "mnli", 0)."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)\Z", re.IGNORECASE)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


@dataclass(frozen=True)
class Flaw:
    """One thing that is wrong in a file, with the place and the line (from 1) where it stands."""

    where: Where
    line: int
    text: str


class YamlError(UsageError):
    """The file cannot be read as bounded YAML; `flaws` holds what was found."""

    def __init__(self, path: Path, flaws: Sequence[Flaw]) -> None:
        super().__init__("\n".join(f"{path}:{flaw.line}: {flaw.text}" for flaw in flaws))
        self.flaws = tuple(flaws)


@dataclass(frozen=True)
class Document:
    """A file that was read: its value, and line and written text of each place in it."""

    path: Path
    value: Any
    lines: Mapping[Where, int]
    written: Mapping[Where, str]

    def line(self, where: Where) -> int:
        """Line (from 1) of a place, or of the nearest place around it that the file holds."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def number(text: str) -> int | float | None:
    """The finite number that a text spells (`32`, `2e-5`), or None."""
    if _INTEGER.match(text):
        return int(text) if len(text) <= 20 else None
    if _FLOAT.match(text):
        value = float(text)
        return value if value not in (float("inf"), float("-inf")) else None
    return None


def load(path: Path, flaws: list[Flaw] | None = None) -> Document:
    """Read one file.

    What does not hinder reading on (a duplicate key, say) is appended to `flaws` where a list is given, so
    that the caller can report it together with everything else; without a list it raises.

    Raises:
        YamlError: the file cannot be read, or has a flaw and no list was given.
    """
    text = _read(path)
    found: list[Flaw] = [] if flaws is None else flaws
    document = _Builder(path, found).build(_compose(path, text))
    if flaws is None and found:
        raise YamlError(path, found)
    return document


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: this file cannot be read: {error.strerror}.") from error
    if len(raw) > MAX_BYTES:
        raise YamlError(path, [Flaw((), 1, f"the file is larger than {MAX_BYTES // 1024} KB.")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise YamlError(path, [Flaw((), line, "this is not UTF-8: save the file as UTF-8.")]) from error
    tabs = [index for index, line in enumerate(text.split("\n"), 1) if "\t" in line]
    if tabs:
        raise YamlError(path, [Flaw((), line, "there is a tab: write spaces.") for line in tabs[:20]])
    return text


@dataclass
class _Node:
    """A value as composed: a scalar has text, a list has children, a mapping has pairs."""

    line: int
    text: str | None = None
    plain: bool = False
    children: list["_Node"] | None = None
    pairs: list[tuple["_Node", "_Node"]] | None = None
    size: int = 1


@dataclass
class _Open:
    """A list or mapping whose end was not met yet; `key` waits for its value."""

    node: _Node
    key: _Node | None = None
    anchor: str | None = None


@dataclass
class _Composer:
    """Turns parser events into nodes without recursion, and stops at the first bound that is crossed."""

    path: Path
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Node] = field(default_factory=dict)
    root: _Node | None = None
    documents: int = 0
    aliases: int = 0
    aliased_nodes: int = 0

    def fail(self, line: int, text: str) -> YamlError:
        return YamlError(self.path, [Flaw((), line, text)])

    def feed(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.fail(line, "there is a second YAML document (---): a file holds one.")
        elif isinstance(event, yaml.AliasEvent):
            self.place(self.alias(event.anchor or "", line))
        elif isinstance(event, yaml.ScalarEvent):
            self.refuse_tag(event.tag, line)
            node = _Node(line, text=event.value, plain=event.style in (None, ""))
            self.remember(event.anchor, node)
            self.place(node)
        elif isinstance(event, yaml.CollectionStartEvent):
            self.refuse_tag(event.tag, line)
            if len(self.stack) >= MAX_DEPTH:
                raise self.fail(line, f"values are nested deeper than {MAX_DEPTH} levels.")
            mapping = isinstance(event, yaml.MappingStartEvent)
            node = _Node(line, pairs=[]) if mapping else _Node(line, children=[])
            self.stack.append(_Open(node, anchor=event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self.stack.pop()
            self.remember(closed.anchor, closed.node)
            self.place(closed.node)

    def refuse_tag(self, tag: str | None, line: int) -> None:
        if tag is not None:
            raise self.fail(line, f"there is a YAML tag ({tag[:60]}): tags are not accepted.")

    def remember(self, anchor: str | None, node: _Node) -> None:
        if anchor is not None:
            self.anchors[anchor] = node

    def alias(self, name: str, line: int) -> _Node:
        node = self.anchors.get(name)
        if node is None:
            raise self.fail(line, f"the alias *{name[:60]} has no complete anchor &{name[:60]} before it.")
        self.aliases += 1
        self.aliased_nodes += node.size
        if self.aliases > MAX_ALIASES or self.aliased_nodes > MAX_ALIASED_NODES:
            raise self.fail(
                line,
                f"aliases (*{name[:60]}) stand for too many values: at most {MAX_ALIASES} aliases "
                f"and {MAX_ALIASED_NODES} values. Write the values out.",
            )
        return node

    def place(self, node: _Node) -> None:
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.node.size += node.size
        if top.node.children is not None:
            top.node.children.append(node)
        elif top.key is None:
            top.key = node
        elif top.node.pairs is not None:
            top.node.pairs.append((top.key, node))
            top.key = None


def _compose(path: Path, text: str) -> _Node:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    composer = _Composer(path)
    try:
        for event in yaml.parse(text, Loader=loader):
            composer.feed(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise composer.fail(mark.line + 1 if mark else 1, _syntax(error.problem or "")) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1 if isinstance(error.position, int) else 1
        raise composer.fail(line, "there is a control character: remove it.") from error
    except yaml.YAMLError as error:
        raise composer.fail(1, _syntax(str(error))) from error
    if composer.root is None:
        raise composer.fail(1, "the file is empty.")
    return composer.root


def _syntax(problem: str) -> str:
    words = " ".join(problem.split())[:120]
    return (
        f"this is not YAML ({words}): look here and just above for a missing colon or the space after it, "
        "a bracket or quote that is not closed, or a wrong indentation."
    )


@dataclass
class _Builder:
    """Turns nodes into plain values and notes line and written text of each place."""

    path: Path
    flaws: list[Flaw]
    lines: dict[Where, int] = field(default_factory=dict)
    written: dict[Where, str] = field(default_factory=dict)

    def build(self, root: _Node) -> Document:
        return Document(self.path, self.value(root, (), root.line), self.lines, self.written)

    def flaw(self, where: Where, line: int, text: str) -> None:
        self.flaws.append(Flaw(where, line, text))

    def value(self, node: _Node, where: Where, line: int) -> Any:
        if len(where) > MAX_DEPTH:
            raise YamlError(
                self.path, [Flaw(where, line, f"values are nested deeper than {MAX_DEPTH} levels.")]
            )
        self.lines[where] = line
        if node.children is not None:
            return [self.value(child, (*where, i), child.line) for i, child in enumerate(node.children)]
        if node.pairs is not None:
            return self.mapping(node, where)
        return self.scalar(node, where, line)

    def mapping(self, node: _Node, where: Where) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, child in _own_pairs(node):
            name = self.key(key, where)
            if name is None:
                continue
            if name in result:
                first = self.lines[(*where, name)]
                self.flaw(
                    (*where, name), key.line, f"this key stands twice (first in line {first}): keep one."
                )
                continue
            result[name] = self.value(child, (*where, name), key.line)
        for key, child in self.merged(node, where):
            name = self.key(key, where)
            if name is not None and name not in result:
                result[name] = self.value(child, (*where, name), key.line)
        return result

    def key(self, node: _Node, where: Where) -> str | None:
        if node.text is None:
            self.flaw(where, node.line, "a key must be text, not a list or mapping.")
        elif node.text == "__use_yte__":
            self.flaw(
                where,
                node.line,
                "__use_yte__ would make Snakemake execute Python that this file holds: remove it.",
            )
            return None
        return node.text

    def merged(self, node: _Node, where: Where) -> Iterator[tuple[_Node, _Node]]:
        """The pairs that merge keys (`<<: *anchor`) bring in, earlier ones first."""
        for key, child in node.pairs or ():
            if not _is_merge(key):
                continue
            for source in child.children if child.children is not None else [child]:
                if source.pairs is None or any(_is_merge(inner) for inner, _ in source.pairs):
                    self.flaw(
                        where,
                        key.line,
                        "<< takes mappings that have no << of their own: write the values out.",
                    )
                else:
                    yield from source.pairs

    def scalar(self, node: _Node, where: Where, line: int) -> Any:
        text = node.text or ""
        self.written[where] = text
        if not node.plain:
            return text
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _LEADING_ZERO.match(text):
            self.flaw(
                where,
                line,
                f"{text[:40]} is read as octal by some readers: drop the leading zero, or quote it.",
            )
        elif _NOT_FINITE.match(text):
            self.flaw(where, line, f"{text} is not a number that can be used here.")
        elif _FLOAT.match(text):
            value = number(text)
            if value is None:
                self.flaw(where, line, f"{text[:40]} is too large a number.")
            return value
        return text


def _own_pairs(node: _Node) -> list[tuple[_Node, _Node]]:
    return [(key, child) for key, child in node.pairs or () if not _is_merge(key)]


def _is_merge(key: _Node) -> bool:
    return key.plain and key.text == "<<"
