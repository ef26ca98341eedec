import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.data.batch import Specials, specials
from isthmus.data.tokenize import load
from isthmus.errors import DataError, UsageError
from isthmus.evaluate.metrics import mining, nearest
from isthmus.families import retrieve
from isthmus.model import encoder as encoders
from isthmus.model.infer import infer
from isthmus.recipe import full
from isthmus.train import stage
from tests.unit.conftest import ARCHITECTURE, FILLERS, FOREIGN

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
RECIPE = full({"max_length": 8})
SPEC = {"target": "look", "language": "xx", "split": "test"}
Sides = Sequence[tuple[str, str]]


def pools(a: Sides, b: Sides, gold: Sides | None = ()) -> dict[str, pa.Table]:
    def table(names: tuple[str, str], rows: Sides) -> pa.Table:
        return pa.table(
            {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(names)}
        )

    tables = {"a": table(("id", "text"), a), "b": table(("id", "text"), b)}
    return tables if gold is None else {**tables, "gold": table(("id_a", "id_b"), gold)}


def aligned(a: Sequence, b: Sequence, ids: Sequence | None = None) -> dict[str, pa.Table]:
    names = [str(n) for n in range(len(a))] if ids is None else ids
    columns = {"id": names, "text_a": a, "text_b": b}
    return {"": pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})}


def examples_of(table: pa.Table) -> retrieve.Examples:
    """Examples whose tokens do not matter."""
    tokens = table.select(["id", "side", "text"])
    tokens = tokens.append_column("ids", pa.array([[5]] * len(table), pa.list_(pa.int32())))
    return retrieve.read([("xx", tokens)], RECIPE, SPECIALS)


def predict(table: pa.Table, way: str, *layers: np.ndarray) -> pa.Table:
    """Predictions from vectors [rows, H] of each layer."""
    vectors = np.stack(layers, axis=1).astype(np.float32)
    return retrieve.predictions(examples_of(table), {"vectors": vectors}, {"retrieval": way})


def test_mining_holds_each_pool_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, width = 1500, 256
    for name, size in (("ROWS", 64), ("COLUMNS", 64), ("AT_ONCE", 64)):
        monkeypatch.setattr(retrieve.mining, name, size)
    names = [[(f"{side}{row}", f"{side} {row}") for row in range(rows)] for side in "xe"]
    table = retrieve.canonical(pools(*names, None), "here")
    examples = examples_of(table)
    vectors = np.random.default_rng(1).normal(size=(2 * rows, 1, width)).astype(np.float32)
    expected = retrieve.mining.mine(vectors[:rows, 0], vectors[rows:, 0])
    tracemalloc.start()
    found = retrieve.predictions(examples, {"vectors": vectors}, {"retrieval": "margin"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.column("score").to_pylist() == expected.scores.tolist()
    assert found.column("id").to_pylist() == [f"x{row}" for row in expected.first]
    assert peak < 2.9 * 4 * rows * width


def test_aligned_rows_become_two_sides_that_match() -> None:
    table = retrieve.canonical(aligned(["eins\n", "zwei\n"], ["one\n", " two"], ["7", "9"]), "here")
    assert table.to_pylist() == [
        {"id": "a-7", "side": 0, "text": "eins", "matches": ["b-7"]},
        {"id": "a-9", "side": 0, "text": "zwei", "matches": ["b-9"]},
        {"id": "b-7", "side": 1, "text": "one", "matches": ["a-7"]},
        {"id": "b-9", "side": 1, "text": "two", "matches": ["a-9"]},
    ]
    assert [str(field.type) for field in table.schema][:3] == ["string", "int32", "string"]


def test_pools_keep_their_ids_and_texts() -> None:
    tables = pools([("x1", "eins "), ("x2", "zwei")], [("e1", "two"), ("e2", "zwo"), ("e3", "-")])
    tables["gold"] = pa.table({"id_a": ["x2", "x2", "x2"], "id_b": ["e1", "e2", "e1"]})
    table = retrieve.canonical(tables, "here")
    assert table.column("id").to_pylist() == ["x1", "x2", "e1", "e2", "e3"]
    assert table.column("side").to_pylist() == [0, 0, 1, 1, 1]
    assert table.column("text").to_pylist()[0] == "eins "
    assert table.column("matches").to_pylist() == [[], ["e1", "e2"], ["x2"], ["x2"], []]
    without = retrieve.canonical(pools([("x1", "eins")], [("e1", "one")], None), "here")
    assert without.column("matches").to_pylist() == [[], []]


def test_ids_that_both_pools_use_get_a_prefix() -> None:
    table = retrieve.canonical(
        pools([("1", "eins"), ("2", "zwei")], [("2", "two"), ("a-1", "one")], [("1", "a-1"), ("2", "2")]),
        "here",
    )
    assert table.column("id").to_pylist() == ["a-1", "a-2", "b-2", "b-a-1"]
    assert table.column("matches").to_pylist() == [["b-a-1"], ["b-2"], ["a-2"], ["a-1"]]


ONE, TWO = [("x1", "eins")], [("e1", "one")]


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        (pools(ONE, TWO, [("x1", "e2")]), "gold: row 0 names the sentence 'e2', which pool b"),
        (pools(ONE, TWO, [("x1", "e1"), ("e1", "x1")]), "gold: row 1 names the sentence 'e1', which pool a"),
        (pools([*ONE, *ONE], TWO), "pool a: row 1 has the id 'x1', which an earlier"),
        (pools(ONE, [(None, "one")]), "pool b: row 0 has no id"),
        (pools(ONE, [("e1", "  \n")]), r"pool b: row 0 \(id 'e1'\) has an empty text"),
        (pools(ONE, []), "pool b has no rows"),
        (aligned(["eins"], [None]), "row 0 has an empty text_b"),
        (aligned(["eins", ""], ["one", "two"]), "row 1 has an empty text_a"),
        (aligned(["a", "b"], ["c", "d"], ["7", "7"]), "row 1 has the id '7'"),
        (aligned([], []), "no rows"),
    ],
)
def test_rows_that_cannot_be_looked_up_are_refused(tables: dict[str, pa.Table], complaint: str) -> None:
    with pytest.raises(DataError, match=f"here.*{complaint}"):
        retrieve.canonical(tables, "here")


def test_a_batch_is_sentences_between_special_tokens_cut_to_the_maximum() -> None:
    table = pa.table({"id": ["a", "b"], "side": pa.array([0, 1], pa.int32()), "text": ["x", "y"]})
    table = table.append_column("ids", pa.array([list(range(10, 30)), [7]], pa.list_(pa.int32())))
    examples = retrieve.read([("xx", table)], RECIPE, SPECIALS)
    batch = retrieve.collate(examples, np.array([1, 0]), RECIPE, 1)
    assert batch["input_ids"].tolist() == [[0, 7, 2, 1, 1, 1, 1, 1], [0, 10, 11, 12, 13, 14, 15, 2]]
    assert batch["attention_mask"].sum(1).tolist() == [3, 8]
    assert retrieve.everything(examples)[1].tolist() == [8, 3]
    assert retrieve.identifiers(retrieve.subset(examples, np.array([1]))).tolist() == ["b"]


def test_every_layer_is_averaged_over_the_real_tokens(world: Path) -> None:
    encoder = encoders.create({**ARCHITECTURE, "layers": 2}, specials(world / "tokenizer"), 1).eval()
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    batch = {"input_ids": ids, "attention_mask": (ids != 1).long(), "normalised": torch.ones(2, dtype=bool)}
    with torch.no_grad():
        vectors = retrieve.outputs(encoder, retrieve.head(encoder.config, {}), batch)["vectors"]
        layers = encoders.all_hidden_states(encoder, batch)
        embedded = encoder.embeddings(input_ids=ids)
        last = encoders.hidden_states(encoder, batch)
    assert vectors.shape == (2, 3, 16) and vectors.dtype == np.float32 and len(layers) == 3
    real = ids != 1  # what stands at padding means nothing
    assert torch.equal(layers[0][real], embedded[real]) and torch.equal(layers[-1], last)
    for layer, states in enumerate(layers):
        assert np.allclose(vectors[0, layer], states[0].mean(0), atol=1e-6)
        assert np.allclose(vectors[1, layer], states[1, :3].mean(0), atol=1e-6)


def test_english_asks_and_the_other_language_is_searched() -> None:
    table = retrieve.canonical(aligned(["w", "x", "y"], ["W", "X", "Y"]), "here")
    # two English sentences lie nearest to x; the other way round each would find its own
    other = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    english = np.array([[0.6, 0.7, 0], [0, 1, 0], [0, 0.7, 0.6]])
    found = predict(table, "nearest", np.vstack([other, english]), np.vstack([other, other]))
    assert found.schema.names == ["id", "layer", "candidate", "score"]
    assert [str(field.type) for field in found.schema] == ["string", "int32", "string", "float"]
    assert found.column("id").to_pylist() == ["b-0", "b-1", "b-2"] * 2
    assert found.column("layer").to_pylist() == [0, 0, 0, 1, 1, 1]
    assert found.column("candidate").to_pylist() == ["a-1", "a-1", "a-1", "a-0", "a-1", "a-2"]
    assert found.column("score").to_pylist()[1:] == pytest.approx([1, 0.7 / 0.85**0.5, 1, 1, 1])
    scored = nearest.score({"test": table}, {"test": found}, SPEC)
    assert scored.details["layers"] == {"0": pytest.approx(1 / 3), "1": 1.0}
    backwards = [int(np.argmax(english @ row / np.linalg.norm(english, axis=1))) for row in other]
    assert backwards == [0, 1, 2]  # a wrong direction would score 1 in layer 0


def test_the_order_of_the_rows_is_that_of_the_data() -> None:
    table = retrieve.canonical(aligned(["w", "x"], ["W", "X"]), "here").take([3, 0, 2, 1])
    vectors = np.array([[0, 1], [1, 0], [1, 0], [0, 1]])
    found = predict(table, "nearest", vectors)
    assert found.column("id").to_pylist() == ["b-1", "b-0"]
    assert found.column("candidate").to_pylist() == ["a-1", "a-0"]


def test_mined_pairs_come_best_first_layer_by_layer() -> None:
    table = retrieve.canonical(
        pools([("x1", "eins"), ("x2", "zwei")], [("e1", "one"), ("e2", "two")]), "here"
    )
    degrees = np.radians([0, 40, 10, 45])
    vectors = np.stack([np.cos(degrees), np.sin(degrees)], axis=1)
    found = predict(table, "margin", vectors, vectors[[0, 1, 3, 2]])
    assert found.column("id").to_pylist() == ["x2", "x1", "x2", "x1"]
    assert found.column("candidate").to_pylist() == ["e2", "e1", "e1", "e2"]
    assert found.column("layer").to_pylist() == [0, 0, 1, 1]
    assert found.column("score").to_pylist() == pytest.approx([1.11759, 1.11193] * 2, abs=2e-5)


def mined(other: Sequence[str], english: Sequence[str], vectors: np.ndarray) -> list[str]:
    """The pairs said of texts x0, x1 ... and e0, e1 ..."""
    sides = [
        [(f"{side}{n}", text) for n, text in enumerate(texts)]
        for side, texts in (("x", other), ("e", english))
    ]
    found = predict(retrieve.canonical(pools(*sides), "here"), "margin", vectors)
    return [f"{row['id']}-{row['candidate']}" for row in found.to_pylist()]


def test_a_repeated_text_is_one_sentence_and_is_never_predicted() -> None:
    e = np.eye(3)
    vectors = np.vstack([e[0], e[1], e[2], e[2], e[1], e[0]])
    assert mined(["a", "b", "c"], ["A", "B", "C"], vectors) == ["x0-e2", "x1-e1", "x2-e0"]
    assert mined(["a", "b", "a"], ["A", "B", "C"], vectors) == ["x1-e1"]
    assert mined(["a", "b", "c"], ["A", "B", "A"], vectors) == ["x1-e1"]


def test_a_repeated_text_has_the_vector_of_its_last_row() -> None:
    e = np.eye(3)
    vectors = np.vstack([e[0], e[1], e[2], e[2] + e[1] / 2])
    # the third row takes A without a word; by the first row's vector A would be left to b
    assert mined(["a", "b", "a"], ["A"], vectors) == []
    assert mined(["a", "b", "a"], ["A"], vectors[[2, 1, 0, 3]]) == ["x1-e0"]


def test_texts_that_differ_in_blanks_are_mined_apart_and_not_predicted() -> None:
    vectors = np.vstack([np.eye(3), np.eye(3)])
    assert mined(["a", "b", "a "], ["A", "B", "C"], vectors) == ["x1-e1"]
    # both rows take a sentence: were they one, x1 would have the one that is left
    e = np.eye(3)
    vectors = np.vstack([e[0], e[1], e[2], e[0] + e[1] / 2, e[2]])
    assert mined(["a", "b", "a "], ["A", "B"], vectors) == []
    assert mined(["a", "b", "a"], ["A", "B"], vectors) == ["x1-e0"]


def test_a_retrieval_or_a_side_that_is_not_there_is_refused() -> None:
    table = retrieve.canonical(aligned(["w"], ["W"]), "here")
    with pytest.raises(UsageError, match="there are nearest, margin"):
        predict(table, "farthest", np.eye(2))
    with pytest.raises(DataError, match="0 English"):
        predict(table.slice(0, 1), "nearest", np.eye(1))


def test_it_cannot_be_trained(unit, world: Path, tmp_path: Path) -> None:
    table = retrieve.canonical(aligned(list(FOREIGN.values()), list(FOREIGN)), "here")
    pq.write_table(retrieve.encode(load(world / "tokenizer"), table, {}), tmp_path / "train.parquet")
    task = {"task": "look", "family": "retrieve", "languages": ["here"]}
    spec = {"tasks": [task], "recipe": {"max_length": 24}, "seed": 1, "init": ARCHITECTURE}
    inputs = {"tokenizer": world / "tokenizer", "tokens/look/here": tmp_path}
    with pytest.raises(UsageError, match=r"^look .* has nothing to train on"):
        stage.run([unit("model", spec, inputs)])
    with pytest.raises(UsageError, match="nothing to train on"):
        retrieve.loss(None, None, {})
    with pytest.raises(UsageError, match="nothing to train on"):
        retrieve.score(None, {})
    assert retrieve.collapsed(None, {}) is False


def test_from_text_to_score(world: Path) -> None:
    special = specials(world / "tokenizer")
    encoder = encoders.create(ARCHITECTURE, special, 1)
    texts = [f"{FILLERS[n % 8]} {FILLERS[n * 3 % 7]} {FILLERS[n // 8]}" for n in range(40)]
    table = retrieve.canonical(aligned(texts, [f"{text}\n" for text in texts]), "here")
    tokens = retrieve.encode(load(world / "tokenizer"), table, {})
    examples = retrieve.read([("xx", tokens)], full({"max_length": 24}), special)
    head = retrieve.head(encoder.config, {})
    out = infer(retrieve, examples, encoder, head, full({"max_length": 24}), lambda: False)
    assert out["vectors"].shape == (80, 2, 16) and not list(head.parameters())
    found = retrieve.predictions(examples, out, {"retrieval": "nearest"})
    distinct = (
        len(set(texts)) / 40
    )  # the same text on both sides is found, if it is not the second of its kind
    scored = nearest.score({"test": table}, {"test": found}, SPEC)
    assert scored.parts.mean() == pytest.approx(distinct)


def hashed(texts: Sequence[str], width: int = 64) -> np.ndarray:
    """A bag of characters."""
    vectors = np.zeros((len(texts), width), np.float32)
    for row, text in enumerate(texts):
        np.add.at(vectors[row], [ord(character) * 7919 % width for character in text], 1.0)
    return vectors


def test_real_tatoeba(mirror: Path) -> None:
    source = pq.read_table(next((mirror / "google/xtreme/tatoeba.kaz").glob("*.parquet")))
    columns = [source.column(f"{side}_sentence").to_pylist() for side in ("source", "target")]
    table = retrieve.canonical(aligned(*columns), "here")
    assert len(table) == 2 * 575
    random = np.random.default_rng(1).standard_normal((575, 32))
    layers = [np.ones((1150, 32)), np.vstack([random, random]), hashed(table.column("text").to_pylist(), 32)]
    found = predict(table, "nearest", *layers)
    layers = nearest.score({"test": table}, {"test": found}, SPEC).details["layers"]
    assert layers["1"] == 1.0 and layers["0"] == pytest.approx(1 / 575) and layers["2"] < 0.2


def test_real_bucc(mirror: Path) -> None:
    def rows(name: str) -> pa.Table:
        return pq.read_table(next((mirror / "mirror-extra/bucc2018").glob(f"zh-en.{name}/*.parquet")))

    tables = {side: rows(name).rename_columns(["id", "text"]) for side, name in (("a", "zh"), ("b", "en"))}
    table = retrieve.canonical({**tables, "gold": rows("gold").rename_columns(["id_a", "id_b"])}, "here")
    assert table.column("side").to_pylist().count(0) == 8624 and len(table) == 8624 + 13589
    names = {name: place for place, name in enumerate(table.column("id").to_pylist())}
    known = np.random.default_rng(1).standard_normal((len(table), 64)).astype(np.float32)
    for name, matches in list(zip(names, table.column("matches").to_pylist(), strict=True))[:8624]:
        for match in matches:
            known[names[match]] = known[names[name]]
    found = predict(table, "margin", hashed(table.column("text").to_pylist()), known)
    scored = mining.score(dict.fromkeys(("dev", "test"), table), dict.fromkeys(("dev", "test"), found), SPEC)
    assert scored.details["layer"] == 1 and scored.details["layers"]["0"] < 0.1
    values = {name: float(value) for name, value in mining.values(scored.parts.mean(axis=0)).items()}
    assert values == {"f1": 1.0, "precision": 1.0, "recall": 1.0}
    assert scored.parts[:, 2].sum() == 257
