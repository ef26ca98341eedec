"""The shared task of BUCC: two pools of sentences and the pairs in them, with tabs between the fields.

A config `de-en.de` of a split `sample` is the member `de-en.sample.de`: id, sentence; a config that ends in `.gold` holds pairs of
ids: id1, id2. Of a line only the first tab parts; blanks at the ends of a sentence stay, for mining tells texts apart by them.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from isthmus.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
PAIRS = ".gold"


def picks(name: str, config: str, split: str) -> bool:
    """Whether a member holds the side that the config ends with."""
    pair, _, side = config.rpartition(".")
    return name.rpartition("/")[2] == f"{pair}.{split}.{side}"


def read(file: BinaryIO, name: str, names: Sequence[str]) -> "pa.Table":
    """The lines of a pool, or of the pairs.

    Raises:
        DataError: a line has no tab, or is no UTF-8.
    """
    import pyarrow as pa

    first, second = ("id1", "id2") if name.endswith(PAIRS) else ("id", "sentence")
    rows = list(_rows(file, name))
    return pa.table(
        {
            first: pa.array([row[0] for row in rows], pa.string()),
            second: pa.array([row[1] for row in rows], pa.string()),
        }
    )


def _rows(file: BinaryIO, name: str) -> Iterator[tuple[str, str]]:
    for number, raw in enumerate(file, start=1):
        try:
            line = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}, line {number} is no UTF-8 ({error}). Look at the source's address."
            ) from error
        if not line:
            continue
        left, tab, right = line.partition("\t")
        if not tab or not left:
            raise DataError(
                f"{name}, line {number} is not an id, a tab and {'another id' if name.endswith(PAIRS) else 'a sentence'}: "
                f"{line[:60]!r}. Look at the source's address, format and members."
            )
        yield left, right
