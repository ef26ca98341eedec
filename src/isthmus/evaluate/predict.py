"""The predict stage: one checkpoint answers all its targets in all their languages, in one process."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch import nn

from isthmus import families
from isthmus.clock import Clock
from isthmus.data.batch import Specials, specials
from isthmus.data.parquet import write_table
from isthmus.errors import DataError
from isthmus.model import encoder as encoders
from isthmus.model.device import place, settle, states_dtype, to_device
from isthmus.model.infer import infer
from isthmus.recipe import Recipe, full
from isthmus.spec import fingerprint
from isthmus.work import Work


def run(works: Sequence[Work]) -> None:
    """Predict each unit. `spec`: target, form (family, labels and what else the target's answers depend on), language,
    splits, recipe, the task whose `head` answers, where one does, and where answers are looked up, `pool`: the places
    (task/language) of what there is to find; inputs: `model`, `tokens` and `pool/<place>`.

    Writes <split>.parquet for each split: id, then the columns of the family's predictions, in the order of the data.
    What a unit gets does not depend on which other units the job has.

    Raises:
        DataError: the model has no such head, or the data no such split.
        Interrupted: a signal came; units committed so far stay.
    """
    loaded: dict[tuple[Path, torch.dtype], Checkpoint] = {}
    for work in works:
        clock = Clock()
        recipe = full(work.spec["recipe"])
        with clock("startup"):
            settle(recipe.threads)
            wanted = (work.inputs["model"], states_dtype(recipe.precision))
            if wanted not in loaded:
                loaded = {}  # one at a time: large models do not fit twice
                loaded = {wanted: Checkpoint(*wanted)}
        with clock("compute"):
            tables = predict(work, recipe, loaded[wanted])
        for split, table in tables.items():
            write_table(table, work.folder / f"{split}.parquet")
        status = work.statuses["model"]  # a collapsed model's answers are its answers, and say what they are
        work.commit(
            status=status,
            reason="" if status == "ok" else f"The model's status is {status}.",
            details={"rows": sum(map(len, tables.values())), **clock.rounded()},
        )


class Checkpoint:
    """A loaded model folder: the encoder, its tokenizer's special tokens, and the heads by task."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.encoder = encoders.load(folder, dtype, place())
        self.specials: Specials = specials(folder)
        self.folder = folder
        self.pools: dict[str, tuple[Any, Any]] = {}

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

    def pool(self, work: Work, split: str, recipe: Recipe, family: ModuleType, head: nn.Module) -> Any:
        """What a unit's answers are looked up in, with its index by the model: made once for all units with the same."""
        spec = work.spec
        folders = [work.inputs[f"pool/{place}"] for place in spec["pool"]]
        name = fingerprint([spec.get("head", ""), spec["form"], spec["recipe"], split, *map(str, folders)])
        if name not in self.pools:
            tables = [
                (place.rpartition("/")[2], _read(work, folder, place, split))
                for place, folder in zip(spec["pool"], folders, strict=True)
            ]
            self.pools = {}  # one at a time: it may be large
            examples = family.pool(tables, recipe, self.specials)
            out = infer(family, examples, self.encoder, head, recipe, work.interrupted)
            self.pools[name] = (examples, family.index(out))
        return self.pools[name]


def predict(work: Work, recipe: Recipe, checkpoint: Checkpoint) -> dict[str, pa.Table]:
    """The predictions of one target in one language, by split."""
    spec, found = work.spec, {}
    family, head = families.load(spec["form"]["family"]), checkpoint.head(spec)
    encoders.require_length(checkpoint.encoder, recipe.max_length, work.name)
    for split in spec["splits"]:
        table = _read(work, work.inputs["tokens"], f"{spec['target']}/{spec['language']}", split)
        examples = family.read([(spec["language"], table)], recipe, checkpoint.specials)
        form = spec["form"]
        if "pool" in spec:
            examples = family.asking(examples)
            form = {**form, "pool": checkpoint.pool(work, split, recipe, family, head)}
        out = infer(family, examples, checkpoint.encoder, head, recipe, work.interrupted, spill=work.folder)
        found[split] = family.predictions(examples, out, form)
    return found


def _read(work: Work, folder: Path, place: str, split: str) -> pa.Table:
    path = folder / f"{split}.parquet"
    if not path.is_file():
        task, _, language = place.rpartition("/")
        raise DataError(f"{work.name}: {task} in {language} has no split {split}.")
    return pq.read_table(path)
