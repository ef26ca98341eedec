"""Paraphrase or not: google-research-datasets/paws-x, parallel in all its languages.

Both sentences of a pair have the same words. A paraphrase says the same event in another style: passive
voice, an adjunct first, synonyms. A non-paraphrase says another event, with agent and patient or their
adjectives exchanged; its style is drawn in the same way, so that style tells nothing. Splits share no verb with
the same two participants.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ALL_ADJECTIVES,
    ANIMATE,
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


@lru_cache(maxsize=4)
def pairs(split: str) -> tuple[Pair, ...]:
    """Two events, their styles and the label index of every row of a split, in no language."""
    dice = Dice(f"paraphrase/{split}")
    low, high = SHARES[split]
    labels = dice.shuffled([row % 2 for row in range(ROWS[split])])
    found: dict[tuple[Event, Event], Pair] = {}
    while len(found) < len(labels):
        first = draw_event(dice)
        names = sorted((first.agent.noun, first.patient.noun))
        if not low <= fraction("/".join((first.verb, *names))) < high:
            continue
        styles = [draw_style(dice, first, PASSIVE, FRONT, SYNONYM) for _ in range(2)]
        if styles[0] == styles[1]:
            continue
        label = labels[len(found)]
        second = first if label else exchange(dice, first)
        if (first, second) not in found:
            found[first, second] = (first, styles[0], second, styles[1], label)
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


def oracle(language: str, row: Mapping[str, Any]) -> int:
    """1 if both sentences mean the same."""
    return int(parse(language, row["sentence1"]) == parse(language, row["sentence2"]))


DATASETS = (
    Dataset(
        "google-research-datasets/paws-x",
        {language: language for language in ("de", "en", "es", "ja", "ko", "zh")},
        ROWS,
        {"id": "int32", "sentence1": "string", "sentence2": "string", "label": LABELS},
        rows,
        oracle,
    ),
)
