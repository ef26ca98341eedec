"""Tokenizers for the checks: an encoder's own, or a stand-in of the same kind."""

import json

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from isthmus.check.vocabulary import embedding_rows, outline, stand_in, vocabulary
from isthmus.data.batch import specials
from isthmus.errors import DataError, StorageError
from isthmus.model import encoder as encoders

TABLE = pa.table({"id": ["zq"], "text_a": ["ένα δύο one"], "tokens": [["two", "three"]], "label": [1]})
SHAPE = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "positions": 20, "dropout": 0.1}


def test_a_stand_in_has_the_special_tokens_and_spells_what_it_has_seen(tmp_path):
    found = stand_in([TABLE], tmp_path)
    assert (found.specials.bos, found.specials.pad, found.specials.eos, found.specials.unk) == (0, 1, 2, 3)
    assert found.specials.mask == found.specials.rows - 1
    pieces = found.tokenizer.encode("one ένα eno", add_special_tokens=False).tokens
    assert pieces == ["▁one", "▁ένα", "▁", "e", "n", "o"]
    assert found.tokenizer.encode("猫", add_special_tokens=False).ids[-1] == found.specials.unk
    assert found.tokenizer.token_to_id("▁zq") is None  # an id is no text


def test_a_stand_in_is_the_same_every_time(tmp_path):
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stand_in([TABLE, TABLE], tmp_path / name)
        written.append((tmp_path / name / "tokenizer.json").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("content", ["{}", "<html>", '{"added_tokens": []}'])
def test_a_tokenizer_that_is_none_is_said_to_be_none(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(DataError, match=r"tokenizer\.json cannot be read .* Fetch the encoder again"):
        vocabulary(tmp_path)


@pytest.fixture
def saved(tmp_path):
    stand_in([TABLE], tmp_path)
    encoders.create(SHAPE, specials(tmp_path), 1).save_pretrained(tmp_path)
    return tmp_path


def test_an_outline_has_the_shape_and_no_weights(saved):
    model = outline(saved)
    assert embedding_rows(model) == specials(saved).rows
    assert encoders.longest_input(model) == 20
    assert all(weight.is_meta for weight in model.parameters())


@pytest.mark.parametrize("content", [{}, {"model_type": "nothing-known"}, "no"])
def test_a_config_that_names_no_encoder_is_said_to_name_none(saved, content):
    (saved / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(DataError, match=r"config\.json does not describe an encoder"):
        outline(saved)


def test_torn_weights_are_found(saved):
    save_file({}, saved / "more.safetensors")
    outline(saved)
    (saved / "more.safetensors").write_bytes(b"\x00" * 30)
    with pytest.raises(DataError, match=r"more\.safetensors is no whole file of weights"):
        outline(saved)


def sharded(saved, **index: str) -> None:
    """An index of weights, and the first of its files instead of the only one."""
    (saved / "model.safetensors").unlink()
    save_file({"a": np.zeros(1, np.float32)}, saved / "model-00001-of-00002.safetensors")
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def test_what_an_index_of_weights_names_must_be_there(saved):
    first, second = (f"model-0000{n}-of-00002.safetensors" for n in (1, 2))
    sharded(saved, a=first)
    outline(saved)
    index = saved / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": first, "b": second}}))
    with pytest.raises(DataError, match=f"names {second}, which is not there"):
        outline(saved)
    index.write_text(json.dumps({"weight_map": {"a": first, "b": first}}))
    with pytest.raises(DataError, match=f"says that {first} has b, and it has not"):
        outline(saved)
    index.write_text("[]")
    with pytest.raises(DataError, match="is no index of weights"):
        outline(saved)


def test_an_index_beside_one_file_of_all_weights_is_not_read(saved):
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "gone"}}))
    outline(saved)


@pytest.mark.parametrize("kind", [MemoryError, OSError, StorageError])
def test_what_the_machine_lacks_is_no_matter_of_the_tokenizer(saved, monkeypatch, kind):
    def load(folder):
        raise kind("none left")

    monkeypatch.setattr("isthmus.data.tokenize.load", load)
    with pytest.raises(kind):
        vocabulary(saved)
