"""A study's results as a calm table of text, for the end of a run."""

import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from isthmus.publish import benchmarks, contamination
from isthmus.publish.cells import BASELINE, OK
from isthmus.publish.gains import MEAN
from isthmus.publish.results import Results, read, signed

BLANK = "–"
GAP = "  "
LABEL_WIDTH = 28  # longer arm names are cut in the middle
_LISTED = 12  # groups of blank or flawed cells that are listed
BANNER = "SYNTHETIC DATA: languages and texts are generated; the numbers say nothing about real ones."


def table(results_folder: Path | str, width: int | None = None) -> str:
    """The results in a folder as text of at most `width` columns (the terminal's if None).

    Per encoder all targets at a glance, then each of them: arms as rows; mean, gain over arm `none` with its 95 % interval, then the
    languages, in as many blocks as the width asks for.

    Raises:
        DataError: the folder holds no tables.
    """
    results = read(Path(results_folder))
    width = max(60, width or shutil.get_terminal_size((100, 24)).columns)
    blocks = [_head(results, width)]
    for encoder in results.encoders:
        if len(results.targets(encoder)) > 1:
            blocks.append(_overall(results, encoder, width))
        blocks += [_benchmark(found, encoder, width) for found in benchmarks.standings(results, encoder)]
        for target in results.targets(encoder):
            blocks.append(_target(results, encoder, target, width))
    seen = contamination.notable(contamination.read(Path(results_folder)) or ())
    notes = (_unsound(results, width), "\n".join(_wrap(seen, width)), _legend(results, width))
    blocks += [text for text in notes if text]
    return "\n\n".join(blocks) + "\n"


def _head(results: Results, width: int) -> str:
    title = f"study {results.study}"
    if not results.synthetic:
        return title
    rule = "═" * min(width, 96)
    return "\n".join([rule, *_wrap(BANNER, width), rule, title])


def _target(results: Results, encoder: str, target: str, width: int) -> str:
    languages = results.languages(encoder, target)
    arms = results.arms(encoder)
    facts = [target, encoder, results.metrics.get(target, "no score"), results.splits.get(target, "")]
    ns = sorted({row["n"] for row in results.gains if _is(row, encoder, target) and row["value"] is not None})
    if ns:
        facts.append(f"n {ns[0]}" if len(ns) == 1 else f"n {ns[0]} to {ns[-1]} a language")
    floors = list(results.floors.get(target, {}).values())
    if floors:
        facts.append(f"{results.floor_name(target)} {sum(floors) / len(floors):.1f}")
    columns = [["", *(_short(arm) for arm in arms)]]
    columns.append(["mean", *(_score(results, encoder, arm, target, MEAN) for arm in arms)])
    if arms != [BASELINE]:
        columns.append([f"gain over {BASELINE}", *(_gain(results, encoder, arm, target) for arm in arms)])
    cells = [
        [language, *(_score(results, encoder, arm, target, language) for arm in arms)]
        for language in languages
    ]
    return "\n".join([" · ".join(fact for fact in facts if fact), *_grid(columns, cells, width)])


def _is(row: dict[str, object], encoder: str, target: str) -> bool:
    return row["encoder"] == encoder and row["target"] == target and row["language"] != MEAN


def _overall(results: Results, encoder: str, width: int) -> str:
    """Arms as rows: the mean of the targets, then each target's mean over its languages."""
    arms = results.arms(encoder)
    columns = [["", *(_short(arm) for arm in arms)]]
    columns.append(["mean", *(_score(results, encoder, arm, MEAN, MEAN) for arm in arms)])
    if arms != [BASELINE]:
        columns.append([f"gain over {BASELINE}", *(_gain(results, encoder, arm, MEAN) for arm in arms)])
    cells = [
        [target, *(_score(results, encoder, arm, target, MEAN) for arm in arms)]
        for target in results.targets(encoder)
    ]
    title = f"all targets · {encoder} · mean over the languages of each"
    return "\n".join([title, *_grid(columns, cells, width)])


def _benchmark(found: benchmarks.Standing, encoder: str, width: int) -> str:
    """Arms as rows: the benchmark's score or the mean of the part that is there, the gain, and the groups of tasks."""
    columns = [
        ["", *map(_short, found.rows)],
        [found.columns[0], *(_number(row[0]) for row in found.rows.values())],
    ]
    if list(found.rows) != [BASELINE]:
        gains = [
            "" if arm == BASELINE else BLANK if row[0].gain is None else signed(row[0].gain)
            for arm, row in found.rows.items()
        ]
        columns.append([f"gain over {BASELINE}", *gains])
    cells = [
        [found.columns[place], *(_number(row[place]) for row in found.rows.values())]
        for place in range(1, 1 + found.groups)
    ]
    caveat = _wrap(found.caveat, width) if found.caveat else []
    return "\n".join([f"{found.heading} · {encoder}", *_grid(columns, cells, width), *caveat])


def _number(number: benchmarks.Number) -> str:
    return BLANK if number.value is None else f"{number.value:.1f}{'*' if number.star else ''}"


def _score(results: Results, encoder: str, arm: str, target: str, language: str) -> str:
    row = results.gain(encoder, arm, target, language)
    if row is None or row["value"] is None:
        return BLANK
    return f"{row['value']:.1f}{'' if row['status'] == OK else '*'}"


def _gain(results: Results, encoder: str, arm: str, target: str) -> str:
    row = results.gain(encoder, arm, target)
    if arm == BASELINE:
        return ""
    if row is None or row["gain"] is None:
        return BLANK
    text = signed(row["gain"])
    return text if row["ci_low"] is None else f"{text} [{signed(row['ci_low'])}, {signed(row['ci_high'])}]"


def _grid(fixed: Sequence[Sequence[str]], cells: Sequence[Sequence[str]], width: int) -> list[str]:
    """Columns side by side; `cells` go on in further blocks, under the names of the rows, where they must."""
    lines: list[str] = []
    block = list(fixed)
    for column in cells:
        if _width([*block, column]) > width and len(block) > 1:
            lines += [*_lines(block), ""]
            block = [fixed[0]]
        block.append(column)
    return lines + _lines(block)


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(_cells, column)) for column in columns) + len(GAP) * (len(columns) - 1)


def _lines(columns: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(_cells, column)) for column in columns]
    return [
        GAP.join(
            text + " " * (size - _cells(text)) if index == 0 else " " * (size - _cells(text)) + text
            for index, (text, size) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _cells(text: str) -> int:
    """Columns a text takes on the screen: two for wide characters, none for combining ones."""
    return sum(
        0 if unicodedata.combining(mark) else 2 if unicodedata.east_asian_width(mark) in "WF" else 1
        for mark in text
    )


def _short(name: str) -> str:
    half = (LABEL_WIDTH - 1) // 2
    return name if len(name) <= LABEL_WIDTH else f"{name[:half]}…{name[-(LABEL_WIDTH - 1 - half) :]}"


def _unsound(results: Results, width: int) -> str:
    groups = results.unsound()
    if not groups:
        return ""
    lines = [f"{BLANK} blank, * rests on fewer seeds or on a collapsed run:"]
    for group in groups[:_LISTED]:
        everything = results.languages(group["encoder"], group["target"])
        some = len(group["languages"]) < max(4, len(everything))
        which = f"({', '.join(group['languages'])})" if some else f"(all {len(everything)} languages)"
        where = f"{group['encoder']} {group['arm']} {group['target']} {which}"
        seeds = f" seed {', '.join(map(str, group['seeds']))}" if len(results.seeds) > 1 else ""
        lines += _wrap(f"  {where}{seeds}: {group['status']}", width)
    if len(groups) > _LISTED:
        lines.append(f"  and {len(groups) - _LISTED} more; scores.parquet has them all")
    lines += _wrap("A mean over languages or targets stands only where all of them have a score.", width)
    return "\n".join(lines)


def _legend(results: Results, width: int) -> str:
    seeds = len(results.seeds)
    covers = "examples only: one seed" if seeds == 1 else f"examples and {seeds} seeds"
    text = f"Scores 0 to 100. In brackets the 95 % interval of the gain; it covers {covers}."
    return "\n".join(_wrap(text, width))


def _wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; what does not fit goes on under a small indent."""
    lines: list[str] = []
    current = text[: len(text) - len(text.lstrip())]
    for word in text.split():
        longer = f"{current}{word}" if not current.strip() else f"{current} {word}"
        if _cells(longer) > width and current.strip():
            lines.append(current)
            longer = f"    {word}"
        current = longer
    return [*lines, current]
