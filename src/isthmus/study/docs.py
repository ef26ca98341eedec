"""The JSON schema and the reference page of the study file, generated from its models, and the page of the catalogue.

`python -m isthmus.study.docs` in the repository writes them; a test fails with the difference when they are stale.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from isthmus.study import format as study_format
from isthmus.study import recipes
from isthmus.tasks import page, task

SCHEMA = Path("workflow/schemas/study.schema.json")
REFERENCE = Path("docs/config.md")
TASKS = Path("docs/tasks.md")
TYPES = {
    "string": "text",
    "number": "number",
    "integer": "whole number",
    "boolean": "true or false",
    "null": "null",
}

_HEAD = """# The study file

<!-- Written by `python -m isthmus.study.docs` from src/isthmus/study/format.py: edit the models there. -->

A study is one YAML file. `config.yaml` is the default one; `studies/` holds more. It is checked as a whole
before anything runs, and every problem is listed at once, with its line.

The file is read more strictly than YAML asks for. `2e-5` is a number and only `true` and `false` are
booleans, so `no` in a list of languages is Norwegian. Refused are duplicate keys, tabs, tags, `010`, `.inf`,
`.nan`, `__use_yte__`, more than 256 KB, more than 20 levels, and aliases that stand for more than 1000 values.

Names of studies, encoders, arms and tasks hold `a-z`, `0-9`, `_`, `.` and `-`, begin with a letter or digit,
and have at most 64 characters.
"""

_PARTS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The study", study_format.StudyFile, ""),
    ("`encoders.<name>`", study_format.EncoderEntry, ""),
    ("`encoders.<name>.pretrain`", study_format.PretrainOptions, ""),
    (
        "`arms.<name>`",
        study_format.ArmEntry,
        "Short forms: `name: task` is one step, `a-then-b: [a, b]` a chain; a chain's step may be a task or "
        "have the keys below except `grid`.",
    ),
    ("`recipe`", study_format.RecipeSection, ""),
    (
        "Training options",
        recipes.RecipeOptions,
        "These stand in each part of `recipe`, in an arm's `recipe`, and as factors of a `grid`. "
        "`recipe.intermediate` and `recipe.target` take `tasks`, too: options for training on one task, by "
        "its name.",
    ),
)
_TASK_HEAD = """
# Task files

A task is one data-only YAML file, in the packaged catalogue or in the folder that a study's `tasks` names. A
target has a metric and a test split; what has a train split can be trained on; text without labels is for
pre-training.
"""
_TASK_PARTS: tuple[tuple[str, type[BaseModel], str], ...] = (
    ("The task", task.Task, ""),
    ("`sources[]`", task.Source, ""),
    ("`sources[].join`", task.Join, ""),
    ("`columns`", task.Columns, ""),
)


def schema() -> str:
    """The JSON schema (2020-12) of a study file."""
    found = study_format.StudyFile.model_json_schema()
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(found)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """The reference page, as Markdown."""
    parts = [_HEAD, *(_part(*part) for part in _PARTS), _TASK_HEAD, *(_part(*part) for part in _TASK_PARTS)]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _untitled(node: Any) -> Any:
    """Without the titles that only repeat a key."""
    if isinstance(node, list):
        return [_untitled(child) for child in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key != "title" or not isinstance(value, str)}
    return {key: _untitled(value) for key, value in kept.items()}


def _part(heading: str, model: type[BaseModel], note: str) -> str:
    found = model.model_json_schema()
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, option in found["properties"].items():
        default = "required" if key in found.get("required", ()) else _default(option)
        rows.append(f"| `{key}` | {_type(option, found)} | {default} | {option.get('description', '')} |")
    about = " ".join((model.__doc__ or "").split())
    return "\n".join([f"## {heading}", "", about, *(["", note] if note else []), "", *rows])


def _default(option: Mapping[str, Any]) -> str:
    if "default" not in option:
        return ""
    return f"`{json.dumps(option['default'])}`"


def _type(option: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """A type in words: `number above 0, at most 1`."""
    if "$ref" in option:
        return "keys with values"
    for union in ("anyOf", "oneOf"):
        if union in option:
            return " or ".join(dict.fromkeys(_type(member, root) for member in option[union]))
    if "const" in option:
        return f"`{option['const']}`"
    if "enum" in option:
        return " or ".join(f"`{word}`" for word in option["enum"])
    kind = option.get("type")
    if kind == "array":
        return "list"
    if kind == "object":
        return "keys with values"
    words = TYPES[str(kind)]
    bounds = {
        "exclusiveMinimum": "above",
        "minimum": "at least",
        "exclusiveMaximum": "below",
        "maximum": "at most",
    }
    return ", ".join([words, *(f"{bounds[key]} {option[key]:,}" for key in bounds if key in option)]).replace(
        f"{words}, above", f"{words} above"
    )


def write(root: Path) -> None:
    """Write the files below the repository's root."""
    for path, text in ((SCHEMA, schema()), (REFERENCE, reference()), (TASKS, page.page())):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path.cwd())
