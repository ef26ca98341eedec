"""The store: content-addressed artifacts that are visible only when they are whole.

    <root>/<stage>/<digest>/manifest.json …   an artifact: files, sizes, SHA-256, status, cost
    <root>/<stage>/<digest>.first.json        what its first commit contained; outlives the artifact
    <root>/.work/<stage>-<digest>.<host>.<pid>.<token>/    a writer's private folder
    <root>/.state/<stage>-<digest>/           what an interrupted writer needs to go on
    <root>/.locks/<stage>-<digest>            only spares work: twins cost time, never truth

A commit writes and syncs every file of the private folder, writes the manifest last, links the `first` record
into place unless there is one, and renames the folder. The first rename wins.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.disk import sha256, sync, write_text
from isthmus.errors import StorageError
from isthmus.spec import canonical, fingerprint

MANIFEST = "manifest.json"
FORMAT = 1
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Artifact:
    """A whole artifact: its folder and what its manifest says."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def content(self) -> str:
        """What identifies this artifact to those who use it: the content of its digest's first commit."""
        return str(self.manifest["content"])

    @property
    def status(self) -> str:
        """`ok`, or how the science failed (`diverged`, `no-gold`, …)."""
        return str(self.manifest["status"])


@dataclass(frozen=True)
class Claim:
    """The right to make one artifact, held while its lock is held."""

    store: "Store"
    stage: str
    digest: str
    folder: Path
    state: Path

    def commit(self, record: Mapping[str, Any]) -> Artifact:
        """Publish the folder with `record` (JSON) in its manifest; drop the state. First one wins."""
        artifact = self.store._commit(self, record)
        shutil.rmtree(self.state, ignore_errors=True)
        return artifact


class Store:
    """Artifacts under one root folder. Every method may run in many processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    # Reading ------------------------------------------------------------------------------------------------

    def folder(self, stage: str, digest: str) -> Path:
        """Where the artifact is, or would be."""
        return self.root / stage / digest

    def find(self, stage: str, digest: str) -> Artifact | None:
        """The artifact if it is whole by its manifest and its files' sizes, else None."""
        folder = self.folder(stage, digest)
        manifest = _read_json(folder / MANIFEST)
        if manifest is None or manifest.get("digest") != digest or manifest.get("stage") != stage:
            return None
        for name, entry in manifest["files"].items():
            try:
                if (folder / name).stat().st_size != entry["size"]:
                    return None
            except OSError:
                return None
        return Artifact(folder, manifest)

    def first(self, stage: str, digest: str) -> Mapping[str, Any] | None:
        """`content` and `status` of the digest's first commit, known even when the artifact is gone."""
        return _read_json(self.root / stage / f"{digest}.first.json")

    def verify(self, artifact: Artifact) -> None:
        """Read every file and compare its SHA-256.

        Raises:
            StorageError: a file differs. The artifact is moved aside, so the next run remakes it.
        """
        for name, entry in artifact.manifest["files"].items():
            if sha256(artifact.folder / name) != entry["sha256"]:
                aside = self._set_aside(artifact.folder)
                raise StorageError(
                    f"{artifact.folder / name} is damaged: its SHA-256 is not the one in the manifest. "
                    f"The artifact was moved to {aside.name}; run again and it is made anew."
                )

    # Making -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def claim(self, stage: str, digest: str) -> Iterator[Claim | Artifact]:
        """Wait for the right to make an artifact; gives the artifact instead if somebody else made it.

        Raises:
            StorageError: the store cannot be written.
        """
        name = f"{stage}-{digest}"
        with contextlib.ExitStack() as stack:
            with _storage_errors(self.root):
                stack.enter_context(self._lock(name))
                artifact = self.find(stage, digest)
                if artifact is None:
                    claim = self._prepare(stage, digest, name)
            if artifact is not None:
                yield artifact
                return
            try:
                yield claim
            finally:
                shutil.rmtree(claim.folder, ignore_errors=True)

    def _prepare(self, stage: str, digest: str, name: str) -> Claim:
        self._clear_dead_writers(name)
        self._clear_finished()
        token = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
        claim = Claim(
            self, stage, digest, self.root / ".work" / f"{name}.{token}", self.root / ".state" / name
        )
        claim.folder.mkdir(parents=True)
        claim.state.mkdir(parents=True, exist_ok=True)
        return claim

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.root / ".locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(POLL_SECONDS)
            try:
                file.truncate(0)
                file.write(f"{socket.gethostname()} {os.getpid()}\n")  # for whoever wonders who holds it
                file.flush()
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    def _clear_dead_writers(self, name: str) -> None:
        """Remove the private folders that killed processes of this host left behind."""
        for folder in (self.root / ".work").glob(f"{name}.{socket.gethostname()}.*"):
            process = folder.name.split(".")[-2]
            if process.isdigit() and not alive(int(process)):
                shutil.rmtree(folder, ignore_errors=True)

    def _clear_finished(self) -> None:
        """Remove what is left beside artifacts that are there: the state of a writer that was killed right after its
        commit, and the folders of killed writers that somebody else was faster than.
        """
        left = [folder for place in (".state", ".work") for folder in (self.root / place).glob("*")]
        for name in {folder.name.split(".")[0] for folder in left}:
            stage, _, digest = name.rpartition("-")
            if self.find(stage, digest) is not None:
                shutil.rmtree(self.root / ".state" / name, ignore_errors=True)
                self._clear_dead_writers(name)

    def _commit(self, claim: Claim, record: Mapping[str, Any]) -> Artifact:
        with _storage_errors(self.root):
            files = {}
            for path in sorted(p for p in claim.folder.rglob("*") if p.is_file()):
                sync(path)
                size = path.stat().st_size
                files[path.relative_to(claim.folder).as_posix()] = {"size": size, "sha256": sha256(path)}
            status = record.get("status", "ok")
            bytes_hash = fingerprint({"status": status, "files": {n: f["sha256"] for n, f in files.items()}})
            final = self.folder(claim.stage, claim.digest)
            final.parent.mkdir(parents=True, exist_ok=True)
            first = self._record_first(claim, {"content": bytes_hash, "status": status})
            manifest = {
                **record,
                "format": FORMAT,
                "stage": claim.stage,
                "digest": claim.digest,
                "status": status,
                "content": first["content"],
                "remade_differently": first["content"] != bytes_hash,
                "files": files,
            }
            write_json(claim.folder / MANIFEST, manifest)
            sync(claim.folder)
            self._rename(claim.folder, final, claim)
            sync(final.parent)
        artifact = self.find(claim.stage, claim.digest)
        if artifact is None:
            raise StorageError(f"{final} is not whole right after it was committed: check the file system.")
        return artifact

    def _record_first(self, claim: Claim, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write what the first commit of a digest contains, once and for all; give what stands there."""
        path = self.root / claim.stage / f"{claim.digest}.first.json"
        draft = claim.folder / ".first"  # where a killed writer's leavings are cleared
        write_json(draft, record)
        try:
            os.link(draft, path)  # unlike a rename, a link never replaces what is there
            sync(path.parent)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        standing = _read_json(path)
        if standing is None or "content" not in standing:
            raise StorageError(f"{path} is damaged: remove it and run again.")
        return standing

    def _rename(self, folder: Path, final: Path, claim: Claim) -> None:
        try:
            folder.rename(final)
        except OSError:
            if self.find(claim.stage, claim.digest) is not None:
                return  # a twin was first; ours goes with the work folder
            if not final.exists():
                raise
            self._set_aside(final)
            folder.rename(final)

    def _set_aside(self, folder: Path) -> Path:
        aside = folder.with_name(f"{folder.name}.corrupt-{int(time.time())}-{secrets.token_hex(2)}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(aside)
        return aside


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON so that a reader sees all of it or nothing."""
    write_text(path, canonical(value) + "\n")


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def alive(process: int) -> bool:
    """Whether a process of this host lives."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _storage_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The store {root} could not be written: {error}. Check the free space and the permissions there, "
            "or name another store with ISTHMUS_STORE, then run again."
        ) from error
