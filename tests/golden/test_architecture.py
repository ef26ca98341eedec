"""The house rules that a reader relies on, held by reading the source."""

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "src" / "isthmus"
MODULES = sorted(SOURCE.rglob("*.py"))
FAMILIES = sorted(path.stem for path in (SOURCE / "families").glob("[a-z]*.py"))
TASKS = sorted(path.stem for path in (SOURCE / "tasks" / "catalogue").glob("*.yaml"))
SHARED = [path for path in MODULES if not {"babel"} & set(path.parts) and path.parent.name != "families"]


def strings(path: Path) -> set[str]:
    """The string constants of a module that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and node.body
        if isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    }
    fields = {
        statement.value
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.Module)
        for statement in node.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs | fields
    }


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_no_family_or_task_is_named_outside_its_own_file(path):
    texts = strings(path)
    words = {word for text in texts for word in re.findall(r"[a-z0-9_-]+", text)}
    assert not words & set(TASKS)
    # Families are called by common words (a YAML tag, a choice): only a string that is nothing else counts.
    assert not texts & set(FAMILIES)
    assert not [text for text in texts if re.search(rf"families\.({'|'.join(FAMILIES)})\b", text)]


LANGUAGE = re.compile(r"^(de|es|fr|ru|tr|fi|ar|hi|sw|ja|zh|ko|th|vi|ur|bg|el)$")


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_no_language_but_english_is_named_outside_hub_and_catalogue(path):
    assert not {text for text in strings(path) if LANGUAGE.match(text)}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_is_short_and_never_imports_snakemake(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert not re.search(r"^\s*(import|from) snakemake\b", text, re.MULTILINE)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_unsafe_is_loaded(path):
    assert not re.search(
        r"torch\.load\(|pickle\.load|yaml\.load\(|trust_remote_code=True|shell=True", path.read_text()
    )


def test_the_snakefile_fits_on_a_screen():
    assert len((REPOSITORY / "Snakefile").read_text().splitlines()) <= 60


STANZAS = [
    "input",
    "output",
    "log",
    "benchmark",
    "conda",
    "threads",
    "resources",
    "params",
    "message",
    "shell",
]


@pytest.mark.parametrize("path", sorted((REPOSITORY / "workflow" / "rules").glob("*.smk")), ids=name)
def test_rules_have_one_order_of_stanzas(path):
    for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
        assert re.findall(r"^    (\w+):", rule, re.MULTILINE) == STANZAS
        assert "lambda" not in rule
