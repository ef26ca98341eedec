"""The family of tagging: one label for every word of a sentence, read off the word's first piece.

Words are tokenised one by one, so each begins with the tokenizer's space also where the language writes none. A
sentence that is too long for the encoder is cut between words into segments, and their tags are joined again: no
word is ever lost (google-research/xtreme, utils_preprocess.py, does the same).

torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data import ragged
from isthmus.data.batch import Array, Specials, Tables, pad, part_with_cells
from isthmus.data.faults import refuse
from isthmus.data.ragged import Ragged
from isthmus.data.rows import epoch as epoch
from isthmus.data.rows import positions as positions
from isthmus.data.text import encode_column
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

READS = ("tokens",)  # the columns that say which tasks it can read
ONE_CORPUS = False  # each task has its own labels, so its own head and its own batches
FULL_VOCABULARY = False
NO_GOLD = -1
LEFT_OUT = -100  # the label of a word without gold: the mark that torch leaves out

# Treebanks write some numbers with spaces inside a word, and Persian joins parts of one with U+200C. XTREME removes
# both, so that a word is one word to the tokenizer.
REMOVED = str.maketrans("", "", " \u200c")
UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Examples:
    """Segments: segment s has the words start[s] to stop[s] of all words, and is part of sentence[s].

    `words` holds the pieces of each word, none without any and none longer than the room; `tags` int64, -1 = no gold.
    """

    ids: Array
    words: Ragged
    tags: Array
    sentence: Array
    start: Array
    stop: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.sentence)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Rows of id, tokens and tags; tags that are absent or null are -1, no gold.

    Raises:
        DataError: a sentence has no words, a word is null, or words and tags are not equally many.
    """
    table = tables[""]
    tokens = table.column("tokens").to_pylist()
    given = table.column("tags").to_pylist() if "tags" in table.column_names else [None] * len(tokens)
    faults = ((row, _problem(*pair)) for row, pair in enumerate(zip(tokens, given, strict=True)))
    refuse(
        where,
        ((row, text) for row, text in faults if text),
        "Every sentence needs words and every word one tag: mend the data, leave the row out, or name other columns in "
        "the task's YAML.",
        table.column("id").to_pylist(),
    )
    tags = [
        [NO_GOLD] * len(words)
        if labels is None
        else [NO_GOLD if label is None else label for label in labels]
        for words, labels in zip(tokens, given, strict=True)
    ]
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "tokens": pa.array(tokens, pa.list_(pa.string())),
            "tags": pa.array(tags, pa.list_(pa.int32())),
        }
    )


def _problem(words: Sequence[str | None] | None, tags: Sequence[int | None] | None) -> str:
    if not words:
        return "has no words"
    if None in words:
        return "has a word that is null"
    if tags is not None and len(tags) != len(words):
        return f"has {len(words)} words and {len(tags)} tags"
    return ""


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns (id, tokens, tags) to id, ids (the pieces of all words), lengths (of each word) and tags.

    A word that the tokenizer makes nothing of is one <unk>.
    """
    sentences = table.column("tokens").to_pylist()
    cleaned = [word.translate(REMOVED) for words in sentences for word in words]
    place = {word: number for number, word in enumerate(dict.fromkeys(cleaned))}
    known = ragged.from_column(pa.chunked_array([_pieces(tokenizer, list(place))]))
    which = np.fromiter((place[word] for word in cleaned), np.int64, len(cleaned))
    words = _take(known, which)
    ends = np.cumsum([0, *map(len, sentences)])
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "ids": ragged.to_column(Ragged(words.flat, words.offsets[ends])),
            "lengths": ragged.to_column(Ragged(words.lengths.astype(np.int32), ends)),
            "tags": table.column("tags").cast(ragged.IDS_TYPE),
        }
    )


def _pieces(tokenizer: "Tokenizer", words: Sequence[str]) -> pa.Array:
    unknown = [tokenizer.token_to_id(UNKNOWN) or 0]
    rows = encode_column(tokenizer, pa.table({"word": pa.array(words, pa.string())}), "word").to_pylist()
    return pa.array([row or unknown for row in rows], ragged.IDS_TYPE)


def _take(rows: Ragged, which: Array) -> Ragged:
    """Row which[0], row which[1] and so on."""
    lengths = rows.lengths[which]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    inside = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Ragged(rows.flat[np.repeat(rows.offsets[which], lengths) + inside], offsets)


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables of one or more languages as segments of at most `recipe.max_length` - 2 pieces.

    A word that is longer than that by itself becomes <unk>.
    """
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    room = recipe.max_length - 2
    lengths = ragged.from_column(table.column("lengths"))
    words = _shortened(
        ragged.from_column(table.column("ids")).flat, lengths.flat.astype(np.int64), room, specials.unk
    )
    sentence, start, stop = _segments(words.offsets, lengths.offsets, room)
    return Examples(
        ids=table.column("id").to_numpy(zero_copy_only=False),
        words=words,
        tags=ragged.from_column(table.column("tags")).flat.astype(np.int64),
        sentence=sentence,
        start=start,
        stop=stop,
        specials=specials,
    )


def _shortened(flat: Array, lengths: Array, room: int, unk: int) -> Ragged:
    """The words, those longer than the room as one `unk`."""
    long = lengths > room
    starts = np.cumsum(lengths) - lengths
    kept = np.repeat(~long, lengths)
    kept[starts[long]] = True
    flat = flat.copy()
    flat[starts[long]] = unk
    return Ragged(flat[kept], np.concatenate([[0], np.cumsum(np.where(long, 1, lengths))]))


def _segments(pieces: Array, sentences: Array, room: int) -> tuple[Array, Array, Array]:
    """Cut sentences into runs of words that fit the room, each as long as it can be.

    `pieces` [words + 1] and `sentences` [sentences + 1] are offsets. Returns sentence, first word and the word after
    the last of each segment, in order.
    """
    sizes = pieces[sentences[1:]] - pieces[sentences[:-1]]
    sentence, start, stop = [], [], []
    for number, (first, end, size) in enumerate(
        zip(sentences[:-1].tolist(), sentences[1:].tolist(), sizes.tolist(), strict=True)
    ):
        while first < end:
            last = end
            if size > room:
                fitting = int(np.searchsorted(pieces, pieces[first] + room, side="right")) - 1
                last = min(end, max(fitting, first + 1))
            sentence.append(number)
            start.append(first)
            stop.append(last)
            first = last
    return np.array(sentence, np.int64), np.array(start, np.int64), np.array(stop, np.int64)


def usable(examples: Examples) -> Array:
    """The segments in which at least one word has a gold tag."""
    counts = np.concatenate([[0], np.cumsum(examples.tags != NO_GOLD)])
    return np.flatnonzero(counts[examples.stop] > counts[examples.start])


def subset(examples: Examples, chosen: Array) -> Examples:
    """The chosen segments only."""
    return replace(
        examples,
        sentence=examples.sentence[chosen],
        start=examples.start[chosen],
        stop=examples.stop[chosen],
    )


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every segment in order, with its tokens, special tokens included."""
    offsets = examples.words.offsets
    return np.arange(len(examples)), offsets[examples.stop] - offsets[examples.start] + 2


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some segments: input_ids and attention_mask [B, T]; for their W words `words`, the places in the
    flattened [B * T] where they begin, and `labels`, their tags, -100 where there is no gold. All int64.
    """
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    offsets = examples.words.offsets
    spans = [(examples.start[row], examples.stop[row]) for row in rows]
    parts: list[list[Any]] = [
        [bos, examples.words.flat[offsets[start] : offsets[stop]], eos] for start, stop in spans
    ]
    input_ids, attention_mask = pad(parts, examples.specials.pad)
    width = input_ids.shape[1]
    begins = [
        place * width + 1 + offsets[start:stop] - offsets[start] for place, (start, stop) in enumerate(spans)
    ]
    tags = np.concatenate([examples.tags[start:stop] for start, stop in spans])
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "words": np.concatenate(begins).astype(np.int64),
        "labels": np.where(tags == NO_GOLD, LEFT_OUT, tags).astype(np.int64),
    }


def part(batch: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
    """The segments of a batch from start to before stop, with their words."""
    return part_with_cells(batch, start, stop, "words", "labels")


def weight(batch: Mapping[str, Array]) -> int:
    """The words that have a gold tag."""
    return int(np.count_nonzero(batch["labels"] != LEFT_OUT))


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """XLM-R's token classification head with one output per label of the task."""
    from isthmus.model.heads import TokenHead

    return TokenHead(config, len(task["labels"]))


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """Mean cross-entropy over the words that have a gold tag."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(_logits(encoder, head, batch).float(), batch["labels"], ignore_index=LEFT_OUT)


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, list[Array]]:
    """prediction: for each of the B segments its words' best labels, int32 [words]."""
    best = _logits(encoder, head, batch).argmax(-1).cpu().numpy().astype(np.int32)
    rows, width = batch["input_ids"].shape
    ends = np.searchsorted(batch["words"].cpu().numpy(), np.arange(1, rows) * width)
    return {"prediction": np.split(best, ends)}


def _logits(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """[W, L]: of the pieces that words begin with, which alone are read."""
    from isthmus.model.encoder import states_at

    logits: torch.Tensor = head(states_at(encoder, batch, batch["words"]))
    return logits


def originals(examples: Examples) -> Array:
    """The row of the dataset that each example is a part of."""
    return examples.sentence


def identifiers(examples: Examples) -> Array:
    """The id of each segment's sentence, as text."""
    return examples.ids[examples.sentence]


def predictions(
    examples: Examples, outputs: Mapping[str, Sequence[Array]], form: Mapping[str, Any]
) -> pa.Table:
    """id and prediction, list<int32>: the tags of each sentence, its segments joined, one for every word."""
    segments = [np.asarray(tags, np.int32) for tags in outputs["prediction"]]
    present, first = np.unique(examples.sentence, return_index=True)
    words = np.add.reduceat([len(tags) for tags in segments], first)
    return pa.table(
        {
            "id": pa.array(examples.ids[present], pa.string()),
            "prediction": ragged.to_column(
                Ragged(np.concatenate(segments), np.concatenate([[0], np.cumsum(words)]))
            ),
        }
    )


def score(examples: Examples, outputs: Mapping[str, Sequence[Array]]) -> float:
    """The share of the words with a gold tag that get it, 0 to 1."""
    gold = _gold(examples)
    return float(np.mean(np.concatenate(outputs["prediction"])[gold != NO_GOLD] == gold[gold != NO_GOLD]))


def collapsed(examples: Examples, outputs: Mapping[str, Sequence[Array]]) -> bool:
    """Whether every word gets one and the same tag although their gold tags differ."""
    gold = _gold(examples)
    return (
        len(np.unique(gold[gold != NO_GOLD])) > 1
        and len(np.unique(np.concatenate(outputs["prediction"]))) == 1
    )


def _gold(examples: Examples) -> Array:
    """The gold tags of the segments' words, one after another."""
    parts = [examples.tags[a:b] for a, b in zip(examples.start, examples.stop, strict=True)]
    return np.concatenate(parts)
