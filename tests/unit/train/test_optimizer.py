import pytest
import torch
from torch import nn

from isthmus.recipe import full
from isthmus.train.optimizer import adamw, clip, rate_at, set_rate


def test_the_rate_warms_up_and_decays_linearly() -> None:
    recipe = full({"learning_rate": 1.0, "warmup": 0.2})
    rates = [rate_at(step, 10, recipe) for step in range(10)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125])
    assert rate_at(0, 1, recipe) == 1.0


def test_without_warm_up_the_first_rate_is_the_full_one() -> None:
    assert rate_at(0, 4, full({"learning_rate": 1.0, "warmup": 0.0})) == 1.0
    assert rate_at(3, 4, full({"learning_rate": 1.0, "warmup": 1.0})) == 1.0


def test_biases_and_layer_norms_are_not_decayed() -> None:
    module = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    recipe = full({"weight_decay": 0.1, "adam_beta2": 0.98, "adam_epsilon": 1e-6})
    decayed, kept = adamw(dict(module.named_parameters()), recipe).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert [p.shape for p in decayed["params"]] == [(5, 4), (4, 4)]
    assert [p.shape for p in kept["params"]] == [(4,), (4,), (4,)]
    assert decayed["betas"] == (0.9, 0.98) and decayed["eps"] == 1e-6


def test_one_update_is_adamws() -> None:
    weight = nn.Parameter(torch.full((2, 2), 2.0))
    optimizer = adamw({"w": weight}, full({"weight_decay": 0.5, "learning_rate": 9.0}))
    weight.grad = torch.tensor([[1.0, -1.0], [3.0, -0.1]])
    set_rate(optimizer, 0.1)
    optimizer.step()
    # the first step of Adam is the sign of the gradient; the decay takes rate x decay of the weight
    expected = 2.0 * (1 - 0.1 * 0.5) - 0.1 * weight.grad.sign()
    assert torch.allclose(weight, expected, atol=1e-6)


def test_gradients_are_cut_to_the_norm_and_the_old_norm_is_told() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert clip(parameters, 1.0) == pytest.approx(5.0)
    assert parameters[0].grad.tolist() == pytest.approx([0.6, 0.0])
    assert clip(parameters, 10.0) == pytest.approx(1.0) and parameters[1].grad.item() == pytest.approx(0.8)
