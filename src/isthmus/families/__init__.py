"""The forms a task can take, one module each. A family turns rows into features and outputs into predictions.

What a family's module has (`examples` is the family's own type, `rows` its own choice of examples):

    READS                                         first columns (`tasks.task.Columns`) of the tasks it can read
    canonical(tables, where) -> table             the hub's columns as its datasets have them, checked at the door
    encode(tokenizer, table, spec) -> table       text to ids
    ONE_CORPUS                                    whether all its tasks of one run are one training set
    FULL_VOCABULARY                               whether its loss needs every row of the embedding, seen or not
    read(tables, recipe, specials) -> examples    (language, token table) pairs to arrays, cut to the maximum length
    usable(examples) -> indices                   those that can be trained on and scored
    subset(examples, chosen) -> examples          some of them, by index
    epoch(examples, recipe, n, *names) -> batches every batch of one epoch: a list of rows, pure in the names
    everything(examples) -> rows, lengths         all of them in order, with their tokens: what inference batches
    collate(examples, rows, recipe, *names) -> batch   padded arrays; `names` seed what is drawn
    head(config, task) -> Module                  fresh weights
    loss(encoder, head, batch) -> scalar          the mean over the batch
    outputs(encoder, head, batch) -> arrays       one row per example; a list of arrays where they differ in length
    predictions(examples, outputs, form) -> table `id` and the answers, one row for each row of the dataset
    positions(rows) -> indices                    which examples some rows are of
    originals(examples) -> indices                the row of the dataset that each example is of, or is a part of
    identifiers(examples) -> texts                the id of each example
    score(examples, outputs) -> float             higher is better, at most 1
    collapsed(examples, outputs) -> bool          whether the model answers the same to everything

A batch is a dict of arrays with `input_ids` and `attention_mask` (int64 [batch, tokens]) and what else the
family's loss needs; the training loop turns them into tensors, of which those named in `model.device.ON_HOST` stay with
the host. Nothing outside this package knows a family's name.

A batch that does not fit the memory is cut into micro-batches. A family says how where `part` and `weight` below do
not hold for it:

    part(batch, start, stop) -> batch             its examples from start to before stop
    weight(batch) -> int                          the terms that its loss is the mean over

Where a loss couples the examples of a batch, it is made of something that the encoder gives for each of them:

    states(encoder, head, batch) -> tensor        float, one row for each example; each depends on its own example alone
    coupled(head, states, batch) -> scalar        the loss; it reads what else it needs from the whole batch

A family whose answers are found in a pool of candidates, which several languages share:

    pool(tables, recipe, specials) -> examples    the candidates of all the tables of the pool
    index(outputs) -> index                       what is looked into, of the pool's outputs, which it may use up
    asking(examples) -> examples                  what looks for them, alone

Its `predictions` find them in `form["pool"]`: the pool's examples and their index.

A family whose fetched rows have their texts in other columns than those of `evaluate.fingerprint.PROSE`:

    AUDITED                                       their names, for the audit of contamination

A family whose fetched rows are of several sides, told by their column `side`:

    SIDES                                         what each side is called there, by number

Both are literals: planning reads them without importing the module.

A family whose head belongs to the encoder may take it from the model that a training starts from:

    inherit(head, parent) -> bool                 load the parent folder's head, if it has one
"""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from isthmus.errors import UsageError

if TYPE_CHECKING:
    from isthmus.data.batch import Array


def load(name: str) -> ModuleType:
    """The family's module.

    Raises:
        UsageError: there is no such family.
    """
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise UsageError(
            f"There is no task family {name!r}. A family is a module of isthmus.families; correct the task's `family:`."
        ) from None


def part(batch: Mapping[str, "Array"], start: int, stop: int) -> dict[str, "Array"]:
    """The examples of a batch from start to before stop, where every array has one row for each example."""
    return {name: array[start:stop] for name, array in batch.items()}


def weight(batch: Mapping[str, "Array"]) -> int:
    """The terms that a batch's loss is the mean over, where these are its rows."""
    return len(batch["input_ids"])
