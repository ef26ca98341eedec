"""Ranked candidates as XTREME-R's files have them: one JSON object from ids to lists of candidates' ids.

The form and its arithmetic are those of Mewsli-X (google-research/xtreme, third_party/utils_mewslix.py, evaluate). LAReQA
has no form of its own, as its script scores vectors; it takes the same, with the candidates' names of that script.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from isthmus.errors import DataError
from isthmus.evaluate.metrics import ranked
from isthmus.evaluate.official.files import Answers, document, line_of, shown
from isthmus.evaluate.official.forms import POINTS, Score, nothing


@dataclass(frozen=True)
class Ranks:
    """A value is an id with the candidates that were found, nearest first; of gold, with those that are right."""

    suffix: ClassVar[str] = "json"

    def read(self, path: Path) -> Answers:
        """The ids and candidates of a file; of an id that comes twice the last counts, as in the official script."""
        found, written = document(path)
        if not isinstance(found, dict):
            raise DataError(f"{path}:1: the file must be one JSON object from ids to lists of ids.")
        values = []
        for name, candidates in found.items():
            if not isinstance(candidates, list) or not all(isinstance(each, str) for each in candidates):
                raise DataError(
                    f"{path}:{line_of(name, written)}: the answer to {shown(name)} is {shown(candidates)}, and it must be "
                    "a list of ids, each a text."
                )
            values.append((name, [candidate.strip() for candidate in candidates]))
        return Answers(str(path), values, ())

    def read_gold(self, path: Path) -> Answers:
        """The same of a file with the right candidates, of which every id needs one."""
        found = self.read(path)
        for name, candidates in found.values:
            if not candidates:
                raise DataError(
                    f"{path}:1: {shown(name)} has no right candidate. Every id needs one: mend the file."
                )
        return found

    def write(self, values: Sequence[tuple[str, Sequence[str]]]) -> str:
        """One object, an id a line."""
        lines = (f"{json.dumps(name)}: {json.dumps(list(candidates))}" for name, candidates in values)
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def score(self, gold: Answers, said: Answers, language: str) -> Score:
        """Mean average precision and mean reciprocal rank of the first 20; an id without a prediction has 0 in both."""
        predicted: Mapping[str, Sequence[str]] = dict(said.values)
        n = len(gold.values)
        if not n:
            raise nothing(gold)
        pairs = [(predicted.get(name, ()), wanted) for name, wanted in gold.values]
        metrics: dict[str, Any] = {
            name: POINTS * (sum(quality(*pair) for pair in pairs) / n)
            for name, quality in zip(ranked.NAMES, (ranked.precision, ranked.reciprocal), strict=True)
        }
        missing = sum(name not in predicted for name, _ in gold.values)
        note = f"{missing} of {n} ids have no prediction and count 0" if missing else ""
        return Score(n, metrics, note)
