"""The rules: what Snakemake plans for the shipped studies, and that a rule's own command is what runs."""

import json
import os
import re
import shlex
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import MICRO, REPOSITORY, Folder
from tests.faults import mirror_of_all


@pytest.fixture
def folder(tmp_path) -> Folder:
    work = Folder(tmp_path / "work")
    work.path.mkdir()
    return work


def snakemake(folder: Folder, *arguments: str, **changes: str) -> str:
    """Plain Snakemake, with the profile that it finds unasked; gives its output."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), *arguments]
    env = {**os.environ, **changes}
    run = subprocess.run(command, cwd=folder.path, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_the_default_study_is_config_yaml_and_plans(folder):
    output = snakemake(folder, "-n", "--quiet", "reason")
    assert re.search(r"^score_languages +45$", output, re.MULTILINE)
    assert (folder.path / "results" / "first" / "jobs").is_dir()


def test_the_real_study_plans_and_fetches_on_the_mirror(folder, mirror):
    study = ["--configfile", str(REPOSITORY / "studies" / "real-first.yaml")]
    output = snakemake(folder, "-n", "--quiet", "reason", *study, ISTHMUS_HUB=str(mirror))
    assert re.search(r"^score_languages +4$", output, re.MULTILINE)
    snakemake(folder, "--cores", "2", "--until", "fetch_dataset", *study, ISTHMUS_HUB=str(mirror))
    logs = "".join(
        path.read_text() for path in (folder.path / "results" / "real-first" / "logs").rglob("*.log")
    )
    assert "mnli/en: dev 9,815 rows, train 12,988 rows of 392,702 published" in logs
    assert logs.count("dev 2,490 rows, test 5,010 rows") == 15
    assert "bible/sw: train 7,853 rows" in logs
    pairs = [
        pq.read_table(path.parent / "train.parquet")
        for path in (folder.path / "results" / "store" / "fetch").glob("*/manifest.json")
        if json.loads(path.read_text())["name"] == "bible/sw"
    ]
    assert pairs[0]["pair"].null_count < 0.01 * len(pairs[0])  # the English verse of the same number


def test_a_dry_run_makes_nothing_but_job_documents(folder):
    folder.write(MICRO)
    folder.planned()
    made = [path for path in (folder.path / "results").rglob("*") if path.is_file()]
    assert made and all(path.parent.name == "jobs" for path in made)


def test_a_rules_own_command_runs_alone(folder):
    folder.write(MICRO)
    run = folder.snakemake("-n", "-p", "--until", "fetch_dataset")
    commands = re.findall(r"^Shell command: exec (.+) > (\S+) 2>&1$", run.stdout + run.stderr, re.MULTILINE)
    assert len(commands) == 4
    command = shlex.split(commands[0][0])
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(command, cwd=folder.path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    receipt = folder.path / command[command.index("--receipt") + 1]
    assert json.loads(receipt.read_text())["units"]
    assert folder.planned()["fetch_dataset"] == 3


def test_the_rule_of_the_checks_runs_alone_after_the_fetches(folder):
    folder.write(MICRO)
    folder.snakemake("--until", "fetch_dataset")
    run = folder.snakemake("-n", "-p", "--until", "preflight")
    (command,) = re.findall(r"^Shell command: exec (.+) > \S+ 2>&1$", run.stdout + run.stderr, re.MULTILINE)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    done = subprocess.run(
        shlex.split(command), cwd=folder.path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (report,) = (folder.path / "results" / "store" / "check").glob("*/report.json")
    assert json.loads(report.read_text())["looked"]["tasks"].keys() == {
        "wikipedia",
        "ccmatrix",
        "mnli",
        "xnli",
    }
    assert "preflight" not in folder.planned()


def test_a_training_waits_for_the_checks_and_what_they_find_ends_the_run(folder):
    mirror_of_all.write_mirror(folder.path / "mirror")
    place = mirror_of_all.path(folder.path / "mirror", "nyu-mll/glue", "mnli", "train")
    rows = pq.read_table(place)
    labels = pa.array([-1] * len(rows), pa.int64())
    pq.write_table(rows.set_column(rows.column_names.index("label"), "label", labels), place)
    folder.write(
        f"study: micro\nquestion: What waits?\nhub: {folder.path / 'mirror'}\nencoders: {{whole: {{from: me/whole}}}}\n"
        "arms: {none: []}\ntargets: [xnli]\nlanguages: [en, de]\nrecipe: {all: {max_length: 32}}\n"
    )
    run = folder.isthmus("run", str(folder.study), "--cores", "1", "--retries", "0")
    assert run.returncode != 0
    assert "mnli/en train (nyu-mll/glue mnli train): none of its 12 rows has a gold label" in run.stderr
    assert "Failed: Checking every dataset, head and scorer" in run.stderr
    stages = {path.name for path in (folder.path / "results" / "store").iterdir() if path.name[0] != "."}
    assert {"fetch", "encoder"} <= stages and not {"train", "check"} & stages


@pytest.mark.parametrize("name", ["a;touch PWNED", "../up", "-rf", "a b", "$HOME"])
def test_a_target_that_is_no_receipt_is_refused_and_executes_nothing(folder, name):
    folder.write(MICRO)
    run = folder.snakemake("--", f"results/micro/data/{name}-0123456789abcdef.json", check=False)
    assert run.returncode != 0
    assert not list(folder.path.rglob("PWNED"))


def test_names_in_a_study_cannot_leave_their_place(folder):
    folder.write(MICRO.replace("study: micro", "study: ../../up"))
    run = folder.snakemake("-n", check=False)
    assert run.returncode != 0
    assert "cannot be a name" in run.stdout + run.stderr


@pytest.mark.parametrize("profile", ["default", "ci", "slurm"])
def test_no_profile_lets_times_or_metadata_decide(profile):
    import yaml

    settings = yaml.safe_load((REPOSITORY / "profiles" / profile / "profile.yaml").read_text())
    assert settings["rerun-triggers"] == ["mtime"]
    assert settings["nolock"] is True
    assert settings["rerun-incomplete"] is True
