"""The train stage: parent, data and recipe of a spec in, a model folder out.

Pre-training from scratch is a spec with `init` in the place of a parent and a family that reads text without labels.
"""

import json
import math
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import nn

from isthmus.clock import Clock
from isthmus.data.seeds import number
from isthmus.log import say
from isthmus.model import encoder as encoders
from isthmus.model.device import free
from isthmus.train.flops import peak
from isthmus.train.loop import train
from isthmus.train.optimizer import rate_at
from isthmus.train.prepare import prepare, tokenizer_folder
from isthmus.train.progress import duration
from isthmus.train.run import Facts, Run
from isthmus.train.selection import kept, updates
from isthmus.train.task import Task
from isthmus.work import Work


def run(works: Sequence[Work]) -> None:
    """Train each unit's model. `spec`: tasks, recipe, seed, `init` (an architecture) or none, `cap` of a mixture or
    none, `target_dev` (tasks with languages, to select by) or none; inputs: `parent` (or `tokenizer` with `init`) and
    `tokens/<task>/<language>`.

    A run that diverges is committed with that status and no model; one that answers everything alike, with its
    model and the status `collapsed`, after a second attempt with another seed if the recipe asks for it.

    Raises:
        DataError, UsageError: the data, the parent or the recipe cannot be trained with.
        Interrupted: a signal came; the state is saved.
    """
    for work in works:
        _run(work)


def _run(work: Work) -> None:
    attempts: list[dict[str, Any]] = []
    job, facts = attempt(work, work.spec["seed"], attempts)
    if facts.collapsed and job.recipe.rerun_collapsed:
        say(f"{work.name}: {collapse(facts)}; it is trained once more, with another seed")
        del job  # its weights; there may be no room for two
        job, facts = attempt(work, another(work.spec["seed"]), attempts)
    if facts.diverged:
        say(facts.diverged)
    else:
        with job.clock("saving"):
            free()
            restore(job, facts)
            encoders.save(job.encoder, tokenizer_folder(work), work.folder)
            save_heads(job.tasks, work.folder)
        say(f"{work.name}: {facts.step} steps in {duration(sum(job.clock.seconds.values()))}")
    reason = facts.diverged or (collapse(facts) if facts.collapsed else "")
    work.commit(
        status=attempts[-1]["status"],
        reason=reason,
        details={
            **accounting(job, facts),
            "attempts": attempts,
            "parent_status": work.statuses.get("parent"),
        },
    )


def attempt(work: Work, seed: int, attempts: list[dict[str, Any]]) -> tuple[Run, Facts]:
    """Train with one seed, and note in `attempts` what came of it."""
    clock = Clock()
    with clock("startup"):
        job = prepare(work, seed, clock)
    say(f"{work.name}: {len(job.schedule)} steps over {', '.join(task.name for task in job.tasks)}")
    with work.graceful():
        facts = train(job)
    status = "diverged" if facts.diverged else "collapsed" if facts.collapsed else "ok"
    attempts.append({"seed": seed, "status": status, "steps": facts.step})
    return job, facts


def another(seed: int) -> int:
    """The seed of a second attempt."""
    return number(seed, "second attempt") % 2**31


def collapse(facts: Facts) -> str:
    """What a collapsed run did."""
    return f"the same answer to every development example of {', '.join(facts.collapsed)}"


def restore(job: Run, facts: Facts) -> None:
    """Make an ordinary encoder of what was trained: low-rank additions go into the weights; embedding rows that took
    no part are put back, decayed as often as the weights that are left.
    """
    if job.adapted is not None:
        job.adapted.merge()
    if job.compaction is not None:
        steps = len(job.schedule)
        rates = [rate_at(step, steps, job.recipe) for step in range(updates(job, facts))]
        job.compaction.undo(rates, job.recipe.weight_decay)


def save_heads(tasks: Sequence[Task], folder: Path) -> None:
    """heads.safetensors with tensors `<task>.<parameter>`, and heads.json with each head's form (family, labels)."""
    tensors = {f"{task.name}.{name}": value for task in tasks for name, value in _weights(task.head).items()}
    save_file(tensors, folder / "heads.safetensors")
    kept = {task.name: task.form for task in tasks}
    (folder / "heads.json").write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _weights(head: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}


def accounting(job: Run, facts: Facts) -> dict[str, Any]:
    """What the run cost and how it went. No part of the result.

    Tokens are real ones; `padding_avoided` is the share of the padded batches' tokens that the encoder never saw; FLOPs
    are those of the plain computation, and `mfu` their share of the device's peak while computing (None: not known).
    """
    clock, on_gpu = job.clock, job.on_gpu
    device = torch.cuda.get_device_name() if on_gpu else "cpu"
    compute = clock.seconds.get("compute", 0.0)
    speed = facts.flops / compute if compute else 0.0
    most = peak(device, job.recipe.precision)
    return {
        "steps": facts.step,
        "examples": facts.examples,
        "tokens": facts.tokens,
        "padding_share": _share(facts.padded_tokens - facts.tokens, facts.padded_tokens),
        "padding_avoided": _share(facts.padded_tokens - facts.computed_tokens, facts.padded_tokens),
        "examples_per_s": round(facts.examples / compute, 2) if compute else 0.0,
        "tokens_per_s": round(facts.tokens / compute, 1) if compute else 0.0,
        "flops": facts.flops,
        "flops_per_s": speed,
        "mfu": round(speed / most, 4) if most else None,
        **clock.rounded(),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "peak_gpu_mb": torch.cuda.max_memory_allocated() // 2**20 if on_gpu else None,
        "selected": kept(job, facts),
        "micro_batch": facts.micro_batch,
        "halved": facts.halved,
        "embedding_rows": job.compaction.rows if job.compaction is not None else None,
        "dev": facts.history,
        "last_losses": [loss if math.isfinite(loss) else str(loss) for loss in facts.losses],
        "device": device,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
