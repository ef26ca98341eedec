"""The units of the contamination audit: fingerprints of all that is trained on and tested, and their comparison."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.jobs import JobTable, Unit
from isthmus.needs import ENGLISH, Needs
from isthmus.study.load import PretrainedEncoder, Study
from isthmus.tasks import files
from isthmus.tasks.task import Task

TRAIN, TEST = "train", "test"
SET, EXAMPLES = "set", "examples"

# Columns of fetched rows (`tasks.task.Columns`) that a reader is shown. A family whose rows have others names all of its
# own in AUDITED. Labels and answers are left out: they say nothing without the text that they are on.
PROSE = ("text_a", "text_b", "tokens", "context", "question", "prompt", "choices", "text", "pair")


def add_audit(table: JobTable, study: Study, needs: Needs, data: Mapping[tuple[str, str], Unit]) -> Unit:
    """Add the fingerprints and the audit; give the audit's unit.

    A training set has its fingerprint in each language by itself, as has a test split: a new arm or language is new work
    for itself, and for the comparison, which takes seconds. Nothing that is trained or scored waits for them.
    """
    trainings = list(_trainings(study, needs))
    tests = {name: needs.languages(study.tasks[name]) for name in study.targets}
    parents: dict[str, Unit] = {}
    for entry in trainings:
        for language in entry["languages"]:
            name = entry["training"]
            parents[f"train/{name}/{language}"] = _unit(study.tasks[name], language, SET, data)
    for name, languages in tests.items():
        for language in languages:
            parents[f"test/{name}/{language}"] = _unit(study.tasks[name], language, EXAMPLES, data)
    for task in dict.fromkeys(unit.spec["task"] for unit in parents.values()):
        mine = [unit for unit in parents.values() if unit.spec["task"] == task]
        table.add("fingerprint_dataset", f"fingerprints/{task}", mine)
    audit = Unit(
        "audit", "contamination", {"study": study.name, "tests": tests, "trainings": trainings}, parents
    )
    table.add("audit", "audit", [audit], publishes=("contamination.csv",))
    return audit


def _unit(task: Task, language: str, kept: str, data: Mapping[tuple[str, str], Unit]) -> Unit:
    # Candidates of a pool are in its test split, for those who train with them as well.
    split = TRAIN if kept == SET and task.columns.candidate is None else TEST
    spec = {"task": task.name, "language": language, "split": split, "kept": kept, **_texts(task.family)}
    parents = {"data": data[task.name, language]}
    return Unit("fingerprint", f"{task.name}/{language} {split}", spec, parents)


def _texts(family: str) -> dict[str, Any]:
    """The columns of a family's rows that are text to a reader, and the names of the sides where rows have any."""
    fields, sides = files.audited().get(family, PROSE), files.sides().get(family)
    return {"fields": list(fields), **({"sides": list(sides)} if sides else {})}


def _trainings(study: Study, needs: Needs) -> Iterator[dict[str, Any]]:
    """Every dataset with the languages that it is trained in, and in which roles: each with the targets that it counts
    for, null = all. What serves one target's training is in no other target's way.
    """
    found: dict[tuple[str, tuple[str, ...]], dict[str, list[str] | None]] = {}
    for role, name, languages, targets in _uses(study, needs):
        roles = found.setdefault((name, tuple(languages)), {})
        roles[role] = [*(roles.get(role) or ()), *targets] if targets is not None else None
    for (name, codes), roles in found.items():
        yield {"training": name, "languages": list(codes), "roles": roles}


def _uses(study: Study, needs: Needs) -> Iterator[tuple[str, str, Iterable[str], Sequence[str] | None]]:
    """Role, dataset, languages and targets of everything that trains, one after another."""
    for encoder in study.encoders.values():
        if isinstance(encoder, PretrainedEncoder):
            for name in encoder.data:
                yield "pre-training", name, needs.text_languages(encoder, study.tasks[name]), None
    for task in (study.tasks[name] for name in needs.arm_tasks()):
        for name, languages in _trained_with(task, needs):
            yield "intermediate", name, languages, None
    for training_set, targets in needs.training_sets().items():
        task = study.tasks[training_set]
        for name, languages in _trained_with(task, needs):
            yield "target", name, languages, [target.name for target in targets]


def _trained_with(task: Task, needs: Needs) -> Iterator[tuple[str, list[str]]]:
    """The datasets that training on a task reads, with their languages: its own, and another's candidates."""
    for name in task.datasets:
        yield name, needs.training_languages(task)
    if task.pool_task is not None:
        yield task.pool_task, [language for _, language in needs.pool(task, ENGLISH)]
