"""What the tests share: a small study, a way to run Snakemake on it, and the mirror where one is at hand."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

MICRO = """\
study: micro
question: Does anything break?
hub: babel
encoders:
  tiny:
    pretrain:
      data: [wikipedia, ccmatrix]
      languages: [en, de]
      vocab_size: 600
      sentences_per_language: 400
      layers: 2
      width: 32
      heads: 2
      feed_forward: 64
      positions: 64
arms:
  none: []
  mnli: mnli
targets: [xnli]
languages: [en, de]
seeds: [1]
recipe:
  all: {max_length: 48, batch_size: 32, eval_every: 50, eval_examples: 60}
  pretrain: {steps: 12, tokens_per_batch: 600, learning_rate: 1e-3}
  intermediate: {steps: 100, learning_rate: 2e-3}
  target: {steps: 200, learning_rate: 2e-3}
"""


def environment(source: Path = REPOSITORY / "src") -> dict[str, str]:
    """The environment in which `python -m isthmus` runs the code beside these tests, installed or not."""
    return {**os.environ, "PYTHONPATH": str(source)}


@dataclass
class Folder:
    """A working folder with one study, and Snakemake on it as the rules run it."""

    path: Path

    @property
    def study(self) -> Path:
        return self.path / "micro.yaml"

    @property
    def results(self) -> Path:
        return self.path / "results" / "micro"

    @property
    def store(self) -> Path:
        return self.path / "results" / "store"

    def write(self, text: str) -> None:
        self.study.write_text(text)

    def edit(self, old: str, new: str) -> None:
        text = self.study.read_text()
        assert old in text
        self.write(text.replace(old, new))

    def snakemake(self, *arguments: str, check: bool = True, **changes: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += [
            "--workflow-profile",
            str(REPOSITORY / "profiles" / "ci"),
            "--configfile",
            str(self.study),
        ]
        run = subprocess.run(
            [*command, *arguments],
            cwd=self.path,
            env={**os.environ, **changes},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and run.returncode != 0:
            raise AssertionError(f"snakemake ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
        return run

    def isthmus(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "isthmus", *arguments]
        return subprocess.run(
            command, cwd=self.path, env=environment(), capture_output=True, text=True, check=False
        )

    def planned(self) -> dict[str, int]:
        """How often each rule would run, by Snakemake's own dry run."""
        run = self.snakemake("-n", "--quiet", "reason")
        output = run.stdout + run.stderr
        if "Nothing to be done" in output:
            return {}
        counts = {name: int(count) for name, count in re.findall(r"^([a-z_]+) +(\d+)$", output, re.MULTILINE)}
        assert counts.pop("total") == sum(counts.values())
        counts.pop("all", None)
        return counts

    def copy(self, to: Path) -> "Folder":
        shutil.copytree(self.path, to)
        return Folder(to)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Folder:
    """The micro study, run to its end once, also when tests run in several processes. Tests work on copies."""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder = Folder(root / "finished")
    with (root / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder.path / "done").exists():
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.path.mkdir()
            folder.write(MICRO)
            folder.snakemake()
            (folder.path / "done").touch()
    return folder


@pytest.fixture
def micro(finished, tmp_path) -> Folder:
    """A copy of the finished micro study to do harm to."""
    return finished.copy(tmp_path / "work")


@pytest.fixture(scope="session")
def mirror() -> Path:
    """A folder of real data in the hub's layout, named by ISTHMUS_TEST_HUB."""
    named = os.environ.get("ISTHMUS_TEST_HUB")
    if not named:
        pytest.skip("ISTHMUS_TEST_HUB names no mirror of real data")
    return Path(named)
