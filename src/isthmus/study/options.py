"""Checks of a study's training options: that they exclude each other as they must, fit the tasks and
encoders, and that some run reads them. An option that nothing reads would be a silent mistake.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isthmus.study.checks import References
from isthmus.study.format import StageOptions, levels, own_recipe
from isthmus.study.problems import shown
from isthmus.study.recipes import READ_BY, READ_BY_PREDICTION, STAGES, RecipeOptions, Stage, combine
from isthmus.study.yamlfile import Where
from isthmus.tasks.task import Task

READERS = {
    "text": "training on text without labels",
    "questions": "a task of questions on a text",
    "retrieval": "a task of sentences to be found",
    "matching": "a task with a pool of candidates",
}


@dataclass(frozen=True)
class Run:
    """One training run that the study asks for; `own` are an arm's own options, `place` where it stands. `encoder` is
    the one trained; "" stands for all that have no options of their own.
    """

    stage: Stage
    tasks: tuple[str, ...]
    place: Where = ()
    own: Mapping[str, Any] | None = None
    encoder: str = ""


@dataclass(frozen=True)
class Effective:
    """A run's options after all levels were combined, and the levels with their places, weakest first."""

    run: Run
    tasks: Sequence[Task]
    options: Mapping[str, Any]
    given: Sequence[tuple[Where, Mapping[str, Any]]]


class OptionChecks(References):
    """Checks of training options."""

    def run(self) -> None:
        """Check all of them."""
        section = self.file.recipe
        for stage in ("all", *STAGES):
            part: RecipeOptions = getattr(section, stage)
            self._exclusive(("recipe", stage), part.given())
            if isinstance(part, StageOptions):
                for name, options in part.tasks.items():
                    self._exclusive(("recipe", stage, "tasks", name), options.given())
        for name, entry in self.file.encoders.items():
            for stage in STAGES:
                own = own_recipe(entry, stage)
                for place, given in levels(section, stage, (), name, own)[2:]:
                    self._exclusive(place, given)
        runs = list(self._runs())
        for run in runs:
            self._exclusive(run.place, run.own or {})
            if not self.missing(run.tasks):
                effective = self._effective(run)
                self._length(effective)
                self._code_switch(effective)
                self._selection(effective)
                self._oracle(effective)
                self._adapters(effective)
        self._unread(runs)

    def _runs(self) -> Iterator[Run]:
        """Every training run but those that differ only in the seed, or in encoders without options of their own."""
        for name, entry in self.file.encoders.items():
            if entry.pretrain is not None:
                yield Run("pretrain", tuple(entry.pretrain.data), ("encoders", name), encoder=name)
        particular = [name for name, entry in self.file.encoders.items() if entry.recipe is not None]
        for encoder in ([] if len(particular) == len(self.file.encoders) else [""]) + particular:
            yield from (replace(run, encoder=encoder) for run in self._fine_tunings())

    def _fine_tunings(self) -> Iterator[Run]:
        for arm in self.arms.values():
            for position, link in enumerate(arm.links):
                step = (position,) if isinstance(self.file.arms[arm.key], list) else ()
                yield Run("intermediate", link.tasks, ("arms", arm.key, *step), link.recipe)
        targets = [task for task in self.found(self.file.targets) if task.is_target]
        for name in dict.fromkeys(task.training_set for task in targets):
            yield Run("target", (name,))

    def _effective(self, run: Run) -> Effective:
        tasks = self.found(run.tasks)
        own = own_recipe(self.file.encoders[run.encoder], run.stage) if run.encoder else None
        shared = levels(self.file.recipe, run.stage, run.tasks, run.encoder, own)
        given = [*shared, (run.place, dict(run.own or {}))]
        kinds = {task.kind for task in tasks}
        return Effective(run, tasks, combine((values for _, values in given), run.stage, kinds), given)

    def _spot(self, where: Where, option: str) -> Where:
        """Where an option stands: directly at a place, or in the arm's grid or recipe below it."""
        for middle in ((), ("grid",), ("recipe",)):
            if (*where, *middle, option) in self.problems.document.lines:
                return (*where, *middle, option)
        return where

    def _giver(self, effective: Effective, option: str) -> Where:
        """Where the value of an option comes from; () if it is a default."""
        place = next((place for place, values in reversed(effective.given) if option in values), ())
        return self._spot(place, option) if place else ()

    def _exclusive(self, where: Where, given: Mapping[str, Any]) -> None:
        if given.get("steps") is not None and "epochs" in given:
            self.problems.add(self._spot(where, "steps"), "steps and epochs are both given: keep one.")

    def _length(self, effective: Effective) -> None:
        length = effective.options["max_length"]
        for name, entry in self.file.encoders.items():
            if entry.pretrain is None or length <= entry.pretrain.positions:
                continue
            run = effective.run
            if name != run.encoder and (run.encoder or own_recipe(entry, run.stage) is not None):
                continue
            where = self._giver(effective, "max_length") or ("encoders", name, "pretrain", "positions")
            text = f"max_length {length} is more than the {entry.pretrain.positions} positions of the encoder"
            self.problems.add(where, f"{text} {shown(name)}: lower it, or raise positions.")

    def _code_switch(self, effective: Effective) -> None:
        if effective.options["code_switch"] == 0 or any(task.is_parallel for task in effective.tasks):
            return
        parallel = ", ".join(task.name for task in self.tasks.values() if task.is_parallel)
        text = (
            f"needs translations, and {', '.join(effective.run.tasks)} has none: train on one of these, too:"
        )
        self.problems.add(self._giver(effective, "code_switch"), f"{text} {parallel}.")

    def _oracle(self, effective: Effective) -> None:
        run = effective.run
        if effective.options["select"] != "oracle_dev":
            return
        where = self._giver(effective, "select")
        if run.stage != "target":
            text = f"oracle_dev selects for targets, and this is read for {run.stage} training, too"
            self.problems.add(where, f"{text}: write it under recipe.target.")
            return
        served = [task for task in self.found(self.file.targets) if task.training_set == run.tasks[0]]
        if not any("dev" in task.splits for task in served):
            text = f"no target that is trained on {run.tasks[0]} has development examples in other languages"
            self.problems.add(where, f"{text}: write select: english_dev or last.")

    def _adapters(self, effective: Effective) -> None:
        if effective.options["lora_alpha"] is not None and effective.options["lora_rank"] is None:
            self.problems.add(
                self._giver(effective, "lora_alpha"), "is read with lora_rank alone: give that, too."
            )
        if effective.options["lora_rank"] is not None and effective.run.stage == "pretrain":
            text = "lora_rank adds to weights that were pre-trained: it cannot pre-train. Give it elsewhere"
            self.problems.add(self._giver(effective, "lora_rank"), f"{text}.")

    def _selection(self, effective: Effective) -> None:
        run = effective.run
        if effective.options["select"] != "english_dev" or any(
            "dev" in task.splits for task in effective.tasks
        ):
            return
        if not any(task.is_trained for task in effective.tasks):
            return
        where = self._giver(effective, "select") or run.place or ("recipe",)
        text = f"{', '.join(run.tasks)} has no development examples to select a checkpoint by"
        self.problems.add(where, f"{text}: write select: last.")

    def _unread(self, runs: Sequence[Run]) -> None:
        section = self.file.recipe
        stages: tuple[tuple[Stage, StageOptions], ...] = (
            ("intermediate", section.intermediate),
            ("target", section.target),
        )
        for stage, part in stages:
            here = [run for run in runs if run.stage == stage]
            kinds = {task.kind for run in here for task in self.found(run.tasks)}
            if stage == "target":
                kinds |= {task.kind for task in self.found(self.file.targets)}
            self._kinds(("recipe", stage), part.given(), kinds)
            for name, options in part.tasks.items():
                where: Where = ("recipe", stage, "tasks", name)
                task = self.find(where, name)
                if task is not None:
                    self._kinds(where, options.given(), {task.kind})
                    if not task.is_trained:
                        self._untrained(where, options.given(), task)
                    self._reached(where, task, here)
        for run in runs:
            self._kinds(run.place, run.own or {}, {task.kind for task in self.found(run.tasks)})
        self._unread_at_encoders(runs)

    def _unread_at_encoders(self, runs: Sequence[Run]) -> None:
        """The same for the options of pre-training, and for those that stand at an encoder."""
        texts = {task.kind for run in runs if run.stage == "pretrain" for task in self.found(run.tasks)}
        if texts:
            self._kinds(("recipe", "pretrain"), self.file.recipe.pretrain.given(), texts)
        tuned = [task for run in runs if run.stage != "pretrain" for task in self.found(run.tasks)]
        kinds = {task.kind for task in (*tuned, *self.found(self.file.targets))}
        for name, entry in self.file.encoders.items():
            stages: tuple[tuple[Stage, set[str]], ...] = (("pretrain", texts), ("target", kinds))
            for stage, mine in stages:
                for place, given in levels(self.file.recipe, stage, (), name, own_recipe(entry, stage))[2:]:
                    self._kinds(place, given, mine)

    def _kinds(self, where: Where, given: Mapping[str, Any], kinds: Collection[str]) -> None:
        for kind, options in READ_BY.items():
            for option in sorted(options.intersection(given)):
                if kind not in kinds:
                    self.problems.add(self._spot(where, option), f"only {READERS[kind]} reads this: drop it.")

    def _untrained(self, where: Where, given: Mapping[str, Any], task: Task) -> None:
        options = (*READ_BY_PREDICTION, *sorted(READ_BY.get(task.kind, ())))
        for option in sorted(given.keys() - set(options)):
            *others, last = options
            read = f"{', '.join(others)} and {last}"
            text = f"nothing is trained for {shown(where[-1])}: only {read} are read."
            self.problems.add(self._spot(where, option), text)

    def _reached(self, where: Where, task: Task, runs: Sequence[Run]) -> None:
        """Note options for a task that no run of the stage trains on alone."""
        if any(run.tasks == (task.name,) for run in runs) or self._unsure(runs):
            return
        used = sorted({run.tasks[0] for run in runs if len(run.tasks) == 1})
        hint = f"It is read for: {', '.join(used)}." if used else "Drop it."
        if task.name in self.file.targets and task.training_set in used:
            hint = f"It is trained on {shown(task.training_set)}: write that."
        self.problems.add(
            where, f"no {where[1]} training is on {shown(task.name)} alone, so this is not read. {hint}"
        )

    def _unsure(self, runs: Sequence[Run]) -> bool:
        """Whether another problem may hide a run."""
        hidden = {arm.key for arm in self.arms.values()} != set(self.file.arms)
        return (
            hidden
            or not {"arms", "targets"}.isdisjoint(self.broken_parts)
            or any(self.missing(r.tasks) for r in runs)
        )
