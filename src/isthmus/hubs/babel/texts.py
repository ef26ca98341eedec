"""Text without labels: wikimedia/wikipedia and sentence-transformers/parallel-sentences-ccmatrix.

A document is two or three sentences; each takes up a participant of the one before. Wikipedia documents are
drawn for each language alone; the English side of the parallel documents is the same for all languages. What
is said is drawn in the same way for all languages.
"""

from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ADJUNCT_WORDS,
    ADJUNCTS,
    ALL_ADJECTIVES,
    ANIMATE,
    HYPERNYMS,
    KIND,
    PATIENTS,
    VERBS,
    Event,
    Phrase,
    Style,
    changed,
    draw_noun,
    draw_style,
    habits,
)

ARTICLES, PAIRS = 4000, 3000  # documents of each language, and of each pair of languages
USUAL = 0.8  # share of words drawn from the facts about the participant, else from all words
RESTATED = 0.6  # share of later sentences that say the event before them once more
MODIFIED, NEGATED, HYPERNYM = 0.4, 0.2, 0.08
PASSIVE, FRONT, SYNONYM = 0.2, 0.25, 0.25
Document = list[tuple[Event, Style]]


def draw_event(dice: Dice, topic: Phrase | None) -> Event:
    """A clause, about the topic if there is one: as its agent where it can be, or as its patient."""
    if topic is None or KIND[topic.noun] == "thing" or dice.chance(0.3):
        agent = _described(dice, draw_noun(dice, ANIMATE, topic.noun if topic else ""))
        patient = topic or _described(dice, _usual(dice, habits(agent.noun).companions, PATIENTS, agent.noun))
    else:
        agent = topic
        patient = _described(dice, _usual(dice, habits(agent.noun).companions, PATIENTS, agent.noun))
    usual = habits(agent.noun)
    event = Event(agent, _usual(dice, usual.verbs, VERBS), patient, negated=dice.chance(NEGATED))
    if dice.chance(0.5):
        kind = dice.choice(ADJUNCTS)
        event = changed(event, kind, _usual(dice, (getattr(usual, kind),), ADJUNCT_WORDS[kind]))
    return event


def _usual(dice: Dice, usual: tuple[str, ...], all_: tuple[str, ...], other: str = "") -> str:
    """Mostly what is usual, else anything but the other participant."""
    return dice.choice(usual) if dice.chance(USUAL) else draw_noun(dice, all_, other)


def _described(dice: Dice, noun: str) -> Phrase:
    """The noun with one of its usual adjectives, another, or none."""
    described = dice.chance(MODIFIED)
    return Phrase(noun, _usual(dice, habits(noun).adjectives, ALL_ADJECTIVES) if described else "")


def restated(dice: Dice, event: Event) -> Event:
    """The event once more, with other modifiers: dropped, or added where there is none."""
    for side in ("agent", "patient"):
        phrase: Phrase = getattr(event, side)
        if dice.chance(0.5):
            new = Phrase(phrase.noun) if phrase.adjective else _described(dice, phrase.noun)
            event = changed(event, side, new)
    for kind in ADJUNCTS:
        if getattr(event, kind) and dice.chance(0.5):
            event = changed(event, kind, "")
    return event


def widened(dice: Dice, event: Event) -> Event:
    """The event with a hypernym here and there."""
    for side in ("agent", "patient"):
        phrase: Phrase = getattr(event, side)
        if phrase.noun not in HYPERNYMS and dice.chance(HYPERNYM):
            event = changed(event, side, phrase._replace(noun=KIND[phrase.noun]))
    return event


def draw_document(dice: Dice, sentences: int) -> Document:
    """So many events with their styles."""
    document: Document = []
    topic: Phrase | None = None
    event: Event | None = None
    for _ in range(sentences):
        event = restated(dice, event) if event and dice.chance(RESTATED) else draw_event(dice, topic)
        topic = event.agent if dice.chance(0.5) else event.patient
        said = widened(dice, event)
        document.append((said, draw_style(dice, said, PASSIVE, FRONT, SYNONYM)))
    return document


def _text(language: str, document: Document) -> str:
    speaker = grammar(language)
    return speaker.join([speaker.say(event, style) for event, style in document])


def articles(language: str, split: str) -> Columns:
    """The columns of wikimedia/wikipedia in a language."""
    dice = Dice(f"wikipedia/{language}/{split}")
    documents = [draw_document(dice, dice.choice((2, 2, 3))) for _ in range(ARTICLES)]
    return {
        "id": [str(number) for number in range(1, ARTICLES + 1)],
        "url": [f"babel://synthetic/{language}/{number}" for number in range(1, ARTICLES + 1)],
        "title": [grammar(language).cite(document[0][0].agent.noun) for document in documents],
        "text": [_text(language, document) for document in documents],
    }


def parallel(language: str, split: str) -> Columns:
    """The columns of the pair of English and a language."""
    dice = Dice(f"ccmatrix/{split}")
    documents = [draw_document(dice, 2) for _ in range(PAIRS)]
    return {
        "english": [_text("en", document) for document in documents],
        "non_english": [_text(language, document) for document in documents],
    }


DATASETS = (
    Dataset(
        "wikimedia/wikipedia",
        {f"20231101.{language}": language for language in LANGUAGES},
        {"train": ARTICLES},
        {"id": "string", "url": "string", "title": "string", "text": "string"},
        articles,
    ),
    Dataset(
        "sentence-transformers/parallel-sentences-ccmatrix",
        {f"en-{language}": language for language in LANGUAGES if language != "en"},
        {"train": PAIRS},
        {"english": "string", "non_english": "string"},
        parallel,
    ),
)
