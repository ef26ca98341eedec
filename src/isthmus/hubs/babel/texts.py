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
    ANIMATE,
    HYPERNYMS,
    KIND,
    PATIENTS,
    VERBS,
    Event,
    Phrase,
    Style,
    changed,
    draw_adjunct,
    draw_noun,
    draw_phrase,
    draw_style,
)

ARTICLES, PAIRS = 4000, 3000  # documents of each language, and of each pair of languages
MODIFIED, NEGATED, HYPERNYM = 0.4, 0.2, 0.08
PASSIVE, FRONT, SYNONYM = 0.2, 0.25, 0.25
Document = list[tuple[Event, Style]]


def draw_event(dice: Dice, topic: Phrase | None) -> Event:
    """A clause, about the topic if there is one: as its agent where it can be, or as its patient."""
    other = topic.noun if topic else ""
    agent = draw_phrase(dice, draw_noun(dice, ANIMATE, other), MODIFIED)
    patient = draw_phrase(dice, draw_noun(dice, PATIENTS, other or agent.noun), MODIFIED)
    if topic and KIND[topic.noun] != "thing" and dice.chance(0.5):
        agent = topic
    elif topic:
        patient = topic
    event = Event(agent, dice.choice(VERBS), patient, negated=dice.chance(NEGATED))
    if dice.chance(0.5):
        event = draw_adjunct(dice, event)
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
    for _ in range(sentences):
        event = draw_event(dice, topic)
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
