from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.data.batch import specials
from isthmus.errors import Interrupted
from isthmus.families import classify, mlm
from isthmus.model import encoder as encoders
from isthmus.model import infer as module
from isthmus.model.infer import infer
from isthmus.recipe import full
from tests.unit.conftest import ARCHITECTURE

RECIPE = full({"max_length": 40})


@pytest.fixture
def parts(world: Path):
    special = specials(world / "tokenizer")
    encoder = encoders.create(ARCHITECTURE, special, 1).train()
    torch.manual_seed(1)
    head = classify.head(encoder.config, {"labels": ["no", "yes"]}).train()
    table = pq.read_table(world / "tokens/twin/here/test.parquet")
    return classify, classify.read([("here", table)], RECIPE, special), encoder, head, RECIPE


def test_outputs_come_in_the_order_of_the_examples(parts) -> None:
    family, examples, encoder, head, recipe = parts
    together = infer(*parts, lambda: False)
    for position in (0, 7, 39):
        one = family.subset(examples, np.array([position]))
        alone = infer(family, one, encoder, head, recipe, lambda: False)
        assert alone["margin"][0] == pytest.approx(together["margin"][position], abs=1e-5)
        assert alone["prediction"][0] == together["prediction"][position]
    assert len(together["margin"]) == 40 and len(np.unique(together["margin"])) > 5


def test_small_batches_change_nothing_but_noise(parts, monkeypatch: pytest.MonkeyPatch) -> None:
    large = infer(*parts, lambda: False)
    monkeypatch.setattr(module, "TOKENS_PER_BATCH", 30)
    small = infer(*parts, lambda: False)
    assert (small["prediction"] == large["prediction"]).all()
    assert np.allclose(small["margin"], large["margin"], atol=1e-5)


def test_batches_are_cut_by_their_real_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_PER_BATCH", 10)
    lengths = np.array([12, 1, 4, 5, 1, 5, 30])
    cut = module._cut(np.argsort(lengths, kind="stable"), lengths)
    assert [batch.tolist() for batch in cut] == [[1, 4, 2], [3, 5], [0], [6]]
    assert module._cut(np.array([], int), np.array([], int)) == []


def test_equal_inputs_give_equal_bytes_and_dropout_is_off(parts) -> None:
    one, two = infer(*parts, lambda: False), infer(*parts, lambda: False)
    assert one["margin"].tobytes() == two["margin"].tobytes()
    assert parts[2].training and parts[3].training  # restored


def test_a_signal_stops_between_batches(parts) -> None:
    with pytest.raises(Interrupted):
        infer(*parts, lambda: True)


def test_a_language_model_is_scored_by_the_same_path(world: Path) -> None:
    special = specials(world / "tokenizer")
    encoder = encoders.create(ARCHITECTURE, special, 1)
    torch.manual_seed(1)
    head = mlm.head(encoder.config, {})
    table = pq.read_table(world / "tokens/text/here/train.parquet")
    examples = mlm.read([("here", table)], RECIPE, special)
    outputs = infer(mlm, examples, encoder, head, RECIPE, lambda: False)
    assert len(outputs["loss"]) == len(examples)
    assert mlm.score(examples, outputs) == pytest.approx(
        1 / special.rows, rel=0.5
    )  # untrained: a blind guess
