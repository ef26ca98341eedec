"""From scores per language to those that XTREME's tables show: of a task, of a group, of the benchmark.

As google-research/xtreme, evaluate.py, has it: a task's score is the mean over its languages, English among them where
it is listed; of questions the mean of F1 and exact match counts; the benchmark's is the mean over its tasks, not over
its groups. Everything is in points, and nothing is filled in: a mean over a part is given apart and says what is missing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.errors import DataError, UsageError


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's tasks by the names of their folders with their languages, its groups of tasks, and what the catalogue
    calls each task: the first that a study has stands for it.
    """

    title: str
    tasks: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    targets: Mapping[str, tuple[str, ...]]


_TABLE = json.loads((Path(__file__).parent / "overall.json").read_text(encoding="utf-8"))
BENCHMARKS: Mapping[str, Benchmark] = {
    name: Benchmark(
        entry["title"],
        {task: tuple(languages.split()) for task, languages in entry["tasks"].items()},
        {group: tuple(tasks.split()) for group, tasks in entry["groups"].items()},
        {task: tuple(entry["targets"].get(task, task).split()) for task in entry["tasks"]},
    )
    for name, entry in _TABLE.items()
}
"""XTREME and XTREME-R. LAReQA: evaluate.py names no languages and another script prints one score over all questions; each
language asks equally many, so that it is the mean over them."""


@dataclass(frozen=True)
class Mean:
    """A mean in points. `value` is None where something is missing; `partial` is the mean over what is there, None where
    nothing is.
    """

    value: float | None
    partial: float | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Overall:
    """A benchmark's score, those of its groups and tasks, and of each task every metric's mean over the languages."""

    score: Mean
    groups: Mapping[str, Mean]
    tasks: Mapping[str, Mean]
    metrics: Mapping[str, Mapping[str, float]]

    @property
    def missing(self) -> list[str]:
        """A line for each task that lacks something."""
        lines = []
        for name, mean in self.tasks.items():
            if mean.partial is None:
                lines.append(f"{name}: nothing of it")
            elif mean.missing:
                lines.append(f"{name}: {', '.join(mean.missing)}")
        return lines


def points(metrics: Mapping[str, float]) -> float:
    """The score that counts among those of one task in one language: of questions the mean of F1 and exact match, else
    F1, else the first.

    Raises:
        DataError: there is none.
    """
    if not metrics:
        raise DataError("A task without any metric has no score.")
    if {"f1", "exact_match"} <= metrics.keys():
        return (metrics["f1"] + metrics["exact_match"]) / 2
    return metrics["f1"] if "f1" in metrics else next(iter(metrics.values()))


def overall(benchmark: str, scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Overall:
    """A benchmark's scores from those of its tasks: folder (as bucc2018) -> language -> metric -> points.

    Tasks and languages that are not the benchmark's do not count.

    Raises:
        UsageError: there is no such benchmark.
        DataError: a score has no metric.
    """
    if benchmark not in BENCHMARKS:
        raise UsageError(f"There is no benchmark {benchmark!r}. There are {', '.join(BENCHMARKS)}.")
    known = BENCHMARKS[benchmark]
    tasks, metrics = {}, {}
    for name, languages in known.tasks.items():
        mine = {code: scores.get(name, {})[code] for code in languages if code in scores.get(name, {})}
        tasks[name] = _mean(languages, {code: points(found) for code, found in mine.items()})
        metrics[name] = _means(list(mine.values()))
    groups = {name: _of_tasks(members, tasks) for name, members in known.groups.items()}
    return Overall(_of_tasks(tuple(tasks), tasks), groups, tasks, metrics)


def _mean(names: Sequence[str], values: Mapping[str, float]) -> Mean:
    missing = tuple(name for name in names if name not in values)
    partial = sum(values.values()) / len(values) if values else None
    return Mean(None if missing else partial, partial, missing)


def _of_tasks(names: Sequence[str], tasks: Mapping[str, Mean]) -> Mean:
    """The mean over tasks; one that is not whole is missing, and counts in the partial mean with what it has."""
    values = {name: value for name in names if (value := tasks[name].partial) is not None}
    missing = tuple(name for name in names if tasks[name].value is None)
    partial = sum(values.values()) / len(values) if values else None
    return Mean(None if missing else partial, partial, missing)


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that every language has."""
    shared = [name for name in scores[0] if all(name in other for other in scores)] if scores else []
    return {name: sum(score[name] for score in scores) / len(scores) for name in shared}
