"""The texts of the checks on a GPU: prepared of a mirror elsewhere and brought along, or invented for toy sizes.

A world is a folder of two corners. `timing` has tokens of MNLI and SQuAD with pieces about as long as XLM-R's; `small`
has a tokenizer of few pieces, text in many languages and MNLI by it, to pre-train a small encoder and to fine-tune it.
Each has `tokenizer` and `tokens/<task>/<language>`.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel

# XNLI's, as far as the mirror has text without labels.
TEXT_LANGUAGES = ("ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "tr", "ur", "vi", "zh")
IDS, PLACES, TEXTS = pa.list_(pa.int32()), pa.list_(pa.int32()), pa.list_(pa.string())
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
FIRST_PIECE = len(SPECIALS)


def invent(folder: Path, pieces: int, rows: int, languages: tuple[str, ...]) -> None:
    """A world of random pieces with lengths like those of the real texts: NLI pairs of 40 tokens, questions on 150."""
    draws = np.random.default_rng(1)
    for corner in ("timing", "small"):
        _tokenizer(folder / corner / "tokenizer", pieces)
        for split in ("train", "dev")[: 1 + (corner == "small")]:
            _write(folder / corner / "tokens/mnli/en" / f"{split}.parquet", _pairs(draws, pieces, rows))
    _write(folder / "timing/tokens/squad/en/train.parquet", _questions(draws, pieces, rows))
    for language in languages:
        texts = [_ids(draws, pieces, 60) for _ in range(rows)]
        table = pa.table({"ids": pa.array(texts, IDS), "pair": pa.nulls(rows, IDS)})
        _write(folder / "small/tokens/text" / language / "train.parquet", table)


def _ids(draws: np.random.Generator, pieces: int, mean: float) -> list[int]:
    """Random pieces, about so many: lengths as skewed as a corpus's."""
    length = max(1, int(draws.lognormal(np.log(mean) - 0.125, 0.5)))
    return draws.integers(FIRST_PIECE, pieces + FIRST_PIECE, length).tolist()


def _pairs(draws: np.random.Generator, pieces: int, rows: int) -> pa.Table:
    sides = [[_ids(draws, pieces, mean) for _ in range(rows)] for mean in (24, 12)]
    return pa.table(
        {
            "id": [str(row) for row in range(rows)],
            "ids_a": pa.array(sides[0], IDS),
            "ids_b": pa.array(sides[1], IDS),
            "label": pa.array(draws.integers(0, 3, rows), pa.int32()),
        }
    )


def _questions(draws: np.random.Generator, pieces: int, rows: int) -> pa.Table:
    """Contexts whose every piece is one letter; the answer is the third."""
    contexts = [_ids(draws, pieces, 140) + [FIRST_PIECE] * 3 for _ in range(rows)]
    begins = [list(range(len(ids))) for ids in contexts]
    return pa.table(
        {
            "id": [str(row) for row in range(rows)],
            "question_ids": pa.array([_ids(draws, pieces, 12) for _ in range(rows)], IDS),
            "context_ids": pa.array(contexts, IDS),
            "begins": pa.array(begins, PLACES),
            "ends": pa.array([[place + 1 for place in row] for row in begins], PLACES),
            "context": ["x" * len(ids) for ids in contexts],
            "answers": pa.array([["x"]] * rows, TEXTS),
            "starts": pa.array([[2]] * rows, PLACES),
        }
    )


def _tokenizer(folder: Path, pieces: int) -> None:
    """A tokenizer with XLM-R's special tokens that tokenizes nothing real: the tokens are there already."""
    folder.mkdir(parents=True)
    names = [*SPECIALS, *(f"p{i}" for i in range(pieces)), "<mask>"]
    made = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>"))
    made.add_special_tokens([*SPECIALS, AddedToken("<mask>", lstrip=True)])
    made.save(str(folder / "tokenizer.json"))


def _write(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
