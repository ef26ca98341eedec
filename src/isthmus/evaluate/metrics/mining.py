"""F1 of mined sentence pairs, layer and threshold chosen on dev.

As XTREME scores BUCC (google-research/xtreme, third_party/utils_retrieve.py, bucc_optimize and bucc_eval): the threshold
lies midway between the two neighbouring scores that part the dev pairs at the highest F1; a pair of test is predicted
where its score reaches it. Pairs of one score cannot be parted, so no cut is tried between them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.errors import DataError
from isthmus.evaluate.layers import answers, by_layer, mismatch, sides
from isthmus.evaluate.metrics import Scored, bootstrap_interval
from isthmus.evaluate.statistics import Floats

SCORES = "margin"
NAMES = ("f1", "precision", "recall")
PARTS = ("hits", "predicted", "gold")
DEV = "dev"


@dataclass(frozen=True)
class Mined:
    """A layer's pairs by falling score: ids of the other language's sentences, scores, and whether each is gold."""

    ids: list[str]
    scores: Floats
    hits: NDArray[np.bool_]

    def f1(self, threshold: float, gold: int) -> float:
        """F1 of the pairs whose score reaches the threshold, of so many gold pairs."""
        count = int((self.scores >= threshold).sum())
        return float(2 * self.hits[:count].sum() / (count + gold)) if count + gold else 0.0


NONE = Mined([], np.zeros(0), np.zeros(0, bool))


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """For every sentence of the other language: its predicted pairs that are gold, its predicted and its gold pairs.

    The layer is the one of the highest F1 on dev (the lowest of equals). Nothing predicted is the floor: 0.

    Raises:
        DataError: predictions and gold do not belong together, or there is no dev with gold pairs.
    """
    split, target = spec["split"], f"{spec['target']}/{spec['language']}"
    counts, mined = _mined(gold[split], predicted[split], f"{target} {split}")
    total = sum(counts.values())
    if not total:
        return Scored([], np.zeros((0, len(PARTS))), None, len(counts))
    cuts = _cuts(gold, predicted, target, mined)
    layer = _best(cuts)
    threshold = cuts[layer][1]
    details = {
        "layer": layer,
        "threshold": threshold,
        "chosen_by": DEV,
        "layers": {str(name): mined.get(name, NONE).f1(cuts[name][1], total) for name in cuts},
        "dev_layers": {str(name): f1 for name, (f1, _) in cuts.items()},
        "dev_thresholds": {str(name): cut for name, (_, cut) in cuts.items()},
    }
    parts = _parts(counts, mined.get(layer, NONE), threshold)
    return Scored(list(counts), parts, 0.0, len(counts), details)


def pairs(
    gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """The pairs that count as predicted, best first: those of the layer and the threshold chosen on dev. No gold of the
    split itself is read.

    Raises:
        DataError: predictions and sentences do not belong together, or there is no dev with gold pairs.
    """
    split, target = spec["split"], f"{spec['target']}/{spec['language']}"
    where = f"{target} {split}"
    layers = by_layer(predicted[split], where)
    cuts = _cuts(gold, predicted, target, layers)
    layer = _best(cuts)
    if layer not in layers:
        return []
    found = zip(*answers(layers[layer], *sides(gold[split], where), where), strict=True)
    return [(first, second) for first, second, value in found if value >= cuts[layer][1]]


def _cuts(
    gold: Mapping[str, pa.Table],
    predicted: Mapping[str, pa.Table],
    target: str,
    layers: Iterable[int],
) -> dict[int, tuple[float, float]]:
    """What each layer reaches on dev, and from which threshold on: those given and those of dev, in rising order.

    Raises:
        DataError: there is no dev, or no gold pair in it.
    """
    if DEV not in gold or DEV not in predicted:
        raise _no_dev(f"{target} has no split {DEV}")
    counts, mined = _mined(gold[DEV], predicted[DEV], f"{target} {DEV}")
    total = sum(counts.values())
    if not total:
        raise _no_dev(f"The split {DEV} of {target} has no gold pair")
    return {layer: best_cut(mined.get(layer, NONE), total) for layer in sorted({*layers, *mined}) or [0]}


def _best(cuts: Mapping[int, tuple[float, float]]) -> int:
    """The layer of the highest F1, of equal ones the lowest."""
    return max(cuts, key=lambda name: cuts[name][0])


def _no_dev(problem: str) -> DataError:
    return DataError(
        f"{problem}, and the threshold from which a pair counts as predicted can only be chosen there. Give the task a "
        f"{DEV} split with gold pairs in its YAML, or leave it out of the targets."
    )


def _mined(gold: pa.Table, predicted: pa.Table, where: str) -> tuple[dict[str, int], dict[int, Mined]]:
    """The gold pairs of each sentence of the other language, and what each layer has mined."""
    other, english = sides(gold, where)
    pairs = {name: set(matches) for name, matches in other.items()}
    mined = {}
    for layer, rows in by_layer(predicted, where).items():
        ids, candidates, scores = answers(rows, other, english, where)
        if len(set(candidates)) < len(candidates):
            raise mismatch(f"has an English sentence in two pairs of layer {layer}", where)
        falling = np.argsort(-np.array(scores), kind="stable")
        hits = np.array([pair in pairs[name] for name, pair in zip(ids, candidates, strict=True)], bool)
        mined[layer] = Mined([ids[i] for i in falling], np.array(scores)[falling], hits[falling])
    return {name: len(matches) for name, matches in pairs.items()}, mined


def best_cut(mined: Mined, gold: int) -> tuple[float, float]:
    """The highest F1 that a threshold gives, of so many gold pairs, and that threshold (the highest of equals; 0 where
    no pair is gold, as in the official code).
    """
    if not mined.hits.any():
        return 0.0, 0.0
    scores = mined.scores
    last = np.flatnonzero(np.append(scores[:-1] != scores[1:], True))  # of each run of equal scores
    f1 = 2 * np.cumsum(mined.hits)[last] / (last + 1 + gold)
    best = int(f1.argmax())
    below = min(best + 1, len(last) - 1)  # under the lowest score there is none: the threshold is that score
    return float(f1[best]), float((scores[last[best]] + scores[last[below]]) / 2)


def _parts(counts: Mapping[str, int], mined: Mined, threshold: float) -> Floats:
    hits, predicted = dict.fromkeys(counts, 0), dict.fromkeys(counts, 0)
    for name, value, hit in zip(mined.ids, mined.scores, mined.hits, strict=True):
        predicted[name] = int(value >= threshold)
        hits[name] = int(hit) * predicted[name]
    return np.array([[hits[name], predicted[name], gold] for name, gold in counts.items()], np.float64)


def values(means: Floats) -> dict[str, Floats]:
    """F1, precision and recall over all pairs together; 0 where nothing is predicted or nothing is gold."""
    hits, predicted, gold = means[..., 0], means[..., 1], means[..., 2]
    return {
        "f1": _share(2 * hits, predicted + gold),
        "precision": _share(hits, predicted),
        "recall": _share(hits, gold),
    }


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


def interval(parts: Floats, *names: str) -> tuple[float, float]:
    """The bootstrap interval of F1 over the other language's sentences, layer and threshold held fixed."""
    return bootstrap_interval(values, NAMES[0], parts, *names)
