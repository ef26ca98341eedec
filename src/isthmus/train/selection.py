"""Which checkpoint is kept: development scores as the run goes on, and what follows from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.log import say
from isthmus.model.infer import infer
from isthmus.train.run import Facts, Run, State
from isthmus.train.task import Task


def assessment_due(run: Run, facts: Facts) -> bool:
    """After every `eval_every` steps and after the last, if there is anything to score on."""
    due = facts.step % run.recipe.eval_every == 0 or facts.step == len(run.schedule)
    return due and facts.step > facts.assessed and any(task.dev for task in run.tasks)


def assess(run: Run, state: State) -> None:
    """Score every task's development examples, and keep the weights if they are the best and are to be selected.

    A mixture's score is the mean over its tasks.

    Raises:
        Interrupted: a signal came; nothing was noted.
    """
    facts = state.facts
    with run.clock("assess"):
        found = [score(run, task) for task in run.tasks if task.dev]
    entry = {"step": facts.step, **_summary(found)}
    facts.assessed = facts.step
    facts.history.append(entry)
    deciding = entry["target_dev"] if run.recipe.select == "oracle_dev" else entry["score"]
    better = deciding is not None and (facts.best_score is None or deciding > facts.best_score)
    say(f"step {facts.step:05d} | dev {_shown(entry)}" + (" | the best so far" if better else ""))
    if better:
        facts.best_score, facts.best_step = deciding, facts.step
        if selects(run):
            # In main memory: a large encoder leaves no room on its device for a second set of weights.
            state.best = {name: p.detach().to("cpu", copy=True) for name, p in state.parameters.items()}
    if better or not selects(run):
        facts.collapsed = [scores.task for scores in found if scores.collapsed]


@dataclass(frozen=True)
class Scores:
    """A task's scores by the names of its development sets, and whether all of one got the same answer."""

    task: str
    by_set: Mapping[str, float]
    collapsed: bool


def score(run: Run, task: Task) -> Scores:
    """Score a task's development examples, those of the language trained on and of others."""
    by_set, collapsed = {}, []
    for name, examples in task.dev.items():
        out = infer(task.family, examples, run.encoder, task.head, run.recipe, run.interrupted)
        by_set[name] = task.family.score(examples, out)
        collapsed.append(task.family.collapsed(examples, out))
    return Scores(task.name, by_set, all(collapsed))


def _summary(found: Sequence[Scores]) -> dict[str, Any]:
    """score and scores, of the language trained on; target_dev and target_scores, of those to be transferred to: the mean
    over the targets of each one's mean over its languages.
    """
    own = {scores.task: scores.by_set[""] for scores in found if "" in scores.by_set}
    others = {name: value for scores in found for name, value in scores.by_set.items() if name}
    return {
        "score": sum(own.values()) / len(own) if own else None,
        "scores": own,
        "target_dev": _mean_of_means(others) if others else None,
        "target_scores": others,
    }


def _mean_of_means(scores: Mapping[str, float]) -> float:
    """Of scores by target/language."""
    targets: dict[str, list[float]] = {}
    for name, value in scores.items():
        targets.setdefault(name.partition("/")[0], []).append(value)
    return sum(sum(values) / len(values) for values in targets.values()) / len(targets)


def _shown(entry: Mapping[str, Any]) -> str:
    own, others = (None if entry[name] is None else f"{entry[name]:.4f}" for name in ("score", "target_dev"))
    return " | ".join(filter(None, (own, others and f"in the languages to transfer to {others}")))


def selects(run: Run) -> bool:
    """Whether the best checkpoint is kept, not the last."""
    return run.recipe.select != "last"


def updates(run: Run, facts: Facts) -> int:
    """How many updates the weights have seen that a finished run leaves."""
    return facts.best_step if selects(run) and facts.best_score is not None else facts.step


def kept(run: Run, facts: Facts) -> dict[str, Any] | None:
    """The kept checkpoint's step and its scores, in the language trained on and in those to be transferred to; None if
    it was never scored. Where both are known, `by_english_dev` has those of the checkpoint that the first would choose.
    """
    step = updates(run, facts)
    found = {entry["step"]: entry for entry in facts.history}
    if step not in found:
        return None
    chosen = {name: found[step][name] for name in ("step", "score", "target_dev")}
    if run.recipe.select != "oracle_dev" or chosen["score"] is None:
        return chosen
    english = max(facts.history, key=lambda entry: entry["score"])
    return chosen | {"by_english_dev": {name: english[name] for name in chosen}}


def finished(run: Run, facts: Facts) -> bool:
    """Whether the schedule is done, or the best is to be kept and the last `patience` scores brought no gain."""
    if facts.step >= len(run.schedule):
        return True
    since_best = sum(entry["step"] > facts.best_step for entry in facts.history)
    return selects(run) and since_best >= run.recipe.patience
