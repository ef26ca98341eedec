"""The gradient of a batch, whole or in micro-batches that the memory has room for.

Where a loss couples the examples of a batch (each one's candidate is a wrong one for the others), parts have no loss of
their own. Such a batch goes twice through the encoder: without a graph for what the loss is made of, whose gradient is then
known, and part by part for the gradients of the weights, with the same draws of dropout (Gao et al. 2021, "Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup").
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from isthmus import families
from isthmus.data.batch import Array
from isthmus.data.seeds import number
from isthmus.errors import OutOfMemory
from isthmus.log import say
from isthmus.model.device import autocast, free, out_of_memory, reason, tensors
from isthmus.train.run import Facts, Run, State
from isthmus.train.task import Task


def accumulate(
    run: Run, state: State, step: int, task: Task, rows: Array, batch: Mapping[str, Array]
) -> Tensor | None:
    """Add the gradient of the batch's mean loss to the parameters; returns the loss, or None if a signal came.

    Where the memory does not suffice, the micro-batch is halved, for the rest of the run, and the step begins anew.

    Raises:
        OutOfMemory: a single example is too large.
    """
    while True:
        try:
            size = min(state.facts.micro_batch or len(rows), len(rows))
            summed = sum_gradients(run, step, task, batch, len(rows), size)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            problem = reason(error)
        else:
            if summed is None:
                state.optimizer.zero_grad()
            return summed
        # Out here nothing holds the tensors of the attempt any more, as the exception did.
        state.optimizer.zero_grad()
        free()
        halve(state.facts, step, size, problem)


def sum_gradients(
    run: Run, step: int, task: Task, batch: Mapping[str, Array], examples: int, size: int
) -> Tensor | None:
    """Forward and backward for `size` examples at a time. A micro-batch without a term (no masked piece) is left out."""
    if size < examples and hasattr(task.family, "coupled"):
        return sum_coupled(run, step, task, batch, examples, size)
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
        with autocast(run.recipe.precision, run.encoder.device):
            loss = task.family.loss(run.encoder, task.head, tensors(part, run.encoder.device))
        loss = loss * (weigh(part) / terms)
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def sum_coupled(
    run: Run, step: int, task: Task, batch: Mapping[str, Array], examples: int, size: int
) -> Tensor | None:
    """Forward and backward of a loss that couples the examples, `size` of them at a time in the encoder."""
    family, place = task.family, run.encoder.device
    task.head.train()
    found = []
    with torch.no_grad():
        for states in _states(run, step, task, batch, examples, size):
            if states is None:
                return None
            found.append(states)
    whole = torch.cat(found).requires_grad_()
    with autocast(run.recipe.precision, place):
        loss: Tensor = family.coupled(task.head, whole, tensors(batch, place))
    loss.backward()  # type: ignore[no-untyped-call]
    assert whole.grad is not None
    gradients = iter(torch.split(whole.grad, [len(states) for states in found]))
    for states in _states(run, step, task, batch, examples, size):
        if states is None:
            return None
        states.backward(next(gradients))  # type: ignore[no-untyped-call]
    return loss.detach()


def _states(
    run: Run, step: int, task: Task, batch: Mapping[str, Array], examples: int, size: int
) -> Iterator[Tensor | None]:
    """What the loss is made of, part by part, the same whenever it is asked for; None if a signal came."""
    cut = getattr(task.family, "part", families.part)
    for index, start in enumerate(range(0, examples, size)):
        if run.interrupted():
            yield None
            return
        part = cut(batch, start, min(start + size, examples))
        torch.manual_seed(number(run.seed, "dropout", step, index))
        with autocast(run.recipe.precision, run.encoder.device):
            states = task.family.states(run.encoder, task.head, tensors(part, run.encoder.device))
        yield states


def halve(facts: Facts, step: int, size: int, problem: str) -> None:
    """Half as many examples at once from here on.

    Raises:
        OutOfMemory: it is one already.
    """
    if size == 1:
        raise OutOfMemory(
            f"The memory does not suffice for a single example at step {step + 1} ({problem}). Lower max_length in "
            "the recipe, choose a smaller encoder or run where there is more memory; the last saved state is kept."
        )
    facts.micro_batch, facts.halved = (size + 1) // 2, facts.halved + 1
    say(
        f"step {step + 1}: out of memory; batches go in parts of at most {facts.micro_batch} examples from here "
        "on, which changes no update but by rounding and the draws of dropout"
    )
