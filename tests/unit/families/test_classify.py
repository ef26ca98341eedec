from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.data.batch import Specials
from isthmus.families import classify
from isthmus.recipe import full

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
RECIPE = full({"max_length": 10, "batch_size": 4})


def table(rows: list[tuple[list[int], list[int] | None, int]]) -> pa.Table:
    ids = pa.list_(pa.int32())
    return pa.table(
        {
            "id": [f"x{n}" for n in range(len(rows))],
            "ids_a": pa.array([a for a, _, _ in rows], ids),
            "ids_b": pa.array([b for _, b, _ in rows], ids),
            "label": pa.array([label for _, _, label in rows], pa.int32()),
        }
    )


def read(rows: list[tuple[list[int], list[int] | None, int]]) -> classify.Examples:
    return classify.read([("en", table(rows))], RECIPE, SPECIALS)


def test_pairs_and_single_texts_are_laid_out_as_in_xlmr() -> None:
    batch = classify.collate(read([([10, 11], [20], 1), ([12], None, 0)]), np.arange(2), RECIPE, 1)
    assert batch["input_ids"].tolist() == [[0, 10, 11, 2, 2, 20, 2], [0, 12, 2, 1, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 7, [1, 1, 1, 0, 0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]


def test_the_layout_is_that_of_the_auto_tokenizer(world: Path) -> None:
    from transformers import AutoTokenizer

    auto = AutoTokenizer.from_pretrained(world / "tokenizer")
    source = pq.read_table(world / "data/twin/here/dev.parquet").slice(0, 3).to_pydict()
    examples = classify.read(
        [("here", pq.read_table(world / "tokens/twin/here/dev.parquet").slice(0, 3))],
        full({"max_length": 7}),
        SPECIALS,
    )
    batch = classify.collate(examples, np.arange(3), RECIPE, 1)
    expected = auto(
        source["text_a"], source["text_b"], max_length=7, truncation="longest_first", padding=True
    )
    assert batch["input_ids"].tolist() == expected.input_ids
    assert batch["attention_mask"].tolist() == expected.attention_mask


def test_long_sides_are_cut_longest_first() -> None:
    examples = read([(list(range(10, 20)), [30, 31], 0), (list(range(10, 30)), None, 0)])
    ids = classify.collate(examples, np.arange(2), RECIPE, 1)["input_ids"]
    assert ids[0].tolist() == [0, 10, 11, 12, 13, 2, 2, 30, 31, 2]
    assert ids[1].tolist() == [0, *range(10, 18), 2]
    assert classify.everything(examples)[1].tolist() == [10, 10]


def test_an_epoch_holds_every_example_once_in_an_order_of_its_own() -> None:
    examples = read([([n], None, 0) for n in range(10, 20)])
    first, again, second = (classify.epoch(examples, RECIPE, n, 1, "task") for n in (0, 0, 1))
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(np.concatenate(first).tolist()) == list(range(10))
    assert np.concatenate(first).tolist() == np.concatenate(again).tolist()
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()


def test_examples_without_gold_are_not_usable_and_do_not_count() -> None:
    examples = read([([10], None, 1), ([11], None, -1), ([12], None, 0)])
    assert classify.usable(examples).tolist() == [0, 2]
    outputs = {"prediction": np.array([1, 0, 1])}
    assert classify.score(examples, outputs) == 0.5


def test_a_subset_is_read_by_its_own_positions() -> None:
    examples = classify.subset(read([([n], None, n % 2) for n in range(10, 16)]), np.array([5, 0]))
    assert len(examples) == 2 and classify.identifiers(examples).tolist() == ["x5", "x0"]
    assert classify.collate(examples, np.array([0]), RECIPE, 1)["input_ids"].tolist() == [[0, 15, 2]]


def test_languages_are_read_one_after_another() -> None:
    tables = [("en", table([([10], None, 0)])), ("de", table([([11], [12], 1)]))]
    examples = classify.read(tables, RECIPE, SPECIALS)
    ids = classify.collate(examples, np.arange(2), RECIPE, 1)["input_ids"]
    assert ids.tolist() == [[0, 10, 2, 1, 1, 1], [0, 11, 2, 2, 12, 2]]


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [([1, 1, 1], [0, 1, 1], True), ([1, 0, 1], [0, 1, 1], False), ([1, 1, 1], [1, 1, 1], False)],
)
def test_one_answer_to_everything_is_a_collapse(
    predicted: list[int], gold: list[int], expected: bool
) -> None:
    examples = read([([10], None, label) for label in gold])
    assert classify.collapsed(examples, {"prediction": np.array(predicted)}) is expected


def test_outputs_are_the_best_label_and_its_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.tensor([[1.0, 3.0, 2.5], [2.0, 2.0, -1.0]])
    monkeypatch.setattr(classify, "_logits", lambda *_: logits)
    outputs = classify.outputs(None, None, {})
    assert outputs["prediction"].tolist() == [1, 0] and outputs["prediction"].dtype == np.int32
    assert outputs["margin"].tolist() == [0.5, 0.0] and outputs["margin"].dtype == np.float32
