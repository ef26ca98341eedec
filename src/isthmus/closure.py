"""The code that decides a result, as a hash: a stage's module and everything of isthmus that it imports.

The hash is a walk of our own over the syntax tree, without comments, docstrings, positions and empty fields, so
that it is the same on every Python we support and a comment costs nobody a training run. What carries results
about but does not decide them (the store, the command line, messages) is left out by name.
"""

import ast
import csv
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from isthmus.spec import fingerprint

PACKAGE = "isthmus"
ROOT = Path(__file__).parent
EQUIVALENTS = ROOT / "equivalents.csv"

# Modules that move results around without deciding what they are. A test holds that a running stage imports nothing
# outside its closure but these. `recipe` is among them because its frozen values can only be added to (another golden
# test), so that a new option invalidates nothing; `clock` and the like because no result holds their accounts; what
# downloads (`hubs.huggingface` and its helpers) because the content of what it brought counts, not how it came.
INFRASTRUCTURE = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        *(
            "__main__",
            "cli",
            "clock",
            "closure",
            "disk",
            "errors",
            "expand",
            "hubs.archives",
            "hubs.checked",
            "hubs.formats",
            "hubs.host",
            "hubs.huggingface",
            "hubs.layout",
            "hubs.listing",
            "hubs.pinned",
            "hubs.remote",
            "hubs.transfer",
            "hubs.unpack",
            "jobs",
            "log",
            "needs",
            "plan",
            "receipt",
            "recipe",
        ),
        *("runner", "settings", "spec", "stop", "store", "train.flops", "train.progress", "work"),
    )
)


def is_infrastructure(name: str) -> bool:
    """Whether a module decides nothing of any result; one in a package of that kind is of the same kind."""
    return name in INFRASTRUCTURE or name.rpartition(".")[0] in INFRASTRUCTURE


class MissingModule(Exception):
    """A closure names a module of the package that is not there."""


def closure(entries: Iterable[str], root: Path = ROOT) -> str:
    """One hash for the modules that the entry modules reach, each by its own hash."""
    return fingerprint(modules(entries, root))


def outside(entries: Iterable[str], loaded: Iterable[str]) -> list[str]:
    """The modules of the package among `loaded` that neither the closure nor the infrastructure holds."""
    names = {name for name in loaded if name.partition(".")[0] == PACKAGE}
    return sorted(name for name in names - set(modules(entries)) if not is_infrastructure(name))


def modules(entries: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """Every module of the package reached from the entries (included), with its hash; sorted by name.

    A file of the same name beside a module (`report.html` beside `report.py`) is data that the module reads, and
    counts byte by byte.

    Raises:
        MissingModule: an entry is no module of the package.
    """
    hashes: dict[str, str] = {}
    waiting = []
    for entry in entries:
        if _source(entry, root) is None:
            raise MissingModule(entry)
        waiting.extend(_with_parents(entry))
    while waiting:
        name = waiting.pop()
        if name in hashes or is_infrastructure(name):
            continue
        source = _source(name, root)
        if source is None:
            continue  # `from isthmus.x import y` where y is a name inside x, not a module
        hashes[name], imported = _examine(name, source.name == "__init__.py", source.read_bytes())
        for file in sorted(source.parent.glob(f"{source.stem}.*")):
            if file.suffix != ".py":
                hashes[f"{name}:{file.name}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
        waiting.extend(imported)
    equivalents = _equivalents(root)
    return {name: equivalents.get((name, hashes[name]), hashes[name]) for name in sorted(hashes)}


def _with_parents(module: str) -> list[str]:
    """Importing a.b.c runs a and a.b as well."""
    parts = module.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _source(module: str, root: Path) -> Path | None:
    path = root.joinpath(*module.split(".")[1:])
    for candidate in (path / "__init__.py", path.parent / f"{path.name}.py"):
        if candidate.is_file():
            return candidate
    return None


@functools.cache
def _examine(name: str, is_package: bool, source: bytes) -> tuple[str, tuple[str, ...]]:
    """A module's hash and the modules of the package it imports. Cached by content, never by time."""
    tree = ast.parse(source)
    imported: dict[str, None] = {}
    for node in ast.walk(tree):
        for target in _imports(node, name, is_package):
            imported |= dict.fromkeys(_with_parents(target))
    text = "\n".join(_words(_without_docstrings(tree)))
    return hashlib.sha256(text.encode()).hexdigest()[:32], tuple(imported)


def _imports(node: ast.AST, name: str, is_package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = name.split(".")
            parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
            base = ".".join([*parts, base] if base else parts)
        if base.split(".")[0] == PACKAGE:
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_bare_text(statement)]
    return tree


def _is_bare_text(statement: ast.stmt) -> bool:
    """A docstring, or one that stands after a field."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _words(node: ast.AST) -> Iterator[str]:
    """The tree as words. Empty fields are left out: Pythons differ in which of them exist."""
    yield f"({type(node).__name__}"
    for field, value in ast.iter_fields(node):
        if value is None or value == [] or field in ("type_comment", "kind"):
            # `None` as a literal is the one empty value that means something.
            if isinstance(node, ast.Constant) and field == "value":
                yield "None"
            continue
        yield f"{field}="
        if isinstance(value, ast.AST):
            yield from _words(value)
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, ast.AST):
                    yield from _words(item)
                else:
                    yield repr(item)
            yield ";"
        else:
            yield f"{type(value).__name__}:{value!r}"
    yield ")"


@functools.cache
def _equivalents(root: Path) -> dict[tuple[str, str], str]:
    """Refactors proven to change no result: (module, new hash) -> the hash it stands for.

    `equivalents.csv` is append-only; each row names the golden test that proves it.
    """
    table = root / EQUIVALENTS.name
    if not table.is_file():
        return {}
    with table.open(newline="", encoding="utf-8") as file:
        rows = {(row["module"], row["hash"]): row["stands_for"] for row in csv.DictReader(file)}
    return {start: _last(start, rows) for start in rows}


def _last(start: tuple[str, str], rows: dict[tuple[str, str], str]) -> str:
    module, current = start
    seen = {current}
    while (module, current) in rows:
        current = rows[module, current]
        if current in seen:
            raise ValueError(f"equivalents.csv goes round in a circle at {module} {current}")
        seen.add(current)
    return current
