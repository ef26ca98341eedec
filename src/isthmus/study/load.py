"""A study: read from its file, checked as a whole, and given in the form that the rest of isthmus works with.

Pure: reads the study file and task files only, and imports nothing heavy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from isthmus.errors import UsageError
from isthmus.study.arms import Arm, Link, expand_arms
from isthmus.study.checks import HUBS, Checks
from isthmus.study.format import EncoderEntry, RecipeSection, StudyFile, levels, own_recipe
from isthmus.study.options import OptionChecks
from isthmus.study.problems import Problems, prune
from isthmus.study.recipes import STAGES, RecipeOptions, Stage, combine
from isthmus.study.yamlfile import Document, Flaw, Where, YamlError, load
from isthmus.tasks.files import PACKAGED, Collection, collect
from isthmus.tasks.task import Task

__all__ = ["Arm", "HubEncoder", "Link", "PretrainedEncoder", "Study", "StudyError", "load_study"]

MAX_PROBLEMS = 100


class StudyError(UsageError):
    """The study file or a task file of the study is wrong; `problems` has one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = list(problems[:MAX_PROBLEMS])
        if len(problems) > MAX_PROBLEMS:
            shown.append(f"... and {len(problems) - MAX_PROBLEMS} more.")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class PretrainedEncoder:
    """An encoder that the study pre-trains; sizes in pieces, layers, units and tokens. `own_recipes` are the training options that stand at it."""

    name: str
    data: tuple[str, ...]
    languages: tuple[str, ...] | Literal["all"]
    vocab_size: int
    character_coverage: float
    sentences_per_language: int
    layers: int
    width: int
    heads: int
    feed_forward: int
    positions: int
    dropout: float
    seed: int
    own_recipes: Mapping[Stage, RecipeOptions] = field(default_factory=dict)


@dataclass(frozen=True)
class HubEncoder:
    """A ready encoder of the hub."""

    name: str
    id: str
    revision: str | None
    own_recipes: Mapping[Stage, RecipeOptions] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A study that was checked.

    `path` is its file as given, `hub` is babel, huggingface, mirror, or a folder's absolute path; `tasks` are the
    catalogue's and its own by name. All names may stand in paths and job names.
    """

    name: str
    question: str
    hub: str
    path: Path
    encoders: Mapping[str, PretrainedEncoder | HubEncoder]
    arms: Mapping[str, Arm]
    targets: tuple[str, ...]
    languages: tuple[str, ...] | Literal["all"]
    seeds: tuple[int, ...]
    recipe: RecipeSection
    tasks: Mapping[str, Task] = field(repr=False)

    def recipe_for(
        self,
        encoder: str,
        stage: Stage,
        tasks: str | Sequence[str],
        overrides: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The effective value of every option for training an encoder on one task, or on several in a mixture.

        Later wins: built-in defaults, `recipe.all`, the stage, the stage's `tasks` (one task only), the encoder's
        own, `overrides` (a link's own options, for the intermediate stage). What the run does not read has its
        frozen value.
        """
        names = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        own = self.encoders[encoder].own_recipes.get(stage)
        given = [values for _, values in levels(self.recipe, stage, names, encoder, own)]
        return combine([*given, overrides or {}], stage, {self.tasks[name].kind for name in names})


def load_study(path: Path | str, catalogue_folders: Sequence[Path] = (PACKAGED,)) -> Study:
    """Read and check a study file.

    Raises:
        StudyError: something is wrong; the message lists every problem, one line each, as
            `file:line: place: what is wrong and how to mend it`.
    """
    path = Path(path)
    flaws: list[Flaw] = []
    try:
        document = load(path, flaws)
    except YamlError as error:
        raise StudyError(str(error).splitlines()) from error
    problems = Problems(document)
    for flaw in flaws:
        problems.add_flaw(flaw)
    file, broken = _parse(document, problems)
    tasks = _tasks(file, path, catalogue_folders, problems)
    arms = expand_arms(file, problems)
    for checks in (Checks, OptionChecks):
        checks(file, arms, tasks.tasks, problems, broken, tasks.broken).run()
    if problems or tasks.problems:
        raise StudyError(problems.lines() + tasks.problems)
    return _study(file, path, arms, tasks.tasks)


def _parse(document: Document, problems: Problems) -> tuple[StudyFile, set[str]]:
    """The file as a model, and the top-level keys of which something could not be read.

    A value with an error is left out together with its encoder, arm or recipe stage, so that the rest can be
    checked at the same time.
    """
    if not isinstance(document.value, dict):
        problems.add((), "a study file holds keys with values, such as study: my-study.")
        raise StudyError(problems.lines())
    try:
        return StudyFile.model_validate(document.value), set()
    except ValidationError as error:
        places = problems.add_validation(error, StudyFile)
    return _readable(document.value, places), {str(place[0]) for place in places if place}


def _readable(value: dict[str, Any], places: Sequence[Where]) -> StudyFile:
    grouped = ("encoders", "arms", "recipe")
    kept = prune(value, [place[: 2 if place[:1] and place[0] in grouped else 1] for place in places])
    blank: dict[str, Any] = {"study": "", "question": "", "encoders": {}, "arms": {}, "targets": []}
    parts = {}
    for name, part in StudyFile.model_fields.items():
        if name in kept and not (name in blank and not kept[name]):
            parts[name] = TypeAdapter(part.rebuild_annotation()).validate_python(kept[name])
        else:
            parts[name] = blank[name] if name in blank else part.get_default(call_default_factory=True)
    return StudyFile.model_construct(_fields_set=set(kept), **parts)


def _tasks(file: StudyFile, path: Path, folders: Sequence[Path], problems: Problems) -> Collection:
    folders = list(folders)
    if file.tasks is not None:
        own = path.parent / file.tasks
        if own.is_dir():
            folders.append(own)
        else:
            problems.add(("tasks",), f"there is no folder {own}.")
    return collect(folders)


def _study(file: StudyFile, path: Path, arms: Mapping[str, Arm], tasks: Mapping[str, Task]) -> Study:
    return Study(
        name=file.study,
        question=file.question,
        hub=file.hub if file.hub in HUBS else str((path.parent / Path(file.hub).expanduser()).resolve()),
        path=path,
        encoders={name: _encoder(name, entry) for name, entry in file.encoders.items()},
        arms=arms,
        targets=tuple(file.targets),
        languages=_codes(file.languages),
        seeds=tuple(file.seeds),
        recipe=file.recipe,
        tasks=tasks,
    )


def _encoder(name: str, entry: EncoderEntry) -> PretrainedEncoder | HubEncoder:
    own = {stage: mine for stage in STAGES if (mine := own_recipe(entry, stage)) is not None}
    options = entry.pretrain
    if options is None:
        return HubEncoder(name, entry.from_ or "", entry.revision, own)
    values = options.model_dump(exclude={"recipe"}) | {
        "data": tuple(options.data),
        "languages": _codes(options.languages),
    }
    values["feed_forward"] = options.feed_forward or 4 * options.width
    return PretrainedEncoder(name=name, own_recipes=own, **values)


def _codes(languages: list[str] | str) -> tuple[str, ...] | Literal["all"]:
    return "all" if isinstance(languages, str) else tuple(languages)
