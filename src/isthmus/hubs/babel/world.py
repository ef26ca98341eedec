"""What can be said in babel: concepts, events, and what follows from what.

A concept has an English gloss as its name (never shown: every language, English too, has made-up words). An
event is one clause in the past: an agent does something to a patient, somewhere, some day, somehow, or does
not. Noun phrases are definite and refer to the same individuals in both sentences of a pair, as annotators of
SNLI and MNLI were told to assume. A style is how an event is said, and never changes what it means.
"""

from collections.abc import Container, Mapping, Sequence
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
_COMMON: Mapping[str, str] = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns} | {
    kind: kind for kind in HYPERNYMS
}
# Proper names: of persons, organisations, places. Those in TITLES have a second word: a given name, a form word.
NAMES: Mapping[str, tuple[str, ...]] = {
    kind: tuple(f"{kind}{number}" for number in range(1, 13)) for kind in ("PER", "ORG", "LOC")
}
NAME_KIND: Mapping[str, str] = {name: kind for kind, names in NAMES.items() for name in names}
TITLES: Mapping[str, str] = {
    name: f"{kind}+{1 + place % 2}"
    for kind, untitled in (("PER", 6), ("ORG", 5), ("LOC", 8))
    for place, name in enumerate(NAMES[kind][untitled:])
}
HE, WHO, WHERE, WHEN, HOW = "he", "who?", "where?", "when?", "how?"  # a pronoun; what a question asks for
KIND: Mapping[str, str] = {
    **_COMMON,
    **dict.fromkeys((*NAMES["PER"], HE, WHO), "person"),
    **dict.fromkeys(NAMES["ORG"], "organisation"),
    **dict.fromkeys(NAMES["LOC"], "place"),
}
ANIMATE = NOUNS["person"] + NOUNS["animal"]
PATIENTS = ANIMATE + NOUNS["thing"]

ADJECTIVES = (
    ("big", "small"), ("old", "new"), ("good", "bad"), ("clean", "dirty"), ("strong", "weak"), ("happy", "sad"),
)  # fmt: skip
VERBS = ("see", "find", "help", "follow", "carry", "push", "love", "hate", "praise", "blame")
TIMES = ("yesterday", "morning", "evening", "winter")
MANNERS = ("quickly", "slowly", "loudly", "quietly")
# What names without a second word do and suffer: their verb tells persons from organisations.
NAME_VERBS: Mapping[str, tuple[str, ...]] = {
    "PER": ("see", "follow", "carry", "push", "love"),
    "ORG": ("find", "help", "hate", "praise", "blame"),
}
OPPOSITES: Mapping[str, str] = {
    word: other
    for left, right in (*ADJECTIVES, ("love", "hate"), ("praise", "blame"), MANNERS[:2], MANNERS[2:])
    for word, other in ((left, right), (right, left))
}
ALL_ADJECTIVES = tuple(word for pair in ADJECTIVES for word in pair)
SYNONYMOUS = ("doctor", "child", "dog", "horse", "big", "clean", "find", "carry")  # these have a second word

CATEGORY: Mapping[str, str] = (
    dict.fromkeys(_COMMON, "noun")
    | dict.fromkeys(ALL_ADJECTIVES, "adjective")
    | dict.fromkeys(VERBS, "verb")
    | dict.fromkeys(TIMES + MANNERS, "adverb")
)
ADJUNCTS = ("place", "time", "manner")
ASKING: Mapping[str, str] = {"agent": WHO, "patient": WHO, "place": WHERE, "time": WHEN, "manner": HOW}
ADJUNCT_OF: Mapping[str, str] = (  # of words that are an adjunct by themselves
    dict.fromkeys((*TIMES, WHEN), "time") | dict.fromkeys((*MANNERS, HOW), "manner") | {WHERE: "place"}
)
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


def asking(event: Event, slot: str) -> Event:
    """The question for what stands in a slot of the event."""
    word = ASKING[slot]
    return changed(event, slot, Phrase(word) if word == WHO else word)


def asked(event: Event) -> str:
    """The slot that a question asks for, or "" if the event is told."""
    said = {"agent": event.agent.noun, "patient": event.patient.noun}
    return next((slot for slot, word in ASKING.items() if said.get(slot, getattr(event, slot)) == word), "")


class Style(NamedTuple):
    """How an event is said: voice, the adjunct said first ("" = none), concepts said by their second word.

    `link` is the conjunction ("and", "because", "" = none) that joins it to the sentence before.
    """

    passive: bool = False
    front: str = ""
    synonyms: frozenset[str] = frozenset()
    link: str = ""


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
        verbs=tuple(dice.shuffled(NAME_VERBS.get(NAME_KIND.get(noun, ""), VERBS))[:2]),
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


def draw_name(dice: Dice, verb: str, other: str = "") -> str:
    """A name of a person or an organisation that can be a participant of this verb; not the other's."""
    while True:
        kind = dice.choice(("PER", "ORG"))
        name = draw_noun(dice, NAMES[kind], other)
        if name in TITLES or verb in NAME_VERBS[kind]:
            return name


def draw_named(dice: Dice, event: Event, chances: Mapping[str, float], names: Container[str] = KIND) -> Event:
    """The event with names in place of what is in some slots, each at its probability; `names` limits them."""
    for slot, chance in chances.items():
        if slot == "place":
            options = [name for name in NAMES["LOC"] if name in names]
            if event.place and dice.chance(chance):
                event = event._replace(place=dice.choice(options))
        elif dice.chance(chance):
            other = event.patient if slot == "agent" else event.agent
            while (name := draw_name(dice, event.verb, other.noun)) not in names:
                pass
            event = changed(event, slot, Phrase(name))
    return event


def draw_clause(
    dice: Dice,
    verb: str,
    adjuncts: Sequence[float],
    named: Mapping[str, float],
    names: Container[str] = KIND,
) -> Event:
    """A clause of this verb about anything; each number is the probability of one adjunct (more)."""
    agent = Phrase(dice.choice(ANIMATE))
    event = Event(agent, verb, Phrase(draw_noun(dice, PATIENTS, agent.noun)))
    for chance in adjuncts:
        if dice.chance(chance):
            event = draw_adjunct(dice, event)
    return draw_named(dice, event, named, names)


def draw_described(dice: Dice, event: Event, adjective: float) -> Event:
    """The event with an adjective for each common noun, at this probability."""
    for side in ("agent", "patient"):
        noun = getattr(event, side).noun
        if noun in CATEGORY and dice.chance(adjective):
            event = changed(event, side, Phrase(noun, dice.choice(ALL_ADJECTIVES)))
    return event


def draw_question(dice: Dice, event: Event, slot: str, dropped: float) -> Event:
    """The question for a slot of the event, without some of its adjectives and adjuncts."""
    for side in ("agent", "patient"):
        if side != slot and dice.chance(dropped):
            event = changed(event, side, Phrase(getattr(event, side).noun))
    for kind in ADJUNCTS:
        if kind != slot and dice.chance(dropped):
            event = changed(event, kind, "")
    return asking(event, slot)


def answers(question: Event, event: Event) -> bool:
    """Does the event tell all that the question repeats, and what it asks for?"""
    slot = asked(question)
    if question.verb != event.verb or event.negated or not getattr(event, slot):
        return False
    for side in ("agent", "patient"):
        if side != slot and not covers(getattr(question, side), getattr(event, side)):
            return False
    return changed(question, slot, "").adjuncts() <= event.adjuncts()


def draw_style(dice: Dice, event: Event, passive: float, front: float, synonym: float) -> Style:
    """A style for the event; each argument is the probability of a departure from the plain one."""
    voice = dice.chance(passive)
    fronts = [kind for kind in ("place", "time") if getattr(event, kind)]
    first = dice.choice(fronts) if fronts and dice.chance(front) else ""
    second = frozenset(word for word in event.concepts() if word in SYNONYMOUS and dice.chance(synonym))
    return Style(voice, first, second)
