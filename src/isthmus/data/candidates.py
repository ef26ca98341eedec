"""Texts that look for others: queries and candidates as rows of one table.

Columns: `id`; `side`, whether a row is a query or a candidate; `text`; `beside`, the text that it stands in, or null;
`matches`, the ids of the other side that belong to it. Candidates that are made of sentences have no id in the data: theirs
is the number of their paragraph (from 1) and their place in it (from 0), within one language. Where languages come together
the language stands before it (`en_1_0`), which is what LAReQA's own scripts call them (google-research/xtreme,
third_party/utils_lareqa.py).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.data import sentences
from isthmus.data.faults import refuse

QUERY, CANDIDATE = 0, 1
IDS = pa.list_(pa.string())
MARKED = re.compile(r"\{(.*?)\}", re.DOTALL)

Span = Sequence[int]


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    id: str
    side: int
    text: str
    beside: str | None
    matches: list[str]


def table(rows: Iterable[Row]) -> pa.Table:
    """Rows as a table."""
    rows = list(rows)
    return pa.table(
        {
            "id": pa.array([row.id for row in rows], pa.string()),
            "side": pa.array([row.side for row in rows], pa.int32()),
            "text": pa.array([row.text for row in rows], pa.string()),
            "beside": pa.array([row.beside for row in rows], pa.string()),
            "matches": pa.array([row.matches for row in rows], IDS),
        }
    )


def of_questions(questions: pa.Table, breaks: Sequence[Sequence[Span]] | None, where: str) -> pa.Table:
    """Questions, and as candidates the sentences of all paragraphs, each beside its paragraph.

    Right is the sentence in which a question's first answer starts, and every other of its paragraph that reads the same,
    as in LAReQA. `breaks` are the sentences of each row's context, first character and the place after the last one;
    without them a rule of our own finds them (`data.sentences`). A question may match nothing.

    Raises:
        DataError: breaks lie outside of their context or run into each other.
    """
    ids, contexts, texts, starts = (
        questions.column(name).to_pylist() for name in ("id", "context", "question", "starts")
    )
    if breaks is not None:
        _refuse_breaks(contexts, breaks, where, ids)
    spans: dict[str, list[Span]] = {}
    for row, context in enumerate(contexts):
        if context not in spans:
            given = sentences.spans(context) if breaks is None else breaks[row]
            spans[context] = [span for span in given if context[slice(*span)].strip()]
    names = {
        (context, place): f"{number}_{place}"
        for number, (context, found) in enumerate(spans.items(), start=1)
        for place in range(len(found))
    }
    asked: dict[str, list[str]] = {name: [] for name in names.values()}
    queries = []
    for name, context, text, begins in zip(ids, contexts, texts, starts, strict=True):
        right = [names[context, place] for place in _holding(context, spans[context], begins)]
        for candidate in right:
            asked[candidate].append(name)
        queries.append(Row(name, QUERY, text, None, right))
    candidates = (
        Row(name, CANDIDATE, context[slice(*spans[context][place])], context, asked[name])
        for (context, place), name in names.items()
    )
    return table([*queries, *candidates])


def _holding(context: str, spans: Sequence[Span], starts: Sequence[int]) -> list[int]:
    """The places of the sentence that holds the first start, and of those that read the same."""
    held = next((span for span in spans if starts and span[0] <= starts[0] < span[1]), None)
    if held is None:
        return []
    text = context[slice(*held)]
    return [place for place, span in enumerate(spans) if context[slice(*span)] == text]


def _refuse_breaks(
    contexts: Sequence[str], breaks: Sequence[Sequence[Span]], where: str, ids: Sequence[str]
) -> None:
    faults = ((row, _break_fault(*pair)) for row, pair in enumerate(zip(contexts, breaks, strict=True)))
    refuse(
        where,
        ((row, text) for row, text in faults if text),
        "Every sentence needs its first character and the place after its last one, in the order of the text: mend the "
        "data, or leave `sentences` out of the task's columns.",
        ids,
    )


def _break_fault(context: str, spans: Sequence[Span] | None) -> str:
    if not spans:
        return "has no sentences"
    end = 0
    for span in spans:
        if span is None or len(span) != 2 or None in span or not end <= span[0] <= span[1] <= len(context):
            return f"has the sentence {span}, and its context has {len(context)} characters"
        end = span[1]
    return ""


def of_queries(found: pa.Table) -> pa.Table:
    """Queries, each with the id of the candidate that it looks for: texts, or mentions in their context."""
    names = set(found.column_names)
    columns = {name: found.column(name).to_pylist() for name in names}
    if "mention" in names:
        texts = list(map(mention, columns["mention"], columns["before"], columns["after"]))
    else:
        texts = columns["query"]
    return table(
        Row(name, QUERY, text, None, [wanted] if wanted else [])
        for name, text, wanted in zip(columns["id"], texts, columns["wanted"], strict=True)
    )


def mention(text: str, before: str, after: str) -> str:
    """A mention in its context as Mewsli-X's baseline shows it: said first, as the context may be cut, then marked with
    braces; braces of the context become parentheses, line ends and double spaces single spaces.
    """
    left, right = (MARKED.sub(r"(\1)", side) for side in (before, after))
    marked = f"{left} {{ {text} }} {right}"
    return " ".join(f"{text}: {marked}".splitlines()).replace("  ", " ").strip()


def of_candidates(found: pa.Table) -> pa.Table:
    """Candidates with ids of their own."""
    ids, texts = (found.column(name).to_pylist() for name in ("id", "candidate"))
    cleaned = (" ".join(text.splitlines()).replace("  ", " ").strip() for text in texts)
    return table(Row(name, CANDIDATE, text, None, []) for name, text in zip(ids, cleaned, strict=True))


def named(language: str, found: pa.Table) -> tuple[list[str], list[list[str]]]:
    """The rows' ids and matches as they are told apart among languages: queries keep their ids, and candidates that were
    made of the queries' own texts get the language before theirs.
    """
    ids, sides, matches = (found.column(name).to_pylist() for name in ("id", "side", "matches"))
    if len(set(sides)) < 2:
        return ids, matches
    names = [name if side == QUERY else f"{language}_{name}" for name, side in zip(ids, sides, strict=True)]
    theirs = [
        [f"{language}_{name}" for name in row] if side == QUERY else row
        for row, side in zip(matches, sides, strict=True)
    ]
    return names, theirs


def right(
    own: tuple[str, pa.Table], pool: Sequence[tuple[str, pa.Table]]
) -> tuple[dict[str, list[str]], list[str]]:
    """Of each query of a table (with its language) the right candidates in a pool, and the ids of all that the pool has.

    A pool of several languages may hold the same queries (by id) in each of them: then what is right there is right.
    """
    language, table_ = own
    found: dict[str, list[str]] = {}
    ids, matches = named(language, table_)
    for name, side, row in zip(ids, table_.column("side").to_pylist(), matches, strict=True):
        if side == QUERY:
            found[name] = list(row)
    everything: list[str] = []
    for other, members in pool:
        names, theirs = named(other, members)
        for name, side, row in zip(names, members.column("side").to_pylist(), theirs, strict=True):
            if side == CANDIDATE:
                everything.append(name)
            elif name in found:
                found[name] += [candidate for candidate in row if candidate not in found[name]]
    return found, everything


def numbered(contents: Iterable[bytes]) -> np.ndarray[Any, Any]:
    """A number for each content, the same for equal ones, int64."""
    places: dict[bytes, int] = {}
    return np.array([places.setdefault(content, len(places)) for content in contents], np.int64)
