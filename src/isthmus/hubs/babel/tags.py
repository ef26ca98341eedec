"""Tagged words: google/xtreme `udpos.*` and `PAN-X.*`, and LDC2005T13/ccgbank, the English supertags.

A sentence is one clause or two that a conjunction joins. Words are the grammar's tokens, inflected, also where the
script has no spaces; the full stop is one of them. Parts of speech and names are known to the grammar; supertags
follow from part of speech, role, voice and order. A name without a second word is a person's or an organisation's
by what it does or suffers, and a place's by its role; a quarter of the names do not occur in the training split.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from isthmus.errors import DataError
from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import Token, grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.parse import parser
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    HE,
    KIND,
    NAME_KIND,
    NAMES,
    TITLES,
    VERBS,
    Event,
    Phrase,
    Style,
    changed,
    draw_clause,
    draw_described,
    draw_style,
)

POS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
    "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
)  # fmt: skip
NER = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
TREEBANKS = {
    f"udpos.{language.name}": code for code, language in LANGUAGES.items() if code != "sw"
}  # UD has none
ROWS = {
    "udpos": {"train": 1500, "validation": 200, "test": 300},
    "panx": {"train": 2000, "validation": 200, "test": 300},
    "ccg": {"train": 1500, "validation": 200},
}
SHARES = {"train": (0.0, 0.8), "validation": (0.8, 0.88), "test": (0.88, 1.0)}  # of the meanings
UNSEEN = frozenset(name for names in NAMES.values() for name in names[2::4])  # not in PAN-X's training split
NAMED = {
    "udpos": {"agent": 0.25, "patient": 0.2, "place": 0.5},
    "panx": {"agent": 0.45, "patient": 0.4, "place": 0.7},
    "ccg": {"agent": 0.25, "patient": 0.2, "place": 0.5},
}
JOINED, PRONOUN, NEGATED, MODIFIED, ADJUNCT = 0.35, 0.15, 0.2, 0.35, 0.6
PASSIVE, FRONT, SYNONYM = 0.2, 0.25, 0.25
Sentence = tuple[tuple[Event, Style], ...]
STOP = "stop"  # the role of the full stop
Tagger = Callable[[Sequence[Token], Style], list[str]]


def draw_part(dice: Dice, name: str, split: str, style: Style) -> tuple[Event, Style]:
    """A clause whose meaning is of the split, with the link of the style."""
    low, high = SHARES[split]
    known = frozenset(NAME_KIND) - UNSEEN if (name, split) == ("panx", "train") else frozenset(NAME_KIND)
    while True:
        event = draw_clause(dice, dice.choice(VERBS), (ADJUNCT, ADJUNCT), NAMED[name], known)
        if low <= fraction("/".join((event.verb, event.agent.noun, event.patient.noun))) < high:
            break
    for side, other in (("agent", "patient"), ("patient", "agent")):
        person = KIND[getattr(event, side).noun] == "person"
        if person and getattr(event, other).noun != HE and dice.chance(PRONOUN):
            event = changed(event, side, Phrase(HE))
    event = draw_described(dice, event, MODIFIED)._replace(negated=dice.chance(NEGATED))
    return event, draw_style(dice, event, PASSIVE, FRONT, SYNONYM)._replace(link=style.link)


@lru_cache(maxsize=8)
def sentences(name: str, split: str) -> tuple[Sentence, ...]:
    """The sentences of a split, in no language."""
    dice = Dice(f"{name}/{split}")
    found = []
    for _ in range(ROWS[name][split]):
        links = ("", dice.choice(("and", "because"))) if dice.chance(JOINED) else ("",)
        found.append(tuple(draw_part(dice, name, split, Style(link=link)) for link in links))
    return tuple(found)


def pos(tokens: Sequence[Token], _: Style) -> list[str]:
    """The parts of speech of a clause."""
    return [token.upos for token in tokens]


def ner(tokens: Sequence[Token], _: Style) -> list[str]:
    """The names in a clause: B- where one begins, I- where it goes on."""
    tags = []
    before: Token | None = None
    for token in tokens:
        goes_on = before is not None and (before.concept, before.role) == (token.concept, token.role)
        kind = NAME_KIND.get(token.concept, "")
        tags.append(f"{'I' if goes_on else 'B'}-{kind}" if kind else "O")
        before = token
    return tags


_CATEGORIES = {
    "DET": "NP/N", "ADJ": "N/N", "NOUN": "N", "PRON": "NP", "AUX": r"(S\NP)/(S\NP)", "PART": r"(S\NP)\(S\NP)",
    "CCONJ": "conj", "SCONJ": r"(S\S)/S", "PUNCT": ".",
}  # fmt: skip


def supertags(tokens: Sequence[Token], style: Style) -> list[str]:
    """The categories of an English clause, as CCGbank has them but without features."""
    return [_category(token, tokens[at + 1 : at + 2], style) for at, token in enumerate(tokens)]


def _category(token: Token, after: Sequence[Token], style: Style) -> str:
    if token.upos == "PROPN":
        return "N/N" if token.concept in TITLES and after and after[0].concept == token.concept else "N"
    if token.upos == "VERB":
        return r"S\NP" if style.passive else r"(S\NP)/NP"
    if token.upos == "ADP":
        modifier = r"(S\NP)\(S\NP)" if token.role == "by" else _adverbial(token, style)
        return f"({modifier})/NP"
    return _CATEGORIES.get(token.upos) or _adverbial(token, style)


def _adverbial(token: Token, style: Style) -> str:
    """Of an adjunct: of the sentence after it, of the verb phrase before it (manner), of the sentence before it."""
    if style.front == token.role:
        return "S/S"
    return r"(S\NP)\(S\NP)" if token.role == "manner" else r"S\S"


def said(language: str, sentence: Sentence, tagger: Tagger) -> tuple[list[str], list[str]]:
    """The words of a sentence, its full stop included, and their tags."""
    speaker = grammar(language)
    stop = Token(speaker.language.stop, speaker.language.stop, "", "PUNCT", (), STOP)
    words: list[str] = []
    tags: list[str] = []
    for number, (event, style) in enumerate(sentence, start=1):
        tokens = [*speaker.linearise(event, style), *([stop] if number == len(sentence) else [])]
        words += [token.form for token in tokens]
        tags += tagger(tokens, style)
    return words, tags


def rows(
    name: str, tagger: Tagger, column: str, names: Sequence[str] | None, language: str, split: str
) -> Columns:
    """The columns of a split in a language: tokens, tags (indices if they have names), and of what language."""
    drawn = [said(language, sentence, tagger) for sentence in sentences(name, split)]
    return {
        "tokens": [words for words, _ in drawn],
        column: [[names.index(tag) for tag in tags] if names else tags for _, tags in drawn],
        "langs": [[language] * len(words) for words, _ in drawn],
    }


def read(language: str, words: Sequence[str]) -> Sentence:
    """What the words say, clause by clause. Raises DataError if they are no sentence of the language."""
    reader = parser(language)
    if not words or words[-1] != reader.language.stop:
        raise DataError(f"{words!r} does not end in the full stop of {reader.language.name} of babel.")
    clauses: list[list[str]] = [[]]
    for word in words[:-1]:
        if word in reader.links and clauses[-1]:
            clauses.append([])
        clauses[-1].append(word)
    space = reader.grammar.space
    return tuple(reader.parse(space.join(clause) + words[-1]) for clause in clauses)


def oracle(tagger: Tagger, names: Sequence[str] | None, language: str, row: Mapping[str, Any]) -> list[Any]:
    """The tags of the words, from what they say."""
    words, tags = said(language, read(language, row["tokens"]), tagger)
    if words != list(row["tokens"]):
        raise DataError(f"{row['tokens']!r} are not the words of their sentence.")
    return [names.index(tag) for tag in tags] if names else tags


DATASETS = (
    Dataset(
        "google/xtreme",
        TREEBANKS,
        ROWS["udpos"],
        {"tokens": ["string"], "pos_tags": [POS]},
        partial(rows, "udpos", pos, "pos_tags", POS),
        partial(oracle, pos, POS),
        "pos_tags",
    ),
    Dataset(
        "google/xtreme",
        {f"PAN-X.{language}": language for language in LANGUAGES},
        ROWS["panx"],
        {"tokens": ["string"], "ner_tags": [NER], "langs": ["string"]},
        partial(rows, "panx", ner, "ner_tags", NER),
        partial(oracle, ner, NER),
        "ner_tags",
    ),
    Dataset(
        "LDC2005T13/ccgbank",
        {"default": "en"},
        ROWS["ccg"],
        {"tokens": ["string"], "tags": ["string"]},
        partial(rows, "ccg", supertags, "tags", None),
        partial(oracle, supertags, None),
        "tags",
    ),
)
