"""The command: what runs together, and with which error it ends."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from isthmus import errors
from isthmus.check import command
from isthmus.check.command import Result
from isthmus.errors import DataError, HubError, Interrupted, IsthmusError, OutOfMemory, StorageError
from isthmus.hubs import commands
from isthmus.hubs.babel.hub import Babel
from isthmus.hubs.huggingface import HuggingFace
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import Job, Unit
from isthmus.plan import Plan


def ended(*codes: int) -> IsthmusError:
    result = Result()
    for number, code in enumerate(codes):
        result.add([f"problem {number}"], code)
    return result.error(Path("study.yaml"))


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ((65, 65), DataError),
        ((69, 69), HubError),
        ((69, 65), DataError),
        ((65, 74, 69), StorageError),
        ((69, 75), Interrupted),
        ((77,), OutOfMemory),
        ((70,), IsthmusError),
        ((65, 78), errors.EnvironmentMismatch),
        ((65, -9), OutOfMemory),
        ((-15,), Interrupted),
        ((1,), IsthmusError),
    ],
)
def test_what_is_not_of_the_data_gives_the_exit_code(codes, kind):
    error = ended(*codes)
    assert type(error) is kind
    finished = set(codes) <= {65, 69}
    assert ("did not come to their end" in str(error)) != finished
    assert "problem 0" in str(error)


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("print('isthmus: a row is wrong'); exit(65)", 65, ["a row is wrong"]),
        ("exit(65)", 65, ["data/x: the job ended without a word; its log is LOG."]),
        (
            "print('isthmus: No space'); exit(74)",
            74,
            ["data/x: the job ended with 74; its log is LOG. No space"],
        ),
        (
            "import os; os.kill(os.getpid(), 9)",
            -9,
            ["data/x: the job was killed by SIGKILL; its log is LOG."],
        ),
    ],
)
def test_a_job_that_ended_otherwise_is_named_with_its_log(tmp_path, monkeypatch, script, code, said):
    log = tmp_path / "x.log"
    run = command.subprocess.run
    monkeypatch.setattr(
        command.subprocess, "run", lambda line, **given: run([sys.executable, "-c", script], **given)
    )
    monkeypatch.setattr(command, "log_of", lambda *_: log)
    job = SimpleNamespace(key="k", place="data/x", stage="fetch")
    plan = SimpleNamespace(results=tmp_path, description=lambda job: {})
    result = Result()
    assert command._run(plan, job, tmp_path, result) == {}
    assert result.problems == {line.replace("LOG", str(log)): code for line in said}


# Fetching -----------------------------------------------------------------------------------------------------------


class Some(HuggingFace):
    """A hub whose cache lacks the files of one language."""

    def missing(self, spec):
        return ["a file"] if spec["language"] == "de" else []


@pytest.mark.parametrize(
    ("unreachable", "parts"),
    [(False, [["x/en", "x/fr"], ["x/de"]]), (True, [["x/en", "x/fr"]])],
)
def test_only_what_could_not_be_downloaded_runs_alone(tmp_path, monkeypatch, unreachable, parts):
    ran: list[list[str]] = []
    monkeypatch.setattr(
        command, "_run", lambda plan, job, *_: ran.append([unit.name for unit in job.units]) or {}
    )
    units = [Unit("fetch", f"x/{code}", {"source": {}, "language": code}, {}) for code in ("en", "de", "fr")]
    job = Job("fetch_dataset", "data/x", tuple(units))
    hub = Some(tmp_path / "cache", tmp_path / "hub.lock")
    plan = SimpleNamespace(hub=hub, jobs=[job], lacking={}, artifacts=dict)
    command._fetch(plan, tmp_path, Result(unreachable=unreachable))
    assert ran == parts


@pytest.mark.parametrize("kind", [HubError, DataError])
def test_what_a_download_says_is_said_by_the_stages(tmp_path, monkeypatch, kind):
    def fetch(study):
        raise kind("one file is wrong")

    monkeypatch.setattr(commands, "fetch", fetch)
    monkeypatch.setattr(Plan, "of", lambda path: path)
    result = Result()
    study = SimpleNamespace(study=SimpleNamespace(path=tmp_path))
    assert command._downloaded(study, result) == tmp_path
    assert not result.problems and not result.unreachable


# Words --------------------------------------------------------------------------------------------------------------


def test_a_hub_is_called_by_its_name(tmp_path):
    def words(hub) -> str:
        return Plan(None, hub, (), {}, tmp_path, None).hub_in_words()

    assert words(Babel()) == "babel"
    assert words(Mirror(tmp_path)) == f"the mirror {tmp_path}"
    assert "hub.lock" in words(HuggingFace(tmp_path, tmp_path / "hub.lock"))


def test_only_jobs_that_read_the_hub_are_told_of_the_lock(tmp_path):
    plan = Plan(
        None,
        HuggingFace(tmp_path, tmp_path / "hub.lock"),
        (),
        {},
        tmp_path,
        SimpleNamespace(root=tmp_path),
    )
    fetch, other = (
        Job(rule, "x", (Unit(stage, "x", spec),))
        for rule, stage, spec in (
            ("fetch_dataset", "fetch", {"source": {}}),
            ("preflight", "check", {"data": {}}),
        )
    )
    assert "lock" in plan.description(fetch) and "lock" not in plan.description(other)
