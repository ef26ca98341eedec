"""Parquet files with bytes that depend on their table alone."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 1 << 16


def write_table(table: pa.Table, path: Path) -> None:
    """A parquet file whose bytes depend only on the table (and the version of Arrow)."""
    pq.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=ROWS_PER_GROUP)
