"""Chunks: F1 of runs of words that are tagged as one, as seqeval 0.0.12 reads them.

XTREME scores both kinds of tagging with it (google-research/xtreme, third_party/utils_tag.py, seqeval not pinned;
its own mock test expects what 0.0.12 gives). A tag is read as a prefix, its first letter, and a type, what follows
its last hyphen. So of `B-LOC` the type is LOC, and a tag without a hyphen is its own type: equal neighbours merge
into one chunk, except where the first letter is S, which means a chunk of one word. A chunk counts as right if its
words and type are those of a gold chunk. The values depend on this version: later ones cut a bare tag's first letter.

Words without gold are left out of both sides before chunks are made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.errors import DataError
from isthmus.evaluate.join import align, column
from isthmus.evaluate.metrics import Scored, bootstrap_interval
from isthmus.evaluate.statistics import Floats

SCORES = "tags"
NAMES = ("f1", "precision", "recall", "token_accuracy")
PARTS = ("true_chunks", "predicted_chunks", "gold_chunks", "correct_words", "words")
UNLABELLED = -1
NO_CHUNK = -1
BEGIN, INSIDE, END, SINGLE, OUTSIDE = (
    "BIESO"  # the prefixes that mean something; any other letter is a plain one
)
LAST = (END, SINGLE)
NOTHING = (OUTSIDE, ".")

Tags = NDArray[np.int64]
Flags = NDArray[np.bool_]


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """Counts of every sentence of `spec["split"]` that has a word with gold; `spec["labels"]` are the tags' names.

    The floor is the best of giving every word one and the same tag.

    Raises:
        DataError: the sentences are not the same, one has more or fewer tags than words, or a tag is no label.
    """
    split, labels = spec["split"], spec["labels"]
    where = f"{spec['target']}/{spec['language']} {split}"
    order = align(gold[split], predicted[split], where)
    names = column(gold[split], "id", f"The gold of {where}")
    tags = column(gold[split], "tags", f"The gold of {where}")
    given = column(predicted[split], "prediction", f"The prediction of {where}")
    pairs = [
        _labelled(name, tags[row], given[place], len(labels), where)
        for row, (name, place) in enumerate(zip(names, order.tolist(), strict=True))
    ]
    kept = [row for row, (mine, _) in enumerate(pairs) if len(mine)]
    if not kept:
        return Scored([], np.zeros((0, len(PARTS))), None, len(names))
    gold_tags, theirs = ([pairs[row][side] for row in kept] for side in range(2))
    return Scored(
        [names[row] for row in kept],
        counts(gold_tags, theirs, labels),
        floor(gold_tags, labels),
        len(names),
    )


def _labelled(
    name: str, gold: Sequence[int], predicted: Sequence[int], labels: int, where: str
) -> tuple[Tags, Tags]:
    """A sentence's gold and predicted tags at the words that have gold."""
    if len(gold) != len(predicted):
        raise DataError(
            f"{where}: sentence {name} has {len(gold)} words and {len(predicted)} predicted tags. Every word needs one: "
            "delete the prediction's artifact and predict again."
        )
    mine, theirs = np.array(gold, np.int64), np.array(predicted, np.int64)
    present = mine != UNLABELLED
    mine, theirs = mine[present], theirs[present]
    for tags, what in ((mine, "gold"), (theirs, "predicted")):
        if len(tags) and not (tags.min() >= 0 and tags.max() < labels):
            raise DataError(
                f"{where}: sentence {name} has {what} tags that are none of the {labels} labels, which have the "
                f"numbers 0 to {labels - 1}. Correct `labels` in the task's YAML, or make the file again."
            )
    return mine, theirs


class Reader:
    """Sequences of tags as seqeval reads them. Tags are indices into the labels; `gap`, one more, is the "O" that it
    puts after each sentence, so that no chunk goes on into the next.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        names = [*labels, OUTSIDE]
        types = [name.rsplit("-", 1)[-1] for name in names]
        place = {kind: number for number, kind in enumerate(dict.fromkeys(types))}
        self.gap = len(labels)
        self.types = np.array([place[kind] for kind in types], np.int64)
        pairs = [
            [(a[0], s, b[0], t) for b, t in zip(names, types, strict=True)]
            for a, s in zip(names, types, strict=True)
        ]
        self.ends = np.array([[_ends(*pair) for pair in row] for row in pairs])
        self.starts = np.array([[_starts(*pair) for pair in row] for row in pairs])

    def flat(self, sentences: Sequence[Tags]) -> Tags:
        """The sentences one after another, each with a gap behind it."""
        gap = np.array([self.gap], np.int64)
        return np.concatenate([part for tags in sentences for part in (tags, gap)])

    def chunks(self, tags: Tags) -> Tags:
        """Per position of a flat sequence a number for the chunk that ends before it, or -1.

        Two sequences have the same number there if the chunk has the same first word and type.
        """
        before = np.concatenate([[self.gap], tags[:-1]])
        begins = np.where(self.starts[before, tags], np.arange(len(tags)), 0)
        opened = np.concatenate([[0], np.maximum.accumulate(begins)[:-1]])
        numbers = opened * len(self.types) + self.types[before]
        return np.where(self.ends[before, tags], numbers, NO_CHUNK)


def _ends(prefix: str, kind: str, following: str, following_kind: str) -> bool:
    """Whether a chunk ends between two neighbours, given the first letters and types of both."""
    if prefix in LAST or (prefix in (BEGIN, INSIDE) and following in (BEGIN, SINGLE, OUTSIDE)):
        return True
    return prefix not in NOTHING and kind != following_kind


def _starts(prefix: str, kind: str, following: str, following_kind: str) -> bool:
    """Whether a chunk starts with the second of two neighbours."""
    if following in (BEGIN, SINGLE) or (prefix in (*LAST, OUTSIDE) and following in (END, INSIDE)):
        return True
    return following not in NOTHING and kind != following_kind


def counts(gold: Sequence[Tags], predicted: Sequence[Tags], labels: Sequence[str]) -> Floats:
    """PARTS of each sentence, [n, 5]; both sides hold equally many tags of each, indices into the labels."""
    reader = Reader(labels)
    mine, theirs = reader.flat(gold), reader.flat(predicted)
    sentence = np.repeat(np.arange(len(gold)), [len(tags) + 1 for tags in gold])
    columns = _columns(mine, reader.chunks(mine), theirs, reader)
    return np.stack([np.bincount(sentence, column, len(gold)) for column in columns], axis=1)


def _columns(mine: Tags, chunks: Tags, theirs: Tags, reader: Reader) -> list[Flags]:
    """PARTS at each position of two flat sequences; `chunks` are those of the first."""
    words = mine != reader.gap
    found = reader.chunks(theirs)
    gold = chunks != NO_CHUNK
    return [gold & (chunks == found), found != NO_CHUNK, gold, words & (mine == theirs), words]


def floor(gold: Sequence[Tags], labels: Sequence[str]) -> float:
    """F1 of the label that does best as the tag of every word."""
    reader = Reader(labels)
    mine = reader.flat(gold)
    chunks = reader.chunks(mine)
    constant = [np.where(mine == reader.gap, mine, label) for label in range(len(labels))]
    sums = [[column.sum() for column in _columns(mine, chunks, theirs, reader)] for theirs in constant]
    return float(values(np.array(sums, np.float64))["f1"].max())


def values(means: Floats) -> dict[str, Floats]:
    """Mean parts [..., 5] to F1, precision, recall of chunks and the share of words with the right tag; 0 / 0 = 0."""
    true, predicted, gold, correct, words = (means[..., part] for part in range(len(PARTS)))
    return {
        "f1": _ratio(2 * true, predicted + gold),
        "precision": _ratio(true, predicted),
        "recall": _ratio(true, gold),
        "token_accuracy": _ratio(correct, words),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    quotient: Floats = np.divide(part, whole, out=np.zeros_like(whole, np.float64), where=whole != 0)
    return quotient


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """The main metric's 95 % interval over sentences; the names seed the draws."""
    return bootstrap_interval(values, NAMES[0], parts, *names)
