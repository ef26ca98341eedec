"""The right answers of an official file, read from a hub as a study reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from isthmus.data import fetch
from isthmus.errors import UsageError
from isthmus.evaluate.official import TASKS, rows
from isthmus.evaluate.official.files import Answers
from isthmus.hubs import Hub, wanted
from isthmus.hubs.mirror import Mirror
from isthmus.tasks.files import PACKAGED, TaskError, read_task
from isthmus.tasks.task import STUDY, Source, Task
from isthmus.units import fetch_spec
from isthmus.work import Work


def gold_of(name: str, language: str, setting: str, split: str) -> Answers:
    """The right answers of a task in a language, in the order of XTREME's files.

    `setting` is a study's `hub`: babel, mirror or a folder; `split` is ours (train, dev, test) or the hub's name of it.

    Raises:
        UsageError: there is no such task, language or split.
        HubError: the hub does not have it.
        DataError: the data are not what the task says.
    """
    task = _task(name)
    if language not in task.codes:
        raise UsageError(f"{name} has no language {language!r}. It has {', '.join(task.codes)}.")
    hub = _hub(setting)
    table, where = _rows(task, language, hub, setting, split)
    if task.pool is None:
        return Answers(where, rows.gold(TASKS[name].form, table, task.labels, where))
    others = _others(task, language, hub, split) if task.pool == STUDY else []
    pool = [(code, _rows(task, code, hub, setting, split)[0]) for code in others]
    values = rows.wanted((language, table), pool)
    if not others:
        return Answers(where, values)
    languages = ", ".join(sorted((language, *others)))
    note = f"right are the candidates in {languages}; a study with fewer languages has another score"
    return Answers(f"{where}, right in {languages}", values, note=note)


def _others(task: Task, language: str, hub: Hub, split: str) -> list[str]:
    """The other languages that the hub has: what is right in them is right, too."""
    found = ((code, *_source(task, code, hub, split)) for code in task.codes if code != language)
    return [code for code, source, ours in found if _offers(hub, task, code, source, only=ours)]


def _rows(task: Task, language: str, hub: Hub, setting: str, split: str) -> tuple[pa.Table, str]:
    """A split's rows in our columns, and where they are from."""
    source, ours = _source(task, language, hub, split)
    request = task.request(source, language)
    spec = fetch_spec(task, language, source, request, hub.kind)
    names = request["splits"][ours]
    where = f"{task.name} in {language}, {ours} ({source.hub} {names} of {setting})"
    tables = fetch.read(_work(f"{task.name}/{language}", spec, hub.folder), names)
    return fetch.canonical_rows(tables, spec, where), where


def _hub(setting: str) -> Hub:
    # A folder, as mostly: what else a study may name is not worth its imports then.
    if Path(setting).is_dir():
        return Mirror(Path(setting))
    from isthmus.plan import open_hub

    return open_hub(setting)


def _task(name: str) -> Task:
    path = PACKAGED / f"{name}.yaml"
    if not path.is_file():
        raise UsageError(f"The catalogue has no task {name}: give its right answers with --gold.")
    task, problems = read_task(path)
    if task is None:
        raise TaskError(problems)
    return task


def _source(task: Task, language: str, hub: Hub, split: str) -> tuple[Source, str]:
    """The source that a study would read, and our name of the split."""
    found = [(source, ours) for source in task.sources if (ours := _ours(source, language, split))]
    if not found:
        known = {name for source in task.sources for name in source.splits_in(language)}
        raise UsageError(
            f"{task.name} has no split {split!r} in {language}. It has {', '.join(sorted(known))}."
        )
    # A study takes the first source that has every split; where none has, this split will do.
    whole = [pair for pair in found if _offers(hub, task, language, pair[0])]
    part = [pair for pair in found if _offers(hub, task, language, pair[0], only=pair[1])]
    return (whole or part or found)[0]


def _ours(source: Source, language: str, split: str) -> str | None:
    """Our name of a split, which may be given by the hub's."""
    splits = source.splits_in(language)
    if split in splits:
        return split
    return next((ours for ours, names in splits.items() if split == names), None)


def _offers(hub: Hub, task: Task, language: str, source: Source, only: str | None = None) -> bool:
    request = task.request(source, language)
    splits = [names for ours, names in request["splits"].items() if only in (None, ours)]
    return all(hub.offers(source.hub, *place) for place in wanted(request["source"], splits))


def _work(name: str, spec: Mapping[str, Any], folder: Path | None) -> Work:
    """What reading a split looks at; nothing of it is published."""
    inputs = {} if folder is None else {"hub": folder}
    return Work(name, spec, inputs, {}, Path(), Path(), lambda: False, _never)


def _never(status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None) -> NoReturn:
    raise AssertionError("reading commits nothing")
