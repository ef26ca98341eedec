"""What the tests share: a small study, a way to run Snakemake on it, and the mirror where one is at hand."""

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
  all: {max_length: 48, batch_size: 16, eval_every: 5, eval_examples: 40}
  pretrain: {steps: 12, tokens_per_batch: 600, learning_rate: 1e-3}
  intermediate: {steps: 12, learning_rate: 1e-3}
  target: {steps: 12, learning_rate: 1e-3}
"""


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

    def snakemake(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
        command += ["--workflow-profile", str(REPOSITORY / "profiles" / "ci"), "--configfile", str(self.study)]
        env = {**os.environ, **environment}
        run = subprocess.run([*command, *arguments], cwd=self.path, env=env, capture_output=True, text=True, check=False)
        if check and run.returncode != 0:
            raise AssertionError(f"snakemake ended with {run.returncode}:\n{run.stdout}\n{run.stderr}")
        return run

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
    """The micro study, run to its end once. Tests work on copies of it."""
    folder = Folder(tmp_path_factory.mktemp("micro") / "work")
    folder.path.mkdir()
    folder.write(MICRO)
    folder.snakemake()
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
