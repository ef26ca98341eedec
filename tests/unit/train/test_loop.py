"""The loop's promises: what is sent before it is read, batches made ahead, selection, precision, second attempts."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from isthmus.errors import Interrupted, StorageError
from isthmus.families import classify, mlm
from isthmus.model import encoder as encoders
from isthmus.train import loop, prepare, selection, stage
from isthmus.work import Work
from tests.unit.conftest import ARCHITECTURE
from tests.unit.train.conftest import CUE, FAST, TEXT, TWIN, digests

DEV = {"task": "cue", "family": "classify", "labels": ["no", "yes"], "languages": ["here", "there"]}


def details(work: Work) -> dict:
    return work.commit.only["details"]


@pytest.fixture
def oracle(unit, world: Path):
    """Train on cue, selected by the development examples of cue in two languages."""

    def run(name: str = "oracle", **recipe) -> Work:
        spec = {
            "tasks": [CUE],
            "recipe": {**FAST, "select": "oracle_dev", **recipe},
            "seed": 1,
            "init": ARCHITECTURE,
            "target_dev": [DEV],
        }
        inputs = {"tokenizer": world / "tokenizer"} | {
            f"tokens/cue/{language}": world / f"tokens/cue/{language}" for language in DEV["languages"]
        }
        work = unit(name, spec, inputs)
        stage.run([work])
        return work

    return run


def test_batches_made_ahead_are_the_same(train, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"tasks": [CUE, TWIN]}
    plain = train("plain", **options)
    feed, made = loop.Feed, []

    def ahead(run, ahead: bool) -> loop.Feed:
        made.append(ahead)
        return feed(run, ahead=True)

    monkeypatch.setattr(loop, "Feed", ahead)
    assert digests(train("ahead", **options).folder) == digests(plain.folder)
    with pytest.raises(Interrupted):
        train("broken", **options, after=5)
    assert digests(train("broken", **options).folder) == digests(plain.folder)
    assert made == [False] * 3


def test_what_fails_while_a_batch_is_made_ahead_is_raised(train, monkeypatch: pytest.MonkeyPatch) -> None:
    collate, calls = classify.collate, []

    def fails(*arguments):
        calls.append(arguments[-1])
        if arguments[-1] == 3:
            raise ZeroDivisionError
        return collate(*arguments)

    feed = loop.Feed
    monkeypatch.setattr(loop, "Feed", lambda run, ahead: feed(run, True))
    monkeypatch.setattr(classify, "collate", fails)
    with pytest.raises(ZeroDivisionError):
        train()


def test_no_update_is_made_after_a_step_that_was_not_finite(train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next step has been sent by the time that the loss is read."""
    good, sent, weights = classify.loss, [], []

    def fails(encoder, head, batch) -> torch.Tensor:
        sent.append({name: p.detach().clone() for name, p in encoder.named_parameters()})
        return good(encoder, head, batch) * (float("nan") if len(sent) == 3 else 1.0)

    run = stage.train
    monkeypatch.setattr(
        stage, "train", lambda job: (run(job), weights.append(dict(job.encoder.named_parameters())))[0]
    )
    monkeypatch.setattr(classify, "loss", fails)
    work = train()
    assert len(sent) == 4 and details(work)["steps"] == 2 and work.commit.only["status"] == "diverged"
    for later in (sent[3], weights[0]):
        assert all(torch.equal(later[name], sent[2][name]) for name in later)
    assert not all(torch.equal(sent[1][name], sent[2][name]) for name in sent[2])


def test_the_oracle_selects_by_the_languages_to_transfer_to(oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    # Own language, then the two: the first would choose step 5, the others' mean chooses step 10.
    scores = iter([0.9, 0.9, 0.1, 0.5, 0.6, 0.6, 0.2, 0.3, 0.4])
    monkeypatch.setattr(classify, "score", lambda *_: next(scores))
    found = details(oracle())
    assert found["selected"] == {
        "step": 10,
        "score": 0.5,
        "target_dev": pytest.approx(0.6),
        "by_english_dev": {"step": 5, "score": 0.9, "target_dev": pytest.approx(0.5)},
    }
    assert found["dev"][0]["target_scores"] == {"cue/here": 0.9, "cue/there": 0.1}


def test_without_an_oracle_the_other_languages_are_not_looked_at(oracle, train) -> None:
    assert details(oracle())["selected"]["target_dev"] is not None
    assert details(train())["selected"]["target_dev"] is None


def test_an_oracle_weighs_targets_not_languages() -> None:
    scores = {"xnli/de": 0.2, "xnli/fr": 0.4, "pawsx/de": 0.9}
    assert selection._mean_of_means(scores) == pytest.approx(0.6)


@pytest.mark.parametrize("options", [{}, {"rerun_collapsed": True}], ids=["as it is", "once more"])
def test_a_collapsed_run_is_repeated_with_another_seed_if_the_recipe_says_so(train, options: dict) -> None:
    work = train(recipe={"learning_rate": 0.0, "steps": 2, **options})
    attempts = details(work)["attempts"]
    assert work.commit.only["status"] == "collapsed" == attempts[-1]["status"]
    assert [attempt["seed"] for attempt in attempts] == [1, stage.another(1)][: 1 + bool(options)]
    assert stage.another(1) != 1


def test_the_second_attempt_is_what_is_kept(train, monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter([True] * 3)
    monkeypatch.setattr(classify, "collapsed", lambda *_: next(verdicts, False))
    work = train("twice", recipe={"rerun_collapsed": True})
    assert work.commit.only["status"] == "ok"
    assert [attempt["status"] for attempt in details(work)["attempts"]] == ["collapsed", "ok"]
    once = train("once", seed=stage.another(1))
    assert digests(work.folder) == digests(once.folder)


def test_a_second_attempt_resumes_too(train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    within = 0
    monkeypatch.setattr(classify, "collapsed", lambda *_: True)
    options = {"recipe": {"rerun_collapsed": True}}
    whole = train("whole", **options)
    for _ in range(30):
        try:
            broken = train("broken", **options, after=6)
            break
        except Interrupted:
            second = tmp_path / "state" / "broken" / str(stage.another(1))
            within += second.is_dir() and any(second.iterdir())
    assert digests(broken.folder) == digests(whole.folder) and within > 1


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"precision": "bf16_states"},
        {"precision": "bf16", "lora_rank": 2, "learning_rate": 0.05},
        {"precision": "bf16_states", "lora_rank": 2, "gradient_checkpointing": True, "learning_rate": 0.05},
        {"lora_rank": 2, "learning_rate": 0.05},
    ],
    ids=lambda options: "-".join(options),
)
def test_every_way_to_keep_weights_learns_resumes_and_leaves_an_ordinary_folder(train, options: dict) -> None:
    start = train("start", tasks=[TEXT], recipe={"steps": 2})
    recipe = {"steps": 40, "batch_size": 16, "learning_rate": 1e-2, "select": "last", "dropout": 0.0}
    given = {"parent": start.folder, "recipe": recipe | options}
    whole = train("whole", **given)
    losses = details(whole)["last_losses"]
    assert sum(losses[-5:]) < sum(losses[:5])
    with pytest.raises(Interrupted):
        train("broken", **given, after=17)
    assert digests(train("broken", **given).folder) == digests(whole.folder)
    tensors = load_file(whole.folder / "model.safetensors")
    assert tensors.keys() == load_file(start.folder / "model.safetensors").keys()
    dtype = torch.bfloat16 if options.get("precision") == "bf16_states" else torch.float32
    assert {tensor.dtype for tensor in tensors.values()} == {dtype}
    assert encoders.load(whole.folder).dtype == torch.float32


def test_bf16_follows_fp32(train) -> None:
    recipe = {"steps": 20, "dropout": 0.0}
    fine, coarse = (details(train(p, recipe={**recipe, "precision": p})) for p in ("fp32", "bf16"))
    assert fine["last_losses"] != coarse["last_losses"]
    assert coarse["last_losses"] == pytest.approx(fine["last_losses"], abs=0.05)


@pytest.mark.parametrize("size", [1, 3])
def test_gradient_checkpointing_and_micro_batches_change_rounding_alone(train, size: int) -> None:
    recipe = {"dropout": 0.0, "steps": 6, "adam_epsilon": 1e-6}
    plain = details(train("plain", recipe=recipe))
    frugal = details(train("frugal", recipe={**recipe, "gradient_checkpointing": True, "micro_batch": size}))
    assert frugal["micro_batch"] == size and frugal["halved"] == 0
    assert frugal["last_losses"] == pytest.approx(plain["last_losses"], rel=1e-5)


def test_text_joins_a_mixture_with_the_head_that_the_encoder_has(train, capsys) -> None:
    """MLM co-training (Phang et al. 2020, section 2.3): whole batches, fresh masks, the parent's own head."""
    parent = train(
        "parent", tasks=[TEXT], recipe={"steps": 60, "learning_rate": 1e-2, "tokens_per_batch": 300}
    )
    before = details(parent)["last_losses"]
    recipe = {"steps": 30, "select": "last", "learning_rate": 1e-5}
    capsys.readouterr()
    mixed = train("mixed", tasks=[CUE, TEXT], parent=parent.folder, recipe=recipe, cap=40)
    assert "goes on with the head" in capsys.readouterr().out
    assert details(mixed)["embedding_rows"] is None  # the loss needs every row
    losses = details(mixed)["last_losses"]
    text = [loss for loss in losses if loss > 1.2]  # two labels: about 0.7
    assert text and sum(text) / len(text) < before[0] - 0.3
    heads = json.loads((mixed.folder / "heads.json").read_text())
    assert {form["family"] for form in heads.values()} == {"classify", "mlm"}


def test_a_published_checkpoints_head_is_taken_over(world: Path, tmp_path: Path) -> None:
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    config = XLMRobertaConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    theirs = XLMRobertaForMaskedLM(config)
    theirs.lm_head.bias.data.normal_()
    theirs.save_pretrained(tmp_path, max_shard_size="4KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    head = mlm.head(config, {})
    assert mlm.inherit(head, tmp_path)
    hidden = torch.randn(3, 16)
    ours = head(hidden, theirs.roberta.embeddings.word_embeddings.weight)
    assert torch.allclose(ours, theirs.lm_head(hidden), atol=1e-6)
    encoders.load(tmp_path).save_pretrained(tmp_path / "bare")
    assert not mlm.inherit(head, tmp_path / "bare")


def test_flops_are_six_for_each_weight_and_token(train) -> None:
    found = details(train(recipe={"steps": 5, "dropout": 0.0}))
    layer = 4 * 16 * 16 + 2 * 16 * 32
    linear = 6 * layer * found["tokens"]
    assert linear < found["flops"] < 2 * linear
    assert found["mfu"] is None and found["flops_per_s"] > 0 and found["peak_gpu_mb"] is None
    assert 0 < found["padding_avoided"] <= found["padding_share"]
    assert {"startup", "compute"} <= found["cpu_seconds"].keys()


def test_a_state_that_would_not_fit_the_disk_is_said_before_the_first_step(train, monkeypatch) -> None:
    monkeypatch.setattr(prepare.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(StorageError, match=r"saving the training's state takes .* Free space"):
        train()


def test_a_cut_chosen_by_the_memory_is_kept_by_a_run_that_goes_on(train, monkeypatch) -> None:
    """A kill before the first timed save: the memory may be another when the run goes on, and dropout with it."""
    monkeypatch.setattr(prepare, "fitting", lambda *_: 3)
    whole = train("whole")
    count = loop.count

    def killed(run, facts, step) -> None:
        count(run, facts, step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "count", killed)
        with pytest.raises(KeyboardInterrupt):
            train("broken")
    monkeypatch.setattr(prepare, "fitting", lambda *_: None)
    assert digests(train("broken").folder) == digests(whole.folder)
