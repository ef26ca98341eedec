"""The unit of the checks: what is in it, and which edits of a study leave it as it is."""

from pathlib import Path

import pytest

from isthmus.expand import expand
from isthmus.hubs.babel.hub import Babel
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import GATE, Unit
from isthmus.study.load import load_study
from tests.conftest import MICRO


def unit(tmp_path: Path, text: str = MICRO) -> Unit:
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml")
    jobs, _ = expand(study, Babel() if study.hub == "babel" else Mirror(tmp_path))
    (found,) = [unit for job in jobs if job.stage == GATE for unit in job.units]
    return found


def test_it_looks_at_everything_that_is_fetched(tmp_path):
    found = unit(tmp_path)
    assert set(found.parents) == {
        *("data/wikipedia/de", "data/wikipedia/en", "data/ccmatrix/de", "data/mnli/en"),
        *("data/xnli/de", "data/xnli/en"),
    }
    uses = [(use["task"], use["trains"], use["data"]) for use in found.spec["uses"]]
    assert uses == [
        ("wikipedia", True, ["data/wikipedia/de", "data/wikipedia/en"]),
        ("ccmatrix", True, ["data/ccmatrix/de"]),
        ("mnli", True, ["data/mnli/en"]),
        ("xnli", False, ["data/xnli/de", "data/xnli/en"]),
    ]
    assert found.spec["uses"][-1]["learnt_from"] == ["data/mnli/en"]
    assert found.spec["data"]["data/xnli/de"]["hub"] == "facebook/xnli de"


def test_an_encoder_of_the_hub_is_looked_at_too(tmp_path):
    text = MICRO[: MICRO.index("  tiny:")] + "  tiny: {from: me/tiny}\n" + MICRO[MICRO.index("arms:") :]
    text = text.replace("hub: babel", f"hub: {tmp_path}").replace("  pretrain: {steps", "  target: {steps", 1)
    text = text.replace("  target: {steps: 12, tokens_per_batch: 600, learning_rate: 1e-3}\n", "")
    found = unit(tmp_path, text)
    assert "encoder/tiny" in found.parents and "config.json" in found.parents["encoder/tiny"].spec["files"]
    assert found.spec["encoders"] == {"tiny": {"id": "me/tiny"}}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps: 200,", "steps: 201,"),
        ("learning_rate: 1e-3", "learning_rate: 2e-3"),
        ("seeds: [1]", "seeds: [1, 2]"),
        ("  mnli: mnli\n", "  mnli: mnli\n  few: {task: mnli, recipe: {examples: 100}}\n"),
        ("study: micro", "study: other"),
    ],
)
def test_an_edit_that_only_training_reads_checks_nothing_again(tmp_path, old, new):
    before = unit(tmp_path).key
    assert old in MICRO
    assert unit(tmp_path, MICRO.replace(old, new)).key == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_length: 48", "max_length: 47"),
        ("\nlanguages: [en, de]", "\nlanguages: [en, de, sw]"),
        ("targets: [xnli]", "targets: [xnli, xquad]"),
    ],
)
def test_an_edit_of_what_is_read_checks_it(tmp_path, old, new):
    before = unit(tmp_path).key
    assert old in MICRO
    assert unit(tmp_path, MICRO.replace(old, new)).key != before


def test_published_rows_are_counted_only_where_the_hub_promises_them(tmp_path):
    assert "rows" not in unit(tmp_path).spec["data"]["data/mnli/en"]
    (tmp_path / "hub.yaml").write_text(
        "study: a\nquestion: b?\nhub: huggingface\nencoders: {e: {from: me/e}}\narms: {none: []}\n"
        "targets: [xnli]\nlanguages: [en]\n"
    )
    jobs, _ = expand(load_study(tmp_path / "hub.yaml"), Mirror(tmp_path))
    (found,) = [unit for job in jobs if job.stage == GATE for unit in job.units]
    assert found.spec["data"]["data/mnli/en"]["rows"] == {"train": 392702, "dev": 9815}
    # The same rows are the same dataset, wherever they come from.
    assert found.parents["data/mnli/en"].spec["source"]["hub"] == "hub"
