import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from isthmus.errors import StorageError
from isthmus.train import state
from isthmus.train.state import Slots


def values(number: float) -> dict[str, torch.Tensor]:
    return {"now.w": torch.full((3, 2), number)}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    assert slots.load() is None
    slots.save(values(1.5), {"step": 3, "losses": [0.1]})
    tensors, facts = slots.load()
    assert torch.equal(tensors["now.w"], values(1.5)["now.w"]) and facts == {"step": 3, "losses": [0.1]}


def slots_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_process() -> int:
    """The id of a process that is no more."""
    return int(subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True).stdout)


def test_every_save_has_a_slot_of_its_own_and_only_the_newest_stays(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    seen = []
    for step in range(1, 4):
        slots.save(values(step), {"step": step})
        seen += slots_in(tmp_path)
        assert slots.load()[1]["step"] == step
    assert len(seen) == len(set(seen)) == 3


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The slots of steps 1 and 2 of one process, as a kill before the end of the older leaves them."""
    killed = Slots(tmp_path, "me", f"{socket.gethostname()}.{dead_process()}.00")
    killed.save(values(1), {"step": 1})
    killed.older = []
    killed.save(values(2), {"step": 2})
    return tmp_path / f"{killed.writer}.0", tmp_path / f"{killed.writer}.1"


@pytest.mark.parametrize("harm", ["no manifest", "cut tensors", "half a draft"])
def test_a_kill_during_a_save_leaves_the_older_state(tmp_path: Path, two, harm: str) -> None:
    older, newer = two
    if harm == "cut tensors":
        tensors = newer / state.TENSORS
        tensors.write_bytes(tensors.read_bytes()[:-4])
    else:
        manifest = (newer / state.MANIFEST).rename(newer / "manifest.tmp")
        if harm == "half a draft":
            manifest.write_text(manifest.read_text()[:20])
    slots = Slots(tmp_path, "me")
    assert slots.load()[1]["step"] == 1
    assert older.exists() and newer.exists() == (harm == "cut tensors")
    slots.save(values(3), {"step": 3})
    assert slots.load()[1]["step"] == 3 and not older.exists()


def test_a_kill_between_the_new_state_and_the_end_of_the_old_takes_the_newer(tmp_path: Path, two) -> None:
    slots = Slots(tmp_path, "me")
    assert slots.load()[1]["step"] == 2
    slots.save(values(3), {"step": 3})
    assert len(slots_in(tmp_path)) == 1


@pytest.mark.parametrize("harm", ["tensors gone", "empty manifest", "half a manifest", "another shape"])
def test_whatever_is_left_of_the_older_slot_never_hides_the_newer(tmp_path: Path, two, harm: str) -> None:
    older, _ = two
    if harm == "tensors gone":  # as a removal leaves it that a kill cut short
        (older / state.TENSORS).unlink()
    else:
        text = {"empty manifest": "", "half a manifest": '{"owner": "me"', "another shape": "[]"}[harm]
        (older / state.MANIFEST).write_text(text)
    assert Slots(tmp_path, "me").load()[1]["step"] == 2


def test_the_manifest_goes_before_the_rest_of_a_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Slots(tmp_path, "me").save(values(1), {"step": 1})
    monkeypatch.setattr(state.shutil, "rmtree", lambda *_, **__: None)  # killed right before it
    (slot,) = tmp_path.iterdir()
    state._remove(slot)
    assert Slots(tmp_path, "me").load() is None


def test_two_processes_at_once_never_remove_what_the_other_wrote(tmp_path: Path) -> None:
    first, second = Slots(tmp_path, "me"), Slots(tmp_path, "me")
    assert first.load() is None and second.load() is None
    for step in (1, 2, 3):
        first.save(values(step), {"step": step})
        second.save(values(step + 10), {"step": step + 10})
        newest = [f"{writer.writer}.{step - 1}" for writer in (first, second)]
        assert slots_in(tmp_path) == sorted(newest)
    assert Slots(tmp_path, "me").load()[1]["step"] == 13


def test_a_process_that_goes_on_from_anothers_state_drops_that_one_and_no_later_one(tmp_path: Path) -> None:
    first, second = Slots(tmp_path, "me"), Slots(tmp_path, "me")
    first.save(values(1), {"step": 1})
    assert second.load()[1]["step"] == 1
    first.save(values(5), {"step": 5})
    first.save(values(6), {"step": 6})
    second.save(values(2), {"step": 2})  # the slower of the two
    assert slots_in(tmp_path) == sorted([f"{first.writer}.2", f"{second.writer}.0"])
    tensors, facts = Slots(tmp_path, "me").load()
    assert facts["step"] == 6 and torch.equal(tensors["now.w"], values(6)["now.w"])


def test_a_slot_that_another_process_drops_while_it_is_read_is_left_for_its_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, slots = Slots(tmp_path, "me"), Slots(tmp_path, "me")
    other.save(values(1), {"step": 1})
    load_file = state.load_file

    def late(path: Path) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(state, "load_file", load_file)
        other.save(values(2), {"step": 2})
        return load_file(path)

    monkeypatch.setattr(state, "load_file", late)
    tensors, facts = slots.load()
    assert facts["step"] == 2 and torch.equal(tensors["now.w"], values(2)["now.w"])


def test_what_a_living_process_is_writing_is_not_cleared(tmp_path: Path) -> None:
    here = socket.gethostname()
    for writer in (
        f"{here}.{os.getpid()}.aa",
        f"{here}.{dead_process()}.bb",
        f"elsewhere.{dead_process()}.cc",
    ):
        (tmp_path / f"{writer}.0").mkdir()
        (tmp_path / f"{writer}.0" / state.TENSORS).write_text("half")
    assert Slots(tmp_path, "me").load() is None
    assert {name.split(".")[-2] for name in slots_in(tmp_path)} == {"aa", "cc"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.int64])
def test_every_kind_of_number_comes_back_bit_by_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    tensor = (torch.randn(5, 3) * 1e3).to(dtype)
    slots = Slots(tmp_path, "me")
    slots.save({"now.w": tensor, "now.turned": tensor.t()}, {"step": 1})
    back, _ = slots.load()
    assert back["now.w"].dtype == dtype and torch.equal(back["now.w"], tensor)
    assert torch.equal(back["now.turned"], tensor.t())


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
    assert len(slots_in(tmp_path)) == 1


def test_weights_and_moments_go_into_the_state_and_back() -> None:
    def fresh() -> tuple[dict[str, nn.Parameter], torch.optim.Optimizer]:
        torch.manual_seed(1)
        parameters = {"w": nn.Parameter(torch.randn(3, 2)), "b": nn.Parameter(torch.randn(2))}
        return parameters, torch.optim.AdamW(parameters.values(), lr=0.1, fused=True)

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


def test_what_was_put_back_does_not_lie_in_the_file(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.ones(64))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones(64)
    optimizer.step()
    slots = Slots(tmp_path, "me")
    slots.save(state.pack({"w": weight}, optimizer, {"w": weight.detach().clone()}), {"step": 1})
    tensors, _ = slots.load()
    fresh = torch.optim.AdamW([weight])
    best = state.unpack(tensors, {"w": weight}, fresh)
    places = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    for tensor in (best["w"], *fresh.state[weight].values()):
        assert tensor.untyped_storage().data_ptr() not in places


def test_the_manifest_is_written_after_everything_else(tmp_path: Path) -> None:
    slots = Slots(tmp_path, "me")
    slots.save(values(1), {"step": 1})
    (slot,) = tmp_path.iterdir()
    manifest = json.loads((slot / state.MANIFEST).read_text())
    assert manifest["owner"] == "me" and len(manifest["sha256"]) == 64
    assert manifest["writer"] == slots.writer
    assert {path.name for path in slot.iterdir()} == {state.TENSORS, state.MANIFEST}
