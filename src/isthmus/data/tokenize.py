"""The tokenize stage: a fetched dataset as token ids, untruncated, without special tokens or padding.

Windows, pairs and padding are made at load time, so one artifact serves every maximum length.
`tokenizers` is used directly: importing transformers for it would cost seconds in each job.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from isthmus import families
from isthmus.data.parquet import ROWS_PER_GROUP, write_table
from isthmus.errors import DataError
from isthmus.work import Work


def run(works: Sequence[Work]) -> None:
    """Tokenize each dataset; `spec` has task, family and language; inputs are `tokenizer` and `data`.

    Raises:
        DataError: the data folder has no parquet file, or a column the family needs is missing.
    """
    # One thread: jobs run side by side, and the scheduler counts each as one core.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizers: dict[Path, Tokenizer] = {}
    for work in works:
        folder = work.inputs["tokenizer"]
        if folder not in tokenizers:
            tokenizers[folder] = load(folder)
        work.commit(details=tokenize(work, tokenizers[folder]))


def load(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, set to read special tokens in a text as plain text.

    Raises:
        DataError: the folder has no fast tokenizer.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise DataError(
            f"{folder} has no tokenizer.json: it is not a fast tokenizer. Convert it, then run again."
        )
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def tokenize(work: Work, tokenizer: Tokenizer) -> dict[str, int]:
    """Write each split of the unit into its folder; returns the number of rows of each."""
    family = families.load(work.spec["family"])
    splits = sorted(work.inputs["data"].glob("*.parquet"))
    if not splits:
        raise DataError(f"{work.name}: the dataset has no parquet file at {work.inputs['data']}.")
    rows = {}
    for split in splits:
        table = pq.read_table(split)
        parts = []
        for start in range(0, max(len(table), 1), ROWS_PER_GROUP):
            parts.append(family.encode(tokenizer, table.slice(start, ROWS_PER_GROUP), work.spec))
        write_table(pa.concat_tables(parts), work.folder / split.name)
        rows[split.stem] = len(table)
    for labels in work.inputs["data"].glob("labels.json"):
        shutil.copyfile(labels, work.folder / labels.name)
    return rows
