import math
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel

from isthmus.model import encoder as encoders
from isthmus.model import lora, memory, room
from isthmus.model.memory import Batch, choose, estimate
from isthmus.recipe import full

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SHARED = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "pad_token_id": 1}
PLAIN = full({"select": "last"})
SOME = Batch(tokens=100, pairs=3000)
GB = 2**30


def model(kind: str = "xlm-roberta", **changes):
    shape = {"num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": 34} | changes
    config = AutoConfig.for_model(kind, **SHARED, **shape)
    return AutoModel.from_config(config, **encoders._no_pooler(config))


def activations(encoder, batch: Batch = SOME, place: torch.device = GPU, **recipe) -> int:
    return memory.activations(encoder, full(recipe), batch, place)


def test_weights_gradients_and_moments_follow_the_parameters() -> None:
    encoder, head = model(), nn.Linear(16, 3)
    n = sum(p.numel() for module in (encoder, head) for p in module.parameters())
    found = estimate(encoder, [head], PLAIN, SOME, GPU)
    assert (found.weights, found.gradients, found.moments, found.best) == (4 * n, 4 * n, 8 * n, 0)
    assert found.peak == 16 * n + found.activations
    assert (
        estimate(encoder, [head], full({}), SOME, GPU).best == 0
    )  # the best so far is kept, but in main memory
    assert estimate(encoder, [head], full({}), SOME, torch.device("cpu")).best == 4 * n
    halved = estimate(encoder.to(torch.bfloat16), [head.to(torch.bfloat16)], PLAIN, SOME, GPU)
    assert (halved.weights, halved.moments) == (2 * n, 4 * n)
    assert halved.gradients == 2 * n + 44 * 16 * 64  # and what the largest tensor's update needs


def test_low_rank_additions_alone_have_gradients() -> None:
    encoder = model()
    n = sum(p.numel() for p in encoder.parameters())
    before = activations(encoder)
    lora.attach(encoder, full({"lora_rank": 2}), 1)
    added = 2 * 2 * (4 * (16 + 16) + 2 * (16 + 64))
    found = estimate(encoder, [], PLAIN, SOME, GPU)
    assert (found.weights, found.gradients, found.moments) == (4 * (n + added), 4 * added, 8 * added)
    assert found.activations == before


@pytest.mark.parametrize(
    ("kind", "changes", "numbers", "copies"),
    [
        ("xlm-roberta", {}, 9 * 16 + 2 * 64, 2 * 16),
        ("xlm-roberta-xl", {}, 9 * 16 + 2 * 64, 2 * 16),
        ("modernbert", {"cls_token_id": 0, "sep_token_id": 2}, 9 * 16 + 4 * 64, 0),
        ("eurobert", {}, 9 * 16 + 4 * 64, 3 * 16),
    ],
)
def test_what_a_layer_keeps_is_read_from_its_linear_layers(
    kind: str, changes: dict, numbers: int, copies: int
) -> None:
    ids = {"bos_token_id": 0, "eos_token_id": 2, "mask_token_id": 3} if kind != "xlm-roberta" else {}
    layer = encoders.layer_stack(model(kind, **changes, **ids))[0]
    assert memory._states(layer) == (numbers, copies)


def test_activations_grow_with_tokens_and_layers() -> None:
    one, two = activations(model()), activations(model(), Batch(200, 3000))
    assert two == 2 * one
    assert activations(model(num_hidden_layers=4)) > 1.6 * one
    assert activations(model(), precision="bf16") < 0.8 * one
    many = model(num_hidden_layers=12)
    assert activations(many, gradient_checkpointing=True) < 0.3 * activations(many)
    assert activations(model(), Batch(100, 3000, logits=1000)) == one + 12_000


@pytest.mark.parametrize("checkpointing", [True, False])
def test_autocast_copies_weights_that_are_not_bf16(checkpointing: bool) -> None:
    options = {"precision": "bf16", "gradient_checkpointing": checkpointing}
    copied = activations(model(), **options) - activations(model().to(torch.bfloat16), **options)
    assert copied == 2 * 2 * (4 * 16 * 16 + 2 * 16 * 64)


def test_pairs_count_on_a_cpu_with_dropout_alone() -> None:
    def pairs(place: torch.device, rate: float) -> int:
        encoder = model(attention_probs_dropout_prob=rate)
        return activations(encoder, Batch(100, 9000), place) - activations(encoder, Batch(100, 3000), place)

    assert pairs(CPU, 0.1) == 6000 * 2 * 2 * 3 * 4  # two layers, two heads, three numbers each
    assert pairs(CPU, 0.0) == pairs(GPU, 0.1) == 0


def test_the_longest_examples_decide_how_many_go_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, recipe = model(), full({"batch_size": 20, "select": "last"})
    lengths = np.array([5] * 500 + [100] * 10)

    def chosen(examples: int, lengths: np.ndarray = lengths, slack: float = 1.0, **changes) -> int | None:
        """With room for a batch of so many of the longest examples."""
        batch = memory.worst(np.sort(lengths)[::-1][:examples], recipe, 0)
        needed = estimate(encoder, [], recipe, batch, CPU).peak
        monkeypatch.setattr(room, "available", lambda place: slack * needed / memory.SHARE)
        return choose(encoder, [], full(vars(recipe) | changes), lengths, CPU)

    assert chosen(20) is None
    assert chosen(20, slack=0.999) == 10  # the next half has the ten long ones
    assert chosen(9) == 5 and chosen(5, slack=0.999) == 3 and chosen(3, slack=0.999) == 2
    assert chosen(2) == 2 and chosen(2, slack=0.999) == chosen(1) == 1
    assert chosen(1, slack=0.1) == 1  # the first step will tell
    assert chosen(4, lengths[:4]) is None  # fewer examples than a batch
    # by tokens a batch holds eight of the longest
    assert chosen(8, tokens_per_batch=800) is None and chosen(7, tokens_per_batch=800) == 4


def test_weights_on_a_gpu_are_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, lengths = model(), np.full(8, 20)
    batch = memory.worst(lengths, PLAIN, 0)
    found = estimate(encoder, [], PLAIN, batch, GPU)
    monkeypatch.setattr(room, "available", lambda place: (found.peak - found.weights) / memory.SHARE)
    assert choose(encoder, [], PLAIN, lengths, GPU) is None
    assert choose(encoder, [], PLAIN, lengths, GPU, vocabulary=50) == 4


def test_pairs_of_an_example_of_several_rows_are_bounded() -> None:
    recipe = full({"max_length": 10, "mask_rate": 0.5})
    assert memory.worst(np.array([6, 40]), recipe, 7) == Batch(46, 6 * 6 + 40 * 10, 23 * 7)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder for the kernel's files, with 8 GB available and a process of 2 GB, 1 GB of it in memory."""
    monkeypatch.setattr(room, "ROOT", tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    write(tmp_path / "proc/meminfo", "MemTotal: 99 kB\nMemAvailable:   8388608 kB\n")
    write(tmp_path / "proc/self/statm", f"{2 * GB // room.PAGE} {GB // room.PAGE} 0 0 0 0 0\n")
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(text))


def group(folder: Path, most: object, used: int, files: int, v1: bool = False) -> None:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if v1 else ("memory.max", "memory.current")
    write(folder / names[0], most)
    write(folder / names[1], used)
    write(folder / "memory.stat", f"anon 5\n{'total_' if v1 else ''}inactive_file {files}\n")


def test_the_smallest_limit_holds(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.available(CPU) == 8 * GB
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(7 * 1024))
    assert room.available(CPU) == 6 * GB  # 1 GB is in use
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (5 * GB, resource.RLIM_INFINITY))
    assert room.available(CPU) == 3 * GB
    monkeypatch.setattr(resource, "getrlimit", lambda limit: (GB, GB))
    assert room.available(CPU) == 0  # never less than nothing


@pytest.mark.parametrize("text", ["", "0", "all"])
def test_slurm_may_give_the_whole_node(machine: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SLURM_MEM_PER_NODE", text)
    assert room.available(CPU) == 8 * GB


def test_control_groups_of_both_kinds_limit(machine: Path) -> None:
    write(machine / "proc/self/cgroup", "0::/job/step\n")
    group(machine / "sys/fs/cgroup/job/step", "max", 0, 0)
    assert room.available(CPU) == 8 * GB
    group(machine / "sys/fs/cgroup/job", 6 * GB, 3 * GB, GB)  # the limit of a group around
    assert room.available(CPU) == 4 * GB
    write(machine / "proc/self/cgroup", "9:cpu:/x\n4:memory:/y/z\n")
    assert room.available(CPU) == 8 * GB
    group(machine / "sys/fs/cgroup/memory/y/z", 2**63 - 4096, GB, 0, v1=True)
    assert room.available(CPU) == 8 * GB
    group(machine / "sys/fs/cgroup/memory", 3 * GB, 2 * GB, 0, v1=True)  # as a container sees its own
    assert room.available(CPU) == GB


def test_where_nothing_is_known_nothing_is_limited(tmp_path: Path, machine: Path) -> None:
    (machine / "proc/meminfo").unlink()
    (machine / "proc/self/statm").unlink()
    assert room.available(CPU) == math.inf
    assert choose(model(), [], full({}), np.array([5, 6]), CPU) is None
