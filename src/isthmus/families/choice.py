"""The family of multiple choice: `<s> prompt </s></s> choice </s>` for every choice, and one of them is right.

The choices of an example are judged together and need not be as many as another's, so an example is never parted.
torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data import ragged
from isthmus.data.batch import Array, Specials, Tables, pad, truncated
from isthmus.data.faults import refuse
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

READS = ("prompt",)  # the columns that say which tasks it can read
ONE_CORPUS = False
FULL_VOCABULARY = False
SPECIAL_TOKENS = 4


@dataclass(frozen=True)
class Examples:
    """Prompt [examples] and choices [all choices]; example i has choices[first[i]:first[i + 1]].

    `keep_prompt` and `keep_choice` [all choices] cut each pair to the maximum length; labels int64, -1 = no gold.
    """

    ids: Array
    prompt: Ragged
    choices: Ragged
    first: Array
    keep_prompt: Array
    keep_choice: Array
    labels: Array
    rows: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.rows)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Fetched rows to id, prompt, choices list<string>, label int32 (-1 = no gold).

    Raises:
        DataError: a prompt or a choice is null, an example has fewer than two choices, or a label is none of them.
    """
    table = tables[""]
    choices = table.column("choices").to_pylist()
    given = table.column("label").to_pylist() if "label" in table.column_names else [None] * len(table)
    labels: list[int] = [NO_GOLD if label is None else label for label in given]
    prompts = table.column("prompt").to_pylist()
    faults = ((row, _problem(*parts)) for row, parts in enumerate(zip(prompts, choices, labels, strict=True)))
    refuse(
        where,
        ((row, text) for row, text in faults if text),
        "Correct `columns` in the task's YAML, mend the data or leave the row out.",
        table.column("id").to_pylist(),
    )
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "prompt": table.column("prompt").cast(pa.string()),
            "choices": pa.array(choices, pa.list_(pa.string())),
            "label": pa.array(labels, pa.int32()),
        }
    )


def _problem(prompt: str | None, choices: list[str | None] | None, label: int) -> str:
    if prompt is None:
        return "has no prompt (a null)"
    if choices is None or len(choices) < 2:
        return f"has {len(choices or [])} choices, and there must be at least two"
    if None in choices:
        return f"has no text (a null) for choice {choices.index(None)}"
    if not NO_GOLD <= label < len(choices):
        return (
            f"has the label {label}, but its choices are 0 to {len(choices) - 1} (and {NO_GOLD} is no label)"
        )
    return ""


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns to id, prompt list<int32>, choices list<list<int32>>, label."""
    lists = table.column("choices").combine_chunks()
    counts = lists.value_lengths().to_numpy(zero_copy_only=False)
    texts = pa.table({"choice": lists.flatten()})
    first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "prompt": encode_column(tokenizer, table, "prompt"),
            "choices": pa.ListArray.from_arrays(pa.array(first), encode_column(tokenizer, texts, "choice")),
            "label": table.column("label").cast(pa.int32()),
        }
    )


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables of one or more languages as arrays, each pair cut longest first to `recipe.max_length`."""
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    lists = table.column("choices").combine_chunks()
    counts = lists.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
    prompt = ragged.from_column(table.column("prompt"))
    choices = ragged.from_column(pa.chunked_array([lists.flatten()]))
    prompt_lengths = np.repeat(prompt.lengths, counts)
    keep_prompt, keep_choice = truncated(prompt_lengths, choices.lengths, recipe.max_length - SPECIAL_TOKENS)
    return Examples(
        ids=table.column("id").to_numpy(zero_copy_only=False),
        prompt=prompt,
        choices=choices,
        first=np.concatenate([[0], np.cumsum(counts)]),
        keep_prompt=keep_prompt,
        keep_choice=keep_choice,
        labels=table.column("label").to_numpy().astype(np.int64),
        rows=np.arange(len(table)),
        specials=specials,
    )


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every example in order, with its tokens when its choices are padded to the longest of them."""
    kept = examples.keep_prompt + examples.keep_choice + SPECIAL_TOKENS
    counts = np.diff(examples.first)
    longest = np.maximum.reduceat(kept, examples.first[:-1]) if len(kept) else counts
    return np.arange(len(examples)), (longest * counts)[examples.rows]


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some rows: input_ids and attention_mask [C, T] of all their C choices, one example after another;
    counts [B], the choices of each example; labels [B].
    """
    chosen = examples.rows[rows]
    layouts = [
        _layout(examples, row, place)
        for row in chosen
        for place in range(examples.first[row], examples.first[row + 1])
    ]
    input_ids, attention_mask = pad(layouts, examples.specials.pad)
    counts = examples.first[chosen + 1] - examples.first[chosen]
    labels = examples.labels[chosen]
    return {"input_ids": input_ids, "attention_mask": attention_mask, "counts": counts, "labels": labels}


def _layout(examples: Examples, row: int, place: int) -> list[Any]:
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    prompt = examples.prompt[row][: examples.keep_prompt[place]]
    return [bos, prompt, eos, eos, examples.choices[place][: examples.keep_choice[place]], eos]


def part(batch: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
    """The examples of a batch from start to before stop, each with all its choices."""
    ends = np.concatenate([[0], np.cumsum(batch["counts"])])
    choices = slice(ends[start], ends[stop])
    return {
        "input_ids": batch["input_ids"][choices],
        "attention_mask": batch["attention_mask"][choices],
        "counts": batch["counts"][start:stop],
        "labels": batch["labels"][start:stop],
    }


def weight(batch: Mapping[str, Array]) -> int:
    """The examples."""
    return len(batch["labels"])


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """XLM-R's classification head with one output, the score of a choice."""
    from isthmus.model.heads import ChoiceHead

    return ChoiceHead(config)


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Mean cross-entropy over the choices of each example."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(_logits(encoder, head, batch), batch["labels"])


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """prediction int32 [B], the index of the best choice; margin float32 [B], how far the second is behind."""
    return best(_logits(encoder, head, batch))


def _logits(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Scores [B, most choices]; minus infinity where an example has no such choice."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from isthmus.model.encoder import first_states

    scores: torch.Tensor = head(first_states(encoder, batch))
    parts = torch.tensor_split(scores, batch["counts"].cumsum(0)[:-1].tolist())
    return pad_sequence(list(parts), batch_first=True, padding_value=float("-inf"))
