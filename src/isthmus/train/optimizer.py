"""The optimiser: AdamW without decay on biases and LayerNorms, linear warm-up and decay, clipping.

Weights in fp32 are torch's fused AdamW's. Weights in bf16 have an optimiser of their own: an update of 1e-5 on a weight
of 0.05 is lost when the sum is rounded to the nearest of bf16's 8 bits, so it is rounded up or down by chance, in
proportion: right on average, with nothing kept beside the weights (Zamirai et al. 2020, "Revisiting BFloat16 Training").

Both leave out an update whole, its count included, where their attribute `found_inf` (a tensor of one float) is 1.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

import torch
from torch import Tensor, nn

from isthmus.data.seeds import number
from isthmus.model.rounding import rounded
from isthmus.recipe import Recipe

# Elements that are updated at once in fp32, however large the embedding is: on a GPU 0.7 GB on the way, on a CPU what its
# caches hold (measured, one thread: 20 ns for each element, and 65 ns with as many as on a GPU).
ELEMENTS_AT_ONCE = {"cpu": 1 << 16, "cuda": 1 << 24}
TINY = 1e-6  # what torch's clipping adds to the norm


def make(parameters: Mapping[str, nn.Parameter], recipe: Recipe, seed: int) -> torch.optim.Optimizer:
    """AdamW over those of the named parameters that are trained. Biases and LayerNorm weights, all that have one
    dimension, are not decayed. Where a parameter is in bf16 its updates are rounded stochastically, drawn from `seed`.
    """
    trained = {name: p for name, p in parameters.items() if p.requires_grad}
    rounded = any(p.dtype == torch.bfloat16 for p in trained.values())
    groups = [
        {"params": params, "weight_decay": recipe.weight_decay if matrices else 0.0}
        for matrices in (True, False)
        if (params := _params(trained, matrices, rounded))
    ]
    shared: dict[str, Any] = {
        "lr": recipe.learning_rate,
        "betas": (recipe.adam_beta1, recipe.adam_beta2),
        "eps": recipe.adam_epsilon,
    }
    return (
        RoundedAdamW(groups, seed, **shared) if rounded else torch.optim.AdamW(groups, fused=True, **shared)
    )


def _params(parameters: Mapping[str, nn.Parameter], matrices: bool, named: bool) -> list[Any]:
    chosen = [(name, p) for name, p in parameters.items() if (p.dim() > 1) == matrices]
    return chosen if named else [p for _, p in chosen]


class RoundedAdamW(torch.optim.Optimizer):
    """AdamW whose weights and moments may be bf16: computed in fp32, a part of a tensor at a time, and rounded
    stochastically. Takes groups of (name, parameter).

    Both moments are rounded so too: with a beta2 of 0.999 the second changes by less than a bf16 step at a time, and
    rounded to the nearest it would stand still. The draws of an update are a function of the seed, the number of
    updates before it (one left out counts until the optimiser is made anew) and the parameter's name. Parameters in
    fp32 are updated as they are. The state has torch's names, all on the parameter's device; nothing waits for it.
    """

    found_inf: Tensor | None = None

    def __init__(self, groups: Iterable[dict[str, Any]], seed: int, **shared: Any) -> None:
        super().__init__(groups, shared)
        self.seed = seed
        self.done: int | None = None
        self.generators: dict[torch.device, torch.Generator] = {}

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient. There is no closure."""
        if self.done is None:
            self.done = self._updates_made()
        for group in self.param_groups:
            named = zip(group["param_names"], group["params"], strict=True)
            with_gradient = [(name, p) for name, p in named if p.grad is not None]
            if with_gradient:
                self._update(group, with_gradient)
        self.done += 1
        return None

    def _updates_made(self) -> int:
        """By a state that was put back; 0 where there is none."""
        steps = [state["step"] for state in self.state.values() if "step" in state]
        return int(torch.stack(steps).max()) if steps else 0

    def _update(self, group: Mapping[str, Any], named: list[tuple[str, nn.Parameter]]) -> None:
        states = [self._state(p) for _, p in named]
        steps = [state["step"] for state in states]
        beta1, beta2 = group["betas"]
        # The numbers of all parameters at once, in few kernels. `kept` is 0 in an update that is left out, and with it
        # everything that would change a weight or a moment.
        coming = torch.stack(steps).double() + 1
        kept = (
            torch.ones_like(coming)
            if self.found_inf is None
            else (1 - self.found_inf.double()).expand_as(coming)
        )
        numbers = zip(
            (kept * (1 - beta1)).float(),
            (kept * (1 - beta2)).float(),
            (kept * group["lr"] / (1 - beta1**coming)).float(),
            (1 - beta2**coming).rsqrt().float(),
            (1 - kept * (group["lr"] * group["weight_decay"])).float(),
            strict=True,
        )
        for (name, p), state, each in zip(named, states, numbers, strict=True):
            generator = self._generator(p.device, name)
            for part in _parts(p, state):
                self._update_part(part, each, group["eps"], generator)
        torch._foreach_add_(steps, list(kept.float()))

    def _state(self, p: nn.Parameter) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[p]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=p.device)
            state["exp_avg"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
            state["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.contiguous_format)
        return state

    def _generator(self, device: torch.device, name: str) -> torch.Generator:
        if device not in self.generators:
            self.generators[device] = torch.Generator(device)
        assert self.done is not None
        return self.generators[device].manual_seed(number(self.seed, "rounding", self.done, name))

    def _update_part(
        self, part: Sequence[Tensor], numbers: Sequence[Tensor], epsilon: float, generator: torch.Generator
    ) -> None:
        """`part`: weight, gradient and both moments, of one dimension. Decoupled decay, bias-corrected moments:
        Loshchilov & Hutter 2019, algorithm 2, in the order of torch's AdamW.
        """
        of_gradient, of_square, rate, correction, decay = numbers
        weight, gradient, mean, square = (tensor.float() for tensor in part)
        if self.found_inf is not None:
            gradient = torch.where(self.found_inf > 0, 0.0, gradient)
        mean = mean.lerp(gradient, of_gradient)
        square = (square * (1 - of_square)).add_(gradient * gradient * of_square)
        change = mean / (square.sqrt() * correction).add_(epsilon)
        weight = (weight * decay).sub_(change.mul_(rate))
        for target, value in zip((part[0], part[2], part[3]), (weight, mean, square), strict=True):
            target.copy_(rounded(value, generator) if target.dtype == torch.bfloat16 else value)


def _parts(p: nn.Parameter, state: Mapping[str, Tensor]) -> Iterator[list[Tensor]]:
    """Weight, gradient and moments, flat, some elements at a time."""
    assert p.grad is not None
    whole = [p.detach().view(-1), p.grad.reshape(-1), state["exp_avg"].view(-1), state["exp_avg_sq"].view(-1)]
    size = ELEMENTS_AT_ONCE[p.device.type]
    for start in range(0, p.numel(), size):
        yield [tensor[start : start + size] for tensor in whole]


def rate_at(step: int, steps: int, recipe: Recipe) -> float:
    """The learning rate of update `step` (from 0): up to the full rate over the warm-up share, then down to 0.

    The first update already learns, and the rate would reach 0 at the update after the last.
    """
    warmup = math.ceil(recipe.warmup * steps)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (steps - step) / (steps - warmup)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from the next update on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip(parameters: Iterable[nn.Parameter], most: float) -> Tensor:
    """Scale the gradients so that their total norm is at most `most`; returns the norm they had, without waiting.

    The norm is computed and returned in fp32, whatever the gradients are: bf16 would round it to three digits.
    """
    having = [p for p in parameters if p.grad is not None]
    gradients = [p.grad for p in having if p.grad is not None]
    if all(gradient.dtype == torch.float32 for gradient in gradients):
        return nn.utils.clip_grad_norm_(having, most)
    norms = [
        torch.linalg.vector_norm(piece, dtype=torch.float32)
        for gradient in gradients
        for piece in gradient.reshape(-1).split(ELEMENTS_AT_ONCE[gradient.device.type])  # type: ignore[no-untyped-call]
    ]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    factor = (most / (norm + TINY)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm
