"""From a spec to a run: the parent loaded, the data read, the heads made, the steps laid out."""

import dataclasses
import itertools
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from transformers import PreTrainedModel

from isthmus import families
from isthmus.clock import Clock
from isthmus.data.batch import Array, Epochs, Schedule, Specials, schedule, shares, specials
from isthmus.data.seeds import number, stream
from isthmus.errors import DataError, StorageError
from isthmus.log import say
from isthmus.model import encoder as encoders
from isthmus.model import lora, memory, vocabulary
from isthmus.model.device import place, settle, states_dtype, to_device
from isthmus.recipe import Recipe, full
from isthmus.spec import fingerprint
from isthmus.train.run import Run
from isthmus.train.selection import selects
from isthmus.train.state import Slots
from isthmus.train.task import Task
from isthmus.work import Work

TRAIN, DEV = "train.parquet", "dev.parquet"
LABELS = "labels.json"
POOL = "test.parquet"  # the split that other tasks' candidates are in
NOT_OF_THE_HEAD = ("task", "languages", "datasets", "pool")


def prepare(work: Work, seed: int, clock: Clock) -> Run:
    """Load the parent, read the data, make the heads, lay out the steps.

    Raises:
        DataError, UsageError: the data, the parent or the recipe cannot be trained with.
    """
    recipe = full(work.spec["recipe"])
    settle(recipe.threads)
    encoder = parent(work, recipe, seed)
    special = specials(tokenizer_folder(work))
    encoders.require_length(encoder, recipe.max_length, work.name)
    tasks = [_task(work, recipe, encoder, special, seed, group) for group in corpora(work.spec["tasks"])]
    if recipe.dropout is not None:
        for module in (encoder, *(task.head for task in tasks)):
            encoders.set_dropout(module, recipe.dropout)
    adapted = lora.attach(encoder, recipe, seed) if recipe.lora_rank is not None else None
    compaction = compacted(work.name, recipe, encoder, special, tasks) if adapted is None else None
    if recipe.gradient_checkpointing:
        encoders.checkpoint_layers(encoder)
    for module in (encoder, *(task.head for task in tasks)):
        to_device(module)
    job = Run(
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
        slots=Slots(work.state / str(seed), fingerprint(work.spec)),
        interrupted=work.interrupted,
        compaction=compaction,
        adapted=adapted,
        micro_batch=recipe.micro_batch or fitting(work.name, recipe, encoder, tasks),
        clock=clock,
    )
    require_disk(work, job)
    return job


def require_disk(work: Work, job: Run) -> None:
    """Refuse to begin what could not be saved: two states for a moment, each with weights, moments and the best weights.

    Raises:
        StorageError: the disk has less room.
    """
    trained = sum(p.numel() * p.element_size() for p in job.parameters.values())
    needed = 2 * (3 + selects(job)) * trained
    free = shutil.disk_usage(work.state).free
    if free < needed:
        raise StorageError(
            f"{work.name}: saving the training's state takes up to {needed / 2**30:.1f} GiB in {work.state}, and the disk "
            f"has {free / 2**30:.1f} GiB free. Free space, choose another ISTHMUS_STORE, or train less (lora_rank)."
        )


def parent(work: Work, recipe: Recipe, seed: int) -> PreTrainedModel:
    """The encoder to start from, its weights as the recipe's precision keeps them."""
    if "init" not in work.spec:
        # An encoder that has to be kept in bf16 may not fit into main memory: it goes where it is needed at once.
        straight = place() if recipe.precision == "bf16_states" else "cpu"
        return encoders.load(work.inputs["parent"], states_dtype(recipe.precision), straight)
    made = encoders.create(work.spec["init"], specials(tokenizer_folder(work)), seed)
    torch.nn.Module.to(made, states_dtype(recipe.precision))
    return made


def tokenizer_folder(work: Work) -> Path:
    """The folder whose tokenizer made the data."""
    return work.inputs["tokenizer" if "init" in work.spec else "parent"]


def fitting(name: str, recipe: Recipe, encoder: PreTrainedModel, tasks: Sequence[Task]) -> int | None:
    """The most examples that the memory has room for at once; None where whole batches fit."""
    heads = [task.head for task in tasks]
    sizes = []
    for task in tasks:
        lengths = task.family.everything(task.examples)[1]
        rows = encoder.config.vocab_size if task.family.FULL_VOCABULARY else 0
        sizes.append(memory.choose(encoder, heads, recipe, lengths, encoder.device, rows))
    least = min((size for size in sizes if size is not None), default=None)
    if least is not None:
        say(f"{name}: batches go in parts of at most {least} examples, which is what the memory has room for")
    return least


def compacted(
    name: str, recipe: Recipe, encoder: PreTrainedModel, special: Specials, tasks: Sequence[Task]
) -> vocabulary.Compaction | None:
    """Leave the encoder the embedding rows that the tasks' examples use; says what came of it."""
    if any(task.family.FULL_VOCABULARY for task in tasks):
        return None
    seen = vocabulary.always(special, special.rows)
    for task in tasks:
        for examples in (task.examples, *task.dev.values()):
            vocabulary.occurring(task.family, examples, recipe, seen)
    compaction = vocabulary.compact(encoder, seen)
    if isinstance(compaction, str):
        say(f"{name}: trains the whole embedding: {compaction}")
        return None
    say(f"{name}: trains {compaction.rows['trained']} of the embedding's {compaction.rows['all']} rows")
    return compaction


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
    head = family.head(encoder.config, first)
    if "parent" in work.inputs and hasattr(family, "inherit") and family.inherit(head, work.inputs["parent"]):
        say(f"{name}: goes on with the head of {work.inputs['parent'].name}")

    def make(epoch: int) -> list[Array]:
        batches: list[Array] = family.epoch(examples, recipe, epoch, seed, name)
        return batches

    return Task(
        name=name,
        form={key: value for key, value in first.items() if key not in NOT_OF_THE_HEAD},
        family=family,
        examples=examples,
        epochs=Epochs(make),
        head=head,
        dev=dict(_dev(work, recipe, family, special, group)),
    )


def _tables(work: Work, group: Sequence[Mapping[str, Any]], split: str) -> Iterator[tuple[str, Any]]:
    for task in group:
        for name, language in itertools.product(datasets(task), task["languages"]):
            path = work.inputs[f"tokens/{name}/{language}"] / split
            if path.is_file():
                yield language, pq.read_table(path)
            elif split == TRAIN:
                raise DataError(f"{work.name}: {name} in {language} has no training split.")
        for held in task.get("pool", ()):
            yield held.rpartition("/")[2], pq.read_table(work.inputs[f"tokens/{held}"] / POOL)


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
) -> Iterator[tuple[str, Any]]:
    """The first development examples, as they are (no code switching): in the language trained on under "", and of
    each target and language that the spec names under `target_dev`, where their scores are to be known.
    """
    plain = dataclasses.replace(recipe, code_switch=0.0)
    places = {"": list(_tables(work, group, DEV))}
    for target in work.spec.get("target_dev", ()):
        for language in target["languages"]:
            named = {**target, "languages": [language]}
            places[f"{target['task']}/{language}"] = list(_tables(work, [named], DEV))
    for name, tables in places.items():
        if tables:
            examples = family.read(tables, plain, special)
            usable = family.usable(examples)
            sizes = [len(table) for _, table in tables]
            rows = first_of_each(family.originals(examples)[usable], sizes, recipe.eval_examples)
            if len(rows):
                yield name, family.subset(examples, usable[rows])
            elif name:
                raise DataError(
                    f"{work.name}: {name} has no development example with an answer to select a checkpoint by. Write "
                    "select: english_dev or last."
                )


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
