import json
from pathlib import Path

import pytest
import torch
from torch import nn

from isthmus.errors import StorageError
from isthmus.recipe import full
from isthmus.train import state
from isthmus.train.optimizer import adamw
from isthmus.train.state import Slots


def values(number: float) -> dict[str, torch.Tensor]:
    return {"now.w": torch.full((3, 2), number)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    assert slots.load() is None
    slots.save(values(1.5), {"step": 3, "losses": [0.1]})
    tensors, facts = slots.load()
    assert torch.equal(tensors["now.w"], values(1.5)["now.w"]) and facts == {"step": 3, "losses": [0.1]}


def test_slots_take_turns_and_only_the_newest_stays(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    seen = []
    for step in range(1, 4):
        slots.save(values(step), {"step": step})
        seen.append([path.name for path in tmp_path.iterdir()])
        assert slots.load()[1]["step"] == step
    assert seen == [["a"], ["b"], ["a"]]


@pytest.mark.parametrize("harm", ["no manifest", "cut tensors", "half a draft"])
def test_a_kill_during_a_save_leaves_the_older_state(tmp_path: Path, harm: str) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    Slots(tmp_path / "other", "me").save(values(2), {"step": 2})
    (tmp_path / "other" / "a").rename(tmp_path / "b")
    if harm == "cut tensors":
        tensors = tmp_path / "b" / state.TENSORS
        tensors.write_bytes(tensors.read_bytes()[:-4])
    else:
        manifest = (tmp_path / "b" / state.MANIFEST).rename(tmp_path / "b" / "manifest.tmp")
        if harm == "half a draft":
            manifest.write_text(manifest.read_text()[:20])
    assert slots.load()[1]["step"] == 1
    slots.save(values(3), {"step": 3})
    assert slots.load()[1]["step"] == 3


def test_a_kill_between_the_new_state_and_the_end_of_the_old_takes_the_newer(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    Slots(tmp_path / "other", "me").save(values(2), {"step": 2})
    (tmp_path / "other" / "a").rename(tmp_path / "b")
    assert slots.load()[1]["step"] == 2


@pytest.mark.parametrize("harm", ["tensors gone", "empty manifest", "half a manifest", "another shape"])
def test_whatever_is_left_of_the_older_slot_never_hides_the_newer(tmp_path: Path, harm: str) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    Slots(tmp_path / "other", "me").save(values(2), {"step": 2})
    (tmp_path / "other" / "a").rename(tmp_path / "b")
    if harm == "tensors gone":  # as a removal leaves it that a kill cut short
        (tmp_path / "a" / state.TENSORS).unlink()
    else:
        text = {"empty manifest": "", "half a manifest": '{"owner": "me"', "another shape": "[]"}[harm]
        (tmp_path / "a" / state.MANIFEST).write_text(text)
    assert Slots(tmp_path, "me").load()[1]["step"] == 2


def test_the_manifest_goes_before_the_rest_of_a_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    monkeypatch.setattr(state.shutil, "rmtree", lambda *_, **__: None)  # killed right before it
    state._remove(tmp_path / "a")
    assert Slots(tmp_path, "me").load() is None


def test_another_runs_state_is_not_taken_over(tmp_path: Path) -> None:
    Slots(tmp_path, "somebody").save(values(1), {"step": 9})
    assert Slots(tmp_path, "me").load() is None


def test_a_save_that_does_not_read_back_keeps_the_older_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    write_last = state._write_last

    def rot(path: Path, text: str) -> None:
        write_last(path, text)
        tensors = path.with_name(state.TENSORS)
        tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")

    monkeypatch.setattr(state, "_write_last", rot)
    with pytest.raises(StorageError, match="does not read back"):
        slots.save(values(2), {"step": 2})
    monkeypatch.undo()
    assert slots.load()[1]["step"] == 1


def test_a_full_disk_is_said_and_keeps_the_older_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", full_disk)
        with pytest.raises(StorageError, match="No space left"):
            slots.save(values(2), {"step": 2})
    assert slots.load()[1]["step"] == 1


def test_weights_and_moments_go_into_the_state_and_back() -> None:
    def fresh() -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer]:
        torch.manual_seed(1)
        parameters = {"w": nn.Parameter(torch.randn(3, 2)), "b": nn.Parameter(torch.randn(2))}
        return parameters, adamw(parameters, full({"learning_rate": 0.1}))

    def update(parameters: dict[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        parameters["w"].grad = torch.cos(parameters["w"].detach())  # b has none, as a head that has no batch
        optimizer.step()

    parameters, optimizer = fresh()
    update(parameters, optimizer)
    best = {name: p.detach().clone() for name, p in parameters.items()}
    tensors = {name: tensor.clone() for name, tensor in state.pack(parameters, optimizer, best).items()}
    update(parameters, optimizer)
    others, their_optimizer = fresh()
    assert state.unpack(tensors, others, their_optimizer).keys() == best.keys()
    assert torch.equal(others["w"], best["w"])
    update(others, their_optimizer)
    assert all(torch.equal(parameters[name], others[name]) for name in parameters)


def test_the_manifest_is_written_after_everything_else(tmp_path: Path) -> None:
    Slots(tmp_path, "me").save(values(1), {"step": 1})
    manifest = json.loads((tmp_path / "a" / state.MANIFEST).read_text())
    assert manifest["owner"] == "me" and len(manifest["sha256"]) == 64
    assert {path.name for path in (tmp_path / "a").iterdir()} == {state.TENSORS, state.MANIFEST}
