"""The train stage: parent, data and recipe of a spec in, a model folder out.

Pre-training from scratch is a spec with `init` in the place of a parent and a family that reads text without labels.
"""

import dataclasses
import itertools
import json
import math
import resource
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import transformers
from safetensors.torch import save_file
from torch import nn
from transformers import PreTrainedModel

from isthmus import families
from isthmus.data.batch import Array, Epochs, Schedule, Specials, schedule, shares, specials
from isthmus.data.seeds import number, stream
from isthmus.errors import DataError
from isthmus.log import say
from isthmus.model import encoder as encoders
from isthmus.model import vocabulary
from isthmus.model.infer import settle, to_device
from isthmus.recipe import Recipe, full
from isthmus.spec import fingerprint
from isthmus.train.loop import Facts, Run, Task, train, updates
from isthmus.train.optimizer import rate_at
from isthmus.train.progress import Clock, duration
from isthmus.train.state import Slots
from isthmus.work import Work

TRAIN, DEV = "train.parquet", "dev.parquet"
LABELS = "labels.json"
NOT_OF_THE_HEAD = ("task", "languages", "datasets")


def run(works: Sequence[Work]) -> None:
    """Train each unit's model. `spec`: tasks, recipe, seed, `init` (an architecture) or none, `cap` of a mixture or
    none; inputs: `parent` (or `tokenizer` with `init`) and `tokens/<task>/<language>`.

    A run that diverges is committed with that status and no model; one that answers everything alike, with its
    model and the status `collapsed`.

    Raises:
        DataError, UsageError: the data, the parent or the recipe cannot be trained with.
        Interrupted: a signal came; the state is saved.
    """
    for work in works:
        _run(work)


def _run(work: Work) -> None:
    clock = Clock()
    with clock("startup"):
        recipe = full(work.spec["recipe"])
        settle(recipe.threads)
        encoder, tokenizer_folder = parent(work)
        job = prepare(work, recipe, encoder, specials(tokenizer_folder), clock)
    say(f"{work.name}: {len(job.schedule)} steps over {', '.join(task.name for task in job.tasks)}")
    facts = train(job)
    if facts.diverged:
        say(facts.diverged)
        work.commit(status="diverged", reason=facts.diverged, details=accounting(job, facts))
        return
    with clock("saving"):
        restore(job, facts)
        encoders.save(encoder, tokenizer_folder, work.folder)
        save_heads(job.tasks, work.folder)
    say(f"{work.name}: {facts.step} steps in {duration(sum(clock.seconds.values()))}")
    reason = (
        f"the same answer to every development example of {', '.join(facts.collapsed)}"
        if facts.collapsed
        else ""
    )
    work.commit(status="collapsed" if reason else "ok", reason=reason, details=accounting(job, facts))


def parent(work: Work) -> tuple[PreTrainedModel, Path]:
    """The encoder to start from, and the folder its tokenizer is in."""
    if "init" in work.spec:
        folder = work.inputs["tokenizer"]
        return encoders.create(work.spec["init"], specials(folder), work.spec["seed"]), folder
    return encoders.load(work.inputs["parent"]), work.inputs["parent"]


def prepare(work: Work, recipe: Recipe, encoder: PreTrainedModel, special: Specials, clock: Clock) -> Run:
    """Read the data, make the heads, lay out the steps."""
    encoders.require_length(encoder, recipe.max_length, work.name)
    seed = work.spec["seed"]
    tasks = [_task(work, recipe, encoder, special, seed, group) for group in corpora(work.spec["tasks"])]
    if recipe.dropout is not None:
        for module in (encoder, *(task.head for task in tasks)):
            encoders.set_dropout(module, recipe.dropout)
    compaction = compacted(work.name, recipe, encoder, special, tasks)
    for module in (encoder, *(task.head for task in tasks)):
        to_device(module)
    return Run(
        encoder=encoder,
        tasks=tasks,
        schedule=plan(
            [len(np.unique(t.family.originals(t.examples))) for t in tasks],
            [t.epochs for t in tasks],
            recipe,
            work.spec.get("cap"),
            seed,
        ),
        recipe=recipe,
        seed=seed,
        slots=Slots(work.state, fingerprint(work.spec)),
        interrupted=work.interrupted,
        compaction=compaction,
        clock=clock,
    )


def compacted(
    name: str, recipe: Recipe, encoder: PreTrainedModel, special: Specials, tasks: Sequence[Task]
) -> vocabulary.Compaction | None:
    """Leave the encoder the embedding rows that the tasks' examples use; says what came of it."""
    if any(task.family.FULL_VOCABULARY for task in tasks):
        return None
    seen = vocabulary.always(special, special.rows)
    for task in tasks:
        for examples in (task.examples, task.dev):
            if examples is not None:
                vocabulary.occurring(task.family, examples, recipe, seen)
    compaction = vocabulary.compact(encoder, seen)
    if isinstance(compaction, str):
        say(f"{name}: trains the whole embedding: {compaction}")
        return None
    say(f"{name}: trains {compaction.rows['trained']} of the embedding's {compaction.rows['all']} rows")
    return compaction


def restore(job: Run, facts: Facts) -> None:
    """Put the rows of the embedding that took no part back, decayed as often as the weights that are left."""
    if job.compaction is not None:
        steps = len(job.schedule)
        rates = [rate_at(step, steps, job.recipe) for step in range(updates(job, facts))]
        job.compaction.undo(rates, job.recipe.weight_decay)


def corpora(tasks: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The training sets: each task by itself, but one for all tasks of a family that says ONE_CORPUS."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for task in tasks:
        together = families.load(task["family"]).ONE_CORPUS
        groups.setdefault(f"family {task['family']}" if together else f"task {task['task']}", []).append(task)
    return list(groups.values())


def _task(
    work: Work,
    recipe: Recipe,
    encoder: PreTrainedModel,
    special: Specials,
    seed: int,
    group: Sequence[Mapping[str, Any]],
) -> Task:
    first = with_labels(work, group[0])
    family, name = families.load(first["family"]), first["task"]
    examples = family.read(list(_tables(work, group, TRAIN)), recipe, special)
    usable = family.usable(examples)
    rows, everyone = family.originals(examples)[usable], family.originals(examples)
    if unused := len(np.unique(everyone)) - len(np.unique(rows)):
        say(f"{name}: {unused} of {len(np.unique(everyone))} examples have no answer that can be trained on")
    examples = family.subset(examples, usable[choose(rows, recipe.examples, seed, name)])
    if not len(examples):
        raise DataError(f"{work.name}: {name} has no training example with an answer.")
    torch.manual_seed(number(seed, "head", name))

    def make(epoch: int) -> list[Array]:
        batches: list[Array] = family.epoch(examples, recipe, epoch, seed, name)
        return batches

    return Task(
        name=name,
        form={key: value for key, value in first.items() if key not in NOT_OF_THE_HEAD},
        family=family,
        examples=examples,
        epochs=Epochs(make),
        head=family.head(encoder.config, first),
        dev=_dev(work, recipe, family, special, group),
    )


def _tables(work: Work, group: Sequence[Mapping[str, Any]], split: str) -> Iterator[tuple[str, Any]]:
    for task in group:
        for name, language in itertools.product(datasets(task), task["languages"]):
            path = work.inputs[f"tokens/{name}/{language}"] / split
            if path.is_file():
                yield language, pq.read_table(path)
            elif split == TRAIN:
                raise DataError(f"{work.name}: {name} in {language} has no training split.")


def datasets(task: Mapping[str, Any]) -> Sequence[str]:
    """The tasks whose tokens a task of a spec is read from: itself, or those that it unites."""
    names: Sequence[str] = task.get("datasets", [task["task"]])
    return names


def with_labels(work: Work, task: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task of a spec; with the labels that its training data has, where the catalogue does not name them."""
    path = work.inputs[f"tokens/{datasets(task)[0]}/{task['languages'][0]}"] / LABELS
    return {**task, "labels": json.loads(path.read_text(encoding="utf-8"))} if path.is_file() else task


def _dev(
    work: Work, recipe: Recipe, family: Any, special: Specials, group: Sequence[Mapping[str, Any]]
) -> Any | None:
    """The first development examples of the training language, as they are: no code switching."""
    tables = list(_tables(work, group, DEV))
    if not tables:
        return None
    examples = family.read(tables, dataclasses.replace(recipe, code_switch=0.0), special)
    usable = family.usable(examples)
    sizes = [len(table) for _, table in tables]
    chosen = usable[first_of_each(family.originals(examples)[usable], sizes, recipe.eval_examples)]
    return family.subset(examples, chosen) if len(chosen) else None


def first_of_each(rows: Array, sizes: Sequence[int], most: int) -> Array:
    """Positions in `rows` of all parts of the first examples of each dataset, `most` examples together.

    `rows` says which example each part is of, counted over datasets of so many examples (`sizes`), in order. Each gives
    as many as the others; where one has fewer, the others give more.
    """
    distinct = np.unique(rows)
    of = np.searchsorted(np.cumsum(sizes), distinct, side="right")
    turn = np.arange(len(distinct)) - np.searchsorted(of, of)  # an example's place in its dataset
    kept = distinct[np.lexsort((of, turn))[:most]]
    return np.flatnonzero(np.isin(rows, kept))


def choose(rows: Array, most: int | None, seed: int, name: str) -> Array:
    """Positions in `rows` of all parts of `most` examples, the first of the seeded order: fewer lie within more.

    `rows` says which example each part is of: a long text may be several windows.
    """
    distinct = np.unique(rows)
    if most is None or most >= len(distinct):
        return np.arange(len(rows))
    kept = distinct[stream(seed, "examples", name).permutation(len(distinct))[:most]]
    return np.flatnonzero(np.isin(rows, kept))


def plan(
    counts: Sequence[int], epochs: Sequence[Epochs], recipe: Recipe, cap: int | None, seed: int
) -> Schedule:
    """The steps: `recipe.steps`, or `recipe.epochs` times the batches that hold each task's examples once.

    In a mixture a task of more than `cap` examples counts as one of `cap`, in its rate and in the length of the
    epoch (Phang et al. 2020 do not say how they count; this gives every task under the cap `epochs` passes in
    expectation).
    """
    steps = recipe.steps
    if steps is None:
        capped = [min(1.0, cap / n) if cap is not None else 1.0 for n in counts]
        steps = math.ceil(
            recipe.epochs * sum(part * epoch.per_epoch() for part, epoch in zip(capped, epochs, strict=True))
        )
    return schedule(shares(counts, cap), max(1, steps), seed)


def save_heads(tasks: Sequence[Task], folder: Path) -> None:
    """heads.safetensors with tensors `<task>.<parameter>`, and heads.json with each head's form (family, labels)."""
    tensors = {f"{task.name}.{name}": value for task in tasks for name, value in _weights(task.head).items()}
    save_file(tensors, folder / "heads.safetensors")
    kept = {task.name: task.form for task in tasks}
    (folder / "heads.json").write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _weights(head: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}


def accounting(job: Run, facts: Facts) -> dict[str, Any]:
    """What the run cost and how it went. No part of the result."""
    clock = job.clock
    compute = clock.seconds.get("compute", 0.0)
    return {
        "steps": facts.step,
        "examples": facts.examples,
        "tokens": facts.tokens,
        "padding_share": round(1 - facts.tokens / facts.padded_tokens, 4) if facts.padded_tokens else 0.0,
        "tokens_per_s": round(facts.tokens / compute, 1) if compute else 0.0,
        "seconds": {purpose: round(seconds, 3) for purpose, seconds in sorted(clock.seconds.items())},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "best_step": facts.best_step,
        "micro_batch": facts.micro_batch,
        "halved": facts.halved,
        "embedding_rows": job.compaction.rows if job.compaction is not None else None,
        "dev": facts.history,
        "last_losses": facts.losses,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
