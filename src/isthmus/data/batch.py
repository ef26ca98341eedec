"""Batches: which examples, in which order, laid out how. Every choice is a pure function of a seed and names.

Shapes: B rows of a batch, T tokens of its longest row.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.data.seeds import stream
from isthmus.errors import DataError

Array = np.ndarray[Any, Any]
Tables = Sequence[tuple[str, pa.Table]]
"""Token tables, each with its language."""

# A window of the shuffled order whose examples are sorted by length before they are cut into batches: large
# enough to save the padding, small enough that the batches of an epoch still come in random company.
BATCHES_PER_WINDOW = 50


@dataclass(frozen=True)
class Specials:
    """The ids of a tokenizer's special tokens, and the rows an embedding of its vocabulary has."""

    bos: int
    pad: int
    eos: int
    unk: int
    mask: int
    rows: int

    @property
    def ordinary(self) -> Array:
        """Every id that is a piece of text, int64 [rows - 5]."""
        return np.setdiff1d(np.arange(self.rows), [self.bos, self.pad, self.eos, self.unk, self.mask])


def specials(folder: Path) -> Specials:
    """The special tokens of the tokenizer in a folder, by the names that XLM-R and its kin give them.

    Raises:
        DataError: the folder's tokenizer has other names.
    """
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {token["content"]: token["id"] for token in content["added_tokens"]}
    names = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}
    missing = [text for text in names.values() if text not in ids]
    if missing:
        raise DataError(
            f"The tokenizer in {folder} lacks {', '.join(missing)}. Encoders with XLM-R's special tokens can be "
            "trained; choose one of those."
        )
    rows = max([len(content["model"]["vocab"]), *(i + 1 for i in ids.values())])
    return Specials(**{name: ids[text] for name, text in names.items()}, rows=rows)


def truncated(a: Array, b: Array, room: int) -> tuple[Array, Array]:
    """Lengths [rows] of two sides cut to `room` tokens together, longest first.

    The same cuts as the `longest_first` of the `tokenizers` library: when both sides are too long each gets half,
    and an odd token goes to the longer side (the second when they are equal).
    """
    short = np.minimum(np.minimum(a, b), room // 2)
    long = np.minimum(np.maximum(a, b), room - short)
    first_is_long = a > b
    return np.where(first_is_long, long, short), np.where(first_is_long, short, long)


def pad(rows: Sequence[Sequence[Array | Sequence[int]]], pad_id: int) -> tuple[Array, Array]:
    """Rows, each a sequence of parts, as `input_ids` and `attention_mask`, int64 [B, T], padded on the right."""
    lengths = [sum(map(len, parts)) for parts in rows]
    ids = np.full((len(rows), max(lengths)), pad_id, dtype=np.int64)
    for row, parts in enumerate(rows):
        end = 0
        for part in parts:
            start, end = end, end + len(part)
            ids[row, start:end] = part
    mask = (np.arange(ids.shape[1]) < np.asarray(lengths)[:, None]).astype(np.int64)
    return ids, mask


def part_with_cells(
    batch: Mapping[str, Array], start: int, stop: int, cells: str, beside: str
) -> dict[str, Array]:
    """The rows of a batch from start to before stop. `cells` names an array of ascending places in the flattened
    [B, T], `beside` one of what stands there; both are cut to these rows.
    """
    width = batch["input_ids"].shape[1]
    first, last = np.searchsorted(batch[cells], [start * width, stop * width])
    return {
        "input_ids": batch["input_ids"][start:stop],
        "attention_mask": batch["attention_mask"][start:stop],
        cells: batch[cells][first:last] - start * width,
        beside: batch[beside][first:last],
    }


def by_count(order: Array, size: int) -> list[Array]:
    """An order cut into batches of `size` examples. The last may be smaller: no example is lost."""
    return [order[start : start + size] for start in range(0, len(order), size)]


def by_tokens(lengths: Array, budget: int, *names: int | str) -> list[Array]:
    """Batches of positions in `lengths` [examples] whose padded size, rows times longest, is at most `budget`.

    Examples of about one length come together: windows of the given order are sorted by length, cut, and the
    batches shuffled. This is part of the algorithm of pre-training; fine-tuning batches are drawn without regard
    to length. An example longer than the budget makes a batch of its own; no example is lost.
    """
    batches: list[Array] = []
    window = max(1, int(BATCHES_PER_WINDOW * budget / max(float(np.mean(lengths)), 1.0)))
    for start in range(0, len(lengths), window):
        inside = np.arange(start, min(start + window, len(lengths)))
        inside = inside[np.argsort(lengths[inside], kind="stable")]
        batches += _cut(inside, lengths[inside], budget)
    return [batches[i] for i in stream(*names, "batches").permutation(len(batches))]


def _cut(order: Array, ascending: Array, budget: int) -> list[Array]:
    batches = []
    start = 0
    while start < len(order):
        sizes = ascending[start : start + budget] * np.arange(1, min(budget, len(order) - start) + 1)
        end = start + max(1, int(np.searchsorted(sizes, budget, side="right")))
        batches.append(order[start:end])
        start = end
    return batches


def shares(counts: Sequence[int], cap: int | None) -> Array:
    """The rate of each task in a mixture, min(e, cap) / sum of these (Phang et al. 2020, section 3.1)."""
    sizes = np.asarray(counts, dtype=np.float64)
    if cap is not None:
        sizes = np.minimum(sizes, cap)
    rates: Array = sizes / sizes.sum()
    return rates


@dataclass(frozen=True)
class Schedule:
    """Which task gives the batch of each step, and which of its own batches that is. Both int64 [steps]."""

    tasks: Array
    positions: Array

    def __len__(self) -> int:
        return len(self.tasks)


def schedule(rates: Array, steps: int, seed: int) -> Schedule:
    """Draw a task for every step. A longer schedule of the same seed and rates begins with the shorter one."""
    draws = stream(seed, "mixture").random(steps)
    tasks = np.minimum(np.searchsorted(np.cumsum(rates), draws, side="right"), len(rates) - 1)
    positions = np.zeros(steps, dtype=np.int64)
    for task in range(len(rates)):
        of_task = tasks == task
        positions[of_task] = np.arange(of_task.sum())
    return Schedule(tasks, positions)


@dataclass
class Epochs:
    """One task's batches, epoch after epoch without end. Only the epoch in use is held."""

    make: Callable[[int], list[Array]]
    _starts: list[int] = field(default_factory=lambda: [0])
    _current: tuple[int, list[Array]] = (-1, [])

    def per_epoch(self) -> int:
        """Batches of the first epoch (with a token budget, epochs may differ by a few)."""
        return len(self._epoch(0))

    def at(self, position: int) -> Array:
        """The task's batch number `position`, counted from the start of training."""
        while self._starts[-1] <= position:
            self._starts.append(self._starts[-1] + len(self._epoch(len(self._starts) - 1)))
        epoch = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._epoch(epoch)[position - self._starts[epoch]]

    def _epoch(self, number: int) -> list[Array]:
        if self._current[0] != number:
            self._current = (number, self.make(number))
        return self._current[1]
