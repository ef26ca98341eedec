"""The forms that XTREME's files have: how each is read, written and scored.

Of every form: `suffix` of its files, `read` for predictions, `read_gold`, `write`, and `score`, which gives the number
of examples and the metrics in points. What is right the metric modules decide; only the arithmetic is here, in the
order of the official scripts (google-research/xtreme, evaluate.py; seqeval 0.0.12), so that the last digit is theirs.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from isthmus.errors import DataError
from isthmus.evaluate import overlap
from isthmus.evaluate.metrics import chunks
from isthmus.evaluate.official.files import Answers, document, line_of, lines, shown

INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
POINTS = 100


@dataclass(frozen=True)
class Score:
    """The number of examples, the metrics in points, and what a person should know of the predictions."""

    n: int
    metrics: dict[str, float]
    note: str = ""


class Form(Protocol):
    """One of the forms."""

    @property
    def suffix(self) -> str:
        """What the files' names end with."""
        ...

    def read(self, path: Path) -> Answers:
        """The predictions of a file.

        Raises:
            UsageError: there is no such file.
            DataError: it is not of the form.
        """
        ...

    def read_gold(self, path: Path) -> Answers:
        """The right answers of a file; raises as `read`."""
        ...

    def write(self, values: Sequence[Any]) -> str:
        """The text of a file of predictions."""
        ...

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """The metrics.

        Raises:
            DataError: the two do not belong together, or there is nothing to score.
        """
        ...


@dataclass(frozen=True)
class Labels:
    """A label on each line: one of `names`, or an integer where there are none. As `records`, an object a line with
    the key label; a bare label is read as well. A value is the label's text; of gold, None where there is none.
    """

    names: tuple[str, ...] = ()
    records: bool = False

    @property
    def suffix(self) -> str:
        """What the files' names end with."""
        return "jsonl" if self.records else "tsv"

    def read(self, path: Path) -> Answers:
        """The labels of a file."""
        found = [self._label(line, f"{path}:{number}") for number, line in enumerate(lines(path), start=1)]
        return Answers(str(path), found, range(1, len(found) + 1))

    read_gold = read

    def _label(self, line: str, where: str) -> str:
        label = _record(line, where) if self.records and line.startswith("{") else line
        if label in self.names or (not self.names and INTEGER.fullmatch(label)):
            return label
        wanted = f"one of {', '.join(self.names)}" if self.names else "one integer"
        what = f"has {shown(label)}" if label else "is blank"
        raise DataError(f"{where}: the line {what}, and it must be {wanted}.")

    def write(self, values: Sequence[str]) -> str:
        """A line for each label."""
        if self.records:
            values = [json.dumps({"label": int(value)}) for value in values]
        return "".join(f"{value}\n" for value in values)

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """The share of equal labels, among those with gold."""
        require_equally_many(gold, said, "labels")
        pairs = [pair for pair in zip(gold.values, said.values, strict=True) if pair[0] is not None]
        if not pairs:
            raise nothing(gold)
        correct = sum(right == label for right, label in pairs)
        return Score(len(pairs), {"accuracy": correct / len(pairs) * POINTS})


def _record(line: str, where: str) -> str:
    """The label of an object, which may be a number or a text."""
    try:
        label = json.loads(line)["label"]
    except (ValueError, KeyError, RecursionError) as error:
        raise DataError(f'{where}: the line is no JSON object with the key "label".') from error
    return str(label) if isinstance(label, str) or type(label) is int else shown(label)


@dataclass(frozen=True)
class Tags:
    """A tag of `names` on each line and a blank line after each sentence but the last, where it may stand. A value is
    the list of a sentence's tags; of gold, None where a word has none.
    """

    names: tuple[str, ...]
    suffix: ClassVar[str] = "tsv"

    def read(self, path: Path) -> Answers:
        """The sentences of a file. As in evaluate.py every blank line ends a sentence, be it empty."""
        sentences: list[list[str]] = []
        begins: list[int] = []
        current: list[str] = []
        start = 1
        for number, line in enumerate([*lines(path), ""], start=1):
            if line in self.names:
                current.append(line)
            elif line:
                raise DataError(
                    f"{path}:{number}: the line has {shown(line)}, and it must be one of the {len(self.names)} tags "
                    f"{', '.join(self.names)}, or blank between sentences."
                )
            else:
                sentences.append(current)
                begins.append(start)
                current, start = [], number + 1
        if not sentences[-1]:  # the blank line that was added had nothing to end
            sentences.pop()
            begins.pop()
        return Answers(str(path), sentences, begins)

    read_gold = read

    def write(self, values: Sequence[Sequence[str]]) -> str:
        """A line for each tag, a blank line between sentences."""
        return "\n".join("".join(f"{tag}\n" for tag in sentence) for sentence in values)

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """F1, precision and recall of chunks, and the share of words with the right tag, among words with gold."""
        require_equally_many(gold, said, "sentences")
        place = {name: number for number, name in enumerate(self.names)}
        kept = []
        for number, (mine, theirs) in enumerate(zip(gold.values, said.values, strict=True)):
            if len(mine) != len(theirs):
                raise DataError(
                    f"{said.place(number)}: sentence {number + 1} has {len(theirs)} tags, and {len(mine)} in "
                    f"{gold.place(number)}. Every word needs one."
                )
            pairs = [(place[a], place[b]) for a, b in zip(mine, theirs, strict=True) if a is not None]
            if pairs:
                kept.append(np.array(pairs, np.int64))
        if not kept:
            raise nothing(gold)
        parts = chunks.counts([pairs[:, 0] for pairs in kept], [pairs[:, 1] for pairs in kept], self.names)
        hits, predicted, right, correct, words = (int(total) for total in parts.sum(axis=0))
        accuracy = {"token_accuracy": correct / words * POINTS}
        return Score(len(kept), ratios(hits, predicted, right) | accuracy)


@dataclass(frozen=True)
class Texts:
    """One JSON object from the questions' ids to the answers' texts; gold as SQuAD has it. A value is an id with a
    text; of gold, with the list of texts that are right.
    """

    normalise: Callable[[str, str], str]
    suffix: ClassVar[str] = "json"

    def read(self, path: Path) -> Answers:
        """The ids and texts of a file; of an id that comes twice the last counts, as in the official scripts."""
        found, written = document(path)
        if not isinstance(found, dict):
            raise DataError(f"{path}:1: the file must be one JSON object from ids to texts.")
        for name, answer in found.items():
            if not isinstance(answer, str):
                raise DataError(
                    f"{path}:{line_of(name, written)}: the answer to {shown(name)} is {shown(answer)}, and it must "
                    "be a text."
                )
        return Answers(str(path), list(found.items()), ())

    def read_gold(self, path: Path) -> Answers:
        """The questions of a file in SQuAD's format, an object with `data` or what that holds."""
        found, written = document(path)
        questions = []
        for entry, place in _questions(found, path):
            name, answers = entry.get("id"), entry.get("answers")
            if not isinstance(name, str):
                raise DataError(f"{path}:1: {place} has no id that is a text.")
            texts = [answer.get("text") for answer in _objects(answers, path, f"{place}.answers")]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise DataError(
                    f"{path}:{line_of(name, written)}: the question {shown(name)} has no answer, or one without text. "
                    "Every question needs one: mend the file."
                )
            questions.append((name, texts))
        return Answers(str(path), questions, ())

    def write(self, values: Sequence[tuple[str, str]]) -> str:
        """One object; characters outside ASCII are escaped, as readers open the file in their own encoding."""
        return json.dumps(dict(values), indent=1) + "\n"

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """F1 and exact match, the mean over the questions with gold; one without a prediction has 0 in both."""
        predicted = dict(said.values)
        exact, f1, missing = 0.0, 0.0, 0
        if not gold.values:
            raise nothing(gold)
        for name, golds in gold.values:
            if name not in predicted:
                missing += 1
                continue
            # One after the other, as the scripts add: numpy's sum would differ in the last digit.
            quality = overlap.quality(
                self.normalise(predicted[name], language), [self.normalise(text, language) for text in golds]
            )
            f1 += quality[0]
            exact += quality[1]
        n = len(gold.values)
        note = f"{missing} of {n} questions have no prediction and count 0" if missing else ""
        return Score(n, {"f1": POINTS * f1 / n, "exact_match": POINTS * exact / n}, note)


def _objects(value: Any, path: Path, place: str) -> list[dict[str, Any]]:
    """A list of objects, as it must be."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise DataError(f"{path}:1: {place} must be a list of objects, as in SQuAD's files.")
    return value


def _questions(found: Any, path: Path) -> list[tuple[dict[str, Any], str]]:
    """The questions of SQuAD's nested lists, each with its place."""
    data = found["data"] if isinstance(found, dict) and "data" in found else found
    return [
        (question, f"data[{a}].paragraphs[{p}].qas[{q}]")
        for a, article in enumerate(_objects(data, path, "data"))
        for p, paragraph in enumerate(_objects(article.get("paragraphs"), path, f"data[{a}].paragraphs"))
        for q, question in enumerate(_objects(paragraph.get("qas"), path, f"data[{a}].paragraphs[{p}].qas"))
    ]


@dataclass(frozen=True)
class Pairs:
    """Two ids on each line with a tab between them. A value is the tuple of a line's fields."""

    suffix: ClassVar[str] = "tsv"

    def read(self, path: Path) -> Answers:
        """The pairs of a file. A blank line is kept: the official script counts all of them as one pair."""
        found = [tuple(line.split("\t")) for line in lines(path)]
        for number, pair in enumerate(found, start=1):
            if len(pair) != 2 and pair != ("",):
                raise DataError(
                    f"{path}:{number}: the line has {len(pair)} fields, and it must be two ids with a tab between them."
                )
        return Answers(str(path), found, range(1, len(found) + 1))

    read_gold = read

    def write(self, values: Sequence[tuple[str, str]]) -> str:
        """A line for each pair."""
        return "".join(f"{first}\t{second}\n" for first, second in values)

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """F1, precision and recall of the two sets of pairs; a pair that comes twice is one."""
        right, predicted = set(gold.values), set(said.values)
        if not right:
            raise nothing(gold)
        return Score(len(right), ratios(len(right & predicted), len(predicted), len(right)))


def ratios(hits: int, predicted: int, gold: int) -> dict[str, float]:
    """F1, precision and recall in points, computed in the order of seqeval and evaluate.py; 0 / 0 = 0."""
    precision = hits / predicted if predicted else 0.0
    recall = hits / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"f1": f1 * POINTS, "precision": precision * POINTS, "recall": recall * POINTS}


def require_equally_many(gold: Answers, said: Answers, what: str) -> None:
    """Refuse predictions that are more or fewer than the gold.

    Raises:
        DataError: they are.
    """
    mine, theirs = len(gold.values), len(said.values)
    if mine != theirs:
        raise DataError(
            f"{said.place(mine)}: there are {theirs} {what}, and {mine} in {gold.source}. Every example needs its "
            "prediction, in the same order."
        )


def nothing(gold: Answers) -> DataError:
    """The error of gold with nothing in it."""
    return DataError(f"{gold.place(0)}: there is nothing to score. Give a file or split with right answers.")
