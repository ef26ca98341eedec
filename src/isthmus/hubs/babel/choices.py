"""Several endings or answers, one of them right (English): Rowan/hellaswag, allenai/cosmos_qa and those of facts.py.

Three wrong ones differ from the right one in two things: polarity, roles, a participant, the deed. All four
combinations are there, so each choice is as near to the others as any, and nothing but the context tells which
one is right. HellaSwag's context tells of one event, and its right ending says that event again with less.
Cosmos QA asks about one of the participants of two or three sentences, and its wrong answers are made of what
the other sentences say.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from isthmus.hubs.babel import facts
from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.nli import sentences
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import Columns, Dataset
from isthmus.hubs.babel.world import (
    ANIMATE,
    NOUNS,
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
    relation,
)

HELLASWAG_ROWS = {"train": 3000, "validation": 300}
COSMOS_ROWS = {"train": 1500, "validation": 200}
SHARES = {"train": (0.0, 0.85), "validation": (0.85, 1.0)}  # of the meanings, so that splits share none
MODIFIED, NEGATED, PLACED = 0.5, 0.5, 0.5  # of what contexts tell
PASSIVE, FRONT, SYNONYM = 0.03, 0.05, 0.1
KEPT = 0.5  # share of adjectives that an ending keeps
# What tells endings apart. The exchange of roles is the hardest to learn, hence seldom.
ENDING_AXES = ("polarity",) * 6 + ("other",) * 6 + ("deed",) * 2 + ("roles",)
ANSWER_AXES = ("polarity", "other", "deed")
Said = tuple[Event, Style]
Axis = Callable[[Event], Event]


class Item(NamedTuple):
    """What is told in order, which sentence is taken up, the four choices and the place of the right one."""

    told: tuple[Said, ...]
    topic: int
    choices: tuple[Said, ...]
    label: int


def draw_event(
    dice: Dice, modified: float = MODIFIED, negated: float = NEGATED, placed: float = PLACED
) -> Event:
    """A clause with adjectives, and perhaps with an adjunct unless it is negated (adjuncts turn round under negation)."""
    agent = dice.choice(ANIMATE)
    patient = draw_noun(dice, PATIENTS, agent)
    event = Event(
        draw_phrase(dice, agent, modified), dice.choice(VERBS), draw_phrase(dice, patient, modified)
    )
    if dice.chance(negated):
        return event._replace(negated=True)
    return draw_adjunct(dice, event) if dice.chance(placed) else event


def lessened(dice: Dice, event: Event) -> Event:
    """The event without adjuncts and with some of its adjectives: it follows from the whole one."""
    for side in ("agent", "patient"):
        if not dice.chance(KEPT):
            event = changed(event, side, Phrase(getattr(event, side).noun))
    return event._replace(place="", time="", manner="")


def _negation(event: Event) -> Event:
    return event._replace(negated=not event.negated)


def _exchange(event: Event) -> Event:
    return event._replace(agent=event.patient, patient=event.agent)


def _deed(verb: str) -> Axis:
    return lambda event: event._replace(verb=verb)


def _renaming(new: Mapping[str, str]) -> Axis:
    """Other participants in every place of the old ones."""

    def renamed(phrase: Phrase) -> Phrase:
        return phrase._replace(noun=new.get(phrase.noun, phrase.noun))

    return lambda event: event._replace(agent=renamed(event.agent), patient=renamed(event.patient))


def _two(dice: Dice, names: Sequence[str]) -> list[str]:
    """Two different names; one that stands there more often comes more often."""
    first = dice.choice(names)
    return [first, dice.choice([name for name in names if name != first])]


def _ending_axis(dice: Dice, name: str, event: Event) -> Axis:
    """How HellaSwag's endings differ: anything may stand for what the context tells."""
    if name == "polarity":
        return _negation
    if name == "roles":
        return _exchange
    if name == "other":
        agent, patient = event.agent.noun, event.patient.noun
        first, second = dice.shuffled([noun for noun in ANIMATE if noun not in (agent, patient)])[:2]
        if patient not in ANIMATE:
            second = draw_noun(dice, NOUNS["thing"], patient)
        return _renaming({agent: first, patient: second})
    return _deed(draw_noun(dice, VERBS, event.verb))


def _answer_axis(name: str, event: Event, elsewhere: Event) -> Axis:
    """How the answers of Cosmos QA differ: by what another sentence of the context says."""
    if name == "polarity":
        return _negation
    if name == "deed":
        return _deed(elsewhere.verb)
    return _renaming({event.patient.noun: elsewhere.patient.noun})


def follows(told: Sequence[Event], said: Event) -> bool:
    """Does the sentence follow from one of those told?"""
    return any(relation(event, said) == "entailment" for event in told)


def _item(dice: Dice, told: Sequence[Event], topic: int, axes: Sequence[Axis], label: int) -> Item | None:
    """The four combinations of two axes, the right one at `label`; None unless it alone follows."""
    right = lessened(dice, told[topic])
    first, second = axes
    wrong = dice.shuffled([first(right), second(right), first(second(right))])
    choices = [*wrong[:label], right, *wrong[label:]]
    if [follows(told, choice) for choice in choices] != [place == label for place in range(4)]:
        return None

    def styled(events: Sequence[Event]) -> tuple[Said, ...]:
        return tuple((event, draw_style(dice, event, PASSIVE, FRONT, SYNONYM)) for event in events)

    return Item(styled(told), topic, styled(choices), label)


def _draw_ending(dice: Dice, label: int) -> Item | None:
    """An item of HellaSwag."""
    event = draw_event(dice)
    names = [name for name in ENDING_AXES if name != "roles" or event.patient.noun in ANIMATE]
    axes = [_ending_axis(dice, name, event) for name in _two(dice, names)]
    return _item(dice, [event], 0, axes, label)


def _draw_answer(dice: Dice, label: int) -> Item | None:
    """An item of Cosmos QA: sentences of different participants and deeds, one of which is asked about."""
    told = [draw_event(dice) for _ in range(dice.choice((2, 2, 3)))]
    words = [word for event in told for word in (event.agent.noun, event.verb, event.patient.noun)]
    if len(set(words)) < len(words):
        return None
    topic, other = dice.shuffled(range(len(told)))[:2]
    axes = [_answer_axis(name, told[topic], told[other]) for name in _two(dice, ANSWER_AXES)]
    return _item(dice, told, topic, axes, label)


def _items(name: str, split: str, number: int, draw: Callable[[Dice, int], Item | None]) -> tuple[Item, ...]:
    """So many items whose event taken up belongs to the split, the right places balanced."""
    dice = Dice(f"{name}/{split}")
    low, high = SHARES[split]
    labels = dice.shuffled([row % 4 for row in range(number)])
    found: dict[tuple[Said, ...], Item] = {}
    while len(found) < number:
        item = draw(dice, labels[len(found)])
        if item is None:
            continue
        event = item.told[item.topic][0]
        if low <= fraction("/".join((name, event.verb, event.agent.noun, event.patient.noun))) < high:
            found.setdefault(item.told, item)
    return tuple(found.values())


@lru_cache(maxsize=4)
def endings(split: str) -> tuple[Item, ...]:
    """The items of a split of HellaSwag, as meanings."""
    return _items("hellaswag", split, HELLASWAG_ROWS[split], _draw_ending)


@lru_cache(maxsize=4)
def answers(split: str) -> tuple[Item, ...]:
    """The items of a split of Cosmos QA, as meanings."""
    return _items("cosmos_qa", split, COSMOS_ROWS[split], _draw_answer)


def _text(language: str, said: Sequence[Said]) -> str:
    speaker = grammar(language)
    return speaker.join([speaker.say(event, style) for event, style in said])


def hellaswag(language: str, split: str) -> Columns:
    """The columns of Rowan/hellaswag. Endings are whole sentences, so `ctx_b` is empty, as in its WikiHow part."""
    items = endings(split)
    contexts = [_text(language, item.told) for item in items]
    return {
        "ind": list(range(len(items))),
        "activity_label": [grammar(language).cite(item.told[item.topic][0].agent.noun) for item in items],
        "ctx_a": contexts,
        "ctx_b": [""] * len(items),
        "ctx": contexts,
        "endings": [[_text(language, [choice]) for choice in item.choices] for item in items],
        "source_id": [f"babel~{split}~{number}" for number in range(len(items))],
        "split": [{"validation": "val"}.get(split, split)] * len(items),
        "split_type": ["indomain"] * len(items),
        "label": [str(item.label) for item in items],
    }


def hellaswag_oracle(language: str, row: Mapping[str, Any]) -> str:
    """The place of the ending that follows from the context."""
    told = sentences(language, row["ctx"])
    (right,) = [n for n, ending in enumerate(row["endings"]) if follows(told, parse(language, ending))]
    return str(right)


def cosmos(language: str, split: str) -> Columns:
    """The columns of allenai/cosmos_qa. The question names whom it is about."""
    items = answers(split)
    speaker = grammar(language)
    asked = [speaker.phrase(item.told[item.topic][0].agent.noun, "", "theme") for item in items]
    texts = [[_text(language, [choice]) for choice in item.choices] for item in items]
    return {
        "id": [f"babel##{split}##{number}" for number in range(len(items))],
        "context": [_text(language, item.told) for item in items],
        "question": [" ".join(token.form for token in tokens) + "?" for tokens in asked],
        **{f"answer{place}": [choices[place] for choices in texts] for place in range(4)},
        "label": [item.label for item in items],
    }


def cosmos_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The place of the answer that follows from the context."""
    told = sentences(language, row["context"])
    (right,) = [n for n in range(4) if follows(told, parse(language, row[f"answer{n}"]))]
    return right


DATASETS = (
    Dataset(
        "Rowan/hellaswag",
        {"default": "en"},
        HELLASWAG_ROWS,
        {
            "ind": "int32",
            "activity_label": "string",
            "ctx_a": "string",
            "ctx_b": "string",
            "ctx": "string",
            "endings": ["string"],
            "source_id": "string",
            "split": "string",
            "split_type": "string",
            "label": "string",
        },
        hellaswag,
        hellaswag_oracle,
    ),
    Dataset(
        "allenai/cosmos_qa",
        {"default": "en"},
        COSMOS_ROWS,
        {
            "id": "string",
            "context": "string",
            "question": "string",
            **{f"answer{place}": "string" for place in range(4)},
            "label": "int32",
        },
        cosmos,
        cosmos_oracle,
    ),
    *facts.DATASETS,
)
