import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from isthmus.errors import DataError, Interrupted, UsageError
from isthmus.families import classify, mlm
from isthmus.recipe import full
from isthmus.train import loop, prepare, stage
from isthmus.train.run import Facts, Run
from isthmus.work import Work
from tests.unit.conftest import ARCHITECTURE
from tests.unit.train.conftest import CUE, FAST, TEXT, TWIN, digests


def accuracy(work: Work) -> float:
    return work.commit.only["details"]["dev"][-1]["score"]


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_weights(train) -> None:
    one, again, other = train("one"), train("again"), train("other", seed=2)
    assert digests(one.folder) == digests(again.folder)
    assert digests(one.folder)["model.safetensors"] != digests(other.folder)["model.safetensors"]


def test_a_tiny_task_is_learned(train) -> None:
    work = train(recipe={"steps": 80, "learning_rate": 1e-2, "eval_every": 80})
    assert accuracy(work) > 0.9
    call = work.commit.only
    assert call["status"] == "ok" and call["details"]["last_losses"][-1] < 0.2


def test_the_folder_is_an_ordinary_model_with_its_heads(train) -> None:
    from transformers import AutoModel, AutoTokenizer

    work = train(tasks=[CUE, TWIN])
    AutoModel.from_pretrained(work.folder)
    assert AutoTokenizer.from_pretrained(work.folder)("brim").input_ids[0] == 0
    described = json.loads((work.folder / "heads.json").read_text())
    assert described == {name: {"family": "classify", "labels": ["no", "yes"]} for name in ("cue", "twin")}
    tensors = load_file(work.folder / "heads.safetensors")
    parts = {"dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"}
    assert set(tensors) == {f"{task}.{part}" for task in ("cue", "twin") for part in parts}


@pytest.mark.parametrize("select", ["english_dev", "last"])
@pytest.mark.parametrize("after", [0, 3, 5, 9])
def test_an_interrupted_run_ends_with_the_bytes_of_an_uninterrupted_one(
    train, after: int, select: str
) -> None:
    # dropout and a schedule of two tasks are on; eval_every is 5, so 5 is a step with an assessment
    options = {"tasks": [CUE, TWIN], "recipe": {"select": select}}
    whole = train("whole", **options)
    with pytest.raises(Interrupted, match="Run the same command again"):
        train("broken", **options, after=after)
    resumed = train("broken", **options)
    assert digests(whole.folder) == digests(resumed.folder)
    kept = ("steps", "examples", "tokens", "dev", "last_losses", "selected")
    details = [work.commit.only["details"] for work in (whole, resumed)]
    assert {k: details[0][k] for k in kept} == {k: details[1][k] for k in kept}


def test_pre_training_resumes_to_the_same_bytes_after_many_stops(train) -> None:
    options = {"tasks": [TEXT], "recipe": {"tokens_per_batch": 200, "code_switch": 0.3, "select": "last"}}
    whole = train("whole", **options)
    for _ in range(30):
        try:
            resumed = train("broken", **options, after=2)
            break
        except Interrupted:
            continue
    assert digests(whole.folder) == digests(resumed.folder)


def test_a_stop_between_two_timed_saves_goes_back_to_the_last_one(
    train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train("whole")
    steps = []
    count = loop.count

    def killed(run: Run, facts: Facts, step: object) -> None:
        count(run, facts, step)
        steps.append(facts.step)
        if len(steps) == 7:
            raise KeyboardInterrupt  # as sudden as it gets without a signal

    with monkeypatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY_S", 0.0)
        patch.setattr(loop, "SAVES_SHARE", 0)
        patch.setattr(loop, "count", killed)
        with pytest.raises(KeyboardInterrupt):
            train("broken")
    resumed = train("broken")
    assert digests(whole.folder) == digests(resumed.folder)


def test_pre_training_lowers_the_loss(train) -> None:
    work = train(tasks=[TEXT], recipe={"steps": 60, "tokens_per_batch": 300, "learning_rate": 1e-2})
    losses = work.commit.only["details"]["last_losses"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert json.loads((work.folder / "heads.json").read_text()) == {"text": {"family": "mlm"}}
    assert work.commit.only["details"]["dev"] == []


def test_every_step_has_dropout_and_masks_of_its_own(train, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    names: list[tuple[object, ...]] = []
    loss, collate = mlm.loss, mlm.collate

    def note_seed(*arguments: object) -> torch.Tensor:
        seeds.append(torch.initial_seed())
        return loss(*arguments)

    def note_names(examples: object, rows: object, recipe: object, *given: object) -> dict[str, np.ndarray]:
        names.append(given)
        return collate(examples, rows, recipe, *given)

    monkeypatch.setattr(mlm, "loss", note_seed)
    monkeypatch.setattr(mlm, "collate", note_names)
    train(tasks=[TEXT], recipe={"steps": 6})
    assert len(set(seeds)) == 6 and len(set(names)) == 6


def test_the_encoder_is_carried_over_and_the_head_is_new(train, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train("first")
    second = train("second", parent=first.folder, seed=2, recipe={"learning_rate": 0.0, "steps": 1})
    third = train("third", parent=first.folder, seed=3, recipe={"learning_rate": 0.0, "steps": 1})
    carried = load_file(second.folder / "model.safetensors")
    expected = load_file(first.folder / "model.safetensors")
    assert all(torch.equal(carried[name], expected[name]) for name in expected)
    heads = [load_file(w.folder / "heads.safetensors")["cue.dense.weight"] for w in (first, second, third)]
    assert not torch.equal(heads[0], heads[1]) and not torch.equal(heads[1], heads[2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_step_that_is_not_finite_stops_before_the_update(
    train, monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    good = classify.loss
    calls = []
    seen: dict[int, dict[str, torch.Tensor]] = {}
    monkeypatch.setattr(stage.encoders, "save", lambda *_: pytest.fail("a diverged model was saved"))
    train_loop = stage.train

    def watch(run: Run) -> Facts:
        seen[0] = {name: p.detach().clone() for name, p in run.parameters.items()}
        facts = train_loop(run)
        seen[1] = {name: p.detach().clone() for name, p in run.parameters.items()}
        return facts

    def fails(*arguments: object) -> torch.Tensor:
        calls.append(1)
        return good(*arguments) * (bad if len(calls) == at else 1.0)

    monkeypatch.setattr(stage, "train", watch)
    monkeypatch.setattr(classify, "loss", fails)
    at = 1
    work = train("at once")
    assert all(torch.equal(seen[0][name], seen[1][name]) for name in seen[0])
    call = work.commit.only
    assert call["status"] == "diverged" and call["details"]["steps"] == 0
    at = 4
    calls.clear()
    call = train("later").commit.only
    assert call["status"] == "diverged" and "At step 4 of 12" in call["reason"]
    assert sum(f"train{n}" in call["reason"] for n in range(64)) >= 8  # the ids of the batch
    assert call["details"]["steps"] == 3 and len(call["details"]["last_losses"]) == 4
    assert call["details"]["last_losses"][-1] == str(bad)  # JSON has no such number
    assert not list(work.folder.iterdir())


def test_a_model_that_says_one_label_to_everything_is_collapsed_but_kept(train) -> None:
    work = train(recipe={"learning_rate": 0.0, "steps": 2})
    call = work.commit.only
    assert call["status"] == "collapsed" and "cue" in call["reason"]
    assert (work.folder / "model.safetensors").is_file()


def test_the_best_checkpoint_is_kept_or_the_last(train, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = train("plain", recipe={"select": "last"})
    scores = iter([0.2, 0.9, 0.4] * 2)
    monkeypatch.setattr(classify, "score", lambda *_: next(scores))
    best, last = train("best"), train("last", recipe={"select": "last"})
    assert best.commit.only["details"]["selected"]["step"] == 10
    assert digests(last.folder) == digests(plain.folder) != digests(best.folder)
    assert [entry["step"] for entry in best.commit.only["details"]["dev"]] == [5, 10, 12]


def test_training_stops_when_patience_is_out(train, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.4, 0.5, 0.3, 0.2, 0.1])
    monkeypatch.setattr(classify, "score", lambda *_: next(scores))
    details = train(recipe={"eval_every": 1, "patience": 3}).commit.only["details"]
    assert details["steps"] == 4 and details["selected"]["step"] == 1


def test_a_mixture_scores_the_mean_and_draws_whole_batches_at_the_rates(train) -> None:
    work = train(tasks=[CUE, TWIN], recipe={"steps": 10})
    last = work.commit.only["details"]["dev"][-1]
    assert last["score"] == pytest.approx((last["scores"]["cue"] + last["scores"]["twin"]) / 2)


def test_steps_come_from_epochs_and_the_cap() -> None:
    class Counted:
        def __init__(self, batches: int) -> None:
            self.batches = batches

        def per_epoch(self) -> int:
            return self.batches

    recipe = full({"epochs": 2.5})
    assert len(prepare.plan([64], [Counted(8)], recipe, None, 1)) == 20
    assert len(prepare.plan([64, 16], [Counted(8), Counted(2)], recipe, 32, 1)) == 15
    assert len(prepare.plan([64], [Counted(8)], full({"steps": 7}), None, 1)) == 7


def test_fewer_examples_are_a_part_of_more() -> None:
    rows = np.arange(100)
    few, many = prepare.choose(rows, 10, 1, "cue"), prepare.choose(rows, 40, 1, "cue")
    assert len(few) == 10 and set(few.tolist()) < set(many.tolist()) < set(rows.tolist())
    assert set(few.tolist()) != set(prepare.choose(rows, 10, 2, "cue").tolist())
    assert prepare.choose(rows, None, 1, "cue").tolist() == rows.tolist()


def test_an_example_is_chosen_with_all_its_parts() -> None:
    windows = np.repeat(np.arange(20), 3)
    chosen = prepare.choose(windows, 5, 1, "cue")
    assert len(chosen) == 15 and len(set(windows[chosen].tolist())) == 5


def test_development_examples_come_evenly_from_all_datasets() -> None:
    rows = np.array([0, 0, 1, 2, 2, 3, 4, 5, 6, 7])  # of a set with two and one with six examples
    assert prepare.first_of_each(rows, [2, 6], 3).tolist() == [0, 1, 2, 3, 4]
    assert prepare.first_of_each(rows, [2, 6], 6).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert prepare.first_of_each(rows, [8], 2).tolist() == [0, 1, 2]
    assert prepare.first_of_each(rows, [8], 500).tolist() == list(range(10))


def test_only_the_chosen_examples_are_trained_on(train, monkeypatch: pytest.MonkeyPatch) -> None:
    used = set()
    collate = classify.collate

    def watch(examples: classify.Examples, rows: np.ndarray, *rest: object) -> dict[str, np.ndarray]:
        names = classify.identifiers(examples)[rows].tolist()
        used.update(name for name in names if name.startswith("train"))
        return collate(examples, rows, *rest)

    monkeypatch.setattr(classify, "collate", watch)
    details = train(recipe={"examples": 16, "steps": None, "epochs": 2}).commit.only["details"]
    assert len(used) == 16 and details["steps"] == 4 and details["examples"] == 32


def test_dropout_can_be_set_and_is_not_inherited(train) -> None:
    work = train(recipe={"dropout": 0.0})
    assert json.loads((work.folder / "config.json").read_text())["hidden_dropout_prob"] == 0.1
    assert digests(work.folder) != digests(train("own").folder)


def test_the_details_account_for_the_run(train) -> None:
    details = train().commit.only["details"]
    assert details["steps"] == 12 and details["examples"] == 96 and details["tokens"] > 500
    assert {"startup", "data", "compute", "assess", "saving"} <= details["seconds"].keys()
    assert details["micro_batch"] is None and details["halved"] == 0
    assert details["peak_rss_mb"] > 50 and details["versions"]["torch"] == torch.__version__


def test_a_maximum_length_beyond_the_positions_is_refused(train) -> None:
    with pytest.raises(UsageError, match="40 positions"):
        train(recipe={"max_length": 41})


def test_data_without_a_training_split_or_gold_is_refused(unit, world: Path, tmp_path: Path) -> None:
    spec = {"tasks": [CUE], "recipe": FAST, "seed": 1, "init": ARCHITECTURE}
    inputs = {"tokenizer": world / "tokenizer", "tokens/cue/here": tmp_path}
    with pytest.raises(DataError, match="no training split"):
        stage.run([unit("model", spec, inputs)])
    table = pq.read_table(world / "tokens/cue/here/train.parquet")
    blank = table.set_column(3, "label", [np.full(len(table), -1, np.int32)])
    pq.write_table(blank, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no training example"):
        stage.run([unit("model", spec, inputs)])
