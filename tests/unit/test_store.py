"""The store: what is visible is whole, the first commit wins, a crash anywhere loses time and nothing else."""

import json
import multiprocessing
import os
import signal
import socket
import time

import pytest

from isthmus import store as module
from isthmus.errors import StorageError
from isthmus.store import Artifact, Claim, Store

RECORD = {"status": "ok", "cost": {"finished": 1.0}}


def make(store: Store, digest: str = "d1", text: str = "result") -> Artifact:
    with store.claim("train", digest) as claim:
        assert isinstance(claim, Claim)
        (claim.folder / "sub").mkdir()
        (claim.folder / "a.txt").write_text(text)
        (claim.folder / "sub" / "b.txt").write_text(text * 2)
        return claim.commit(RECORD)


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def test_a_committed_artifact_is_found_whole(store):
    made = make(store)
    found = store.find("train", "d1")
    assert found == made
    assert found.status == "ok"
    assert (found.folder / "sub" / "b.txt").read_text() == "resultresult"
    assert set(found.manifest["files"]) == {"a.txt", "sub/b.txt"}
    store.verify(found)


def test_nothing_is_visible_before_the_commit_or_without_one(store):
    with store.claim("train", "d1") as claim:
        (claim.folder / "a.txt").write_text("half")
        assert store.find("train", "d1") is None
    assert store.find("train", "d1") is None
    assert list((store.root / ".work").iterdir()) == []


def test_a_second_claim_gives_the_artifact(store):
    made = make(store)
    with store.claim("train", "d1") as claim:
        assert claim == made


def test_state_survives_a_failure_and_goes_with_the_commit(store):
    with pytest.raises(RuntimeError), store.claim("train", "d1") as claim:
        (claim.state / "step").write_text("41")
        raise RuntimeError("killed")
    with store.claim("train", "d1") as claim:
        assert (claim.state / "step").read_text() == "41"
        claim.commit(RECORD)
        assert not claim.state.exists()


@pytest.mark.parametrize("damage", ["remove", "truncate", "manifest", "garbage", "foreign"])
def test_a_damaged_artifact_is_not_there_and_can_be_remade(store, damage):
    made = make(store)
    if damage == "remove":
        (made.folder / "a.txt").unlink()
    elif damage == "truncate":
        (made.folder / "a.txt").write_text("resul")
    elif damage == "manifest":
        (made.folder / "manifest.json").unlink()
    elif damage == "garbage":
        (made.folder / "manifest.json").write_text("{")
    else:
        (made.folder / "manifest.json").write_text(json.dumps({**made.manifest, "digest": "other"}))
    assert store.find("train", "d1") is None
    assert make(store).manifest == made.manifest


def test_a_flipped_byte_is_found_and_set_aside(store):
    made = make(store)
    (made.folder / "a.txt").write_text("resulT")
    with pytest.raises(StorageError, match="damaged"):
        store.verify(store.find("train", "d1"))
    assert store.find("train", "d1") is None
    assert [path.name for path in made.folder.parent.glob("d1.corrupt-*")]


def test_what_goes_downstream_is_the_first_commit(store):
    made = make(store, text="first")
    module.shutil.rmtree(made.folder)
    assert store.find("train", "d1") is None
    assert store.first("train", "d1")["content"] == made.content
    remade = make(store, text="second")
    assert remade.content == made.content
    assert remade.manifest["remade_differently"] is True


def test_the_content_hash_sees_bytes_names_and_status(store):
    contents = {make(store, "d1", "x").content, make(store, "d2", "y").content}
    with store.claim("train", "d3") as claim:
        contents.add(claim.commit({**RECORD, "status": "diverged"}).content)
    with store.claim("train", "d4") as claim:
        contents.add(claim.commit(RECORD).content)
    assert len(contents) == 4
    assert make(store, "d5", "x").content in contents


# Crashes ---------------------------------------------------------------------------------------------------------


class Crash(BaseException):
    """Not an Exception: nothing in the store may catch it, as nothing can catch a power cut."""


STEPS = ["fsync", "link", "rename", "replace"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_of_a_commit_loses_nothing(store, monkeypatch, step, count, after):
    calls = 0
    owner, name = (os, step) if step in ("fsync", "link") else (module.Path, step)
    original = getattr(owner, name)

    def crashing(*arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == count + 1 and not after:
            raise Crash
        result = original(*arguments, **keywords)
        if calls == count + 1:
            raise Crash
        return result

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, crashing)
        try:
            make(store)
            crashed = False
        except Crash:
            crashed = True
    assert crashed == (calls > count)
    found = store.find("train", "d1")
    if found is None:
        assert crashed
        found = make(store)
    store.verify(found)
    assert (found.folder / "a.txt").read_text() == "result"
    assert found.content == store.first("train", "d1")["content"]
    assert not found.manifest["remade_differently"]


def test_a_full_disk_is_said_and_leaves_nothing_visible(store, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        make(store)
    monkeypatch.undo()
    assert store.find("train", "d1") is None
    make(store)


def test_an_error_of_the_stage_is_not_taken_for_one_of_the_store(store):
    with pytest.raises(FileNotFoundError), store.claim("train", "d1"):
        open("/nowhere/at/all")


# Many processes --------------------------------------------------------------------------------------------------


def _claimant(root, barrier, made):
    barrier.wait()
    store = Store(root)
    with store.claim("train", "d1") as claim:
        if isinstance(claim, Claim):
            (claim.folder / "a.txt").write_text("result")
            time.sleep(0.05)
            claim.commit(RECORD)
            made.put(os.getpid())
    store.verify(store.find("train", "d1"))


def test_fifty_claimants_make_one_artifact_once(store):
    context = multiprocessing.get_context("fork")
    barrier, made = context.Barrier(50), context.Queue()
    processes = [context.Process(target=_claimant, args=(store.root, barrier, made)) for _ in range(50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 50
    assert made.get(timeout=5) and made.empty()


def _twin(root, barrier, made):
    barrier.wait()
    store = Store(root)
    store._lock = lambda *_: module.contextlib.nullcontext()  # a file system whose locks do nothing
    with store.claim("train", "d1") as claim:
        if isinstance(claim, Claim):
            (claim.folder / "a.txt").write_text("result")
            time.sleep(0.02)
            claim.commit(RECORD)
    store.verify(store.find("train", "d1"))
    made.put(os.getpid())


def test_without_locks_twins_cost_time_but_never_truth(store):
    context = multiprocessing.get_context("fork")
    barrier, made = context.Barrier(16), context.Queue()
    processes = [context.Process(target=_twin, args=(store.root, barrier, made)) for _ in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 16
    assert (store.find("train", "d1").folder / "a.txt").read_text() == "result"


def _killed(root, ready):
    with Store(root).claim("train", "d1") as claim:
        (claim.folder / "a.txt").write_text("half")
        ready.set()
        time.sleep(60)


def test_a_killed_writer_frees_its_claim_and_its_folder_is_cleared(store):
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_killed, args=(store.root, ready))
    process.start()
    assert ready.wait(20)
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert len(list((store.root / ".work").iterdir())) == 1
    make(store)
    assert list((store.root / ".work").iterdir()) == []


def test_what_is_left_beside_an_artifact_goes_with_the_next_claim(store):
    make(store)
    state, work = store.root / ".state" / "train-d1", store.root / ".work"
    state.mkdir()  # as a kill between the commit and the removal leaves it
    (state / "slot").write_text("large")
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    for number in (process.pid, os.getpid()):
        (work / f"train-d1.{socket.gethostname()}.{number}.00").mkdir()  # of twins that were slower
    with store.claim("train", "d2") as claim:
        (claim.state / "slot").write_text("in use")
        with store.claim("predict", "d1"):
            assert not state.exists()
            assert (claim.state / "slot").exists() and claim.folder.exists()
            assert [path.name.split(".")[-2] for path in work.glob("train-d1.*")] == [str(os.getpid())]
