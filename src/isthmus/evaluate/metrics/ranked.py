"""How high the right candidates of a pool stand: mean average precision and mean reciprocal rank of the first 20.

As XTREME-R scores LAReQA (google-research/xtreme, third_party/utils_lareqa.py, mean_avg_prec_at_k) and Mewsli-X
(third_party/utils_mewslix.py, evaluate): precision at each right candidate that is found, summed and divided by as many as
could have been found, min(right ones, 20). With one right candidate that is the reciprocal of its rank, which evaluate.py
calls map@20 for Mewsli-X.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.data.candidates import QUERY, right
from isthmus.errors import DataError
from isthmus.evaluate.join import align, column
from isthmus.evaluate.metrics import Scored, bootstrap_interval
from isthmus.evaluate.statistics import Floats

SCORES = "pool"
FLOOR = "random order"
NAMES = ("map_at_20", "mrr_at_20")
PARTS = ("average_precision", "reciprocal_rank")
DEEPEST = 20
POOL = "pool/"  # before a task and a language: the tables that the pool is made of


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """Average precision and reciprocal rank of every query that has a right candidate.

    `spec["pool"]` names the tables of `gold` that hold the candidates, as task/language. The floor is what an order by
    chance gets on average; one order for all queries gets the same, on average over the orders.

    Raises:
        DataError: the queries are not the same, or what was found is not in the pool or comes twice.
    """
    split = spec["split"]
    where = f"{spec['target']}/{spec['language']} {split}"
    sides = column(gold[split], "side", f"The gold of {where}")
    queries = gold[split].filter(pa.array([side == QUERY for side in sides], pa.bool_()))
    order = align(queries, predicted[split], where)
    tables = [(name.rpartition("/")[2], gold[f"{POOL}{name}"]) for name in spec["pool"]]
    wanted, everything = right((spec["language"], gold[split]), tables)
    said = column(predicted[split], "found", f"The prediction of {where}")
    found = {name: said[place] for name, place in zip(wanted, order.tolist(), strict=True)}
    _require_known(found, set(everything), where)
    ids = [name for name, candidates in wanted.items() if candidates]
    parts = [(precision(found[name], wanted[name]), reciprocal(found[name], wanted[name])) for name in ids]
    floors = [by_chance(len(everything), len(wanted[name])) for name in ids]
    details = {"pool": list(spec["pool"]), "candidates": len(everything)}
    return Scored(
        ids,
        np.array(parts, np.float64).reshape(-1, len(PARTS)),
        float(np.mean(floors)) if ids else None,
        len(wanted),
        details,
    )


def _require_known(found: Mapping[str, Sequence[str]], pool: Collection[str], where: str) -> None:
    for name, candidates in found.items():
        stranger = next((candidate for candidate in candidates if candidate not in pool), None)
        problem = f"answers {name!r} with {stranger!r}, which the pool does not have" if stranger else ""
        if len(set(candidates)) < len(candidates):
            problem = f"answers {name!r} with one candidate more than once"
        if problem:
            raise DataError(
                f"The prediction of {where} {problem}. Both must come from the same data: delete the prediction's artifact "
                "and predict again."
            )


def precision(found: Sequence[str], wanted: Collection[str]) -> float:
    """Average precision of the first 20 found; what comes again counts once."""
    hits, total = 0, 0.0
    seen: set[str] = set()
    for rank, candidate in enumerate(found[:DEEPEST], start=1):
        if candidate in wanted and candidate not in seen:
            hits += 1
            total += hits / rank
        seen.add(candidate)
    return total / min(len(wanted), DEEPEST)


def reciprocal(found: Sequence[str], wanted: Collection[str]) -> float:
    """One over the rank of the first right one among the first 20 found, or 0."""
    ranks = (rank for rank, candidate in enumerate(found[:DEEPEST], start=1) if candidate in wanted)
    return 1 / next(ranks, np.inf)


def by_chance(pool: int, wanted: int) -> float:
    """The average precision to expect of an order by chance, of so many candidates of which so many are right.

    At rank r stands a right one with probability wanted / pool; then (wanted - 1) / (pool - 1) of those before it are right.
    """
    if not 0 < wanted <= pool:
        return 0.0
    others = (wanted - 1) / (pool - 1) if pool > 1 else 0.0
    ranks = np.arange(1, min(DEEPEST, pool) + 1)
    return float((wanted / pool * (1 + (ranks - 1) * others) / ranks).sum() / min(wanted, DEEPEST))


def values(means: Floats) -> dict[str, Floats]:
    """The means of the parts."""
    return {name: means[..., place] for place, name in enumerate(NAMES)}


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """The bootstrap interval of mean average precision over queries."""
    return bootstrap_interval(values, NAMES[0], parts, *names)
