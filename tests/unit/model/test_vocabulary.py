from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from isthmus.data.batch import specials
from isthmus.model import encoder as encoders
from isthmus.model import vocabulary
from isthmus.model.vocabulary import Compaction, Part, always, by_adamw, compact, decay_rows, decayed
from isthmus.recipe import full
from isthmus.train.optimizer import make, set_rate
from tests.unit.conftest import ARCHITECTURE

CPU = torch.device("cpu")
RATES = [1e-3 * (1 - step / 40) for step in range(40)]


@pytest.fixture
def encoder(world: Path):
    return encoders.create(ARCHITECTURE, specials(world / "tokenizer"), 1).eval()


@pytest.fixture
def seen(world: Path) -> np.ndarray:
    special = specials(world / "tokenizer")
    marks = always(special, special.rows)
    marks[[10, 20, 30, 40]] = True
    return marks


def test_a_part_gives_the_vectors_of_the_whole(encoder, seen: np.ndarray) -> None:
    ids = torch.tensor([[0, 20, 30, 2], [0, 40, 2, 1]])
    batch = {"input_ids": ids, "attention_mask": (ids != 1).long()}
    with torch.no_grad():
        expected = encoders.hidden_states(encoder, batch)
        names = list(dict(encoder.named_parameters()))
        state = list(encoder.state_dict())
        compaction = compact(encoder, seen)
        assert isinstance(compaction, Compaction)
        assert torch.equal(encoders.hidden_states(encoder, batch), expected)
    assert list(dict(encoder.named_parameters())) == names and list(encoder.state_dict()) == state
    table = encoder.get_input_embeddings()
    assert table.weight.shape == (9, 16) and table.weight.requires_grad
    # the row of <pad> has no gradient, in the whole table and in its part
    encoders.hidden_states(encoder, batch).sum().backward()
    assert table.padding_idx is not None
    assert torch.equal(table.weight[table.padding_idx], compaction.whole.weight[1])
    assert not table.weight.grad[table.padding_idx].any() and table.weight.grad[0].any()


def test_an_id_whose_row_is_not_there_is_an_error(encoder, seen: np.ndarray) -> None:
    compact(encoder, seen)
    with pytest.raises(IndexError):
        encoder.get_input_embeddings()(torch.tensor([21]))


def test_the_rows_are_put_back(encoder, seen: np.ndarray) -> None:
    before = encoder.get_input_embeddings().weight.detach().clone()
    compaction = compact(encoder, seen)
    with torch.no_grad():
        compaction.part.weight += 1.0
    compaction.undo([0.5, 0.5], 0.5)
    after = encoder.get_input_embeddings().weight
    assert type(encoder.get_input_embeddings()) is nn.Embedding
    marks = torch.from_numpy(seen)
    assert torch.equal(after[marks], before[marks] + 1.0)
    assert torch.equal(after[~marks], before[~marks] * 0.75 * 0.75)


def test_rows_that_no_id_asks_for_are_decayed_too(encoder, seen: np.ndarray) -> None:
    before = encoder.get_input_embeddings().weight.detach().clone()
    compact(encoder, seen[:-20]).undo([0.5], 0.5)
    assert torch.equal(encoder.get_input_embeddings().weight[-20:], before[-20:] * 0.75)


class Scaled(nn.Embedding):
    """As some encoders have it."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda encoder: setattr(encoder, "output", encoder.get_input_embeddings()), "elsewhere"),
        (lambda encoder: encoder.set_input_embeddings(Scaled(46, 16)), "special kind"),
        (lambda encoder: encoder.get_input_embeddings().requires_grad_(False), "float32"),
        (lambda encoder: encoder.get_input_embeddings().to(torch.bfloat16), "float32"),
        (lambda encoder: encoder.set_input_embeddings(nn.Embedding(5, 16)), "5 rows"),
    ],
)
def test_what_cannot_be_parted_is_left_whole(encoder, seen: np.ndarray, change, reason: str) -> None:
    change(encoder)
    table = encoder.get_input_embeddings()
    assert reason in compact(encoder, seen)
    assert encoder.get_input_embeddings() is table


def test_many_rows_are_not_parted_from_few(encoder, seen: np.ndarray) -> None:
    seen[: int(0.8 * len(seen))] = True
    assert "too many to gain" in compact(encoder, seen)


@pytest.mark.parametrize(("rate", "decay"), [(1e-3, 0.1), (1e-5, 0.01), (3e-5, 0.1)])
def test_the_decay_is_the_optimisers_to_the_bit(rate: float, decay: float) -> None:
    torch.manual_seed(1)
    table = torch.randn(300, 33) * 0.05
    weight = nn.Parameter(table.clone())
    optimizer = make({"w": weight}, full({"weight_decay": decay}), 1)
    rates = [rate * part / RATES[0] for part in RATES]
    for now in rates:
        weight.grad = torch.zeros_like(weight)
        weight.grad[:7] = 1.0
        set_rate(optimizer, now)
        optimizer.step()
    assert torch.equal(decayed(table[7:].clone(), rates, decay), weight[7:])
    assert torch.equal(by_adamw(table[7:].clone(), rates, decay), weight[7:])
    assert not torch.equal(table[7:], weight[7:])


def test_a_large_table_looked_up_by_mantissa_has_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    values = torch.randn(5000) * torch.logspace(-30, 30, 5000)  # 5024 numbers with the particular ones
    table = torch.cat([torch.zeros(10), -torch.zeros(10), values, torch.tensor([1.0, 2.0, -0.5, 1.9999999])])
    table = table.view(-1, 8)
    rows = torch.arange(1, len(table), 2)
    direct, looked_up = table.clone(), table.clone()
    decay_rows(direct, rows, RATES[:5], 0.1, CPU)
    monkeypatch.setattr(vocabulary, "ELEMENTS_AT_ONCE", 1000)
    monkeypatch.setattr(vocabulary, "LOOKED_UP_FROM", 0)
    sizes = []
    plain = vocabulary.decayed
    monkeypatch.setattr(vocabulary, "decayed", lambda v, *rest: sizes.append(v.numel()) or plain(v, *rest))
    decay_rows(looked_up, rows, RATES[:5], 0.1, CPU)
    assert sizes == [1 << 23] and torch.equal(direct, looked_up)
    assert torch.equal(direct[::2], table[::2]) and not torch.equal(direct[rows], table[rows])


DEVICES = [CPU, *([torch.device("cuda")] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES, ids=str)
@pytest.mark.parametrize("looked_up_from", [0, 1 << 23])
def test_rows_without_gradient_end_where_the_device_would_have_taken_them(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, looked_up_from: int
) -> None:
    monkeypatch.setattr(vocabulary, "LOOKED_UP_FROM", looked_up_from)
    torch.manual_seed(1)
    table = torch.randn(300, 33) * 0.05
    expected = by_adamw(table.to(device, copy=True), RATES, 0.1).cpu()
    decay_rows(table, torch.arange(300), RATES, 0.1, device)
    assert torch.equal(table, expected)


def test_without_decay_nothing_is_touched() -> None:
    table = torch.ones(4, 4)
    for rates, decay in ((RATES, 0.0), ([], 0.1)):
        decay_rows(table, torch.arange(4), rates, decay, CPU)
    assert torch.equal(table, torch.ones(4, 4))


def test_the_part_knows_where_its_rows_are() -> None:
    whole = nn.Embedding(10, 3)
    part = Part(whole, torch.tensor([2, 5, 9]))
    assert torch.equal(part(torch.tensor([9, 2])), whole(torch.tensor([9, 2])))
    assert part.padding_idx is None
