"""Paraphrase or not: google-research-datasets/paws-x, parallel in its languages, and nyu-mll/glue `qqp` (English).

Both sentences of a pair of PAWS-X have the same words. A paraphrase says the same event in another style: passive
voice, an adjunct first, synonyms. A non-paraphrase says another event, with agent and patient or their
adjectives exchanged; its style is drawn in the same way, so that style tells nothing. QQP is easier: what is no
duplicate differs in one thing, mostly a word, seldom the roles. Splits share no verb with the same two
participants, and QQP has none of PAWS-X's test.
"""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ADJUNCT_WORDS,
    ADJUNCTS,
    ALL_ADJECTIVES,
    ANIMATE,
    KIND,
    NAME_KIND,
    NOUNS,
    VERBS,
    Event,
    Phrase,
    Style,
    changed,
    draw_adjunct,
    draw_noun,
    draw_style,
)

TRAIN_ROWS, VALIDATION_ROWS, TEST_ROWS = 4000, 300, 600
SHARES = {"train": (0.0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1.0)}
ROWS = {"train": TRAIN_ROWS, "validation": VALIDATION_ROWS, "test": TEST_ROWS}
LABELS = ("0", "1")
PASSIVE, FRONT, SYNONYM, NEGATED = 0.15, 0.5, 0.2, 0.1
QQP_ROWS = {"train": 3000, "validation": 300}
QQP_LABELS = ("not_duplicate", "duplicate")
ADJECTIVES_OF_TWENTY = (0,) * 2 + (1,) * 14 + (2,) * 4  # how many adjectives twenty events have
Pair = tuple[Event, Style, Event, Style, int]


def draw_event(dice: Dice) -> Event:
    """A clause about two persons or animals, mostly one of them with an adjective, and with an adjunct."""
    agent = dice.choice(ANIMATE)
    patient = draw_noun(dice, ANIMATE, agent)
    event = Event(Phrase(agent), dice.choice(VERBS), Phrase(patient))
    for side in dice.shuffled(("agent", "patient"))[: dice.choice(ADJECTIVES_OF_TWENTY)]:
        event = changed(event, side, getattr(event, side)._replace(adjective=dice.choice(ALL_ADJECTIVES)))
    event = draw_adjunct(dice, event)
    return event._replace(negated=dice.chance(NEGATED))


def exchange(dice: Dice, event: Event) -> Event:
    """Another event of the same words: participants exchanged, or their adjectives."""
    agent, patient = event.agent, event.patient
    if agent.adjective != patient.adjective and dice.chance(0.4):
        return event._replace(
            agent=agent._replace(adjective=patient.adjective),
            patient=patient._replace(adjective=agent.adjective),
        )
    return event._replace(agent=patient, patient=agent)


def near_miss(dice: Dice, event: Event) -> Event:
    """The event with one thing changed, so that it means something else."""
    agent, patient = event.agent, event.patient
    things = [
        "polarity",
        *(side for side in ("agent", "patient") if getattr(event, side).noun not in NAME_KIND),
    ]
    things += ["verb"] * (len(things) == 3)  # the verb tells what a name is the name of
    things += ["roles"] * (KIND[patient.noun] != "thing") + ["adjunct"] * bool(event.adjuncts())
    things += [f"{side} adjective" for side in ("agent", "patient") if getattr(event, side).adjective]
    thing = dice.choice(things)
    if thing == "roles":
        return event._replace(agent=patient, patient=agent)
    if thing == "polarity":
        return event._replace(negated=not event.negated)
    if thing == "verb":
        return event._replace(verb=draw_noun(dice, VERBS, event.verb))
    if thing == "adjunct":
        kind = next(kind for kind in ADJUNCTS if getattr(event, kind))
        return changed(event, kind, draw_noun(dice, ADJUNCT_WORDS[kind], getattr(event, kind)))
    side = thing.split()[0]
    phrase: Phrase = getattr(event, side)
    if thing != side:
        new = phrase._replace(adjective=draw_noun(dice, ALL_ADJECTIVES, phrase.adjective))
    else:
        kind_of_it = ANIMATE if phrase.noun in ANIMATE else NOUNS["thing"]
        new = phrase._replace(
            noun=dice.choice([noun for noun in kind_of_it if noun not in (agent.noun, patient.noun)])
        )
    return changed(event, side, new)


def _fraction(event: Event) -> float:
    """Which split may have the event: by its verb and who takes part."""
    return fraction("/".join((event.verb, *sorted((event.agent.noun, event.patient.noun)))))


@lru_cache(maxsize=4)
def pairs(split: str) -> tuple[Pair, ...]:
    """Two events, their styles and the label index of every row of a split, in no language."""
    dice = Dice(f"paraphrase/{split}")
    low, high = SHARES[split]
    labels = dice.shuffled([row % 2 for row in range(ROWS[split])])
    found: dict[tuple[Event, Event], Pair] = {}
    while len(found) < len(labels):
        first = draw_event(dice)
        if not low <= _fraction(first) < high:
            continue
        styles = [draw_style(dice, first, PASSIVE, FRONT, SYNONYM) for _ in range(2)]
        if styles[0] == styles[1]:
            continue
        label = labels[len(found)]
        second = first if label else exchange(dice, first)
        if (first, second) not in found:
            found[first, second] = (first, styles[0], second, styles[1], label)
    return tuple(found.values())


@lru_cache(maxsize=4)
def questions(split: str) -> tuple[Pair, ...]:
    """The same for QQP. Half of the events are negated, so that a changed polarity does not show in one sentence."""
    dice = Dice(f"qqp/{split}")
    low, high = SHARES[split]
    labels = dice.shuffled([row % 2 for row in range(QQP_ROWS[split])])
    found: dict[tuple[Event, Event], Pair] = {}
    while len(found) < len(labels):
        label = labels[len(found)]
        first = draw_event(dice)._replace(negated=dice.chance(0.5))
        second = first if label else near_miss(dice, first)
        styles = [draw_style(dice, event, PASSIVE, FRONT, SYNONYM) for event in (first, second)]
        owned = low <= _fraction(first) < high and low <= _fraction(second) < high
        if owned and styles[0] != styles[1]:
            found.setdefault((first, second), (first, styles[0], second, styles[1], label))
    return tuple(found.values())


def rows(language: str, split: str) -> Columns:
    """The columns of a split in a language; ids count from 1."""
    say = grammar(language).say
    drawn = pairs(split)
    return {
        "id": list(range(1, len(drawn) + 1)),
        "sentence1": [say(first, style) for first, style, _, _, _ in drawn],
        "sentence2": [say(second, style) for _, _, second, style, _ in drawn],
        "label": [label for *_, label in drawn],
    }


def question_rows(language: str, split: str) -> Columns:
    """The columns of QQP. Its "questions" are statements: what is asked of them is only whether they mean the same."""
    say = grammar(language).say
    drawn = questions(split)
    return {
        "question1": [say(first, style) for first, style, _, _, _ in drawn],
        "question2": [say(second, style) for _, _, second, style, _ in drawn],
        "label": [label for *_, label in drawn],
        "idx": list(range(len(drawn))),
    }


def same(first: str, second: str, language: str, row: Mapping[str, Any]) -> int:
    """1 if the sentences in these two columns mean the same."""
    return int(parse(language, row[first]) == parse(language, row[second]))


DATASETS = (
    Dataset(
        "google-research-datasets/paws-x",
        {language: language for language in ("de", "en", "es", "ja", "ko", "zh")},
        ROWS,
        {"id": "int32", "sentence1": "string", "sentence2": "string", "label": LABELS},
        rows,
        partial(same, "sentence1", "sentence2"),
    ),
    Dataset(
        "nyu-mll/glue",
        {"qqp": "en"},
        QQP_ROWS,
        {"question1": "string", "question2": "string", "label": QQP_LABELS, "idx": "int32"},
        question_rows,
        partial(same, "question1", "question2"),
    ),
)
