"""The Markdown table of all results that are there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

ORDER = ("training", "prediction", "tagging", "questions", "linear", "bf16", "demo")
NAMES = {
    "ours": "isthmus",
    "dynamic": "Trainer, padded to the longest",
    "fixed": "Trainer, padded to the maximum",
    "ours_again": "isthmus again",
    "fp32": "isthmus, fp32",
    "bf16": "isthmus, bf16",
}


def write(folder: Path, label: str = "") -> str:
    """Write README.md beside the results; gives its text. `label` marks numbers that do not count."""
    results = {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ORDER
        if (folder / f"{name}.json").is_file()
    }
    text = "\n".join(_lines(results, label)) + "\n"
    (folder / "README.md").write_text(text, encoding="utf-8")
    return text


def _lines(results: Mapping[str, Mapping[str, Any]], label: str) -> Iterator[str]:
    yield f"# Results{f' ({label})' if label else ''}"
    yield ""
    yield "Made by `make bench`; [what is measured and how](../README.md). One JSON file for each part holds the raw numbers."
    yield ""
    yield from targets(results)
    for name, result in results.items():
        yield ""
        yield from _part(name, result)


def targets(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One row for each target."""
    yield "| part | target | asked | measured | |"
    yield "|---|---|---|---|---|"
    for name, result in results.items():
        for target in result["targets"]:
            verdict = "passed" if target["passed"] else "**missed**"
            yield f"| {name} | {target['name']} | {target['asked']} | {target['value']:.3g} | {verdict} |"


def _part(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    machine = result["machine"]
    yield f"## {name}"
    yield ""
    versions = ", ".join(f"{key} {value}" for key, value in machine["versions"].items() if value)
    yield f"{machine['date']} UTC, {machine['cpu']}, {machine['cores']} cores, {result['threads']} threads; {versions}."
    if name == "training":
        shape = result["scale"]["architecture"]
        about = result["about"]
        yield (
            f"Model: {shape['layers']} x {shape['width']}, {result['scale']['embedding_rows']:,} embedding rows, "
            f"{about['parameters']:,} parameters, {about['weights']}. Texts: {about['mnli']}. "
            f"Tokenizer: {about['tokenizer']}."
        )
    if "skipped" in result:
        yield f"Skipped: {result['skipped']}."
        return
    if result.get("noisy"):
        yield f"**Noisy machine**: the second run of isthmus differs by {result['drift']:.0%} from the first."
    elif "drift" in result:
        yield f"The second run of isthmus differs by {result['drift']:.1%} from the first."
    yield ""
    if "tasks" in result:
        for task, found in result["tasks"].items():
            yield from _sides(found, f"{task}: ")
    elif "stages" in result:
        yield from _stages(result)
    elif "sides" in result:
        yield from _sides(result, "")
    if "ms_per_token" in result:
        each = ", ".join(f"{value:.3f}" for value in result["ms_per_token"])
        tokens = ", ".join(f"{value:.0f}" for value in result["tokens_per_step"])
        yield (
            f"At {tokens} tokens a step: {each} ms a token, of whole steps. A line through them: "
            f"{result['constant_seconds_per_step']:.2f} s a step (AdamW and clipping) and "
            f"{result['ms_per_token_beyond_the_constant']:.3f} ms a token."
        )


def _sides(result: Mapping[str, Any], prefix: str) -> Iterator[str]:
    sides = result["sides"]
    if "seconds" in next(iter(sides.values())):
        yield "| side | rows | seconds | rows/s | peak GiB |"
        yield "|---|---|---|---|---|"
        for name, side in sides.items():
            yield (
                f"| {NAMES[name]} | {side['rows']} | {side['seconds']:.1f} | {side['rows'] / side['seconds']:.1f} | "
                f"{side['peak_rss_mb'] / 1024:.2f} |"
            )
    else:
        about = next(side for side in sides.values() if "lengths" in side)
        share = 1 - sum(about["tokens"]) / sum(about["padded_tokens"])
        rows = about["details"].get("embedding_rows")
        yield (
            f"{prefix}{about['lengths']['mean']:.1f} tokens an example (longest {about['lengths']['max']}), "
            f"{share:.0%} padding where padded to the longest of a batch"
            + (f"; isthmus trains {rows['trained']:,} of {rows['all']:,} embedding rows" if rows else "")
            + "."
        )
        yield ""
        yield "| side | seconds a step (median) | steps timed | peak GiB | isthmus is faster by |"
        yield "|---|---|---|---|---|"
        times = result.get("times") if isinstance(result.get("times"), Mapping) else {}
        for name, side in sides.items():
            label = NAMES.get(name, f"{name} examples a batch")
            factor = f"{times[name]:.2f} ×" if name in times else ""
            yield (
                f"| {label} | {median(side['step_seconds']):.2f} | {len(side['step_seconds'])} | "
                f"{side['peak_rss_mb'] / 1024:.2f} | {factor} |"
            )
    if isinstance(result.get("times"), float) and "bf16" in sides:
        yield ""
        yield (
            f"bf16 is {result['times']:.2f} times as fast as fp32; its losses differ by at most "
            f"{result['loss_difference']:.1e}."
        )
    if isinstance(result.get("loss_difference"), Mapping):
        worst = max(result["loss_difference"].values())
        yield ""
        yield f"Largest relative difference of a loss between the sides: {worst:.1e}."
    yield ""


def _stages(result: Mapping[str, Any]) -> Iterator[str]:
    columns = ("jobs", "compute", "startup", "data", "saving", "rest", "cpu")
    yield (
        f"{result['cpu_seconds']:.0f} CPU seconds in {result['wall_seconds']:.0f} s, of these "
        f"{result['compute_cpu_seconds']:.0f} the model's and {result['outside_jobs_cpu_seconds']:.0f} outside the jobs "
        "(planning, Snakemake, process ends). CPU seconds by stage; `rest` is starting Python, imports, checks of inputs "
        "and, where no purpose is recorded, the stage's own work:"
    )
    yield ""
    yield "| stage | " + " | ".join(columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for stage, entry in result["stages"].items():
        cells = " | ".join(f"{entry.get(name, 0):.0f}" for name in columns)
        yield f"| {stage} | {cells} |"
    if result["units_estimated_from_wall_time"]:
        yield ""
        yield (
            f"The purposes of {result['units_estimated_from_wall_time']} units are estimated from wall seconds: their "
            "manifests have no CPU seconds."
        )
