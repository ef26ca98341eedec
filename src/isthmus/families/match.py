"""The family of matching: one encoder reads queries and candidates, and a query finds the candidates nearest to it.

A dual encoder as google-research/xtreme has it for LAReQA and Mewsli-X (third_party/bert.py): a dense layer and tanh on the
state of `<s>`, scaled to length 1; within a batch each query's own candidate is to be found among those of the others, by
the softmax of the dot products times a learnt scale. A candidate is `<s> text </s>`, or `<s> sentence </s></s> paragraph </s>`.

Other than there, a candidate that reads the same as the query's own is no negative, and batches that are cut into parts
have the negatives of the whole.

torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from isthmus.data import candidates, mining, ragged
from isthmus.data.batch import Array, Specials, Tables, pad, truncated
from isthmus.data.ragged import Ragged
from isthmus.data.rows import epoch as epoch
from isthmus.data.rows import positions as positions
from isthmus.data.text import encode_column
from isthmus.errors import DataError
from isthmus.families import span
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

READS = ("pool",)  # what says which tasks it can read: their candidates
AUDITED = ("text", "beside")  # the columns that are text to a reader
SIDES = ("query", "candidate")  # of `candidates.QUERY` and `candidates.CANDIDATE`
ONE_CORPUS = False  # each task is a training set of its own
FULL_VOCABULARY = False
FOUND = 20  # the candidates of a prediction: scores look no further
ABSENT = -1
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Examples:
    """Texts of both sides, `a` and where they are `paired` the `b` that they stand in, of which `keep_a` and `keep_b`
    pieces are read; `ids` tells candidates of all languages apart.

    `rows` int64 [n, k]: the texts of each example: a query and its candidate (k = 2, ABSENT where there is none), or one of
    them alone (k = 1). `groups` int64 [n]: equal where candidates read the same.
    """

    ids: Array
    a: Ragged
    b: Ragged
    keep_a: Array
    keep_b: Array
    paired: Array
    rows: Array
    groups: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.rows)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Rows of id, side, text, beside and matches (`data.candidates`): questions on contexts, whose sentences are the
    candidates; queries or mentions with the id that they look for; or candidates by themselves.

    Raises:
        DataError: as of questions on contexts; or sentences lie outside of their context.
    """
    table = tables[""]
    names = table.column_names
    if "context" not in names:
        return candidates.of_candidates(table) if "candidate" in names else candidates.of_queries(table)
    breaks = table.column("sentences").to_pylist() if "sentences" in names else None
    return candidates.of_questions(span.canonical(tables, where), breaks, where)


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns to id, side, ids_a (the text), ids_b (what it stands in, or null) and matches."""
    besides = table.column("beside").to_pylist()
    place = {text: number for number, text in enumerate(dict.fromkeys(besides))}
    distinct = pa.table({"beside": pa.array(list(place), pa.string())})
    which = pa.array([place[text] for text in besides], pa.int64())
    return pa.table(
        {
            "id": table.column("id"),
            "side": table.column("side"),
            "ids_a": encode_column(tokenizer, table, "text"),
            "ids_b": encode_column(tokenizer, distinct, "beside").take(which),
            "matches": table.column("matches"),
        }
    )


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Each query of the token tables with the first candidate that it matches, wherever among them.

    Queries are cut to `recipe.query_length`, candidates longest first to `recipe.max_length`.
    """
    examples, sides = _texts(tables, recipe, specials)
    matches = [row for language, table in tables for row in candidates.named(language, table)[1]]
    place = {name: row for row, name in enumerate(examples.ids) if sides[row] == candidates.CANDIDATE}
    queries = np.flatnonzero(sides == candidates.QUERY)
    found = [place.get(matches[row][0], ABSENT) if matches[row] else ABSENT for row in queries.tolist()]
    own = np.array(found, np.int64)
    return replace(examples, rows=np.stack([queries, own], 1), groups=_groups(examples, own))


def pool(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """The candidates of the token tables, each alone.

    Raises:
        DataError: there is none, or two have one id.
    """
    examples, sides = _texts(tables, recipe, specials)
    rows = np.flatnonzero(sides == candidates.CANDIDATE)
    names = examples.ids[rows].tolist()
    if not names or len(set(names)) < len(names):
        problem = "have one id" if names else "are not to be found"
        raise DataError(f"Candidates {problem} in the data of {', '.join(name for name, _ in tables)}.")
    return replace(examples, rows=rows[:, None], groups=rows)


def asking(examples: Examples) -> Examples:
    """The queries alone."""
    return replace(examples, rows=examples.rows[:, :1])


def _texts(tables: Tables, recipe: Recipe, specials: Specials) -> tuple[Examples, Array]:
    """All texts of the tables, of which no example is made yet, and their sides."""
    names = [name for language, table in tables for name in candidates.named(language, table)[0]]
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    a, b = ragged.from_column(table.column("ids_a")), ragged.from_column(table.column("ids_b"))
    sides = table.column("side").to_numpy()
    paired = ~table.column("ids_b").is_null().to_numpy()
    keep_a, keep_b = truncated(a.lengths, b.lengths, recipe.max_length - 4)
    query = min(recipe.query_length, recipe.max_length) - 2
    alone = np.minimum(a.lengths, np.where(sides == candidates.QUERY, query, recipe.max_length - 2))
    examples = Examples(
        ids=np.array(names, object),
        a=a,
        b=b,
        keep_a=np.where(paired, keep_a, alone),
        keep_b=np.where(paired, keep_b, 0),
        paired=paired,
        rows=np.zeros((0, 2), np.int64),
        groups=np.zeros(0, np.int64),
        specials=specials,
    )
    return examples, sides


def _groups(examples: Examples, texts: Array) -> Array:
    """A number for what is read of each text, the same where it is the same."""
    return candidates.numbered(
        np.concatenate(_layout(examples, row)).astype(np.int32).tobytes() if row != ABSENT else b""
        for row in texts.tolist()
    )


def usable(examples: Examples) -> Array:
    """The examples with all their texts: the queries that have a candidate."""
    return np.flatnonzero((examples.rows != ABSENT).all(1))


def subset(examples: Examples, chosen: Array) -> Examples:
    """The chosen examples only."""
    return replace(examples, rows=examples.rows[chosen], groups=examples.groups[chosen])


def originals(examples: Examples) -> Array:
    """The row of the dataset that each example's first text is."""
    rows: Array = examples.rows[:, 0]
    return rows


def identifiers(examples: Examples) -> Array:
    """The id of each example's first text."""
    ids: Array = examples.ids[examples.rows[:, 0]]
    return ids


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every example in order, with the tokens of its texts, special tokens included."""
    tokens = examples.keep_a + examples.keep_b + np.where(examples.paired, 4, 2)
    return np.arange(len(examples)), tokens[examples.rows].sum(1)


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some examples: input_ids and attention_mask [B k, T], the k texts of each example together;
    groups [B].
    """
    texts = examples.rows[rows].reshape(-1)
    input_ids, attention_mask = pad([_layout(examples, text) for text in texts], examples.specials.pad)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "groups": examples.groups[rows]}


def _layout(examples: Examples, text: int) -> list[Any]:
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    kept = examples.a[text][: examples.keep_a[text]]
    if not examples.paired[text]:
        return [bos, kept, eos]
    return [bos, kept, eos, eos, examples.b[text][: examples.keep_b[text]], eos]


def part(batch: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
    """The examples of a batch from start to before stop, with all their texts."""
    each = len(batch["input_ids"]) // len(batch["groups"])
    rows = {name: batch[name][start * each : stop * each] for name in ("input_ids", "attention_mask")}
    return {**rows, "groups": batch["groups"][start:stop]}


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """BERT's pooler and the scale of the dot products."""
    from isthmus.model.heads import MatchHead

    return MatchHead(config)


def states(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """The vectors of each example's texts, float32 [B, k, H], of length 1."""
    from isthmus.model.encoder import first_states

    vectors: torch.Tensor = head(first_states(encoder, batch))
    return vectors.view(len(batch["groups"]), -1, vectors.shape[-1])


def coupled(
    head: "torch.nn.Module", states_B2H: "torch.Tensor", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """The mean cross-entropy of finding each query's candidate among those of the batch that read otherwise.

    In full precision also under autocast: products that are scaled a hundredfold have no digits to spare.
    """
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.arange(len(states_B2H), device=states_B2H.device)
    groups = batch["groups"]
    same = (groups[:, None] == groups) & (own[:, None] != own)
    with torch.autocast(states_B2H.device.type, enabled=False):
        queries, theirs = states_B2H.float().unbind(1)
        logits = cast("torch.Tensor", head.scale).float() * (queries @ theirs.T)
        return cross_entropy(logits.masked_fill(same, float("-inf")), own)


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """`coupled` of the batch's `states`."""
    return coupled(head, states(encoder, head, batch), batch)


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """vectors float32 [B, k, H]."""
    return {"vectors": states(encoder, head, batch).cpu().numpy()}


def index(outputs: Mapping[str, Array]) -> Array:
    """The vectors of a pool [m, H] from its outputs, which are scaled in place: a second copy of a million would be 4 GB."""
    vectors: Array = outputs["vectors"][:, 0]
    return mining.unit(vectors, vectors)


def predictions(examples: Examples, outputs: Mapping[str, Array], form: Mapping[str, Any]) -> pa.Table:
    """id of each query, `found`, the ids of the nearest candidates of the pool, nearest first (of equally near ones the
    first of the pool), and `scores`, their dot products. `form["pool"]` has the pool's examples and their `index`.
    """
    from isthmus.model.device import place

    pool, index = form["pool"]
    queries = mining.unit(outputs["vectors"][:, 0])
    nearest = mining.nearest(queries, index, FOUND, place(), scaled=True)
    names = identifiers(pool)
    return pa.table(
        {
            "id": pa.array(identifiers(examples), pa.string()),
            "found": pa.array([names[row].tolist() for row in nearest.places], pa.list_(pa.string())),
            "scores": pa.array(list(nearest.cosines), pa.list_(pa.float32())),
        }
    )


def score(examples: Examples, outputs: Mapping[str, Array]) -> float:
    """The mean reciprocal rank of each query's candidate among those of all the examples, each once. What is as near as the
    right one counts as nearer, so that equal vectors for everything score nothing.
    """
    ranks = np.concatenate([(near >= own).sum(1) for near, own in _nearness(examples, outputs)])
    return float(np.mean(1 / np.maximum(ranks, 1)))


def collapsed(examples: Examples, outputs: Mapping[str, Array]) -> bool:
    """Whether every query finds one and the same candidate although theirs differ."""
    if len(np.unique(examples.groups)) < 2:
        return False
    found: set[int] = set()
    for near, _ in _nearness(examples, outputs):
        found.update(near.argmax(1).tolist())
        if len(found) > 1:  # mostly so at once
            return False
    return True


def _nearness(examples: Examples, outputs: Mapping[str, Array]) -> Iterator[tuple[Array, Array]]:
    """For some queries at a time their nearness to each distinct candidate [q, c], and to their own [q, 1]."""
    _, first, number = np.unique(examples.groups, return_index=True, return_inverse=True)
    queries, index = outputs["vectors"][:, 0], outputs["vectors"][first, 1]
    for start in range(0, len(queries), ROWS_AT_ONCE):
        near = queries[start : start + ROWS_AT_ONCE] @ index.T
        own = number[start : start + ROWS_AT_ONCE, None]
        yield near, np.take_along_axis(near, own, 1)
