"""XTREME's submission files, scored as its own scorers do.

A file holds the predictions of one task in one language, in the form of google-research/xtreme, evaluate.py; so does
one with the right answers, which may come from a hub instead. The rules are those of the study's own metrics.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import UsageError
from isthmus.evaluate.metrics import answers, answers_by_language
from isthmus.evaluate.official.forms import Form, Labels, Pairs, Tags, Texts
from isthmus.evaluate.official.ranks import Ranks


@dataclass(frozen=True)
class Official:
    """A task as XTREME's folders have it: what its folder is called, its files' form, and whether it is that of XTREME-R,
    with more languages.
    """

    folder: str
    form: Form
    revised: bool = False

    def file(self, language: str) -> str:
        """Where the predictions in a language stand below a submission's folder."""
        return f"{self.folder}/test-{language}.{self.form.suffix}"


def _normaliser(metric: str) -> Callable[[str, str], str]:
    """A metric's normalisation of an answer in a language; SQuAD's is that of English whatever the language."""
    if metric == answers.__name__.rpartition(".")[2]:
        return lambda text, language: answers.normalise(text)
    return answers_by_language.normalise


def _form(entry: Mapping[str, Any]) -> Form:
    values = tuple(entry.get("values", ()))
    kind = entry["form"]
    if kind == "labels":
        return Labels(values, records=entry.get("records", False))
    if kind == "tags":
        return Tags(values)
    if kind == "ranks":
        return Ranks()
    return Texts(_normaliser(entry["metric"])) if kind == "texts" else Pairs()


_TABLE = json.loads((Path(__file__).parent / "tasks.json").read_text(encoding="utf-8"))
TASKS: Mapping[str, Official] = {
    name: Official(entry["folder"], _form(entry), entry.get("revised", False))
    for name, entry in _TABLE.items()
}
"""The tasks of XTREME and XTREME-R that such files are made for, by the catalogue's names. The tag "_" of parts of speech is
what a treebank has in the place of a tag."""


@dataclass(frozen=True)
class Scored:
    """What is printed of one file, and a note for the person, which may be empty."""

    report: Mapping[str, Any]
    note: str


def score(
    task: str, language: str, predictions: Path, gold: Path | None, hub: str = "", split: str = ""
) -> Scored:
    """Score a file of predictions against a file with the right answers, or where there is none against a hub's split.

    Raises:
        UsageError: there is no such task, language, file or split.
        DataError: a file is not of the task's form, or the two do not belong together.
    """
    official = _task(task)
    said = official.form.read(predictions)
    if gold is not None:
        right = official.form.read_gold(gold)
    else:
        # The catalogue and Arrow's files are needed for this alone.
        from isthmus.evaluate.official.hub import gold_of

        right = gold_of(_name(task), language, hub, split)
    found = official.form.score(right, said, language)
    report = {"task": task, "language": language, "n": found.n, "metrics": found.metrics}
    notes = [note for note in (found.note, right.note) if note]
    return Scored(report, f"{predictions}: {'; '.join(notes)}." if notes else "")


def _task(name: str) -> Official:
    if _name(name) not in TASKS:
        raise UsageError(f"There is no official scorer for {name!r}. There are those of {', '.join(TASKS)}.")
    return TASKS[_name(name)]


def _name(task: str) -> str:
    """The catalogue's name of a task that may be given by that of its folder (bucc2018)."""
    return next((name for name, official in TASKS.items() if official.folder == task), task)
