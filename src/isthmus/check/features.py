"""Tokens, features, batches and heads, tried on some rows of every dataset with a tiny encoder of the real vocabulary."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import nn
from transformers import PreTrainedModel

from isthmus import families
from isthmus.check.datasets import DEV, TEST, TRAIN, Key, Split, matched, named, own_labels
from isthmus.check.findings import Findings
from isthmus.check.vocabulary import Vocabulary
from isthmus.errors import DataError
from isthmus.model import encoder as encoders
from isthmus.model.device import tensors
from isthmus.model.infer import infer
from isthmus.recipe import Recipe, full

TINY = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "dropout": 0.0}
BATCH = 8
SEED = 0


@dataclass(frozen=True)
class Bench:
    """What rows are tried with: the vocabulary of one of the study's encoders, and a tiny encoder of it."""

    vocabulary: Vocabulary
    encoder: PreTrainedModel


def bench(vocabulary: Vocabulary, longest: int) -> Bench:
    """A bench for inputs of up to so many tokens."""
    return Bench(vocabulary, encoders.create({**TINY, "positions": longest}, vocabulary.specials, SEED))


def longest(uses: Sequence[Mapping[str, Any]], encoder: str) -> int:
    """The most tokens that the study gives an encoder at once."""
    return max(full(use["recipe"]).max_length for use in uses if use["encoder"] == encoder)


def try_uses(
    uses: Sequence[Mapping[str, Any]],
    splits: Mapping[Key, Split],
    benches: Mapping[str, Bench],
    inputs: Mapping[str, Path],
    findings: Findings,
) -> int:
    """Try every use of a dataset; gives the number of rows."""
    tried = 0
    for use in uses:
        for role, split in _of(use, splits) if use["encoder"] in benches else ():
            labels = labels_of(use, role, inputs)
            with findings.caught(f"{split.where} with {use['encoder']}"):
                pool = list(_pool(use, split, splits))
                _try(use, {**use, **labels}, role, split, benches[use["encoder"]], pool)
                tried += len(split.sample)
    return tried


def labels_of(use: Mapping[str, Any], role: str, inputs: Mapping[str, Path]) -> dict[str, Any]:
    """The labels that the data brought along, where the task's file names none."""
    for name in (role, *use.get("learnt_from", ())):
        found = own_labels(inputs[name]) if name in inputs else None
        if found is not None:
            return {"labels": found}
    return {}


def _of(use: Mapping[str, Any], splits: Mapping[Key, Split]) -> Iterator[tuple[str, Split]]:
    for role in use["data"]:
        for name in (TRAIN, DEV) if use["trains"] else (DEV, TEST):
            if (role, name) in splits:
                yield role, splits[role, name]


def _pool(
    use: Mapping[str, Any], split: Split, splits: Mapping[Key, Split]
) -> Iterator[tuple[str, pa.Table]]:
    """What some rows look for in the data of another task, with the language that it stands under."""
    for (role, name), other in splits.items():
        if name == TEST and role.split("/")[1] == use.get("pool"):
            table = other.table()
            chosen = pa.array(named(table, matched(split.sample)))
            yield role.split("/")[2], table.filter(chosen)


def _try(
    use: Mapping[str, Any],
    form: Mapping[str, Any],
    role: str,
    split: Split,
    on: Bench,
    pool: Sequence[tuple[str, pa.Table]],
) -> None:
    family, recipe = families.load(use["family"]), full(use["recipe"])
    _, task, language = role.split("/")
    spec = {"task": task, "family": use["family"], "language": language}
    tokens = [
        (code, family.encode(on.vocabulary.tokenizer, table.combine_chunks(), spec))
        for code, table in [(language, split.sample), *pool]
    ]
    examples = family.read(tokens, recipe, on.vocabulary.specials)
    if not len(examples):
        raise DataError(
            "its rows have no text that an example could be made of. Mend the data or leave it out."
        )
    head = family.head(on.encoder.config, form)
    if not use["trains"]:
        if hasattr(family, "asking"):
            found = family.pool(tokens, recipe, on.vocabulary.specials)
            out = infer(family, found, on.encoder, head, recipe, lambda: False)
            examples, form = family.asking(examples), {**form, "pool": (found, family.index(out))}
        _predict(family, examples, on.encoder, head, recipe, form)
    elif split.path.stem == TRAIN and split.gold != 0:
        _learn(family, examples, on.encoder, head, recipe, task)


def _learn(
    family: Any, examples: Any, encoder: PreTrainedModel, head: nn.Module, recipe: Recipe, task: str
) -> None:
    usable = family.usable(examples)
    if not len(usable):
        raise DataError(
            "of the rows that were tried none has an answer that can be trained on: every answer lies in a part of the "
            "text that no piece covers, or is missing. Mend the data or leave the task out."
        )
    examples = family.subset(examples, usable)
    small = replace(recipe, batch_size=BATCH, tokens_per_batch=None)
    batch = family.collate(examples, family.epoch(examples, small, 0, SEED, task)[0], small, SEED, task)
    loss = family.loss(encoder, head, tensors(batch, torch.device("cpu")))
    if not torch.isfinite(loss):
        raise DataError(
            f"the loss of a batch is {loss.item()}. Its labels do not fit its features: mend the data."
        )


def _predict(
    family: Any,
    examples: Any,
    encoder: PreTrainedModel,
    head: nn.Module,
    recipe: Recipe,
    form: Mapping[str, Any],
) -> None:
    out = infer(family, examples, encoder, head, recipe, lambda: False)
    if "retrieval" in form:
        return  # some rows are no pool to find anything in
    answered = set(family.predictions(examples, out, form)["id"].to_pylist())
    asked = {str(name) for name in family.identifiers(examples)}
    if answered != asked:
        raise DataError(f"{len(asked - answered)} of {len(asked)} rows get no prediction. Mend the data.")
