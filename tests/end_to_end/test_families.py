"""A small study with every family in it, from nothing to its tables."""

import hashlib
import json
import shutil

import pyarrow.parquet as pq
import pytest

from tests.conftest import MICRO, Folder

STUDY = (
    MICRO.replace(
        "  mnli: mnli\n",
        "  mixed:\n    mix: [anli_plus, squad_v2, hellaswag, ccg]\n    recipe: {steps: 12}\n",
    )
    .replace("targets: [xnli]", "targets: [panx, xquad, mlqa, lareqa, mewslix, bucc, tatoeba]")
    .replace("steps: 200", "steps: 12")
    .replace("steps: 100", "steps: 12")
    .replace("eval_examples: 60", "eval_examples: 30, examples: 300")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("families"))
    folder.write(STUDY)
    folder.snakemake()
    return folder


def receipt(folder: Folder, pattern: str) -> dict:
    (path,) = folder.results.glob(pattern)
    return json.loads(path.read_text())


def test_every_cell_is_filled(folder):
    table = pq.read_table(folder.results / "scores.parquet").to_pylist()
    main = {
        (row["intermediate"], row["target"], row["language"]) for row in table if row["value"] is not None
    }
    languages = {"panx": 2, "xquad": 2, "mlqa": 2, "lareqa": 2, "mewslix": 2, "bucc": 1, "tatoeba": 1}
    assert len(main) == 2 * sum(languages.values())
    assert {row["status"] for row in table} <= {"ok", "collapsed"}
    metrics = {row["target"]: set() for row in table}
    for row in table:
        metrics[row["target"]].add(row["metric"])
        assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 100 and row["n"] >= 100
    answers = {"f1_em", "f1", "exact_match"}
    ranked = {"map_at_20", "mrr_at_20"}
    assert metrics == {
        "panx": {"f1", "precision", "recall", "token_accuracy"},
        "xquad": answers,
        "mlqa": answers,
        "lareqa": ranked,
        "mewslix": ranked,
        "bucc": {"f1", "precision", "recall"},
        "tatoeba": {"accuracy"},
    }


def test_one_training_on_squad_serves_both_of_its_targets(folder):
    assert len(list(folder.results.glob("target/tiny/*/squad/*.json"))) == 2
    units = receipt(folder, "predictions/tiny/none/squad/s1-*.json")["units"]
    assert len(units) == 4


def test_the_mixture_has_a_head_for_each_of_its_tasks_and_one_for_the_union(folder):
    trained = [path for path in folder.store.glob("train/*/heads.json") if "hellaswag" in path.read_text()]
    (heads,) = [json.loads(path.read_text()) for path in trained]
    assert set(heads) == {"anli_plus", "squad_v2", "hellaswag", "ccg"}
    assert heads["squad_v2"]["unanswerable"] is True
    assert len(heads["ccg"]["labels"]) > 5 and "N" in heads["ccg"]["labels"]


def test_the_layer_sweep_of_retrieval_is_kept(folder):
    scores = [json.loads(path.read_text()) for path in folder.store.glob("score/*/score.json")]
    sweeps = [score["details"] for score in scores if "layers" in score["details"]]
    assert len(sweeps) == 4
    assert {details["chosen_by"] for details in sweeps} == {"dev", "protocol"}
    assert all(set(details["layers"]) == {"0", "1", "2"} for details in sweeps)


def test_what_looks_in_a_pool_is_exported_and_scored_as_it_was(folder):
    shown = folder.isthmus("export", "xtreme-r", "micro.yaml", "out", "--arm", "none")
    assert shown.returncode == 0, shown.stderr
    table = pq.read_table(folder.results / "scores.parquet").to_pylist()
    for language in ("en", "de"):
        (value,) = [
            row["value"]
            for row in table
            if (row["intermediate"], row["target"], row["language"]) == ("none", "mewslix", language)
            if row["metric"] == "map_at_20"
        ]
        arguments = ("--task", "mewslix", "--language", language, "--hub", "babel")
        scored = folder.isthmus("score", *arguments, "--predictions", f"out/mewslix/test-{language}.json")
        assert json.loads(scored.stdout)["metrics"]["map_at_20"] == pytest.approx(value, abs=1e-8)
        found = json.loads((folder.path / f"out/lareqa/test-{language}.json").read_text())
        pool = {name.partition("_")[0] for names in found.values() for name in names}
        assert pool <= {"en", "de"} and all(len(names) == 20 for names in found.values())


def test_again_nothing_runs(folder):
    assert folder.planned() == {}


def test_what_is_made_again_has_the_same_bytes(folder, tmp_path):
    again = folder.copy(tmp_path / "again")
    before = contents(again)
    for manifest in again.store.glob("train/*/manifest.json"):
        if json.loads(manifest.read_text())["name"].endswith("after none"):
            shutil.rmtree(manifest.parent)
    for stage in ("tokenize", "predict", "score"):
        for artifact in again.store.glob(f"{stage}/*/"):
            shutil.rmtree(artifact)
    again.snakemake(PYTHONHASHSEED="7")
    assert contents(again) == before


def contents(folder: Folder) -> dict[str, str]:
    """The hash of every file of every artifact but the manifests, which hold times."""
    return {
        path.relative_to(folder.store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.store.glob("*/*/*")
        if path.is_file() and path.name != "manifest.json"
    }
