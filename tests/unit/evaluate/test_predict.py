from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.errors import DataError, Interrupted, UsageError
from isthmus.evaluate import predict
from isthmus.train import stage
from tests.unit.conftest import ARCHITECTURE

RECIPE = {"max_length": 32}
TASK = {"task": "cue", "family": "classify", "labels": ["no", "yes"], "languages": ["here"]}


@pytest.fixture
def model(unit, world: Path):
    def train(name: str, seed: int = 1, **recipe: object) -> Path:
        recipe = {"learning_rate": 1e-2, "batch_size": 8, "steps": 60, "eval_every": 60, **RECIPE, **recipe}
        spec = {"tasks": [TASK], "recipe": recipe, "seed": seed, "init": ARCHITECTURE}
        inputs = {"tokenizer": world / "tokenizer", "tokens/cue/here": world / "tokens/cue/here"}
        work = unit(name, spec, inputs)
        stage.run([work])
        return work.folder

    return train


@pytest.fixture
def target(unit, world: Path):
    def make(
        model: Path, language: str = "here", name: str = "", interrupted=lambda: False, **changes: object
    ):
        spec = {
            "target": "cue",
            "form": {"family": "classify", "labels": ["no", "yes"]},
            "language": language,
            "splits": ["test"],
            "head": "cue",
        }
        spec |= {"recipe": RECIPE, **changes}
        inputs = {"model": model, "tokens": world / f"tokens/cue/{language}"}
        return unit(name or f"predictions/{language}", spec, inputs, interrupted)

    return make


def predictions(work) -> dict[str, list]:
    return pq.read_table(work.folder / "test.parquet").to_pydict()


def test_predictions_are_the_answers_in_the_order_of_the_data(model, target, world: Path) -> None:
    work = target(model("m"))
    predict.run([work])
    table = pq.read_table(work.folder / "test.parquet")
    gold = pq.read_table(world / "tokens/cue/here/test.parquet").to_pydict()
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("id", "string"),
        ("prediction", "int32"),
        ("margin", "float"),
    ]
    assert table["id"].to_pylist() == gold["id"]
    assert np.mean(np.array(table["prediction"]) == np.array(gold["label"])) > 0.9
    assert min(table["margin"].to_pylist()) >= 0
    assert work.commit.only["details"]["rows"] == 40


def test_predictions_follow_the_weights(model, target) -> None:
    trained, untrained = (
        target(model("m"), name="a"),
        target(model("n", steps=1, learning_rate=0.0), name="b"),
    )
    predict.run([trained])
    predict.run([untrained])
    assert predictions(trained)["prediction"] != predictions(untrained)["prediction"]


def test_the_model_is_loaded_once_for_all_languages(model, target, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model("m")
    loads = []
    load = predict.encoders.load
    monkeypatch.setattr(predict.encoders, "load", lambda *given: (loads.append(given), load(*given))[1])
    works = [target(folder, language) for language in ("here", "there")]
    predict.run(works)
    assert loads == [(folder, torch.float32, "cpu")] and all(
        work.commit.only["status"] == "ok" for work in works
    )


def test_a_units_bytes_do_not_depend_on_its_company(model, target) -> None:
    folder = model("m")
    together = [target(folder, language) for language in ("here", "there")]
    predict.run(together)
    alone = target(folder, "there", name="alone")
    predict.run([alone])
    files = [work.folder / "test.parquet" for work in (together[1], alone)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_signal_stops_between_units_and_what_is_done_stays(model, target) -> None:
    folder = model("m")
    asked = iter([False, True])
    first = target(folder, "here", interrupted=lambda: next(asked))
    second = target(folder, "there", interrupted=lambda: next(asked))
    with pytest.raises(Interrupted):
        predict.run([first, second])
    assert first.commit.only["status"] == "ok" and not second.commit.calls


def test_a_head_or_split_that_is_not_there_is_named(model, target) -> None:
    folder = model("m", steps=1)
    with pytest.raises(DataError, match="none for twin"):
        predict.run([target(folder, head="twin")])
    with pytest.raises(DataError, match="no split other"):
        predict.run([target(folder, splits=["test", "other"])])


def test_inputs_longer_than_the_encoder_reads_are_refused(model, target) -> None:
    with pytest.raises(UsageError, match="max_length 500 is longer than the encoder's"):
        predict.run([target(model("m", steps=1), recipe={"max_length": 500})])
