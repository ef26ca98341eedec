"""The demo's measurement as a part: how much of its CPU time is not the model's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.child import measure
from benchmarks.mirror import REPOSITORY
from benchmarks.scale import Scale
from benchmarks.verdict import Target

SHARE, CORES = 0.4, 2


def study(
    prepared: Mapping[str, Any], scale: Scale, work: Path, say: Callable[[str], None]
) -> dict[str, Any]:
    """The target of the demo. A small measurement takes a small study that the caller names."""
    path = REPOSITORY / "config.yaml" if scale.name == "full" else work / "quick.yaml"
    if scale.name != "full":
        path.write_text(QUICK, encoding="utf-8")
    found = measure("demo", {"study": str(path), "cores": CORES}, work)
    share = found["share_outside_compute"]
    say(f"demo: {share:.1%} of {found['cpu_seconds']:.0f} CPU seconds are not the model's")
    target = Target("share of the demo's CPU time outside model compute", share, at_most=SHARE)
    return {**found, "targets": [target.json()]}


QUICK = """\
study: quick
question: Does the accounting run?
hub: babel
encoders:
  tiny:
    pretrain:
      data: [wikipedia]
      languages: [en]
      vocab_size: 600
      sentences_per_language: 400
      layers: 2
      width: 32
      heads: 2
      feed_forward: 64
      positions: 64
arms:
  none: []
targets: [xnli]
languages: [en]
seeds: [1]
recipe:
  all: {max_length: 48, eval_every: 50, eval_examples: 60}
  pretrain: {steps: 12, tokens_per_batch: 600, learning_rate: 1e-3}
  target: {steps: 50, learning_rate: 2e-3}
"""
