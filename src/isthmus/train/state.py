"""What a killed training run leaves behind: slots of state, of which one is whole at any instant.

A slot is a folder with one safetensors file and a manifest, written last. It is written once, under a name of its own,
and the slot before it goes only after it was read back and found right. Nothing random is kept: order, masks and
dropout are functions of the step.

Where locks do nothing (some network file systems), two processes may train one model at once. Each writes slots of its
own and starts from the newest of anybody's. What it removes are its own slots and those that were whole when it
started, and only once it has a newer one: so what another writes meanwhile stays, and the newest step never goes.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from isthmus.disk import sha256, sync
from isthmus.errors import StorageError
from isthmus.log import say
from isthmus.store import alive

TENSORS, MANIFEST = "tensors.safetensors", "manifest.json"


def _token() -> str:
    """A name for this process as a writer. Whether it lives can be told from it on its own host."""
    return f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"


@dataclass
class Slots:
    """The slots in a folder, for one writer. `owner` says which run they belong to; another's state is not taken over.

    `writer` names this process, `older` are the slots to drop when a newer one is whole.
    """

    folder: Path
    owner: str
    writer: str = field(default_factory=_token)
    older: list[Path] = field(default_factory=list)
    _written: int = 0

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Write a slot, check it, then drop the older ones.

        Raises:
            StorageError: it could not be written or does not read back as written; the older slot is kept.
        """
        slot = self.folder / f"{self.writer}.{self._written}"
        self._written += 1
        try:
            slot.mkdir(parents=True)
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, slot / TENSORS)
            manifest = {
                "owner": self.owner,
                "writer": self.writer,
                "sha256": sha256(slot / TENSORS),
                "facts": facts,
            }
            _write_last(slot / MANIFEST, json.dumps(manifest))
            whole = self._read(slot) is not None
        except OSError as error:
            _remove(slot)  # what a full disk left of it
            raise StorageError(
                f"The training state could not be saved in {slot}: {error}. Free space there."
            ) from error
        if not whole:
            _remove(slot)
            raise StorageError(
                f"The training state in {slot} does not read back as it was written: check the disk."
            )
        for path in self.older:
            _remove(path)
        self.older = [slot]

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest whole state of this run, by whichever process, or None. What kills left half written goes."""
        while True:
            self._clear_dead_writers()
            found = {slot: self._read(slot) for slot in sorted(self.folder.glob("*"))}
            whole = {slot: manifest for slot, manifest in found.items() if manifest is not None}
            self.older = list(whole)
            if not whole:
                return None
            newest = max(whole, key=lambda slot: int(whole[slot]["facts"]["step"]))
            try:
                return load_file(newest / TENSORS), whole[newest]["facts"]
            except FileNotFoundError:
                continue  # another process dropped it, for it has a newer one

    def _read(self, slot: Path) -> dict[str, Any] | None:
        """The slot's manifest if the slot is whole and this run's. Half-written slots are what kills leave."""
        if not (slot / MANIFEST).is_file():
            return None
        try:
            manifest: dict[str, Any] = json.loads((slot / MANIFEST).read_text(encoding="utf-8"))
            whole = manifest["sha256"] == sha256(slot / TENSORS)
            mine = manifest["owner"] == self.owner
        except FileNotFoundError:
            return None  # dropped meanwhile by another process
        except (OSError, ValueError, KeyError, TypeError):
            whole, mine = False, True
        if not whole:
            say(f"The training state in {slot} is damaged and is not used.")
        return manifest if whole and mine else None

    def _clear_dead_writers(self) -> None:
        """Remove what processes of this host began to write and were killed over."""
        for slot in self.folder.glob(f"{socket.gethostname()}.*"):
            process = slot.name.split(".")[-3]
            if not (slot / MANIFEST).exists() and process.isdigit() and not alive(int(process)):
                _remove(slot)


def _remove(slot: Path) -> None:
    """The manifest goes first: a slot that a kill leaves half removed is no state, not a damaged one."""
    with contextlib.suppress(OSError):
        (slot / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(slot, ignore_errors=True)


def _write_last(path: Path, text: str) -> None:
    """Everything else in the folder is on the disk before the file appears, and then so is the file."""
    for sibling in path.parent.iterdir():
        sync(sibling)
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def pack(
    parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, best: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Everything that a resumed run needs, under one name each."""
    tensors = {f"now.{name}": parameter.detach() for name, parameter in parameters.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for name, parameter in parameters.items():
        moments = optimizer.state.get(parameter, {})
        tensors |= {f"optimizer.{moment}.{name}": tensor for moment, tensor in moments.items()}
    return tensors


def unpack(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Put weights and moments back where `pack` found them; returns the best weights.

    Everything is copied: what `load_file` gives lies in the file, which goes when a newer one is there.
    """
    copy_into(parameters, {name: tensors[f"now.{name}"] for name in parameters})
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            moment, _, name = rest.partition(".")
            device = parameters[name].device
            optimizer.state[parameters[name]][moment] = tensor.to(device, copy=True)
    return {name: tensors[f"best.{name}"].clone() for name in parameters if f"best.{name}" in tensors}


def copy_into(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    """Overwrite the parameters in place."""
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])
