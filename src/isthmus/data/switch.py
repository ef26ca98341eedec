"""A lexicon of pieces from parallel rows, and code switching with it.

IBM model 1 (Brown et al. 1993) tells what each piece of a language means in the language of the translations;
pieces of any two languages that mean the same there translate each other. No word lists are read: any parallel
text will do, and a language written without spaces is no special case.
"""

from dataclasses import dataclass

import numpy as np

from isthmus.data.batch import Array
from isthmus.data.ragged import Ragged

ITERATIONS = 5
MOST_COOCCURRENCES = 2_000_000
# A piece is linked to its likeliest translation if that is likely, stands beside it often enough and in most of its
# documents, and more often than chance would have it (which keeps articles and full stops out).
LEAST_PROBABILITY = 0.3
LEAST_COUNT = 3
LEAST_SHARE = 0.5
LEAST_LIFT = 2.0
LEAST_LIKENESS = 0.5


@dataclass(frozen=True)
class Lexicon:
    """Translations of pieces. The last of the languages is that of the translations (the pivot).

    `entry` [languages, rows of the vocabulary] gives each piece's concept in a language (-1 = none); the pieces of
    concept c in all languages are pieces[offsets[c]:offsets[c + 1]].
    """

    entry: Array
    pieces: Array
    offsets: Array

    def switch(
        self, ids: Array, languages: Array, own: Array, rate: float, random: np.random.Generator
    ) -> Array:
        """Replace pieces of ids [B, T] that have translations, each with probability `rate`, by one of them.

        `languages` [B] is each row's language; where `own` [B, T] is false the pivot's language is read.
        """
        pivot = len(self.entry) - 1
        language = np.where(own, languages[:, None], pivot)
        concept = self.entry[language, ids]
        chosen = np.flatnonzero((concept >= 0) & (random.random(ids.shape) < rate))
        concept = concept.reshape(-1)[chosen]
        sizes = self.offsets[concept + 1] - self.offsets[concept]
        picks = (random.random(len(chosen)) * sizes).astype(np.int64)
        switched = ids.copy().reshape(-1)
        switched[chosen] = self.pieces[self.offsets[concept] + picks]
        return switched.reshape(ids.shape)


def induce(text: Ragged, pair: Ragged, language: Array, languages: int, rows: int) -> Lexicon:
    """The lexicon of parallel documents: text[i] in language[i] (int [documents], below `languages`) and its
    translation pair[i] (empty = none). `rows` is the size of the vocabulary.
    """
    links = []
    for index in range(languages):
        documents = np.flatnonzero((language == index) & (pair.lengths > 0) & (text.lengths > 0))
        links.append(align(text, pair, documents, rows))
    lexicon = _gather(links, rows)
    home = pivot_language(text, pair, language, languages, rows)
    if home is not None:
        lexicon.entry[home] = lexicon.entry[-1]
    return lexicon


def pivot_language(text: Ragged, pair: Ragged, language: Array, languages: int, rows: int) -> int | None:
    """The language of the translations among the languages of the texts, if it is there.

    Nothing names it, so it is found: of the languages that have no translations, the one whose pieces are used
    as the translations use them (largest cosine of the counts, at least one half).
    """
    target = np.bincount(pair.flat, minlength=rows).astype(np.float64)
    owner = np.repeat(language, text.lengths)
    likeness = np.zeros(languages)
    for index in range(languages):
        if not (pair.lengths[language == index] > 0).any():
            own = np.bincount(text.flat[owner == index], minlength=rows).astype(np.float64)
            likeness[index] = own @ target / max(float(np.linalg.norm(own) * np.linalg.norm(target)), 1.0)
    best = int(likeness.argmax()) if languages else 0
    return best if languages and likeness[best] >= LEAST_LIKENESS else None


def align(text: Ragged, pair: Ragged, documents: Array, rows: int) -> Array:
    """Pieces of the texts with what they mean: int64 [links, 2], (piece of text, piece of pair), one row for each
    piece that is sure of its meaning. Several forms of a word may link to one piece of the translations.
    """
    left, right, group = _cooccurrences(text, pair, documents)
    if not len(left):
        return np.zeros((0, 2), dtype=np.int64)
    key, cell = np.unique(left * rows + right, return_inverse=True)
    left_of, right_of = key // rows, key % rows
    meaning = _model_1(cell, left_of, right + group * rows, rows)
    together, of_left, of_right = (
        np.bincount(cell),
        _occurrences(left, group, rows),
        _occurrences(right, group, rows),
    )
    expected = of_left[left_of] * of_right[right_of] / (group[-1] + 1)
    sure = (
        (meaning == _largest(meaning, left_of, rows))
        & (meaning >= LEAST_PROBABILITY)
        & (together >= LEAST_COUNT)
        & (together >= LEAST_SHARE * of_left[left_of])
        & (together >= LEAST_LIFT * expected)
    )
    links = np.stack([left_of[sure], right_of[sure]], axis=1)
    return links[np.unique(links[:, 0], return_index=True)[1]]


def _cooccurrences(text: Ragged, pair: Ragged, documents: Array) -> tuple[Array, Array, Array]:
    """(piece of text, piece of pair, document) of everything that stands in one document, each pair once."""
    lefts, rights, sizes = [], [], []
    total = 0
    for document in documents.tolist():
        left, right = np.unique(text[document]), np.unique(pair[document])
        lefts.append(np.repeat(left, len(right)))
        rights.append(np.tile(right, len(left)))
        sizes.append(len(left) * len(right))
        total += sizes[-1]
        if total > MOST_COOCCURRENCES:
            break
    if not sizes:
        nothing = np.zeros(0, dtype=np.int64)
        return nothing, nothing, nothing
    group = np.repeat(np.arange(len(sizes)), sizes)
    return np.concatenate(lefts).astype(np.int64), np.concatenate(rights).astype(np.int64), group


def _occurrences(piece: Array, group: Array, rows: int) -> Array:
    """The documents that hold each piece of the vocabulary, int64 [rows]."""
    return np.bincount(np.unique(group * rows + piece) % rows, minlength=rows)


def _model_1(cell: Array, source: Array, token: Array, rows: int) -> Array:
    """t(target | source) of each cell, a (target, source) pair, after rounds of expectation and maximisation.

    `cell` [cooccurrences] says which pair each one is; `source` [cells] is its source piece; `token`
    [cooccurrences] marks the target token it would explain.
    """
    _, token = np.unique(token, return_inverse=True)
    probability = np.ones(len(source))
    for _ in range(ITERATIONS):
        share = probability[cell]
        share /= np.bincount(token, share)[token]
        expected = np.bincount(cell, share)
        probability = expected / np.bincount(source, expected, minlength=rows)[source]
    return probability


def _largest(value: Array, piece: Array, rows: int) -> Array:
    """The largest value among the cells of the same piece, for each cell."""
    largest = np.zeros(rows)
    np.maximum.at(largest, piece, value)
    largest_of: Array = largest[piece]
    return largest_of


def _gather(links: list[Array], rows: int) -> Lexicon:
    """Join the links of all languages at the pivot's piece. A concept with one piece only is dropped."""
    pivots = np.concatenate([link[:, 1] for link in links])
    concepts, concept = np.unique(pivots, return_inverse=True)
    entry = np.full((len(links) + 1, rows), -1, dtype=np.int64)
    entry[-1, concepts] = np.arange(len(concepts))
    members = [np.stack([np.arange(len(concepts)), concepts], axis=1)]
    start = 0
    for index, link in enumerate(links):
        own = concept[start : start + len(link)]
        entry[index, link[:, 0]] = own
        members.append(np.stack([own, link[:, 0]], axis=1))
        start += len(link)
    member = np.unique(np.concatenate(members), axis=0)
    offsets = np.searchsorted(member[:, 0], np.arange(len(concepts) + 1))
    return Lexicon(entry, member[:, 1], offsets)
