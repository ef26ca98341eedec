"""Resolving: receipts say what the store holds, whatever happened to them, and a mirror is known by its content."""

import shutil
from pathlib import Path

import pytest

from isthmus.errors import UsageError
from isthmus.hubs.babel.hub import write_tree
from isthmus.jobs import Job
from isthmus.plan import Plan, open_hub
from isthmus.runner import run_job
from tests.conftest import MICRO


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A working folder with the micro study on a mirror of babel's data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ISTHMUS_STORE", raising=False)
    # Jobs run inside this process, which has its own signals and has imported everything.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("isthmus.runner.outside", lambda *_: [])
    write_tree(tmp_path / "mirror", ["nyu-mll/glue"])
    for name in ("facebook/xnli", "wikimedia/wikipedia", "sentence-transformers/parallel-sentences-ccmatrix"):
        (tmp_path / "mirror" / name).mkdir(parents=True)
    Path("micro.yaml").write_text(MICRO.replace("hub: babel", "hub: mirror"))
    return tmp_path


def of_mnli(plan: Plan) -> Job:
    return next(job for job in plan.jobs if job.place == "data/mnli")


@pytest.fixture
def fetched(work, monkeypatch) -> Path:
    """The same with MNLI fetched; the mirror has nothing else, which every plan says after it has resolved."""
    monkeypatch.setenv("ISTHMUS_HUB", str(work / "mirror"))
    plan = Plan.of(Path("micro.yaml"))
    job = of_mnli(plan)
    with pytest.raises(UsageError, match="lacks data"):
        plan.resolve()
    run_job(plan.document(job), plan.receipt(job))
    return work


def waiting() -> bool:
    """Whether MNLI would have to be fetched, by the receipt that resolving leaves or drops."""
    plan = Plan.of(Path("micro.yaml"))
    with pytest.raises(UsageError, match="lacks data"):
        plan.resolve()
    return not plan.receipt(of_mnli(plan)).exists()


def test_what_is_in_the_store_has_its_receipt(fetched):
    assert not waiting()
    plan = Plan.of(Path("micro.yaml"))
    path = plan.receipt(of_mnli(plan))
    before = path.read_bytes(), path.stat().st_mtime
    path.unlink()
    assert not waiting()
    assert (path.read_bytes(), path.stat().st_mtime) == before


def test_a_receipt_without_its_artifact_is_dropped(fetched):
    plan = Plan.of(Path("micro.yaml"))
    shutil.rmtree(next(path for path in (fetched / "results" / "store" / "fetch").iterdir() if path.is_dir()))
    assert waiting()
    assert not plan.receipt(of_mnli(plan)).exists()


def test_a_mirror_may_move(fetched, monkeypatch):
    (fetched / "mirror").rename(fetched / "moved")
    monkeypatch.setenv("ISTHMUS_HUB", str(fetched / "moved"))
    assert not waiting()


def test_other_data_in_a_mirror_is_noticed(fetched):
    folder = fetched / "mirror" / "nyu-mll" / "glue" / "mnli"
    shutil.copy(folder / "validation_matched-00000-of-00001.parquet", folder / "train-00000-of-00001.parquet")
    assert waiting()


@pytest.mark.parametrize("lost", ["mirror/nyu-mll", "mirror"])
def test_what_was_fetched_stays_when_the_mirror_loses_it(fetched, lost):
    shutil.rmtree(fetched / lost)
    assert not waiting()


def test_looking_changes_nothing(fetched, monkeypatch):
    plan = Plan.of(Path("micro.yaml"))
    monkeypatch.setenv("ISTHMUS_STORE", str(fetched / "other"))
    with pytest.raises(UsageError, match="lacks data"):
        Plan.of(Path("micro.yaml")).resolve(write=False)
    assert plan.receipt(of_mnli(plan)).exists()


def test_a_store_may_lie_elsewhere(fetched, monkeypatch):
    monkeypatch.setenv("ISTHMUS_STORE", str(fetched / "other"))
    assert waiting()
    shutil.move(fetched / "results" / "store", fetched / "other")
    assert not waiting()


def test_everything_that_a_mirror_lacks_is_listed_at_once(work, monkeypatch):
    monkeypatch.setenv("ISTHMUS_HUB", str(work / "mirror"))
    with pytest.raises(UsageError) as caught:
        Plan.of(Path("micro.yaml")).resolve()
    first, *lines, last = str(caught.value).splitlines()
    assert first.startswith("micro.yaml: the mirror ")
    assert len(lines) == 5
    assert any("xnli in de: tried facebook/xnli de (validation, test)" in line for line in lines)
    assert last == "Add it there, or leave the tasks or languages out."


def test_a_mirror_must_be_named(tmp_path, monkeypatch):
    monkeypatch.delenv("ISTHMUS_HUB", raising=False)
    with pytest.raises(UsageError, match="ISTHMUS_HUB is not set"):
        open_hub("mirror")
    monkeypatch.setenv("ISTHMUS_HUB", str(tmp_path))
    assert open_hub("mirror").folder == tmp_path
    assert open_hub("/some/where").folder == Path("/some/where")


def test_a_mirror_of_generated_data_is_known_as_such(work):
    assert open_hub(str(work / "mirror")).synthetic
    assert not open_hub(str(work)).synthetic
    assert open_hub("babel").synthetic


def gate(plan: Plan) -> Job:
    return next(job for job in plan.jobs if job.stage == "check")


def test_the_checks_are_no_goal_and_run_only_before_something_that_comes_after_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("micro.yaml").write_text(MICRO)
    plan = Plan.of(Path("micro.yaml"))
    assert gate(plan) not in plan.goals and len(plan.goals) == len(plan.jobs) - 1
    assert gate(plan) in plan.resolve(write=False)
    others = [job for job in plan.jobs if not job.after]
    assert gate(plan) not in plan._called_for(others)
    training = next(job for job in plan.jobs if job.after)
    assert plan._called_for([gate(plan), training]) == (gate(plan), training)


def test_the_artifacts_of_units_are_found_and_nothing_is_written_or_refused(fetched):
    plan = Plan.of(Path("micro.yaml"))
    (unit,) = of_mnli(plan).units
    before = sorted(Path("results").rglob("*"))
    assert plan.artifacts().keys() == {unit.key}
    assert sorted(Path("results").rglob("*")) == before
