"""The stage: every part is tried, all problems come in one error, and a report is written where there are none."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.check import features, stage
from isthmus.check.vocabulary import stand_in
from isthmus.data.batch import specials
from isthmus.errors import DataError
from isthmus.families import classify
from isthmus.model import encoder as encoders

LABELS = ["no", "yes"]
WORDS = ["one", "two", "three", "four", "five", "six"]
SHAPE = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "positions": 32, "dropout": 0.1}


def rows(count: int = 12) -> pa.Table:
    texts = [f"{WORDS[n % 6]} {WORDS[n % 5]}" for n in range(count)]
    ids = [str(n) for n in range(count)]
    return pa.table(
        {"id": ids, "text_a": texts, "label": pa.array([n % 2 for n in range(count)], pa.int32())}
    )


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A dataset that is trained on, one that is scored, and an encoder of the hub."""
    for role, splits in (("words/en", ("train", "dev")), ("test/de", ("dev", "test"))):
        for split in splits:
            path = tmp_path / role / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows(), path)
    folder = tmp_path / "encoder"
    folder.mkdir()
    stand_in([rows()], folder)
    encoders.create(SHAPE, specials(folder), 1).save_pretrained(folder)
    return tmp_path


def made(unit, world: Path, encoder: dict | None = None, length: int = 16, **changes):
    source = {
        "hub": "me/words",
        "task": "words",
        "language": "en",
        "splits": {"train": "train", "dev": "dev"},
    }
    target = {"hub": "me/test", "task": "test", "language": "de", "splits": {"dev": "dev", "test": "test"}}
    common = {"encoder": "small", "family": "classify", "labels": LABELS, "recipe": {"max_length": length}}
    spec = {
        "data": {"data/words/en": source, "data/test/de": target},
        "encoders": {"small": encoder or {"id": "me/small"}},
        "uses": [
            {**common, "task": "words", "trains": True, "data": ["data/words/en"]},
            {
                **common,
                "task": "test",
                "trains": False,
                "data": ["data/test/de"],
                "metric": "accuracy",
                "learnt_from": ["data/words/en"],
            },
        ],
    }
    inputs = {"data/words/en": world / "words/en", "data/test/de": world / "test/de"}
    inputs |= {"encoder/small": world / "encoder"}
    return unit("preflight", {**spec, **changes}, inputs)


def report(work) -> dict:
    stage.run([work])
    return json.loads((work.folder / "report.json").read_text())


def problems(work) -> list[str]:
    with pytest.raises(DataError) as caught:
        stage.run([work])
    assert not work.commit.calls and not list(work.folder.iterdir())
    return str(caught.value).splitlines()


def test_a_good_study_gets_a_report(unit, world):
    found = report(made(unit, world))
    assert found == {
        "looked": {
            "encoders": ["small"],
            "rows_tried": 48,
            "tasks": {
                "test": {"languages": ["de"], "rows": {"dev": 12, "test": 12}},
                "words": {"languages": ["en"], "rows": {"train": 12, "dev": 12}},
            },
        },
        "notes": [],
    }


def test_an_encoder_that_is_yet_to_be_trained_has_a_stand_in(unit, world):
    found = report(made(unit, world, {"init": SHAPE}))
    assert found["looked"]["rows_tried"] == 48
    assert found["notes"] == [
        "the encoder small: it has no tokenizer yet: its data were tried with a stand-in."
    ]


def test_all_problems_come_together(unit, world):
    pq.write_table(
        rows().set_column(2, "label", pa.array([-1] * 12, pa.int32())), world / "words/en/train.parquet"
    )
    for name in ("dev", "test"):
        (world / f"test/de/{name}.parquet").write_bytes(b"no parquet")
    lines = problems(made(unit, world, length=40))
    assert [line.split(":")[0] for line in lines] == [
        "test/de dev (me/test dev)",
        "test/de test (me/test test)",
        "words/en train (me/words train)",
        "the encoder small (me/small)",
    ]


def test_what_was_left_out_is_passed_over(unit, world):
    work = made(unit, world)
    del work.inputs["data/test/de"], work.inputs["encoder/small"]
    assert report(work)["looked"]["tasks"].keys() == {"words"}


def test_a_loss_that_is_no_number_is_a_problem(unit, world, monkeypatch):
    monkeypatch.setattr(classify, "loss", lambda *_: torch.tensor(float("nan")))
    (line,) = problems(made(unit, world))
    assert line.startswith("words/en train (me/words train) with small: the loss of a batch is nan.")


def test_rows_without_a_prediction_are_a_problem(unit, world, monkeypatch):
    whole = classify.predictions
    monkeypatch.setattr(classify, "predictions", lambda *given: whole(*given).slice(1))
    lines = problems(made(unit, world))
    assert len(lines) == 2 and all("1 of 12 rows get no prediction" in line for line in lines)


def test_a_head_that_cannot_be_built_is_a_problem_of_its_data(unit, world, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no head")

    monkeypatch.setattr(classify, "head", broken)
    lines = problems(made(unit, world))
    assert len(lines) == 4 and all("ZeroDivisionError: no head" in line for line in lines)


def test_a_disk_that_is_full_is_no_matter_of_the_data(unit, world, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    assert report(made(unit, world))["looked"]["rows_tried"] == 48


def test_the_tiny_encoder_reads_what_the_study_gives_it():
    uses = [
        {"encoder": "a", "recipe": {"max_length": 300}},
        {"encoder": "a", "recipe": {}},
        {"encoder": "b", "recipe": {"max_length": 512}},
    ]
    assert features.longest(uses, "a") == 300
