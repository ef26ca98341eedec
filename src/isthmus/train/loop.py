"""The training loop: one path for pre-training, fine-tuning, mixtures and the links of a chain.

Step k is a function of (seed, k) and of the weights after step k - 1: its batch, masks and dropout are drawn from
names that hold k. So a run continued from a saved step ends with the bytes of the run that was never stopped.

A batch that the memory has no room for is cut into micro-batches whose gradients are summed, each weighted by its
share of the terms that the loss is the mean over: the update is the whole batch's, to rounding (and dropout, which is
drawn for each micro-batch).

The host does not wait for a device: a step's loss and norm are read while the next step runs. Whether they are finite
the optimiser asks the device itself, so that no update is made from them or after them.
"""

import math
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from isthmus.data.batch import Array
from isthmus.errors import Interrupted
from isthmus.log import say
from isthmus.model.packing import tokens_computed
from isthmus.train import state as saved
from isthmus.train.gradient import accumulate
from isthmus.train.optimizer import clip, make, rate_at, set_rate
from isthmus.train.progress import Progress
from isthmus.train.run import Facts, Run, State, Step
from isthmus.train.selection import assess, assessment_due, finished
from isthmus.train.task import Task

# Saves come at least this far apart, and far enough that they cost no more than a thirtieth of the run.
SAVE_EVERY_S = 120.0
SAVES_SHARE = 30
LOSSES_KEPT = 50

Batch = tuple[Task, Array, Mapping[str, Array]]
"""A step's task, the rows it takes, and the padded arrays that they make."""


class Feed:
    """The batch of each step; where the host has time while a device computes, the next one is made meanwhile."""

    def __init__(self, run: Run, ahead: bool) -> None:
        self.run = run
        self.worker = ThreadPoolExecutor(1) if ahead else None
        self.coming: tuple[int, Future[Batch]] | None = None

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        if self.worker is not None:
            self.worker.shutdown(cancel_futures=True)

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        if self.worker is None:
            return batch_at(self.run, step)
        # One thread makes them all, one after the other: a task's epochs keep a state.
        if self.coming is None or self.coming[0] != step:
            self.coming = step, self.worker.submit(batch_at, self.run, step)
        batch = self.coming[1].result()
        self.coming = None
        if step + 1 < len(self.run.schedule):
            self.coming = step + 1, self.worker.submit(batch_at, self.run, step + 1)
        return batch


def train(run: Run) -> Facts:
    """Train until the schedule ends, the scores stop rising, or a step is not finite; leave the chosen weights.

    Raises:
        Interrupted: a signal came; the state is saved.
    """
    state = resume(run)
    facts = state.facts
    progress = Progress(len(run.schedule), facts.step)
    run.encoder.train()
    with Feed(run, ahead=run.on_gpu) as feed:
        while True:
            if at_a_stop(run, state):
                if not read(run, state, progress):
                    return facts
                if assessment_due(run, facts):
                    assess_or_save(run, state)
                if run.interrupted():
                    save(run, state)
                    raise Interrupted(
                        f"Stopped and saved at step {facts.step}. Run the same command again to go on."
                    )
                if finished(run, facts):
                    again = bool(facts.collapsed) and run.recipe.rerun_collapsed
                    if again or time.monotonic() - state.saved_s > SAVE_EVERY_S:
                        save(run, state)  # what follows may be stopped, too
                    break
                if time.monotonic() > state.next_save_s:
                    save(run, state)
            sent = send(run, state, feed)
            if sent is None:
                continue  # a signal came: what was summed is dropped, and the step done anew when the run goes on
            if not read(run, state, progress):
                return facts
            state.unread = sent
    if state.best:
        saved.copy_into(state.parameters, state.best)
    return facts


def at_a_stop(run: Run, state: State) -> bool:
    """Whether something is due that has to see the weights or facts of all steps so far."""
    step = state.next_step
    due = step % run.recipe.eval_every == 0 or step == len(run.schedule)
    return due or run.interrupted() or time.monotonic() > state.next_save_s


def assess_or_save(run: Run, state: State) -> None:
    """Score the development examples; a signal on the way leaves the state before it."""
    try:
        assess(run, state)
    except Interrupted:
        save(run, state)
        raise


def send(run: Run, state: State, feed: Feed) -> Step | None:
    """Forward, backward and update of the next step, without waiting for them; None if a signal came."""
    step = state.next_step
    with run.clock("data"):
        task, rows, batch = feed(step)
    with run.clock("compute"):
        loss = accumulate(run, state, step, task, rows, batch)
        if loss is None:
            return None
        norm = clip(state.parameters.values(), run.recipe.clip)
        values = torch.stack([loss.float(), norm.float()])
        # Once true it stays: the optimiser makes no update from here on, and the weights are those before the step.
        state.stuck.copy_(torch.maximum(state.stuck, 1 - values.isfinite().all().float()))
        rate = rate_at(step, len(run.schedule), run.recipe)
        set_rate(state.optimizer, rate)
        state.optimizer.step()
        state.optimizer.zero_grad()
        values = values.to("cpu", non_blocking=True)
        return Step(
            task,
            rows,
            batch,
            rate,
            values,
            torch.cuda.current_stream().record_event() if run.on_gpu else None,
        )


def read(run: Run, state: State, progress: Progress) -> bool:
    """Note the step that is unread, if one is. False if it was not finite: then the run has diverged."""
    step, facts = state.unread, state.facts
    if step is None:
        return True
    state.unread = None
    with run.clock("compute"):
        loss, norm = step.read()
    note(facts, loss)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        facts.diverged = explain(run, facts, step, norm)
        return False
    count(run, facts, step)
    progress.note(facts.step, loss, step.rate, norm, int(step.batch["attention_mask"].sum()))
    return True


def batch_at(run: Run, step: int) -> Batch:
    """A step's task, rows and arrays."""
    task = run.tasks[run.schedule.tasks[step]]
    rows = task.epochs.at(int(run.schedule.positions[step]))
    return task, rows, task.family.collate(task.examples, rows, run.recipe, run.seed, task.name, step)


def count(run: Run, facts: Facts, step: Step) -> None:
    """Note a finished step."""
    lengths, size = step.batch["attention_mask"].sum(1), step.batch["input_ids"].size
    facts.step += 1
    facts.examples += len(step.rows)
    facts.tokens += int(lengths.sum())
    facts.padded_tokens += size
    facts.computed_tokens += tokens_computed(run.encoder, lengths, size)
    facts.flops += run.flops.step(step.task, lengths, step.batch)


def note(facts: Facts, loss: float) -> None:
    """Keep the last losses, for the record of a run that diverges."""
    facts.losses = [*facts.losses[1 - LOSSES_KEPT :], loss]


def explain(run: Run, facts: Facts, step: Step, norm: float) -> str:
    """The record of a step that is not finite; the weights are still those before it."""
    family = step.task.family
    names = family.identifiers(step.task.examples)[family.positions(step.rows)]
    last = ", ".join(f"{value:.4g}" for value in facts.losses[-10:])
    return (
        f"At step {facts.step + 1} of {len(run.schedule)} the loss was {facts.losses[-1]:.4g} and the norm of the "
        f"gradient {norm:.4g}; the update was not made. The batch, of {step.task.name}: {', '.join(names)}. "
        f"The last losses: {last}."
    )


def save(run: Run, state: State) -> None:
    """Save the state, and say when the next save is due."""
    start = time.monotonic()
    with run.clock("saving"):
        tensors = saved.pack(state.parameters, state.optimizer, state.best)
        run.slots.save(tensors, {**vars(state.facts), **vars(run.clock)})
    state.saved_s = now = time.monotonic()
    state.next_save_s = now + max(SAVE_EVERY_S, SAVES_SHARE * (now - start))


def resume(run: Run) -> State:
    """The saved state put in place, or a fresh start."""
    parameters = run.parameters
    state = State(
        parameters,
        make(parameters, run.recipe, run.seed),
        torch.zeros((), device=run.encoder.device),
        Facts(micro_batch=run.micro_batch),
        saved_s=time.monotonic(),
        next_save_s=time.monotonic() + SAVE_EVERY_S,
    )
    state.optimizer.found_inf = state.stuck  # type: ignore[attr-defined]
    found = run.slots.load()
    if found is not None:
        values, facts = found
        run.clock.add(facts.pop("seconds"), facts.pop("cpu_seconds"))
        state.facts = Facts(**facts)
        state.best = saved.unpack(values, state.parameters, state.optimizer)
        say(f"goes on at step {state.facts.step}")
    elif run.micro_batch != run.recipe.micro_batch:
        save(run, state)  # chosen by the memory there is now, which may be another when the run goes on
    return state
