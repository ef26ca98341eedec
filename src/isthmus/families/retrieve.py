"""The family of retrieval: a sentence's translation is found by the nearness of the encoder's own vectors.

Nothing is trained. Every layer's states are averaged, and two ways of finding are known: `nearest` (each English
sentence asks for the nearest of the other language, as XTREME does for Tatoeba) and `margin` (mining of parallel
sentences from two pools, as XTREME does for BUCC). Which layer counts is for the metric to say.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa

from isthmus.data import mining, ragged
from isthmus.data.batch import Array, Specials, Tables, pad
from isthmus.data.faults import refuse
from isthmus.data.ragged import Ragged
from isthmus.data.rows import identifiers as identifiers
from isthmus.data.rows import originals as originals
from isthmus.data.rows import positions as positions
from isthmus.data.rows import subset as subset
from isthmus.data.text import encode_column
from isthmus.errors import DataError, UsageError
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

READS = ("text_a", "text")  # the columns that say which tasks it can read
ONE_CORPUS = False
FULL_VOCABULARY = False
OTHER, ENGLISH = 0, 1  # the sides
SIDES = ("own", "English")  # what they are called in one language's audit


@dataclass(frozen=True)
class Examples:
    """Sentences of both sides: ids and texts (str), sides int32, tokens, of which `keep` are read."""

    ids: Array
    sides: Array
    texts: Array
    tokens: Ragged
    keep: Array
    rows: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.rows)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Fetched rows to id, side int32, text, matches list<string>, the other language's rows first.

    Two pools (`a` the other language, `b` English, and the pairs in `gold`, which may be absent) keep their ids, with
    a prefix where both sides use the same one; aligned rows (text_a, text_b) become `a-<id>` and `b-<id>`, each
    other's match. The texts of aligned rows are stripped, those of pools are not: mining tells them apart by it.

    Raises:
        DataError: a text is empty, an id is null or comes twice on a side, a pair names a sentence that is not there.
    """
    return _aligned(tables[""], where) if "" in tables else _pools(tables, where)


def _aligned(table: pa.Table, where: str) -> pa.Table:
    ids = _ids(table, "id", where)
    mine, english = [f"a-{name}" for name in ids], [f"b-{name}" for name in ids]
    texts = [_texts(table, name, where) for name in ("text_a", "text_b")]
    matches = [[name] for name in english] + [[name] for name in mine]
    return _canonical(mine, english, [text.strip() for side in texts for text in side], matches)


def _pools(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    names = {side: _ids(tables[side], "id", f"{where}, pool {side}") for side in ("a", "b")}
    texts = [text for side in names for text in _texts(tables[side], "text", f"{where}, pool {side}")]
    collide = not set(names["a"]).isdisjoint(names["b"])
    ours = {
        side: {name: f"{side}-{name}" if collide else name for name in names[side]} for side in ("a", "b")
    }
    found: dict[str, dict[str, None]] = {name: {} for side in ours.values() for name in side.values()}
    for a, b in _pairs(tables, ours, where):
        found[a][b] = None
        found[b][a] = None
    return _canonical(
        list(ours["a"].values()), list(ours["b"].values()), texts, list(map(list, found.values()))
    )


def _pairs(
    tables: Mapping[str, pa.Table], ours: Mapping[str, Mapping[str, str]], where: str
) -> list[tuple[str, str]]:
    if "gold" not in tables:
        return []
    columns = [tables["gold"].column(name).cast(pa.string()).to_pylist() for name in ("id_a", "id_b")]
    for side, names in zip(ours, columns, strict=True):
        refuse(
            f"{where}, gold",
            (
                (row, f"names the sentence {name!r}, which pool {side} does not have")
                for row, name in enumerate(names)
                if name not in ours[side]
            ),
            "Correct the sources of the pools in the task's YAML, or the data.",
        )
    return [(ours["a"][a], ours["b"][b]) for a, b in zip(*columns, strict=True)]


def _ids(table: pa.Table, column: str, where: str) -> list[str]:
    ids: list[str | None] = table.column(column).cast(pa.string()).to_pylist()
    if not ids:
        raise DataError(f"{where} has no rows. Correct the task's YAML (config, split) or the data.")
    refuse(where, _bad_ids(ids), "Mend the data, or choose another id column.")
    return [name for name in ids if name is not None]


def _bad_ids(ids: Sequence[str | None]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for row, name in enumerate(ids):
        if name is None:
            yield row, "has no id (a null)"
        elif name in seen:
            yield row, f"has the id {name!r}, which an earlier row has"
        else:
            seen.add(name)


def _texts(table: pa.Table, column: str, where: str) -> list[str]:
    texts: list[str | None] = table.column(column).cast(pa.string()).to_pylist()
    refuse(
        where,
        (
            (row, f"has an empty {column}")
            for row, text in enumerate(texts)
            if text is None or not text.strip()
        ),
        "Mend the data or leave the row out.",
        table.column("id").to_pylist(),
    )
    return [text for text in texts if text is not None]


def _canonical(
    mine: Sequence[str], english: Sequence[str], texts: Sequence[str], matches: Sequence[Sequence[str]]
) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([*mine, *english], pa.string()),
            "side": pa.array([OTHER] * len(mine) + [ENGLISH] * len(english), pa.int32()),
            "text": pa.array(texts, pa.string()),
            "matches": pa.array(matches, pa.list_(pa.string())),
        }
    )


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns to id, side, text (mining asks whether two texts are the same) and ids."""
    kept = table.select(["id", "side", "text"])
    return kept.append_column("ids", encode_column(tokenizer, table, "text"))


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables as arrays, cut to `recipe.max_length`."""
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    tokens = ragged.from_column(table.column("ids"))
    return Examples(
        ids=table.column("id").to_numpy(zero_copy_only=False),
        sides=table.column("side").to_numpy(),
        texts=table.column("text").to_numpy(zero_copy_only=False),
        tokens=tokens,
        keep=np.minimum(tokens.lengths, recipe.max_length - 2),
        rows=np.arange(len(table)),
        specials=specials,
    )


def usable(examples: Examples) -> Array:
    """Every sentence."""
    return np.arange(len(examples))


def epoch(examples: Examples, recipe: Recipe, number: int, *names: int | str) -> list[Array]:
    """Not to be had.

    Raises:
        UsageError: always; `names` end with the task.
    """
    _refuse(str(names[-1]) if names else "This task")


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every sentence in order, with its tokens after cutting, special tokens included."""
    return np.arange(len(examples)), examples.keep[examples.rows] + 2


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some rows: input_ids and attention_mask [B, T]; `normalised` [B], whether states are before they are
    averaged (`recipe.pool`).
    """
    layouts = [_layout(examples, row) for row in examples.rows[rows]]
    input_ids, attention_mask = pad(layouts, examples.specials.pad)
    normalised = np.full(len(rows), recipe.pool == "normalised")
    return {"input_ids": input_ids, "attention_mask": attention_mask, "normalised": normalised}


def _layout(examples: Examples, row: int) -> list[Any]:
    kept = examples.tokens[row][: examples.keep[row]]
    return [[examples.specials.bos], kept, [examples.specials.eos]]


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """A module that does nothing and has no parameters: the encoder's states are the answer."""
    from torch import nn

    return nn.Identity()


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Not to be had.

    Raises:
        UsageError: always.
    """
    _refuse("This task")


def _refuse(name: str) -> NoReturn:
    raise UsageError(
        f"{name} looks sentences up by the encoder's own vectors and has nothing to train on. Take it out of the arms; "
        "it can be a target."
    )


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """vectors float32 [B, L + 1, H]: the mean state of a sentence's tokens, `<s>` and `</s>` included, of the
    embeddings (0) and every layer (1 to L).
    """
    import torch

    from isthmus.model.encoder import all_hidden_states

    mask_BT1 = batch["attention_mask"].to(batch["input_ids"].device).unsqueeze(-1)
    tokens_B1 = mask_BT1.sum(1)
    normalise = bool(batch["normalised"].all())
    layers = [
        states.masked_fill(mask_BT1 == 0, 0).float().sum(1) / tokens_B1
        for states in all_hidden_states(encoder, batch, normalise)
    ]
    return {"vectors": torch.stack(layers, 1).cpu().numpy()}


def predictions(examples: Examples, outputs: Mapping[str, Array], description: Mapping[str, Any]) -> pa.Table:
    """id, layer int32, candidate, score float32, layer by layer.

    `nearest`: every English sentence in order, the nearest of the other side, their cosine. `margin`: mined pairs, best
    first: the id of the other language's sentence, the English candidate, the ratio margin; no threshold is applied.

    Raises:
        UsageError: the task's way of retrieval is neither.
        DataError: a side has no sentence.
    """
    find = RETRIEVALS.get(description["retrieval"])
    if find is None:
        raise UsageError(
            f"There is no retrieval {description['retrieval']!r}; there are {', '.join(RETRIEVALS)}. Correct "
            "`retrieval` in the task's YAML."
        )
    sides = [np.flatnonzero(examples.sides[examples.rows] == side) for side in (OTHER, ENGLISH)]
    if not all(map(len, sides)):
        raise DataError(
            f"The data have {len(sides[OTHER])} sentences of one side and {len(sides[ENGLISH])} English ones."
        )
    return find(examples, outputs["vectors"], *sides)


def _nearest(examples: Examples, vectors: Array, other: Array, english: Array) -> pa.Table:
    parts = []
    for layer in range(vectors.shape[1]):
        found = mining.nearest(vectors[english, layer], vectors[other, layer])
        parts.append(_rows(examples, layer, english, other[found.places[:, 0]], found.cosines[:, 0]))
    return pa.concat_tables(parts).combine_chunks()


def _margin(examples: Examples, vectors: Array, other: Array, english: Array) -> pa.Table:
    """Equal texts are one sentence, with its last row's vector. Texts equal but for blanks at their ends have no id
    to be told by, and a pair with one is taken but not said (as XTREME's scripts have it).
    """
    from isthmus.model.device import place

    pools = [_distinct(examples, side) for side in (other, english)]
    (first, named_first), (second, named_second) = pools
    parts = []
    for layer in range(vectors.shape[1]):
        ours, theirs = _scaled(vectors, first, layer), _scaled(vectors, second, layer)
        pairs = mining.mine(ours, theirs, device=place(), scaled=True)
        said = named_first[pairs.first] & named_second[pairs.second]
        places = first[pairs.first[said]], second[pairs.second[said]]
        parts.append(_rows(examples, layer, *places, pairs.scores[said]))
    return pa.concat_tables(parts).combine_chunks()


def _scaled(vectors: Array, rows: Array, layer: int) -> Array:
    """Some rows' vectors of a layer, at length 1. The copy is scaled in place: BUCC's of a side may have 1.6 GB."""
    chosen = vectors[rows, layer]
    return mining.unit(chosen, chosen)


def _distinct(examples: Examples, side: Array) -> tuple[Array, Array]:
    """The last position of each distinct text of a side, and whether the text has one row alone."""
    texts = examples.texts[examples.rows[side]].tolist()
    last = dict(zip(texts, side.tolist(), strict=True))
    rows = Counter(text.strip() for text in texts)
    return np.array(list(last.values())), np.array([rows[text.strip()] == 1 for text in last])


def _rows(examples: Examples, layer: int, asked: Array, found: Array, scores: Array) -> pa.Table:
    names = identifiers(examples)
    return pa.table(
        {
            "id": pa.array(names[asked], pa.string()),
            "layer": pa.array(np.full(len(asked), layer, np.int32)),
            "candidate": pa.array(names[found], pa.string()),
            "score": pa.array(scores, pa.float32()),
        }
    )


RETRIEVALS: Mapping[str, Callable[[Examples, Array, Array, Array], pa.Table]] = {
    "nearest": _nearest,
    "margin": _margin,
}


def score(examples: Examples, outputs: Mapping[str, Array]) -> float:
    """Not to be had: there is no checkpoint to choose.

    Raises:
        UsageError: always.
    """
    _refuse("This task")


def collapsed(examples: Examples, outputs: Mapping[str, Array]) -> bool:
    """Never said: no answer is trained."""
    return False
