"""The family of sentence and sentence-pair classification: `<s> a </s>` or `<s> a </s></s> b </s>` to one label.

torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data import ragged
from isthmus.data.batch import Array, Specials, Tables, pad, truncated
from isthmus.data.ragged import Ragged
from isthmus.data.rows import NO_GOLD, best
from isthmus.data.rows import collapsed as collapsed
from isthmus.data.rows import epoch as epoch
from isthmus.data.rows import identifiers as identifiers
from isthmus.data.rows import originals as originals
from isthmus.data.rows import positions as positions
from isthmus.data.rows import predictions as predictions
from isthmus.data.rows import score as score
from isthmus.data.rows import subset as subset
from isthmus.data.rows import usable as usable
from isthmus.data.text import encode_column
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

READS = ("text_a",)  # the columns that say which tasks it can read
ONE_CORPUS = False  # each task has its own labels, so its own head and its own batches
FULL_VOCABULARY = False


@dataclass(frozen=True)
class Examples:
    """Sides a and b (empty where `paired` is false) already cut to the maximum length; labels int64, -1 = no gold."""

    ids: Array
    a: Ragged
    b: Ragged
    keep_a: Array
    keep_b: Array
    paired: Array
    labels: Array
    rows: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.rows)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Columns id, text_a, text_b and label as they are; a task may lack text_b or label."""
    return tables[""]


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns (id, text_a; text_b and label, which may be null or absent) to id, ids_a, ids_b, label."""
    labelled = "label" in table.column_names
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "ids_a": encode_column(tokenizer, table, "text_a"),
            "ids_b": encode_column(tokenizer, table, "text_b"),
            "label": table.column("label").cast(pa.int32())
            if labelled
            else np.full(len(table), NO_GOLD, np.int32),
        }
    )


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables of one or more languages as arrays, cut longest first to `recipe.max_length`."""
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    a, b = ragged.from_column(table.column("ids_a")), ragged.from_column(table.column("ids_b"))
    paired = ~table.column("ids_b").is_null().to_numpy()
    keep_pair_a, keep_pair_b = truncated(a.lengths, b.lengths, recipe.max_length - 4)
    return Examples(
        ids=table.column("id").to_numpy(zero_copy_only=False),
        a=a,
        b=b,
        keep_a=np.where(paired, keep_pair_a, np.minimum(a.lengths, recipe.max_length - 2)),
        keep_b=np.where(paired, keep_pair_b, 0),
        paired=paired,
        labels=table.column("label").to_numpy().astype(np.int64),
        rows=np.arange(len(table)),
        specials=specials,
    )


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every example in order, with its tokens after cutting, special tokens included."""
    kept = examples.keep_a + examples.keep_b + np.where(examples.paired, 4, 2)
    return np.arange(len(examples)), kept[examples.rows]


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some rows: input_ids and attention_mask [B, T], labels [B]."""
    chosen = examples.rows[rows]
    input_ids, attention_mask = pad([_layout(examples, row) for row in chosen], examples.specials.pad)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "labels": examples.labels[chosen]}


def _layout(examples: Examples, row: int) -> list[Any]:
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    side_a = examples.a[row][: examples.keep_a[row]]
    if not examples.paired[row]:
        return [bos, side_a, eos]
    return [bos, side_a, eos, eos, examples.b[row][: examples.keep_b[row]], eos]


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """XLM-R's classification head with one output per label of the task."""
    from isthmus.model.heads import ClassificationHead

    return ClassificationHead(config, len(task["labels"]))


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Mean cross-entropy."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(_logits(encoder, head, batch), batch["labels"])


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """prediction int32 [B], the index of the best label; margin float32 [B], how far the second is behind."""
    return best(_logits(encoder, head, batch))


def _logits(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    from isthmus.model.encoder import first_states

    logits: torch.Tensor = head(first_states(encoder, batch))
    return logits
