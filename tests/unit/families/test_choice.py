from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.data.batch import Specials, specials
from isthmus.data.tokenize import load
from isthmus.errors import DataError
from isthmus.families import choice
from isthmus.model import encoder as encoders
from isthmus.model.device import tensors
from isthmus.model.infer import infer
from isthmus.recipe import full
from isthmus.train import stage
from tests.unit.conftest import ARCHITECTURE, FILLERS

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
RECIPE = full({"max_length": 10, "batch_size": 4})
Row = tuple[list[int], list[list[int]], int]


def read(rows: Sequence[Row], recipe=RECIPE) -> choice.Examples:
    ids = pa.list_(pa.int32())
    table = pa.table(
        {
            "id": [f"x{n}" for n in range(len(rows))],
            "prompt": pa.array([prompt for prompt, _, _ in rows], ids),
            "choices": pa.array([choices for _, choices, _ in rows], pa.list_(ids)),
            "label": pa.array([label for _, _, label in rows], pa.int32()),
        }
    )
    return choice.read([("en", table)], recipe, SPECIALS)


def fetched(prompts: list, choices: list, labels: list | None) -> dict[str, pa.Table]:
    columns = {"id": [f"x{n}" for n in range(len(prompts))], "prompt": pa.array(prompts, pa.string())}
    columns["choices"] = pa.array(choices, pa.list_(pa.string()))
    return {"": pa.table(columns if labels is None else {**columns, "label": pa.array(labels, pa.int32())})}


def test_every_choice_is_a_pair_with_the_prompt() -> None:
    examples = read([([10, 11], [[20], [21, 22]], 1), ([12], [[30], [31], [32]], 0)])
    batch = choice.collate(examples, np.array([1, 0]), RECIPE, 1)
    assert batch["input_ids"].tolist() == [
        [0, 12, 2, 2, 30, 2, 1, 1],
        [0, 12, 2, 2, 31, 2, 1, 1],
        [0, 12, 2, 2, 32, 2, 1, 1],
        [0, 10, 11, 2, 2, 20, 2, 1],
        [0, 10, 11, 2, 2, 21, 22, 2],
    ]
    assert batch["attention_mask"].sum(1).tolist() == [6, 6, 6, 7, 8]
    assert batch["counts"].tolist() == [3, 2] and batch["labels"].tolist() == [0, 1]


def test_each_choice_is_cut_with_the_prompt_longest_first() -> None:
    examples = read([(list(range(10, 20)), [[30], list(range(30, 45))], 0)])
    ids = choice.collate(examples, np.arange(1), RECIPE, 1)["input_ids"].tolist()
    assert ids[0] == [0, 10, 11, 12, 13, 14, 2, 2, 30, 2]
    assert ids[1] == [0, 10, 11, 12, 2, 2, 30, 31, 32, 2]
    assert choice.everything(examples)[1].tolist() == [20]


def test_an_example_counts_as_long_as_its_choices_padded() -> None:
    examples = read([([10], [[20], [21, 22]], 1), ([12], [[30], [31], [32]], 0), ([12], [[1], [2]], 0)])
    assert choice.everything(examples)[1].tolist() == [14, 18, 12]
    assert choice.everything(choice.subset(examples, np.array([2, 0])))[1].tolist() == [12, 14]


def test_an_epoch_holds_every_example_once() -> None:
    examples = read([([n], [[1], [2]], 0) for n in range(10, 20)])
    first, again, second = (choice.epoch(examples, RECIPE, n, 1, "task") for n in (0, 0, 1))
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(np.concatenate(first).tolist()) == list(range(10))
    assert np.concatenate(first).tolist() == np.concatenate(again).tolist()
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()


def test_examples_without_gold_are_not_usable_and_do_not_count() -> None:
    examples = read([([10], [[1], [2]], 1), ([11], [[1], [2]], -1), ([12], [[1], [2]], 0)])
    assert choice.usable(examples).tolist() == [0, 2]
    assert choice.score(examples, {"prediction": np.array([1, 0, 1])}) == 0.5


def test_a_subset_and_several_languages_keep_their_choices() -> None:
    one, two = ([([n], [[n, n], [n]], 0) for n in numbers] for numbers in ((10, 11), (12,)))
    tables = [("en", _tokens(one)), ("de", _tokens(two))]
    examples = choice.subset(choice.read(tables, RECIPE, SPECIALS), np.array([2, 0]))
    assert len(examples) == 2 and choice.identifiers(examples).tolist() == ["x0", "x0"]
    ids = choice.collate(examples, np.arange(2), RECIPE, 1)["input_ids"]
    assert ids[:, 1].tolist() == [12, 12, 10, 10]


def _tokens(rows: Sequence[Row]) -> pa.Table:
    prompts, choices, labels = zip(*rows, strict=True)
    ids = pa.list_(pa.int32())
    return pa.table(
        {
            "id": [f"x{n}" for n in range(len(rows))],
            "prompt": pa.array(prompts, ids),
            "choices": pa.array(choices, pa.list_(ids)),
            "label": pa.array(labels, pa.int32()),
        }
    )


def test_text_becomes_ids_choice_by_choice(world: Path) -> None:
    tokenizer = load(world / "tokenizer")
    rows = [["zig"], ["brim dalo", "zag"], ["gorp", "zig <s>", "zag"]]
    table = pa.table(
        {"id": ["a", "b", "c"], "prompt": ["kest", "", "zig"], "choices": rows, "label": [0, 1, -1]}
    )
    for start, stop in ((0, 3), (1, 2)):  # a slice of a file, as the stage gives it
        tokens = choice.encode(tokenizer, table.slice(start, stop), {})
        ids = [[tokenizer.encode(text, add_special_tokens=False).ids for text in row] for row in rows[start:]]
        assert tokens.column("choices").to_pylist()[0] == ids[0]
        assert [len(row) for row in tokens.column("choices").to_pylist()] == [
            len(row) for row in rows[start:]
        ]
        assert tokens.column("label").type == pa.int32()
    assert 0 not in choice.encode(tokenizer, table, {}).column("choices").to_pylist()[2][1]


def test_a_choice_is_made_among_the_examples_own(monkeypatch: pytest.MonkeyPatch) -> None:
    flat = torch.tensor([1.0, 3.0, -1.0, -2.5, -2.0], requires_grad=True)
    monkeypatch.setattr(encoders, "first_states", lambda *_: torch.zeros(5, 1))
    batch = {"counts": torch.tensor([2, 3]), "labels": torch.tensor([1, 2])}
    outputs = choice.outputs(None, lambda _: flat.detach(), batch)
    assert outputs["prediction"].tolist() == [1, 0] and outputs["prediction"].dtype == np.int32
    assert outputs["margin"].tolist() == [2.0, 1.0] and outputs["margin"].dtype == np.float32
    loss = choice.loss(None, lambda _: flat, batch)
    first = np.log(np.exp([1.0, 3.0]).sum()) - 3.0
    second = np.log(np.exp([-1.0, -2.5, -2.0]).sum()) + 2.0
    assert loss.item() == pytest.approx((first + second) / 2)
    loss.backward()
    assert torch.isfinite(flat.grad).all() and flat.grad.abs().min() > 0


@pytest.fixture(scope="module")
def parts(world: Path):
    special = specials(world / "tokenizer")
    encoder = encoders.create(ARCHITECTURE, special, 1).eval()
    torch.manual_seed(1)
    return encoder, choice.head(encoder.config, {}).eval(), special


def test_the_model_is_that_of_transformers(parts) -> None:
    from transformers import XLMRobertaForMultipleChoice

    encoder, head, _ = parts
    theirs = XLMRobertaForMultipleChoice(encoder.config).eval()
    theirs.roberta.load_state_dict(encoder.state_dict(), strict=False)
    theirs.roberta.pooler.dense.load_state_dict(head.dense.state_dict())
    theirs.classifier.load_state_dict(head.out_proj.state_dict())
    examples = read([([10, 11], [[20], [21, 22]], 1), ([12], [[30, 31, 32], [31]], 0)])
    batch = tensors(choice.collate(examples, np.arange(2), RECIPE, 1), torch.device("cpu"))
    shaped = {name: batch[name].view(2, 2, -1) for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        expected = theirs(**shaped, labels=batch["labels"])
        assert torch.allclose(choice._logits(encoder, head, batch), expected.logits, atol=1e-6)
        assert choice.loss(encoder, head, batch).item() == pytest.approx(expected.loss.item(), abs=1e-6)


def test_company_does_not_change_an_answer(parts) -> None:
    encoder, head, _ = parts
    random = np.random.default_rng(1)
    sizes = random.integers(2, 6, 30)
    rows = [
        (random.integers(5, 40, 1 + n % 4).tolist(), random.integers(5, 40, (size, 1 + n % 3)).tolist(), 0)
        for n, size in enumerate(sizes)
    ]
    examples = read(rows)
    together = infer(choice, examples, encoder, head, RECIPE, lambda: False)
    for position in (0, 7, 29):
        one = choice.subset(examples, np.array([position]))
        alone = infer(choice, one, encoder, head, RECIPE, lambda: False)
        assert alone["prediction"][0] == together["prediction"][position]
        assert alone["margin"][0] == pytest.approx(together["margin"][position], abs=1e-5)
    table = choice.predictions(examples, together, {})
    assert (
        table.schema.names == ["id", "prediction", "margin"] and table.column("id").to_pylist()[-1] == "x29"
    )
    assert [str(field.type) for field in table.schema] == ["string", "int32", "float"]
    assert (np.array(table.column("prediction").to_pylist()) < sizes).all()


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [([1, 1, 1], [0, 1, 1], True), ([1, 0, 1], [0, 1, 1], False), ([1, 1, 1], [1, 1, 1], False)],
)
def test_one_place_chosen_everywhere_is_a_collapse(
    predicted: list[int], gold: list[int], expected: bool
) -> None:
    examples = read([([10], [[1], [2]], label) for label in gold])
    assert choice.collapsed(examples, {"prediction": np.array(predicted)}) is expected


def test_canonical_rows_have_their_types_and_labels() -> None:
    table = choice.canonical(fetched(["p", "q"], [["a", "b"], ["a", "b", ""]], [1, None]), "here")
    assert table.schema.names == ["id", "prompt", "choices", "label"]
    assert table.column("label").to_pylist() == [1, -1] and table.column("label").type == pa.int32()
    assert choice.canonical(fetched(["p"], [["a", "b"]], None), "here").column("label").to_pylist() == [-1]


@pytest.mark.parametrize(
    ("prompts", "choices", "labels", "complaint"),
    [
        ([None], [["a", "b"]], [0], r"row 0 \(id .*\) has no prompt"),
        (["p", "q"], [["a", "b"], ["a"]], [0, 0], r"row 1 \(id .*\) has 1 choices"),
        (["p"], [[]], [0], r"row 0 \(id .*\) has 0 choices"),
        (["p"], [None], [0], r"row 0 \(id .*\) has 0 choices"),
        (["p"], [["a", None]], [0], "for choice 1"),
        (["p"], [["a", "b"]], [2], "label 2, but its choices are 0 to 1"),
        (["p"], [["a", "b"]], [-2], "label -2"),
    ],
)
def test_rows_that_are_no_multiple_choice_are_refused(
    prompts: list, choices: list, labels: list, complaint: str
) -> None:
    with pytest.raises(DataError, match=f"here: .*{complaint}"):
        choice.canonical(fetched(prompts, choices, labels), "here")


def test_a_tiny_task_is_learned(unit, world: Path, tmp_path: Path) -> None:
    """The right choice is the one with `zig`; there are two to four."""
    tokenizer = load(world / "tokenizer")
    random = np.random.default_rng(3)
    for split, size in (("train", 64), ("dev", 40)):
        counts = random.integers(2, 5, size)
        labels = [int(random.integers(count)) for count in counts]
        words = [
            [f"{random.choice(FILLERS)} {'zig' if n == label else 'zag'}" for n in range(count)]
            for count, label in zip(counts, labels, strict=True)
        ]
        table = choice.canonical(fetched([FILLERS[n % 8] for n in range(size)], words, labels), split)
        pq.write_table(choice.encode(tokenizer, table, {}), tmp_path / f"{split}.parquet")
    task = {"task": "pick", "family": "choice", "languages": ["here"]}
    recipe = {"learning_rate": 1e-2, "batch_size": 8, "steps": 60, "eval_every": 30, "max_length": 24}
    work = unit(
        "model",
        {"tasks": [task], "recipe": recipe, "seed": 1, "init": ARCHITECTURE},
        {"tokenizer": world / "tokenizer", "tokens/pick/here": tmp_path},
    )
    stage.run([work])
    call = work.commit.only
    assert call["status"] == "ok" and call["details"]["dev"][-1]["score"] == 1.0
    assert call["details"]["last_losses"][-1] < 0.1 < call["details"]["last_losses"][0]


def test_real_hellaswag_and_commonsense_qa(mirror: Path, world: Path) -> None:
    swag = pq.read_table(next((mirror / "Rowan/hellaswag/default").glob("validation*"))).to_pylist()
    common = pq.read_table(next((mirror / "tau/commonsense_qa/default").glob("validation*"))).to_pylist()
    first = fetched(
        [row["ctx_a"] for row in swag],
        [[f"{row['ctx_b']} {ending}" for ending in row["endings"]] for row in swag],
        [int(row["label"]) for row in swag],
    )
    second = fetched(
        [row["question"] for row in common],
        [row["choices"]["text"] for row in common],
        ["ABCDE".index(row["answerKey"]) for row in common],
    )
    recipe = full({"max_length": 64})
    for rows, options in ((first, 4), (second, 5)):
        table = choice.canonical(rows, "here")
        tokens = choice.encode(load(world / "tokenizer"), table.slice(0, 200), {})
        examples = choice.read([("en", tokens)], recipe, specials(world / "tokenizer"))
        assert np.diff(examples.first).tolist() == [options] * 200
        assert len(choice.usable(examples)) == 200 and len(set(examples.labels.tolist())) == options
        batch = choice.collate(examples, np.arange(200), recipe, 1)
        assert batch["input_ids"].shape[0] == 200 * options and batch["input_ids"].shape[1] <= 64
        lengths = batch["attention_mask"].sum(1).reshape(200, options).max(1) * options
        assert choice.everything(examples)[1].tolist() == lengths.tolist()
        assert (batch["input_ids"] == 2).sum(1).tolist() == [3] * 200 * options
