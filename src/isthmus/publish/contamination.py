"""The audit of contamination for readers: its worst rows, and what they mean in a sentence."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "contamination.csv"
WORST = 12  # kinds of overlap that the report lists
NOTABLE = 5.0  # percent of a split's examples with the field, from which on the terminal says it
LISTED = 6  # languages that are named


@dataclass(frozen=True)
class Overlap:
    """One field of one target held against one training set, in all languages: `row` is the worst of them, of which `percent`
    of the examples were seen, `languages` are those in which something is shared, the worst first, of `compared`.
    """

    row: Mapping[str, str]
    percent: float
    languages: tuple[str, ...]
    compared: int

    @property
    def named(self) -> str:
        """The languages as people read them."""
        rest = len(self.languages) - LISTED
        return ", ".join(self.languages[:LISTED]) + (f" and {rest} more" if rest > 0 else "")


def read(folder: Path) -> list[dict[str, str]] | None:
    """The rows of contamination.csv in a folder; None where there is none yet."""
    path = folder / FILE
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def overlaps(rows: Sequence[Mapping[str, str]]) -> list[Overlap]:
    """What was found, the worst first: by the share of examples with whole texts or n-grams, whichever are more. It is of
    all that have the field: of few that are long enough for n-grams, one would be much.
    """
    groups: dict[tuple[str, ...], list[tuple[float, Mapping[str, str]]]] = {}
    names = ("training", "training_languages", "role", "target", "field")
    for row in rows:
        share = 100 * max(int(row["exact"]), int(row["ngram"])) / int(row["n"])
        groups.setdefault(tuple(row[name] for name in names), []).append((share, row))
    found = []
    for group in groups.values():
        hits = sorted(
            ((share, row) for share, row in group if int(row["exact"]) or int(row["ngram"])),
            key=lambda pair: -pair[0],
        )
        if hits:
            share, row = hits[0]
            found.append(Overlap(row, share, tuple(row["language"] for _, row in hits), len(group)))
    return sorted(found, key=lambda overlap: -overlap.percent)


def section(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the report shows: `summary`, a sentence; `worst`, one entry for each line of the table; `left`, how many more."""
    found = overlaps(rows)
    lines = [
        {
            **overlap.row,
            "languages": f"{overlap.named} ({len(overlap.languages)} of {overlap.compared})",
            "whole": _share(overlap.row["exact"], overlap.row["exact_percent"]),
            "shared": _share(overlap.row["ngram"], overlap.row["ngram_percent"]),
        }
        for overlap in found[:WORST]
    ]
    hits = sum(len(overlap.languages) for overlap in found)
    summary = (
        f"Of {len(rows):,} comparisons of a test split with a training set, {hits:,} found texts that both have."
        if found
        else f"None of {len(rows):,} comparisons of a test split with a training set found a text that both have."
    )
    return {"summary": summary, "worst": lines, "left": len(found) - len(lines)}


def _share(count: str, percent: str) -> str:
    return f"{percent} % ({int(count):,})" if percent else "–"


def notable(rows: Sequence[Mapping[str, str]]) -> str:
    """A line for the terminal where much of a test split was trained on, else nothing."""
    found = [overlap for overlap in overlaps(rows) if overlap.percent >= NOTABLE]
    if not found:
        return ""
    row = found[0].row
    more = f"; {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"Seen in training: up to {found[0].percent:.0f} % of {row['target']}'s {row['field']} "
        f"({row['language']}) in {row['training']} ({row['role']}){more}. {FILE} has all of it."
    )
