"""Accuracy of nearest neighbours: the share of English sentences whose nearest sentence is their translation.

As XTREME scores Tatoeba (google-research/xtreme, evaluate_retrieval.py and evaluate.py): the English sentences ask, the
other language is searched. The other direction gives other numbers.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.evaluate.layers import answers, by_layer, mismatch, sides
from isthmus.evaluate.metrics import Scored
from isthmus.evaluate.metrics.accuracy import NAMES as NAMES
from isthmus.evaluate.metrics.accuracy import PARTS as PARTS
from isthmus.evaluate.metrics.accuracy import interval as interval
from isthmus.evaluate.metrics.accuracy import values as values

SCORES = "nearest"
DEV = "dev"
# Phang et al. 2020 and XTREME average hidden_states[14] of a model of 24 layers.
PROTOCOL_LAYER, PROTOCOL_LAYERS = 14, 24


def score(gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]) -> Scored:
    """1.0 where the candidate is a match. The layer is the best on dev (the lowest of equals), or where there is no
    dev that of the published protocol, at the same relative depth.

    The floor is what one sentence as the answer to everything gets at most.
    """
    split, target = spec["split"], f"{spec['target']}/{spec['language']}"
    ids, correct, floor, rows = _correct(gold[split], predicted[split], f"{target} {split}")
    sweep = _means(correct)
    dev_sweep = _dev_sweep(gold, predicted, spec)
    if dev_sweep and dev_sweep.keys() != correct.keys() and ids:
        raise mismatch(f"has other layers than that of {DEV}", f"{target} {split}")
    layer = _layer(dev_sweep, max(correct, default=0))
    details: dict[str, Any] = {"layer": layer, "chosen_by": DEV if dev_sweep else "protocol"}
    details["layers"] = {str(name): value for name, value in sweep.items()}
    if dev_sweep:
        details["dev_layers"] = {str(name): value for name, value in dev_sweep.items()}
    parts = correct[layer] if ids else np.zeros(0)
    return Scored(ids, parts[:, None].astype(np.float64), floor, rows, details)


def found(
    gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]
) -> dict[str, str]:
    """What the layer that counts finds: the candidate of each English sentence. No gold of the split is read.

    Raises:
        DataError: predictions and sentences do not belong together.
    """
    split = spec["split"]
    where = f"{spec['target']}/{spec['language']} {split}"
    other, english = sides(gold[split], where)
    layers = by_layer(predicted[split], where)
    layer = _layer(_dev_sweep(gold, predicted, spec), max(layers, default=0))
    if layer not in layers:
        raise mismatch(f"has no layer {layer}", where)
    ids, candidates, _ = answers(layers[layer], english, other, where)
    answered = dict(zip(ids, candidates, strict=True))
    missing = next((name for name in english if name not in answered), None)
    if missing is not None:
        raise mismatch(f"has no answer to {missing!r} in layer {layer}", where)
    return answered


def _dev_sweep(
    gold: Mapping[str, pa.Table], predicted: Mapping[str, pa.Table], spec: Mapping[str, Any]
) -> dict[int, float]:
    """The accuracy of each layer on dev; empty where there is no other split of that name, or no gold in it."""
    if spec["split"] == DEV or DEV not in gold or DEV not in predicted:
        return {}
    where = f"{spec['target']}/{spec['language']} {DEV}"
    return _means(_correct(gold[DEV], predicted[DEV], where)[1])


def _layer(dev_sweep: Mapping[int, float], deepest: int) -> int:
    return max(dev_sweep, key=dev_sweep.__getitem__) if dev_sweep else protocol_layer(deepest)


def protocol_layer(layers: int) -> int:
    """The hidden state (0 = embeddings) of an encoder of so many layers that the protocol reads."""
    return math.floor(PROTOCOL_LAYER / PROTOCOL_LAYERS * layers + 0.5)


def _correct(
    gold: pa.Table, predicted: pa.Table, where: str
) -> tuple[list[str], dict[int, NDArray[np.bool_]], float | None, int]:
    """The English ids with gold, whether each layer is right on them, the floor, and all English sentences."""
    other, english = sides(gold, where)
    ids = [name for name, matches in english.items() if matches]
    correct = {}
    for layer, rows in by_layer(predicted, where).items():
        asked, candidates, _ = answers(rows, english, other, where)
        answered = dict(zip(asked, candidates, strict=True))
        missing = next((name for name in english if name not in answered), None)
        if missing is not None:
            raise mismatch(f"has no answer to {missing!r} in layer {layer}", where)
        correct[layer] = np.array([answered[name] in english[name] for name in ids], bool)
    if list(correct) != list(range(len(correct))) or not correct:
        raise mismatch(f"has the layers {list(correct)}, and some are missing", where)
    counts = Counter(match for name in ids for match in set(english[name]))
    return ids, correct, max(counts.values()) / len(ids) if ids else None, len(english)


def _means(correct: Mapping[int, NDArray[np.bool_]]) -> dict[int, float]:
    """The accuracy of each layer; nothing where no sentence has gold."""
    return {layer: float(right.mean()) for layer, right in correct.items() if len(right)}
