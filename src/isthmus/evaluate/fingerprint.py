"""The fingerprint stage: what a dataset says in one language, as hashes that can be held against others.

Of a training split it keeps the set of its hashes; of a test split those of every example, so that one can be pointed at.
It reads fetched rows and nothing else. What the hashes are of, `grams` says.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus import families
from isthmus.errors import DataError
from isthmus.evaluate.grams import Grams, Hashes, Places, grams
from isthmus.log import say
from isthmus.work import Work

# Columns of fetched rows (`tasks.task.Columns`) that a reader is shown. A family whose rows have others names all of its
# own in AUDITED. Labels and answers are left out: they say nothing without the text that they are on.
PROSE = ("text_a", "text_b", "tokens", "context", "question", "prompt", "choices", "text", "pair")
WHOLE, RUNS, EXAMPLES = "whole.npy", "grams.npy", "examples.parquet"
TEST = "test"
BATCH = 4096
PENDING = 1 << 23  # hashes that wait for being sorted and made unique


def run(works: Sequence[Work]) -> None:
    """Make the fingerprint of each unit: one split of one dataset in one language.

    Raises:
        DataError: the rows have no text that the audit knows of.
    """
    for work in works:
        started = time.perf_counter()
        path = work.inputs["data"] / f"{work.spec['split']}.parquet"
        file = pq.ParquetFile(path)
        names = _fields(families.load(work.spec["family"]), file.schema_arrow.names, work.name)
        details = (_examples if work.spec["split"] == TEST else _set)(file, names, work.folder)
        seconds = time.perf_counter() - started
        say(f"{work.name}: {', '.join(f'{count:,} {name}' for name, count in details.items())}")
        work.commit(details={**details, "seconds": seconds})


def _fields(family: ModuleType, present: Sequence[str], name: str) -> list[str]:
    found = [column for column in getattr(family, "AUDITED", PROSE) if column in present]
    if not found:
        raise DataError(
            f"{name} has no column of text that the audit of contamination knows ({', '.join(present)}). Its family "
            "must name them in AUDITED."
        )
    return found


def _set(file: pq.ParquetFile, names: Sequence[str], folder: Path) -> dict[str, int]:
    """Write whole.npy and grams.npy: every hash of a training split once, sorted."""
    whole, runs = _Sorted(), _Sorted()
    rows = 0
    for table in _batches(file, names):
        rows += len(table)
        for name in names:
            found = grams(list(dict.fromkeys(_texts(table, name))))
            whole.add(found.whole[found.whole != 0])  # nothing is no text that one could have seen
            runs.add(found.long)
            runs.add(found.short)
    np.save(folder / WHOLE, whole.all())
    np.save(folder / RUNS, runs.all())
    return {"rows": rows, "texts": len(whole.all()), "ngrams": len(runs.all())}


def _examples(file: pq.ParquetFile, names: Sequence[str], folder: Path) -> dict[str, int]:
    """Write examples.parquet: id, and for each field <field>.whole uint64 and <field>.grams list<uint64>."""
    tables = list(_batches(file, ("id", *names)))
    columns: dict[str, pa.Array] = {"id": pa.concat_arrays(t.column("id").cast(pa.string()) for t in tables)}
    count = 0
    for name in names:
        parts = [grams(_texts(table, name)) for table in tables]
        columns[f"{name}.whole"] = pa.array(np.concatenate([part.whole for part in parts]), pa.uint64())
        lists = [pa.ListArray.from_arrays(*reversed(_one_size(part))) for part in parts]
        columns[f"{name}.grams"] = pa.concat_arrays(lists)
        count += sum(len(part.values) for part in lists)
    pq.write_table(pa.table(columns), folder / EXAMPLES, compression="none", use_dictionary=False)
    return {"rows": len(columns["id"]), "ngrams": count}


def _one_size(found: Grams) -> tuple[Hashes, pa.Array]:
    """The n-grams that count for each text, the long ones where there are any, and their offsets."""
    long, short = np.diff(found.long_ends), np.diff(found.short_ends)
    counts = np.where(long > 0, long, short)
    kept = found.short[np.repeat(long == 0, short)]
    chosen = np.empty(counts.sum(), np.uint64)
    from_long = np.repeat(long > 0, counts)
    chosen[from_long], chosen[~from_long] = found.long, kept
    ends: Places = np.concatenate([[0], np.cumsum(counts)])
    return chosen, pa.array(ends, pa.int32())


def _batches(file: pq.ParquetFile, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(batch_size=BATCH, columns=list(names), use_threads=False)


def _texts(table: pa.RecordBatch, name: str) -> list[str]:
    """A column as texts: a list of words or choices is one text, a null an empty one."""
    return [
        " ".join(word or "" for word in value) if isinstance(value, list) else value or ""
        for value in table.column(name).to_pylist()
    ]


class _Sorted:
    """A growing set of hashes; most of what a corpus repeats is dropped on the way."""

    def __init__(self) -> None:
        self._parts: list[Hashes] = []
        self._waiting = 0
        self._limit = PENDING

    def add(self, hashes: Hashes) -> None:
        self._parts.append(hashes)
        self._waiting += len(hashes)
        if self._waiting > self._limit:
            self._limit = 2 * len(self.all()) + PENDING

    def all(self) -> Hashes:
        """All of them, sorted."""
        joined = np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint64)
        self._parts.clear()
        joined.sort()
        joined = joined[np.concatenate([[True], joined[1:] != joined[:-1]])] if len(joined) else joined
        self._parts.append(joined)
        self._waiting = len(joined)
        return joined


def training_hashes(folder: Path) -> tuple[Hashes, Hashes]:
    """Whole texts and n-grams of a training split, sorted; read from the disk as they are asked for."""
    whole, runs = (np.load(folder / name, mmap_mode="r") for name in (WHOLE, RUNS))
    return whole, runs


def test_hashes(folder: Path) -> tuple[list[str], Mapping[str, tuple[Hashes, Hashes, Places]]]:
    """The ids of a test split, and for each field the hashes of whole texts [n], of n-grams, and their offsets [n + 1]."""
    table = pq.ParquetFile(folder / EXAMPLES).read(use_threads=False).combine_chunks()
    found: dict[str, tuple[Hashes, Hashes, Places]] = {}
    for name in (column.removesuffix(".whole") for column in table.column_names if column.endswith(".whole")):
        lists: Any = table.column(f"{name}.grams").combine_chunks()
        whole = table.column(f"{name}.whole").to_numpy()
        found[name] = (whole, lists.values.to_numpy(), lists.offsets.to_numpy().astype(np.int64))
    return table.column("id").to_pylist(), found
