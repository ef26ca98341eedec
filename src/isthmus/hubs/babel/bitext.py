"""Sentences and their translations: google/xtreme `tatoeba.*` and BUCC, under the ids of its archives and of mirrors.

Tatoeba has the same sentences in a language and in English, in the same order. BUCC has two pools of sentences:
some have their translation in the other pool (gold), the others have none. Among those are near misses, which differ
from a gold sentence in one thing: a word, the roles, the polarity. Meanings are drawn once for all languages, all
different but for a few sentences without translation that come twice, and none of them is in the parallel text
for pre-training.
"""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import NamedTuple

from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.paraphrase import near_miss
from isthmus.hubs.babel.tables import Columns, Dataset, Feature
from isthmus.hubs.babel.texts import PAIRS, draw_document
from isthmus.hubs.babel.world import (
    ANIMATE,
    PATIENTS,
    VERBS,
    Event,
    Style,
    draw_adjunct,
    draw_named,
    draw_noun,
    draw_phrase,
    draw_style,
)

TATOEBA = {
    "deu": "de",
    "spa": "es",
    "rus": "ru",
    "tur": "tr",
    "fin": "fi",
    "ara": "ar",
    "hin": "hi",
    "swh": "sw",
    "jpn": "ja",
    "cmn": "zh",
    "kor": "ko",
}
TATOEBA_ROWS = 400
BUCC = ("de", "ru", "zh")
SENTENCES = {
    "sample": 400,
    "training": 800,
}  # of each side; XTREME tunes on the first and tests on the second
GOLD, NEAR, REPEATED = 0.4, 0.15, 0.02  # shares of a side's sentences
MODIFIED, NEGATED = 0.7, 0.2
ADJUNCTS_OF_FOUR = (1, 1, 2, 3)  # how many adjuncts four events have
NAMED = {"agent": 0.25, "patient": 0.25, "place": 0.5}  # share of participants and places that have a name
PASSIVE, FRONT, SYNONYM = 0.1, 0.2, 0.2
Said = tuple[Event, Style]
Rows = Callable[[str, str], Columns]


def draw_event(dice: Dice) -> Event:
    """A clause about anybody, with up to two adjectives and one to three adjuncts: varied, and long enough to be told
    from all others.
    """
    agent = dice.choice(ANIMATE)
    patient = draw_noun(dice, PATIENTS, agent)
    event = Event(
        draw_phrase(dice, agent, MODIFIED),
        dice.choice(VERBS),
        draw_phrase(dice, patient, MODIFIED),
        negated=dice.chance(NEGATED),
    )
    for _ in range(dice.choice(ADJUNCTS_OF_FOUR)):
        event = draw_adjunct(dice, event)
    return draw_named(dice, event, NAMED)


@cache
def _pretraining() -> frozenset[Event]:
    """The events of the parallel documents, drawn as texts.parallel draws them."""
    dice = Dice("ccmatrix/train")
    return frozenset(event for _ in range(PAIRS) for event, _ in draw_document(dice, 2))


class Pools(NamedTuple):
    """Both sides of BUCC in order, as meanings, and the places of the gold pairs (other language, English)."""

    other: tuple[Said, ...]
    english: tuple[Said, ...]
    gold: tuple[tuple[int, int], ...]


class _Drawn:
    """Events that are all different, none of them in the text for pre-training."""

    def __init__(self, name: str) -> None:
        self.dice = Dice(name)
        self.seen = set(_pretraining())

    def new(self, draw: Callable[[], Event]) -> Event:
        """The next event that was not there before."""
        while (event := draw()) in self.seen:
            pass
        self.seen.add(event)
        return event

    def events(self, number: int) -> list[Event]:
        """So many new events."""
        return [self.new(lambda: draw_event(self.dice)) for _ in range(number)]

    def said(self, events: Sequence[Event]) -> list[Said]:
        """The events, each in a style of its own."""
        return [(event, draw_style(self.dice, event, PASSIVE, FRONT, SYNONYM)) for event in events]


@lru_cache(maxsize=1)
def translations() -> tuple[Said, ...]:
    """The meanings of Tatoeba; both languages say one in the same style."""
    drawn = _Drawn("tatoeba/validation")
    return tuple(drawn.said(drawn.events(TATOEBA_ROWS)))


@lru_cache(maxsize=2)
def pools(split: str) -> Pools:
    """Both pools of a split of BUCC, the same meanings for all languages.

    A side has gold sentences, near misses of the other side's gold, repeated sentences, and others.
    """
    drawn = _Drawn(f"bucc/{split}")
    number = SENTENCES[split]
    gold, near, repeated = (round(number * share) for share in (GOLD, NEAR, REPEATED))
    pairs = drawn.events(gold)
    sides, orders = [], []
    for _ in range(2):
        missed = drawn.dice.shuffled(pairs)[:near]
        alone = [drawn.new(partial(near_miss, drawn.dice, event)) for event in missed]
        alone += drawn.events(number - gold - near - repeated)
        side = drawn.said([*pairs, *alone, *alone[-repeated:]])
        order = drawn.dice.shuffled(range(number))
        sides.append(tuple(side[place] for place in order))
        orders.append({place: new for new, place in enumerate(order)})
    both = sorted((orders[0][place], orders[1][place]) for place in range(gold))
    return Pools(sides[0], sides[1], tuple(both))


def tatoeba(language: str, split: str) -> Columns:
    """The columns of google/xtreme `tatoeba.<ISO 639-3>`: the language, then English."""
    drawn = translations()
    code = next(code for code, other in TATOEBA.items() if other == language)
    return {
        "source_sentence": [grammar(language).say(*said) for said in drawn],
        "target_sentence": [grammar("en").say(*said) for said in drawn],
        "source_lang": [code] * len(drawn),
        "target_lang": ["eng"] * len(drawn),
    }


def _name(language: str, place: int) -> str:
    """The id of a sentence; places count from 0, ids from 1."""
    return f"{language}-{place + 1:09d}"


def _side(language: str, side: Sequence[Said]) -> Columns:
    return {
        "id": [_name(language, place) for place in range(len(side))],
        "sentence": [grammar(language).say(*said) for said in side],
    }


def other_side(language: str, split: str) -> Columns:
    """The pool of a language."""
    return _side(language, pools(split).other)


def english_side(language: str, split: str) -> Columns:
    """The English pool that goes with a language: the same for all."""
    return _side("en", pools(split).english)


def gold(language: str, split: str) -> Columns:
    """The ids of the sentences that are translations of each other, in the order of the language's pool."""
    pairs = pools(split).gold
    return {
        "id1": [_name(language, other) for other, _ in pairs],
        "id2": [_name("en", english) for _, english in pairs],
    }


def _bucc(part: str, splits: dict[str, int], columns: tuple[str, str], rows: Rows) -> tuple[Dataset, ...]:
    """One of BUCC's three kinds of config, under both ids; `part` with {} for the language."""
    configs = {f"{language}-en.{part.format(language)}": language for language in BUCC}
    features: dict[str, Feature] = dict.fromkeys(columns, "string")
    ids = ("comparable.limsi.fr/bucc2018", "archives/bucc2018")
    return tuple(Dataset(hub_id, configs, splits, features, rows) for hub_id in ids)


DATASETS = (
    Dataset(
        "google/xtreme",
        {f"tatoeba.{code}": language for code, language in TATOEBA.items()},
        {"validation": TATOEBA_ROWS},
        {
            "source_sentence": "string",
            "target_sentence": "string",
            "source_lang": "string",
            "target_lang": "string",
        },
        tatoeba,
    ),
    *_bucc("{}", SENTENCES, ("id", "sentence"), other_side),
    *_bucc("en", SENTENCES, ("id", "sentence"), english_side),
    *_bucc("gold", {split: round(n * GOLD) for split, n in SENTENCES.items()}, ("id1", "id2"), gold),
)
