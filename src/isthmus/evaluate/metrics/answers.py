"""Answers as SQuAD's scorer compares them, whatever the language: F1 and exact match.

XTREME uses the script of SQuAD v1.1 for XQuAD and TyDiQA (google-research/xtreme, third_party/evaluate_squad.py):
lower case, ASCII punctuation out, the English articles out, tokens at white space. Where a language writes no
spaces, F1 is hardly more than exact match. Questions without an answer count as in SQuAD v2's script.
"""

import re
import string
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from isthmus.evaluate import overlap
from isthmus.evaluate.metrics import Scored, bootstrap_interval
from isthmus.evaluate.statistics import Floats

SCORES = "answers"
NAMES, PARTS = overlap.NAMES, overlap.PARTS
values = overlap.values

ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """F1 and exact match, question by question; columns `answers` of the gold, `prediction` of the other.

    Raises:
        DataError: the two do not hold the same questions, or a prediction is null.
    """
    return overlap.score(gold, predicted, spec, normalise)


def normalise(text: str) -> str:
    """Lower case, then no punctuation, then a space for each article, then single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """The main metric's 95 % interval over questions; the names seed the draws."""
    return bootstrap_interval(values, NAMES[0], parts, *names)
