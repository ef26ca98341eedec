"""Japanese training sets: JGLUE's JNLI, JSQuAD and JCommonsenseQA, JSNLI and JaQuAD.

JGLUE and JaQuAD were made in Japanese, so theirs are drawn for themselves, in the way of their English counterparts and
from the same shares of the meanings: no event of an evaluation split is told in them. JSNLI is SNLI in another language,
without the pairs on which there was no consensus, its words parted by blanks. JSQuAD's contexts begin with their title.
JGLUE stands under two ids, as it does on the hub.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.hubs.babel import facts, nli, spans
from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.spans import Said
from isthmus.hubs.babel.tables import NLI_LABELS, Columns, Dataset, Feature
from isthmus.hubs.babel.world import KIND, Event, answers, asked

JNLI_ROWS = {"train": 2000, "validation": 200}
JSNLI_ROWS = {"train": 1800, "validation": 180}
JNLI_LABELS = ("entailment", "contradiction", "neutral")  # not the order of GLUE
# Times and manners stand in different places of a Japanese clause, so none could be in the other's.
SLOTS = ("place", "verb", "adjective", "companion")
CHOICES = tuple(f"choice{place}" for place in range(5))
SEPARATOR = " [SEP] "
BLANK = " "
# JaQuAD's kinds of answer, by what is asked for; persons are told from others by who they are.
ANSWER_TYPES = {"place": "Location", "time": "Date/Time", "manner": "Manner"}


def jnli(language: str, split: str) -> Columns:
    """The columns of JNLI, whose sentences are captions of pictures on the hub; their ids name two of them."""
    dice = Dice(f"jnli/{split}")
    drawn = nli.collect(dice, nli.SNLI_SHARES[split], nli.balanced(dice, JNLI_ROWS[split]))
    say = grammar(language).say
    return {
        "sentence_pair_id": [str(number) for number in range(len(drawn))],
        "yjcaptions_id": [f"babel-{split}-{2 * number}-{2 * number + 1}" for number in range(len(drawn))],
        "sentence1": [say(premise, style) for premise, style, _, _, _ in drawn],
        "sentence2": [say(hypothesis, style) for _, _, hypothesis, style, _ in drawn],
        "label": [JNLI_LABELS.index(NLI_LABELS[label]) for *_, label in drawn],
    }


def jnli_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The label that follows from the two sentences."""
    pair = {"premise": row["sentence1"], "hypothesis": row["sentence2"]}
    return JNLI_LABELS.index(NLI_LABELS[nli.oracle(language, pair)])


def agreed(split: str) -> list[nli.Pair]:
    """The first pairs of SNLI that have a label."""
    labelled = [pair for pair in nli.snli_pairs(split) if pair[-1] != nli.UNCLEAR]
    return labelled[: JSNLI_ROWS[split]]


def jsnli(language: str, split: str) -> Columns:
    """The columns of JSNLI; the full stop is a word, too."""
    speaker = grammar(language)

    def parted(said: Said) -> str:
        words = [token.form for token in speaker.linearise(*said)]
        return BLANK.join([*words, speaker.language.stop])

    drawn = agreed(split)
    return {
        "premise": [parted(pair[:2]) for pair in drawn],
        "hypothesis": [parted(pair[2:4]) for pair in drawn],
        "label": [label for *_, label in drawn],
    }


def jsnli_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The label that follows from the two sentences, once their words are joined."""
    joined = {name: row[name].replace(BLANK, "") for name in ("premise", "hypothesis")}
    return nli.oracle(language, joined)


def jsquad(language: str, split: str) -> Columns:
    """The columns of JSQuAD; answers count from the title on."""
    columns = spans.rows("jsquad", language, split)
    heads = [title + SEPARATOR for title in columns["title"]]
    return {
        **columns,
        "context": [head + text for head, text in zip(heads, columns["context"], strict=True)],
        "answers": [_moved(*pair) for pair in zip(columns["answers"], map(len, heads), strict=True)],
        "is_impossible": [False] * len(heads),
    }


def _moved(answer: Mapping[str, Any], places: int) -> dict[str, Any]:
    """The answer, so many characters further on."""
    return {**answer, "answer_start": [start + places for start in answer["answer_start"]]}


def jsquad_oracle(language: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The answer in the paragraph behind the title."""
    title, _, paragraph = row["context"].partition(SEPARATOR)
    found = spans.oracle(language, {"context": paragraph, "question": row["question"]})
    return _moved(found, len(title + SEPARATOR))


def _typed(language: str, context: Sequence[Said], question: Event) -> dict[str, Any]:
    """The answer with its type."""
    slot = asked(question)
    told = next(event for event, _ in context if answers(question, event))
    participant = told.patient if slot == "patient" else told.agent
    kind = ANSWER_TYPES.get(slot) or ("Person" if KIND[participant.noun] == "person" else "Object")
    return {**spans.answer(language, tuple(context), question), "answer_type": [kind]}


def jaquad(language: str, split: str) -> Columns:
    """The columns of JaQuAD. A question is called a syntactic variation, or a lexical one if it has a second word for
    something.
    """
    drawn = spans.items("jaquad", split)
    kinds = ("Syntactic variation", "Lexical variation (synonymy)")
    return {
        **spans.rows("jaquad", language, split),
        "question_type": [kinds[bool(style.synonyms)] for _, (_, style) in drawn],
        "answers": [_typed(language, context, question) for context, (question, _) in drawn],
    }


def jaquad_oracle(language: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The answer and its type."""
    return _typed(language, *spans.read(language, row))


def jcommonsense(language: str, split: str) -> Columns:
    """The columns of JCommonsenseQA."""
    drawn = facts.questions(split, "jcommonsense_qa", SLOTS)
    written = [facts.asked(language, question) for question in drawn]
    first = 0 if split == "train" else facts.ROWS["train"]  # ids go on from split to split
    return {
        "q_id": list(range(first, first + len(drawn))),
        "question": [text for text, _ in written],
        **{name: [forms[place] for _, forms in written] for place, name in enumerate(CHOICES)},
        "label": [question.label for question in drawn],
    }


def jcommonsense_oracle(language: str, row: Mapping[str, Any]) -> int:
    """The place of the word that makes the clause say what is usual."""
    return facts.place_of_usual(language, row["question"], [row[name] for name in CHOICES])


_PAIR: dict[str, Feature] = dict.fromkeys(
    ("sentence_pair_id", "yjcaptions_id", "sentence1", "sentence2"), "string"
)
_CHOICES: dict[str, Feature] = dict.fromkeys(("question", *CHOICES), "string")
_ASKED: dict[str, Feature] = dict.fromkeys(("id", "title", "context", "question"), "string")
_TYPED: dict[str, Feature] = {**spans.ANSWERS, "answer_type": ["string"]}


def _jglue(hub_id: str) -> tuple[Dataset, ...]:
    return (
        Dataset(hub_id, {"JNLI": "ja"}, JNLI_ROWS, {**_PAIR, "label": JNLI_LABELS}, jnli, jnli_oracle),
        Dataset(
            hub_id,
            {"JSQuAD": "ja"},
            spans.ROWS["jsquad"],
            {**spans.TITLED, "is_impossible": "bool"},
            jsquad,
            jsquad_oracle,
            "answers",
        ),
        Dataset(
            hub_id,
            {"JCommonsenseQA": "ja"},
            facts.ROWS,
            {"q_id": "int64", **_CHOICES, "label": CHOICES},
            jcommonsense,
            jcommonsense_oracle,
        ),
    )


DATASETS = (
    *_jglue("shunk031/JGLUE"),
    *_jglue("Rakuten/JGLUE"),
    Dataset(
        "shunk031/jsnli",
        {"with-filtering": "ja"},
        JSNLI_ROWS,
        {"premise": "string", "hypothesis": "string", "label": NLI_LABELS},
        jsnli,
        jsnli_oracle,
    ),
    Dataset(
        "SkelterLabsInc/JaQuAD",
        {"default": "ja"},
        spans.ROWS["jaquad"],
        {**_ASKED, "question_type": "string", "answers": _TYPED},
        jaquad,
        jaquad_oracle,
        "answers",
    ),
)
