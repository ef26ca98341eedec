"""A run can die at any instant: what it leaves is whole, and the same command goes on to the same bytes."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Folder, environment

LONGER = ("pretrain: {steps: 12,", "pretrain: {steps: 900,")


def document(folder: Folder, rule: str) -> tuple[Path, Path]:
    """The job document and receipt path of the only job of a rule that would run."""
    run = folder.isthmus("plan", folder.study.name)
    receipts = [line.split()[1] for line in run.stdout.splitlines() if line.startswith(rule)]
    assert len(receipts) == 1, run.stdout
    key = receipts[0].removesuffix(".json")[-16:]
    folder.snakemake("-n")  # writes the documents of the jobs that would run
    return next((folder.results / "jobs").glob(f"{key}-*.json")), folder.path / receipts[0]


def stage(folder: Folder, name: str, rule: str, source: Path = REPOSITORY / "src") -> subprocess.Popen:
    """Start a rule's own command."""
    return start(folder, ["-m", "isthmus"], name, *document(folder, rule), source)


def start(
    folder: Folder,
    isthmus: list[str],
    name: str,
    job: Path,
    receipt: Path,
    source: Path = REPOSITORY / "src",
) -> subprocess.Popen:
    """Start a stage; `isthmus` is what Python runs as the command line."""
    return subprocess.Popen(
        [sys.executable, *isthmus, "stage", name, "--job", str(job), "--receipt", str(receipt)],
        cwd=folder.path,
        env=environment(source),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_training(process: subprocess.Popen) -> None:
    """Until the first step is logged: hundreds are still to come, however fast the machine."""
    for line in process.stdout:
        if line.startswith("step 00001/"):
            return
    raise AssertionError("the training ended before it was stopped")


def weights(folder: Folder) -> set[str]:
    return {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.store.glob("train/*/model.safetensors")
    }


@pytest.fixture(scope="module")
def uninterrupted(finished, tmp_path_factory) -> set[str]:
    folder = finished.copy(tmp_path_factory.mktemp("whole") / "work")
    before = weights(folder)
    folder.edit(*LONGER)
    process = stage(folder, "train", "pretrain_encoder")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return weights(folder) - before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGKILL])
def test_a_stopped_training_goes_on_to_the_same_bytes(micro, uninterrupted, number):
    before = weights(micro)
    micro.edit(*LONGER)
    process = stage(micro, "train", "pretrain_encoder")
    wait_for_training(process)
    process.send_signal(number)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == (-9 if number == signal.SIGKILL else 75), output
    assert weights(micro) == before
    process = stage(micro, "train", "pretrain_encoder")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    if number != signal.SIGKILL:
        assert "goes on at step" in output
    assert weights(micro) - before == uninterrupted
    assert list((micro.store / ".work").iterdir()) == []
    assert list((micro.store / ".state").iterdir()) == []


# The command line, with one function that does what it does until a signal comes: in the middle of it, then.
AGAIN_AND_AGAIN = """\
import importlib, sys
from isthmus import cli
module, name = "{place}".rsplit(".", 1)
module = importlib.import_module(module)
function = getattr(module, name)
def again(*arguments, **options):
    print("HERE", flush=True)
    while True:
        function(*arguments, **options)
setattr(module, name, again)
sys.exit(cli.main())
"""
MOMENTS = {
    "start-up": ("train", "train_intermediate", None),
    "model load": ("train", "train_intermediate", "isthmus.model.encoder.load"),
    "tokenization": ("tokenize", "tokenize_dataset", "isthmus.families.classify.encode"),
    "prediction": ("predict", "predict_languages", "isthmus.families.classify.outputs"),
}


def forget(folder: Folder, rule: str) -> tuple[Path, Path, dict[str, str], Callable[[], dict[str, str]]]:
    """Remove what a job of a rule made; its document, its receipt, the files' SHA-256, and what tells those of now."""
    documents = {path: json.loads(path.read_text()) for path in (folder.results / "jobs").glob("*.json")}
    job = min(
        path
        for path, document in documents.items()
        if document["rule"] == rule and "isthmus.families.classify" in document["units"][0]["entries"]
    )
    (receipt,) = [
        path for path in folder.results.rglob(f"*-{documents[job]['key']}.json") if path.parent != job.parent
    ]
    units = json.loads(receipt.read_text())["units"].values()
    made = [folder.store / unit["stage"] / unit["digest"] for unit in units]

    def files() -> dict[str, str]:
        found = [path for artifact in made for path in artifact.glob("*") if path.name != "manifest.json"]
        return {f"{p.parent.name}/{p.name}": hashlib.sha256(p.read_bytes()).hexdigest() for p in found}

    before = files()
    for artifact in made:
        shutil.rmtree(artifact)
    receipt.unlink()
    assert before and not files()
    shutil.rmtree(folder.store / ".locks", ignore_errors=True)
    return job, receipt, before, files


def wait_for_start(folder: Folder, process: subprocess.Popen) -> None:
    """Until the job is claimed: next the stage is imported, which takes as long as importing torch does."""
    while not list(folder.store.glob(".locks/*")):
        assert process.poll() is None
        time.sleep(0.001)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stage_stopped_before_it_has_anything_to_save_ends_at_once(micro, moment):
    name, rule, place = MOMENTS[moment]
    job, receipt, before, files = forget(micro, rule)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        isthmus = ["-m", "isthmus"] if place is None else ["-c", AGAIN_AND_AGAIN.format(place=place)]
        process = start(micro, isthmus, name, job, receipt)
        if place is None:
            wait_for_start(micro, process)
        else:
            assert "HERE\n" in iter(process.stdout.readline, "")
        process.send_signal(number)
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 75, output
        assert f"Stopped by {number.name}" in output and "Traceback" not in output
        assert not files() and not receipt.exists()
        shutil.rmtree(micro.store / ".locks")
    process = start(micro, ["-m", "isthmus"], name, job, receipt)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert files() == before
    assert list((micro.store / ".work").iterdir()) == []


def test_code_that_changes_under_a_running_job_publishes_nothing(micro, tmp_path):
    source = tmp_path / "src"
    shutil.copytree(REPOSITORY / "src", source)
    before = weights(micro)
    micro.edit(*LONGER)
    process = stage(micro, "train", "pretrain_encoder", source)
    wait_for_training(process)
    module = source / "isthmus" / "train" / "stage.py"
    module.write_text(module.read_text() + "\nLATER = 1\n")
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 78, output
    assert "Run Snakemake again" in output
    assert weights(micro) == before
    # With the change in place from the start it is refused at once …
    process = stage(micro, "train", "pretrain_encoder", source)
    started = time.monotonic()
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 78, output
    assert "step " not in output and time.monotonic() - started < 60
    # … and a comment is no change.
    shutil.copy(REPOSITORY / "src" / "isthmus" / "train" / "stage.py", module)
    module.write_text(module.read_text() + "\n# later\n")
    process = stage(micro, "train", "pretrain_encoder", source)
    assert process.communicate(timeout=300) and process.returncode == 0


def test_two_processes_with_one_job_train_once(micro):
    micro.edit(*LONGER)
    processes = [stage(micro, "train", "pretrain_encoder") for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert sorted("step " in output for output in outputs) == [False, True]


def test_a_damaged_input_is_found_and_remade(micro):
    micro.edit("target: {steps: 200,", "target: {steps: 20,")
    checkpoint = (
        next(micro.store.glob("encoder/*/model.safetensors"), None)
        or sorted(
            path
            for path in micro.store.glob("train/*/model.safetensors")
            if not (path.parent / "heads.json").is_file() or "mlm" in (path.parent / "heads.json").read_text()
        )[0]
    )
    damaged = bytearray(checkpoint.read_bytes())
    damaged[-1] ^= 1
    checkpoint.write_bytes(damaged)
    run = micro.snakemake("--keep-going", check=False)
    assert run.returncode != 0
    assert "damaged" in run.stdout + run.stderr
    assert micro.planned()["pretrain_encoder"] == 1
    micro.snakemake()
    assert micro.planned() == {}
