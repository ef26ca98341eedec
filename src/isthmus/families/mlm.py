"""The family of text without labels: masked pieces are to be told from their company (masked language modelling).

Pre-training from scratch and co-training in a mixture are both this family. Three things carry languages over to
each other: one vocabulary; `pairs`, documents shown together with their translation (TLM, Conneau & Lample 2019);
and `code_switch`, pieces replaced by a translation taken from the parallel rows themselves.

torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data import ragged, switch
from isthmus.data.batch import Array, Specials, Tables, by_count, by_tokens, pad, part_with_cells, truncated
from isthmus.data.ragged import Ragged
from isthmus.data.seeds import stream
from isthmus.data.text import encode_column
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

# Of the masked pieces, BERT shows 80 % as <mask>, 10 % as a random piece and 10 % as they are.
SHOWN_AS_MASK, SHOWN_AS_RANDOM = 0.8, 0.1

READS = ("text",)  # the columns that say which tasks it can read
# All text of a run is one corpus with one head, however many tasks it comes from: its languages are sampled together,
# and the monolingual rows share the lexicon of the parallel ones.
ONE_CORPUS = True
# The output matrix is the embedding: every row of it is a wrong answer to every masked piece.
FULL_VOCABULARY = True

ROW = np.dtype([("window", np.int64), ("paired", np.bool_), ("swapped", np.bool_)])


@dataclass(frozen=True)
class Examples:
    """Windows of documents: window w is text[document[w]][start[w]:stop[w]].

    `pair` holds each document's translation (empty if none), `language` its index in `languages`.
    """

    text: Ragged
    pair: Ragged
    languages: tuple[str, ...]
    language: Array
    document: Array
    start: Array
    stop: Array
    lexicon: switch.Lexicon | None
    ordinary: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.document)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Columns id, text and pair as they are; a task may lack pair."""
    return tables[""]


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns (text; pair, which may be null or absent) to ids, pair or null."""
    return pa.table(
        {
            "ids": encode_column(tokenizer, table, "text"),
            "pair": encode_column(tokenizer, table, "pair"),
        }
    )


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables cut into windows of `recipe.max_length`; nothing of a long document is lost."""
    languages = tuple(dict.fromkeys(name for name, _ in tables))
    text = ragged.concatenate([ragged.from_column(table.column("ids")) for _, table in tables])
    pair = ragged.concatenate([ragged.from_column(table.column("pair")) for _, table in tables])
    language = np.repeat([languages.index(name) for name, _ in tables], [len(table) for _, table in tables])
    width = recipe.max_length - 2
    windows = -(-text.lengths // width)  # an empty document has none
    document = np.repeat(np.arange(len(text)), windows)
    first = np.repeat(np.cumsum(windows) - windows, windows)
    start = (np.arange(len(document)) - first) * width
    return Examples(
        text=text,
        pair=pair,
        languages=languages,
        language=language,
        document=document,
        start=start,
        stop=np.minimum(start + width, text.lengths[document]),
        lexicon=switch.induce(text, pair, language, len(languages), specials.rows)
        if recipe.code_switch
        else None,
        ordinary=specials.ordinary,
        specials=specials,
    )


def usable(examples: Examples) -> Array:
    """All windows: the text is its own answer."""
    return np.arange(len(examples))


def subset(examples: Examples, chosen: Array) -> Examples:
    """The chosen windows only."""
    return replace(
        examples,
        document=examples.document[chosen],
        start=examples.start[chosen],
        stop=examples.stop[chosen],
    )


def epoch(examples: Examples, recipe: Recipe, number: int, *names: int | str) -> list[Array]:
    """As many windows as there are, languages sampled with `recipe.language_exponent`; each with or without its
    translation. Batches of `recipe.tokens_per_batch` padded tokens, or of `recipe.batch_size` windows.
    """
    windows = sample_languages(examples.language[examples.document], recipe.language_exponent, number, *names)
    drawn = np.zeros(len(windows), dtype=ROW)
    draws = stream(*names, "pairs", number).random((len(windows), 2))
    drawn["window"] = windows
    drawn["paired"] = _pairable(examples)[windows] & (draws[:, 0] < recipe.pairs)
    drawn["swapped"] = draws[:, 1] < 0.5
    if recipe.tokens_per_batch is None:
        return by_count(drawn, recipe.batch_size)
    lengths = _lengths(examples, drawn, recipe.max_length)
    return [drawn[rows] for rows in by_tokens(lengths, recipe.tokens_per_batch, *names, number)]


def sample_languages(language: Array, exponent: float, number: int, *names: int | str) -> Array:
    """Epoch `number`: indices into `language` [examples], shuffled, as many as there are examples.

    A language with the share p of the examples gets p^exponent / sum of these (Conneau & Lample 2019, section
    3.1). It gives its examples in shuffled rounds, each example once per round, and the next epoch goes on where
    this one ends.
    """
    present, counts = np.unique(language, return_counts=True)
    weights = (counts / counts.sum()) ** exponent
    ends = np.rint(np.cumsum(weights / weights.sum()) * len(language)).astype(np.int64)
    quotas = np.diff(ends, prepend=0)
    drawn = []
    for index, count, quota in zip(present.tolist(), counts.tolist(), quotas.tolist(), strict=True):
        members = np.flatnonzero(language == index)
        begin, end = number * quota, (number + 1) * quota
        rounds = range(begin // count, -(-end // count))
        orders = [members[stream(*names, "language", index, n).permutation(count)] for n in rounds]
        if orders:
            drawn.append(np.concatenate(orders)[begin - rounds.start * count :][:quota])
    order: Array = stream(*names, "order", number).permutation(np.concatenate(drawn))
    return order


def _pairable(examples: Examples) -> Array:
    pairable: Array = (examples.start == 0) & (examples.pair.lengths[examples.document] > 0)
    return pairable


def _lengths(examples: Examples, drawn: Array, max_length: int) -> Array:
    document = examples.document[drawn["window"]]
    alone = (examples.stop - examples.start)[drawn["window"]] + 2
    together = examples.text.lengths[document] + examples.pair.lengths[document] + 4
    lengths: Array = np.where(drawn["paired"], np.minimum(together, max_length), alone)
    return lengths


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every window in order, without translations, with its tokens (special tokens included)."""
    drawn = np.zeros(len(examples), dtype=ROW)
    drawn["window"] = np.arange(len(examples))
    return drawn, examples.stop - examples.start + 2


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some windows: input_ids and attention_mask [B, T]; for the M masked pieces `masked`, their
    positions in the flattened [B * T], and `targets`, the pieces that stood there.
    """
    random = stream(*names, "mask")
    parts = [_layout(examples, row, recipe.max_length) for row in rows]
    ids, attention_mask = pad(parts, examples.specials.pad)
    special = np.isin(ids, [examples.specials.bos, examples.specials.eos, examples.specials.pad])
    context = ids
    if examples.lexicon is not None:
        languages = examples.language[examples.document[rows["window"]]]
        sides = _foreign_side(ids, rows, examples.specials.eos)
        context = examples.lexicon.switch(ids, languages, sides, recipe.code_switch, random)
    shown, masked = mask(
        context, special, recipe.mask_rate, examples.specials.mask, examples.ordinary, random
    )
    return {
        "input_ids": shown,
        "attention_mask": attention_mask,
        "masked": masked,
        "targets": ids.reshape(-1)[masked],
    }


def _layout(examples: Examples, row: Any, max_length: int) -> list[Any]:
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    window = row["window"]
    document = examples.document[window]
    text = examples.text[document]
    if not row["paired"]:
        return [bos, text[examples.start[window] : examples.stop[window]], eos]
    sides = [text, examples.pair[document]]
    if row["swapped"]:
        sides.reverse()
    first, second = sides
    keep, keep_second = truncated(np.array(len(first)), np.array(len(second)), max_length - 4)
    return [bos, first[: int(keep)], eos, eos, second[: int(keep_second)], eos]


def _foreign_side(ids: Array, rows: Array, eos: int) -> Array:
    """Which positions [B, T] hold the document's own language; the others hold its translation."""
    after_first = np.cumsum(ids == eos, axis=1) > 0
    own_is_first = ~(rows["paired"] & rows["swapped"])
    own: Array = after_first != own_is_first[:, None]
    return own


def mask(
    ids: Array, special: Array, rate: float, mask_id: int, ordinary: Array, random: np.random.Generator
) -> tuple[Array, Array]:
    """Choose each piece that is not `special` with probability `rate` (at least one in the batch).

    Returns what the encoder is shown [B, T] and the flat positions [M] of the chosen pieces.
    """
    draws = np.where(special, 2.0, random.random(ids.shape)).reshape(-1)
    masked = np.flatnonzero(draws < rate)
    if not len(masked):
        masked = np.array([draws.argmin()])
    fate = random.random(len(masked))
    shown = ids.copy().reshape(-1)
    shown[masked[fate < SHOWN_AS_MASK]] = mask_id
    at_random = masked[(fate >= SHOWN_AS_MASK) & (fate < SHOWN_AS_MASK + SHOWN_AS_RANDOM)]
    shown[at_random] = random.choice(ordinary, len(at_random))
    return shown.reshape(ids.shape), masked


def part(batch: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
    """The windows of a batch from start to before stop, with their masked pieces."""
    return part_with_cells(batch, start, stop, "masked", "targets")


def weight(batch: Mapping[str, Array]) -> int:
    """The masked pieces."""
    return len(batch["masked"])


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """XLM-R's language-model head; its output matrix is the encoder's own embedding."""
    from isthmus.model.heads import LanguageModelHead

    return LanguageModelHead(config)


def inherit(head: "torch.nn.Module", parent: Path) -> bool:
    """Go on with the language-model head of the parent, where it has one: unlike a task's head it belongs to the encoder,
    and a fresh one would spoil it before it has learnt.
    """
    from isthmus.model.heads import inherited

    found = inherited(parent, "mlm", head.state_dict().keys())
    if found:
        head.load_state_dict(found)
    return bool(found)


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Mean cross-entropy over the masked pieces."""
    return _losses(encoder, head, batch).mean()


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """loss float32 [B], summed over the masked pieces of each window, and their number, masked int32 [B]."""
    row = (batch["masked"] // batch["input_ids"].shape[1]).cpu().numpy()
    size = batch["input_ids"].shape[0]
    losses = _losses(encoder, head, batch).float().cpu().numpy()
    return {
        "loss": np.bincount(row, losses, minlength=size).astype(np.float32),
        "masked": np.bincount(row, minlength=size).astype(np.int32),
    }


def _losses(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Cross-entropy [M]. States and logits are made at the masked positions alone: the vocabulary is large."""
    from torch.nn.functional import cross_entropy

    from isthmus.model.encoder import states_at

    hidden = states_at(encoder, batch, batch["masked"])
    logits = head(hidden, encoder.get_input_embeddings().weight)
    return cross_entropy(logits.float(), batch["targets"], reduction="none")


def predictions(examples: Examples, outputs: Mapping[str, Array], form: Mapping[str, Any]) -> pa.Table:
    """Columns id (of the window's document), loss and masked."""
    return pa.table({"id": pa.array(identifiers(examples), pa.string()), **outputs})


def positions(rows: Array) -> Array:
    """The positions in the examples of some rows."""
    windows: Array = rows["window"]
    return windows


def originals(examples: Examples) -> Array:
    """The row of the dataset that each example is a window of."""
    return examples.document


def identifiers(examples: Examples) -> Array:
    """The number of each window's document, as text."""
    return examples.document.astype(str)


def score(examples: Examples, outputs: Mapping[str, Array]) -> float:
    """The geometric mean of the probability given to a masked piece: exp(-loss), 0 to 1."""
    return float(np.exp(-outputs["loss"].sum(dtype=np.float64) / outputs["masked"].sum()))


def collapsed(examples: Examples, outputs: Mapping[str, Array]) -> bool:
    """Never said of a language model."""
    return False
