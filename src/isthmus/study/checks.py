"""What the parts of a study file must agree on: names that exist, and tasks that fit their role.

Every check notes all that it finds. A value that could not be read, or a task whose file is broken, is
reported once where it stands and does not cause further problems here.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.study.arms import BASELINE, Arm
from isthmus.study.format import (
    ArmEntry,
    EncoderEntry,
    PretrainOptions,
    StepEntry,
    StudyFile,
    names_of,
    steps_of,
)
from isthmus.study.problems import Problems, did_you_mean, name_problem, shown
from isthmus.study.yamlfile import Where
from isthmus.tasks.task import Task

HUBS = ("babel", "huggingface", "mirror")
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,95})?\Z")


RESERVED = ("store", "hub", "logs")
"""Folders of results/ that are no study's."""


@dataclass(frozen=True)
class References:
    """The file as far as it could be read, what it refers to, and where problems go.

    `broken_parts` are the top-level keys of which something could not be read, `broken_tasks` the names of
    task files with problems.
    """

    file: StudyFile
    arms: Mapping[str, Arm]
    tasks: Mapping[str, Task]
    problems: Problems
    broken_parts: Collection[str] = ()
    broken_tasks: Collection[str] = ()

    def find(self, where: Where, name: str) -> Task | None:
        """The task of a name; notes when there is none."""
        task = self.tasks.get(name)
        if task is None and name not in self.broken_tasks:
            self.problems.add(where, f"there is no task {shown(name)}.{did_you_mean(name, self.tasks)}")
        return task

    def found(self, names: Iterable[str]) -> list[Task]:
        """The tasks of those names that there are."""
        return [self.tasks[name] for name in names if name in self.tasks]

    def missing(self, names: Iterable[str]) -> bool:
        """Whether a name has no task."""
        return any(name not in self.tasks for name in names)


class Checks(References):
    """Checks of everything but training options."""

    def run(self) -> None:
        """Check all of it."""
        self._names()
        self._hub()
        for name, entry in self.file.encoders.items():
            self._encoder(("encoders", name), entry)
        self._baseline()
        for name, arm in self.file.arms.items():
            self._arm(name, arm)
        self._targets()
        self._languages()

    def _names(self) -> None:
        named: list[tuple[Where, str]] = (
            [(("study",), self.file.study)] if "study" not in self.broken_parts else []
        )
        named += [(("encoders", name), name) for name in self.file.encoders]
        for where, name in named:
            text = name_problem(name)
            if text is not None:
                self.problems.add(where, text)
        if self.file.study in RESERVED:
            self.problems.add(
                ("study",), f"results/{self.file.study} is taken by isthmus: choose another name."
            )
        self.problems.add_duplicates(("seeds",), self.file.seeds)

    def _hub(self) -> None:
        hub = self.file.hub
        if hub in HUBS or hub.startswith((".", "~")) or "/" in hub:
            return
        text = f"{shown(hub)} is no hub (a folder is written as ./folder).{did_you_mean(hub, HUBS)}"
        self.problems.add(("hub",), text)

    def _encoder(self, where: Where, entry: EncoderEntry) -> None:
        both = (("pretrain", entry.pretrain), ("from", entry.from_))
        if len([key for key, value in both if value is not None]) != 1:
            self.problems.add(where, "give either pretrain, or from (an encoder of the hub).")
        if entry.from_ is not None and not _HUB_ID.match(entry.from_):
            text = f"{shown(entry.from_)} is not an encoder's id such as owner/name."
            self.problems.add((*where, "from"), text)
        if entry.revision is not None and entry.from_ is None:
            self.problems.add((*where, "revision"), "is read only beside from: drop it.")
        if entry.pretrain is not None:
            self._pretraining((*where, "pretrain"), entry.pretrain)

    def _pretraining(self, where: Where, options: PretrainOptions) -> None:
        if options.width % options.heads:
            text = f"width {options.width} is not a multiple of heads {options.heads}: change one of them."
            self.problems.add((*where, "width"), text)
        self.problems.add_duplicates((*where, "data"), options.data)
        for position, name in enumerate(options.data):
            task = self.find((*where, "data", position), name)
            if task is not None and not (task.is_text and "train" in task.splits):
                texts = [other.name for other in self.tasks.values() if other.is_text]
                text = f"{shown(name)} is not text without labels."
                self.problems.add((*where, "data", position), text + did_you_mean(None, texts, "Such tasks"))
        if isinstance(options.languages, list) and not self.missing(options.data):
            codes = {code for task in self.found(options.data) for code in task.codes}
            self._codes((*where, "languages"), options.languages, codes, "no data of this encoder has")

    def _codes(self, where: Where, given: list[str], known: Collection[str], whose: str) -> None:
        """Check a list of languages."""
        self.problems.add_duplicates(where, given)
        for position, code in enumerate(given):
            if code == "all":
                self.problems.add(
                    (*where, position), "all is no language: for every language write languages: all."
                )
            elif known and code not in known:
                text = f"{whose} the language {shown(code)}.{did_you_mean(code, known)}"
                self.problems.add((*where, position), text)

    def _baseline(self) -> None:
        arms = self.problems.document.value.get("arms")
        if isinstance(arms, dict) and BASELINE not in arms:
            self.problems.add(("arms",), f'the baseline is missing: add "{BASELINE}: []".')
        if self.file.arms.get(BASELINE):
            self.problems.add(
                ("arms", BASELINE), f'is the baseline without intermediate training: write "{BASELINE}: []".'
            )

    def _arm(self, name: str, arm: Any) -> None:
        where: Where = ("arms", name)
        steps = steps_of(arm)
        if not steps and name != BASELINE:
            self.problems.add(
                where, f"has no step: name a task, or drop the arm ({BASELINE} is the baseline)."
            )
        for position, step in enumerate(steps):
            place = (*where, position) if isinstance(arm, list) else where
            self._step(place, step)
            if position and step == steps[position - 1]:
                self.problems.add(place, "repeats the step before it: drop one, or raise its epochs.")
        if isinstance(arm, ArmEntry) and arm.grid and arm.recipe:
            for option in sorted(arm.recipe.given().keys() & arm.grid.keys()):
                self.problems.add((*where, "recipe", option), f"{option} stands in the grid, too: keep one.")

    def _step(self, where: Where, step: StepEntry) -> None:
        if (step.task is None) == (step.mix is None):
            self.problems.add(where, "give either task, or mix (a list of tasks).")
        if step.cap is not None and step.mix is None:
            self.problems.add((*where, "cap"), "is read only beside mix: drop it.")
        self.problems.add_duplicates((*where, "mix"), step.mix or [])
        for position, name in enumerate(names_of(step)):
            place = (*where, "mix", position) if step.mix is not None else where
            task = self.find(place, name)
            if task is not None and "train" not in task.splits:
                other = f" It is trained on {shown(task.trains_on)}: take that." if task.trains_on else ""
                self.problems.add(place, f"{shown(name)} has no training data of its own.{other}")

    def _targets(self) -> None:
        self.problems.add_duplicates(("targets",), self.file.targets)
        for position, name in enumerate(self.file.targets):
            where: Where = ("targets", position)
            task = self.find(where, name)
            if task is not None and task.is_target:
                self._training_set(where, task)
            elif task is not None:
                lacks = "labels" if task.is_text else "metric" if task.metric is None else "test split"
                targets = [other.name for other in self.tasks.values() if other.is_target]
                text = f"{shown(name)} is not a target: it has no {lacks}."
                self.problems.add(where, text + did_you_mean(None, targets, "Targets"))

    def _training_set(self, where: Where, target: Task) -> None:
        if not target.is_trained:
            return
        training = self.find(where, target.training_set)
        if training is None:
            return
        if "train" not in training.splits:
            text = f"{shown(target.name)} is trained on {shown(training.name)}, which has no training data."
            self.problems.add(where, f"{text} Correct trains_on or splits in its task file.")
        elif (training.family, training.labels) != (target.family, target.labels):
            text = f"{shown(target.name)} and its training set {shown(training.name)} differ"
            self.problems.add(where, f"{text} in family or labels. Correct the task files.")

    def _languages(self) -> None:
        given = self.file.languages
        if isinstance(given, str) or "targets" in self.broken_parts or self.missing(self.file.targets):
            return
        known = {code for task in self.found(self.file.targets) for code in task.codes}
        self._codes(("languages",), given, known, "no target has")
        for position, task in enumerate(self.found(self.file.targets)):
            if known.intersection(given) and not set(task.codes).intersection(given):
                text = f"{shown(task.name)} has none of the study's languages."
                self.problems.add(("targets", position), text + did_you_mean(None, task.codes, "It has"))
