"""Batches in parts: the same gradient as in one, and what happens when the memory does not suffice."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from isthmus.errors import Interrupted, OutOfMemory
from isthmus.families import choice, classify, match, mlm, span, tag
from isthmus.model import encoder as encoders
from isthmus.model import memory
from isthmus.recipe import full
from isthmus.train import gradient as gradient_of
from tests.unit.conftest import ARCHITECTURE
from tests.unit.train.conftest import CUE, TEXT, TWIN, digests
from tests.unit.train.test_compaction import weights

LENGTHS = [6, 9, 4, 12, 5, 7, 11]
WORDS = [1, 5, 2, 9, 1, 1, 4]
FAMILIES = {"classify": classify, "tag": tag, "span": span, "choice": choice, "mlm": mlm, "match": match}


def padded(lengths: list[int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    ids = random.integers(5, 100, (len(lengths), max(lengths)))
    mask = np.arange(ids.shape[1]) < np.array(lengths)[:, None]
    return {"input_ids": np.where(mask, ids, 1), "attention_mask": mask.astype(np.int64)}


def batch_of(name: str) -> dict[str, np.ndarray]:
    """Seven examples of a family whose terms are unevenly spread over them."""
    batch = padded(LENGTHS)
    rows = np.arange(7)
    if name == "tag":
        width = batch["input_ids"].shape[1]
        cells = [row * width + 1 + np.arange(words) for row, words in enumerate(WORDS)]
        return {**batch, "words": np.concatenate(cells), "labels": np.concatenate(cells) % 2}
    if name == "span":
        shown = batch["attention_mask"].copy()
        shown[:, :3] = 0
        return {
            **batch,
            "shown": shown,
            "starts": rows % 2 * 3,
            "ends": rows % 2 * 3,
            "limits": np.ones((7, 2), int),
        }
    if name == "choice":
        counts = np.array([2, 3, 1, 1])
        return {**batch, "counts": counts, "labels": np.array([1, 2, 0, 0])}
    if name == "match":  # the first and the third candidate read the same
        return {**padded([*LENGTHS, 8]), "groups": np.array([3, 1, 3, 2])}
    if name == "mlm":  # the third and the fourth window have no masked piece
        masked = np.array([1, 2, 3, 13, 49, 62, 63, 64, 80])
        return {**batch, "masked": masked, "targets": batch["input_ids"].reshape(-1)[masked]}
    return {**batch, "labels": rows % 2}


def run_of(name: str, interrupted=lambda: False) -> tuple[SimpleNamespace, SimpleNamespace]:
    special = SimpleNamespace(bos=0, pad=1, eos=2, unk=3, mask=4, rows=100)
    encoder = encoders.create({**ARCHITECTURE, "dropout": 0.0}, special, 1).train()
    torch.manual_seed(1)
    head = FAMILIES[name].head(encoder.config, {"labels": ["no", "yes"]})
    encoders.set_dropout(head, 0.0)
    task = SimpleNamespace(family=FAMILIES[name], head=head)
    return SimpleNamespace(encoder=encoder, seed=1, interrupted=interrupted, recipe=full({})), task


def gradients(name: str, size: int) -> tuple[float, dict[str, torch.Tensor]]:
    run, task = run_of(name)
    batch = batch_of(name)
    examples = len(batch.get("counts", batch.get("groups", batch["input_ids"])))
    loss = gradient_of.sum_gradients(run, 0, task, batch, examples, size)
    named = [*run.encoder.named_parameters(), *task.head.named_parameters(prefix="head")]
    return float(loss), {key: p.grad.clone() for key, p in named if p.grad is not None}


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", FAMILIES)
def test_the_sum_over_micro_batches_is_the_gradient_of_the_whole(name: str, size: int) -> None:
    loss, expected = gradients(name, 100)
    split_loss, found = gradients(name, size)
    assert split_loss == pytest.approx(loss, rel=1e-6)
    assert found.keys() == expected.keys() and max(g.abs().max() for g in expected.values()) > 1e-2
    for key, gradient in expected.items():
        largest = max(1.0, float(gradient.abs().max()))  # rounding is that of the largest
        assert torch.allclose(found[key], gradient, rtol=1e-5, atol=1e-6 * largest), key


def test_a_coupled_loss_sees_the_same_dropout_when_its_parts_go_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, task = run_of("match")
    encoders.set_dropout(run.encoder, 0.3)
    made, states = [], match.states

    def watch(*arguments) -> torch.Tensor:
        made.append(states(*arguments))
        return made[-1]

    monkeypatch.setattr(match, "states", watch)
    loss = gradient_of.sum_gradients(run, 0, task, batch_of("match"), 4, 2)
    first, second = torch.cat(made[:2]), torch.cat(made[2:])
    assert torch.equal(first, second) and not torch.equal(first[0], first[2])
    assert not first.requires_grad and second.requires_grad
    whole = {"groups": torch.tensor([3, 1, 3, 2])}
    assert float(loss) == pytest.approx(match.coupled(task.head, second, whole).item())


@pytest.mark.parametrize("after", [1, 3])
def test_a_signal_is_heeded_while_a_coupled_loss_is_made(after: int) -> None:
    asked = iter(range(100))
    run, task = run_of("match", lambda: next(asked) >= after)
    assert gradient_of.sum_gradients(run, 0, task, batch_of("match"), 4, 2) is None


class Memory:
    """A loss of a family for which there is room for so many examples only; counts how often there was none."""

    def __init__(self, loss, room: int, error: Exception) -> None:
        self.loss, self.room, self.error = loss, room, error
        self.refused = 0
        self.sizes: list[int] = []

    def __call__(self, encoder, head, batch) -> torch.Tensor:
        if len(batch["labels"]) > self.room:
            self.refused += 1
            raise self.error
        self.sizes.append(len(batch["labels"]))
        return self.loss(encoder, head, batch)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    MemoryError(),
]


def test_the_parts_are_chosen_to_fit_the_memory(train, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    options = {"recipe": {"dropout": 0.0, "steps": 4, "adam_epsilon": 1e-6}}
    whole = train("whole", **options).commit.only["details"]
    assert whole["micro_batch"] is None
    monkeypatch.setattr(memory.room, "available", lambda _: 0)
    tight = train("tight", **options).commit.only["details"]
    assert tight["micro_batch"] == 1 and tight["halved"] == 0
    assert "parts of at most 1 examples" in capsys.readouterr().out
    assert tight["last_losses"] == pytest.approx(whole["last_losses"], rel=1e-5)
    given = train("given", recipe={**options["recipe"], "micro_batch": 5}).commit.only["details"]
    assert given["micro_batch"] == 5  # who says how many is believed


@pytest.mark.parametrize("error", ERRORS, ids=["device", "linux", "windows", "python"])
def test_without_memory_the_step_is_done_anew_in_halves(
    train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    options = {"recipe": {"dropout": 0.0, "steps": 6, "adam_epsilon": 1e-6}}
    whole = train("whole", **options)
    memory = Memory(classify.loss, 3, error)
    monkeypatch.setattr(classify, "loss", memory)
    halved = train("halved", **options)
    details = [work.commit.only["details"] for work in (halved, whole)]
    assert memory.refused == 2 and memory.sizes == [2] * 24
    assert (details[0]["micro_batch"], details[0]["halved"]) == (2, 2)
    assert "step 1: out of memory; batches go in parts of at most 4 examples" in capsys.readouterr().out
    assert details[0]["last_losses"] == pytest.approx(details[1]["last_losses"], rel=1e-5)
    expected = weights(whole)
    for name, tensor in weights(halved).items():
        if not name.endswith("key.bias"):  # its gradient is 0 but for noise
            assert torch.allclose(tensor, expected[name], atol=2e-6), name


def test_memory_that_fails_within_a_step_leaves_nothing_of_the_attempt(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second of two halves fails once: the first one's gradient must not count twice.
    options = {"recipe": {"dropout": 0.0, "steps": 1}}
    first = Memory(classify.loss, 4, ERRORS[0])
    calls = iter(range(10**6))

    def fails_late(*arguments) -> torch.Tensor:
        if len(arguments[2]["labels"]) == 4 and next(calls) == 1:
            raise ERRORS[0]
        return first(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(classify, "loss", fails_late)
        late = train("late", **options)
    monkeypatch.setattr(classify, "loss", Memory(classify.loss, 2, ERRORS[0]))
    early = train("early", **options)
    assert late.commit.only["details"]["micro_batch"] == early.commit.only["details"]["micro_batch"] == 2
    assert digests(late.folder) == digests(early.folder)


def test_a_given_split_has_dropout_of_its_own_in_every_part_and_is_repeated(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []
    memory = Memory(classify.loss, 4, ERRORS[0])

    def watch(*arguments) -> torch.Tensor:
        loss = memory(*arguments)
        seeds.append(torch.initial_seed())
        return loss

    monkeypatch.setattr(classify, "loss", watch)
    options = {"recipe": {"steps": 5}}
    one, two = train("one", **options), train("two", **options)
    assert len(seeds) == 20 and len(set(seeds)) == 10
    assert digests(one.folder) == digests(two.folder)


def test_the_split_is_kept_when_a_run_is_resumed(train, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"tasks": [CUE, TWIN]}
    monkeypatch.setattr(classify, "loss", Memory(classify.loss, 4, ERRORS[0]))
    whole = train("whole", **options)
    with pytest.raises(Interrupted):
        train("broken", **options, after=7)
    resumed = train("broken", **options)
    assert digests(resumed.folder) == digests(whole.folder)
    assert resumed.commit.only["details"]["halved"] == 1


def test_a_signal_is_heeded_between_two_parts_of_a_step(train, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"recipe": {"steps": 3}}
    memory = Memory(classify.loss, 2, ERRORS[0])
    monkeypatch.setattr(classify, "loss", memory)
    whole = train("whole", **options)
    memory.sizes.clear()
    with pytest.raises(Interrupted, match="step 0"):
        train("broken", **options, after=2)  # the third time that it is asked, two parts of the step are done
    assert memory.sizes == [2, 2]
    assert digests(train("broken", **options).folder) == digests(whole.folder)


def test_a_step_that_was_left_counts_for_nothing(train, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train("whole", recipe={"steps": 3})
    sum_gradients, calls = gradient_of.sum_gradients, []

    def leaves_the_second(*arguments) -> torch.Tensor | None:
        calls.append(sum_gradients(*arguments))
        return None if len(calls) == 2 else calls[-1]

    monkeypatch.setattr(gradient_of, "sum_gradients", leaves_the_second)
    assert digests(train("left", recipe={"steps": 3}).folder) == digests(whole.folder)
    assert len(calls) == 4


def test_an_example_that_is_too_large_alone_is_said(train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "loss", Memory(classify.loss, 0, ERRORS[0]))
    with pytest.raises(OutOfMemory, match=r"single example at step 1 .*Lower max_length"):
        train()


def test_another_error_is_not_taken_for_want_of_memory(train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "loss", Memory(classify.loss, 3, RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        train()


def test_the_masks_of_a_batch_are_the_same_when_it_is_split(train, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    loss = mlm.loss

    def watch(encoder, head, batch) -> torch.Tensor:
        if len(batch["input_ids"]) > room:
            raise ERRORS[0]
        shown.append([row.tolist() for row in batch["input_ids"]])
        return loss(encoder, head, batch)

    monkeypatch.setattr(mlm, "loss", watch)
    room, recipe = 100, {"steps": 2, "select": "last"}
    train("whole", tasks=[TEXT], recipe=recipe)
    whole, room = [row for part in shown for row in part], 1
    shown.clear()
    train("parts", tasks=[TEXT], recipe=recipe)
    parts = [row for part in shown for row in part]
    assert len(shown) > 8 and all(row in whole for row in parts)
