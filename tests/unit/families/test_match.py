"""Queries and candidates: as rows, as pairs of a batch, and what a query finds in a pool."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from isthmus.data import candidates, mining
from isthmus.data.batch import Specials
from isthmus.errors import DataError
from isthmus.families import match
from isthmus.model import encoder as encoders
from isthmus.model import packing
from isthmus.model.device import tensors
from isthmus.model.infer import infer
from isthmus.model.trial import distance
from isthmus.recipe import full
from tests.unit.conftest import ARCHITECTURE

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=99, rows=100)
RECIPE = full({"max_length": 12, "query_length": 6, "batch_size": 4})
PARAGRAPH = "Ants dig. Bees fly. Bees fly. The end is near."
BREAKS = [[0, 9], [10, 19], [20, 29], [30, 46]]


def questions(*rows: tuple[str, str, str, int], breaks: Sequence[Any] | None = None) -> dict[str, pa.Table]:
    """Rows of an id, a context, an answer and where it starts."""
    columns: dict[str, Any] = {
        "id": [name for name, *_ in rows],
        "context": [context for _, context, *_ in rows],
        "question": [f"What of {name}?" for name, *_ in rows],
        "answers": pa.array([[answer] for _, _, answer, _ in rows], pa.list_(pa.string())),
        "starts": pa.array([[start] for *_, start in rows], pa.list_(pa.int32())),
    }
    if breaks is not None:
        columns["sentences"] = pa.array(breaks, pa.list_(pa.list_(pa.int32())))
    return {"": pa.table(columns)}


def rows(table: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in table.to_pylist()}


def test_sentences_are_the_candidates_of_questions() -> None:
    found = match.canonical(
        questions(("q", "Other. One.", "One", 7), ("r", PARAGRAPH, "dig", 5), ("s", PARAGRAPH, "near", 41)),
        "here",
    )
    assert found.column("id").to_pylist() == ["q", "r", "s", "1_0", "1_1", "2_0", "2_1", "2_2", "2_3"]
    assert found.column("side").to_pylist() == [0] * 3 + [1] * 6
    by_name = rows(found)
    assert by_name["2_3"]["text"] == "The end is near." and by_name["2_3"]["beside"] == PARAGRAPH
    assert by_name["s"] == {"id": "s", "side": 0, "text": "What of s?", "beside": None, "matches": ["2_3"]}
    assert by_name["2_0"]["matches"] == ["r"] and by_name["1_0"]["matches"] == []


def test_every_sentence_of_the_paragraph_that_reads_the_same_is_right() -> None:
    found = rows(match.canonical(questions(("r", PARAGRAPH, "fly", 25), breaks=[BREAKS]), "here"))
    assert found["r"]["matches"] == ["1_1", "1_2"]
    assert found["1_1"]["matches"] == found["1_2"]["matches"] == ["r"]


def test_sentences_of_the_data_win_over_the_rule() -> None:
    found = rows(match.canonical(questions(("r", PARAGRAPH, "dig", 5), breaks=[[[0, 19], [20, 46]]]), "here"))
    assert found["1_0"]["text"] == "Ants dig. Bees fly." and "1_2" not in found


def test_an_answer_between_sentences_matches_nothing() -> None:
    found = rows(match.canonical(questions(("r", PARAGRAPH, "fly", 15), breaks=[[[0, 9], [20, 46]]]), "here"))
    assert found["r"]["matches"] == []


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        (
            [[0, 9], [8, 19]],
            r"row 0 \(id 'r'\) has the sentence \[8, 19\], and its context has 46 characters",
        ),
        ([[0, 47]], r"the sentence \[0, 47\]"),
        ([[0, 9, 10]], r"the sentence \[0, 9, 10\]"),
        ([], "has no sentences"),
        (None, "has no sentences"),
    ],
)
def test_sentences_that_cannot_be_are_refused(breaks: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        match.canonical(questions(("r", PARAGRAPH, "dig", 5), breaks=[breaks]), "here")


def test_a_mention_is_said_marked_and_escaped() -> None:
    assert candidates.mention("Smith", "The verdict came for ", ", who {left}.") == (
        "Smith: The verdict came for { Smith } , who (left)."
    )
    assert candidates.mention("A", "", "\nend") == "A: { A } end"


def test_mentions_and_entities_are_rows_of_one_table() -> None:
    mentions = pa.table(
        {
            "id": ["m", "n"],
            "mention": ["Bee", "Ant"],
            "before": ["A ", "An"],
            "after": ["", "."],
            "wanted": ["Q1", "Q2"],
        }
    )
    found = match.canonical({"": mentions}, "here")
    assert found.column("matches").to_pylist() == [["Q1"], ["Q2"]]
    assert found.column("text")[0].as_py() == "Bee: A { Bee }"
    entities = match.canonical(
        {"": pa.table({"id": ["Q1"], "candidate": ["An  insect\nthat flies. "]})}, "here"
    )
    assert entities.to_pylist()[0] | {"text": ""} == {
        "id": "Q1",
        "side": 1,
        "text": "",
        "beside": None,
        "matches": [],
    }
    assert entities.column("text")[0].as_py() == "An insect that flies."
    plain = match.canonical({"": pa.table({"id": ["q"], "query": ["who?"], "wanted": ["Q1"]})}, "here")
    assert plain.to_pylist()[0]["text"] == "who?"


Token = tuple[str, int, list[int], list[int] | None, list[str]]


def tokens(*given: Token) -> pa.Table:
    names = ("id", "side", "ids_a", "ids_b", "matches")
    ids, texts = pa.list_(pa.int32()), pa.list_(pa.string())
    kinds = (pa.string(), pa.int32(), ids, ids, texts)
    columns = zip(*given, strict=True)
    return pa.table({n: pa.array(list(c), kind) for n, c, kind in zip(names, columns, kinds, strict=True)})


WORLD = tokens(
    ("q", 0, [10, 11, 12, 13, 14, 15], None, ["1_0"]),
    ("r", 0, [20], None, ["1_1"]),
    ("s", 0, [30], None, []),
    ("t", 0, [21], None, ["1_0"]),
    ("1_0", 1, [40, 41], [40, 41, 42, 43, 44, 45, 46, 47, 48], ["q", "t"]),
    ("1_1", 1, [50, 51, 52, 53, 54, 55, 56], [60, 61], ["r"]),
)


def world() -> match.Examples:
    return match.read([("en", WORLD)], RECIPE, SPECIALS)


def test_an_example_is_a_query_with_its_candidate_each_cut_to_its_length() -> None:
    examples = world()
    assert match.usable(examples).tolist() == [0, 1, 3] and match.originals(examples).tolist() == [0, 1, 2, 3]
    batch = match.collate(examples, np.array([0, 1]), RECIPE, 1)
    assert batch["input_ids"].tolist() == [
        [0, 10, 11, 12, 13, 2] + [1] * 6,
        [0, 40, 41, 2, 2, 40, 41, 42, 43, 44, 45, 2],
        [0, 20, 2] + [1] * 9,
        [0, 50, 51, 52, 53, 54, 55, 2, 2, 60, 61, 2],
    ]
    assert match.everything(examples)[1].tolist()[:2] == [18, 15]
    assert match.identifiers(examples).tolist() == ["q", "r", "s", "t"]


def test_the_same_candidate_has_one_group_and_another_has_its_own() -> None:
    groups = world().groups
    assert groups[0] == groups[3] != groups[1]
    twin = tokens(
        ("u", 0, [22], None, ["2_0"]), ("2_0", 1, [40, 41], [40, 41, 42, 43, 44, 45, 46, 99], ["u"])
    )
    both = match.read([("en", WORLD), ("de", twin)], RECIPE, SPECIALS)
    assert both.groups[4] == both.groups[0]  # what is cut off does not tell them apart
    assert both.ids[[4, 6, 7]].tolist() == ["en_1_0", "u", "de_2_0"]


def test_a_candidate_is_found_in_another_table() -> None:
    mentions = tokens(("m", 0, [10], None, ["Q2"]), ("n", 0, [11], None, ["Q9"]))
    entities = tokens(("Q1", 1, [20], None, []), ("Q2", 1, list(range(30, 50)), None, []))
    examples = match.read([("de", mentions), ("en", entities)], RECIPE, SPECIALS)
    assert examples.rows.tolist() == [[0, 3], [1, -1]] and match.usable(examples).tolist() == [0]
    assert examples.ids.tolist() == ["m", "n", "Q1", "Q2"]  # ids that the data give stay as they are
    ids = match.collate(examples, np.array([0]), RECIPE, 1)["input_ids"]
    assert ids[1].tolist() == [0, *range(30, 40), 2]


def test_a_pool_holds_the_candidates_of_all_its_tables() -> None:
    other = tokens(("q", 0, [12], None, ["1_0"]), ("1_0", 1, [70], [70], ["q"]))
    pool = match.pool([("en", WORLD), ("de", other)], RECIPE, SPECIALS)
    assert match.identifiers(pool).tolist() == ["en_1_0", "en_1_1", "de_1_0"]
    assert len(match.collate(pool, np.arange(3), RECIPE, 1)["input_ids"]) == 3
    queries = match.asking(world())
    assert match.collate(queries, np.array([2, 0]), RECIPE, 1)["input_ids"].tolist() == [
        [0, 30, 2, 1, 1, 1],
        [0, 10, 11, 12, 13, 2],
    ]
    entities = tokens(("Q1", 1, [20], None, []))
    with pytest.raises(DataError, match="have one id"):
        match.pool([("en", entities), ("de", entities)], RECIPE, SPECIALS)
    with pytest.raises(DataError, match="not to be found"):
        match.pool([("en", tokens(("q", 0, [1], None, [])))], RECIPE, SPECIALS)


def unit(*rows: Sequence[float]) -> np.ndarray:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def test_the_nearest_candidates_are_found_first_of_equals_the_first() -> None:
    pool = match.pool([("en", WORLD)], RECIPE, SPECIALS)
    index = unit([1, 0], [0, 1])[:, None]
    queries = match.asking(world())
    vectors = unit([1, 0.1], [0, 1], [1, 1], [-1, 0])[:, None]
    table = match.predictions(
        queries, {"vectors": vectors}, {"pool": (pool, match.index({"vectors": index}))}
    )
    assert table.column("id").to_pylist() == ["q", "r", "s", "t"]
    assert table.column("found").to_pylist() == [
        ["en_1_0", "en_1_1"],
        ["en_1_1", "en_1_0"],
        ["en_1_0", "en_1_1"],
        ["en_1_1", "en_1_0"],
    ]
    assert table.column("scores")[1].as_py() == pytest.approx([1.0, 0.0])


def test_a_pool_is_scaled_once_and_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, queries = match.pool([("en", WORLD)], RECIPE, SPECIALS), match.asking(world())
    dice = np.random.default_rng(1)
    vectors, theirs = (dice.normal(size=(rows, 1, 24)).astype(np.float32) for rows in (4, len(pool)))
    expected = mining.nearest(vectors[:, 0], theirs[:, 0], match.FOUND)
    index = match.index({"vectors": theirs})
    scale, scaled = mining.unit, []
    monkeypatch.setattr(mining, "unit", lambda vectors: scaled.append(len(vectors)) or scale(vectors))
    for _ in range(2):
        table = match.predictions(queries, {"vectors": vectors}, {"pool": (pool, index)})
        assert table.column("scores").to_pylist() == expected.cosines.tolist()
    assert scaled == [4, 4]


def test_the_score_is_the_mean_reciprocal_rank_among_the_distinct_candidates() -> None:
    examples = match.subset(world(), np.array([0, 1, 3]))
    q, r, t = [1, 0], [1, 0.1], [0, 1]
    first, second = [1, 0], [0, 1]
    pairs = np.stack([unit(q, r, t), unit(first, second, first)], 1)
    assert match.score(examples, {"vectors": pairs}) == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert not match.collapsed(examples, {"vectors": pairs})
    same = np.stack([unit(q, q, q), unit(first, second, first)], 1)
    assert match.collapsed(examples, {"vectors": same})
    flat = np.ones((3, 2, 2), np.float32)
    assert match.score(examples, {"vectors": flat}) == pytest.approx(1 / 2)  # the last of two distinct ones
    alone = match.subset(world(), np.array([0, 3]))
    assert not match.collapsed(alone, {"vectors": np.ones((2, 2, 2), np.float32)})


def test_the_score_holds_the_nearness_of_some_queries_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = match.subset(world(), np.tile([0, 1, 3], 100))
    pairs = np.random.default_rng(1).normal(size=(300, 2, 4)).astype(np.float32)
    whole = match.score(examples, {"vectors": pairs}), match.collapsed(examples, {"vectors": pairs})
    monkeypatch.setattr(match, "ROWS_AT_ONCE", 7)
    assert (match.score(examples, {"vectors": pairs}), match.collapsed(examples, {"vectors": pairs})) == whole
    tiles = match._nearness(examples, {"vectors": pairs})
    assert len(next(tiles)[0]) == 7 and sum(len(near) for near, _ in tiles) == 293


def test_two_answers_are_enough_to_know_of_no_collapse(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = match.subset(world(), np.array([0, 1, 3]))
    made = match._nearness

    def watched(*given: Any) -> Any:
        for tile in made(*given):
            seen.append(tile)
            yield tile

    monkeypatch.setattr(match, "_nearness", watched)
    monkeypatch.setattr(match, "ROWS_AT_ONCE", 1)
    for second, expected, tiles in (([0, 1], False, 2), ([1, 0], True, 3)):
        seen: list[Any] = []
        pairs = np.stack([unit([1, 0], second, [1, 0]), unit([1, 0], [0, 1], [1, 0])], 1)
        assert match.collapsed(examples, {"vectors": pairs}) is expected
        assert len(seen) == tiles


def test_the_loss_is_the_softmax_over_the_batch_without_equal_candidates() -> None:
    states = torch.nn.functional.normalize(
        torch.randn(4, 2, 8, generator=torch.Generator().manual_seed(1)), dim=-1
    )
    head = SimpleNamespace(scale=torch.tensor(10.0))
    groups = torch.tensor([5, 6, 5, 7])
    found = float(match.coupled(head, states, {"groups": groups}))
    expected = []
    for query in range(4):
        nearness = [10 * float(states[query, 0] @ states[other, 1]) for other in range(4)]
        rivals = [other for other in range(4) if other == query or groups[other] != groups[query]]
        expected.append(np.log(sum(np.exp(nearness[other]) for other in rivals)) - nearness[query])
    assert found == pytest.approx(np.mean(expected), rel=1e-5)
    unmasked = float(match.coupled(head, states, {"groups": torch.arange(4)}))
    assert unmasked > found


def test_the_loss_has_full_precision_under_autocast() -> None:
    made = torch.Generator().manual_seed(1)
    states = torch.nn.functional.normalize(torch.randn(6, 2, 16, generator=made), dim=-1)
    head, batch = SimpleNamespace(scale=torch.tensor(100.0)), {"groups": torch.arange(6)}
    with torch.autocast("cpu", torch.bfloat16):
        found = match.coupled(head, states, batch)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(float(match.coupled(head, states, batch)), rel=0, abs=1e-6)


@pytest.fixture
def model() -> tuple[Any, Any]:
    encoder = encoders.create({**ARCHITECTURE, "dropout": 0.0}, SPECIALS, 1).eval()
    torch.manual_seed(1)
    return encoder, match.head(encoder.config, {}).eval()


def test_the_vectors_are_the_pooled_state_of_the_first_token_at_length_one(model) -> None:
    encoder, head = model
    batch = tensors(match.collate(world(), np.array([0, 1, 3]), RECIPE, 1), torch.device("cpu"))
    vectors = match.states(encoder, head, batch)
    assert vectors.shape == (3, 2, 16) and vectors.dtype == torch.float32
    states = encoder(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, 0]
    pooled = torch.tanh(states @ head.dense.weight.T + head.dense.bias)
    expected = pooled / pooled.norm(dim=-1, keepdim=True)
    assert torch.allclose(vectors.reshape(6, 16), expected, atol=1e-5)
    assert head.scale.item() == 100.0


def gradients(encoder, head, batch) -> dict[str, torch.Tensor]:
    match.loss(encoder, head, batch).backward()
    named = [*encoder.named_parameters(), *head.named_parameters(prefix="head")]
    return {name: p.grad.clone() for name, p in named if p.grad is not None}


def test_a_packed_batch_has_the_gradients_of_a_padded_one(model, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, head = model
    batch = tensors(match.collate(world(), np.array([0, 1, 3]), RECIPE, 1), torch.device("cpu"))
    calls = []
    pack = packing.pack
    monkeypatch.setattr(packing, "pack", lambda *given: calls.append(pack(*given)) or calls[-1])
    packed = gradients(encoder, head, batch)
    assert calls[-1] is not None
    for module in (encoder, head):
        module.zero_grad()
    monkeypatch.setattr(packing, "pack", lambda *given: None)
    padded = gradients(encoder, head, batch)
    assert packed.keys() == padded.keys() and "head.scale" in packed
    for name, gradient in padded.items():
        assert torch.allclose(packed[name], gradient, rtol=1e-4, atol=1e-5), name


def test_what_is_inferred_does_not_depend_on_the_company(model) -> None:
    encoder, head = model
    pool = match.pool([("en", WORLD)], RECIPE, SPECIALS)
    whole: Mapping[str, Any] = infer(match, pool, encoder, head, RECIPE, lambda: False)
    alone = infer(match, match.subset(pool, np.array([1])), encoder, head, RECIPE, lambda: False)
    assert whole["vectors"].shape == (2, 1, 16)
    assert distance(torch.from_numpy(whole["vectors"][1:]), torch.from_numpy(alone["vectors"])) < 1e-5
