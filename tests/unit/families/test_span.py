"""Spans: windows that lose nothing, answers cut from the text itself, no answer where there is none."""

import itertools
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
from isthmus.data.offsets import windows
from isthmus.errors import DataError
from isthmus.evaluate.metrics.answers import normalise
from isthmus.families import span
from isthmus.model import encoder as encoders
from isthmus.model.device import settle, tensors
from isthmus.model.infer import infer
from isthmus.recipe import full
from tests.unit.conftest import ARCHITECTURE

SPECIALS = Specials(bos=0, pad=1, eos=2, unk=3, mask=49, rows=50)
IDS, TEXTS = pa.list_(pa.int32()), pa.list_(pa.string())
NONE: tuple[list[str], list[int]] = ([], [])


def recipe(**changes):
    return full({"max_length": 12, "batch_size": 4, "doc_stride": 3, "n_best": 4, **changes})


def table(rows: list[tuple[list[int], str, tuple[list[str], list[int]]]]) -> pa.Table:
    """Token tables from pieces of a question, a context of one-letter words, and answers with their starts."""
    words = [context.split() for _, context, _ in rows]
    return pa.table(
        {
            "id": [f"q{n}" for n in range(len(rows))],
            "question_ids": pa.array([question for question, _, _ in rows], IDS),
            "context_ids": pa.array([[ord(word) - 55 for word in row] for row in words], IDS),
            "begins": pa.array([[2 * n for n in range(len(row))] for row in words], IDS),
            "ends": pa.array([[2 * n + 1 for n in range(len(row))] for row in words], IDS),
            "context": [context for _, context, _ in rows],
            "answers": pa.array([texts for _, _, (texts, _) in rows], TEXTS),
            "starts": pa.array([starts for _, _, (_, starts) in rows], IDS),
        }
    )


def read(rows, **changes) -> span.Examples:
    return span.read([("en", table(rows))], recipe(**changes), SPECIALS)


def collate(examples: span.Examples, **changes):
    return span.collate(examples, np.arange(len(examples)), recipe(**changes), 1)


def canonical(**columns) -> pa.Table:
    row = {
        "id": 7,
        "context": "Ἀθῆναι 雅典 Athens",
        "question": "?",
        "answers": ["雅典"],
        "starts": [7],
        **columns,
    }
    return span.canonical({"": pa.table({name: [value] for name, value in row.items()})}, "here")


def test_starts_are_counted_in_characters_and_lists_may_be_empty() -> None:
    assert canonical().to_pydict()["starts"] == [[7]]
    nothing = canonical(answers=[], starts=[])
    assert nothing.column("answers").to_pylist() == [[]] and nothing.schema.field("starts").type == IDS
    assert canonical(answers=None, starts=None).column("answers").to_pylist() == [[]]
    assert canonical().column("id").to_pylist() == ["7"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"starts": [8]},
            "here: row 0 (id '7') says that '雅典' starts at character 8 of its context, but '典 ' stands there",
        ),
        ({"starts": [-2]}, "but '' stands there"),
        ({"starts": []}, "here: row 0 (id '7') has 1 answers and 0 starts"),
        ({"answers": [""], "starts": [0]}, "has an answer without text"),
        ({"context": None}, "here: row 0 (id '7') has no context"),
        ({"question": None}, "here: row 0 (id '7') has no question"),
        ({"context": "", "answers": [], "starts": []}, "here: row 0 (id '7') has an empty context"),
    ],
)
def test_answers_that_do_not_stand_there_are_refused(columns: dict, message: str) -> None:
    with pytest.raises(DataError) as error:
        canonical(**columns)
    assert message in str(error.value)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    lines = ["ﬁne ½ cup of 東京 and Ａthens, ราคา 10 กิโล قال المعلم é e\u0301", "東京都 is big . 10½"] * 4
    fast = trainer.convert(_proto(trainer.learn(lines, 90, 1.0, 1)))
    fast.encode_special_tokens = True
    return fast


def _proto(model: bytes):
    from sentencepiece import sentencepiece_model_pb2

    return sentencepiece_model_pb2.ModelProto.FromString(model)


def encode(tokenizer: Tokenizer, contexts: list[str]) -> pa.Table:
    rows = {
        "id": list(map(str, range(len(contexts)))),
        "context": contexts,
        "question": ["?"] * len(contexts),
    }
    empty = {"answers": pa.array([[]] * len(contexts), TEXTS), "starts": pa.array([[]] * len(contexts), IDS)}
    return span.encode(tokenizer, pa.table({**rows, **empty}), {})


@pytest.mark.parametrize(
    "text",
    [
        "  ﬁne \u00a0 ½ cup",
        "of 東京都 ",
        "Ａthens,\tราคา 10½\n กิโล",
        "قال\u200f المعلم",
        "e\u0301 é \u200b .",
        "a <s> b",
        "zzz ☃☃ of",
    ],
)
def test_every_character_but_space_has_its_piece_in_the_original_text(
    tokenizer: Tokenizer, text: str
) -> None:
    row = encode(tokenizer, ["of", text, "of"]).slice(1, 1).to_pylist()[0]
    pieces = list(zip(row["begins"], row["ends"], strict=True))
    assert len(pieces) == len(row["context_ids"]) and 0 not in row["context_ids"]
    held = {place for begin, end in pieces for place in range(begin, end)}
    dropped = {place for place, character in enumerate(text) if character in "\u200b\u200f"}
    assert held | dropped >= {place for place, character in enumerate(text) if not character.isspace()}
    for begin, end in pieces:
        assert end <= begin or text[begin:end].strip() == text[begin:end]


def test_a_piece_is_where_its_own_characters_are(tokenizer: Tokenizer) -> None:
    text = "10½ of ﬁne 東京"
    row = encode(tokenizer, [text]).to_pylist()[0]
    for word in ("of", "東京"):
        own = tokenizer.encode(word, add_special_tokens=False).ids
        first = [i for i in range(len(row["begins"])) if row["context_ids"][i : i + len(own)] == own][-1]
        assert text[row["begins"][first] : row["ends"][first + len(own) - 1]] == word


LETTERS = "A B C D E F G H I J"


def test_a_window_shows_question_and_context() -> None:
    examples = read([([5, 6], "A B C", (["B C"], [2])), ([7], "D", NONE)])
    batch = collate(examples)
    assert batch["input_ids"].tolist() == [
        [0, 5, 6, 2, 2, *(ord(letter) - 55 for letter in "ABC"), 2],
        [0, 7, 2, 2, ord("D") - 55, 2, 1, 1, 1],
    ]
    assert batch["attention_mask"].sum(1).tolist() == [9, 6] == span.everything(examples)[1].tolist()
    assert batch["shown"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert batch["starts"].tolist() == [6, 0] and batch["ends"].tolist() == [7, 0]


def test_a_long_context_is_read_in_overlapping_windows() -> None:
    examples = read([([5, 6, 7, 8], LETTERS, (["E F"], [8]))], max_query_length=3)
    batch = collate(examples)
    shown = [
        "".join(chr(token + 55) for token in ids[flags == 1])
        for ids, flags in zip(batch["input_ids"], batch["shown"], strict=True)
    ]
    assert shown == ["ABCDE", "DEFGH", "GHIJ"]
    assert batch["input_ids"].shape[1] == 12
    assert batch["starts"].tolist() == [0, 7, 0] and batch["ends"].tolist() == [0, 8, 0]
    assert span.identifiers(examples).tolist() == ["q0"] * 3


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), min_size=1, max_size=6), st.integers(1, 20)
)
def test_windows_leave_no_piece_out(rows: list[tuple[int, int]], stride: int) -> None:
    lengths, room = np.array(rows).T
    row, start = windows(lengths, room, stride)
    stop = np.minimum(start + room[row], lengths[row])
    for number, length in enumerate(lengths):
        mine = row == number
        seen = {place for a, b in zip(start[mine], stop[mine], strict=True) for place in range(a, b)}
        assert seen == set(range(length)) and mine.sum() >= 1
        assert (np.diff(stop[mine]) > 0).all()  # and no window that shows nothing new


def test_a_question_leaves_the_context_room() -> None:
    examples = read([(list(range(5, 30)), "A B", NONE)])
    assert collate(examples)["input_ids"].shape == (2, 12)
    assert collate(examples)["shown"].sum(1).tolist() == [1, 1]


def test_an_answer_that_no_piece_covers_is_not_trained_on_but_answered() -> None:
    rows = table([([5], "A B", (["A"], [0])), ([5], "A \u200b", (["\u200b"], [2])), ([5], "C", NONE)])
    held = pa.array([[0, 2], [0], [0]], IDS)
    rows = rows.set_column(2, "context_ids", pa.array([[9, 10], [9], [11]], IDS))
    rows = rows.set_column(3, "begins", held).set_column(4, "ends", pa.array([[1, 3], [1], [1]], IDS))
    examples = span.read([("en", rows)], recipe(), SPECIALS)
    assert span.usable(examples).tolist() == [0, 2]
    assert len(span.predictions(examples, said([[(4, 4, 1.0)]] * 3, [0.0] * 3), {})) == 3


def said(spans: list[list[tuple[int, int, float]]], null: list[float]) -> dict:
    """Outputs in which each window has some spans, padded to three."""
    rows = [[*row, *[(0, 0, -np.inf)] * (3 - len(row))] for row in spans]
    start, end, score = (np.array([[entry[k] for entry in row] for row in rows]) for k in range(3))
    return {
        "start": start.astype(np.int32),
        "end": end.astype(np.int32),
        "score": score.astype(np.float32),
        "null": np.array(null, np.float32),
    }


def test_the_best_span_over_the_windows_is_cut_from_the_text() -> None:
    examples = read([([5, 6, 7], LETTERS, (["E F"], [8])), ([5, 6, 7], "X Y Z", (["Z"], [4]))])
    outputs = said(
        [[(6, 7, 1.0), (6, 6, 0.5)], [(7, 9, 3.0), (6, 6, 2.0)], [(6, 6, 2.5)], [(8, 8, 1.0)]], [9, -1, 4, 5]
    )
    assert span.predictions(examples, outputs, {}).to_pydict() == {
        "id": ["q0", "q1"],
        "prediction": ["E F G", "Z"],
        "score": [4.0, -4.0],
    }
    with_nothing = span.predictions(examples, outputs, {"unanswerable": True})
    assert with_nothing.column("prediction").to_pylist() == ["E F G", ""]
    assert with_nothing.schema.field("score").type == pa.float32()


def test_a_span_without_characters_is_no_answer() -> None:
    rows = table([([5], "A B", NONE)])
    rows = rows.set_column(3, "begins", pa.array([[2, 2]], IDS)).set_column(
        4, "ends", pa.array([[1, 3]], IDS)
    )
    examples = span.read([("en", rows)], recipe(), SPECIALS)
    outputs = said([[(4, 4, 5.0), (5, 5, 1.0)]], [0.0])
    assert span.predictions(examples, outputs, {}).column("prediction").to_pylist() == ["B"]
    nothing = span.predictions(examples, said([[]], [0.0]), {})
    assert nothing.column("prediction").to_pylist() == [""]


def test_outputs_are_the_best_spans_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = read([([5], "A B C", NONE), ([5], "D", NONE)], n_best=3, max_answer_length=2)
    batch = tensors(collate(examples, n_best=3, max_answer_length=2), torch.device("cpu"))
    logits = torch.full((2, 8, 2), 50.0)  # question and padding: high, and not to be chosen
    logits[0, 4:7] = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 4.0]])
    logits[0, 0], logits[1, 0] = torch.tensor([0.5, 0.25]), torch.tensor([1.0, 1.0])
    logits[1, 4] = torch.tensor([1.0, 2.0])
    monkeypatch.setattr(span, "_logits", lambda *_: logits)
    outputs = span.outputs(None, None, batch)
    # 4 to 6 would be the best with 7.0, but has three pieces
    assert list(zip(outputs["start"][0], outputs["end"][0], outputs["score"][0], strict=True)) == [
        (4, 5, 5.0),
        (5, 6, 5.0),
        (6, 6, 4.0),
    ]
    assert outputs["score"][1].tolist() == [3.0, -np.inf, -np.inf]
    assert outputs["null"].tolist() == [0.75, 2.0] and outputs["start"].shape == (2, 3)


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 6))
def test_with_enough_candidates_the_best_span_of_all_is_found(seed: int, size: int, longest: int) -> None:
    random = np.random.default_rng(seed)
    examples = read([([5], " ".join("ABCDEFGHIJKL"[:size]), NONE)], max_length=20)
    batch = tensors(
        collate(examples, max_length=20, n_best=20, max_answer_length=longest), torch.device("cpu")
    )
    logits = random.normal(size=(1, batch["input_ids"].shape[1], 2)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(span, "_logits", lambda *_: torch.from_numpy(logits))
        outputs = span.outputs(None, None, batch)
    best = max(
        logits[0, 4 + a, 0] + logits[0, 4 + b, 1]
        for a, b in itertools.product(range(size), repeat=2)
        if a <= b < a + longest
    )
    assert outputs["score"][0, 0] == best


def test_the_head_is_xlmrs_and_only_the_context_can_answer() -> None:
    from torch.nn.functional import cross_entropy
    from transformers import XLMRobertaConfig, XLMRobertaForQuestionAnswering

    config = XLMRobertaConfig(
        hidden_size=8, vocab_size=50, num_attention_heads=1, num_hidden_layers=1, intermediate_size=8
    )
    theirs = XLMRobertaForQuestionAnswering(config).eval()
    ours = span.head(config, {}).eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    ours.qa_outputs.load_state_dict(theirs.qa_outputs.state_dict())
    batch = tensors(collate(read([([5, 6], "A B C", (["B C"], [2])), ([7], "D", NONE)])), torch.device("cpu"))
    expected = theirs(batch["input_ids"], attention_mask=batch["attention_mask"])
    losses = []
    for logits, side in ((expected.start_logits, "starts"), (expected.end_logits, "ends")):
        rows = [([0, 5, 6, 7], [0, 5, 6, 7].index(int(batch[side][0]))), ([0, 4], 0)]
        losses += [
            cross_entropy(logits[row, places], torch.tensor(gold)) for row, (places, gold) in enumerate(rows)
        ]
    assert torch.allclose(span.loss(theirs.roberta, ours, batch), sum(losses) / 4)


def test_score_counts_matches_and_overlap() -> None:
    rows = [
        ([5], "A B C D", (["B C"], [2])),
        ([5], "A B", (["A", "B"], [0, 2])),
        ([5], "東 京 X", (["東 京"], [0])),
    ]
    examples = read(rows)
    right = said([[(5, 6, 1.0)], [(5, 5, 1.0)], [(4, 5, 1.0)]], [9.0] * 3)
    assert span.score(examples, right) == 1.0 and not span.collapsed(examples, right)
    half = said([[(6, 7, 1.0)], [(5, 5, 1.0)], [(6, 6, 1.0)]], [9.0] * 3)
    assert span.score(examples, half) == pytest.approx((0.25 + 1 + 0) / 3)
    part = span.subset(examples, np.array([1]))
    assert span.score(part, said([[(5, 5, 1.0)]], [9.0])) == 1.0


def test_no_answer_is_an_answer_where_questions_may_lack_one() -> None:
    examples = read([([5], "A B", (["B"], [2])), ([5], "A B", NONE)])
    assert span.score(examples, said([[(5, 5, 2.0)], [(4, 4, 1.0)]], [1.0, 1.5])) == 1.0
    nothing = said([[(5, 5, 2.0)], [(4, 4, 1.0)]], [3.0, 1.5])
    assert span.score(examples, nothing) == 0.5 and span.collapsed(examples, nothing)


def test_an_epoch_holds_every_window_once_in_an_order_of_its_own() -> None:
    examples = read([([5, 6, 7], LETTERS, NONE)] * 3)
    first, again, second = (
        np.concatenate(span.epoch(examples, recipe(), n, 1, "t")).tolist() for n in (0, 0, 1)
    )
    assert sorted(first) == list(range(9)) and first == again != second


def test_a_toy_task_is_learned() -> None:
    """The answer is the capital letter that the question names and the one after it; X asks for nothing."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(96):
        letters = random.permutation(list("ABCDEFGH")).tolist()
        place = int(random.integers(0, 7))
        asked = letters[place] if number % 4 else "X"
        gold = (["{} {}".format(*letters[place : place + 2])], [2 * place]) if number % 4 else NONE
        rows.append(([ord(asked) - 40], " ".join(letters), gold))
    options = recipe(max_length=11, doc_stride=3, batch_size=16)  # windows of six: some without the answer
    examples = span.read([("en", table(rows))], options, SPECIALS)
    encoder = encoders.create({**ARCHITECTURE, "layers": 2, "width": 32, "dropout": 0.0}, SPECIALS, 1)
    settle(1)
    torch.manual_seed(1)
    head = span.head(encoder.config, {})
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], 3e-3)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 480)
    losses = []
    for number in range(40):
        for batch_rows in span.epoch(examples, options, number, 1):
            loss = span.loss(
                encoder, head, tensors(span.collate(examples, batch_rows, options, 1), torch.device("cpu"))
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
            losses.append(float(loss.detach()))
    outputs = infer(span, examples, encoder, head, options, lambda: False)
    assert len(examples) > 96 and losses[0] > 1 and losses[-1] < 0.05
    assert span.score(examples, outputs) == 1.0
    answers = span.predictions(examples, outputs, {"unanswerable": True}).column("prediction").to_pylist()
    assert answers == [texts[0] if texts else "" for _, _, (texts, _) in rows]


@pytest.fixture(scope="module")
def xquad(mirror: Path) -> dict[str, pa.Table]:
    tables = {}
    for language in ("ar", "zh", "th", "hi"):
        rows = pq.read_table(next((mirror / f"google/xquad/xquad.{language}").glob("validation-*.parquet")))
        answers = rows.column("answers").to_pylist()
        rows = pa.table(
            {
                **{name: rows.column(name) for name in ("id", "context", "question")},
                "answers": pa.array([answer["text"] for answer in answers], TEXTS),
                "starts": pa.array([answer["answer_start"] for answer in answers], IDS),
            }
        )
        tables[language] = span.canonical({"": rows}, f"xquad {language}")
    return tables


def test_gold_answers_come_back_from_their_pieces(xquad: dict[str, pa.Table]) -> None:
    """What differs has a border of the answer inside a piece, such as the bracket of "(118" before 118."""
    texts = [text for table in xquad.values() for text in table.slice(0, 300).column("context").to_pylist()]
    fast = trainer.convert(_proto(trainer.learn(list(dict.fromkeys(texts)), 2500, 0.999, 1)))
    for language, rows in xquad.items():
        examples = span.read([(language, span.encode(fast, rows, {}))], recipe(max_length=384), SPECIALS)
        starts = [places[0] for places in rows.column("starts").to_pylist()]
        same = scored = 0
        for question, left in enumerate(starts):
            gold, base = examples.answers[question][0], examples.context.offsets[question]
            pieces = base + examples.first[question], base + examples.last[question]
            begin, end = examples.begins[pieces[0]], examples.ends[pieces[1]]
            found = examples.texts[question][begin:end]
            same += found == gold
            scored += normalise(found) == normalise(gold)
            assert begin <= left < examples.ends[pieces[0]]
            assert examples.begins[pieces[1]] < left + len(gold) <= end
        assert same / len(starts) >= 0.98 and scored / len(starts) >= 0.99
        assert len(span.usable(examples)) == len(examples)
