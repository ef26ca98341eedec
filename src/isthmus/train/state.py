"""What a killed training run leaves behind: two slots of state, of which one is whole at any instant.

A slot holds one safetensors file and a manifest, written last. The older slot goes only after the newer one was
read back and found right. Nothing random is kept: order, masks and dropout are functions of the step.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from isthmus.errors import StorageError
from isthmus.log import say

TENSORS, MANIFEST = "tensors.safetensors", "manifest.json"
ADAM = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Slots:
    """The two slots in a folder. `owner` says which run they belong to; another's state is not taken over."""

    folder: Path
    owner: str

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write the slot that is not in use, check it, then drop the other.

        Raises:
            StorageError: it could not be written or does not read back as written; the older slot is kept.
        """
        newest = self._newest()
        name = "b" if newest is not None and newest[0].name == "a" else "a"
        slot, other = self.folder / name, self.folder / ("a" if name == "b" else "b")
        try:
            _remove(slot)
            slot.mkdir(parents=True)
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, slot / TENSORS)
            manifest = {"owner": self.owner, "sha256": _sha256(slot / TENSORS), "facts": facts}
            _write_last(slot / MANIFEST, json.dumps(manifest))
            whole = self._read(slot) is not None
        except OSError as error:
            raise StorageError(
                f"The training state could not be saved in {slot}: {error}. Free space there."
            ) from error
        if not whole:
            raise StorageError(
                f"The training state in {slot} does not read back as it was written: check the disk."
            )
        _remove(other)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest whole state of this run, or None."""
        newest = self._newest()
        if newest is None:
            return None
        slot, manifest = newest
        return load_file(slot / TENSORS), manifest["facts"]

    def _newest(self) -> tuple[Path, dict[str, Any]] | None:
        found = [(slot, self._read(slot)) for slot in (self.folder / "a", self.folder / "b")]
        whole = [(slot, manifest) for slot, manifest in found if manifest is not None]
        return max(whole, key=lambda pair: pair[1]["facts"]["step"], default=None)

    def _read(self, slot: Path) -> dict[str, Any] | None:
        """The slot's manifest if the slot is whole and this run's. Half-written slots are what kills leave."""
        if not (slot / MANIFEST).is_file():
            return None
        try:
            manifest: dict[str, Any] = json.loads((slot / MANIFEST).read_text(encoding="utf-8"))
            whole = manifest["sha256"] == _sha256(slot / TENSORS)
            mine = manifest["owner"] == self.owner
        except (OSError, ValueError, KeyError, TypeError):
            whole, mine = False, True
        if not whole:
            say(f"The training state in {slot} is damaged and is not used.")
        return manifest if whole and mine else None


def _remove(slot: Path) -> None:
    """The manifest goes first: a slot that a kill leaves half removed is no state, not a damaged one."""
    (slot / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(slot, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_last(path: Path, text: str) -> None:
    """Everything else in the folder is on the disk before the file appears, and then so is the file."""
    for sibling in path.parent.iterdir():
        _sync(sibling)
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    _sync(draft)
    draft.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def pack(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, best: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Everything that a resumed run needs, under one name each."""
    tensors = {f"now.{name}": parameter.detach() for name, parameter in parameters.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in parameters.items():
        moments = optimizer.state.get(parameter, {})
        tensors |= {f"adam.{moment}.{name}": moments[moment] for moment in ADAM if moment in moments}
    return tensors


def unpack(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Put weights and moments back where `pack` found them; returns the best weights."""
    copy_into(parameters, {name: tensors[f"now.{name}"] for name in parameters})
    for name, parameter in parameters.items():
        if f"adam.step.{name}" in tensors:
            moments = {moment: tensors[f"adam.{moment}.{name}"].to(parameter.device) for moment in ADAM}
            optimizer.state[parameter] = moments
    return {name: tensors[f"best.{name}"] for name in parameters if f"best.{name}" in tensors}


def copy_into(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    """Overwrite the parameters in place."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
