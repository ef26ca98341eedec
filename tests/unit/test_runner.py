"""The runner: hits import nothing heavy, failures publish nothing, statuses pass on, results name all of their code."""

import json
import signal
import sys
import types
from pathlib import Path

import pytest

from isthmus import errors, jobs, receipt, runner
from isthmus.errors import DataError, EnvironmentMismatch, UsageError
from isthmus.jobs import JobTable, Unit
from isthmus.stop import Stop, Stopped
from isthmus.store import Store

ENTRY = "isthmus.spec"  # any module of the package will do: the stage itself is a fake


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Runs units of fake stages in a store of their own."""
    monkeypatch.setattr(runner, "outside", lambda *_: [])
    return Bench(tmp_path, monkeypatch)


class Bench:
    def __init__(self, path: Path, monkeypatch) -> None:
        self.path = path
        self.store = Store(path / "store")
        self.table = JobTable()
        self.runs: list[str] = []
        self.monkeypatch = monkeypatch

    def stage(self, name: str, run) -> None:
        self.monkeypatch.setitem(jobs.STAGES, name, ENTRY)
        module = types.ModuleType(f"fake_{name}")
        module.run = run
        self.monkeypatch.setitem(sys.modules, f"fake_{name}", module)

    def run(self, unit: Unit, stop: Stop | None = None, **changes) -> dict[str, receipt.Outcome]:
        job = self.table.add("rule", unit.name, [unit])
        document = {
            **job.document(self.path, self.store.root, None),
            "module": f"fake_{unit.stage}",
            **changes,
        }
        (self.path / "job.json").write_text(json.dumps(document))
        runner.run_job(self.path / "job.json", job.receipt(self.path), stop)
        return receipt.read(job.receipt(self.path))


def writing(text: str, status: str = "ok"):
    def run(works):
        for work in works:
            (work.folder / "out.txt").write_text(text + json.dumps(work.spec))
            work.commit(status=status, details={"why": "test"})

    return run


def test_a_unit_is_made_once_and_found_then(bench):
    bench.stage("train", writing("x"))
    unit = Unit("train", "a", {"seed": 1})
    first = bench.run(unit)
    bench.stage("train", lambda works: pytest.fail("made twice"))
    assert bench.run(unit) == first
    (outcome,) = first.values()
    manifest = bench.store.find("train", outcome.digest).manifest
    assert manifest["spec"] == {"seed": 1}
    assert manifest["details"] == {"why": "test"}
    assert manifest["cost"]["seconds"] >= 0


def test_a_child_sees_its_input_and_is_named_by_its_content(bench):
    bench.stage("train", writing("x"))
    parent = Unit("train", "a", {"seed": 1})
    (made,) = bench.run(parent).values()
    seen = {}

    def child(works):
        (work,) = works
        seen.update(work.inputs)
        work.commit()

    bench.stage("predict", child)
    unit = Unit("predict", "b", {}, {"model": parent})
    (outcome,) = bench.run(unit).values()
    assert seen == {"model": bench.store.folder("train", made.digest)}
    assert outcome.digest == unit.digest({"model": made.content})


def test_a_failed_science_passes_on_without_work(bench):
    bench.stage("train", writing("x", status="diverged"))
    parent = Unit("train", "a", {})
    bench.run(parent)
    bench.stage("predict", lambda works: pytest.fail("nothing to predict with"))
    (outcome,) = bench.run(Unit("predict", "b", {}, {"model": parent})).values()
    assert outcome.status == "diverged"
    assert "model" in bench.store.find("predict", outcome.digest).manifest["reason"]


def test_a_failing_stage_publishes_nothing(bench):
    def run(works):
        (works[0].folder / "half").write_text("half")
        raise DataError("bad row")

    bench.stage("train", run)
    with pytest.raises(DataError):
        bench.run(Unit("train", "a", {}))
    assert not list(bench.path.glob("a-*.json"))
    assert not list((bench.store.root / "train").glob("*")) if (bench.store.root / "train").exists() else True


def test_a_stage_that_forgets_a_unit_is_a_bug(bench):
    bench.stage("train", lambda works: None)
    with pytest.raises(RuntimeError, match="without a result for a"):
        bench.run(Unit("train", "a", {}))


def test_other_code_than_planned_is_refused_before_and_after_the_work(bench):
    bench.stage("train", writing("x"))
    unit = Unit("train", "a", {})
    document = bench.table.add("rule", "a", [unit]).document(bench.path, bench.store.root, None)
    document["units"][0]["code"] = "0" * 32
    with pytest.raises(EnvironmentMismatch, match="changed since this job was planned"):
        bench.run(unit, units=document["units"])

    def run(works):
        bench.monkeypatch.setattr(runner, "closure", lambda entries: "1" * 32)
        works[0].commit()

    bench.stage("train", run)
    with pytest.raises(EnvironmentMismatch, match="changed since this job started"):
        bench.run(unit)
    assert bench.store.find("train", unit.digest({})) is None


def test_code_outside_the_closure_is_refused(bench):
    bench.stage("train", writing("x"))
    bench.monkeypatch.setattr(runner, "outside", lambda entries, loaded: ["isthmus.secret"])
    with pytest.raises(RuntimeError, match=r"outside its closure: isthmus\.secret"):
        bench.run(Unit("train", "a", {}))


@pytest.fixture
def child(bench) -> Unit:
    """A unit whose input was made and then damaged, byte for byte as long as before."""
    bench.stage("train", writing("x"))
    parent = Unit("train", "a", {})
    (made,) = bench.run(parent).values()
    path = bench.store.folder("train", made.digest) / "out.txt"
    path.write_text("y" + path.read_text()[1:])
    bench.stage("predict", writing("z"))
    return Unit("predict", "b", {}, {"model": parent})


def test_a_damaged_input_is_not_used(bench, child):
    with pytest.raises(errors.StorageError, match="damaged"):
        bench.run(child)
    parent = child.parents["model"]
    assert bench.store.find("train", parent.digest({})) is None


def test_the_check_can_be_set_to_sizes(bench, child):
    bench.monkeypatch.setenv("ISTHMUS_VERIFY", "size")
    assert bench.run(child)


def test_another_check_than_these_is_refused(bench, child):
    bench.monkeypatch.setenv("ISTHMUS_VERIFY", "never")
    with pytest.raises(UsageError, match="ISTHMUS_VERIFY"):
        bench.run(child)


def test_published_files_are_copied_and_mended(bench):
    bench.stage("tabulate", writing("x"))
    unit = Unit("tabulate", "tables", {})
    target = bench.path / "out.txt"
    bench.run(unit, publishes={"out.txt": str(target)})
    assert target.read_text() == "x{}"
    target.write_text("scribble")
    bench.run(unit, publishes={"out.txt": str(target)})
    assert target.read_text() == "x{}"


def test_a_source_that_changes_while_it_is_read_is_not_stored(bench):
    bench.stage("fetch", writing("x"))
    states = iter([{"file/a": "old"}, {"file/a": "new"}])
    bench.monkeypatch.setattr(runner, "_contents_of_sources", lambda *_: next(states))
    unit = Unit("fetch", "a", {})
    with pytest.raises(EnvironmentMismatch, match="changed while they were read"):
        bench.run(unit)
    assert bench.store.find("fetch", unit.digest({"file/a": "old"})) is None


class OutOfMemoryError(RuntimeError):
    """Stands in for torch's, which the runner knows by name."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError("no more"), 77),
        (OutOfMemoryError("no more"), 77),
        (OSError(28, "No space left on device"), 74),
    ],
)
def test_a_machine_that_runs_out_has_its_own_exit_codes(bench, error, code):
    def run(works):
        raise error

    bench.stage("train", run)
    with pytest.raises(errors.IsthmusError) as caught:
        bench.run(Unit("train", "a", {}))
    assert caught.value.exit_code == code


def test_a_signal_during_a_commit_ends_the_job_when_the_artifact_is_there(bench):
    stop, unit = Stop(), Unit("train", "a", {})
    rename = Path.rename

    def signalled(path: Path, target: Path) -> Path:
        stop.asked = True
        return rename(path, target)

    bench.stage("train", writing("x"))
    bench.monkeypatch.setattr(Path, "rename", signalled)
    with pytest.raises(Stopped):
        bench.run(unit, stop)
    assert bench.store.find("train", unit.digest({})) is not None
    assert not list(bench.path.glob("a-*.json"))
    assert list((bench.store.root / ".work").iterdir()) == []


def test_a_stage_with_grace_sees_the_signal_and_ends_itself(bench):
    stop, seen = Stop(), []

    def run(works):
        with works[0].graceful():
            stop._heard(signal.SIGTERM, None)
            seen.append(works[0].interrupted())
        seen.append("goes on")

    bench.stage("train", run)
    with pytest.raises(Stopped):
        bench.run(Unit("train", "a", {}), stop)
    assert seen == [True]


def test_a_missing_job_document_says_who_writes_it(tmp_path):
    with pytest.raises(UsageError, match="Run Snakemake"):
        runner.run_job(tmp_path / "gone.json", tmp_path / "receipt.json")
