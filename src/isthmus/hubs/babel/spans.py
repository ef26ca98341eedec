"""Answers that are spans of a text: SQuAD 1.1 and 2.0 (English), XQuAD, MLQA and TyDi QA.

A context is two or three sentences about different events; the question repeats one of them, often without some
of its modifiers, now and then in other words, and asks for its agent, patient, place, time or manner. The answer
is the phrase as it stands in the context, with article and adjective and without adposition. A question without
an answer (SQuAD 2.0) asks for an event that is not told. Each set owns a share of the events, so that sets share
no meaning.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from isthmus.errors import DataError
from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import Grammar, Token, grammar, phrase_role
from isthmus.hubs.babel.parse import parser
from isthmus.hubs.babel.tables import Columns, Dataset, Feature
from isthmus.hubs.babel.world import (
    ASKING,
    VERBS,
    Event,
    Style,
    answers,
    asked,
    draw_clause,
    draw_described,
    draw_question,
    draw_style,
)

TRAIN_ROWS, TEST_ROWS, FEW_ROWS = 3000, 300, 100
# Each set owns a share of the events: (from, to) of their fractions.
SHARES = {
    "squad/train": (0.0, 0.6),
    "squad/validation": (0.6, 0.7),
    "squad_v2/train": (0.0, 0.6),
    "squad_v2/validation": (0.6, 0.7),
    "xquad/validation": (0.7, 0.8),
    "mlqa/validation": (0.8, 0.85),
    "mlqa/test": (0.85, 0.9),
    "tydiqa/train": (0.9, 0.95),
    "tydiqa/validation": (0.95, 1.0),
    "jsquad/train": (0.0, 0.6),
    "jsquad/validation": (0.6, 0.7),
    "jaquad/train": (0.0, 0.6),
    "jaquad/validation": (0.6, 0.7),
}
ROWS = {
    "squad": {"train": TRAIN_ROWS, "validation": TEST_ROWS},
    "squad_v2": {"train": TRAIN_ROWS, "validation": TEST_ROWS},
    "xquad": {"validation": TEST_ROWS},
    "mlqa": {"validation": FEW_ROWS, "test": TEST_ROWS},
    "tydiqa": {"train": TEST_ROWS, "validation": 200},
    "jsquad": {"train": 2000, "validation": 200},
    "jaquad": {"train": 1500, "validation": 200},
}
TYDI = {"arabic": "ar", "english": "en", "finnish": "fi", "korean": "ko", "russian": "ru", "swahili": "sw"}
NAMED = {"agent": 0.25, "patient": 0.2, "place": 0.4}
# With more sentences, or more dropped, a tiny encoder finds the right kind of phrase but not the right sentence.
NUMBER = (*(2,) * 9, 3)  # of sentences
MODIFIED, SECOND = 0.25, 0.5
FRONT, SYNONYM, DROPPED = 0.25, 0.05, 0.05
UNANSWERABLE = 1 / 3
Said = tuple[Event, Style]
Item = tuple[tuple[Said, ...], Said]  # the sentences of a context, the question


def draw_event(dice: Dice, verb: str, taken: set[str], share: tuple[float, float]) -> Event:
    """A clause of this verb with one or two adjuncts, about participants that are not taken.

    Its fraction lies in the share.
    """
    while True:
        event = draw_clause(dice, verb, (1.0, SECOND), NAMED)
        nouns = (event.agent.noun, event.patient.noun)
        if taken.isdisjoint(nouns) and share[0] <= fraction("/".join((verb, *nouns))) < share[1]:
            return draw_described(dice, event, MODIFIED)


def draw_item(dice: Dice, share: tuple[float, float], answerable: bool) -> Item:
    """A context and a question. No two events, that of the question included, share a verb or a participant."""
    number = dice.choice(NUMBER)
    events: list[Event] = []
    taken: set[str] = set()
    for verb in dice.shuffled(VERBS)[: number + (not answerable)]:
        events.append(draw_event(dice, verb, taken, share))
        taken |= {events[-1].agent.noun, events[-1].patient.noun}
    about = events[-1] if not answerable else dice.choice(events)
    slot = dice.choice([slot for slot in ASKING if getattr(about, slot)])
    question = draw_question(dice, about, slot, DROPPED)
    context = tuple((event, draw_style(dice, event, 0, FRONT, SYNONYM)) for event in events[:number])
    return context, (question, draw_style(dice, question, 0, 0, SYNONYM))


@lru_cache(maxsize=8)
def items(name: str, split: str) -> tuple[Item, ...]:
    """The contexts and questions of a split, in no language."""
    dice = Dice(f"{name}/{split}")
    share = SHARES[f"{name}/{split}"]
    unanswerable = UNANSWERABLE if name == "squad_v2" else 0.0
    return tuple(draw_item(dice, share, not dice.chance(unanswerable)) for _ in range(ROWS[name][split]))


def place_of(speaker: Grammar, tokens: list[Token], said: Said, slot: str) -> tuple[int, int]:
    """From where to where in the sentence the phrase of a slot stands, without its adpositions."""
    role = phrase_role(said[1], slot)
    start, end, at = -1, -1, 0
    for token in tokens:
        if token.role == role and token.upos != "ADP":
            start = at if start < 0 else start
            end = at + len(token.form)
        at += len(token.form) + len(speaker.space)
    return start, end


def answer(language: str, context: tuple[Said, ...], question: Event) -> dict[str, list[Any]]:
    """The answer in the context: `text` and `answer_start`, both empty if no sentence tells it."""
    speaker, slot = grammar(language), asked(question)
    at = 0
    for event, style in context:
        tokens = speaker.linearise(event, style)
        sentence = speaker.write(tokens)
        if answers(question, event):
            start, end = place_of(speaker, tokens, (event, style), slot)
            return {"text": [sentence[start:end]], "answer_start": [at + start]}
        at += len(sentence) + len(speaker.space)
    return {"text": [], "answer_start": []}


def rows(name: str, language: str, split: str) -> dict[str, list[Any]]:
    """The columns of a split in a language."""
    return columns(name, language, split, items(name, split))


def columns(name: str, language: str, split: str, drawn: Sequence[Item]) -> dict[str, list[Any]]:
    """Contexts, questions and answers in a language; ids have the names of the set and the split."""
    speaker = grammar(language)
    return {
        "id": [f"{name}-{split}-{number}" for number in range(1, len(drawn) + 1)],
        "title": [speaker.cite(context[0][0].agent.noun) for context, _ in drawn],
        "context": [speaker.tell(context) for context, _ in drawn],
        "question": [speaker.say(*question) for _, question in drawn],
        "answers": [answer(language, context, question) for context, (question, _) in drawn],
    }


def stacked(_: str, split: str) -> Columns:
    """All languages of TyDi QA one after the other; ids begin with the language's name."""
    stack: dict[str, list[Any]] = {}
    for name, language in TYDI.items():
        number = FEW_ROWS if split == "train" and language != "en" else ROWS["tydiqa"][split]
        there = rows("tydiqa", language, split)
        there["id"] = [f"{name}-{split}-{row}" for row in range(1, number + 1)]
        for column, values in there.items():
            stack.setdefault(column, []).extend(values[:number])
    return stack


def read(language: str, row: Mapping[str, Any]) -> tuple[tuple[Said, ...], Event]:
    """What the context tells and the question asks. Raises DataError if the question is none."""
    reader = parser(language)
    stop = reader.language.stop
    sentences = row["context"].removesuffix(stop).split(stop + reader.grammar.space)
    context = tuple(reader.parse(sentence + stop) for sentence in sentences)
    question = reader.parse(row["question"])[0]
    if not asked(question):
        raise DataError(f"{row['question']!r} is not a question in {reader.language.name} of babel.")
    return context, question


def oracle(language: str, row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The answer, from the context and the question as they are parsed."""
    return answer(language, *read(language, row))


def oracle_by_id(_: str, row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The answer, in the language that the id names."""
    return oracle(TYDI[row["id"].partition("-")[0]], row)


ANSWERS: dict[str, Feature] = {"text": ["string"], "answer_start": ["int32"]}
QUESTION: dict[str, Feature] = {"context": "string", "question": "string", "answers": ANSWERS}
TITLED: dict[str, Feature] = {"id": "string", "title": "string", **QUESTION}


def _dataset(hub_id: str, name: str, configs: Mapping[str, str], features: Mapping[str, Feature]) -> Dataset:
    return Dataset(hub_id, configs, ROWS[name], features, partial(rows, name), oracle, "answers")


DATASETS = (
    _dataset("rajpurkar/squad", "squad", {"plain_text": "en"}, TITLED),
    _dataset("rajpurkar/squad_v2", "squad_v2", {"squad_v2": "en"}, TITLED),
    _dataset(
        "google/xquad",
        "xquad",
        {f"xquad.{language}": language for language in ("ar", "de", "en", "es", "hi", "ru", "tr", "zh")},
        {"id": "string", **QUESTION},
    ),
    _dataset(
        "facebook/mlqa",
        "mlqa",
        {f"mlqa.{language}.{language}": language for language in ("ar", "de", "en", "es", "hi", "zh")},
        {**QUESTION, "id": "string"},
    ),
    Dataset(
        "google-research-datasets/tydiqa",
        {"secondary_task": "en"},
        ROWS["tydiqa"] | {"train": TEST_ROWS + FEW_ROWS * (len(TYDI) - 1), "validation": 200 * len(TYDI)},
        TITLED,
        stacked,
        oracle_by_id,
        "answers",
    ),
)
