"""The engine on a GPU, check after check: `python -m benchmarks.gpu --world FOLDER --out FOLDER`.

    --prepare FOLDER   make the world of a mirror's texts (elsewhere: this needs pydantic and the mirror)
    --toy              the same logic at toy sizes, on invented texts, in one process and on a CPU: measures nothing

Runs without snakemake, datasets and pydantic. Exits 1 where a target is missed or a check fails. The order is that of
what is to be known first; each check's result is written when it is there.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.child import ChildFailed, here, measure
from benchmarks.gpu_scale import H200, TOY, GpuScale
from benchmarks.machine import facts
from benchmarks.verdict import MISSED, Target, exit_code, largest_difference

FASTER, MFU = 5.0, 0.4
# Packed and padded may be as far apart as bf16 is from fp32: sums in another order, in 8 bits.
OF_ROUNDING = 2.0
SHARD_BYTES = 16 * 2**20
PARAMETERS = (25e6, 30e6)
Result = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Where the checks find and leave things, and how they run one side."""

    scale: GpuScale
    world: Path
    work: Path
    side: Callable[[str, Mapping[str, Any], Path], dict[str, Any]]

    def run(self, side: str, **job: Any) -> dict[str, Any]:
        """Run one side."""
        return self.side(side, job, self.work)

    def model(self, name: str) -> Path:
        """The folder of a model of random weights, made unless it is there."""
        folder = self.work / "models" / name
        if not folder.is_dir():
            told = asdict(self.scale.models[name])
            self.run("gpu_model", **told, tokenizer=str(self.world / "timing/tokenizer"), folder=str(folder))
        return folder

    def training(self, model: str, form: Mapping[str, Any], **recipe: Any) -> dict[str, Any]:
        """What `ours` and `trainer` are told."""
        return {
            "tokens": str(self.world / "timing/tokens"),
            "parent": str(self.model(model)),
            "form": form,
            "seed": 1,
            "recipe": {"learning_rate": 1e-5, "select": "last", "dropout": 0.0, **recipe},
        }


NLI = {
    "task": "mnli",
    "family": "classify",
    "labels": ["entailment", "neutral", "contradiction"],
    "languages": ["en"],
}
QA = {"task": "squad", "family": "span", "languages": ["en"]}


def equality(bench: Bench) -> Result:
    """Packed = padded within bf16's own error."""
    found = bench.run("equality", **bench.training("large", NLI, batch_size=bench.scale.batch))
    times = {
        what: found[what]["packed_from_fp32"] / max(found[what]["padded_from_fp32"], 1e-12)
        for what in ("states", "gradients")
    }
    targets = [
        Target(f"{what}: packed's distance to fp32, of padded's", value, at_most=OF_ROUNDING)
        for what, value in times.items()
    ]
    targets.append(Target("the encoder runs packed", float(found["packed"]), at_least=1))
    return {**found, "times": times, "targets": [target.json() for target in targets]}


def nli(bench: Bench) -> Result:
    """Large shape, bf16, NLI lengths: ours against Trainer padded to 128."""
    scale = bench.scale
    told = bench.training(
        "large", NLI, batch_size=scale.batch, steps=scale.steps, precision="bf16", max_length=128
    )
    sides = {
        "ours": bench.run("ours", **told),
        "fixed": bench.run("trainer", **told, padding="fixed", stop=scale.steps),
    }
    times = median(sides["fixed"]["step_seconds"]) / median(sides["ours"]["step_seconds"])
    target = Target("examples per second, times Trainer padded to 128, bf16", times, at_least=FASTER)
    return {
        "sides": sides,
        "times": times,
        "loss_difference": largest_difference(sides["ours"]["losses"], sides["fixed"]["losses"]),
        "targets": [target.json()],
    }


def qa(bench: Bench) -> Result:
    """Large shape, bf16, questions in windows of 384: the share of the device's peak."""
    scale = bench.scale
    told = bench.training(
        "large", QA, batch_size=scale.batch, steps=scale.steps, precision="bf16", max_length=384
    )
    found = bench.run("ours", **told)
    most = bench.run("device")["peak_bf16"]
    speed = found["details"]["flops"] / scale.steps / median(found["step_seconds"])
    mfu = speed / most if most else None
    targets = [] if mfu is None else [Target("MFU at 384-token QA", mfu, at_least=MFU).json()]
    return {"side": found, "flops_per_s": speed, "mfu": mfu, "targets": targets}


def large(bench: Bench) -> Result:
    """Real steps of the recipes for XL and XXL on one card: losses finite, peak memory, seconds."""
    found = {}
    for name, (model, recipe) in bench.scale.large.items():
        told = bench.training(
            model, NLI, batch_size=bench.scale.batch, steps=bench.scale.large_steps, **recipe
        )
        found[name] = bench.run("ours", **told) | {"recipe": told["recipe"]}
    done = [
        Target(f"{name}: steps with a finite loss", _finite(side["losses"]), at_least=bench.scale.large_steps)
        for name, side in found.items()
    ]
    return {"sides": found, "targets": [target.json() for target in done]}


def _finite(losses: Sequence[float]) -> int:
    return sum(abs(loss) < float("inf") for loss in losses)


def small(bench: Bench) -> Result:
    """Pre-train a small multilingual encoder by the train stage, and fine-tune from its shards."""
    scale, corner = bench.scale, bench.world / "small"
    folder = bench.work / "small-encoder"
    languages = sorted(path.name for path in (corner / "tokens/text").iterdir())
    made = bench.run(
        "pretrain",
        tokens=str(corner / "tokens"),
        tokenizer=str(corner / "tokenizer"),
        form={"task": "text", "family": "mlm", "languages": languages},
        recipe=scale.pretraining,
        architecture=scale.small,
        seed=1,
        folder=str(folder),
        shard_size="15MB",
    )
    tuned = bench.run(
        "ours",
        tokens=str(corner / "tokens"),
        parent=str(folder),
        form=NLI,
        recipe=scale.fine_tuning,
        seed=1,
    )
    targets = [
        Target("largest shard in bytes", max(made["shard_bytes"]), at_most=SHARD_BYTES),
        Target("parameters", made["parameters"], *(PARAMETERS if scale is H200 else (1, PARAMETERS[1]))),
    ]
    return {
        "pretraining": made,
        "fine_tuning": tuned,
        "encoder": str(folder),
        "targets": [target.json() for target in targets],
    }


CHECKS: Mapping[str, Callable[[Bench], Result]] = {
    "equality": equality,
    "nli": nli,
    "qa": qa,
    "large": large,
    "small": small,
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.prepare:
        from benchmarks.gpu_prepare import world
        from benchmarks.mirror import folder

        world(options.prepare.absolute(), folder())
        return 0
    with tempfile.TemporaryDirectory(prefix="isthmus-gpu-") as name:
        work = (options.work or Path(name)).absolute()
        if options.toy:
            bench = toy(work)
        elif options.world is None:
            parser().error("give --world FOLDER (made by --prepare) or --toy")
        else:
            bench = Bench(H200, options.world.absolute(), work, measure)
        return check(bench, options.only or list(CHECKS), options.out.absolute())


def toy(work: Path) -> Bench:
    """Everything small, invented and in this process."""
    from benchmarks.gpu_world import invent

    invent(work / "world", pieces=200, rows=64, languages=("aa", "bb"))
    return Bench(TOY, work / "world", work, here)


def check(bench: Bench, names: Sequence[str], out: Path) -> int:
    """Run checks in order and write what they find; a check that fails does not keep the others from running."""
    out.mkdir(parents=True, exist_ok=True)
    start, found = time.monotonic(), {}
    about = {"machine": facts(), "device": bench.run("device"), "scale": bench.scale.name}
    for name in names:
        try:
            found[name] = CHECKS[name](bench)
        except ChildFailed as error:
            failed = Target("the check ran to its end", 0, at_least=1).json()
            found[name] = {"failed": str(error), "targets": [failed]}
        missed = [target["name"] for target in found[name]["targets"] if not target["passed"]]
        verdict = f"missed: {'; '.join(missed)}" if missed else "done"
        print(f"[{time.monotonic() - start:5.0f} s {bench.scale.name}] {name}: {verdict}", flush=True)
        text = json.dumps({**about, "checks": found}, indent=1) + "\n"
        (out / f"gpu-{bench.scale.name}.json").write_text(text, encoding="utf-8")
    return exit_code(found.values()) if bench.scale is H200 else _failed(found)


def _failed(found: Mapping[str, Result]) -> int:
    """At toy sizes no number is a measurement: only what broke counts."""
    return MISSED if any("failed" in result for result in found.values()) else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--prepare", type=Path, metavar="FOLDER")
    made.add_argument("--world", type=Path, metavar="FOLDER")
    made.add_argument("--out", type=Path, metavar="FOLDER", default=Path("gpu-results"))
    made.add_argument("--work", type=Path, metavar="FOLDER", help="kept; default: one that is removed")
    made.add_argument("--only", nargs="+", choices=CHECKS)
    made.add_argument("--toy", action="store_true")
    return made


if __name__ == "__main__":
    sys.exit(main())
