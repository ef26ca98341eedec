"""Treebanks of the Universal Dependencies in CoNLL-U, as XTREME reads them: id, tokens list<string>, upos list<string>.

The rule is that of google-research/xtreme (scripts/download_data.sh, third_party/ud-conversion-tools with
--replace_subtokens_with_fused_forms, udpos_preprocess of utils_preprocess.py), in words of our own:

- A contracted word (`4-5 im`) stays one word. Its tag is that of the part which is least deep in the sentence's graph, i.e.
  has the fewest words above it; enhanced dependencies count as edges. Of several, the one whose tag comes first in the
  language's list (conllu.csv, with those of `default` where a language has none), and of equal ones the first.
- Empty nodes (`8.1`) are no words.
- A sentence is left out whose words are `_` but for at most one: treebanks that are published without their text.
- Blanks and zero width non-joiners (U+200C) within words are removed.

The files of a split are pooled, whatever treebank they are of. A word without a tag (`_`) has null, which is no gold. The id is
the file's name and the sentence's number in it.
"""

import csv
import functools
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from isthmus.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
COLUMNS = 10
BLANK = "_"


def picks(name: str, config: str, split: str) -> bool:
    """The pattern of the members says all."""
    return True


@dataclass
class Sentence:
    """Words by their number: form, tag and the numbers above it; and the contracted words by the numbers they span."""

    forms: dict[int, str] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    above: dict[int, set[int]] = field(default_factory=dict)
    fused: list[tuple[int, int, str]] = field(default_factory=list)


def read(file: BinaryIO, name: str, names: Sequence[str]) -> "pa.Table":
    """The sentences of a treebank's file; its language is what its name begins with (`de_gsd-ud-dev.conllu`).

    Raises:
        DataError: a line is none of CoNLL-U.
    """
    import pyarrow as pa

    ranks = precedence(Path(name).name.partition("_")[0])
    ids, tokens, upos = [], [], []
    for number, sentence in enumerate(_sentences(file, name), start=1):
        words = _words(sentence, ranks)
        blank = sum(form == BLANK for form, _ in words)
        if blank and blank >= len(words) - 1:
            continue
        ids.append(f"{Path(name).name}/{number}")
        tokens.append([form.replace("\u200c", "").replace(" ", "") for form, _ in words])
        upos.append([None if tag == BLANK else tag for _, tag in words])
    lists = pa.list_(pa.string())
    return pa.table(
        {"id": pa.array(ids, pa.string()), "tokens": pa.array(tokens, lists), "upos": pa.array(upos, lists)}
    )


def _sentences(file: BinaryIO, name: str) -> Iterator[Sentence]:
    sentence = Sentence()
    for number, raw in enumerate(file, start=1):
        line = _text(raw, f"{name}, line {number}")
        if line.startswith("#"):
            continue
        if line:
            _add(sentence, line.split("\t"), f"{name}, line {number}")
        elif sentence.forms:
            yield sentence
            sentence = Sentence()
    if sentence.forms:
        yield sentence


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is no UTF-8 ({error}). Look at the source's address and members."
        ) from error


def _add(sentence: Sentence, fields: Sequence[str], where: str) -> None:
    """Take in one line: a word, a contracted word, or an empty node, which is passed over."""
    match = re.fullmatch(r"(\d+)(-\d+|\.\d+)?", fields[0])
    if len(fields) != COLUMNS or match is None:
        raise DataError(
            f"{where} is no line of CoNLL-U (a number and {COLUMNS - 1} more fields with tabs in between). Look at the "
            "source's address, format and members."
        )
    number, more, form = int(match.group(1)), match.group(2) or "", fields[1].strip()
    if more.startswith("-"):
        sentence.fused.append((number, int(more[1:]), form))
    elif not more:
        sentence.forms[number], sentence.tags[number] = form, fields[3].strip()
        heads = [fields[6], *(edge.partition(":")[0] for edge in fields[8].split("|"))]
        sentence.above[number] = {int(head) for head in heads if head.isdigit()}


def _words(sentence: Sentence, ranks: Mapping[str, int]) -> list[tuple[str, str]]:
    """Form and tag of each word, contracted ones whole."""
    forms = dict(sentence.forms)
    for start, end, form in sentence.fused:
        parts = [number for number in range(start, end + 1) if number in sentence.forms]
        if not parts:
            continue
        kept = _head(sentence, parts, ranks)
        for part in parts:
            forms.pop(part, None)
        forms[kept] = form
    return [(forms[number], sentence.tags[number]) for number in sorted(forms)]


def _head(sentence: Sentence, parts: Sequence[int], ranks: Mapping[str, int]) -> int:
    """The part whose tag a contracted word has."""
    depths = {part: len(_ancestors(sentence, part)) for part in parts}
    highest = [part for part in parts if depths[part] == min(depths.values())]
    return min(highest, key=lambda part: ranks.get(sentence.tags[part], len(ranks)))


def _ancestors(sentence: Sentence, word: int) -> set[int]:
    """All numbers from which the word is reached, the root (0) among them, itself not."""
    found: set[int] = set()
    waiting = [word]
    while waiting:
        more = sentence.above.get(waiting.pop(), set()) - found
        found |= more
        waiting += more
    return found - {word}


def precedence(language: str) -> dict[str, int]:
    """The rank of each tag in the list of a language, 0 first; what is not in it comes after all that is."""
    lists = _lists()
    return {tag: rank for rank, tag in enumerate(lists.get(language, lists["default"]))}


@functools.cache
def _lists() -> dict[str, list[str]]:
    text = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8")
    return {row["language"]: row["tags"].split() for row in csv.DictReader(io.StringIO(text))}
