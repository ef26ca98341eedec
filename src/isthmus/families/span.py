"""The family of span extraction: `<s> question </s></s> context </s>` to the stretch of the context that answers.

Every piece of a context carries its place in the original text, so an answer is cut from the text and never put
together from pieces: it holds in all scripts, with or without spaces. A context that is too long is read in
overlapping windows (BERT's run_squad.py); the best span over a question's windows is its answer.

torch is imported inside the functions that compute, so that tokenizing does not wait for it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data import ragged
from isthmus.data.batch import Array, Specials, Tables, pad
from isthmus.data.faults import refuse
from isthmus.data.offsets import ABSENT, covering, trimmed, windows
from isthmus.data.ragged import Ragged
from isthmus.data.rows import epoch as epoch
from isthmus.data.rows import positions as positions
from isthmus.data.text import encode_column
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedConfig, PreTrainedModel

READS = ("context",)  # the columns that say which tasks it can read
ONE_CORPUS = False  # each task is a training set of its own
FULL_VOCABULARY = False
SPECIAL_TOKENS = 4
TEXTS, PLACES = pa.list_(pa.string()), pa.list_(pa.int32())


@dataclass(frozen=True)
class Examples:
    """Windows: window w shows pieces start[w] to stop[w] of the context of question[w].

    Of the questions: their texts, their pieces (cut), the places of the context's pieces in its text, in characters
    (`begins` and `ends`, laid out as `context`), and the first and last piece of the first gold answer (-1 = none).
    """

    ids: Array
    texts: Sequence[str]
    answers: Sequence[Sequence[str]]
    asked: Ragged
    keep: Array
    context: Ragged
    begins: Array
    ends: Array
    first: Array
    last: Array
    question: Array
    start: Array
    stop: Array
    specials: Specials

    def __len__(self) -> int:
        return len(self.question)

    @property
    def answerable(self) -> Array:
        """Whether each question has an answer, bool."""
        return np.array([len(answers) > 0 for answers in self.answers], bool)


def canonical(tables: Mapping[str, pa.Table], where: str) -> pa.Table:
    """Rows of id, context, question, answers and starts; no answers = the question has none in this context.

    Raises:
        DataError: a text is null or a context empty, answers and starts are not equally many, or an answer does not stand at its start.
    """
    table = tables[""]
    columns = {name: table.column(name).to_pylist() for name in ("context", "question", "answers", "starts")}
    columns["answers"] = [answers or [] for answers in columns["answers"]]
    columns["starts"] = [starts or [] for starts in columns["starts"]]
    faults = ((row, _problem(*values)) for row, values in enumerate(zip(*columns.values(), strict=True)))
    refuse(
        where,
        ((row, text) for row, text in faults if text),
        "Every answer needs its text and its start, counted in characters (code points) of the context as it is, not in "
        "bytes; a question that has none has empty lists. Mend the data or leave the row out.",
        table.column("id").to_pylist(),
    )
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "context": pa.array(columns["context"], pa.string()),
            "question": pa.array(columns["question"], pa.string()),
            "answers": pa.array(columns["answers"], TEXTS),
            "starts": pa.array(columns["starts"], PLACES),
        }
    )


def _problem(
    context: str | None, question: str | None, answers: Sequence[str | None], starts: Sequence[int | None]
) -> str:
    if context is None or question is None:
        return f"has no {'context' if context is None else 'question'} (a null)"
    if not context.strip():
        return "has an empty context"
    if len(answers) != len(starts):
        return f"has {len(answers)} answers and {len(starts)} starts"
    for answer, start in zip(answers, starts, strict=True):
        if not answer or start is None:
            return "has an answer without text or without a start"
        found = context[start : start + len(answer)] if start >= 0 else ""
        if found != answer:
            return (
                f"says that {answer!r} starts at character {start} of its context, but {found!r} stands there"
            )
    return ""


def encode(tokenizer: "Tokenizer", table: pa.Table, spec: Mapping[str, Any]) -> pa.Table:
    """Canonical columns to id, question_ids, context_ids, begins, ends, context, answers, starts.

    `begins` and `ends` are the characters of the original context that each of its pieces stands for, without white
    space around them: the space that a piece may begin with is not part of its word. Of a piece that is nothing but
    space, `begins` is after `ends` or at it.
    """
    contexts = table.column("context").to_pylist()
    place = {text: number for number, text in enumerate(dict.fromkeys(contexts))}
    distinct = pa.table({"context": pa.array(list(place), pa.string())})
    ids = encode_column(tokenizer, distinct, "context")
    spans = [encoding.offsets for encoding in tokenizer.encode_batch(list(place), add_special_tokens=False)]
    begins, ends = zip(*map(trimmed, place, spans), strict=True) if place else ((), ())
    which = pa.array([place[text] for text in contexts], pa.int64())
    return pa.table(
        {
            "id": table.column("id").cast(pa.string()),
            "question_ids": encode_column(tokenizer, table, "question"),
            "context_ids": ids.take(which),
            "begins": pa.array(begins, PLACES).take(which),
            "ends": pa.array(ends, PLACES).take(which),
            "context": table.column("context").cast(pa.string()),
            "answers": table.column("answers").cast(TEXTS),
            "starts": table.column("starts").cast(PLACES),
        }
    )


def read(tables: Tables, recipe: Recipe, specials: Specials) -> Examples:
    """Token tables of one or more languages as windows of `recipe.max_length`, `recipe.doc_stride` pieces apart.

    A question keeps at most `recipe.max_query_length` pieces and leaves the context room for one. Every piece of a
    context is in a window: where the room is less than the stride, the step is half the room.
    """
    table = pa.concat_tables(table for _, table in tables).combine_chunks()
    asked, context = (ragged.from_column(table.column(name)) for name in ("question_ids", "context_ids"))
    begins, ends = (ragged.from_column(table.column(name)).flat for name in ("begins", "ends"))
    answers = table.column("answers").to_pylist()
    left = np.array([places[0] if places else 0 for places in table.column("starts").to_pylist()], np.int64)
    right = left + np.array([len(texts[0]) if texts else 0 for texts in answers], np.int64)
    first, last = covering(context, begins, ends, left, right)
    keep = np.minimum(asked.lengths, min(recipe.max_query_length, recipe.max_length - SPECIAL_TOKENS - 1))
    room = recipe.max_length - SPECIAL_TOKENS - keep
    question, start = windows(context.lengths, room, recipe.doc_stride)
    return Examples(
        ids=table.column("id").to_numpy(zero_copy_only=False),
        texts=table.column("context").to_pylist(),
        answers=answers,
        asked=asked,
        keep=keep,
        context=context,
        begins=begins,
        ends=ends,
        first=first,
        last=last,
        question=question,
        start=start,
        stop=np.minimum(start + room[question], context.lengths[question]),
        specials=specials,
    )


def usable(examples: Examples) -> Array:
    """The windows of all questions but those whose answer no piece covers."""
    known = ~examples.answerable | (examples.first != ABSENT)
    return np.flatnonzero(known[examples.question])


def subset(examples: Examples, chosen: Array) -> Examples:
    """The chosen windows only."""
    return replace(
        examples,
        question=examples.question[chosen],
        start=examples.start[chosen],
        stop=examples.stop[chosen],
    )


def everything(examples: Examples) -> tuple[Array, Array]:
    """Every window in order, with its tokens, special tokens included."""
    tokens = examples.keep[examples.question] + examples.stop - examples.start + SPECIAL_TOKENS
    return np.arange(len(examples)), tokens


def collate(examples: Examples, rows: Array, recipe: Recipe, *names: int | str) -> dict[str, Array]:
    """The batch of some windows, all int64: input_ids, attention_mask and `shown`, 1 on the context's pieces, [B, T];
    `starts` and `ends` [B], the tokens of the gold answer or 0 (`<s>`) where this window has none or not all of it;
    `limits` [B, 2], the spans to give and their most pieces.
    """
    input_ids, attention_mask = pad([_layout(examples, row) for row in rows], examples.specials.pad)
    question, start, stop = examples.question[rows], examples.start[rows], examples.stop[rows]
    opening = _opening(examples, rows)
    place = np.arange(input_ids.shape[1])
    shown = (place >= opening[:, None]) & (place < (opening + stop - start)[:, None])
    first, last = examples.first[question], examples.last[question]
    here = (first >= start) & (last < stop) & (first != ABSENT)
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "shown": shown.astype(np.int64),
        "starts": np.where(here, opening + first - start, 0),
        "ends": np.where(here, opening + last - start, 0),
        "limits": np.tile([recipe.n_best, recipe.max_answer_length], (len(rows), 1)),
    }


def _layout(examples: Examples, row: int) -> list[Any]:
    bos, eos = [examples.specials.bos], [examples.specials.eos]
    question = examples.question[row]
    window = examples.context[question][examples.start[row] : examples.stop[row]]
    return [bos, examples.asked[question][: examples.keep[question]], eos, eos, window, eos]


def _opening(examples: Examples, rows: Array) -> Array:
    """The token at which each window's context begins."""
    opening: Array = examples.keep[examples.question[rows]] + SPECIAL_TOKENS - 1
    return opening


def head(config: "PreTrainedConfig", task: Mapping[str, Any]) -> "torch.nn.Module":
    """XLM-R's question answering head."""
    from isthmus.model.heads import SpanHead

    return SpanHead(config)


def loss(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """The mean of the cross-entropies of start and end, over `<s>` and the context's pieces."""
    from torch.nn.functional import cross_entropy

    logits = _logits(encoder, head, batch)
    logits = logits.masked_fill(~_allowed(batch)[..., None], float("-inf"))
    start, end = (
        cross_entropy(logits[..., side], batch[name]) for side, name in enumerate(("starts", "ends"))
    )
    return (start + end) / 2


def _allowed(batch: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":
    """Where an answer may start or end, or be absent: bool [B, T]."""
    allowed = batch["shown"].bool()
    allowed[:, 0] = True
    return allowed


def _logits(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> "torch.Tensor":
    """float32 [B, T, 2]."""
    from isthmus.model.encoder import hidden_states

    logits: torch.Tensor = head(hidden_states(encoder, batch)).float()
    return logits


def outputs(
    encoder: "PreTrainedModel", head: "torch.nn.Module", batch: Mapping[str, "torch.Tensor"]
) -> dict[str, Array]:
    """The best spans of each window, best first: `start` and `end` int32 [B, n], tokens of the window, and `score`
    float32 [B, n], the sum of their logits (-inf where there are fewer spans than n); `null` float32 [B], that of `<s>`.

    As in SQuAD's scripts, the n best starts are combined with the n best ends.
    """
    logits = _logits(encoder, head, batch).cpu().numpy()
    count, longest = batch["limits"][0].tolist()
    inside = np.where(batch["shown"].bool().cpu().numpy()[..., None], logits, -np.inf)
    starts, ends = (_best(inside[..., side], count) for side in range(2))
    sums = np.take_along_axis(inside[..., 0], starts, 1)[:, :, None]
    sums = sums + np.take_along_axis(inside[..., 1], ends, 1)[:, None, :]
    lengths = ends[:, None, :] - starts[:, :, None] + 1
    sums = np.where((lengths >= 1) & (lengths <= longest), sums, -np.inf).reshape(len(sums), -1)
    best = _best(sums, count)
    width = ends.shape[1]
    chosen = {
        "start": np.take_along_axis(starts, best // width, 1).astype(np.int32),
        "end": np.take_along_axis(ends, best % width, 1).astype(np.int32),
        "score": np.take_along_axis(sums, best, 1).astype(np.float32),
    }
    fill = {"start": 0, "end": 0, "score": -np.inf}
    missing = ((0, 0), (0, count - best.shape[1]))
    padded = {name: np.pad(values, missing, constant_values=fill[name]) for name, values in chosen.items()}
    return {**padded, "null": logits[:, 0].sum(-1)}


def _best(values: Array, count: int) -> Array:
    """The places of the highest values of each row, highest first; of equal ones the first, so that runs agree."""
    return np.argsort(-values, axis=1, kind="stable")[:, :count]


def originals(examples: Examples) -> Array:
    """The row of the dataset that each example is a window of."""
    return examples.question


def identifiers(examples: Examples) -> Array:
    """The id of each window's question, as text."""
    return examples.ids[examples.question]


def predictions(examples: Examples, outputs: Mapping[str, Array], form: Mapping[str, Any]) -> pa.Table:
    """id, prediction (the answer's text) and score float32, by how much the best span beats `<s>`.

    Where the task has questions without an answer, a score below 0 is the empty text (SQuAD v2's script, at its
    threshold 0); elsewhere the best span that is not empty is the answer.
    """
    questions, texts, ahead = _answers(examples, outputs, bool(form.get("unanswerable")))
    return pa.table(
        {
            "id": pa.array(examples.ids[questions], pa.string()),
            "prediction": pa.array(texts, pa.string()),
            "score": pa.array(ahead.astype(np.float32)),
        }
    )


def _answers(
    examples: Examples, outputs: Mapping[str, Array], unanswerable: bool
) -> tuple[Array, list[str], Array]:
    """The questions that have windows here, their answers, and the best span's score less that of no answer."""
    shift = (examples.start - _opening(examples, np.arange(len(examples))))[:, None]
    base = examples.context.offsets[examples.question][:, None] + shift
    real = np.isfinite(outputs["score"])
    begins, ends = np.zeros_like(outputs["start"]), np.zeros_like(outputs["end"])
    begins[real] = examples.begins[(base + outputs["start"])[real]]
    ends[real] = examples.ends[(base + outputs["end"])[real]]
    scores = np.where(ends > begins, outputs["score"], -np.inf)
    candidate = scores.argmax(1)
    window = np.arange(len(examples))
    score = scores[window, candidate]
    questions, first = np.unique(examples.question, return_index=True)
    best = np.lexsort((window, -score, examples.question))[first]
    ahead = score[best] - np.minimum.reduceat(outputs["null"], first)
    answered = np.isfinite(score[best]) & ((ahead >= 0) | (not unanswerable))
    texts = [
        examples.texts[question][begins[row, place] : ends[row, place]] if answer else ""
        for question, row, place, answer in zip(questions, best, candidate[best], answered, strict=True)
    ]
    return questions, texts, ahead


def score(examples: Examples, outputs: Mapping[str, Array]) -> float:
    """The mean of exact matches and of overlap (F1 of words, or of characters where a text has one word), 0 to 1.

    Texts are compared as they are, in lower case; the best of a question's gold answers counts.
    """
    questions, texts, _ = _answers(examples, outputs, not examples.answerable.all())
    return float(
        np.mean([_quality(text, examples.answers[q]) for q, text in zip(questions, texts, strict=True)])
    )


def _quality(text: str, answers: Sequence[str]) -> float:
    golds = list(answers) or [""]
    exact = max(text.lower() == gold.lower() for gold in golds)
    return (exact + max(_overlap(text.lower(), gold.lower()) for gold in golds)) / 2


def _overlap(text: str, gold: str) -> float:
    spaced = len(text.split()) > 1 or len(gold.split()) > 1
    left, right = (Counter(side.split() if spaced else side) for side in (text, gold))
    if not left or not right:
        return float(left == right)
    return 2 * (left & right).total() / (left.total() + right.total())


def collapsed(examples: Examples, outputs: Mapping[str, Array]) -> bool:
    """Whether every question gets one and the same answer, or none, although their gold answers differ."""
    questions, texts, _ = _answers(examples, outputs, not examples.answerable.all())
    gold = {tuple(examples.answers[q]) for q in questions}
    return len(gold) > 1 and len(set(texts)) == 1
