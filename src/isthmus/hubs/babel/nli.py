"""Natural language inference: nyu-mll/glue `mnli`, facebook/anli and stanfordnlp/snli (English), facebook/xnli (parallel).

The hypothesis is drawn first, and the label without regard to it, so a hypothesis alone tells nothing; then a
premise is made that stands in that relation to it. Entailed: the premise says more (modifiers, adjuncts, a
narrower noun). Contradicted: the premise has an opposite, or the other polarity. Neutral: the premise lacks
something the hypothesis says, or has another participant. MNLI and XNLI share no hypothesis between their splits,
hence no pair; ANLI and SNLI draw theirs from the shares of MNLI's splits, hence none of XNLI's.

The premise of ANLI's round r has r sentences in any style, and one of them decides. Annotators of SNLI find no
consensus (label -1) where both participants of a hypothesis are called by the same word.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from isthmus.hubs.babel.dice import Dice, fraction
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.tables import NLI_LABELS, Columns, Dataset, Feature
from isthmus.hubs.babel.world import (
    ALL_ADJECTIVES,
    ANIMATE,
    HYPERNYMS,
    KIND,
    NOUNS,
    OPPOSITES,
    PATIENTS,
    PLAIN,
    VERBS,
    Event,
    Phrase,
    Style,
    changed,
    draw_adjunct,
    draw_noun,
    draw_style,
    relation,
)

TRAIN_ROWS, MATCHED_ROWS, MISMATCHED_ROWS = 6000, 800, 800
VALIDATION_ROWS, TEST_ROWS = 300, 600
# Each set owns a share of the hypotheses: (from, to) of their fractions.
SHARES = {
    "train": (0.0, 0.6),
    "validation_matched": (0.6, 0.7),
    "validation_mismatched": (0.7, 0.8),
    "validation": (0.8, 0.88),
    "test": (0.88, 1.0),
}
ROWS = {
    "train": TRAIN_ROWS,
    "validation_matched": MATCHED_ROWS,
    "validation_mismatched": MISMATCHED_ROWS,
    "validation": VALIDATION_ROWS,
    "test": TEST_ROWS,
}
SNLI_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.7), "test": (0.7, 0.8)}
SNLI_ROWS = {"train": 2000, "validation": 200, "test": 200}
ROUNDS = (1, 2, 3)
ANLI_SHARES = {"train": (0.0, 0.6), "dev": (0.6, 0.8)}
ANLI_ROWS = {f"{part}_r{number}": n for part, n in (("train", 600), ("dev", 100)) for number in ROUNDS}
UNCLEAR = -1  # the label of a pair without consensus
BLURRED = 0.1  # share of SNLI's hypotheses about two of a kind that call both by its name
PASSIVE, FRONT = 0.2, 0.25  # of ANLI's sentences; the other datasets say all in the plain style
NEGATED, BARE, HYPERNYM = 0.5, 0.05, 0.12  # of hypotheses; HYPERNYM of each of their nouns
MODIFIED = 0.5  # share of a premise's open slots that it fills
OPPOSED = 0.15  # share of contradictions by opposites, where there is one; the others are by polarity
OTHERS = 0.07  # share of neutral premises about other participants or deeds, where there is a choice
SYNONYM = 0.15  # share of synonymous concepts said by their second word, drawn for each sentence alone
Pair = tuple[Event, Style, Event, Style, int]
_SIDES = ("agent", "patient")


def draw_hypothesis(dice: Dice) -> Event:
    """A clause with one to three modifiers, seldom none.

    Negated ones have neither adjuncts nor hypernyms, whose logic turns round under negation, and at most one
    adjective, so that a premise can say more.
    """
    agent = dice.choice(ANIMATE)
    patient = draw_noun(dice, PATIENTS, agent)
    event = Event(Phrase(agent), dice.choice(VERBS), Phrase(patient), negated=dice.chance(NEGATED))
    if dice.chance(BARE):
        return event
    slots = dice.shuffled(_SIDES if event.negated else (*_SIDES, "adjunct"))
    number = 1 if event.negated else dice.choice((1, 1, 2, 2, 3))
    for slot in slots[:number]:
        event = _filled(dice, event, slot)
    for side in () if event.negated else _SIDES:
        if dice.chance(HYPERNYM):
            event = _with(event, side, noun=KIND[getattr(event, side).noun])
    return event


def _filled(dice: Dice, event: Event, slot: str) -> Event:
    """The event with a modifier in this slot: a side, or "adjunct"."""
    if slot == "adjunct":
        return draw_adjunct(dice, event)
    return _with(event, slot, adjective=dice.choice(ALL_ADJECTIVES))


def enrich(dice: Dice, event: Event, keep: tuple[str, ...] = (), least: int = 0) -> Event:
    """The event with modifiers that it lacks, at least `least`; the slots named in `keep` stay as they are.

    A positive event with every slot full gets a second adjunct.
    """
    open_ = [side for side in _SIDES if not getattr(event, side).adjective and side not in keep]
    if not event.negated and not event.adjuncts() and "adjunct" not in keep:
        open_.append("adjunct")
    if not open_ and not keep and not event.negated:
        return draw_adjunct(dice, event)
    chosen = {slot for slot in open_ if dice.chance(MODIFIED)}
    for slot in dice.shuffled(open_):
        if len(chosen) >= least:
            break
        chosen.add(slot)
    for slot in open_:
        if slot not in chosen:
            continue
        event = _filled(dice, event, slot)
    return event


def _with(event: Event, side: str, **changes: str) -> Event:
    return changed(event, side, getattr(event, side)._replace(**changes))


def narrow(dice: Dice, event: Event) -> Event:
    """The event with each hypernym replaced by a noun of its kind, less than half of the time."""
    for side, other in (("agent", "patient"), ("patient", "agent")):
        noun = getattr(event, side).noun
        if noun in HYPERNYMS and dice.chance(0.4):
            narrower = draw_noun(dice, NOUNS[noun], getattr(event, other).noun)
            event = _with(event, side, noun=narrower)
    return event


def entailing(dice: Dice, hypothesis: Event) -> Event:
    """A premise that says all of the hypothesis, and more if there is room."""
    return enrich(dice, narrow(dice, hypothesis), least=1)


def contradicting(dice: Dice, hypothesis: Event) -> Event:
    """A premise that excludes the hypothesis: by polarity, or by the opposite of a verb, adjective or manner."""
    if hypothesis.negated:
        return enrich(dice, hypothesis._replace(negated=False))
    opposed = [_opposed(hypothesis, slot) for slot in ("verb", "agent", "patient", "manner")]
    opposed = [event for event in opposed if event != hypothesis]
    if not opposed or not dice.chance(OPPOSED):
        bare = hypothesis._replace(place="", time="", manner="", negated=True)
        return enrich(dice, bare)
    return enrich(dice, narrow(dice, dice.choice(opposed)))


def _opposed(event: Event, slot: str) -> Event:
    """The event with the opposite in this slot, or as it is."""
    if slot in _SIDES:
        adjective = getattr(event, slot).adjective
        return _with(event, slot, adjective=OPPOSITES.get(adjective, adjective))
    word = getattr(event, slot)
    return changed(event, slot, OPPOSITES.get(word, word))


def neutral(dice: Dice, hypothesis: Event) -> Event:
    """A premise that leaves the hypothesis open: it lacks modifiers, or tells of others."""
    slots = [side for side in _SIDES if getattr(hypothesis, side).adjective]
    slots += ["adjunct"] if hypothesis.adjuncts() else []
    if not slots or dice.chance(OTHERS):
        return enrich(dice, narrow(dice, _others(dice, hypothesis)))
    dropped = [slot for slot in dice.shuffled(slots) if dice.chance(0.5)] or [dice.choice(slots)]
    premise = hypothesis
    for slot in dropped:
        if slot == "adjunct":
            premise = premise._replace(place="", time="", manner="")
        else:
            premise = _with(premise, slot, adjective="")
    return enrich(dice, narrow(dice, premise), keep=tuple(dropped), least=1)


def _others(dice: Dice, event: Event) -> Event:
    """The event with agent, verb and patient replaced."""
    verbs = [verb for verb in VERBS if verb not in (event.verb, OPPOSITES.get(event.verb))]
    event = event._replace(verb=dice.choice(verbs))
    return _replaced(dice, _replaced(dice, event, "agent"), "patient")


def _replaced(dice: Dice, event: Event, side: str) -> Event:
    """The event with another participant, of which the old one is not the kind."""
    old, other = getattr(event, side).noun, getattr(event, "patient" if side == "agent" else "agent").noun
    nouns = ANIMATE if side == "agent" else PATIENTS
    return _with(
        event, side, noun=dice.choice([n for n in nouns if n not in (old, other) and KIND[n] != old])
    )


_PREMISES = (entailing, neutral, contradicting)


def _owned(hypothesis: Event, share: tuple[float, float]) -> bool:
    """Is the hypothesis in this share?"""
    return share[0] <= fraction("/".join(map(str, hypothesis))) < share[1]


def collect(dice: Dice, share: tuple[float, float], labels: list[int], *style: float) -> tuple[Pair, ...]:
    """A pair for each label, with hypotheses of this share; `style`: how often it is passive, and an adjunct first."""
    passive, front = style or (0.0, 0.0)
    found: dict[tuple[Event, Event], Pair] = {}
    while len(found) < len(labels):
        hypothesis = draw_hypothesis(dice)
        if not _owned(hypothesis, share):
            continue
        label = labels[len(found)]
        premise = _PREMISES[label](dice, hypothesis)
        if (premise, hypothesis) not in found:
            styles = [draw_style(dice, event, passive, front, SYNONYM) for event in (premise, hypothesis)]
            found[premise, hypothesis] = (premise, styles[0], hypothesis, styles[1], label)
    return tuple(found.values())


def balanced(dice: Dice, number: int) -> list[int]:
    return dice.shuffled([row % len(NLI_LABELS) for row in range(number)])


@lru_cache(maxsize=4)
def pairs(split: str) -> tuple[Pair, ...]:
    """Premise, hypothesis, their styles and the label index of every row of a split, in no language."""
    dice = Dice(f"nli/{split}")
    return collect(dice, SHARES[split], balanced(dice, ROWS[split]))


def unclear(hypothesis: Event) -> bool:
    """Are both participants called by the same word, so that nobody can tell who is who?"""
    return hypothesis.agent.noun == hypothesis.patient.noun


def snli_pairs(split: str) -> tuple[Pair, ...]:
    """The same for SNLI, where a few hypotheses are unclear and their label is -1."""
    dice = Dice(f"snli/{split}")
    drawn = collect(dice, SNLI_SHARES[split], balanced(dice, SNLI_ROWS[split]))
    return tuple(_blurred(dice, pair, SNLI_SHARES[split]) for pair in drawn)


def _blurred(dice: Dice, pair: Pair, share: tuple[float, float]) -> Pair:
    """The pair as it is, or seldom, where both participants are of one kind, with both called by it."""
    premise, style, hypothesis, other, label = pair
    kinds = {KIND[hypothesis.agent.noun], KIND[hypothesis.patient.noun]}
    if len(kinds) == 1 and dice.chance(BLURRED):
        both = Phrase(kinds.pop())
        blurred = hypothesis._replace(agent=both, patient=both)
        if _owned(blurred, share):
            hypothesis, other = blurred, PLAIN
    return premise, style, hypothesis, other, UNCLEAR if unclear(hypothesis) else label


def _columns(language: str, drawn: Sequence[Pair]) -> dict[str, list[Any]]:
    """Premise, hypothesis and label in a language."""
    say = grammar(language).say
    return {
        "premise": [say(premise, style) for premise, style, _, _, _ in drawn],
        "hypothesis": [say(hypothesis, style) for _, _, hypothesis, style, _ in drawn],
        "label": [label for *_, label in drawn],
    }


def rows(language: str, split: str) -> Columns:
    """The columns of a split in a language."""
    drawn = pairs(split)
    return {**_columns(language, drawn), "idx": list(range(len(drawn)))}


def snli_rows(language: str, split: str) -> Columns:
    """The columns of SNLI."""
    return _columns(language, snli_pairs(split))


def _aside(dice: Dice, hypothesis: Event) -> tuple[Event, Style]:
    """A sentence that says nothing about the hypothesis: of others, who do something else."""
    taken = {hypothesis.agent.noun, hypothesis.patient.noun, hypothesis.verb}
    while True:
        event = enrich(dice, draw_hypothesis(dice))
        clear = not taken & {event.agent.noun, event.patient.noun, event.verb}
        if clear and relation(event, hypothesis) == "neutral":
            return event, draw_style(dice, event, PASSIVE, FRONT, SYNONYM)


def anli_rows(language: str, split: str) -> Columns:
    """The columns of ANLI. Nobody gives reasons."""
    speaker = grammar(language)
    part, _, name = split.partition("_r")
    dice = Dice(f"anli/{split}")
    labels = balanced(dice, ANLI_ROWS[split])
    drawn = collect(dice, ANLI_SHARES[part], labels, PASSIVE, FRONT)
    premises = []
    for premise, style, hypothesis, _, _ in drawn:
        told = [(premise, style), *(_aside(dice, hypothesis) for _ in range(int(name) - 1))]
        premises.append(speaker.join([speaker.say(*said) for said in dice.shuffled(told)]))
    return {
        **_columns(language, drawn),
        "uid": [f"babel-{split}-{number}" for number in range(len(drawn))],
        "premise": premises,
        "reason": [""] * len(drawn),
    }


def sentences(language: str, text: str) -> list[Event]:
    """What the sentences of a text mean."""
    stop = grammar(language).language.stop
    return [parse(language, part.strip() + stop) for part in text.split(stop) if part.strip()]


def snli_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The label that follows, or -1 where it is not clear who is meant."""
    return UNCLEAR if unclear(parse(language, row["hypothesis"])) else oracle(language, row)


def anli_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The label that follows from the one sentence of the premise that decides, neutral if none does."""
    hypothesis = parse(language, row["hypothesis"])
    found = {relation(premise, hypothesis) for premise in sentences(language, row["premise"])} - {"neutral"}
    (label,) = found or {"neutral"}
    return NLI_LABELS.index(label)


def oracle(language: str, row: Mapping[str, Any]) -> int:
    """The label that follows from the two sentences."""
    return NLI_LABELS.index(relation(parse(language, row["premise"]), parse(language, row["hypothesis"])))


_TEXTS: dict[str, Feature] = {"premise": "string", "hypothesis": "string", "label": NLI_LABELS}
DATASETS = (
    Dataset(
        "nyu-mll/glue",
        {"mnli": "en"},
        {split: ROWS[split] for split in ("train", "validation_matched", "validation_mismatched")},
        _TEXTS | {"idx": "int32"},
        rows,
        oracle,
    ),
    Dataset(
        "facebook/xnli",
        {language: language for language in ("ar", "de", "en", "es", "hi", "ru", "sw", "tr", "zh")},
        {split: ROWS[split] for split in ("train", "validation", "test")},
        _TEXTS,
        rows,
        oracle,
    ),
    Dataset("stanfordnlp/snli", {"plain_text": "en"}, SNLI_ROWS, _TEXTS, snli_rows, snli_oracle),
    Dataset(
        "facebook/anli",
        {"plain_text": "en"},
        ANLI_ROWS,
        {"uid": "string", **_TEXTS, "reason": "string"},
        anli_rows,
        anli_oracle,
    ),
)
