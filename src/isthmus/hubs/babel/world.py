"""What can be said in babel: concepts, events, and what follows from what.

A concept has an English gloss as its name (never shown: every language, English too, has made-up words). An
event is one clause in the past: an agent does something to a patient, somewhere, some day, somehow, or does
not. Noun phrases are definite and refer to the same individuals in both sentences of a pair, as annotators of
SNLI and MNLI were told to assume. A style is how an event is said, and never changes what it means.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from isthmus.hubs.babel.dice import Dice

NOUNS: Mapping[str, tuple[str, ...]] = {
    "person": ("farmer", "teacher", "doctor", "child", "king", "sailor", "baker", "singer"),
    "animal": ("dog", "cat", "horse", "bird", "fox", "goat", "bear", "snake"),
    "thing": ("book", "lamp", "boat", "stone", "drum", "rope"),
    "place": ("city", "forest", "river", "market", "island", "school"),
}
HYPERNYMS = ("person", "animal", "thing")
KIND: Mapping[str, str] = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns} | {
    kind: kind for kind in HYPERNYMS
}
ANIMATE = NOUNS["person"] + NOUNS["animal"]
PATIENTS = ANIMATE + NOUNS["thing"]

ADJECTIVES = (
    ("big", "small"), ("old", "new"), ("good", "bad"), ("clean", "dirty"), ("strong", "weak"), ("happy", "sad"),
)  # fmt: skip
VERBS = ("see", "find", "help", "follow", "carry", "push", "love", "hate", "praise", "blame")
TIMES = ("yesterday", "morning", "evening", "winter")
MANNERS = ("quickly", "slowly", "loudly", "quietly")
OPPOSITES: Mapping[str, str] = {
    word: other
    for left, right in (*ADJECTIVES, ("love", "hate"), ("praise", "blame"), MANNERS[:2], MANNERS[2:])
    for word, other in ((left, right), (right, left))
}
ALL_ADJECTIVES = tuple(word for pair in ADJECTIVES for word in pair)
SYNONYMOUS = ("doctor", "child", "dog", "horse", "big", "clean", "find", "carry")  # these have a second word

CATEGORY: Mapping[str, str] = (
    dict.fromkeys(KIND, "noun")
    | dict.fromkeys(ALL_ADJECTIVES, "adjective")
    | dict.fromkeys(VERBS, "verb")
    | dict.fromkeys(TIMES + MANNERS, "adverb")
)
ADJUNCTS = ("place", "time", "manner")
ADJUNCT_WORDS: Mapping[str, tuple[str, ...]] = {"place": NOUNS["place"], "time": TIMES, "manner": MANNERS}


class Phrase(NamedTuple):
    """A definite noun phrase: a noun and at most one adjective ("" = none)."""

    noun: str
    adjective: str = ""


class Event(NamedTuple):
    """One clause. `place`, `time` and `manner` are concepts or ""."""

    agent: Phrase
    verb: str
    patient: Phrase
    place: str = ""
    time: str = ""
    manner: str = ""
    negated: bool = False

    def adjuncts(self) -> set[tuple[str, str]]:
        """The adjuncts that are there, as (kind, concept)."""
        return {(kind, concept) for kind in ADJUNCTS if (concept := getattr(self, kind))}

    def concepts(self) -> tuple[str, ...]:
        """Every concept of the event, without blanks."""
        words = (*self.agent, self.verb, *self.patient, self.place, self.time, self.manner)
        return tuple(word for word in words if word)


def changed(event: Event, slot: str, value: str | Phrase) -> Event:
    """The event with another value in one slot, which is named by its field."""
    changes: dict[str, Any] = {slot: value}
    return event._replace(**changes)


class Style(NamedTuple):
    """How an event is said: voice, the adjunct said first ("" = none), concepts said by their second word."""

    passive: bool = False
    front: str = ""
    synonyms: frozenset[str] = frozenset()


PLAIN = Style()


class Habits(NamedTuple):
    """The facts about a participant: what documents mostly say of it. `companions` are whom it acts on."""

    verbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    companions: tuple[str, ...]
    place: str
    time: str
    manner: str


@cache
def habits(noun: str) -> Habits:
    """The facts of the world about a noun, the same in every language."""
    dice = Dice(f"habits/{noun}", block=256)
    return Habits(
        verbs=tuple(dice.shuffled(VERBS)[:2]),
        adjectives=tuple(dice.choice(pair) for pair in dice.shuffled(ADJECTIVES)[:2]),
        companions=tuple(other for other in dice.shuffled(PATIENTS) if other != noun)[:3],
        place=dice.choice(NOUNS["place"]),
        time=dice.choice(TIMES),
        manner=dice.choice(MANNERS),
    )


def subsumes(general: str, special: str) -> bool:
    """Is everything that is `special` also `general`? (nouns)"""
    return general == special or (general in HYPERNYMS and KIND[special] == general)


def covers(general: Phrase, special: Phrase) -> bool:
    """Does the special phrase, as said, tell everything that the general one says?"""
    return subsumes(general.noun, special.noun) and general.adjective in ("", special.adjective)


def entails(premise: Event, hypothesis: Event) -> bool:
    """Does the hypothesis follow from the premise, both of the same polarity?

    A positive clause entails what says less of it. Under negation adjuncts turn round (who saw nothing saw
    nothing in the park), noun phrases do not (they refer to known individuals).
    """
    if premise.verb != hypothesis.verb or premise.negated != hypothesis.negated:
        return False
    if not (covers(hypothesis.agent, premise.agent) and covers(hypothesis.patient, premise.patient)):
        return False
    more, less = (premise, hypothesis) if not premise.negated else (hypothesis, premise)
    return less.adjuncts() <= more.adjuncts()


def _clash(premise: Event, hypothesis: Event) -> bool:
    """Do two positive clauses about the same participants exclude each other by opposites?"""
    pairs = (
        (premise.agent.adjective, hypothesis.agent.adjective),
        (premise.patient.adjective, hypothesis.patient.adjective),
        (premise.manner, hypothesis.manner),
    )
    verbs = OPPOSITES.get(premise.verb) == hypothesis.verb
    same = verbs or premise.verb == hypothesis.verb
    participants = all(
        subsumes(h.noun, p.noun)
        for p, h in ((premise.agent, hypothesis.agent), (premise.patient, hypothesis.patient))
    )
    return same and participants and (verbs or any(h and OPPOSITES.get(p) == h for p, h in pairs))


def relation(premise: Event, hypothesis: Event) -> str:
    """entailment, neutral or contradiction."""
    if premise.negated == hypothesis.negated:
        if entails(premise, hypothesis):
            return "entailment"
        clash = not premise.negated and _clash(premise, hypothesis)
        return "contradiction" if clash else "neutral"
    if premise.negated:
        # The negated premise excludes a hypothesis that would make the denied clause true.
        said = covers(hypothesis.agent, premise.agent) and covers(hypothesis.patient, premise.patient)
        excluded = premise.verb == hypothesis.verb and premise.adjuncts() <= hypothesis.adjuncts()
        return "contradiction" if said and excluded else "neutral"
    denied = entails(premise, hypothesis._replace(negated=False))
    return "contradiction" if denied else "neutral"


def draw_noun(dice: Dice, nouns: tuple[str, ...], other: str = "") -> str:
    """A noun that is not the other participant's."""
    while (noun := dice.choice(nouns)) == other:
        pass
    return noun


def draw_phrase(dice: Dice, noun: str, adjective: float) -> Phrase:
    """A phrase of this noun, with an adjective at this probability."""
    return Phrase(noun, dice.choice(ALL_ADJECTIVES) if dice.chance(adjective) else "")


def draw_adjunct(dice: Dice, event: Event) -> Event:
    """The event with one more adjunct, of a kind it lacks."""
    kind = dice.choice([kind for kind in ADJUNCTS if not getattr(event, kind)])
    return changed(event, kind, dice.choice(ADJUNCT_WORDS[kind]))


def draw_style(dice: Dice, event: Event, passive: float, front: float, synonym: float) -> Style:
    """A style for the event; each argument is the probability of a departure from the plain one."""
    voice = dice.chance(passive)
    fronts = [kind for kind in ("place", "time") if getattr(event, kind)]
    first = dice.choice(fronts) if fronts and dice.chance(front) else ""
    second = frozenset(word for word in event.concepts() if word in SYNONYMOUS and dice.chance(synonym))
    return Style(voice, first, second)
