"""Every scorer tried on its own gold and on one answer to everything: the most and the floor that it can give."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isthmus.check.datasets import DEV, NO_GOLD, TEST, Key, Split
from isthmus.check.findings import Findings
from isthmus.errors import DataError
from isthmus.evaluate import metrics
from isthmus.evaluate.statistics import Floats

MOST_ROWS = 400
CLOSE = 1e-9


@dataclass(frozen=True)
class Trial:
    """How a kind of gold is answered rightly, and by one answer to everything (several are tried). `exact` says whether
    gold gets full marks whatever it is, `pooled` whether answers are looked up in tables of a pool.
    """

    right: Callable[[pa.Table], pa.Table]
    constant: Callable[[pa.Table], Sequence[pa.Table]]
    exact: bool = True
    pooled: bool = False


def try_scorers(
    uses: Sequence[Mapping[str, Any]],
    splits: Mapping[Key, Split],
    forms: Callable[[Mapping[str, Any], str], Mapping[str, Any]],
    findings: Findings,
) -> None:
    """Try the metric of every target in every language once."""
    done = set()
    for use in uses:
        for role in use["data"] if "metric" in use else ():
            split = splits.get((role, TEST))
            if split is None or not split.gold or (role, use["metric"]) in done:
                continue
            done.add((role, use["metric"]))
            with findings.caught(split.where):
                parts = {name: splits[role, name] for name in (DEV, TEST) if (role, name) in splits}
                _try({**use, **forms(use, role)}, role, parts, findings)


def _try(use: Mapping[str, Any], role: str, parts: Mapping[str, Split], findings: Findings) -> None:
    metric, where = metrics.load(use["metric"]), parts[TEST].where
    trial = TRIALS.get(getattr(metric, "SCORES", ""))
    if trial is None:
        findings.note(
            where, f"the metric {use['metric']} was not tried: what its gold looks like is not known here."
        )
        return
    gold = {name: _some(split) for name, split in parts.items()}
    spec = {"target": use["task"], "language": role.rsplit("/", 1)[-1], "split": TEST}
    if trial.pooled:
        spec["pool"] = [role.partition("/")[2]]
        gold = {name: table.filter(pc.equal(table["side"], 0)) for name, table in gold.items()}
        gold[f"pool/{spec['pool'][0]}"] = _pool(gold[TEST])
    spec |= {"labels": use["labels"]} if "labels" in use else {}
    right = {name: trial.right(table) for name, table in gold.items() if name in parts}
    best, floor = _main(metric, gold, right, spec)
    if best is not None and best < 1 - CLOSE:
        text = f"its own gold answers get {100 * best:.2f} {metric.NAMES[0]} of 100"
        if trial.exact:
            raise DataError(f"{text}. The gold contradicts itself: mend the data.")
        findings.note(where, f"{text}: the scorer's rules leave nothing of some, or some exclude each other.")
    for answers in trial.constant(gold[TEST]):
        value, _ = _main(metric, gold, {**right, TEST: answers}, spec)
        if value is not None and floor is not None and value > floor + CLOSE:
            raise DataError(
                f"one answer to everything gets {100 * value:.2f} {metric.NAMES[0]}, and the floor is {100 * floor:.2f}. "
                "This is a bug of the metric: report it."
            )


def _main(
    metric: metrics.Metric,
    gold: Mapping[str, pa.Table],
    predicted: Mapping[str, pa.Table],
    spec: Mapping[str, Any],
) -> tuple[float | None, float | None]:
    """The main metric and its floor, 0 to 1."""
    scored = metric.score(gold, predicted, spec)
    if not scored.ids:
        return None, scored.floor
    means: Floats = scored.parts.mean(axis=0)
    return float(metric.values(means)[metric.NAMES[0]]), scored.floor


def _some(split: Split) -> pa.Table:
    """Some rows; of sentences to find, some of one side with all that they match."""
    if "matches" not in split.sample.column_names:
        return split.head(MOST_ROWS)
    table = split.table()
    sides, ids, matches = (table[name].to_pylist() for name in ("side", "id", "matches"))
    asked = [row for row, found in enumerate(matches) if found and not sides[row]][:MOST_ROWS]
    kept = {name for row in asked for name in (ids[row], *matches[row])}
    return table.take(pa.array([row for row, name in enumerate(ids) if name in kept], pa.int64()))


# One kind of gold each ----------------------------------------------------------------------------------------------


def _labels(table: pa.Table) -> pa.Table:
    return _answered(table, [max(label, 0) for label in table["label"].to_pylist()])


def _one_label(table: pa.Table) -> list[pa.Table]:
    gold = Counter(label for label in table["label"].to_pylist() if label != NO_GOLD)
    return [_answered(table, [label] * len(table)) for label in gold]


def _tags(table: pa.Table) -> pa.Table:
    return _answered(table, [[max(tag, 0) for tag in tags] for tags in table["tags"].to_pylist()])


def _one_tag(table: pa.Table) -> list[pa.Table]:
    rows = table["tags"].to_pylist()
    gold = Counter(tag for tags in rows for tag in tags if tag != NO_GOLD)
    return [_answered(table, [[tag] * len(tags) for tags in rows]) for tag, _ in gold.most_common(3)]


def _texts(table: pa.Table) -> pa.Table:
    return _answered(table, [answers[0] if answers else "" for answers in table["answers"].to_pylist()])


def _no_text(table: pa.Table) -> list[pa.Table]:
    return [_answered(table, [""] * len(table))]


def _answered(table: pa.Table, answers: Sequence[Any]) -> pa.Table:
    return pa.table({"id": table["id"], "prediction": answers})


def _english(table: pa.Table) -> dict[str, list[str]]:
    return _side(table, 1)


def _side(table: pa.Table, side: int) -> dict[str, list[str]]:
    rows = zip(*(table[name].to_pylist() for name in ("side", "id", "matches")), strict=True)
    return {name: matches for place, name, matches in rows if place == side}


def _found(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Pairs as the first and only layer has them."""
    return pa.table(
        {
            "id": pa.array([first for first, _ in pairs], pa.string()),
            "layer": pa.array([0] * len(pairs), pa.int32()),
            "candidate": pa.array([second for _, second in pairs], pa.string()),
            "score": pa.array([1.0] * len(pairs), pa.float32()),
        }
    )


def _matches(table: pa.Table) -> pa.Table:
    return _found([(name, matches[0]) for name, matches in _english(table).items() if matches])


def _one_match(table: pa.Table) -> list[pa.Table]:
    english = _english(table)
    gold = Counter(match for matches in english.values() for match in set(matches))
    return [_found([(name, match) for name in english]) for match, _ in gold.most_common(1)]


def _pairs(table: pa.Table) -> pa.Table:
    """Every sentence in one pair at most, as mining has it."""
    taken: dict[str, str] = {}
    for name, matches in _side(table, 0).items():
        free = next((match for match in matches if match not in taken), None)
        if free is not None:
            taken[free] = name
    return _found([(first, second) for second, first in taken.items()])


def _no_pair(table: pa.Table) -> list[pa.Table]:
    return [_found([])]


def _pool(table: pa.Table) -> pa.Table:
    """All that the queries look for, by the names that they have in the queries' matches."""
    wanted = sorted({name for matches in _side(table, 0).values() for name in matches})
    nothing = pa.array([[]] * len(wanted), pa.list_(pa.string()))
    return pa.table({"id": wanted, "side": pa.array([1] * len(wanted), pa.int32()), "matches": nothing})


def _ranked(table: pa.Table) -> pa.Table:
    return _listed(_side(table, 0))


def _nothing_ranked(table: pa.Table) -> list[pa.Table]:
    return [_listed(dict.fromkeys(_side(table, 0), ()))]


def _listed(found: Mapping[str, Sequence[str]]) -> pa.Table:
    return pa.table({"id": list(found), "found": pa.array(list(found.values()), pa.list_(pa.string()))})


# By what metrics say that they score.
TRIALS: Mapping[str, Trial] = {
    "label": Trial(_labels, _one_label),
    "tags": Trial(_tags, _one_tag, exact=False),  # without a chunk there is none to find: 0
    "answers": Trial(_texts, _no_text, exact=False),  # articles and punctuation are no answer
    "nearest": Trial(_matches, _one_match),
    "pool": Trial(_ranked, _nothing_ranked, pooled=True),
    "margin": Trial(_pairs, _no_pair, exact=False),  # gold may have a sentence in two pairs, mining has not
}
