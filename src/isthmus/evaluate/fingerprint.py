"""The fingerprint stage: what a dataset says in one language, as hashes that can be held against others.

Of what is trained on it keeps the set of its hashes; of a test split those of every example, so that one can be pointed at.
Rows of two sides (a `side` column: sentences and their translations, queries and candidates) have each field once for
each side, so that no number is of both. It reads fetched rows and nothing else. What the hashes are of, `grams` says.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.errors import DataError
from isthmus.evaluate.grams import Grams, Hashes, Places, grams
from isthmus.log import say
from isthmus.work import Work

WHOLE, RUNS, EXAMPLES = "whole.npy", "grams.npy", "examples.parquet"
SIDE = "side"
BATCH = 4096
CHARACTERS = 1 << 20  # that are hashed at once
PENDING = 1 << 22  # hashes that wait for their place in the set, at least


def run(works: Sequence[Work]) -> None:
    """Make the fingerprint of each unit: one split of one dataset in one language.

    `spec` has split, `fields` (the columns that may hold text), `kept` ("examples", or "set": all of them together), and
    where rows have sides their names by number (`sides`).

    Raises:
        DataError: the rows have no text that the audit knows of.
    """
    for work in works:
        started = time.perf_counter()
        path = work.inputs["data"] / f"{work.spec['split']}.parquet"
        file = pq.ParquetFile(path)
        names = _fields(work.spec["fields"], file.schema_arrow.names, work.name)
        if work.spec["kept"] == "examples":
            details = _examples(file, names, work.spec.get("sides", ()), work.folder)
        else:
            details = _set(file, names, work.folder)
        seconds = time.perf_counter() - started
        say(f"{work.name}: {', '.join(f'{count:,} {name}' for name, count in details.items())}")
        work.commit(details={**details, "seconds": seconds})


def _fields(known: Sequence[str], present: Sequence[str], name: str) -> list[str]:
    found = [column for column in known if column in present]
    if not found:
        raise DataError(
            f"{name} has no column of text that the audit of contamination knows ({', '.join(present)}). Its family "
            "must name them in AUDITED."
        )
    return found


def _set(file: pq.ParquetFile, names: Sequence[str], folder: Path) -> dict[str, int]:
    """Write whole.npy and grams.npy: every hash of a split once, sorted."""
    whole, runs = _Sorted(), _Sorted()
    rows = 0
    for table in _batches(file, names):
        rows += len(table)
        for name in names:
            for found in _pieces(list(dict.fromkeys(_texts(table, name)))):
                whole.add(found.whole[found.whole != 0])  # nothing is no text that one could have seen
                runs.add(found.long)
                runs.add(found.short)
    counts = {}
    for label, file_name, kept in (("texts", WHOLE, whole), ("ngrams", RUNS, runs)):
        hashes = kept.all()
        np.save(folder / file_name, hashes)
        counts[label] = len(hashes)
    return {"rows": rows, **counts}


def _examples(
    file: pq.ParquetFile, names: Sequence[str], sides: Sequence[str], folder: Path
) -> dict[str, int]:
    """Write examples.parquet: id, and for each field <field>.whole uint64 and <field>.grams list<uint64>."""
    sided = SIDE in file.schema_arrow.names
    tables = list(_batches(file, ("id", *names, *([SIDE] if sided else ()))))
    columns: dict[str, pa.Array] = {"id": pa.concat_arrays(t.column("id").cast(pa.string()) for t in tables)}
    count = 0
    numbers = sorted({side for t in tables for side in t.column(SIDE).to_pylist()}) if sided else [None]
    called = dict(enumerate(sides))
    for name, side in itertools.product(names, numbers):
        field = name if side is None else f"{name} ({called.get(side, side)})"
        parts = [part for table in tables for part in _pieces(_texts(table, name, side))]
        columns[f"{field}.whole"] = pa.array(np.concatenate([part.whole for part in parts]), pa.uint64())
        lists = [pa.ListArray.from_arrays(*reversed(_one_size(part))) for part in parts]
        columns[f"{field}.grams"] = pa.concat_arrays(lists)
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


def _texts(table: pa.RecordBatch, name: str, side: int | None = None) -> list[str]:
    """A column as texts: a list of words or choices is one text; a null is an empty one, and so is what is of another
    side, if one is given.
    """
    texts = [
        " ".join(word or "" for word in value) if isinstance(value, list) else value or ""
        for value in table.column(name).to_pylist()
    ]
    if side is None:
        return texts
    return [
        text if of == side else "" for text, of in zip(texts, table.column(SIDE).to_pylist(), strict=True)
    ]


def _pieces(texts: Sequence[str]) -> Iterator[Grams]:
    """The hashes of texts, one piece after another: what hashing takes grows with the characters that it has at once."""
    begin = size = 0
    for place, text in enumerate(texts):
        if size and size + len(text) > CHARACTERS:
            yield grams(texts[begin:place])
            begin, size = place, 0
        size += len(text)
    yield grams(texts[begin:])


class _Sorted:
    """A growing set of hashes. What waits is let in when it is a quarter of the set, so that there are never more than about
    two and a half times as many hashes in memory.
    """

    def __init__(self) -> None:
        self._set = np.zeros(0, np.uint64)
        self._waiting: list[Hashes] = []
        self._count = 0

    def add(self, hashes: Hashes) -> None:
        self._waiting.append(np.unique(hashes))
        self._count += len(self._waiting[-1])
        if self._count > max(PENDING, len(self._set) // 4):
            self._let_in()

    def all(self) -> Hashes:
        """All of them, sorted."""
        self._let_in()
        return self._set

    def _let_in(self) -> None:
        joined = np.concatenate([self._set, *self._waiting])
        self._set, self._waiting, self._count = joined[:0], [], 0  # before the copy that is made below
        joined.sort()
        self._set = joined[np.append(True, joined[1:] != joined[:-1])] if len(joined) else joined


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
