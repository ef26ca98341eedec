"""Text without labels: wikimedia/wikipedia and sentence-transformers/parallel-sentences-ccmatrix.

A document is two or three sentences; each takes up a participant of the one before. Wikipedia documents are
drawn for each language alone; the English side of the parallel documents is the same for all languages. What
is said is drawn in the same way for all languages. A quarter of the documents hold a question that the sentence
before or after it answers.

In languages without spaces some documents have them between all words, as corpora of words have; else words
that come one by one, as in tagging, would be strange to an encoder.
"""

from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.lexicon import SPECIAL
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ADJUNCT_WORDS,
    ADJUNCTS,
    ALL_ADJECTIVES,
    ANIMATE,
    ASKING,
    HE,
    HYPERNYMS,
    KIND,
    PATIENTS,
    VERBS,
    WHO,
    Event,
    Phrase,
    Style,
    changed,
    draw_named,
    draw_noun,
    draw_question,
    draw_style,
    habits,
)

ARTICLES, PAIRS = 4000, 3000  # documents of each language, and of each pair of languages
USUAL = 0.8  # share of words drawn from the facts about the participant, else from all words
RESTATED = 0.6  # share of later sentences that say the event before them once more
MODIFIED, NEGATED, HYPERNYM = 0.4, 0.2, 0.08
PASSIVE, FRONT, SYNONYM = 0.2, 0.25, 0.25
NAMED = {
    "agent": 0.25,
    "patient": 0.2,
    "place": 0.5,
}  # share of new participants and of places that have a name
PRONOUN, LINKED = 0.05, 0.1
QUESTIONED, DROPPED = 0.25, 0.4  # share of documents with a question; of modifiers that it leaves out
SEGMENTED = 0.4  # share of documents in which words are parted by spaces, in languages that have none
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
    return draw_named(
        dice, event, {slot: chance for slot, chance in NAMED.items() if getattr(event, slot) != topic}
    )


def _usual(dice: Dice, usual: tuple[str, ...], all_: tuple[str, ...], other: str = "") -> str:
    """Mostly what is usual, else anything but the other participant."""
    return dice.choice(usual) if dice.chance(USUAL) else draw_noun(dice, all_, other)


def _described(dice: Dice, noun: str) -> Phrase:
    """The noun with one of its usual adjectives, another, or none."""
    if noun in SPECIAL:
        return Phrase(noun)
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
    """The event with a hypernym or a pronoun here and there."""
    for side, other in (("agent", "patient"), ("patient", "agent")):
        phrase: Phrase = getattr(event, side)
        kind = KIND[phrase.noun]
        if phrase.noun not in HYPERNYMS and kind in HYPERNYMS and dice.chance(HYPERNYM):
            event = changed(event, side, phrase._replace(noun=kind))
        elif kind == "person" and getattr(event, other).noun != HE and dice.chance(PRONOUN):
            event = changed(event, side, Phrase(HE))
    return event


def questioned(dice: Dice, document: Document) -> Document:
    """The document with a question before or after one of its sentences, which answers it."""
    places = [place for place, (event, _) in enumerate(document) if not event.negated]
    if not places:
        return document
    place = dice.choice(places)
    event, style = document[place]
    slots = [slot for slot in ASKING if getattr(event, slot) and getattr(event, slot) != Phrase(HE)]
    question = draw_question(dice, event, dice.choice(slots), DROPPED)
    inquiry = (question, draw_style(dice, question, 0, 0, SYNONYM))
    before, after = document[:place], document[place + 1 :]
    if dice.chance(0.5):
        return [*before, inquiry, (event, style._replace(link="")), *after]
    after[:1] = [(later, how._replace(link="")) for later, how in after[:1]]
    return [*before, (event, style), inquiry, *after]


def draw_document(dice: Dice, sentences: int) -> Document:
    """So many events with their styles, one of them answering a question perhaps."""
    document: Document = []
    topic: Phrase | None = None
    event: Event | None = None
    for _ in range(sentences):
        event = restated(dice, event) if event and dice.chance(RESTATED) else draw_event(dice, topic)
        topic = event.agent if dice.chance(0.5) else event.patient
        said = widened(dice, event)
        style = draw_style(dice, said, PASSIVE, FRONT, SYNONYM)
        if document and dice.chance(LINKED):
            style = style._replace(link=dice.choice(("and", "because")))
        document.append((said, style))
    return questioned(dice, document) if dice.chance(QUESTIONED) else document


def topic_of(document: Document) -> str:
    """The first participant that is neither asked for nor a pronoun."""
    nouns = (phrase.noun for event, _ in document for phrase in (event.agent, event.patient))
    return next(noun for noun in nouns if noun not in (HE, WHO))


def _segmented(language: str, number: int) -> list[bool]:
    """Which of so many documents have their words parted although the language writes no spaces."""
    dice = Dice(f"segmented/{language}/{number}")
    return [not grammar(language).space and dice.chance(SEGMENTED) for _ in range(number)]


def articles(language: str, split: str) -> Columns:
    """The columns of wikimedia/wikipedia in a language."""
    dice = Dice(f"wikipedia/{language}/{split}")
    documents = [draw_document(dice, dice.choice((2, 2, 3))) for _ in range(ARTICLES)]
    segmented = _segmented(language, ARTICLES)
    tell = grammar(language).tell
    return {
        "id": [str(number) for number in range(1, ARTICLES + 1)],
        "url": [f"babel://synthetic/{language}/{number}" for number in range(1, ARTICLES + 1)],
        "title": [grammar(language).cite(topic_of(document)) for document in documents],
        "text": [tell(*row) for row in zip(documents, segmented, strict=True)],
    }


def parallel(language: str, split: str) -> Columns:
    """The columns of the pair of English and a language."""
    dice = Dice(f"ccmatrix/{split}")
    documents = [draw_document(dice, 2) for _ in range(PAIRS)]
    tell = grammar(language).tell
    return {
        "english": [grammar("en").tell(document) for document in documents],
        "non_english": [tell(*row) for row in zip(documents, _segmented(language, PAIRS), strict=True)],
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
