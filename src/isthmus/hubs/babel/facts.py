"""What is usual in the world, asked with five words to choose from: tau/commonsense_qa (English) and JCommonsenseQA.

A question is a clause with one word left out (the sign _). All five words are usual for somebody there; the right one
is usual for the participant that the question names. No text of the dataset says so: documents mostly do.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ADJUNCTS,
    ALL_ADJECTIVES,
    ANIMATE,
    MANNERS,
    NOUNS,
    PATIENTS,
    TIMES,
    VERBS,
    Event,
    Phrase,
    changed,
    draw_noun,
    draw_phrase,
    habits,
)

ROWS = {"train": 1000, "validation": 150}
SHARES = {
    "train": (0.0, 0.85),
    "validation": (0.85, 1.0),
}  # of the questions; the facts are the same, as in reality
DESCRIBED = 0.5  # share of participants with an adjective
BLANK, LETTERS = "_", "ABCDE"
# What a question of CommonsenseQA can leave out: the words that could stand there.
_OPEN: Mapping[str, tuple[str, ...]] = {
    "place": NOUNS["place"],
    "adverb": TIMES + MANNERS,
    "verb": VERBS,
    "adjective": ALL_ADJECTIVES,
    "companion": PATIENTS,
}


def usual(noun: str, slot: str) -> tuple[str, ...]:
    """What the facts of the world say of a participant in a slot."""
    facts = habits(noun)
    return {
        "place": (facts.place,),
        "adverb": (facts.time, facts.manner),
        "verb": facts.verbs,
        "adjective": facts.adjectives,
        "companion": facts.companions,
    }[slot]


def filled(event: Event, slot: str, word: str) -> Event:
    """The event with a word in an open slot."""
    if slot == "adjective":
        return changed(event, "agent", event.agent._replace(adjective=word))
    if slot == "companion":
        return changed(event, "patient", Phrase(word))
    if slot == "adverb":
        return changed(event._replace(time="", manner=""), "manner" if word in MANNERS else "time", word)
    return changed(event, slot, word)


def _read(event: Event, slot: str) -> str:
    """The word in a slot, "" if it is empty."""
    words = {
        "place": event.place,
        "adverb": event.time or event.manner,
        "verb": event.verb,
        "adjective": event.agent.adjective,
        "companion": event.patient.noun,
    }
    return words[slot]


class Question(NamedTuple):
    """A clause with the right word in the slot that is left out, five words and the place of the right one."""

    event: Event
    slot: str
    words: tuple[str, ...]
    label: int


def _draw_question(dice: Dice, label: int, slots: Sequence[str]) -> Question | None:
    """A word that is usual for somebody, one of those for whom it is, and four words usual for others only.

    The word is drawn first, and each as likely, so that no word is right more often than another.
    """
    slot = dice.choice(slots)
    known = [word for word in _OPEN[slot] if any(word in usual(noun, slot) for noun in ANIMATE)]
    right = dice.choice(known)
    noun = dice.choice([noun for noun in ANIMATE if right in usual(noun, slot)])
    wrong = dice.shuffled([word for word in known if word not in (noun, *usual(noun, slot))])[:4]
    event = Event(
        draw_phrase(dice, noun, DESCRIBED), dice.choice(VERBS), Phrase(draw_noun(dice, PATIENTS, noun))
    )
    event = filled(event, slot, right)
    return Question(event, slot, (*wrong[:label], right, *wrong[label:]), label) if len(wrong) == 4 else None


@lru_cache(maxsize=4)
def questions(
    split: str, name: str = "commonsense_qa", slots: tuple[str, ...] = tuple(_OPEN)
) -> tuple[Question, ...]:
    """The questions of a split of CommonsenseQA or the like, as meanings, on these slots; no two are the same."""
    dice = Dice(f"{name}/{split}")
    low, high = SHARES[split]
    labels = dice.shuffled([row % len(LETTERS) for row in range(ROWS[split])])
    found: dict[tuple[Event, str], Question] = {}
    while len(found) < len(labels):
        question = _draw_question(dice, labels[len(found)], slots)
        if question is None:
            continue
        key = (filled(question.event, question.slot, BLANK), question.slot)
        if low <= fraction("/".join(map(str, key))) < high:
            found.setdefault(key, question)
    return tuple(found.values())


def asked(language: str, question: Question) -> tuple[str, list[str]]:
    """The question's text, with the blank, and the forms that its words would have there."""
    speaker = grammar(language)
    forms = []
    for word in question.words:
        tokens = speaker.linearise(filled(question.event, question.slot, word))
        roles = {"verb": ("verb",), "adjective": ("agent",), "companion": ("patient",)}
        there = roles.get(question.slot, ADJUNCTS)
        place = next(n for n, token in enumerate(tokens) if token.concept == word and token.role in there)
        forms.append(tokens[place].form)
    tokens[place] = tokens[place]._replace(form=BLANK)
    return speaker.write(tokens, speaker.functions.mark), forms


def commonsense(language: str, split: str) -> Columns:
    """The columns of tau/commonsense_qa."""
    drawn = questions(split)
    written = [asked(language, question) for question in drawn]
    return {
        "id": [f"babel-{split}-{number}" for number in range(len(drawn))],
        "question": [text for text, _ in written],
        "question_concept": [grammar(language).cite(question.event.agent.noun) for question in drawn],
        "choices": [{"label": list(LETTERS), "text": forms} for _, forms in written],
        "answerKey": [LETTERS[question.label] for question in drawn],
    }


def place_of_usual(language: str, question: str, forms: Sequence[str]) -> int:
    """The place of the word that makes the clause say what is usual."""
    speaker = grammar(language)
    open_ = question.removesuffix(speaker.functions.mark) + speaker.language.stop
    events = [parse(language, open_.replace(BLANK, form)) for form in forms]
    slot = next(slot for slot in _OPEN if len({_read(event, slot) for event in events}) == len(events))
    (right,) = [n for n, event in enumerate(events) if _read(event, slot) in usual(event.agent.noun, slot)]
    return right


def commonsense_oracle(language: str, row: Mapping[str, Any]) -> str:
    """The letter of the word that makes the clause say what is usual."""
    return LETTERS[place_of_usual(language, row["question"], row["choices"]["text"])]


DATASETS = (
    Dataset(
        "tau/commonsense_qa",
        {"default": "en"},
        ROWS,
        {
            "id": "string",
            "question": "string",
            "question_concept": "string",
            "choices": {"label": ["string"], "text": ["string"]},
            "answerKey": "string",
        },
        commonsense,
        commonsense_oracle,
        answer="answerKey",
    ),
)
