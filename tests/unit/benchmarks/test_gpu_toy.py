"""The checks for a GPU at toy size, where snakemake, datasets and pydantic cannot be imported."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

RUN = """
import importlib.machinery as machinery
import sys

ABSENT = {"snakemake", "datasets", "pydantic"}
found = machinery.PathFinder.find_spec


@classmethod
def present(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in ABSENT else found(name, path, target)


machinery.PathFinder.find_spec = present
from benchmarks.gpu import main

code = main(["--toy", "--out", sys.argv[1]])
assert not ABSENT & set(sys.modules), ABSENT & set(sys.modules)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out: Path = tmp_path_factory.mktemp("out")
    paths = os.pathsep.join(map(str, (REPOSITORY / "src", REPOSITORY)))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", RUN, str(out)], env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads((out / "gpu-toy.json").read_text())
    assert found["scale"] == "toy" and list(found["checks"]) == ["equality", "nli", "qa", "large", "small"]
    return found["checks"]


def test_packed_is_as_close_to_fp32_as_padded(checks) -> None:
    assert checks["equality"]["packed"]
    for what in ("states", "gradients"):
        apart = checks["equality"][what]
        assert 0 < apart["padded_from_fp32"] < 0.1 and 0 < apart["packed_from_fp32"] < 0.1
        assert apart["packed_from_padded"] < 0.1


def test_both_sides_of_the_comparison_train_alike(checks) -> None:
    sides = checks["nli"]["sides"]
    assert all(len(side["step_seconds"]) == 3 and min(side["step_seconds"]) > 0 for side in sides.values())
    assert len(sides["ours"]["losses"]) == len(sides["fixed"]["losses"]) == 4
    assert checks["nli"]["loss_difference"] < 0.05 and checks["nli"]["times"] > 0


def test_the_share_of_the_peak_is_known_where_the_peak_is(checks) -> None:
    assert checks["qa"]["flops_per_s"] > 0 and checks["qa"]["mfu"] is None  # of a CPU it is not


def test_the_recipes_for_large_models_train(checks) -> None:
    assert list(checks["large"]["sides"]) == ["XL", "XXL", "XXL with LoRA"]
    for side in checks["large"]["sides"].values():
        assert len(side["losses"]) == 2 and all(map(math.isfinite, side["losses"]))
        assert side["status"] == "ok" and side["recipe"]["gradient_checkpointing"]


def test_a_small_encoder_is_pre_trained_and_fine_tuned_from_its_shards(checks) -> None:
    made, tuned = checks["small"]["pretraining"], checks["small"]["fine_tuning"]
    assert made["steps"] == 3 and made["shard_bytes"] and made["parameters"] > 1000
    assert len(tuned["losses"]) == 3 and tuned["dev"][-1]["step"] == 3
