"""The predict stage: one checkpoint answers all its targets in all their languages, in one process."""

import json
import time
from collections.abc import Mapping, Sequence
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
    """Predict each unit. `spec`: target, form (family, labels and what else the target's answers depend on), language,
    splits, recipe, and the task whose `head` answers, where one does; inputs: `model` and `tokens`.

    Writes <split>.parquet for each split: id, then the columns of the family's predictions, in the order of the data.
    What a unit gets does not depend on which other units the job has.

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
        tables = predict(work, recipe, loaded[folder])
        for split, table in tables.items():
            write_table(table, work.folder / f"{split}.parquet")
        status = work.statuses["model"]  # a collapsed model's answers are its answers, and say what they are
        work.commit(
            status=status,
            reason="" if status == "ok" else f"The model's status is {status}.",
            details={
                "rows": sum(map(len, tables.values())),
                "seconds": round(time.perf_counter() - start, 3),
            },
        )


class Checkpoint:
    """A loaded model folder: the encoder, its tokenizer's special tokens, and the heads by task."""

    def __init__(self, folder: Path) -> None:
        self.encoder = encoders.load(folder)
        to_device(self.encoder)
        self.specials: Specials = specials(folder)
        self.folder = folder

    def head(self, spec: Mapping[str, Any]) -> nn.Module:
        """The head that a spec asks for, with its trained weights.

        Raises:
            DataError: the model was not trained on the task.
        """
        if "head" not in spec:
            fresh: nn.Module = families.load(spec["form"]["family"]).head(self.encoder.config, spec["form"])
            return fresh
        task, path = spec["head"], self.folder / "heads.json"
        heads = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if task not in heads:
            raise DataError(f"The model has heads for {sorted(heads)}, none for {task}.")
        form = heads[task]
        head: nn.Module = families.load(form["family"]).head(self.encoder.config, form)
        tensors, mine = load_file(self.folder / "heads.safetensors"), f"{task}."
        head.load_state_dict(
            {name.removeprefix(mine): value for name, value in tensors.items() if name.startswith(mine)}
        )
        to_device(head)
        return head


def predict(work: Work, recipe: Recipe, checkpoint: Checkpoint) -> dict[str, pa.Table]:
    """The predictions of one target in one language, by split."""
    spec, found = work.spec, {}
    family, head = families.load(spec["form"]["family"]), checkpoint.head(spec)
    encoders.require_length(checkpoint.encoder, recipe.max_length, work.name)
    for split in spec["splits"]:
        path = work.inputs["tokens"] / f"{split}.parquet"
        if not path.is_file():
            raise DataError(f"{work.name}: {spec['target']} in {spec['language']} has no split {split}.")
        examples = family.read([(spec["language"], pq.read_table(path))], recipe, checkpoint.specials)
        out = infer(family, examples, checkpoint.encoder, head, recipe, work.interrupted)
        found[split] = family.predictions(examples, out, spec["form"])
    return found
