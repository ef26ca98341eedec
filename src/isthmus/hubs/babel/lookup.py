"""Questions and mentions whose answer is looked up among many: LAReQA's archives/xquad-r and google-research/mewsli-x.

LAReQA is drawn like XQuAD and from its share of the events, but no question is answered by two sentences of the set. It
has the borders of the sentences of each context, and the same rows in all its languages.

An entity of Mewsli-X is the bearer of a name: several have the same, and what its description tells of it, in one
language, tells which is meant. A mention is a name in a text that tells one of the things in the description once more,
with other modifiers, beside a sentence about others. Entities that are mentioned in training are described in English and
mentioned nowhere else; those of the evaluation splits are described in all languages.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from isthmus.errors import DataError
from isthmus.hubs.babel import spans
from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.parse import parser
from isthmus.hubs.babel.spans import Item, Said, place_of
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ANIMATE,
    NAME_KIND,
    NAME_VERBS,
    PATIENTS,
    PLAIN,
    VERBS,
    Event,
    Phrase,
    answers,
    draw_adjunct,
    draw_clause,
    draw_described,
    draw_noun,
    draw_style,
)

QUESTIONS = 300
MENTIONS = {"train": 1500, "validation": 200, "test": 300}
BEARERS = 6  # of each name, the first TRAINED of them mentioned in training, the others one by one in validation and test
TRAINED = 4
FACTS = 2  # that are known of an entity
MODIFIED, ADJUNCT = 0.4, 0.5
PASSIVE, FRONT, SYNONYM = 0.1, 0.2, 0.1
MEWSLI = ("ar", "de", "en", "es", "ja", "tr")


@lru_cache(maxsize=1)
def questions() -> tuple[Item, ...]:
    """LAReQA's contexts and questions, each question answered by one sentence of all."""
    dice = Dice("xquad_r/test")
    found: list[Item] = []
    told: list[Event] = []
    while len(found) < QUESTIONS:
        item = spans.draw_item(dice, spans.SHARES["xquad/validation"], answerable=True)
        context, (question, _) = item
        events = [event for event, _ in context]
        known = any(answers(question, event) for event in told)
        if not known and not any(answers(asked, event) for _, (asked, _) in found for event in events):
            found.append(item)
            told += events
    return tuple(found)


def sentence_breaks(language: str, context: tuple[Said, ...]) -> list[list[int]]:
    """Where each sentence begins and ends, in characters."""
    speaker = grammar(language)
    breaks, at = [], 0
    for said in context:
        end = at + len(speaker.say(*said))
        breaks.append([at, end])
        at = end + len(speaker.space)
    return breaks


def xquad_r(language: str, split: str) -> Columns:
    """The columns of LAReQA's files."""
    return {
        **spans.columns("xquad_r", language, split, questions()),
        "sentence_breaks": [sentence_breaks(language, context) for context, _ in questions()],
    }


class Entity(NamedTuple):
    """The bearer of a name: its id, what is known of it, the language of its description, and where it is mentioned."""

    id: str
    name: str
    facts: tuple[Event, ...]
    language: str
    split: str


def _draw_fact(dice: Dice, name: str) -> Event:
    """Something that the bearer of a name did, or that happened there."""
    if NAME_KIND[name] == "LOC":
        agent = dice.choice(ANIMATE)
        patient = draw_noun(dice, PATIENTS, agent)
        return Event(Phrase(agent), dice.choice(VERBS), Phrase(patient), place=name)
    verb = dice.choice(NAME_VERBS[NAME_KIND[name]])
    return Event(Phrase(name), verb, Phrase(dice.choice(PATIENTS)))


@cache
def entities() -> tuple[Entity, ...]:
    """All entities, in an order that tells nothing; no two of one name have a fact in common."""
    dice = Dice("mewsli-x/entities")
    bearers = [(name, number) for name in NAME_KIND for number in range(BEARERS)]
    codes = dice.shuffled(list(LANGUAGES) * len(bearers))
    known: dict[str, list[Event]] = {name: [] for name in NAME_KIND}
    found = []
    for place, (name, number) in enumerate(dice.shuffled(bearers)):
        facts: list[Event] = []
        while len(facts) < FACTS:
            fact = _draw_fact(dice, name)
            if fact not in known[name]:
                known[name].append(fact)
                facts.append(fact)
        split = "train" if number < TRAINED else ("validation", "test")[(number - TRAINED) % 2]
        language = "en" if split == "train" else codes[place]
        found.append(Entity(f"Q{place + 1}", name, tuple(facts), language, split))
    return tuple(found)


def described(_: str, split: str) -> Columns:
    """The columns of the entities: of all of them, whatever the split."""
    there = entities()
    return {
        "id": [entity.id for entity in there],
        "title": [grammar(entity.language).cite(entity.name) for entity in there],
        "description": [
            grammar(entity.language).tell([(fact, PLAIN) for fact in entity.facts]) for entity in there
        ],
        "language": [entity.language for entity in there],
    }


class Mention(NamedTuple):
    """What a text tells, which of its sentences mentions the entity, and the entity."""

    told: tuple[Said, ...]
    place: int
    entity: Entity


def slot_of(name: str) -> str:
    """Where a name stands in what is told of it."""
    return "place" if NAME_KIND[name] == "LOC" else "agent"


def _draw_mention(dice: Dice, entity: Entity) -> Mention:
    fact = draw_described(dice, dice.choice(entity.facts), MODIFIED)
    event = draw_adjunct(dice, fact) if dice.chance(ADJUNCT) else fact
    aside = draw_clause(dice, dice.choice(VERBS), (ADJUNCT,), {})
    said = [(one, draw_style(dice, one, PASSIVE, FRONT, SYNONYM)) for one in (event, aside)]
    first = dice.chance(0.5)
    return Mention(tuple(said if first else said[::-1]), 0 if first else 1, entity)


@lru_cache(maxsize=3)
def drawn(split: str) -> tuple[Mention, ...]:
    """The mentions of a split, in no language: of each of its entities equally many, or one more."""
    dice = Dice(f"mewsli-x/{split}")
    mine = [entity for entity in entities() if entity.split == split]
    turns = dice.shuffled([mine[row % len(mine)] for row in range(MENTIONS[split])])
    return tuple(_draw_mention(dice, entity) for entity in turns)


def _parted(language: str, mention: Mention) -> tuple[str, str, str]:
    """The text before the mention, the mention, and the text after it."""
    speaker = grammar(language)
    texts = [speaker.say(*said) for said in mention.told]
    said = mention.told[mention.place]
    start, end = place_of(speaker, speaker.linearise(*said), said, slot_of(mention.entity.name))
    before = sum(len(text) + len(speaker.space) for text in texts[: mention.place])
    whole = speaker.join(texts)
    return whole[: before + start], whole[before + start : before + end], whole[before + end :]


def mentions(language: str, split: str) -> Columns:
    """The columns of the mentions; left, mention and right make up the text."""
    there = drawn(split)
    left, mention, right = zip(*(_parted(language, one) for one in there), strict=True)
    return {
        "id": [f"babel-{split}-{number + 1}" for number in range(len(there))],
        "mention": list(mention),
        "left": list(left),
        "right": list(right),
        "entity": [one.entity.id for one in there],
    }


def _fact(event: Event, slot: str) -> Event:
    """What is told, without what is no part of a fact."""
    bare = Event(Phrase(event.agent.noun), event.verb, Phrase(event.patient.noun))
    return bare._replace(place=event.place) if slot == "place" else bare


@cache
def _bearers() -> Mapping[Event, str]:
    return {fact: entity.id for entity in entities() for fact in entity.facts}


def mention_oracle(language: str, row: Mapping[str, Any]) -> str:
    """The entity of which the sentence around the mention tells a fact.

    Raises:
        DataError: the mention is no name.
    """
    reader = parser(language)
    text, at = row["left"] + row["mention"] + row["right"], 0
    for sentence in text.split(reader.language.stop)[:-1]:
        start = len(row["left"]) - at
        if start < len(sentence):
            break
        at += len(sentence) + len(reader.language.stop)
    blank = len(sentence) - len(sentence.lstrip())
    said = reader.parse(sentence[blank:] + reader.language.stop)
    tokens = reader.grammar.linearise(*said)
    for slot in ("agent", "place"):
        place = place_of(reader.grammar, tokens, said, slot)
        if place == (start - blank, start - blank + len(row["mention"])):
            return _bearers()[_fact(said[0], slot)]
    raise DataError(f"{row['mention']!r} names nobody in {text!r}.")


_MENTION = dict.fromkeys(("id", "mention", "left", "right", "entity"), "string")


def _mewsli(languages: tuple[str, ...], splits: tuple[str, ...]) -> Dataset:
    return Dataset(
        "google-research/mewsli-x",
        {f"mentions.{language}": language for language in languages},
        {split: MENTIONS[split] for split in splits},
        _MENTION,
        mentions,
        mention_oracle,
        "entity",
    )


DATASETS = (
    Dataset(
        "archives/xquad-r",
        {language: language for language in ("ar", "de", "en", "es", "hi", "ru", "tr", "zh")},
        {"test": QUESTIONS},
        {**spans.TITLED, "sentence_breaks": [["int32"]]},
        xquad_r,
        spans.oracle,
        "answers",
    ),
    _mewsli(("en",), ("train", "validation", "test")),
    _mewsli(tuple(language for language in MEWSLI if language != "en"), ("validation", "test")),
    Dataset(
        "google-research/mewsli-x",
        {"entities": "en"},
        {"test": BEARERS * len(NAME_KIND)},
        dict.fromkeys(("id", "title", "description", "language"), "string"),
        described,
    ),
)
