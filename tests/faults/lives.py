"""One training job, lived through again and again: in child processes that are killed at chosen or random moments.

The children are forked from a server that has torch and the train stage loaded, so a life takes a fraction of a
second. A child tells on a pipe which part of the work it is in, and what it is about to do to the disk.
"""

import contextlib
import fcntl
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from isthmus.store import Store
from tests.conftest import REPOSITORY, Folder

# What the parts of a life are called, by the functions that they are.
PHASES = {
    "isthmus.train.prepare.parent": "model load",
    "isthmus.train.prepare.prepare": "reading of data",
    "isthmus.train.state.Slots.load": "load of state",
    "isthmus.train.gradient.accumulate": "step",
    "isthmus.train.selection.assess": "assessment",
    "isthmus.train.state.Slots.save": "save of state",
    "isthmus.train.stage.restore": "restoring rows",
    "isthmus.model.encoder.save": "saving the model",
    "isthmus.train.stage.save_heads": "saving the heads",
    "isthmus.store.Store._commit": "commit",
    "isthmus.receipt.write": "receipt",
}
START, BETWEEN = "start", "in between"
ON_DISK = ("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir")
# Details of a manifest that a run of less than fifty steps has from all of them.
OF_EVERY_STEP = ("last_losses", "dev", "selected", "steps", "examples", "tokens")
LONGEST_S = 60.0


@dataclass(frozen=True)
class End:
    """How a life is to end: by `number`, `after` so many seconds from its start or from the `nth` time it enters
    `phase`; or by its own hand, before its `call`-th change to the disk (from 0) or, `torn`, with half of it done.
    """

    number: int = signal.SIGKILL
    after: float = 0.0
    phase: str = START
    nth: int = 1
    call: int | None = None
    torn: bool = False


@dataclass
class Life:
    """What a life was: its exit code, the phase that it ended in, what it did to the disk and how long phases took."""

    code: int = 0
    phase: str = START
    calls: list[str] = field(default_factory=list)
    spans: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0


# In the child ---------------------------------------------------------------------------------------------------


def run(
    folder: str, arguments: list[str], save_every_s: float, locks: bool, end: End | None, notes: Connection
) -> None:
    """Run `isthmus ARGUMENTS` in the folder, with its output in the file `log`."""
    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    import isthmus.train.stage
    from isthmus import cli
    from isthmus.stop import Stop
    from isthmus.train import loop

    assert isthmus.train.stage.__file__.startswith(str(REPOSITORY)), (
        "another isthmus than the one beside the tests"
    )
    loop.SAVE_EVERY_S, loop.SAVES_SHARE = save_every_s, 0
    if not locks:
        fcntl.flock = lambda *_: None
    for place, phase in PHASES.items():
        _tell(place, phase, notes)
    _count(notes, end)
    listen = Stop._listen

    def listening(stop: Stop) -> None:
        listen(stop)
        notes.send(("listens", ""))

    Stop._listen = listening
    sys.exit(cli.main(arguments))


def _tell(place: str, phase: str, notes: Connection) -> None:
    """Let a function tell when it begins and ends, wherever it was imported to."""
    module, _, name = place.rpartition(".")
    owner: Any = sys.modules.get(module) or getattr(
        sys.modules[module.rpartition(".")[0]], module.rpartition(".")[2]
    )
    function = getattr(owner, name)

    @functools.wraps(function)
    def told(*arguments: Any, **options: Any) -> Any:
        notes.send(("enters", phase))
        try:
            return function(*arguments, **options)
        finally:
            notes.send(("leaves", phase))

    _replace(function, told)
    setattr(owner, name, told)


def _replace(function: Any, by: Any) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("isthmus", "transformers", "safetensors"):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    setattr(module, attribute, by)


def _count(notes: Connection, end: End | None) -> None:
    """Number everything that is done to the disk, and end the life there where it is to end."""
    import safetensors.torch
    import transformers.modeling_utils  # noqa: F401  has its own name for save_file

    done = 0

    def counted(name: str, function: Callable[..., Any], file: int | None) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            mine, done = done, done + 1
            notes.send(("does", name))
            last = end is not None and end.call == mine
            if last and not end.torn:
                os.kill(os.getpid(), end.number)
            result = function(*arguments, **options)
            if last and end.torn:
                if file is not None:
                    path = arguments[file] if len(arguments) > file else options["filename"]
                    os.truncate(path, Path(path).stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    for name in ON_DISK:
        setattr(os, name, counted(name, getattr(os, name), None))
    save_file = safetensors.torch.save_file
    _replace(save_file, counted("save_file", save_file, 1))
    Path.write_text = counted("write_text", Path.write_text, 0)


# In the parent --------------------------------------------------------------------------------------------------


class Lives:
    """A job of a study whose inputs are all there, and lives of it."""

    def __init__(self, folder: Folder, job: Path, receipt: Path, stage: str = "train") -> None:
        self.folder = folder
        self.receipt = receipt
        self.stage = stage
        self.arguments = ["stage", stage, "--job", str(job), "--receipt", str(receipt)]
        self.before = set((folder.store / stage).iterdir())
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["isthmus.train.stage", "isthmus.cli", "isthmus.runner"])

    def anew(self) -> None:
        """Forget all that lives of the job left behind."""
        for path in set((self.folder.store / self.stage).iterdir()) - self.before:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in (".state", ".work", ".locks"):
            shutil.rmtree(self.folder.store / name, ignore_errors=True)
        self.receipt.unlink(missing_ok=True)
        (self.folder.path / "log").unlink(missing_ok=True)

    def live(self, end: End | None = None, save_every_s: float = -1.0, locks: bool = True) -> Life:
        """One life; without an end it is the job's own. It saves its state every so many seconds (-1: every step).
        Without `locks`, those of files do nothing, as on some network file systems.
        """
        ear, notes = self.context.Pipe(duplex=False)
        options = (str(self.folder.path), self.arguments, save_every_s, locks, end, notes)
        process = self.context.Process(target=run, args=options)
        process.start()
        notes.close()
        life = Life()
        try:
            for kind, what in self._notes(process.pid, ear, end, life):
                if kind == "does":
                    life.calls.append(what)
        finally:
            if process.is_alive() and life.seconds > LONGEST_S:
                process.kill()
            process.join(LONGEST_S)
        life.code = process.exitcode
        return life

    def _notes(self, pid: int, ear: Connection, end: End | None, life: Life) -> Iterator[tuple[str, str]]:
        """What the child tells, until it is no more. Sends the signal when it is due."""
        start = time.monotonic()
        due = start + end.after if end and end.call is None and end.phase == START else float("inf")
        listens, stack, times = end is not None and end.number == signal.SIGKILL, [], []
        entered, done, hit = 0, 0, None
        while life.seconds < LONGEST_S:
            wait = min(due - time.monotonic(), LONGEST_S) if listens else LONGEST_S
            told = ear.poll(max(0.0, wait))
            life.seconds = time.monotonic() - start
            if not told and life.seconds < LONGEST_S:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, end.number)
                due, hit = float("inf"), life.phase
                continue
            try:
                kind, what = ear.recv()
            except EOFError:
                # Who is killed says no more; who is asked to stop leaves its phases first.
                life.phase = life.phase if hit is None or end.number == signal.SIGKILL else hit
                return
            if kind == "listens":
                listens = True
            elif kind == "does":
                hit = life.phase if end is not None and end.call == done else hit
                done += 1
            elif kind == "enters":
                stack.append(what)
                times.append(time.monotonic())
                entered += end is not None and what == end.phase
                if end is not None and what == end.phase and entered == end.nth:
                    due = time.monotonic() + end.after
            elif kind == "leaves":
                stack.pop()
                life.spans.setdefault(what, []).append(time.monotonic() - times.pop())
            life.phase = stack[-1] if stack else BETWEEN if times or life.spans else START
            yield kind, what
        raise AssertionError(f"a life did not end: {self.log()}")

    def result(self) -> dict[str, Any]:
        """The SHA-256 of every file that the job made and of its receipt, and what the manifest says of every step, be it
        of the weights that were kept or of later ones. Nothing else may be left once another job has begun.
        """
        Store(self.folder.store)._clear_finished()
        (made,) = [
            path for path in set((self.folder.store / self.stage).iterdir()) - self.before if path.is_dir()
        ]
        left = [path for name in (".work", ".state") for path in (self.folder.store / name).iterdir()]
        assert not left, f"left behind: {left}"
        files = [path for path in made.iterdir() if path.name != "manifest.json"]
        found: dict[str, Any] = {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in [*files, self.receipt]
        }
        details = json.loads((made / "manifest.json").read_text())["details"]
        return found | {name: details[name] for name in OF_EVERY_STEP}

    def log(self) -> str:
        """The last lines of what the lives said."""
        path = self.folder.path / "log"
        return path.read_text()[-3000:] if path.is_file() else ""
