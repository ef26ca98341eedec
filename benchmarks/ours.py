"""Our side of a training measurement: the train stage itself, on a unit of work."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.batches import source_of, work_of
from benchmarks.steps import Stamps, lengths, peak_gpu_mb, peak_rss_mb
from benchmarks.units import remove
from isthmus.train import stage

KEPT = (
    "seconds",
    "cpu_seconds",
    "embedding_rows",
    "padding_share",
    "micro_batch",
    "halved",
    "tokens_per_s",
    "flops",
)


def ours(job: Mapping[str, Any]) -> dict[str, Any]:
    """Train; give the seconds of each step but the first, all losses, peak memory and what the batches hold."""
    stamps = Stamps()
    place = Path(job["place"], "model")
    work, commit = work_of(job, place)
    stage.run([work])
    steps, peak, peak_gpu = job["recipe"]["steps"], peak_rss_mb(), peak_gpu_mb()
    if not job.get("keep"):
        remove(place)
    remove(place.with_name("model.state"))
    masks = [batch["attention_mask"] for batch in map(source_of(job).at, range(steps))]
    rows = np.concatenate([mask.sum(1) for mask in masks])
    return {
        **stamps.seconds(steps),
        "losses": commit.details["last_losses"],
        "status": commit.status,
        "peak_rss_mb": peak,
        "peak_gpu_mb": peak_gpu,
        "tokens": [int(mask.sum()) for mask in masks],
        "examples": [len(mask) for mask in masks],
        "padded_tokens": [mask.size for mask in masks],
        "lengths": lengths(rows),
        "dev": commit.details["dev"],
        "details": {name: commit.details[name] for name in KEPT if name in commit.details},
    }
