"""Tags: every word keeps its place and gets exactly one, however long the sentence and odd the word."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from isthmus.data import tokenizer as trainer
from isthmus.data.batch import Specials
from isthmus.errors import DataError
from isthmus.families import tag
from isthmus.model import encoder as encoders
from isthmus.model.device import settle, tensors
from isthmus.recipe import full
from tests.unit.conftest import ARCHITECTURE

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
RECIPE = full({"max_length": 8, "batch_size": 4})
IDS = pa.list_(pa.int32())

Row = tuple[list[list[int]], list[int]]


def table(rows: list[Row]) -> pa.Table:
    """Token tables from sentences of words (lists of pieces) and their tags."""
    return pa.table(
        {
            "id": [f"x{n}" for n in range(len(rows))],
            "ids": pa.array([[piece for word in words for piece in word] for words, _ in rows], IDS),
            "lengths": pa.array([[len(word) for word in words] for words, _ in rows], IDS),
            "tags": pa.array([tags for _, tags in rows], IDS),
        }
    )


def read(rows: list[Row], max_length: int = 8) -> tag.Examples:
    return tag.read([("en", table(rows))], full({"max_length": max_length}), SPECIALS)


def segments(examples: tag.Examples) -> list[list[int]]:
    ids = tag.collate(examples, np.arange(len(examples)), RECIPE, 1)["input_ids"]
    return [[token for token in row if token != SPECIALS.pad] for row in ids.tolist()]


def by_rule(examples: tag.Examples) -> dict:
    """Outputs that repeat the gold tags: what a perfect model says."""
    gold = zip(examples.start, examples.stop, strict=True)
    return {"prediction": [examples.tags[a:b].astype(np.int32) for a, b in gold]}


def canonical(**columns: list) -> pa.Table:
    columns = {"id": [0, 1], "tokens": [["a", "b"], ["c"]], "tags": [[1, 0], [2]], **columns}
    return tag.canonical({"": pa.table({k: v for k, v in columns.items() if v})}, "here")


def test_canonical_rows_are_typed_and_lack_of_gold_is_marked() -> None:
    rows = canonical(tags=[[1, None], None])
    assert rows.to_pydict() == {
        "id": ["0", "1"],
        "tokens": [["a", "b"], ["c"]],
        "tags": [[1, -1], [-1]],
    }
    assert rows.schema.field("tags").type == IDS
    assert canonical(tags=[]).column("tags").to_pylist() == [[-1, -1], [-1]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tokens": [["a", "b"], []], "tags": [[1, 0], []]}, "here: row 1 has no words"),
        ({"tokens": [["a", None], ["c"]]}, "here: row 0 has a word that is null"),
        ({"tags": [[1, 0], [2, 2]]}, "here: row 1 has 1 words and 2 tags"),
    ],
)
def test_rows_that_cannot_be_tagged_are_refused(columns: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        canonical(**columns)


@pytest.fixture(scope="module")
def tokenizer(world: Path) -> Tokenizer:
    fast = Tokenizer.from_file(str(world / "tokenizer" / "tokenizer.json"))
    fast.encode_special_tokens = True
    return fast


def encode(tokenizer: Tokenizer, sentences: list[list[str]]) -> pa.Table:
    tags = [[0] * len(words) for words in sentences]
    rows = tag.canonical({"": pa.table({"id": range(len(tags)), "tokens": sentences, "tags": tags})}, "here")
    return tag.encode(tokenizer, rows, {})


def test_words_are_encoded_one_by_one(tokenizer: Tokenizer) -> None:
    encoded = encode(tokenizer, [["zig", "zag", "zig"], ["kest"]]).to_pydict()
    alone = {word: tokenizer.encode(word, add_special_tokens=False).ids for word in ("zig", "zag", "kest")}
    assert encoded["ids"] == [alone["zig"] + alone["zag"] + alone["zig"], alone["kest"]]
    assert encoded["lengths"] == [
        [len(alone["zig"]), len(alone["zag"]), len(alone["zig"])],
        [len(alone["kest"])],
    ]


def test_a_word_is_cleaned_as_in_xtreme_and_never_vanishes(tokenizer: Tokenizer) -> None:
    encoded = encode(tokenizer, [["z ig", "zi\u200cg", "", " ", "\u200c", "<s>"]]).to_pydict()
    plain = tokenizer.encode("zig", add_special_tokens=False).ids
    size = len(plain)
    assert encoded["ids"][0][: 2 * size] == plain * 2
    assert encoded["lengths"][0][:5] == [size, size, 1, 1, 1]
    assert encoded["ids"][0][2 * size : 2 * size + 3] == [3, 3, 3]
    assert encoded["lengths"][0][5] >= 1 and 0 not in encoded["ids"][0]


def test_a_slice_of_a_table_is_encoded_as_the_table_is(tokenizer: Tokenizer) -> None:
    rows = pa.table(
        {"id": ["a", "b", "c"], "tokens": [["zig"], ["zag", "kest"], ["zig"]], "tags": [[0], [1, 2], [0]]}
    )
    whole = tag.encode(tokenizer, rows, {})
    assert tag.encode(tokenizer, rows.slice(1, 2), {}).to_pydict() == whole.slice(1, 2).to_pydict()


def test_a_label_stands_on_the_first_piece_of_its_word() -> None:
    batch = tag.collate(read([([[10, 11], [12]], [4, 5]), ([[13]], [-1])]), np.arange(2), RECIPE, 1)
    assert batch["input_ids"].tolist() == [[0, 10, 11, 12, 2], [0, 13, 2, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 1, 1, 0, 0]]
    assert batch["words"].tolist() == [1, 3, 6] and batch["labels"].tolist() == [4, 5, -100]
    second = tag.part(batch, 1, 2)
    assert second["words"].tolist() == [1] and second["labels"].tolist() == [-100]
    assert second["input_ids"].tolist() == [[0, 13, 2, 1, 1]]


def test_a_long_sentence_is_cut_between_words() -> None:
    words = [[10, 11], [12, 13, 14], [15, 16], [17], [18, 19, 20]]
    examples = read([(words, [0, 1, 2, 3, 4]), ([[21]], [5])])
    assert segments(examples) == [[0, 10, 11, 12, 13, 14, 2], [0, 15, 16, 17, 18, 19, 20, 2], [0, 21, 2]]
    assert tag.everything(examples)[1].tolist() == [7, 8, 3]
    assert tag.identifiers(examples).tolist() == ["x0", "x0", "x1"]
    joined = tag.predictions(examples, by_rule(examples), {})
    assert joined.to_pydict() == {"id": ["x0", "x1"], "prediction": [[0, 1, 2, 3, 4], [5]]}
    assert joined.schema.field("prediction").type == IDS


def test_a_word_longer_than_the_room_is_unknown() -> None:
    examples = read([([[10], list(range(20, 27)), [11]], [0, 1, 2]), ([list(range(30, 36))], [3])])
    assert segments(examples) == [[0, 10, 3, 11, 2], [0, *range(30, 36), 2]]
    assert tag.collate(examples, np.arange(1), RECIPE, 1)["labels"].tolist() == [0, 1, 2]


words_of_sentences = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=6)


@given(words_of_sentences, st.integers(4, 12))
def test_no_word_is_lost_whatever_the_length(sizes: list[list[int]], max_length: int) -> None:
    rows = [
        ([[10 + n % 30] * size for n, size in enumerate(words)], list(range(len(words)))) for words in sizes
    ]
    examples = read(rows, max_length)
    assert tag.everything(examples)[1].max() <= max_length
    batch = tag.collate(examples, np.arange(len(examples)), RECIPE, 1)
    assert len(batch["words"]) == sum(map(len, sizes))
    assert tag.predictions(examples, by_rule(examples), {}).column("prediction").to_pylist() == [
        tags for _, tags in rows
    ]


def test_segments_without_gold_are_not_usable_and_do_not_count() -> None:
    examples = read([([[10] * 4, [11] * 4], [0, -1]), ([[12], [13]], [-1, 1])])
    assert len(examples) == 3 and tag.usable(examples).tolist() == [0, 2]
    said = {"prediction": [np.array([0]), np.array([7]), np.array([7, 0])]}
    assert tag.score(examples, said) == 0.5
    part = tag.subset(examples, np.array([2]))
    assert tag.score(part, {"prediction": said["prediction"][2:]}) == 0.0
    assert tag.predictions(part, {"prediction": said["prediction"][2:]}, {}).to_pydict() == {
        "id": ["x1"],
        "prediction": [[7, 0]],
    }


def test_an_epoch_holds_every_segment_once_in_an_order_of_its_own() -> None:
    examples = read([([[n]], [0]) for n in range(10, 20)])
    first, again, second = (
        np.concatenate(tag.epoch(examples, RECIPE, n, 1, "t")).tolist() for n in (0, 0, 1)
    )
    assert sorted(first) == list(range(10)) and first == again != second


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [([1, 1], [0, 1], True), ([1, 0], [0, 1], False), ([1, 1], [1, 1], False)],
)
def test_one_tag_for_every_word_is_a_collapse(predicted: list, gold: list, expected: bool) -> None:
    examples = read([([[10], [11]], gold)])
    assert tag.collapsed(examples, {"prediction": [np.array(predicted)]}) is expected


def test_the_head_is_xlmrs() -> None:
    from transformers import XLMRobertaConfig, XLMRobertaForTokenClassification

    config = XLMRobertaConfig(
        hidden_size=8,
        vocab_size=50,
        num_labels=3,
        num_attention_heads=1,
        num_hidden_layers=1,
        intermediate_size=8,
    )
    theirs = XLMRobertaForTokenClassification(config).eval()
    ours = tag.head(config, {"labels": ["a", "b", "c"]}).eval()
    ours.load_state_dict(theirs.classifier.state_dict(prefix="classifier."))
    batch = tensors(
        tag.collate(read([([[10, 11], [12]], [2, 0]), ([[13]], [1])]), np.arange(2), RECIPE, 1),
        torch.device("cpu"),
    )
    labels = torch.full_like(batch["input_ids"], -100).flatten()
    labels[batch["words"]] = batch["labels"]
    labels = labels.view_as(batch["input_ids"])
    expected = theirs(batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels)
    assert torch.allclose(tag.loss(theirs.roberta, ours, batch), expected.loss)
    best = expected.logits.argmax(-1)
    assert [tags.tolist() for tags in tag.outputs(theirs.roberta, ours, batch)["prediction"]] == [
        [best[0, 1], best[0, 3]],
        [best[1, 1]],
    ]


def test_a_toy_task_is_learned() -> None:
    """A tag says which of two kinds its word is of, and whether the sentence ends in word 30."""
    random = np.random.default_rng(1)
    rows: list[Row] = []
    for number in range(64):
        words = random.integers(10, 14, random.integers(3, 9)).tolist()
        kinds = [word % 2 + 2 * (number % 2) for word in words]
        rows.append(([*([word, 20] for word in words), [30 + number % 2]], [*kinds, 0]))
    recipe = full({"max_length": 20, "batch_size": 16})
    examples = tag.read([("en", table(rows))], recipe, SPECIALS)
    encoder = encoders.create({**ARCHITECTURE, "width": 32, "dropout": 0.0}, SPECIALS, 1)
    settle(1)
    torch.manual_seed(1)
    head = tag.head(encoder.config, {"labels": ["a", "b", "c", "d"]})
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, 5e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 160)
    losses = []
    for number in range(40):
        for batch_rows in tag.epoch(examples, recipe, number, 1):
            loss = tag.loss(
                encoder, head, tensors(tag.collate(examples, batch_rows, recipe, 1), torch.device("cpu"))
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            losses.append(float(loss.detach()))
    batch = tensors(tag.collate(examples, np.arange(64), recipe, 1), torch.device("cpu"))
    said = tag.outputs(encoder, head, batch)
    assert losses[0] > 0.7 and losses[-1] < 0.02
    assert tag.score(examples, said) == 1.0


@pytest.mark.parametrize(
    "config", ["udpos.Japanese", "udpos.Chinese", "udpos.Persian", "PAN-X.ja", "PAN-X.fa", "PAN-X.en"]
)
def test_every_word_of_real_sentences_gets_its_tag(mirror: Path, config: str) -> None:
    """With a tokenizer that knows little of the language, so that pieces are many and short or unknown."""
    path = next((mirror / "google" / "xtreme" / config).glob("test-*.parquet"))
    source = pq.read_table(path).slice(0, 500)
    labels = "pos_tags" if "pos_tags" in source.column_names else "ner_tags"
    names = {}
    tags = [[names.setdefault(name, len(names)) for name in row] for row in source.column(labels).to_pylist()]
    rows = tag.canonical(
        {"": pa.table({"id": range(len(source)), "tokens": source.column("tokens"), "tags": tags})}, config
    )
    lines = [" ".join(words) for words in rows.column("tokens").to_pylist()[:40]]
    fast = trainer.convert(_proto(trainer.learn(lines, 800, 0.98, 1)))
    encoded = tag.encode(fast, rows, {})
    examples = tag.read([("xx", encoded)], full({"max_length": 24}), SPECIALS)
    assert len(examples) > len(rows) and tag.everything(examples)[1].max() <= 24
    assert min(min(sizes) for sizes in encoded.column("lengths").to_pylist()) >= 1
    assert tag.predictions(examples, by_rule(examples), {}).column("prediction").to_pylist() == tags


def _proto(model: bytes):
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(model)
