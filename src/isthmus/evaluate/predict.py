"""The predict stage: one checkpoint answers all its targets in all their languages, in one process."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.torch import load_file
from torch import nn

from isthmus import families
from isthmus.data.batch import Specials, specials
from isthmus.data.parquet import write_table
from isthmus.errors import DataError, Interrupted
from isthmus.model import encoder as encoders
from isthmus.model.infer import infer, settle, to_device
from isthmus.recipe import Recipe, full
from isthmus.work import Work


def run(works: Sequence[Work]) -> None:
    """Predict each unit. `spec`: target, family, language, split, head and recipe; inputs: `model` and `tokens`.

    Writes predictions.parquet: id, then the columns of the family's outputs, in the order of the data. What a unit
    gets does not depend on which other units the job has.

    Raises:
        DataError: the model has no such head, or the data no such split.
        Interrupted: a signal came; units committed so far stay.
    """
    loaded: dict[Path, Checkpoint] = {}
    for work in works:
        if work.interrupted():
            raise Interrupted("Stopped between two predictions. Run the same command again to go on.")
        start = time.perf_counter()
        recipe = full(work.spec["recipe"])
        settle(recipe.threads)
        folder = work.inputs["model"]
        if folder not in loaded:
            loaded = {folder: Checkpoint(folder)}  # one at a time: large models do not fit twice
        table = predict(work, recipe, loaded[folder])
        write_table(table, work.folder / "predictions.parquet")
        status = work.statuses["model"]  # a collapsed model's answers are its answers, and say what they are
        work.commit(
            status=status,
            reason="" if status == "ok" else f"The model's status is {status}.",
            details={"rows": len(table), "seconds": round(time.perf_counter() - start, 3)},
        )


class Checkpoint:
    """A loaded model folder: the encoder, its heads by task, its tokenizer's special tokens."""

    def __init__(self, folder: Path) -> None:
        self.encoder = encoders.load(folder)
        to_device(self.encoder)
        self.specials: Specials = specials(folder)
        self.tasks: dict[str, dict[str, Any]] = json.loads(
            (folder / "heads.json").read_text(encoding="utf-8")
        )
        self.tensors = load_file(folder / "heads.safetensors")

    def head(self, task: str) -> nn.Module:
        """The head of a task, with its trained weights.

        Raises:
            DataError: the model was not trained on the task.
        """
        if task not in self.tasks:
            raise DataError(f"The model has heads for {sorted(self.tasks)}, none for {task}.")
        description = self.tasks[task]
        head: nn.Module = families.load(description["family"]).head(self.encoder.config, description)
        mine = f"{task}."
        head.load_state_dict(
            {name.removeprefix(mine): value for name, value in self.tensors.items() if name.startswith(mine)}
        )
        to_device(head)
        return head


def predict(work: Work, recipe: Recipe, checkpoint: Checkpoint) -> pa.Table:
    """The predictions of one target in one language."""
    spec = work.spec
    path = work.inputs["tokens"] / f"{spec['split']}.parquet"
    if not path.is_file():
        raise DataError(f"{work.name}: {spec['target']} in {spec['language']} has no split {spec['split']}.")
    family = families.load(spec["family"])
    examples = family.read([(spec["language"], pq.read_table(path))], recipe, checkpoint.specials)
    out = infer(family, examples, checkpoint.encoder, checkpoint.head(spec["head"]), recipe, work.interrupted)
    return pa.table({"id": pa.array(family.identifiers(examples), pa.string()), **out})
