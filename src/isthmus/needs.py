"""What a study needs: which tasks are trained on and scored, in which languages of those that the hub has."""

from collections.abc import Iterator
from typing import Literal

from isthmus.errors import UsageError
from isthmus.hubs import Hub
from isthmus.study.load import PretrainedEncoder, Study
from isthmus.tasks.task import STUDY, Task

ENGLISH = "en"


class Needs:
    """The tasks and languages of one study on one hub."""

    def __init__(self, study: Study, hub: Hub) -> None:
        self.study = study
        self.hub = hub

    def refuse_foreign_languages(self) -> None:
        """A language that the study names and the hub has nothing in is a mistake, not a smaller study."""
        offered = self.hub.languages()
        named = {"languages": self.study.languages}
        for encoder in self.study.encoders.values():
            if isinstance(encoder, PretrainedEncoder):
                named[f"encoders.{encoder.name}.pretrain.languages"] = encoder.languages
        problems = [
            f"{self.study.path}: {place}: the hub has nothing in {', '.join(missing)}. It has {', '.join(offered)}."
            for place, languages in named.items()
            if offered is not None and languages != "all"
            if (missing := [language for language in languages if language not in offered])
        ]
        for name, languages in self.trained_datasets().items():
            problems += self._untrainable(self.study.tasks[name], languages, offered)
        asked = {name: self.languages(self.study.tasks[name]) for name in self.study.targets}
        problems += [
            f"{self.study.path}: {name} has none of the study's languages that the hub offers. It has "
            f"{', '.join(self.study.tasks[name].codes)}."
            for name, languages in (asked | self.trained_datasets()).items()
            if not languages
        ]
        if problems:
            raise UsageError("\n".join(problems))

    def _untrainable(
        self, task: Task, languages: list[str], offered: tuple[str, ...] | None
    ) -> Iterator[str]:
        """What hinders training on the task in these languages, of those that the hub offers."""
        if ENGLISH in languages and ENGLISH not in task.trainable and not task.is_text:
            yield (
                f"{self.study.path}: {task.name} has no English data to train on. Say in its file which languages it is "
                "trained in (trained_in)."
            )
        missing = [code for code in languages if offered is not None and code not in offered]
        if missing:
            yield (
                f"{self.study.path}: {task.name} is trained in {', '.join(languages)}, and the hub has nothing in "
                f"{', '.join(missing)}. It has {', '.join(offered or ())}."
            )

    def languages(self, task: Task) -> list[str]:
        """The languages of a task that the study asks for and the hub has, in the catalogue's order."""
        return self.offered(task, self.study.languages)

    def text_languages(self, encoder: PretrainedEncoder, task: Task) -> list[str]:
        """The languages of a pre-training text. `all` is all that the hub has: no matter of the study's targets."""
        return self.offered(task, encoder.languages)

    def offered(self, task: Task, asked: tuple[str, ...] | Literal["all"]) -> list[str]:
        """The languages of a task that are asked for and that the hub does not rule out, in the catalogue's order."""
        limits = [set(codes) for codes in (None if asked == "all" else asked, self.hub.languages()) if codes]
        return [code for code in task.codes if all(code in limit for limit in limits)]

    def arm_tasks(self) -> list[str]:
        """Every task that an arm trains on, once."""
        tasks = (task for arm in self.study.arms.values() for link in arm.links for task in link.tasks)
        return list(dict.fromkeys(tasks))

    def pool(self, task: Task, language: str) -> list[tuple[str, str]]:
        """Where a task's candidates in one language come from, as (task, language): its own data, those of the study's
        languages, or another task that holds them, in all languages that the hub has.
        """
        if task.pool_task is not None:
            other = self.study.tasks[task.pool_task]
            return [(other.name, code) for code in self.offered(other, "all")]
        languages = self.languages(task) if task.pool == STUDY else [language]
        return [(task.name, code) for code in languages]

    def trained_datasets(self) -> dict[str, list[str]]:
        """Every task whose data an arm or a target is trained on, with the languages. A task may unite several."""
        found: dict[str, list[str]] = {}
        for task in (self.study.tasks[name] for name in (*self.arm_tasks(), *self.training_sets())):
            for name in task.datasets:
                mine = found.setdefault(name, [])
                mine += [code for code in self.training_languages(task) if code not in mine]
        return found

    def training_languages(self, task: Task) -> list[str]:
        """English; for text without labels the languages of the study (Phang et al. 2020, section 2.3). A task's file may
        name others, as for data that are Japanese, or say that it is trained in those of the study that have the data, as
        for translations.
        """
        if task.is_text:
            return self.languages(task)
        if task.trained_in == "study":
            return [code for code in self.languages(task) if code in task.trainable]
        return [ENGLISH] if task.trained_in is None else list(task.trained_in)

    def training_sets(self) -> dict[str, list[Task]]:
        """Each training set with the targets that it serves: SQuAD is trained once for XQuAD and MLQA."""
        sets: dict[str, list[Task]] = {}
        for task in (self.study.tasks[name] for name in self.study.targets):
            if task.is_trained:
                sets.setdefault(task.training_set, []).append(task)
        return sets

    def untrained(self) -> list[Task]:
        """The targets that the encoder answers without training for them: retrieval."""
        return [task for name in self.study.targets if not (task := self.study.tasks[name]).is_trained]

    def needed(self) -> dict[str, list[str]]:
        """Every task with the languages in which something of the study needs it."""
        needed: dict[str, set[str]] = {}
        for encoder in self.study.encoders.values():
            if isinstance(encoder, PretrainedEncoder):
                for name in encoder.data:
                    needed.setdefault(name, set()).update(
                        self.text_languages(encoder, self.study.tasks[name])
                    )
        for name, languages in self.trained_datasets().items():
            needed.setdefault(name, set()).update(languages)
        for task in (self.study.tasks[name] for name in self.study.targets):
            needed.setdefault(task.name, set()).update(self.languages(task))
        for task in [self.study.tasks[name] for name in needed]:
            if task.pool_task is not None:
                needed.setdefault(task.pool_task, set()).update(code for _, code in self.pool(task, ENGLISH))
        return {
            name: [code for code in self.study.tasks[name].codes if code in codes]
            for name, codes in needed.items()
        }

    def texts(self, encoder: PretrainedEncoder) -> list[tuple[str, str]]:
        """The encoder's pre-training text: task by task, language by language."""
        return [
            (task, language)
            for task in encoder.data
            for language in self.text_languages(encoder, self.study.tasks[task])
        ]
