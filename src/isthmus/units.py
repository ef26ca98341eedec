"""What the specs of units say: everything that decides a result, and nothing that does not."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from isthmus.errors import UsageError
from isthmus.hubs import HUB_MODULES, Hub
from isthmus.jobs import Unit
from isthmus.tasks.task import Source, Task

if TYPE_CHECKING:
    # Scoring a file by a hub comes by here, and reads no study.
    from isthmus.study.load import Arm, HubEncoder, PretrainedEncoder

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "sentencepiece.bpe.model",
)
ENCODER_FILES = (*TOKENIZER_FILES, "config.json", "*.safetensors", "*.safetensors.index.json")


def fetch_spec(
    task: Task, language: str, source: Source, request: Mapping[str, Any], hub_kind: str
) -> dict[str, Any]:
    """All that decides what a task's rows in one language are, wherever the hub keeps them."""
    spec = {
        "task": task.name,
        "family": task.family,
        "language": language,
        "source": {"hub": hub_kind, **request["source"]},
        "splits": request["splits"],
        "columns": request["columns"],
        "rows": {split: count for split, count in source.rows.items() if split in request["splits"]},
    }
    if task.labels:
        spec["labels"] = list(task.labels)
    if language in task.unspaced:
        spec["unspaced"] = True
    return spec


def hub_encoder_unit(name: str, encoder: "HubEncoder", hub: Hub, files: Iterable[str]) -> Unit:
    """Some files of an encoder on the hub."""
    if hub.kind == "babel":
        raise UsageError(
            f"The encoder {name} comes from the hub ({encoder.id}), but babel serves no encoders. Give it a `pretrain` "
            "block, or take a mirror as the study's hub."
        )
    source = {"hub": hub.kind, "id": encoder.id, "revision": encoder.revision}
    return Unit("encoder", name, {"source": source, "files": list(files)}, plugins=(HUB_MODULES[hub.kind],))


def architecture(encoder: "PretrainedEncoder") -> dict[str, Any]:
    """The shape of an encoder that is made from scratch."""
    names = ("layers", "width", "heads", "feed_forward", "positions", "dropout")
    return {name: getattr(encoder, name) for name in names}


def training_task(
    task: Task, languages: Iterable[str], pool: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """A task as a train spec names it; `pool`: (task, language) of what holds its candidates, if another task does."""
    entry = {"task": task.name, **task.form, "languages": list(languages)}
    if task.unites:
        entry["datasets"] = list(task.datasets)
    if task.pool_task is not None:
        entry["pool"] = places(pool)
    return entry


def places(pool: Iterable[tuple[str, str]]) -> list[str]:
    """Data of tasks in languages, as specs name them."""
    return [f"{task}/{language}" for task, language in pool]


def plugins_of(tasks: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The family modules that a training loads."""
    return tuple(sorted({f"isthmus.families.{task['family']}" for task in tasks}))


def arm_row(arm: "Arm") -> dict[str, Any]:
    """An arm as the tables describe it: tasks of a mixture joined by +, links of a chain by >."""
    mixed = any(len(link.tasks) > 1 for link in arm.links)
    kind = "none" if not arm.links else "chain" if len(arm.links) > 1 else "mixture" if mixed else "single"
    tasks = " > ".join("+".join(link.tasks) for link in arm.links)
    return {"arm": arm.name, "kind": kind, "tasks": tasks, "links": len(arm.links), **arm.factors}
