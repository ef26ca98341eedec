"""The training loop: one path for pre-training, fine-tuning, mixtures and the links of a chain.

Step k is a function of (seed, k) and of the weights after step k - 1: its batch, masks and dropout are drawn from
names that hold k. So a run continued from a saved step ends with the bytes of the run that was never stopped.

A batch that the memory has no room for is cut into micro-batches whose gradients are summed, each weighted by its
share of the terms that the loss is the mean over: the update is the whole batch's, to rounding (and dropout, which is
drawn for each micro-batch).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from isthmus import families
from isthmus.data.batch import Array, Epochs, Schedule
from isthmus.data.seeds import number
from isthmus.errors import Interrupted, OutOfMemory
from isthmus.log import say
from isthmus.model.infer import infer, tensors
from isthmus.model.vocabulary import Compaction
from isthmus.recipe import Recipe
from isthmus.train import state as saved
from isthmus.train.optimizer import adamw, clip, rate_at, set_rate
from isthmus.train.progress import Clock, Progress

# Saves come at least this far apart, and far enough that they cost no more than a thirtieth of the run.
SAVE_EVERY_S = 120.0
SAVES_SHARE = 30
LOSSES_KEPT = 50
# How torch's allocator of main memory says that there is none, on Windows and elsewhere.
NO_MEMORY = ("not enough memory", "can't allocate memory")


@dataclass(frozen=True)
class Task:
    """One training set: its form and family, its examples and batches, its head, what it is scored on (or None)."""

    name: str
    form: Mapping[str, Any]
    family: ModuleType
    examples: Any
    epochs: Epochs
    head: nn.Module
    dev: Any | None


@dataclass
class Run:
    """All that a run is made of. `schedule` says whose batch each step takes, `compaction` (or None) which rows of
    the embedding the encoder was left.
    """

    encoder: PreTrainedModel
    tasks: Sequence[Task]
    schedule: Schedule
    recipe: Recipe
    seed: int
    slots: saved.Slots
    interrupted: Callable[[], bool]
    compaction: Compaction | None = None
    clock: Clock = field(default_factory=Clock)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Every weight under one name."""
        named = {f"encoder.{name}": p for name, p in self.encoder.named_parameters()}
        for task in self.tasks:
            named |= {f"head.{task.name}.{name}": p for name, p in task.head.named_parameters()}
        return named


@dataclass
class Facts:
    """Where a run stands. Plain JSON, saved beside the tensors.

    `micro_batch` is the most examples that go at once (None = the whole batch), `halved` how often it was halved.
    """

    step: int = 0
    assessed: int = 0
    best_score: float | None = None
    best_step: int = 0
    examples: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    collapsed: list[str] = field(default_factory=list)
    diverged: str = ""
    micro_batch: int | None = None
    halved: int = 0


@dataclass
class State:
    """What changes from step to step. `best` holds the weights of the best score, where they are to be kept."""

    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    facts: Facts = field(default_factory=Facts)
    best: dict[str, Tensor] = field(default_factory=dict)
    next_save_s: float = field(default_factory=lambda: time.monotonic() + SAVE_EVERY_S)


def train(run: Run) -> Facts:
    """Train until the schedule ends, the scores stop rising, or a step is not finite; leave the chosen weights.

    Raises:
        Interrupted: a signal came; the state is saved.
    """
    recipe, steps = run.recipe, len(run.schedule)
    state = resume(run)
    facts, parameters = state.facts, list(state.parameters.values())
    progress = Progress(steps, facts.step)
    run.encoder.train()
    while True:
        if assessment_due(run, facts):
            assess(run, state)
        if finished(run, facts):
            break
        if run.interrupted():
            save(run, state)
            raise Interrupted(f"Stopped and saved at step {facts.step}. Run the same command again to go on.")
        if time.monotonic() > state.next_save_s:
            save(run, state)
        with run.clock("data"):
            task, rows, batch = batch_at(run, facts.step)
        with run.clock("compute"):
            summed = accumulate(run, state, task, rows, batch)
            if summed is None:
                continue  # a signal came: what was summed is dropped, and the step done anew when the run goes on
            loss, norm = both(summed, clip(parameters, recipe.clip))
            note(facts, loss)
            if not (math.isfinite(loss) and math.isfinite(norm)):
                facts.diverged = explain(run, facts, task, rows, norm)
                return facts
            rate = rate_at(facts.step, steps, recipe)
            set_rate(state.optimizer, rate)
            state.optimizer.step()
            state.optimizer.zero_grad()
        count(facts, rows, batch)
        progress.note(facts.step, loss, rate, norm, int(batch["attention_mask"].sum()))
    if state.best:
        saved.copy_into(state.parameters, state.best)
    return facts


def batch_at(run: Run, step: int) -> tuple[Task, Array, dict[str, Array]]:
    """The task of a step, the rows it takes, and the batch they make."""
    task = run.tasks[run.schedule.tasks[step]]
    rows = task.epochs.at(int(run.schedule.positions[step]))
    return task, rows, task.family.collate(task.examples, rows, run.recipe, run.seed, task.name, step)


def accumulate(run: Run, state: State, task: Task, rows: Array, batch: Mapping[str, Array]) -> Tensor | None:
    """Add the gradient of the batch's mean loss to the parameters; returns the loss, or None if a signal came.

    Where the memory does not suffice, the micro-batch is halved, for the rest of the run, and the step begins anew.

    Raises:
        OutOfMemory: a single example is too large.
    """
    while True:
        try:
            size = min(state.facts.micro_batch or len(rows), len(rows))
            summed = sum_gradients(run, state.facts.step, task, batch, len(rows), size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        else:
            if summed is None:
                state.optimizer.zero_grad()
            return summed
        # Out here nothing holds the tensors of the attempt any more, as the exception did.
        state.optimizer.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        halve(state.facts, size, reason)


def sum_gradients(
    run: Run, step: int, task: Task, batch: Mapping[str, Array], examples: int, size: int
) -> Tensor | None:
    """Forward and backward for `size` examples at a time. A micro-batch without a term (no masked piece) is left out."""
    cut = getattr(task.family, "part", families.part)
    weigh = getattr(task.family, "weight", families.weight)
    task.head.train()
    losses, terms = [], weigh(batch)
    for index, start in enumerate(range(0, examples, size)):
        if index and run.interrupted():
            return None
        part = batch if size >= examples else cut(batch, start, min(start + size, examples))
        if not weigh(part):
            continue
        torch.manual_seed(number(run.seed, "dropout", step, index))
        loss = task.family.loss(run.encoder, task.head, tensors(part, run.encoder.device))
        loss = loss * (weigh(part) / terms)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def both(loss: Tensor, norm: Tensor) -> tuple[float, float]:
    """Two numbers of the device at the price of one wait for it, the only one of a step."""
    values: list[float] = torch.stack([loss.float(), norm.float()]).tolist()
    return values[0], values[1]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a device or in the machine."""
    told = any(text in str(error) for text in NO_MEMORY)
    return told or isinstance(error, (torch.OutOfMemoryError, MemoryError))


def halve(facts: Facts, size: int, reason: str) -> None:
    """Half as many examples at once from here on.

    Raises:
        OutOfMemory: it is one already.
    """
    if size == 1:
        raise OutOfMemory(
            f"The memory does not suffice for a single example at step {facts.step + 1} ({reason}). Lower max_length in "
            "the recipe, choose a smaller encoder or run where there is more memory; the last saved state is kept."
        )
    facts.micro_batch, facts.halved = (size + 1) // 2, facts.halved + 1
    say(
        f"step {facts.step + 1}: out of memory; batches go in parts of at most {facts.micro_batch} examples from here "
        "on, which changes no update but by rounding and the draws of dropout"
    )


def assessment_due(run: Run, facts: Facts) -> bool:
    """After every `eval_every` steps and after the last, if there is anything to score on."""
    due = facts.step % run.recipe.eval_every == 0 or facts.step == len(run.schedule)
    return due and facts.step > facts.assessed and any(task.dev is not None for task in run.tasks)


def assess(run: Run, state: State) -> None:
    """Score every task's development examples, and keep the weights if they are the best and are to be selected.

    A mixture's score is the mean over its tasks.
    """
    facts = state.facts
    scores, collapsed = {}, []
    try:
        with run.clock("assess"):
            for task in run.tasks:
                if task.dev is not None:
                    out = infer(task.family, task.dev, run.encoder, task.head, run.recipe, run.interrupted)
                    scores[task.name] = task.family.score(task.dev, out)
                    collapsed += [task.name] if task.family.collapsed(task.dev, out) else []
    except Interrupted:
        save(run, state)
        raise
    mean = sum(scores.values()) / len(scores)
    better = facts.best_score is None or mean > facts.best_score
    facts.assessed = facts.step
    facts.history.append({"step": facts.step, "score": mean, "scores": scores})
    say(f"step {facts.step:05d} | dev {mean:.4f}" + (" | the best so far" if better else ""))
    if better:
        facts.best_score, facts.best_step = mean, facts.step
        if run.recipe.select == "english_dev":
            state.best = {name: p.detach().clone() for name, p in state.parameters.items()}
    if better or run.recipe.select == "last":
        facts.collapsed = collapsed


def updates(run: Run, facts: Facts) -> int:
    """How many updates the weights have seen that a finished run leaves."""
    selected = run.recipe.select == "english_dev" and facts.best_score is not None
    return facts.best_step if selected else facts.step


def finished(run: Run, facts: Facts) -> bool:
    """Whether the schedule is done, or the best is to be kept and the last `patience` scores brought no gain."""
    if facts.step >= len(run.schedule):
        return True
    since_best = sum(entry["step"] > facts.best_step for entry in facts.history)
    return run.recipe.select == "english_dev" and since_best >= run.recipe.patience


def count(facts: Facts, rows: Array, batch: Mapping[str, Array]) -> None:
    """Note a finished step."""
    facts.step += 1
    facts.examples += len(rows)
    facts.tokens += int(batch["attention_mask"].sum())
    facts.padded_tokens += batch["input_ids"].size


def note(facts: Facts, loss: float) -> None:
    """Keep the last losses, for the record of a run that diverges."""
    facts.losses = [*facts.losses[1 - LOSSES_KEPT :], loss]


def explain(run: Run, facts: Facts, task: Task, rows: Array, norm: float) -> str:
    """The record of a step that is not finite; the weights are still those before it."""
    names = task.family.identifiers(task.examples)[task.family.positions(rows)]
    last = ", ".join(f"{value:.4g}" for value in facts.losses[-10:])
    return (
        f"At step {facts.step + 1} of {len(run.schedule)} the loss was {facts.losses[-1]:.4g} and the norm of the "
        f"gradient {norm:.4g}; the update was not made. The batch, of {task.name}: {', '.join(names)}. "
        f"The last losses: {last}."
    )


def save(run: Run, state: State) -> None:
    """Save the state, and say when the next save is due."""
    start = time.monotonic()
    with run.clock("saving"):
        tensors = saved.pack(state.parameters, state.optimizer, state.best)
        run.slots.save(tensors, {**vars(state.facts), "seconds": run.clock.seconds})
    now = time.monotonic()
    state.next_save_s = now + max(SAVE_EVERY_S, SAVES_SHARE * (now - start))


def resume(run: Run) -> State:
    """The saved state put in place, or a fresh start."""
    state = State(run.parameters, adamw(run.parameters, run.recipe))
    found = run.slots.load()
    if found is not None:
        values, facts = found
        for purpose, seconds in facts.pop("seconds").items():
            run.clock.seconds[purpose] = run.clock.seconds.get(purpose, 0.0) + seconds
        state.facts = Facts(**facts)
        state.best = saved.unpack(values, state.parameters, state.optimizer)
        say(f"goes on at step {state.facts.step}")
    return state
