import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from isthmus.data.batch import specials
from isthmus.model import attention, packing
from isthmus.model import encoder as encoders
from isthmus.model import layout as layouts
from isthmus.train import loop, stage
from tests.unit.conftest import ARCHITECTURE
from tests.unit.model import small
from tests.unit.model.small import ABSOLUTE, MODERN, PAD, SHARED
from tests.unit.train.test_stage import CUE, FAST, TEXT, TWIN

# More tokens than the models have positions, neighbours in length and equals, one of a single token; longer than the
# window of the model that has one.
LENGTHS = [30, 3, 12, 30, 1, 13, 14, 12]
KINDS = {
    "xlm-roberta": (2, ABSOLUTE),
    "xlm-roberta-xl": (2, ABSOLUTE),
    "bert": (0, ABSOLUTE),
    "modernbert": (
        0,
        {**MODERN, "global_attn_every_n_layers": 2},
    ),
    "eurobert": (0, {"num_key_value_heads": 1}),
}
XLMR = ("xlm-roberta", ABSOLUTE)


def model(kind: str, changes: dict, dtype: torch.dtype = torch.float64):
    config = AutoConfig.for_model(kind, **SHARED, **changes)
    torch.manual_seed(1)
    made = AutoModel.from_config(config).to(dtype)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 2:
                parameter.mul_(10)  # so that positions and neighbours show in the states
    return made


def batch(lengths=LENGTHS) -> dict[str, torch.Tensor]:
    return small.batch(lengths)


def padded(encoder, batch) -> list[torch.Tensor]:
    """The states as `transformers` makes them, zero at padding."""
    output = encoder(batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True)
    nothing = batch["attention_mask"].unsqueeze(-1) == 0
    return [states.masked_fill(nothing, 0) for states in output.hidden_states]


def gradients(encoder, states: torch.Tensor) -> dict[str, torch.Tensor]:
    encoder.zero_grad()
    weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (states * weights.to(states.dtype)).sum().backward()
    return {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return ((one - other).abs().max() / other.abs().max()).item()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_states_and_gradients_are_those_of_padded_batches(kind: str, dtype: torch.dtype) -> None:
    start, changes = KINDS[kind]
    ours, theirs = (model(kind, changes, dtype).train() for _ in range(2))
    # Where a window leaves padding nothing to see, eager attention makes NaN of it.
    theirs.set_attn_implementation("sdpa" if kind == "modernbert" else "eager")
    packed, wanted = encoders.hidden_states(ours, batch()), padded(theirs, batch())
    # EuroBERT's norms compute in float32 whatever the weights are.
    tolerance = 1e-10 if dtype == torch.float64 and kind != "eurobert" else 1e-5
    assert packing._first_positions[ours] == start and ours.config._attn_implementation == attention.NAME
    assert distance(packed, wanted[-1]) < tolerance
    mine, other = gradients(ours, packed), gradients(theirs, wanted[-1])
    assert mine.keys() == other.keys() and len(mine) >= 20
    # Against the largest of all: the key's bias, for one, has no gradient but rounding.
    largest = max(g.abs().max() for g in other.values())
    assert all((mine[name] - other[name]).abs().max() < tolerance * largest for name in mine)
    for one, two in zip(encoders.all_hidden_states(ours, batch(), normalise=False), wanted, strict=True):
        assert distance(one, two) < tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_zero_and_takes_no_part(kind: str) -> None:
    encoder = model(kind, KINDS[kind][1]).eval()
    seen = []
    encoder.get_input_embeddings().register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    states = encoders.hidden_states(encoder, batch())
    assert seen[-1].shape == (1, sum(LENGTHS)) and not (seen[-1] == PAD).any()
    assert (
        not states[batch()["attention_mask"] == 0].any()
        and states[batch()["attention_mask"] == 1].all(-1).all()
    )


def test_an_encoder_that_packs_still_runs_padded_batches() -> None:
    for kind, (_, changes) in KINDS.items():
        fresh, used = model(kind, changes).eval(), model(kind, changes).eval()
        encoders.hidden_states(used, batch())
        assert distance(padded(used, batch())[-1], padded(fresh, batch())[-1]) < 1e-12


@pytest.mark.parametrize("place", [0, 5])
def test_a_padding_piece_in_a_text_counts_as_in_padded_batches(place: int) -> None:
    encoder, given = model(*XLMR).eval(), batch()
    given["input_ids"][[0, 3], place] = PAD
    states = encoders.hidden_states(encoder, given)
    assert packing._first_positions[encoder] == 2 and distance(states, padded(encoder, given)[-1]) < 1e-12


def test_batches_without_padding_go_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = model(*XLMR).eval()
    monkeypatch.setattr(packing, "first_position", lambda *_: pytest.fail("examined for nothing"))
    level = batch([9, 9, 9])
    assert torch.equal(encoders.hidden_states(encoder, level), padded(encoder, level)[-1])


def test_equal_inputs_give_equal_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {**ABSOLUTE, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}

    def run(seed: int) -> list[bytes]:
        encoder = model("xlm-roberta", changes, torch.float32).train()
        torch.manual_seed(seed)
        states = encoders.hidden_states(encoder, batch())
        return [
            states.detach().numpy().tobytes(),
            *(g.numpy().tobytes() for g in gradients(encoder, states).values()),
        ]

    torch.use_deterministic_algorithms(True)
    try:
        assert run(1) == run(1) != run(2)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_attention_dropout_is_the_models_and_off_outside_training(kind: str) -> None:
    name = "attention_dropout" if kind == "modernbert" else "attention_probs_dropout_prob"
    encoder = model(kind, {**KINDS[kind][1], name: 0.5})
    outputs = []
    seen = attention._grouped

    def watch(module, states, layout, dropout, scaling, window):
        ones = [*states[:2], torch.ones_like(states[2])]
        outputs.append((dropout, seen(module, ones, layout, dropout, scaling, window)))
        return seen(module, states, layout, dropout, scaling, window)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_grouped", watch)
        for training in (True, False):
            outputs.clear()
            encoders.hidden_states(
                encoder.train(training), batch([40, 38, 30] * 5 if kind == "modernbert" else LENGTHS)
            )
            rate, kept = outputs[-1]
            # Probabilities add up to 1; dropped ones do so on average.
            assert rate == (0.5 if training else 0.0)
            assert abs(kept.mean() - 1) < (0.1 if training else 1e-9)
            assert (kept.std() > 0.1) == training


def test_gradient_checkpointing_keeps_the_sequences_apart() -> None:
    one, other = model(*XLMR).train(), model(*XLMR).train()
    encoders.checkpoint_layers(one)
    mine = gradients(one, encoders.hidden_states(one, batch()))
    for name, gradient in gradients(other, encoders.hidden_states(other, batch())).items():
        assert torch.equal(mine[name], gradient)


def test_trying_an_encoder_out_leaves_no_trace() -> None:
    encoder = model("xlm-roberta", {**ABSOLUTE, "hidden_dropout_prob": 0.1}).train()
    encoder.encoder.layer[1].eval()
    modes = [module.training for module in encoder.modules()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    found = layouts.layout(batch()["attention_mask"], torch.device("cpu"))
    assert packing.first_position(encoder, batch()["input_ids"], found) == 2
    assert torch.equal(torch.rand(3), expected)
    assert [module.training for module in encoder.modules()] == modes
    assert all(parameter.grad is None for parameter in encoder.parameters())


def forgets(encoder) -> None:
    """The stack of layers drops keyword arguments, as some models do."""
    whole = encoder.encoder.forward
    encoder.encoder.forward = lambda states, attention_mask=None, **_: whole(states, attention_mask)


def mixes(encoder) -> None:
    """A layer that looks at a token's neighbours, in whatever row it stands."""
    layer = encoder.encoder.layer[0].intermediate
    layer.register_forward_hook(lambda _, __, states: states + states.roll(1, dims=1))


def decodes(encoder) -> None:
    for layer in encoder.encoder.layer:
        layer.attention.self.is_causal = True


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(forgets, "keyword arguments"), (mixes, "states differ"), (decodes, "is causal")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_encoders_that_cannot_be_packed_run_padded_and_say_so_once(
    spoil, reason: str, capsys: pytest.CaptureFixture
) -> None:
    encoder = model(*XLMR).eval()
    before = encoder.config._attn_implementation
    spoil(encoder)
    for _ in range(2):
        states = encoders.hidden_states(encoder, batch())
    mask = batch()["attention_mask"].unsqueeze(-1)
    assert encoder.config._attn_implementation == before and torch.equal(
        states * mask, padded(encoder, batch())[-1]
    )
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("XLMRobertaModel cannot run packed batches (") and reason in line


@pytest.mark.parametrize("kind", ["deberta-v2", "rembert"])
def test_encoders_with_an_attention_of_their_own_run_padded(kind: str, capsys: pytest.CaptureFixture) -> None:
    encoder = model(kind, {"max_position_embeddings": 34}).eval()
    states = encoders.hidden_states(encoder, batch())
    assert torch.equal(states * batch()["attention_mask"].unsqueeze(-1), padded(encoder, batch())[-1])
    assert "its attention does not go through" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["position_bias", "softcap", "s_aux"])
def test_an_attention_that_takes_more_is_refused(name: str) -> None:
    found = layouts.layout(batch()["attention_mask"], torch.device("cpu"))
    states = torch.zeros(1, 2, sum(LENGTHS), 8)
    with pytest.raises(attention.NotPackable, match=name):
        attention.attention(
            torch.nn.Module(), states, states, states, None, **{attention.LAYOUT: found, name: 1.0}
        )


def test_saved_folders_know_nothing_of_it(world: Path, tmp_path: Path) -> None:
    encoder = encoders.create(ARCHITECTURE, specials(world / "tokenizer"), 1).eval()
    few = {**batch(), "input_ids": batch()["input_ids"].clamp(max=20)}
    states = encoders.hidden_states(encoder, few)
    assert encoder.config._attn_implementation == attention.NAME
    encoders.save(encoder, world / "tokenizer", tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text()
    assert "attn" not in " ".join(json.loads((tmp_path / "config.json").read_text()))
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert loaded.config._attn_implementation == "sdpa"
    assert torch.allclose(padded(loaded, few)[-1], states, atol=1e-6)
    assert torch.equal(encoders.hidden_states(encoders.load(tmp_path).eval(), few), states)


def test_a_layout_is_the_rows_in_order_of_length() -> None:
    found = layouts.layout(torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]]), torch.device("cpu"))
    assert found.lengths.tolist() == [1, 1, 3] and found.offsets.tolist() == [0, 1, 2, 5]
    assert found.places.tolist() == [3, 9, 0, 1, 2] and found.positions.tolist() == [0, 0, 0, 1, 2]
    assert layouts.layout(torch.ones(2, 3), torch.device("cpu")) is None


def test_groups_are_runs_of_about_one_length() -> None:
    assert layouts.spans([1, 2, 2, 5], 0) == [(0, 1), (1, 3), (3, 4)]
    assert layouts.spans([1, 2, 2, 5], 3) == [(0, 3), (3, 4)]
    assert layouts.spans([1, 2, 2, 5], 3 * 25) == [(0, 4)]
    ascending = np.sort(np.random.default_rng(1).integers(5, 80, 64))
    cut = layouts.spans(ascending, 1000)
    assert [end for _, end in cut[:-1]] == [first for first, _ in cut[1:]]
    for first, end in cut:
        assert ascending[end - 1] ** 2 * (end - first) - (ascending[first:end] ** 2).sum() <= 1000


@pytest.mark.parametrize("most", [0, 100, float("inf")])
@pytest.mark.parametrize("window", [None, 3])
def test_every_grouping_gives_the_same_attention(most: float, window: int | None, monkeypatch) -> None:
    monkeypatch.setattr(layouts, "PAIRS_ADDED", most)
    found = layouts.layout(batch()["attention_mask"], torch.device("cpu"))
    query, key, value = torch.randn(3, sum(LENGTHS), 2, 8, dtype=torch.float64, requires_grad=True)
    ours = attention._grouped(torch.nn.Module(), [query, key, value], found, 0.0, None, window)
    which = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(found.lengths))
    place = torch.arange(len(which))
    allowed = which[:, None] == which
    if window:
        allowed = allowed & ((place[:, None] - place).abs() < window)
    plain = torch.einsum("nhd,mhd->hnm", query, key) / 8**0.5
    wanted = torch.einsum("hnm,mhd->nhd", plain.masked_fill(~allowed, -torch.inf).softmax(-1), value)
    assert torch.allclose(ours, wanted, atol=1e-12)
    pairs = zip(
        *(torch.autograd.grad(x.square().sum(), (query, key, value)) for x in (ours, wanted)), strict=True
    )
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in pairs)


def test_no_token_of_a_window_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layouts, "PAIRS_ADDED", float("inf"))
    (group,) = layouts.layout(batch([9, 2])["attention_mask"], torch.device("cpu")).groups
    seen = attention._mask(group, 3, torch.device("cpu"))
    assert seen.shape == (2, 1, 9, 9) and seen.any(-1).all()
    assert seen[0, 0, 1].nonzero().flatten().tolist() == [0, 1]  # the shortest comes first
    assert seen[1, 0, 4].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]


def test_the_flash_kernel_is_called_as_its_signature_asks() -> None:
    """Where there is no GPU: shapes alone, by torch's own description of the operator."""
    found = layouts.layout(batch()["attention_mask"], torch.device("cpu"))
    on_meta = layouts.Layout(found.lengths, found.places.to("meta"), found.positions.to("meta"))
    states = [torch.empty(sum(LENGTHS), 2, 8, dtype=torch.bfloat16, device="meta") for _ in range(3)]
    for window in (None, 5):
        seen = attention._flash(torch.nn.Module(), states, on_meta, 0.1, None, window)
        assert seen.shape == (sum(LENGTHS), 2, 8) and on_meta.offsets.dtype == torch.int32
    assert not attention._has_flash(torch.empty(5, 2, 8, dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("tasks", "least"),
    [([CUE], 10), ([CUE, TWIN], 4), ([TEXT], 1)],
    ids=["one task", "mixture", "language model"],
)
def test_ten_steps_of_training_have_the_losses_of_padded_ones(
    tasks: list, least: int, unit, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {**FAST, "steps": 10, "dropout": 0.0, "eval_every": 10}
    spec = {"tasks": tasks, "recipe": recipe, "seed": 1, "init": ARCHITECTURE}
    names = ["tokenizer", *(f"tokens/{task['task']}/{name}" for task in tasks for name in task["languages"])]
    inputs = {name: world / name for name in names}
    packed, losses = [], []
    pack, note = packing.pack, loop.note
    monkeypatch.setattr(loop, "note", lambda facts, loss: (losses.append(loss), note(facts, loss)))
    monkeypatch.setattr(packing, "pack", lambda *given: packed.append(pack(*given)) or packed[-1])
    stage.run([unit("packed", spec, inputs)])
    assert sum(each is not None for each in packed) >= least
    monkeypatch.setattr(packing, "pack", lambda *_: None)
    stage.run([unit("padded", spec, inputs)])
    assert len(losses) == 20 and np.allclose(losses[:10], losses[10:], rtol=1e-5, atol=0)
    assert len(set(losses[:10])) == 10


def test_hardly_any_padding_is_run_as_it_is() -> None:
    assert (
        layouts.layout((torch.arange(40) < torch.tensor([[40], [40], [37]])).long(), torch.device("cpu"))
        is None
    )
    assert (
        layouts.layout((torch.arange(40) < torch.tensor([[40], [40], [30]])).long(), torch.device("cpu"))
        is not None
    )
