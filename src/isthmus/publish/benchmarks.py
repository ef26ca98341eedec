"""What a study has of a benchmark: its score where all of it is there, else the mean of the part, and what is missing.

The part is what the study asks for. An arm that lacks a cell of it has no mean, as everywhere in the tables, so that arms
are compared on the same languages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from isthmus.evaluate.overall import BENCHMARKS, Benchmark, Overall, overall
from isthmus.publish.cells import BASELINE, OK
from isthmus.publish.results import Results

LEAST_TASKS = 2  # one task's mean stands in the tables already
NAMED = 6  # languages of a task that are named as missing


@dataclass(frozen=True)
class Number:
    """A mean in points and how much it is above the baseline's; None where there is none. A star says that a part of it
    rests on fewer seeds or on a collapsed run.
    """

    value: float | None = None
    gain: float | None = None
    star: bool = False


@dataclass(frozen=True)
class Standing:
    """One benchmark for one encoder: `columns` are the whole (called score or mean), its groups and its tasks; `rows` has a
    number for each by arm, the baseline first; `groups` counts the groups.
    """

    title: str
    tasks: int
    of: int
    is_whole: bool
    missing: str
    columns: tuple[str, ...]
    groups: int
    rows: Mapping[str, Sequence[Number]]

    @property
    def heading(self) -> str:
        """XTREME, or XTREME, 3 of 9 tasks."""
        return self.title if self.is_whole else f"{self.title}, {self.tasks} of {self.of} tasks"

    @property
    def caveat(self) -> str:
        """What keeps it from being the benchmark's score, or may: tables do not know whether a test set is the published one."""
        if self.is_whole:
            return (
                f"By {self.title}'s formula on this study's test sets: it is the benchmark's score only where these are the "
                "published ones, whole."
            )
        return f"No score of {self.title}: the mean is that of the part that the study has. {self.missing}"


def standings(results: Results, encoder: str) -> list[Standing]:
    """The benchmarks of which an encoder has several tasks. One that has nothing that another has not is left out."""
    taken = {name: _taken(benchmark, results.targets(encoder)) for name, benchmark in BENCHMARKS.items()}
    kept: list[str] = []
    for name in sorted(taken, key=lambda name: -len(taken[name])):
        mine = set(taken[name].values())
        if len(mine) >= LEAST_TASKS and not any(mine <= set(taken[other].values()) for other in kept):
            kept.append(name)
    return [_standing(name, taken[name], results, encoder) for name in BENCHMARKS if name in kept]


def _taken(benchmark: Benchmark, targets: Sequence[str]) -> dict[str, str]:
    """The target that stands for each of the benchmark's tasks, of those that the study has."""
    found = {
        task: next((name for name in benchmark.targets[task] if name in targets), None)
        for task in benchmark.tasks
    }
    return {task: target for task, target in found.items() if target is not None}


def _standing(name: str, taken: Mapping[str, str], results: Results, encoder: str) -> Standing:
    benchmark = BENCHMARKS[name]
    asked = {
        task: [code for code in benchmark.tasks[task] if code in results.languages(encoder, target)]
        for task, target in taken.items()
    }
    part = {task: codes for task, codes in asked.items() if codes}
    # Only what is there and what is missing is read of this one.
    there = overall(name, {task: {code: {"": 0.0} for code in codes} for task, codes in part.items()})
    groups = [group for group, mean in there.groups.items() if mean.partial is not None]
    members = [
        set(part),
        *(set(benchmark.groups[group]) & set(part) for group in groups),
        *({task} for task in part),
    ]
    arms = {
        arm: _of_arm(
            name,
            {
                task: {code: results.gain(encoder, arm, taken[task], code) for code in codes}
                for task, codes in part.items()
            },
            groups,
            members,
        )
        for arm in results.arms(encoder)
    }
    base = arms.get(BASELINE, [Number()] * len(members))
    return Standing(
        title=benchmark.title,
        tasks=len(part),
        of=len(benchmark.tasks),
        is_whole=there.score.value is not None,
        missing=_missing(there),
        columns=("score" if there.score.value is not None else "mean", *groups, *part),
        groups=len(groups),
        rows={
            arm: numbers
            if arm == BASELINE
            else [_over(mine, of) for mine, of in zip(numbers, base, strict=True)]
            for arm, numbers in arms.items()
        },
    )


def _of_arm(
    name: str,
    rows: Mapping[str, Mapping[str, Mapping[str, Any] | None]],
    groups: Sequence[str],
    members: Sequence[set[str]],
) -> list[Number]:
    """An arm's means: the whole, the groups and the tasks, each with its `members`; blank where one of these lacks a cell.

    `rows` are those of gains.csv by task and language.
    """
    scores = {
        task: {code: {"": row["value"]} for code, row in codes.items() if row and row["value"] is not None}
        for task, codes in rows.items()
    }
    lacking = {task for task, codes in rows.items() if len(scores[task]) < len(codes)}
    flawed = {
        task for task, codes in rows.items() if any(row and row["status"] != OK for row in codes.values())
    }
    found = overall(name, scores)
    means = [found.score, *(found.groups[group] for group in groups), *(found.tasks[task] for task in rows)]
    return [
        Number() if lacking & tasks else Number(mean.partial, None, bool(flawed & tasks))
        for mean, tasks in zip(means, members, strict=True)
    ]


def _over(mine: Number, base: Number) -> Number:
    if mine.value is None or base.value is None:
        return mine
    return replace(mine, gain=mine.value - base.value)


def _missing(asked: Overall) -> str:
    """Missing: pawsx, mlqa; udpos without kk, yo."""
    nothing = [task for task, mean in asked.tasks.items() if mean.partial is None]
    parts = [
        f"{task} without {', '.join(mean.missing[:NAMED])}"
        + (f" and {len(mean.missing) - NAMED} more" if len(mean.missing) > NAMED else "")
        for task, mean in asked.tasks.items()
        if mean.partial is not None and mean.missing
    ]
    texts = [", ".join(nothing)] * bool(nothing) + parts
    return f"Missing: {'; '.join(texts)}." if texts else ""
