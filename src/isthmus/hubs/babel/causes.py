"""What was the cause, what the effect, who was it: aps/super_glue `copa`, cambridgeltl/xcopa and Social IQa.

The world has no laws of nature, so causes and effects are those of logic: the premise follows from its cause, and its
effect follows from it. The wrong choice differs from the right one in one thing: a participant, the deed, the
polarity. XCOPA is parallel in its languages.

Social IQa's context tells of three events in which the same thing is told (who, to whom, where, when, how), and its
three answers are what each of them tells; the question is about one. So every answer stands in the context.

All of them own shares of the events, as spans.py has them, so that no event of an evaluation split of these, or of
XQuAD, MLQA and TyDi QA, is told in training.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from isthmus.hubs.babel import choices, spans
from isthmus.hubs.babel.choices import Said, follows, lessened
from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import Columns, Dataset, Feature
from isthmus.hubs.babel.world import (
    ANIMATE,
    ASKING,
    PATIENTS,
    VERBS,
    Event,
    Phrase,
    changed,
    draw_noun,
    draw_question,
    draw_style,
)

# The sizes of COPA and XCOPA are the published ones: they are small.
COPA_ROWS = {"train": 400, "validation": 100}
XCOPA_ROWS = {"validation": 100, "test": 500}
SOCIAL_ROWS = {"train": 1500, "validation": 200}
SHARES = {
    "copa/train": (0.0, 0.6),
    "copa/validation": (0.6, 0.7),
    "xcopa/validation": (0.7, 0.8),
    "xcopa/test": (0.8, 1.0),
    "social_iqa/train": (0.0, 0.6),
    "social_iqa/validation": (0.6, 0.7),
}
QUESTIONS = ("cause", "effect")
LABELS = ("choice1", "choice2")
LETTERS = "ABC"
MODIFIED = 0.6  # share of COPA's participants with an adjective
# Of COPA's events a third is negated, a third has an adjunct, a third neither. The polarity changes in those without
# adjunct only, so that a choice is negated as often whether it is right or wrong.
NEGATED, PLACED = 1 / 3, 1 / 2


class Item(NamedTuple):
    """A premise, two choices, the place of the right one, and what is asked for."""

    premise: Said
    choices: tuple[Said, ...]
    label: int
    question: str


def _wrong(dice: Dice, right: Event, told: Event) -> Event:
    """The right choice with one thing changed."""
    things = ["agent", "patient", "verb", *(["polarity"] * 2 if not told.adjuncts() else [])]
    thing = dice.choice(things)
    if thing == "polarity":
        return right._replace(negated=not right.negated)
    if thing == "verb":
        return right._replace(verb=draw_noun(dice, VERBS, right.verb))
    phrase: Phrase = getattr(right, thing)
    taken = (right.agent.noun, right.patient.noun)
    others = [noun for noun in (ANIMATE if thing == "agent" else PATIENTS) if noun not in taken]
    return changed(right, thing, phrase._replace(noun=dice.choice(others)))


def is_right(question: str, premise: Event, choice: Event) -> bool:
    """Is the choice the cause, or the effect, of the premise?"""
    return follows([choice], premise) if question == "cause" else follows([premise], choice)


def _draw_item(dice: Dice, share: tuple[float, float], label: int) -> Item | None:
    """An item whose event belongs to the share; None unless the premise and the right choice differ."""
    told = choices.draw_event(dice, MODIFIED, NEGATED, PLACED)
    less = lessened(dice, told)
    question = dice.choice(QUESTIONS)
    premise, right = (told, less) if question == "effect" else (less, told)
    wrong = _wrong(dice, right, told)
    owned = share[0] <= fraction("/".join((told.verb, told.agent.noun, told.patient.noun))) < share[1]
    if not owned or premise == right:
        return None
    offered = (right, wrong) if label == 0 else (wrong, right)
    said = [
        (event, draw_style(dice, event, choices.PASSIVE, choices.FRONT, choices.SYNONYM))
        for event in (premise, *offered)
    ]
    return Item(said[0], tuple(said[1:]), label, question)


@lru_cache(maxsize=4)
def items(name: str, split: str) -> tuple[Item, ...]:
    """The items of a split of COPA or XCOPA, in no language, the right places balanced."""
    number = {"copa": COPA_ROWS, "xcopa": XCOPA_ROWS}[name][split]
    dice = Dice(f"{name}/{split}")
    labels = dice.shuffled([row % 2 for row in range(number)])
    found: dict[tuple[Said, ...], Item] = {}
    while len(found) < number:
        item = _draw_item(dice, SHARES[f"{name}/{split}"], labels[len(found)])
        if item is not None:
            found.setdefault((item.premise, *item.choices), item)
    return tuple(found.values())


def rows(name: str, language: str, split: str) -> Columns:
    """The columns of a split in a language; nothing is ever changed in translation."""
    say = grammar(language).say
    drawn = items(name, split)
    return {
        "premise": [say(*item.premise) for item in drawn],
        **{column: [say(*item.choices[place]) for item in drawn] for place, column in enumerate(LABELS)},
        "question": [item.question for item in drawn],
        "idx": list(range(len(drawn))),
        "label": [item.label for item in drawn],
        "changed": [False] * len(drawn),
    }


def oracle(language: str, row: Mapping[str, Any]) -> int:
    """The place of the choice that is the cause, or the effect."""
    premise = parse(language, row["premise"])
    (right,) = [
        n
        for n, column in enumerate(LABELS)
        if is_right(row["question"], premise, parse(language, row[column]))
    ]
    return right


class Scene(NamedTuple):
    """Three events, the question on one of them, and in which order what they tell is offered."""

    told: tuple[Said, ...]
    question: Said
    slot: str
    order: tuple[int, ...]
    label: int


def _draw_scene(dice: Dice, share: tuple[float, float], label: int) -> Scene:
    """Events of different deeds and participants, each of which tells what is asked for."""
    slot = dice.choice(tuple(ASKING))
    events: list[Event] = []
    taken: set[str] = set()
    for verb in dice.shuffled(VERBS)[: len(LETTERS)]:
        event = spans.draw_event(dice, verb, taken, share)
        while not getattr(event, slot) or getattr(event, slot) in {getattr(one, slot) for one in events}:
            event = spans.draw_event(dice, verb, taken, share)
        events.append(event)
        taken |= {event.agent.noun, event.patient.noun}
    about = dice.choice(range(len(events)))
    others = dice.shuffled([place for place in range(len(events)) if place != about])
    question = draw_question(dice, events[about], slot, spans.DROPPED)
    told = tuple((event, draw_style(dice, event, 0, spans.FRONT, spans.SYNONYM)) for event in events)
    asked = (question, draw_style(dice, question, 0, 0, spans.SYNONYM))
    return Scene(told, asked, slot, (*others[:label], about, *others[label:]), label)


@lru_cache(maxsize=2)
def scenes(split: str) -> tuple[Scene, ...]:
    """The scenes of a split of Social IQa, the right places balanced."""
    dice = Dice(f"social_iqa/{split}")
    share = SHARES[f"social_iqa/{split}"]
    labels = dice.shuffled([row % len(LETTERS) for row in range(SOCIAL_ROWS[split])])
    return tuple(_draw_scene(dice, share, label) for label in labels)


def _offered(language: str, scene: Scene) -> list[str]:
    """What each event tells, as it stands there, in the order of the answers."""
    speaker = grammar(language)
    phrases = []
    for said in scene.told:
        tokens = speaker.linearise(*said)
        start, end = spans.place_of(speaker, tokens, said, scene.slot)
        phrases.append(speaker.write(tokens)[start:end])
    return [phrases[place] for place in scene.order]


def social(language: str, split: str) -> Columns:
    """The columns of Social IQa; labels are texts that count from 1."""
    speaker = grammar(language)
    drawn = scenes(split)
    offered = [_offered(language, scene) for scene in drawn]
    return {
        "context": [speaker.tell(scene.told) for scene in drawn],
        "question": [speaker.say(*scene.question) for scene in drawn],
        **{f"answer{letter}": [texts[n] for texts in offered] for n, letter in enumerate(LETTERS)},
        "label": [str(scene.label + 1) for scene in drawn],
    }


def social_oracle(language: str, row: Mapping[str, Any]) -> str:
    """The answer that the event asked about tells."""
    (text,) = spans.oracle(language, row)["text"]
    answers: Sequence[str] = [row[f"answer{letter}"] for letter in LETTERS]
    return str(answers.index(text) + 1)


_TEXTS: dict[str, Feature] = dict.fromkeys(("premise", *LABELS, "question"), "string")
_SOCIAL: dict[str, Feature] = dict.fromkeys(
    ("context", "question", *(f"answer{letter}" for letter in LETTERS), "label"), "string"
)
DATASETS = (
    Dataset(
        "aps/super_glue",
        {"copa": "en"},
        COPA_ROWS,
        {**_TEXTS, "idx": "int32", "label": LABELS},
        partial(rows, "copa"),
        oracle,
    ),
    Dataset(
        "cambridgeltl/xcopa",
        {language: language for language in ("sw", "tr", "zh")},
        XCOPA_ROWS,
        {**_TEXTS, "label": "int32", "idx": "int32", "changed": "bool"},
        partial(rows, "xcopa"),
        oracle,
    ),
    *(
        Dataset(hub_id, {"default": "en"}, SOCIAL_ROWS, _SOCIAL, social, social_oracle)
        for hub_id in ("lighteval/siqa", "allenai/social_i_qa")
    ),
)
