"""What the checks on a GPU run, each in a process of its own: models of random weights, equality, pre-training.

Imports nothing that needs snakemake, datasets or pydantic.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from benchmarks.batches import source_of
from benchmarks.steps import Stamps, peak_gpu_mb, peak_rss_mb
from benchmarks.units import unit
from isthmus.data.batch import specials
from isthmus.model import attention
from isthmus.model import encoder as encoders
from isthmus.train import stage
from isthmus.train.flops import peak

PLACE = "cuda" if torch.cuda.is_available() else "cpu"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
KEPT = (
    "steps",
    "tokens",
    "tokens_per_s",
    "seconds",
    "mfu",
    "peak_rss_mb",
    "peak_gpu_mb",
    "last_losses",
    "dev",
)


def device(job: Mapping[str, Any]) -> dict[str, Any]:
    """What the checks run on."""
    on_gpu = PLACE == "cuda"
    name = torch.cuda.get_device_name() if on_gpu else "cpu"
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30 if on_gpu else None
    return {
        "name": name,
        "memory_gib": memory,
        "cuda": torch.version.cuda,
        "peak_bf16": peak(name, "bf16"),
    }


def gpu_model(job: Mapping[str, Any]) -> dict[str, Any]:
    """Write a model folder of random weights of `config`, with the tokenizer of `tokenizer`; gives its size."""
    logging.disable_progress_bar()
    special = specials(Path(job["tokenizer"]))
    named = dict(job["config"])
    config = AutoConfig.for_model(
        named.pop("model_type"),
        **{**named, "vocab_size": max(named["vocab_size"], special.rows)},
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        pad_token_id=special.pad,
        bos_token_id=special.bos,
        eos_token_id=special.eos,
    )
    torch.manual_seed(1)
    with torch.device(PLACE):
        model = AutoModel.from_config(config, dtype=DTYPES[job["dtype"]], add_pooling_layer=False)
    folder = Path(job["folder"])
    encoders.save(model, Path(job["tokenizer"]), folder)
    return {"parameters": sum(p.numel() for p in model.parameters()), "dtype": job["dtype"]}


def equality(job: Mapping[str, Any]) -> dict[str, Any]:
    """How far states and gradients of a packed batch are from those of the padded one, both under bf16 autocast, and
    how far bf16 itself is from fp32: relative, by the norm of all real tokens' states and of all gradients.
    """
    source = source_of(job)
    encoder = encoders.load(Path(job["parent"])).to(PLACE)
    encoders.set_dropout(encoder, 0.0)
    head = source.head(encoder.config).to(PLACE)
    encoders.set_dropout(head, 0.0)
    batch = {name: torch.from_numpy(array).to(PLACE) for name, array in source.at(0).items()}
    told = {"fp32": (False, False), "padded": (True, False), "packed": (True, True)}
    found = {name: _outcome(encoder, head, batch, bf16, packed) for name, (bf16, packed) in told.items()}
    apart = {
        what: {
            "packed_from_padded": _apart(found["packed"][what], found["padded"][what]),
            "packed_from_fp32": _apart(found["packed"][what], found["fp32"][what]),
            "padded_from_fp32": _apart(found["padded"][what], found["fp32"][what]),
        }
        for what in ("states", "gradients")
    }
    # An encoder that cannot be packed runs padded, and would pass.
    found_packed = encoder.config._attn_implementation == attention.NAME
    return {
        **apart,
        "packed": found_packed,
        "losses": {name: float(outcome["loss"][0]) for name, outcome in found.items()},
    }


def _outcome(
    encoder: Any, head: Any, batch: Mapping[str, Tensor], bf16: bool, packed: bool
) -> dict[str, list[Tensor]]:
    parameters = [*encoder.parameters(), *head.parameters()]
    with torch.autocast(PLACE, torch.bfloat16, enabled=bf16):
        if packed:
            states = encoders.hidden_states(encoder, batch)
        else:
            states = encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        loss = cross_entropy(head(states[:, 0]).float(), batch["labels"])
    gradients = torch.autograd.grad(loss, parameters)
    real = states[batch["attention_mask"].bool()]
    return {"states": [real.detach()], "gradients": list(gradients), "loss": [loss.detach()]}


def _apart(one: list[Tensor], other: list[Tensor]) -> float:
    """The norm of the difference over the norm of the other."""
    pairs = list(zip(one, other, strict=True))
    differ = sum(float((a.float() - b.float()).square().sum()) for a, b in pairs)
    return float((differ / sum(float(b.float().square().sum()) for _, b in pairs)) ** 0.5)


def pretrain(job: Mapping[str, Any]) -> dict[str, Any]:
    """Pre-train an encoder by the train stage, then write it in bf16 in shards that are small enough to be passed on.

    Gives what the stage noted, the number of parameters and the shards' sizes.
    """
    place = Path(job["place"], "encoder")
    tokens = Path(job["tokens"])
    languages = job["form"]["languages"]
    inputs = {f"tokens/text/{language}": tokens / "text" / language for language in languages}
    inputs["tokenizer"] = Path(job["tokenizer"])
    spec = {"tasks": [job["form"]], "recipe": job["recipe"], "seed": job["seed"], "init": job["architecture"]}
    work, commit = unit(place, spec, inputs, "pre-training")
    stamps = Stamps()
    stage.run([work])
    seconds = stamps.seconds(job["recipe"]["steps"])["step_seconds"]
    encoder = encoders.load(place)
    folder = Path(job["folder"])
    encoder.to(torch.bfloat16).save_pretrained(folder, max_shard_size=job["shard_size"])
    shutil.copyfile(place / "tokenizer.json", folder / "tokenizer.json")
    shutil.rmtree(place)
    return {
        "parameters": sum(p.numel() for p in encoder.parameters()),
        "shard_bytes": sorted(path.stat().st_size for path in folder.glob("*.safetensors")),
        "training_seconds": round(sum(seconds), 2),
        "peak_rss_mb": peak_rss_mb(),
        "peak_gpu_mb": peak_gpu_mb(),
        **{name: commit.details[name] for name in KEPT if name in commit.details},
    }
