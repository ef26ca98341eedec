"""Task files read and checked: the packaged catalogue, and a folder of a study's own, with their languages."""

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from isthmus.errors import UsageError
from isthmus.study.problems import Problems, did_you_mean, name_problem, relative, shown
from isthmus.study.yamlfile import Flaw, Where, YamlError, load
from isthmus.tasks import archive, languages
from isthmus.tasks.archive import PLACEHOLDER
from isthmus.tasks.languages import Language
from isthmus.tasks.task import OWN, STUDY, Source, Task

PACKAGED = Path(__file__).parent / "catalogue"
FAMILIES = Path(__file__).parent.parent / "families"
METRICS = Path(__file__).parent.parent / "evaluate" / "metrics"

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{1,8})*\Z")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}\Z")
_PLACEHOLDERS = ("language", "hub_language")


class TaskError(UsageError):
    """Task files are wrong; `problems` holds one line for each thing to mend."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


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
    """The tasks of some folders by name, their languages by code, a line for each problem, and the names of the tasks
    whose files have one.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    languages: dict[str, Language] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)


def collect(folders: Sequence[Path]) -> Collection:
    """Every task that the folders' YAML files hold, and the languages of their languages.csv; a file with a problem does
    not hinder the others.
    """
    found = Collection()
    paths: dict[str, Path] = {}
    for folder in folders:
        if (folder / languages.FILE).is_file():
            more, lines = languages.read_languages(folder / languages.FILE, found.languages)
            found.languages |= more
            found.problems += lines
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
                paths[task.name] = path
    for name, path in paths.items():
        found.problems += [f"{relative(path)}:1: unites: {text}" for text in _union_faults(found, name)]
        found.problems += [f"{relative(path)}:1: pool: {text}" for text in _pool_faults(found, name)]
    if not found.problems:
        for name, task in found.tasks.items():
            if task.unites is not None:  # it is of the form of its parts
                found.tasks[name] = task.model_copy(update={"columns": found.tasks[task.unites[0]].columns})
    return found


def _union_faults(found: Collection, name: str) -> Iterator[str]:
    """What hinders that the tasks which one task unites are trained on as one."""
    task = found.tasks[name]
    for other in task.unites or ():
        part = found.tasks.get(other)
        if part is None and other not in found.broken:
            yield f"there is no task {shown(other)}.{did_you_mean(other, found.tasks)}"
        if part is None:
            continue
        if part.unites is not None:
            yield f"{shown(other)} unites tasks itself: name those."
        elif part.form != task.form:
            yield f"{shown(other)} differs in family or labels."
        elif part.columns.tags is not None and part.labels is None:
            yield f"{shown(other)} has the labels of its own training data, which others do not share."
        elif part.pool is not None or part.columns.sentences is not None or part.columns.wanted is not None:
            yield (
                f"{shown(other)} finds candidates by their ids, which mean others in another task: train on them as a "
                "mixture instead."
            )
        elif not set(task.codes) <= set(part.trainable):
            yield f"{shown(other)} has no training data in {', '.join(task.codes)}."


def _pool_faults(found: Collection, name: str) -> Iterator[str]:
    """What hinders that a task's candidates are those of another one."""
    other = found.tasks[name].pool_task
    if other is None or other in found.broken:
        return
    part = found.tasks.get(other)
    if part is None:
        yield f"there is no task {shown(other)}.{did_you_mean(other, (OWN, STUDY, *found.tasks))}"
    elif part.columns.candidate is None or part.family != found.tasks[name].family:
        yield f"{shown(other)} holds no candidates: its file needs the column candidate, and the same family."
    elif "test" not in part.splits:
        yield f"{shown(other)} has no test split, which is where candidates are looked for."


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


def families() -> dict[str, Any]:
    """The task families that this version has, one module each, with the first columns that each reads."""
    return _stated(FAMILIES, "READS")


def metrics() -> dict[str, Any]:
    """The metrics that this version has, one module each, with what each scores."""
    return _stated(METRICS, "SCORES")


def audited() -> dict[str, Any]:
    """The families that name the columns which are text to a reader, with these."""
    return _stated(FAMILIES, "AUDITED")


def sides() -> dict[str, Any]:
    """The families whose rows are of several sides, with what each side is called, by number."""
    return _stated(FAMILIES, "SIDES")


@functools.cache
def _stated(folder: Path, name: str) -> dict[str, Any]:
    """What each module of a folder states under a name; read, not imported: checking a study loads no numpy."""
    found = {}
    for path in sorted(folder.glob("[a-z]*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
                found[path.stem] = ast.literal_eval(node.value)
    return found


def _lists(task: Task) -> Iterator[tuple[Where, Sequence[str]]]:
    yield ("languages",), task.codes
    yield ("labels",), task.labels or ()
    yield ("unspaced",), task.unspaced
    yield ("trained_in",), task.trained_in if isinstance(task.trained_in, list) else ()
    for index, source in enumerate(task.sources):
        yield ("sources", index, "languages"), source.languages or ()
        yield ("sources", index, "train_languages"), source.train_languages or ()
        yield ("sources", index, "dev_languages"), source.dev_languages or ()


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
    yield from _blank_faults(task)
    yield from _training_faults(task)
    yield from _column_faults(task)
    yield from _metric_faults(task)
    for index, source in enumerate(task.sources):
        for where, text in _source_faults(task, source):
            yield ("sources", index, *where), text
    for code in task.codes if task.sources else ():
        if not task.sources_in(code):
            yield ("sources",), f"{shown(code)} is read from none of them: see their languages."


def _blank_faults(task: Task) -> Iterator[tuple[Where, str]]:
    for position, code in enumerate(task.unspaced):
        if code not in task.codes:
            yield ("unspaced", position), f"{shown(code)} is none of the task's languages."
    if task.unspaced and task.columns.text_a is None and task.columns.text is None:
        yield ("unspaced",), "is for texts whose words and characters nothing counts: drop it."


def _training_faults(task: Task) -> Iterator[tuple[Where, str]]:
    if task.trained_in is None:
        return
    if task.is_text or not task.trainable:
        yield ("trained_in",), "is said of labelled data with a train split: drop it."
    elif task.trained_in != "study":
        for position, code in enumerate(task.trained_in):
            if code not in task.trainable:
                text = f"the task has no train split in {shown(code)}.{did_you_mean(code, task.trainable)}"
                yield ("trained_in", position), text


# What an example is made of: the first column says which kind it is, the others must and may stand beside it.
KINDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    first: (frozenset(must), frozenset(may))
    for first, must, may in (
        ("text_a", (), ("text_b", "label")),
        ("tokens", ("tags",), ()),
        ("context", ("question", "answers"), ("sentences",)),
        ("query", ("id", "wanted"), ()),
        ("mention", ("id", "before", "after", "wanted"), ()),
        ("candidate", ("id",), ()),
        ("prompt", ("choices", "label"), ()),
        ("text", (), ("pair", "id_a", "id_b")),
    )
}


def _column_faults(task: Task) -> Iterator[tuple[Where, str]]:
    has = task.columns.named()
    if task.unites is not None:
        for part in ("sources", "columns"):
            if part in task.model_fields_set:
                yield (part,), "the tasks that are united have their own: drop it here."
        return
    if not task.sources:
        yield ("sources",), "name at least one source, or the tasks that this one unites (unites)."
    firsts = [first for first in KINDS if first in has]
    if len(firsts) != 1:
        said = " and ".join(firsts) or "none of them"
        yield (
            ("columns",),
            f"give exactly one of {', '.join(KINDS)}, which say what an example is; here is {said}.",
        )
        return
    kind = firsts[0] if task.pool is None else "pool"
    reads = families().get(task.family, [kind])
    if kind not in reads:
        yield ("family",), f"{shown(task.family)} reads tasks with {' or '.join(reads)}, not {kind}."
    must, may = KINDS[firsts[0]]
    for name in sorted(must - has.keys()):
        yield ("columns",), f"{firsts[0]} needs {name} beside it."
    for name in sorted(has.keys() - must - may - {firsts[0], "id"}):
        yield ("columns", name), f"does not go with {firsts[0]}: drop one of them."
    if any(source.join is not None for source in task.sources) and "text" not in has:
        yield ("sources",), "join brings translations of text: give the column text."
    if task.labels is not None and not {"label", "tags"} & has.keys():
        yield ("labels",), "labels and columns.label (or tags) go together: give both or none."
    if "label" in has and task.labels is None:
        yield ("columns", "label"), "labels and columns.label go together: give both or none."
    if task.unanswerable and "context" not in has:
        yield ("unanswerable",), "is said of questions on a context: drop it."
    yield from _retrieval_faults(task, has)


def _metric_faults(task: Task) -> Iterator[tuple[Where, str]]:
    if task.metric is None:
        return
    scores = metrics().get(task.metric)
    if scores is None:
        yield ("metric",), f"there is no metric {shown(task.metric)}.{did_you_mean(task.metric, metrics())}"
        return
    named = task.columns.named()
    given = task.retrieval or (None if task.pool is None else "pool")
    if scores != given and (given is not None or scores not in named):
        yield ("metric",), f"{shown(task.metric)} scores tasks with {scores}, which this one has not."
    if scores == "tags" and task.labels is None:
        yield ("labels",), f"{shown(task.metric)} needs the names of the labels: give them."


def _retrieval_faults(task: Task, has: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    aligned, pools = "text_b" in has and "label" not in has, "id_a" in has or "id_b" in has
    if task.retrieval is not None and not (aligned or pools):
        yield (
            ("retrieval",),
            "needs sentences and their translations: text_a and text_b, or text, id_a and id_b.",
        )
    if task.retrieval is None and pools:
        yield ("columns",), "pairs of ids are for finding translations: say how in retrieval."
    if pools and not {"id", "text", "id_a", "id_b"} <= has.keys():
        yield ("columns",), "sentences to mine need id, text, id_a and id_b."
    for index, source in enumerate(task.sources):
        if (source.configs is not None) != pools or (
            pools and set(source.configs or ()) != {"a", "b", "gold"}
        ):
            yield ("sources", index), "sentences to mine, and only they, have configs with a, b and gold."


def _source_faults(task: Task, source: Source) -> Iterator[tuple[Where, str]]:
    if not _HUB_ID.match(source.hub) or ".." in source.hub:
        yield ("hub",), f"{shown(source.hub)} is not a dataset id such as owner/name."
    yield from archive.faults(source)
    for name in source.columns.keys() - task.columns.named().keys():
        yield ("columns", name), "is no column of the task: drop it."
    for split in source.rows:
        if split not in source.splits:
            yield ("rows", split), f"the source has no {split} split: name it in splits, or drop the number."
    for name in ("languages", "train_languages", "dev_languages"):
        for position, code in enumerate(getattr(source, name) or ()):
            if code not in task.codes:
                text = f"the task has no language {shown(code)}.{did_you_mean(code, task.codes)}"
                yield (name, position), text
    templates: list[tuple[Where, str]] = [(("config",), source.config)]
    templates += [(("configs", table), config) for table, config in (source.configs or {}).items()]
    templates += [(("where", column), value) for column, value in source.where.items()]
    templates += [
        (("join", "where", c), value) for c, value in (source.join.where if source.join else {}).items()
    ]
    for where, template in templates:
        for name in PLACEHOLDER.findall(template):
            if name not in _PLACEHOLDERS:
                yield where, f"nothing is called {{{name}}}.{did_you_mean(name, _PLACEHOLDERS)}"
