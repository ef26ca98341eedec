"""A stage that trains with a part of the embedding leaves the weights of one that trains with all of it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from isthmus.errors import Interrupted
from isthmus.families import classify
from isthmus.recipe import full
from isthmus.train import prepare, stage
from isthmus.train.optimizer import rate_at
from isthmus.train.run import Run
from isthmus.work import Work
from tests.unit.conftest import ARCHITECTURE
from tests.unit.train.conftest import CUE, FAST, TEXT, TWIN, digests

TABLE = "embeddings.word_embeddings.weight"
# The norm of the gradient is about 1, so every step is clipped.
RECIPE = {
    "steps": 30,
    "warmup": 0.2,
    "clip": 0.05,
    "learning_rate": 1e-3,
    "adam_epsilon": 1e-6,
    "eval_every": 10,
}


@pytest.fixture
def pair(train, monkeypatch: pytest.MonkeyPatch):
    """Train the same unit with a part of the embedding and with all of it."""

    def run(**options) -> tuple[Work, Work]:
        part = train("part", **options)
        with monkeypatch.context() as patch:
            patch.setattr(prepare, "compacted", lambda *_: None)
            return part, train("whole", **options)

    return run


def weights(work: Work) -> dict[str, torch.Tensor]:
    return load_file(work.folder / "model.safetensors") | load_file(work.folder / "heads.safetensors")


def same(part: Work, whole: Work) -> None:
    found, expected = weights(part), weights(whole)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        # The gradient of a key's bias is 0 but for noise, which Adam makes as large as any other: it differs, and
        # no answer depends on it.
        if not name.endswith("key.bias"):
            assert torch.allclose(found[name], tensor, rtol=1e-5, atol=2e-6), name
    assert part.commit.only["details"]["last_losses"] == pytest.approx(
        whole.commit.only["details"]["last_losses"], rel=1e-5
    )


def unseen(job: Run) -> np.ndarray:
    return np.setdiff1d(np.arange(job.compaction.rows["all"]), job.compaction.kept.numpy())


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("tasks", [[CUE], [CUE, TWIN]])
def test_a_part_of_the_embedding_trains_to_the_same_weights(pair, decay: float, tasks: list) -> None:
    part, whole = pair(tasks=tasks, recipe={**RECIPE, "weight_decay": decay, "select": "last"})
    same(part, whole)
    rows = part.commit.only["details"]["embedding_rows"]
    assert 0 < rows["trained"] < 0.75 * rows["all"] and rows["all"] == len(weights(whole)[TABLE])
    assert whole.commit.only["details"]["embedding_rows"] is None


def test_rows_never_seen_have_the_decay_of_the_checkpoint_that_is_kept(
    pair, train, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = weights(train("start", recipe={**RECIPE, "learning_rate": 0.0, "select": "last"}))[TABLE]
    jobs: list[Run] = []
    loop_train = stage.train
    monkeypatch.setattr(stage, "train", lambda job: jobs.append(job) or loop_train(job))
    scores = iter([0.2, 0.9, 0.4] * 2)
    monkeypatch.setattr(classify, "score", lambda *_: next(scores))
    options = {**RECIPE, "weight_decay": 0.1, "learning_rate": 1e-2}
    part, whole = pair(recipe=options)
    same(part, whole)
    assert part.commit.only["details"]["selected"]["step"] == 20
    rows = unseen(jobs[0])
    assert len(rows) > 20
    expected = start[rows].clone()
    for step in range(20):
        expected *= 1 - rate_at(step, 30, full(options)) * 0.1
    assert torch.equal(weights(part)[TABLE][rows], expected)
    assert torch.equal(weights(whole)[TABLE][rows], expected)
    assert not torch.equal(expected, start[rows])


@pytest.mark.parametrize("after", [0, 7, 10, 23])
def test_it_resumes_to_the_same_bytes(train, after: int) -> None:
    options = {"tasks": [CUE, TWIN], "recipe": {**RECIPE, "weight_decay": 0.1}}
    whole = train("uninterrupted", **options)
    with pytest.raises(Interrupted):
        train("broken", **options, after=after)
    assert digests(train("broken", **options).folder) == digests(whole.folder)


def test_the_state_holds_the_rows_that_are_trained_alone(train, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train("broken", after=9)
    (state,) = (tmp_path / "state" / "broken").glob("*/*/tensors.safetensors")
    saved = load_file(state)
    resumed = train("broken").commit.only["details"]["embedding_rows"]
    tables = {name: t for name, t in saved.items() if name.endswith(TABLE) and t.dim() == 2}
    assert len(tables) == 4 and {len(t) for t in tables.values()} == {resumed["trained"]}


def test_rows_that_only_development_examples_use_are_kept(world: Path, unit, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    folder.mkdir()
    for split in ("train", "dev"):
        table = pq.read_table(world / f"tokens/cue/here/{split}.parquet")
        if split == "dev":
            table = table.set_column(
                table.column_names.index("ids_a"),
                "ids_a",
                pa.array([[44]] * len(table), pa.list_(pa.int32())),
            )
        pq.write_table(table, folder / f"{split}.parquet")
    inputs = {"tokenizer": world / "tokenizer", "tokens/cue/here": folder}
    spec = {"tasks": [CUE], "recipe": {**FAST, "steps": 2}, "seed": 1, "init": ARCHITECTURE}
    work = unit("model", spec, inputs)
    stage.run([work])
    rows = work.commit.only["details"]["embedding_rows"]
    assert rows["trained"] < 20 and len(work.commit.only["details"]["dev"]) == 1


def test_text_without_labels_trains_every_row(train, capsys: pytest.CaptureFixture[str]) -> None:
    work = train(tasks=[TEXT, CUE], recipe={"steps": 2})
    assert work.commit.only["details"]["embedding_rows"] is None
    assert "embedding" not in capsys.readouterr().out


def test_an_encoder_that_hides_its_embedding_trains_every_row_and_says_so(
    train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import XLMRobertaModel

    def hidden(self: object, value: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(XLMRobertaModel, "set_input_embeddings", hidden)
    work = train(recipe={"steps": 2})
    assert work.commit.only["details"]["embedding_rows"] is None
    assert "trains the whole embedding: the encoder does not say where" in capsys.readouterr().out
