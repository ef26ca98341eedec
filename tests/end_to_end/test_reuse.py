"""What runs after an edit, an accident or nothing at all: exactly what has to."""

import os
import shutil
import time

import pyarrow.parquet as pq
import pytest

PUBLISH = {"tabulate": 1, "report": 1}


def test_a_finished_study_has_nothing_to_do(micro):
    assert micro.planned() == {}


def _touch_everything(folder):
    future = time.time() + 1000
    for number, path in enumerate(sorted(folder.path.rglob("*"), reverse=True)):
        os.utime(path, (future + number, future + number))


def _lose_metadata(folder):
    shutil.rmtree(folder.path / ".snakemake")


def _lose_all_receipts(folder):
    for path in folder.results.rglob("*.json"):
        path.unlink()


def _lose_one_receipt(folder):
    next((folder.results / "target").rglob("*.json")).unlink()


def _copy_without_times(folder):
    moved = folder.path.with_name("copy")
    shutil.copytree(folder.path, moved, copy_function=shutil.copyfile)
    shutil.rmtree(folder.path)
    moved.rename(folder.path)


def _lose_tables(folder):
    (folder.results / "scores.parquet").unlink()
    (folder.results / "contamination.csv").unlink()
    (folder.results / "report.html").write_text("scribble")


def _damage_a_receipt(folder):
    next((folder.results / "scores").rglob("*.json")).write_text("{")


ACCIDENTS = [
    _touch_everything,
    _lose_metadata,
    _lose_all_receipts,
    _lose_one_receipt,
    _copy_without_times,
    _lose_tables,
    _damage_a_receipt,
]


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda accident: accident.__name__.strip("_"))
def test_accidents_that_lose_no_artifact_make_no_work(micro, finished, accident):
    accident(micro)
    assert micro.planned() == {}
    for name in ("scores.parquet", "arms.parquet", "gains.csv", "contamination.csv", "report.html"):
        assert (micro.results / name).read_bytes() == (finished.results / name).read_bytes()


EDITS = {
    "target recipe": (
        "target: {steps: 200,",
        "target: {steps: 201,",
        {"train_target": 2, "predict_languages": 2, "score_languages": 2, **PUBLISH},
    ),
    "intermediate recipe": (
        "intermediate: {steps: 100,",
        "intermediate: {steps: 101,",
        {"train_intermediate": 1, "train_target": 1, "predict_languages": 1, "score_languages": 1, **PUBLISH},
    ),
    "a language": (
        "\nlanguages: [en, de]",
        "\nlanguages: [en, de, sw]",
        {
            "fetch_dataset": 1,
            "tokenize_dataset": 1,
            "predict_languages": 2,
            "score_languages": 2,
            "fingerprint_dataset": 1,
            "audit": 1,
            **PUBLISH,
        },
    ),
    # Jobs that carry one unit per language are bundles of what is in the store already.
    "a language less": ("\nlanguages: [en, de]", "\nlanguages: [en]", {"audit": 1, **PUBLISH}),
    # The checks read how rows are laid out, but no steps, rates or seeds.
    "a length": (
        "all: {max_length: 48,",
        "all: {max_length: 47,",
        {
            "preflight": 1,
            "pretrain_encoder": 1,
            "train_intermediate": 1,
            "train_target": 2,
            "predict_languages": 2,
            "score_languages": 2,
            **PUBLISH,
        },
    ),
    "a seed": (
        "seeds: [1]",
        "seeds: [1, 2]",
        {"train_intermediate": 1, "train_target": 2, "predict_languages": 2, "score_languages": 2, **PUBLISH},
    ),
    "an arm": (
        "  mnli: mnli\n",
        "  mnli: mnli\n  mnli-n100: {task: mnli, recipe: {examples: 100}}\n",
        {"train_intermediate": 1, "train_target": 1, "predict_languages": 1, "score_languages": 1, **PUBLISH},
    ),
    "the question": ("Does anything break?", "Does nothing break?", {"report": 1}),
    "a comment": ("study: micro", "# a comment\nstudy: micro", {}),
    "an option at its default": ("seeds: [1]", "seeds: [1]\n", {}),
}


@pytest.mark.parametrize(("old", "new", "expected"), EDITS.values(), ids=EDITS)
def test_an_edit_runs_exactly_its_jobs_and_its_revert_none(micro, old, new, expected):
    text = micro.study.read_text()
    micro.edit(old, new)
    assert micro.planned() == expected
    micro.write(text)
    assert micro.planned() == {}


RULES = {
    "fetch": {"fetch_dataset": 1},
    "check": {},  # nobody asks for it where nothing is trained
    "tokenizer": {"train_tokenizer": 1},
    "score": {"score_languages": 1},
    "predict": {"predict_languages": 1},
    "fingerprint": {"fingerprint_dataset": 1},
    "audit": {"audit": 1},
    "report": {"report": 1},
}


@pytest.mark.parametrize("stage", RULES)
def test_a_deleted_artifact_is_remade_and_nothing_else(micro, stage):
    artifact = sorted(path for path in (micro.store / stage).iterdir() if path.is_dir())[0]
    shutil.rmtree(artifact)
    assert micro.planned() == RULES[stage]


def test_a_training_waits_for_the_checks_if_these_are_not_in_the_store(micro):
    shutil.rmtree(micro.store / "check")
    assert micro.planned() == {}
    micro.edit("target: {steps: 200,", "target: {steps: 201,")
    assert micro.planned() == {"preflight": 1, **EDITS["target recipe"][2]}


def test_a_deleted_checkpoint_is_remade_to_the_same_bytes(micro, finished):
    trained = sorted(path for path in (micro.store / "train").iterdir() if path.is_dir())
    for artifact in trained:
        shutil.rmtree(artifact)
    assert micro.planned() == {"pretrain_encoder": 1, "train_intermediate": 1, "train_target": 2}
    micro.snakemake()
    for artifact in trained:
        again, first = ((folder.store / "train" / artifact.name) for folder in (micro, finished))
        assert (again / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    assert micro.planned() == {}


def test_an_edit_and_its_revert_reuse_everything_in_between(micro):
    text = micro.study.read_text()
    micro.edit("target: {steps: 200,", "target: {steps: 20,")
    micro.snakemake()
    edited = (micro.results / "scores.parquet").read_bytes()
    micro.write(text)
    assert micro.planned() == {}
    assert (micro.results / "scores.parquet").read_bytes() != edited
    micro.edit("target: {steps: 200,", "target: {steps: 20,")
    assert micro.planned() == {}
    assert (micro.results / "scores.parquet").read_bytes() == edited


def test_a_collapsed_model_is_called_so_in_every_table(micro):
    # Two steps at a tiny rate leave an untrained encoder with a head that answers everything alike.
    micro.edit("target: {steps: 200, learning_rate: 2e-3}", "target: {steps: 2, learning_rate: 1e-7}")
    micro.snakemake()
    scores = pq.read_table(micro.results / "scores.parquet").to_pylist()
    assert {row["status"] for row in scores if row["intermediate"] == "none"} == {"collapsed"}
    assert "collapsed" in micro.isthmus("answer", "micro.yaml").stdout
    assert "collapsed" in (micro.results / "report.html").read_text()


def test_older_tables_are_called_older(micro):
    assert "OLDER" not in micro.isthmus("answer", "micro.yaml").stdout
    micro.edit("target: {steps: 200,", "target: {steps: 20,")
    assert "OLDER TABLES: 8 of the study's 25 jobs" in micro.isthmus("answer", "micro.yaml").stdout
