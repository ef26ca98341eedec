import math

import pytest
import torch
from torch import nn

from isthmus.model.rounding import rounded
from isthmus.recipe import full
from isthmus.train import optimizer as optimizers
from isthmus.train.optimizer import RoundedAdamW, clip, make, rate_at, set_rate

BF16 = torch.bfloat16


def test_the_rate_warms_up_and_decays_linearly() -> None:
    recipe = full({"learning_rate": 1.0, "warmup": 0.2})
    rates = [rate_at(step, 10, recipe) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert rate_at(0, 1, recipe) == 1.0


def test_without_warm_up_the_first_rate_is_the_full_one() -> None:
    assert rate_at(0, 4, full({"learning_rate": 1.0, "warmup": 0.0})) == 1.0
    assert rate_at(3, 4, full({"learning_rate": 1.0, "warmup": 1.0})) == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_biases_and_layer_norms_are_not_decayed(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4)).to(dtype)
    module[1].weight.requires_grad_(False)
    recipe = full({"weight_decay": 0.1, "adam_beta2": 0.98, "adam_epsilon": 1e-6})
    optimizer = make(dict(module.named_parameters()), recipe, 1)
    decayed, kept = optimizer.param_groups
    assert isinstance(optimizer, RoundedAdamW) == (dtype == BF16)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert [p.shape for p in decayed["params"]] == [(5, 4)]  # what is frozen has no part in it
    assert [p.shape for p in kept["params"]] == [(4,), (4,), (4,)]
    assert decayed["betas"] == (0.9, 0.98) and decayed["eps"] == 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_one_update_is_adamws(dtype: torch.dtype) -> None:
    weight = nn.Parameter(torch.full((2, 2), 2.0, dtype=dtype))
    optimizer = make({"w": weight}, full({"weight_decay": 0.5, "learning_rate": 9.0}), 1)
    weight.grad = torch.tensor([[1.0, -1.0], [3.0, -0.1]]).to(dtype)
    set_rate(optimizer, 0.1)
    optimizer.step()
    # the first step of Adam is the sign of the gradient; the decay takes rate x decay of the weight
    expected = 2.0 * (1 - 0.1 * 0.5) - 0.1 * weight.grad.sign()
    assert torch.allclose(weight, expected, atol=1e-6 if dtype == torch.float32 else 2**-7)


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, nn.Parameter]:
    random = torch.Generator().manual_seed(3)
    return {
        "matrix": nn.Parameter(torch.randn(6, 5, generator=random).to(dtype)),
        "bias": nn.Parameter(torch.randn(5, generator=random).to(dtype)),
    }


def give_gradients(named: dict[str, nn.Parameter], step: int) -> None:
    random = torch.Generator().manual_seed(100 + step)
    for p in named.values():
        p.grad = torch.randn(p.shape, generator=random).to(p.dtype)


def test_in_fp32_the_own_optimiser_is_torchs() -> None:
    recipe = full({"weight_decay": 0.3, "learning_rate": 0.05})
    mine, theirs = parameters(), parameters()
    groups = [
        {"params": [("matrix", mine["matrix"])], "weight_decay": 0.3},
        {"params": [("bias", mine["bias"])], "weight_decay": 0.0},
    ]
    ours = RoundedAdamW(groups, 1, lr=0.05, betas=(0.9, 0.999), eps=1e-8)
    torchs = make(theirs, recipe, 1)
    for step in range(20):
        for named, optimizer in ((mine, ours), (theirs, torchs)):
            give_gradients(named, step)
            set_rate(optimizer, 0.05 / (step + 1))
            if step % 3 == 0:
                named["bias"].grad = None  # the head of a task that has no part in a step
            optimizer.step()
    for name in mine:
        assert torch.allclose(mine[name], theirs[name], rtol=1e-5, atol=1e-6)
        one, other = ours.state[mine[name]], torchs.state[theirs[name]]
        assert one.keys() == other.keys() and one["step"] == other["step"]
        assert torch.allclose(one["exp_avg_sq"], other["exp_avg_sq"], rtol=1e-5)


def test_rounding_is_right_on_average_and_never_off_by_more_than_a_step() -> None:
    random = torch.Generator().manual_seed(1)
    for value in (1.0 + 2**-10, -3.0 - 2**-8, 1e-20):
        results = rounded(torch.full((200_000,), value), random)
        below, above = sorted(results.unique().tolist())
        assert torch.equal(results.to(BF16).float(), results) and below < value < above
        assert results.double().mean().item() == pytest.approx(value, rel=2**-9 / 50)


def test_what_bf16_holds_and_what_is_no_number_stay() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(1)).to(BF16).float()
    assert torch.equal(rounded(values.clone(), torch.Generator()), values)
    # the last: the NaN that a GPU makes, which any carry would turn into a number
    odd = torch.tensor([0x7F800000, -0x00800000, 0x7FC00000, 0x7FFFFFFF], dtype=torch.int32)
    for _ in range(100):
        results = rounded(odd.view(torch.float32).clone(), torch.Generator().manual_seed(_))
        assert results[:2].tolist() == [math.inf, -math.inf] and results[2:].isnan().all()


def descend(dtype: torch.dtype, recipe, steps: int = 600) -> float:
    """How far a regression is from its solution, on average, after small updates of weights around 1."""
    random = torch.Generator().manual_seed(5)
    inputs = torch.randn(256, 32, generator=random)
    wanted = 1 + 0.05 * torch.randn(32, 8, generator=random)
    weight = nn.Parameter(torch.ones(32, 8, dtype=dtype))
    optimizer = make({"w": weight}, recipe, 1)
    for step in range(steps):
        rows = inputs[torch.randint(256, (16,), generator=random)]
        loss = (rows.to(dtype) @ weight - (rows @ wanted).to(dtype)).float().square().mean()
        loss.backward()
        set_rate(optimizer, rate_at(step, steps, recipe))
        optimizer.step()
        optimizer.zero_grad()
    return (weight.detach().float() - wanted).abs().mean().item()


def test_bf16_tracks_fp32_as_nearest_rounding_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = full({"learning_rate": 5e-4, "weight_decay": 0.0})  # below half of bf16's step at 1
    exact, ours = descend(torch.float32, recipe), descend(BF16, recipe)
    monkeypatch.setattr(optimizers, "rounded", lambda values, generator: values.to(BF16))
    nearest = descend(BF16, recipe)
    assert exact < 0.008 and ours < 0.01 and nearest > 0.03  # it never moves


def test_the_second_moment_does_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    def moment() -> float:
        weight = nn.Parameter(torch.ones(64, 64, dtype=BF16))
        optimizer = make({"w": weight}, full({"learning_rate": 0.0}), 1)
        for step in range(400):
            weight.grad = torch.full((64, 64), 4.0 if step < 10 else 1.0, dtype=BF16)
            optimizer.step()
        return optimizer.state[weight]["exp_avg_sq"].float().mean().item()

    exact = 0.999**390 * 16 * (1 - 0.999**10) + (1 - 0.999**390)
    assert moment() == pytest.approx(exact, rel=0.01)
    monkeypatch.setattr(optimizers, "rounded", lambda values, generator: values.to(BF16))
    assert moment() != pytest.approx(exact, rel=0.1)


def run(steps: int, seed: int = 1, parts: int | None = None, stop: int | None = None) -> list[torch.Tensor]:
    """Weights and moments after some updates; with `stop`, made anew there from weights and state alone."""
    named = parameters(BF16)
    recipe = full({"learning_rate": 0.01})
    optimizer = make(named, recipe, seed)
    for step in range(steps):
        if step == stop:
            state = {name: optimizer.state[p] for name, p in named.items()}
            named = {name: nn.Parameter(p.detach().clone()) for name, p in named.items()}
            optimizer = make(named, recipe, seed)
            for name, p in named.items():
                optimizer.state[p] = {moment: value.clone() for moment, value in state[name].items()}
        give_gradients(named, step)
        optimizer.step()
    moments = [optimizer.state[p][name] for p in named.values() for name in ("exp_avg", "exp_avg_sq", "step")]
    assert all(p.dtype == BF16 for p in named.values()) and all(m.dtype == BF16 for m in moments if m.dim())
    return [p.detach() for p in named.values()] + moments


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_draws_are_a_function_of_seed_and_update() -> None:
    assert same(run(6), run(6)) and same(run(6), run(6, stop=3))
    assert not same(run(6), run(6, seed=2))


def test_large_tensors_are_updated_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(1)
    monkeypatch.setitem(optimizers.ELEMENTS_AT_ONCE, "cpu", 7)
    for one, other in zip(run(1), whole, strict=True):
        assert torch.allclose(one.float(), other.float(), rtol=2**-6)  # other draws, the same update


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
def test_an_update_that_is_not_finite_is_left_out_whole(dtype: torch.dtype) -> None:
    named, recipe = parameters(dtype), full({"learning_rate": 0.1, "weight_decay": 0.1})
    optimizer = make(named, recipe, 1)
    for step, found in enumerate((1.0, 0.0, 1.0)):
        before = [p.detach().clone() for p in named.values()]
        states = [{k: v.clone() for k, v in optimizer.state[p].items()} for p in named.values()]
        give_gradients(named, step)
        if found:
            named["bias"].grad[2] = math.nan
        optimizer.found_inf = torch.tensor(found)
        optimizer.step()
        assert same(before, list(named.values())) == bool(found)
        steps = {optimizer.state[p]["step"].item() for p in named.values()}
        assert steps == ({0.0} if step == 0 else {1.0})
        if step == 2:
            for p, state in zip(named.values(), states, strict=True):
                assert all(torch.equal(optimizer.state[p][key], state[key]) for key in state)


def test_gradients_are_cut_to_the_norm_and_the_old_norm_is_told() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert clip(parameters, 1.0) == pytest.approx(5.0)
    assert parameters[0].grad.tolist() == pytest.approx([0.6, 0.0])
    assert clip(parameters, 10.0) == pytest.approx(1.0) and parameters[1].grad.item() == pytest.approx(0.8)


def test_the_norm_of_bf16_gradients_is_computed_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(optimizers.ELEMENTS_AT_ONCE, "cpu", 1000)
    weights = [nn.Parameter(torch.zeros(size, dtype=BF16)) for size in (2999, 17, 5)]
    random = torch.Generator().manual_seed(1)
    for weight in weights[:2]:
        weight.grad = torch.randn(weight.shape, generator=random).to(BF16)
    exact = torch.cat([weight.grad.double() for weight in weights[:2]]).norm().item()
    assert clip(weights, 1.0).item() == pytest.approx(exact, rel=1e-6)
    assert clip(weights, 1.0).dtype == torch.float32
    assert clip(weights, 1.0).item() == pytest.approx(1.0, rel=2**-9)
