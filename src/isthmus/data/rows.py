"""What families have in common whose examples are rows of a dataset, one each, most of them with a label.

A family takes these under the same names into its module. `examples` has `rows` (int64 [n], the dataset's row of each
example), `ids` and, where it is labelled, `labels` of all rows (-1 = no gold).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from isthmus.data.batch import Array, by_count
from isthmus.data.seeds import stream
from isthmus.recipe import Recipe

if TYPE_CHECKING:
    import torch

NO_GOLD = -1


def usable(examples: Any) -> Array:
    """The positions of the examples that have a gold label."""
    return np.flatnonzero(examples.labels[examples.rows] != NO_GOLD)


def subset(examples: Any, chosen: Array) -> Any:
    """The chosen positions only."""
    return replace(examples, rows=examples.rows[chosen])


def epoch(examples: Any, recipe: Recipe, number: int, *names: int | str) -> list[Array]:
    """All examples once, shuffled, in batches of `recipe.batch_size` drawn without regard to length."""
    return by_count(stream(*names, "order", number).permutation(len(examples)), recipe.batch_size)


def positions(rows: Array) -> Array:
    """The positions in the examples of some rows."""
    return rows


def originals(examples: Any) -> Array:
    """The row of the dataset that each example is."""
    rows: Array = examples.rows
    return rows


def identifiers(examples: Any) -> Array:
    """The id of each example, as text."""
    ids: Array = examples.ids[examples.rows]
    return ids


def best(logits_BL: "torch.Tensor") -> dict[str, Array]:
    """prediction int32 [B], the index of the best of L; margin float32 [B], how far the second is behind."""
    logits = logits_BL.float().cpu().numpy()
    ascending = np.sort(logits, axis=-1)
    return {"prediction": logits.argmax(-1).astype(np.int32), "margin": ascending[:, -1] - ascending[:, -2]}


def predictions(examples: Any, outputs: Mapping[str, Array], form: Mapping[str, Any]) -> pa.Table:
    """Columns id, prediction (index of a label or a choice) and margin."""
    return pa.table({"id": pa.array(identifiers(examples), pa.string()), **outputs})


def score(examples: Any, outputs: Mapping[str, Array]) -> float:
    """Accuracy, 0 to 1, over the examples that have a gold label."""
    chosen = usable(examples)
    return float(np.mean(outputs["prediction"][chosen] == examples.labels[examples.rows][chosen]))


def collapsed(examples: Any, outputs: Mapping[str, Array]) -> bool:
    """Whether every example gets one and the same answer although their gold labels differ."""
    gold = examples.labels[examples.rows][usable(examples)]
    return len(np.unique(gold)) > 1 and len(np.unique(outputs["prediction"])) == 1
