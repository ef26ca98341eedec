import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from isthmus.data import tokenize
from isthmus.errors import DataError

CLASSIFY = {"task": "cue", "family": "classify", "language": "here"}
TEXT = {"task": "text", "family": "mlm", "language": "there"}


def test_labelled_pairs_become_ids(unit, world: Path) -> None:
    work = unit("tokens", CLASSIFY, {"tokenizer": world / "tokenizer", "data": world / "data/twin/here"})
    tokenize.run([work])
    assert {path.name for path in work.folder.iterdir()} == {"train.parquet", "dev.parquet", "test.parquet"}
    source = pq.read_table(world / "data/twin/here/dev.parquet").to_pydict()
    result = pq.read_table(work.folder / "dev.parquet")
    assert result.column_names == ["id", "ids_a", "ids_b", "label"]
    assert result["id"].to_pylist() == source["id"] and result["label"].to_pylist() == source["label"]
    fast = Tokenizer.from_file(str(world / "tokenizer/tokenizer.json"))
    for name, side in (("ids_a", "text_a"), ("ids_b", "text_b")):
        expected = [fast.encode(text, add_special_tokens=False).ids for text in source[side]]
        assert result[name].to_pylist() == expected
    assert work.commit.only["details"]["dev"] == 24


def test_columns_that_are_not_there_become_null_and_no_gold(unit, world: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"id": ["1"], "text_a": ["brim zig"]}), tmp_path / "data/test.parquet")
    work = unit("tokens", CLASSIFY, {"tokenizer": world / "tokenizer", "data": tmp_path / "data"})
    tokenize.run([work])
    (row,) = pq.read_table(work.folder / "test.parquet").to_pylist()
    assert row["ids_b"] is None and row["label"] == -1


def test_text_keeps_its_translation_or_null(world: Path) -> None:
    there = pq.read_table(world / "tokens/text/there/train.parquet")
    here = pq.read_table(world / "tokens/text/here/train.parquet")
    assert there.column_names == ["ids", "pair"]
    assert there["pair"].to_pylist() == here["ids"].to_pylist()
    assert here["pair"].null_count == len(here)


def test_a_text_cannot_spell_special_tokens(unit, world: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = {"id": ["1"], "text": ["brim <mask> </s><s> dalo <pad>"]}
    pq.write_table(pa.table(table), tmp_path / "data/train.parquet")
    work = unit("tokens", TEXT, {"tokenizer": world / "tokenizer", "data": tmp_path / "data"})
    tokenize.run([work])
    ids = pq.read_table(work.folder / "train.parquet")["ids"].to_pylist()[0]
    vocabulary = Tokenizer.from_file(str(world / "tokenizer/tokenizer.json")).get_vocab_size()
    assert all(3 <= piece < vocabulary - 1 for piece in ids)


def test_equal_inputs_give_equal_bytes(unit, world: Path) -> None:
    inputs = {"tokenizer": world / "tokenizer", "data": world / "data/cue/here"}
    first, second = unit("first", CLASSIFY, inputs), unit("second", CLASSIFY, inputs)
    tokenize.run([first, second])
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()


def test_folders_without_data_or_tokenizer_are_refused(unit, world: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no parquet file"):
        tokenize.run(
            [unit("tokens", CLASSIFY, {"tokenizer": world / "tokenizer", "data": tmp_path / "empty"})]
        )
    shutil.copytree(world / "tokenizer", tmp_path / "slow")
    (tmp_path / "slow/tokenizer.json").unlink()
    with pytest.raises(DataError, match="not a fast tokenizer"):
        tokenize.run(
            [unit("tokens", CLASSIFY, {"tokenizer": tmp_path / "slow", "data": world / "data/cue/here"})]
        )
