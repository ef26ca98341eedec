from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from isthmus.errors import UsageError
from isthmus.model import encoder as encoders
from isthmus.model import lora, packing, vocabulary
from isthmus.recipe import full
from tests.unit.model.small import ABSOLUTE, MODERN, ROWS, SHARED, batch

KINDS = {
    # with the linear layers of one layer
    "xlm-roberta": (ABSOLUTE, 6),
    "xlm-roberta-xl": (ABSOLUTE, 6),
    "bert": (ABSOLUTE, 6),
    "modernbert": (MODERN, 4),
}
LAYERS = SHARED["num_hidden_layers"]
RECIPE = full({"lora_rank": 3})


def model(kind: str = "xlm-roberta", dtype: torch.dtype = torch.float32):
    torch.manual_seed(1)
    return AutoModel.from_config(AutoConfig.for_model(kind, **SHARED, **KINDS[kind][0])).to(dtype)


def states(encoder) -> torch.Tensor:
    with torch.no_grad():
        return encoders.hidden_states(encoder.eval(), batch()).float()


def trained(encoder) -> dict[str, nn.Parameter]:
    return {name: p for name, p in encoder.named_parameters() if p.requires_grad}


def train(encoder, steps: int = 4, autocast: bool = False) -> list[float]:
    """A few large steps towards states that are given."""
    random = torch.Generator().manual_seed(4)
    wanted = torch.randn(4, 20, 16, generator=random)
    optimizer = torch.optim.AdamW(trained(encoder).values(), lr=0.02)
    losses = []
    encoder.train()
    for _ in range(steps):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = encoders.hidden_states(encoder, batch())
        loss = (found.float() - wanted).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", KINDS)
def test_the_additions_start_at_nothing_and_are_merged_into_the_weights(kind: str) -> None:
    encoder = model(kind)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    plain = states(encoder)
    adapted = lora.attach(encoder, RECIPE, 1)
    assert adapted.encoder is encoder and torch.equal(states(encoder), plain)
    names = trained(encoder)
    assert len(names) == 2 * LAYERS * KINDS[kind][1] and all("lora_" in name for name in names)
    losses = train(encoder)
    assert losses[-1] < losses[0]
    assert packing._first_positions[encoder] is not None  # the batches ran packed
    moved = states(encoder)
    frozen = {
        name.replace(".base_layer", ""): p for name, p in encoder.named_parameters() if name not in names
    }
    assert all(torch.equal(p, before[name]) for name, p in frozen.items())
    adapted.merge()
    assert torch.allclose(states(encoder), moved, atol=1e-5) and not torch.allclose(moved, plain, atol=0.1)
    after = encoder.state_dict()
    assert list(after) == list(before) and all(p.requires_grad for p in encoder.parameters())
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert len(changed) == LAYERS * KINDS[kind][1] and all(after[name].dim() == 2 for name in changed)
    assert not any("embed" in name for name in changed)


@pytest.mark.parametrize("kind", KINDS)
def test_states_and_gradients_are_those_of_padded_batches(kind: str) -> None:
    encoders_ = [model(kind, torch.float64) for _ in range(2)]
    found = []
    for encoder, packed in zip(encoders_, (True, False), strict=True):
        lora.attach(encoder, RECIPE, 1)
        random = torch.Generator().manual_seed(5)
        for p in trained(encoder).values():
            p.data = torch.randn(p.shape, generator=random) * 0.1
        real = batch()["attention_mask"].unsqueeze(-1) * torch.randn(4, 20, 16, generator=random)
        output = (
            encoders.hidden_states(encoder, batch())
            if packed
            else encoder(batch()["input_ids"], attention_mask=batch()["attention_mask"]).last_hidden_state
        )
        (output * real).sum().backward()
        found.append([output * real, *(p.grad for p in trained(encoder).values())])
    assert packing._first_positions[encoders_[0]] is not None
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_a_merged_encoder_is_saved_as_an_ordinary_folder(tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        encoder = model(dtype=dtype)
        model(dtype=dtype).save_pretrained(tmp_path / "before")
        adapted = lora.attach(encoder, RECIPE, 1)
        train(encoder, 2)
        adapted.merge()
        encoder.save_pretrained(tmp_path / "after")
        files = [{path.name for path in (tmp_path / name).iterdir()} for name in ("before", "after")]
        assert files[0] == files[1] and type(encoder).__name__ == "XLMRobertaModel"
        assert (tmp_path / "before/config.json").read_bytes() == (tmp_path / "after/config.json").read_bytes()
        loaded = AutoModel.from_pretrained(tmp_path / "after")
        assert loaded.dtype == dtype and torch.equal(states(loaded), states(encoder))


def test_the_draws_are_a_function_of_the_seed() -> None:
    def drawn(seed: int, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
        encoder = model(dtype=dtype)
        torch.manual_seed(seed + 10)
        lora.attach(encoder, RECIPE, seed)
        return [p for name, p in trained(encoder).items() if "lora_A" in name]

    one = drawn(1)
    for same in (drawn(1), drawn(1, torch.bfloat16)):
        assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], drawn(2)[0]) and not torch.equal(one[0], one[1])


def test_rank_and_scale_are_the_recipes() -> None:
    for recipe, scale in ((full({"lora_rank": 3}), 2.0), (full({"lora_rank": 4, "lora_alpha": 6.0}), 1.5)):
        encoder = model()
        lora.attach(encoder, recipe, 1)
        query = encoder.encoder.layer[0].attention.self.query
        assert query.lora_A["default"].weight.shape == (recipe.lora_rank, 16)
        with torch.no_grad():
            query.lora_B["default"].weight.fill_(1.0)
            given = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
            added = query(given) - query.base_layer(given)
            expected = scale * (given @ query.lora_A["default"].weight.T).sum(1, keepdim=True)
        assert torch.allclose(added, expected.expand_as(added), atol=1e-5)


@pytest.mark.parametrize("autocast", [True, False])
def test_frozen_weights_may_be_in_bf16(autocast: bool) -> None:
    encoder = model("xlm-roberta-xl", torch.bfloat16)
    adapted = lora.attach(encoder, full({"lora_rank": 3, "precision": "bf16_states"}), 1)
    assert {p.dtype for p in trained(encoder).values()} == {torch.float32}
    frozen = {p.dtype for name, p in encoder.named_parameters() if name not in trained(encoder)}
    assert frozen == {torch.bfloat16}
    losses = train(encoder, autocast=autocast)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    moved = states(encoder)
    adapted.merge()
    assert {p.dtype for p in encoder.parameters()} == {torch.bfloat16}
    assert (states(encoder) - moved).abs().max() < 0.1 * moved.abs().max()


def test_the_embedding_of_a_frozen_encoder_is_not_compacted() -> None:
    encoder = model()
    lora.attach(encoder, RECIPE, 1)
    reason = vocabulary.compact(encoder, np.arange(ROWS) < 5)
    assert isinstance(reason, str) and "not trained" in reason


def test_an_encoder_without_linear_layers_is_refused() -> None:
    encoder = model()
    encoder.encoder.layer = nn.ModuleList([nn.LayerNorm(16), nn.LayerNorm(16)])
    with pytest.raises(UsageError, match="no linear layers"):
        lora.attach(encoder, RECIPE, 1)
