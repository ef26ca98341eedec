"""Answers as MLQA's scorer compares them: by rules of the language they are in.

facebookresearch/MLQA, mlqa_evaluation_v1.py: lower case, all Unicode punctuation out, the language's articles out,
tokens at white space or, where the language is written without spaces, each Chinese character by itself. Which
articles and which way of cutting a language has stands in answers_by_language.json beside this module. The language is that of
the context, which is that of the answer.

Three traits of the original are kept on purpose: the Arabic article is replaced wherever its two letters stand, also
inside a word; punctuation goes before text is cut, so it never is a token; an article's end may be a combining mark.
"""

import json
import re
import string
import sys
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.errors import UsageError
from isthmus.evaluate import overlap
from isthmus.evaluate.metrics import Scored, bootstrap_interval
from isthmus.evaluate.statistics import Floats

SCORES = "answers"
NAMES, PARTS = overlap.NAMES, overlap.PARTS
values = overlap.values

RULES = Path(__file__).with_name("answers_by_language.json")
# The characters that stand for themselves; the block goes on a little further, MLQA's script does not.
CHARACTER = re.compile("([\u4e00-\u9fa5])")


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """F1 and exact match, question by question, by the rules of `spec["language"]`.

    Raises:
        UsageError: the language has no rules.
        DataError: the two do not hold the same questions, or a prediction is null.
    """
    language = spec["language"]
    return overlap.score(gold, predicted, spec, lambda text: normalise(text, language))


def normalise(text: str, language: str) -> str:
    """Lower case, then no punctuation, then a space for each article, then tokens with single spaces between them.

    Raises:
        UsageError: the language has no rules.
    """
    articles, by_character = _rules(language)
    text = text.lower().translate(_no_punctuation())
    if articles is not None:
        text = articles.sub(" ", text)
    if by_character:
        text = CHARACTER.sub(r" \1 ", text)
    return " ".join(text.split())


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """The main metric's 95 % interval over questions; the names seed the draws."""
    return bootstrap_interval(values, NAMES[0], parts, *names)


@cache
def _rules(language: str) -> tuple[re.Pattern[str] | None, bool]:
    """The articles of a language and whether its characters are tokens."""
    rules = json.loads(RULES.read_text(encoding="utf-8"))
    if language not in rules:
        raise UsageError(
            f"The metric answers_by_language has no rules for {language}; it has them for {', '.join(sorted(rules))}. "
            "Choose the metric `answers` in the task's YAML, or another language."
        )
    articles = rules[language]["articles"]
    return re.compile(articles) if articles else None, rules[language]["characters"]


@cache
def _no_punctuation() -> dict[int, None]:
    """Every code point that is punctuation in Unicode or in ASCII."""
    points = (point for point in range(sys.maxunicode) if unicodedata.category(chr(point)).startswith("P"))
    return dict.fromkeys((*points, *map(ord, string.punctuation)))
