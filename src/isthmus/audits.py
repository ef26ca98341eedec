"""The units of the contamination audit: fingerprints of all that is trained on and tested, and their comparison."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from isthmus.jobs import JobTable, Unit
from isthmus.needs import Needs
from isthmus.study.load import PretrainedEncoder, Study

TRAIN, TEST = "train", "test"


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
            parents[f"train/{entry['training']}/{language}"] = _unit(
                study, data, entry["training"], language, TRAIN
            )
    for name, languages in tests.items():
        for language in languages:
            parents[f"test/{name}/{language}"] = _unit(study, data, name, language, TEST)
    for task in dict.fromkeys(unit.spec["task"] for unit in parents.values()):
        mine = [unit for unit in parents.values() if unit.spec["task"] == task]
        table.add("fingerprint_dataset", f"fingerprints/{task}", mine)
    audit = Unit(
        "audit", "contamination", {"study": study.name, "tests": tests, "trainings": trainings}, parents
    )
    table.add("audit", "audit", [audit], publishes=("contamination.csv",))
    return audit


def _unit(study: Study, data: Mapping[tuple[str, str], Unit], task: str, language: str, split: str) -> Unit:
    family = study.tasks[task].family
    spec = {"task": task, "family": family, "language": language, "split": split}
    parents = {"data": data[task, language]}
    return Unit("fingerprint", f"{task}/{language} {split}", spec, parents, (f"isthmus.families.{family}",))


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
        for name in task.datasets:
            yield "intermediate", name, needs.training_languages(task), None
    for training_set, targets in needs.training_sets().items():
        task = study.tasks[training_set]
        for name in task.datasets:
            yield "target", name, needs.training_languages(task), [target.name for target in targets]
