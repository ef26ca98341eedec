"""Training measured side by side: MNLI with targets, tagging and span lengths, tokens per batch, bf16."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import measure
from benchmarks.machine import has_bf16
from benchmarks.scale import Scale
from benchmarks.verdict import Target, largest_difference

FASTER_THAN_FIXED, FASTER_THAN_DYNAMIC = 3.5, 2.4
MEMORY_SHARE = 0.5
SAME_LOSS = 1e-5
STEADY = 0.1
LINEAR = (3.2, 4.8)
RECIPE: Mapping[str, Any] = {
    "learning_rate": 1e-5,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "dropout": 0.0,
    "select": "last",
}
Result = dict[str, Any]


def job(prepared: Mapping[str, Any], scale: Scale, task: str, **recipe: Any) -> dict[str, Any]:
    """What both sides of a training measurement are told."""
    return {
        "tokens": prepared["tokens"],
        "parent": prepared["parent"],
        "form": prepared["forms"][task],
        "seed": 1,
        "recipe": {**RECIPE, "threads": scale.threads, "max_length": scale.max_length, **recipe},
    }


def mnli(prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]) -> Result:
    """The targets of training: time, memory and losses of ours, of dynamic and of fixed padding, and of ours again."""
    told = job(prepared, scale, "mnli", steps=scale.steps_ours, batch_size=scale.batch)
    again = {**told, "recipe": {**told["recipe"], "steps": scale.steps_again}}
    sides = {}
    for name, side, what in (
        ("ours", "ours", told),
        ("dynamic", "trainer", {**told, "padding": "dynamic", "stop": scale.steps_dynamic}),
        ("fixed", "trainer", {**told, "padding": "fixed", "stop": scale.steps_fixed}),
        ("ours_again", "ours", again),
    ):
        sides[name] = measure(side, what, work)
        say(f"training, {name}: {summary(sides[name])}")
    return compare(sides) | {"recipe": told["recipe"]}


def compare(sides: Mapping[str, Result]) -> Result:
    """Ratios, losses, memory, and how steady the machine was."""
    first, again = (shared(sides["ours"], sides["ours_again"], which) for which in (0, 1))
    drift = again / first - 1
    # Padded to the maximum every step costs the same, so all steps count, and those of ours are as long as the texts are.
    faster = {
        "fixed": median(sides["fixed"]["step_seconds"]) / median(sides["ours"]["step_seconds"]),
        "dynamic": ratio(sides["ours"], sides["dynamic"]),
    }
    differ = {name: largest_difference(sides["ours"]["losses"], sides[name]["losses"]) for name in faster}
    memory = sides["ours"]["peak_rss_mb"] / sides["fixed"]["peak_rss_mb"]
    in_training = {name: sides[name]["peak_rss_mb_in_training"] for name in ("ours", "fixed")}
    targets = [
        Target(
            "examples per second, times Trainer padded to 128", faster["fixed"], at_least=FASTER_THAN_FIXED
        ),
        Target(
            "examples per second, times Trainer padded to the longest",
            faster["dynamic"],
            at_least=FASTER_THAN_DYNAMIC,
        ),
        Target("peak memory, of Trainer padded to 128", memory, at_most=MEMORY_SHARE),
        *(
            Target(
                f"largest relative difference of a loss, to Trainer {named}", differ[name], at_most=SAME_LOSS
            )
            for name, named in (("dynamic", "padded to the longest"), ("fixed", "padded to 128"))
        ),
    ]
    return {
        "sides": sides,
        "times": faster,
        "loss_difference": differ,
        "losses_compared": {name: len(sides[name]["losses"]) for name in differ},
        "memory_share": memory,
        "memory_share_in_training": in_training["ours"] / in_training["fixed"],
        "drift": drift,
        "noisy": abs(drift) > STEADY,
        "targets": [target.json() for target in targets],
    }


def ratio(ours: Result, other: Result) -> float:
    """How many times the examples per second of another side: of the middle steps, over the steps that both made."""
    return shared(ours, other, 1) / shared(ours, other, 0)


def shared(one: Result, other: Result, which: int) -> float:
    """The middle step's seconds of one of two sides, over the steps that both made; the batches are the same."""
    pairs = list(zip(one["step_seconds"], other["step_seconds"], strict=False))
    return median(pair[which] for pair in pairs)


def summary(side: Result) -> str:
    """A side in a few words."""
    return f"{median(side['step_seconds']):.2f} s a step, peak {side['peak_rss_mb'] / 1024:.2f} GiB"


def tagging(prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]) -> Result:
    """Tagging: sentences of UD English."""
    told = job(prepared, scale, "udpos", steps=scale.tag_steps, batch_size=scale.tag_batch)
    return {"tasks": {"udpos": three("udpos", told, work, say)}, "targets": []}


def questions(prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]) -> Result:
    """Questions on a context: SQuAD in windows of 384 tokens, 128 apart."""
    recipe = {"max_length": scale.window, "doc_stride": 128, "batch_size": scale.window_batch}
    told = job(prepared, scale, "squad", steps=scale.window_steps, **recipe)
    return {"tasks": {"squad": three("squad", told, work, say)}, "targets": []}


def three(name: str, told: dict[str, Any], work: Path, say: Callable[[str], None]) -> Result:
    """Ours, dynamic and fixed padding over the same few steps; no targets."""
    stop = told["recipe"]["steps"]
    sides = {"ours": measure("ours", told, work)}
    for padding in ("dynamic", "fixed"):
        sides[padding] = measure("trainer", {**told, "padding": padding, "stop": stop}, work)
    times = {padding: ratio(sides["ours"], sides[padding]) for padding in ("fixed", "dynamic")}
    differ = {p: largest_difference(sides["ours"]["losses"], sides[p]["losses"]) for p in times}
    say(f"{name}: " + ", ".join(f"{times[p]:.2f} times Trainer, padding {p}" for p in times))
    memory = sides["ours"]["peak_rss_mb"] / sides["fixed"]["peak_rss_mb"]
    return {
        "sides": sides,
        "times": times,
        "loss_difference": differ,
        "memory_share": memory,
        "recipe": told["recipe"],
    }


def linear(prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]) -> Result:
    """Ours at one, two and four times the tokens of a batch, of one distribution of lengths.

    The time is that of whole steps. A part of each is the same for any number of tokens (AdamW); it is estimated and
    told beside, and not taken out.
    """
    sides = {}
    for batch in scale.linear_batches:
        told = job(prepared, scale, "mnli", steps=scale.linear_steps, batch_size=batch)
        sides[str(batch)] = measure("ours", told, work)
        say(f"linear, {batch} examples: {summary(sides[str(batch)])}")
    return {"sides": sides, **linearity(list(sides.values()))}


def linearity(sides: list[Result]) -> Result:
    """What four times the tokens cost, from seconds and tokens of the steps after the first."""
    seconds = [sum(side["step_seconds"]) for side in sides]
    tokens = [sum(side["tokens"][1 : 1 + len(side["step_seconds"])]) for side in sides]
    each = [s / t for s, t in zip(seconds, tokens, strict=True)]
    cost = 4 * each[-1] / each[0]
    steps = len(sides[0]["step_seconds"])
    slope = (seconds[-1] - seconds[0]) / (tokens[-1] - tokens[0])
    target = Target("cost of 4 times the tokens", cost, *LINEAR)
    return {
        "tokens_per_step": [round(t / steps, 1) for t in tokens],
        "seconds_per_step": [round(s / steps, 4) for s in seconds],
        "ms_per_token": [round(1000 * e, 4) for e in each],
        "ms_per_token_beyond_the_constant": round(1000 * slope, 4),
        "constant_seconds_per_step": round((seconds[0] - slope * tokens[0]) / steps, 4),
        "targets": [target.json()],
    }


def bf16(prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]) -> Result:
    """Ours with products in bf16 beside fp32, where the processor has them. No target."""
    if not has_bf16():
        return _skipped("the processor has no bf16 products (avx512_bf16, amx_bf16)", say)
    sides = {}
    for precision in ("fp32", "bf16"):
        told = job(
            prepared, scale, "mnli", steps=scale.bf16_steps, batch_size=scale.batch, precision=precision
        )
        sides[precision] = measure("ours", told, work)
        say(f"{precision}: {summary(sides[precision])}")
    if sides["fp32"]["losses"] == sides["bf16"]["losses"]:
        return _skipped("the recipe's precision has no effect: the losses are those of fp32, bit by bit", say)
    differ = largest_difference(sides["fp32"]["losses"], sides["bf16"]["losses"])
    return {
        "sides": sides,
        "times": ratio(sides["bf16"], sides["fp32"]),
        "loss_difference": differ,
        "targets": [],
    }


def _skipped(reason: str, say: Callable[[str], None]) -> Result:
    say(f"bf16: skipped, {reason}")
    return {"skipped": reason, "targets": []}
