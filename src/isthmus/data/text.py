"""From text to ids, column by column."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from isthmus.data import ragged

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def encode_column(tokenizer: "Tokenizer", table: pa.Table, name: str) -> pa.Array:
    """A string column as list<int32>: no special tokens, nothing cut; null stays null, an absent column is null.

    A text that spells a special token gets <unk> in its place: only we put special tokens into a sequence.
    """
    if name not in table.column_names:
        return pa.nulls(len(table), ragged.IDS_TYPE)
    texts = table.column(name).to_pylist()
    missing = np.array([text is None for text in texts], dtype=bool)
    encodings = tokenizer.encode_batch_fast([text or "" for text in texts], add_special_tokens=False)
    rows = ragged.from_rows([encoding.ids for encoding in encodings])
    added = tokenizer.get_added_tokens_decoder()
    special = np.array([i for i, token in added.items() if token.special], dtype=np.int32)
    flat = np.where(np.isin(rows.flat, special), np.int32(tokenizer.token_to_id("<unk>") or 0), rows.flat)
    return ragged.to_column(ragged.Ragged(flat, rows.offsets), missing)
