from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.data.batch import specials
from isthmus.errors import DataError, UsageError
from isthmus.model import encoder as encoders
from tests.unit.conftest import ARCHITECTURE


def make(world: Path, seed: int = 1, **changes):
    return encoders.create(ARCHITECTURE | changes, specials(world / "tokenizer"), seed)


def test_an_encoder_has_the_architecture_asked_for(world: Path) -> None:
    model = make(world)
    config, rows = model.config, specials(world / "tokenizer").rows
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (1, 16, 2)
    assert (config.intermediate_size, config.vocab_size, config.type_vocab_size) == (32, rows, 1)
    assert config.max_position_embeddings == 42 and encoders.longest_input(model) == 40
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (1, 0, 2)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.1
    assert config.model_type == "xlm-roberta" and model.pooler is None


def test_weights_are_a_function_of_the_seed(world: Path) -> None:
    one, again, other = (make(world, seed).state_dict() for seed in (1, 1, 2))
    name = "encoder.layer.0.output.dense.weight"
    assert all(torch.equal(one[key], again[key]) for key in one) and not torch.equal(one[name], other[name])


def test_narrow_encoders_start_with_wider_weights(world: Path) -> None:
    deviation = make(world, width=64, feed_forward=256).encoder.layer[0].output.dense.weight.std().item()
    assert deviation == pytest.approx(0.02 * (768 / 64) ** 0.5, rel=0.05)


def test_a_saved_folder_loads_with_transformers_alone(world: Path, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    model = make(world).eval()
    encoders.save(model, world / "tokenizer", tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= files
    tokenizer, loaded = AutoTokenizer.from_pretrained(tmp_path), AutoModel.from_pretrained(tmp_path)
    encoded = tokenizer(["brim zig", "dalo fent gorp zag"], return_tensors="pt", padding=True)
    with torch.no_grad():
        theirs, ours = loaded(**encoded).last_hidden_state, encoders.hidden_states(model, encoded)
    real = encoded["attention_mask"] == 1
    assert not real.all() and torch.allclose(theirs[real], ours[real], atol=1e-6)


def test_saving_is_deterministic_and_loading_gives_the_same_weights(world: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        encoders.save(make(world), world / "tokenizer", tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    saved, loaded = make(world).state_dict(), encoders.load(tmp_path / "a").state_dict()
    assert saved.keys() == loaded.keys() and all(torch.equal(saved[key], loaded[key]) for key in saved)


def test_the_encoder_of_a_language_model_loads_without_its_head(world: Path, tmp_path: Path) -> None:
    from transformers import XLMRobertaForMaskedLM

    whole = XLMRobertaForMaskedLM(make(world).config)
    whole.save_pretrained(tmp_path)
    loaded = encoders.load(tmp_path).state_dict()
    expected = whole.roberta.state_dict()
    assert loaded.keys() == expected.keys() and all(torch.equal(loaded[key], expected[key]) for key in loaded)


def test_positions_start_after_the_padding(world: Path) -> None:
    model = make(world).eval()
    seen = []
    model.embeddings.position_embeddings.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    ids = torch.tensor([[0, 5, 2, 1]])
    encoders.hidden_states(model, {"input_ids": ids, "attention_mask": (ids != 1).long()})
    assert seen[-1].tolist() == [[2, 3, 4]]


def test_padding_does_not_change_the_states(world: Path) -> None:
    model = make(world).eval()
    short = torch.tensor([[0, 5, 6, 2]])
    long = torch.tensor([[0, 5, 6, 2, 1, 1, 1]])
    states = [
        encoders.hidden_states(model, {"input_ids": ids, "attention_mask": (ids != 1).long()})
        for ids in (short, long)
    ]
    assert np.allclose(states[0].detach(), states[1][:, :4].detach(), atol=1e-6)


def test_dropout_is_set_everywhere_but_not_in_the_configuration(world: Path) -> None:
    model = make(world)
    encoders.set_dropout(model, 0.3)
    rates = {layer.p for layer in model.modules() if isinstance(layer, torch.nn.Dropout)}
    assert rates == {0.3} and model.config.hidden_dropout_prob == 0.1


def test_folders_and_shapes_that_cannot_be_are_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold an encoder"):
        encoders.load(tmp_path)
    with pytest.raises(UsageError, match="multiple"):
        make(world, width=15)
