"""A task as a data-only YAML file describes it: where its rows come from, what they mean, how it is scored.

The packaged catalogue holds the tasks of the public hub; a study may bring more in a folder of its own. What
a task can be used for follows from what its file gives: `train` and `test` splits, a metric, labels, bare
text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from isthmus.errors import UsageError
from isthmus.study.fields import Strict, Written
from isthmus.study.problems import Problems, did_you_mean, name_problem, relative, shown
from isthmus.study.yamlfile import Flaw, Where, YamlError, load

PACKAGED = Path(__file__).parent / "catalogue"
FAMILIES = Path(__file__).parent.parent / "families"

Split = Literal["train", "dev", "test"]
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8})*\Z")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\Z")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PLACEHOLDERS = ("language", "hub_language")


class TaskError(UsageError):
    """Task files are wrong; `problems` holds one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Join(Strict):
    """A second reading of the same rows, which brings their translation."""

    on: str = Field(description="The column that both readings share.")
    where: dict[str, str] = Field(
        description="Column and value that pick the other rows; `{language}` is filled in."
    )
    as_: str = Field(alias="as", description="What the other rows' text is called in `columns`.")


class Source(Strict):
    """One dataset of a hub that holds the task."""

    hub: str = Field(description="The dataset's id, `owner/name`.")
    config: str = Field(
        default="default", description="Its config; `{language}` and `{hub_language}` are filled in."
    )
    revision: str | None = Field(default=None, description="Commit to read; null = the hub's newest.")
    splits: Annotated[dict[Split, str], Field(min_length=1)] = Field(
        description="The hub's name of each split."
    )
    rows: dict[Split, Annotated[int, Field(ge=0), Written]] = Field(
        default={},
        description="Rows of the published splits, per language; what is served may be a cut.",
    )
    train_languages: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Languages that have the train split; null = all."
    )
    where: dict[str, str] = Field(
        default={},
        description="Keep the rows whose column has this value; `{language}` is filled in.",
    )
    join: Join | None = Field(
        default=None, description="Bring the translation from other rows of the same dataset."
    )

    def splits_in(self, language: str) -> dict[str, str]:
        """The splits that the language has, with the hub's names."""
        untrained = self.train_languages is not None and language not in self.train_languages
        return {split: name for split, name in self.splits.items() if not (untrained and split == "train")}


class Columns(Strict):
    """The hub's name of each column that is read."""

    id: str | None = Field(default=None, description="The row's id; null = its position.")
    text_a: str | None = Field(default=None, description="First text of a labelled example.")
    text_b: str | None = Field(default=None, description="Second text; null = the task has one text.")
    label: str | None = Field(default=None, description="Index into `labels`.")
    text: str | None = Field(default=None, description="Text without labels.")
    pair: str | None = Field(default=None, description="The English translation of `text`.")

    def named(self) -> dict[str, str]:
        """The columns that the task has."""
        return {name: column for name, column in self.model_dump().items() if column is not None}


def _shape(value: Any) -> str | None:
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else None


_Languages = Annotated[
    Annotated[Annotated[list[str], Field(min_length=1)], Tag("list")]
    | Annotated[Annotated[dict[str, str], Field(min_length=1)], Tag("map")],
    Discriminator(
        _shape,
        custom_error_type="languages",
        custom_error_message="needs a list such as [en, de], or the hub's names such as {en: eng_Latn}",
    ),
]


class Task(Strict):
    """One task of the catalogue."""

    name: str = Field(alias="task", description="The task's name; the file is called the same.")
    family: str = Field(description="The task's form: a module of `isthmus.families`.")
    title: str = Field(description="What a reader of a table sees.")
    metric: str | None = Field(
        default=None, description="How it is scored as a target; null = it is no target."
    )
    trains_on: str | None = Field(
        default=None, description="The task whose train split serves it; null = its own."
    )
    languages: _Languages = Field(description="ISO codes, or a mapping from them to the hub's names.")
    sources: Annotated[list[Source], Field(min_length=1)] = Field(
        description="The first that the hub has is used."
    )
    columns: Columns = Field(description="What the hub calls each column.")
    labels: Annotated[list[str], Field(min_length=2)] | None = Field(
        default=None, description="What each label index means."
    )
    licence: str | None = Field(default=None, description="Terms of use as the publisher states them.")
    citation: str | None = Field(default=None, description="BibTeX.")

    @property
    def codes(self) -> tuple[str, ...]:
        """The languages' ISO codes, in the file's order."""
        return tuple(self.languages)

    @property
    def splits(self) -> frozenset[str]:
        """The splits that a source has."""
        return frozenset(split for source in self.sources for split in source.splits)

    @property
    def is_text(self) -> bool:
        """Whether the task is text without labels: data for pre-training, never a target."""
        return self.columns.text is not None

    @property
    def is_parallel(self) -> bool:
        """Whether its text comes with a translation."""
        return self.columns.pair is not None

    @property
    def is_target(self) -> bool:
        """Whether it can be scored: labelled, with a metric and a test split."""
        return not self.is_text and self.metric is not None and "test" in self.splits

    @property
    def training_set(self) -> str:
        """Name of the task whose train split serves this one."""
        return self.trains_on or self.name

    def hub_language(self, language: str) -> str:
        """The hub's name of a language."""
        return self.languages[language] if isinstance(self.languages, dict) else language

    def request(self, source: Source, language: str) -> dict[str, Any]:
        """What to fetch for one language: `source` (id, config, revision, and, where the task has
        them, where and join), `splits` and `columns`, each a mapping from our names to the hub's.

        Where the join would only repeat the rows themselves (English with its English side), it is left out
        together with the column that it brings.
        """
        names = {"language": language, "hub_language": self.hub_language(language)}
        found: dict[str, Any] = {
            "id": source.hub,
            "config": _fill(source.config, names),
            "revision": source.revision,
        }
        columns = self.columns.named()
        where = {column: _fill(value, names) for column, value in source.where.items()}
        if where:
            found["where"] = where
        if source.join is not None:
            other = {column: _fill(value, names) for column, value in source.join.where.items()}
            if other == where:
                columns = {name: column for name, column in columns.items() if column != source.join.as_}
            else:
                found["join"] = {"on": source.join.on, "where": other, "as": source.join.as_}
        return {"source": found, "splits": source.splits_in(language), "columns": columns}


def _fill(template: str, names: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: names[match.group(1)], template)


def catalogue(extra_folder: Path | None = None) -> dict[str, Task]:
    """The packaged tasks and those of one more folder, by name.

    Raises:
        TaskError: a file is wrong, or the folder brings a name that the catalogue has already.
    """
    found = collect([PACKAGED] if extra_folder is None else [PACKAGED, extra_folder])
    if found.problems:
        raise TaskError(found.problems)
    return found.tasks


@dataclass
class Collection:
    """The tasks of some folders by name, a line for each problem, and the names whose files have one."""

    tasks: dict[str, Task] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


def collect(folders: Sequence[Path]) -> Collection:
    """Every task that the folders' YAML files hold; a file with a problem does not hinder the others."""
    found = Collection()
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            task, lines = read_task(path)
            found.problems += lines
            if task is None:
                found.broken.add(path.stem)
            elif task.name in found.tasks:
                found.problems.append(
                    f"{relative(path)}:1: task: {shown(task.name)} is in the catalogue already. "
                    "Give the study's own task another name."
                )
            else:
                found.tasks[task.name] = task
    return found


def read_task(path: Path) -> tuple[Task | None, list[str]]:
    """One task file: the task, or None and a line for each problem."""
    flaws: list[Flaw] = []
    try:
        document = load(relative(path), flaws)
    except YamlError as error:
        return None, str(error).splitlines()
    except UsageError as error:
        return None, [str(error)]
    problems = Problems(document)
    for flaw in flaws:
        problems.add_flaw(flaw)
    task = None
    try:
        task = Task.model_validate(document.value)
    except ValidationError as error:
        problems.add_validation(error, Task)
    else:
        for where, text in _faults(task, path):
            problems.add(where, text)
        for where, values in _lists(task):
            problems.add_duplicates(where, values)
    return (None, problems.lines()) if problems else (task, [])


def families() -> list[str]:
    """The task families that this version has: one module each."""
    return sorted(path.stem for path in FAMILIES.glob("[a-z]*.py"))


def _lists(task: Task) -> Iterator[tuple[Where, Sequence[str]]]:
    yield ("languages",), task.codes
    yield ("labels",), task.labels or ()
    for index, source in enumerate(task.sources):
        yield ("sources", index, "train_languages"), source.train_languages or ()


def _faults(task: Task, path: Path) -> Iterator[tuple[Where, str]]:
    """What the types alone do not tell."""
    named = {"task": task.name, "family": task.family, "metric": task.metric, "trains_on": task.trains_on}
    for key, name in named.items():
        text = name_problem(name) if name is not None else None
        if text is not None:
            yield (key,), text
    if task.name != path.stem:
        yield ("task",), f"the file is called {shown(path.name)}: call it {task.name}.yaml."
    if task.family not in families():
        yield ("family",), f"there is no family {shown(task.family)}.{did_you_mean(task.family, families())}"
    for position, code in enumerate(task.codes):
        if not _LANGUAGE.match(code):
            entry = position if isinstance(task.languages, list) else code
            yield ("languages", entry), f"{shown(code)} is not a language code such as en, or en_latn."
    yield from _column_faults(task)
    for index, source in enumerate(task.sources):
        for where, text in _source_faults(task, source):
            yield ("sources", index, *where), text


def _column_faults(task: Task) -> Iterator[tuple[Where, str]]:
    has = task.columns.named()
    if ("text" in has) == ("text_a" in has):
        yield ("columns",), "give either text (without labels) or text_a (labelled)."
    joined = [source for source in task.sources if source.join is not None]
    if joined and "text" not in has:
        yield ("sources",), "join brings translations of text: give the column text."
    if "pair" in has and "text" not in has:
        yield ("columns", "pair"), "is the translation of text: give text, too."
    if "text_b" in has and "text_a" not in has:
        yield ("columns", "text_b"), "is the second text of an example: give text_a, too."
    if ("label" in has) != (task.labels is not None):
        where: Where = ("columns", "label") if "label" in has else ("labels",)
        yield where, "labels and columns.label go together: give both or none."
    if "text" in has and "label" in has:
        yield ("columns", "label"), "text without labels has no label column."


def _source_faults(task: Task, source: Source) -> Iterator[tuple[Where, str]]:
    if not _HUB_ID.match(source.hub) or ".." in source.hub:
        yield ("hub",), f"{shown(source.hub)} is not a dataset id such as owner/name."
    for split in source.rows:
        if split not in source.splits:
            yield ("rows", split), f"the source has no {split} split: name it in splits, or drop the number."
    for position, code in enumerate(source.train_languages or ()):
        if code not in task.codes:
            yield (
                ("train_languages", position),
                f"the task has no language {shown(code)}.{did_you_mean(code, task.codes)}",
            )
    templates: list[tuple[Where, str]] = [(("config",), source.config)]
    templates += [(("where", column), value) for column, value in source.where.items()]
    templates += [
        (("join", "where", c), value) for c, value in (source.join.where if source.join else {}).items()
    ]
    for where, template in templates:
        for name in _PLACEHOLDER.findall(template):
            if name not in _PLACEHOLDERS:
                yield where, f"nothing is called {{{name}}}.{did_you_mean(name, _PLACEHOLDERS)}"
