"""The report stage: one self-contained page of HTML, readable anywhere, with nothing fetched and nothing run.

The page says what was asked, shows gains, scores and intervals, and lists everything that is blank or flawed.
All text goes through the template's autoescape; the page's policy forbids scripts and requests.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from isthmus.evaluate.statistics import RESAMPLES
from isthmus.log import say
from isthmus.publish import benchmarks, contamination, figures
from isthmus.publish.cells import BASELINE, MISSING, OK
from isthmus.publish.gains import MEAN
from isthmus.publish.results import Results, read, signed
from isthmus.work import Work

TEMPLATE = "report.html"
BLANK = "–"
PANELS = 12  # arms drawn per target; tables hold them all
REASON = 48  # letters of a reason that a cell of the heat map has room for; else its status stands there


def run(works: Sequence[Work]) -> None:
    """Write report.html of each unit and commit it.

    Raises:
        DataError: the tables cannot be read.
    """
    for work in works:
        started = time.perf_counter()
        rows = contamination.read(work.inputs["audit"]) if "audit" in work.inputs else None
        page = render(read(work.inputs["tables"]), work.spec, rows)
        (work.folder / TEMPLATE).write_text(page, encoding="utf-8")
        say(f"{work.name}: report.html, {len(page.encode()) / 1024:.0f} KiB")
        work.commit(details={"bytes": len(page.encode()), "seconds": time.perf_counter() - started})


def render(
    results: Results, spec: Mapping[str, Any], audit: Sequence[Mapping[str, str]] | None = None
) -> str:
    """The page as text; `spec` has study, question, synthetic and notes, `audit` the rows of contamination.csv."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # By the means, which the map shows: one language's outlier would make everything else pale.
    colours = figures.scale(row["gain"] for row in results.gains if row["language"] == MEAN)
    return environment.get_template(TEMPLATE).render(
        study=spec["study"],
        question=spec["question"],
        notes=spec.get("notes", []),
        synthetic=spec["synthetic"] or results.synthetic,
        facts=_facts(results),
        baseline=BASELINE,
        seeds=results.seeds,
        has_gains=any(row["gain"] is not None for row in results.gains),
        legend=colours.legend(),
        maps=[_map(results, encoder, colours) for encoder in results.encoders],
        benchmarks=[
            _benchmark(found, encoder, colours)
            for encoder in results.encoders
            for found in benchmarks.standings(results, encoder)
        ],
        sections=[
            _section(results, encoder, target, colours)
            for encoder in results.encoders
            for target in results.targets(encoder)
        ],
        unsound=[_unsound(results, group) for group in results.unsound()],
        audit=None if audit is None else contamination.section(audit),
        resamples=f"{RESAMPLES:,}",
        many_encoders=len(results.encoders) > 1,
        size={"width": figures.WIDTH, "labels": figures.LABELS, "top": figures.TOP, "row": figures.ROW},
    )


def _facts(results: Results) -> list[tuple[str, str]]:
    """The study at a glance: (number, what of)."""
    arms = {row["intermediate"] for row in results.scores}
    cells = {
        tuple(row[name] for name in ("encoder", "intermediate", "target", "language", "split", "seed"))
        for row in results.scores
    }
    blank = sum(row["value"] is None for row in results.scores)
    counts = [
        (len(results.encoders), "encoder"),
        (len(arms), "arm"),
        (len({row["target"] for row in results.scores}), "target"),
        (len({row["language"] for row in results.scores}), "language"),
        (len(results.seeds), "seed"),
        (len(cells), "cell"),
    ]
    facts = [(f"{count:,}", name if count == 1 else f"{name}s") for count, name in counts]
    return [*facts, (f"{blank:,}", "blank")]


def _map(results: Results, encoder: str, colours: figures.Scale) -> dict[str, Any]:
    """The heat map of one encoder: arms as rows, targets and their mean as columns."""
    targets = results.targets(encoder)
    columns = [(target, target, MEAN) for target in targets]
    if len(targets) > 1:
        columns.append((MEAN, MEAN, MEAN))
    rows = [
        (
            arm,
            [_gain(results.gain(encoder, arm, target, language), colours) for _, target, language in columns],
        )
        for arm in results.arms(encoder)
        if arm != BASELINE
    ]
    return {"encoder": encoder, "columns": [name for name, _, _ in columns], "rows": rows}


def _gain(row: Mapping[str, Any] | None, colours: figures.Scale) -> dict[str, Any]:
    """A cell of a heat map: text, interval, colour step; or why it is blank."""
    if row is None or row["gain"] is None:
        return _blank(row) | ({"why": row["note"]} if row and 0 < len(row["note"]) <= REASON else {})
    interval = "" if row["ci_low"] is None else f"{signed(row['ci_low'])} to {signed(row['ci_high'])}"
    return {
        "text": signed(row["gain"]),
        "small": interval,
        "step": colours.step(row["gain"]),
        "sure": figures.tone(row) != "even",
        "flaw": "" if row["status"] == OK else row["status"],
        "note": row["note"],
    }


def _blank(row: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"blank": row["status"] if row else MISSING, "note": row["note"] if row else ""}


def _benchmark(found: benchmarks.Standing, encoder: str, colours: figures.Scale) -> dict[str, Any]:
    """A table of what there is of a benchmark: arms as rows; the whole, its groups and its tasks as columns."""
    rows = [
        (
            arm,
            [
                {"blank": BLANK, "note": "a part of it is blank"}
                if number.value is None
                else {
                    "text": f"{number.value:.1f}",
                    "small": "" if number.gain is None else signed(number.gain),
                    "step": None if number.gain is None else colours.step(number.gain),
                    "sure": False,
                    "flaw": "*" if number.star else "",
                    "note": "",
                }
                for number in numbers
            ],
        )
        for arm, numbers in found.rows.items()
    ]
    return {"encoder": encoder, "found": found, "rows": rows}


def _section(results: Results, encoder: str, target: str, colours: figures.Scale) -> dict[str, Any]:
    """Everything about one encoder and target: facts, panels and the table of scores."""
    languages, arms = results.languages(encoder, target), results.arms(encoder)
    floors = results.floors.get(target, {})
    ns = {
        row["n"]
        for row in results.gains
        if row["encoder"] == encoder and row["target"] == target and row["language"] != MEAN and row["n"]
    }
    drawn = [arm for arm in arms if arm != BASELINE] or arms
    return {
        "encoder": encoder,
        "target": target,
        "metric": results.metrics.get(target),
        "split": results.splits[target],
        "n": None if not ns else f"{min(ns):,}" if len(ns) == 1 else f"{min(ns):,} to {max(ns):,}",
        "floor": f"{sum(floors.values()) / len(floors):.1f}" if floors else None,
        "floor_name": results.floor_name(target),
        "panels": _panels(results, encoder, target, drawn[:PANELS], languages),
        "undrawn": len(drawn[PANELS:]),
        "table": _table(results, encoder, target, arms, languages, colours),
        "sweep": [row for row in results.layers if (row["encoder"], row["target"]) == (encoder, target)],
    }


def _panels(
    results: Results, encoder: str, target: str, arms: Sequence[str], languages: Sequence[str]
) -> list[dict[str, Any]]:
    rows = {
        arm: [
            (name, _with_interval(results, results.gain(encoder, arm, target, name)))
            for name in (MEAN, *languages)
        ]
        for arm in arms
    }
    scores = figures.axis(
        value for panel in rows.values() for _, row in panel for value in figures.reach(row)
    )
    floors = results.floors.get(target, {})
    return [{"arm": arm} | figures.panel(panel, scores, floors) for arm, panel in rows.items()]


def _with_interval(results: Results, row: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Rows of the baseline have no gain; where one run stands behind them, they get their score's interval."""
    if row is None or row["arm"] != BASELINE or row["seeds"] != 1:
        return row
    score = results.score(row["encoder"], row["arm"], row["target"], row["language"])
    return row if score is None else {**row, "ci_low": score["ci_low"], "ci_high": score["ci_high"]}


def _table(
    results: Results,
    encoder: str,
    target: str,
    arms: Sequence[str],
    languages: Sequence[str],
    colours: figures.Scale,
) -> dict[str, Any]:
    """Scores with gains below; the longer of arms and languages goes down the page."""
    names = (MEAN, *languages)
    upright = len(arms) <= len(names)
    down, across = (names, arms) if upright else (arms, names)
    rows = []
    for row_name in down:
        places = [(column, row_name) if upright else (row_name, column) for column in across]
        rows.append(
            (row_name, [_score(results.gain(encoder, a, target, name), colours) for a, name in places])
        )
    return {"columns": across, "rows": rows, "corner": "language" if upright else "arm"}


def _score(row: Mapping[str, Any] | None, colours: figures.Scale) -> dict[str, Any]:
    if row is None or row["value"] is None:
        return _blank(row)
    cell = _gain(row, colours)
    gain = cell.get("text", "")
    return {
        "text": f"{row['value']:.1f}",
        "small": gain,
        "step": cell.get("step"),
        "sure": cell.get("sure", False),
        "flaw": "" if row["status"] == OK else row["status"],
        "note": "; ".join(part for part in (cell["small"] if gain else "", row["note"]) if part),
    }


def _unsound(results: Results, group: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the list of blank and flawed cells; 'all' where nothing of the target is sound."""
    everything = results.languages(group["encoder"], group["target"])
    some = len(group["languages"]) < max(4, len(everything))
    return {
        **group,
        "languages": ", ".join(group["languages"]) if some else f"all {len(everything)}",
        "seeds": ", ".join(map(str, group["seeds"])) if len(group["seeds"]) < len(results.seeds) else "all",
    }
