"""XTREME's files: how they are read, what is refused, and how they are written."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import DataError, UsageError
from isthmus.evaluate import official
from isthmus.evaluate.official import TASKS, files, rows
from isthmus.evaluate.official.files import Answers

UPOS, IOB2 = (TASKS[task].form.names for task in ("udpos", "panx"))

XNLI = TASKS["xnli"].form.names


@pytest.fixture
def score(tmp_path):
    """Score two texts as files."""

    def run(task: str, predicted: str | bytes, gold: str | bytes, language: str = "en") -> official.Scored:
        paths = tmp_path / "predicted", tmp_path / "gold"
        for path, text in zip(paths, (predicted, gold), strict=True):
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return official.score(task, language, *paths)

    return run


def squad(**questions: list[str]) -> str:
    """Gold in SQuAD's format, one paragraph for each question."""
    paragraphs = [
        {
            "context": "",
            "qas": [{"id": name, "question": "", "answers": [{"text": t, "answer_start": 0} for t in texts]}],
        }
        for name, texts in questions.items()
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": paragraphs}]}, indent=1)


# Reading


GOLD = "neutral\nentailment\nneutral\n"


@pytest.mark.parametrize(
    "predicted",
    [
        "neutral\nneutral\nneutral\n",
        "neutral\r\nneutral\r\nneutral\r\n",
        "neutral\rneutral\rneutral",
        "neutral\nneutral\nneutral",
        "neutral  \nneutral\t\n neutral\u00a0",
    ],
)
def test_line_ends_and_blanks_are_tolerated(score, predicted: str) -> None:
    report = score("xnli", predicted, GOLD).report
    assert report == {
        "task": "xnli",
        "language": "en",
        "n": 3,
        "metrics": {"accuracy": pytest.approx(200 / 3)},
    }


@pytest.mark.parametrize(
    ("task", "predicted", "gold", "line", "what"),
    [
        ("xnli", "neutral\n0\nneutral\n", GOLD, 2, "'0'"),
        ("xnli", "neutral\nEntailment\nneutral\n", GOLD, 2, "one of contradiction, entailment, neutral"),
        ("xnli", "neutral\n\nneutral\n", GOLD, 2, "is blank"),
        ("xnli", GOLD + "\n", GOLD, 4, "is blank"),
        ("xnli", "neutral\nneutral\n", GOLD, 2, "there are 2 labels, and 3"),
        ("xnli", GOLD + "neutral\n", GOLD, 4, "there are 4 labels, and 3"),
        ("xnli", "", GOLD, 1, "there are 0 labels"),
        ("xnli", b"\xef\xbb\xbf" + GOLD.encode(), GOLD, 1, "byte-order mark"),
        ("xnli", b"neutral\nneutral\n\xff\n", GOLD, 3, "not UTF-8"),
        ("xnli", GOLD.encode("utf-16"), GOLD, 1, "not UTF-8"),
        ("xnli", "neutral\u2028neutral\nneutral\n", GOLD, 1, "none|must be"),
        ("pawsx", "0\n2\n", "0\n1\n", 2, "one of 0, 1"),
        ("tatoeba", "0\n[1]\n", "0\n1\n", 2, "one integer"),
        ("tatoeba", "0\n1.0\n", "0\n1\n", 2, "one integer"),
        ("tatoeba", "0\n01\n", "0\n1\n", 2, "one integer"),
        ("tatoeba", "0\n١\n", "0\n1\n", 2, "one integer"),
        ("xcopa", '{"label": 0}\n{"lable": 1}\n', "0\n1\n", 2, 'the key "label"'),
        ("xcopa", '{"label": 0}\n{"label": 1\n', "0\n1\n", 2, 'the key "label"'),
        ("xcopa", '{"label": 0}\n{"label": true}\n', "0\n1\n", 2, "one of 0, 1"),
        ("udpos", "NOUN\nverb\n", "NOUN\nVERB\n", 2, "one of the 18 tags"),
        ("udpos", "NOUN VERB\n", "NOUN\nVERB\n", 1, "one of the 18 tags"),
        ("panx", "O\nB-MISC\n", "O\nO\n", 2, "one of the 7 tags"),
        ("udpos", "NOUN\n\nVERB\n", "NOUN\nVERB\n", 3, "there are 2 sentences, and 1"),
        ("udpos", "NOUN\n\n\nVERB\n", "NOUN\n\nVERB\n", 4, "there are 3 sentences, and 2"),
        ("udpos", "X\n\nNOUN\nVERB\n", "X\n\nNOUN\n", 3, "sentence 2 has 2 tags, and 1"),
        ("bucc", "de-1\ten-1\nde-2 en-2\n", "de-1\ten-1\n", 2, "has 1 fields"),
        ("bucc", "de-1\ten-1\t0.9\n", "de-1\ten-1\n", 1, "has 3 fields"),
        ("bucc", "de-1\t\n", "de-1\ten-1\n", 1, "has 1 fields"),
        ("xquad", '{"q": "x"\n "r": "y"}', squad(q=["x"]), 2, "not JSON"),
        ("xquad", '[\n"x"]', squad(q=["x"]), 1, "one JSON object"),
        ("xquad", '{"q": "x",\n"r": 3}', squad(q=["x"]), 2, "'r' is 3"),
        ("xquad", '{"q": "x",\n"r": null}', squad(q=["x"]), 2, "'r' is None"),
        ("xquad", "[" * 100_000, squad(q=["x"]), 1, "not JSON"),
        ("xquad", b'\xef\xbb\xbf{"q": "x"}', squad(q=["x"]), 1, "byte-order mark"),
    ],
)
def test_what_is_malformed_is_one_line_with_file_and_line(
    score, tmp_path: Path, task: str, predicted: str, gold: str, line: int, what: str
) -> None:
    with pytest.raises(DataError, match=what) as caught:
        score(task, predicted, gold)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'predicted'}:{line}: ") and "\n" not in message


@pytest.mark.parametrize(
    ("gold", "what"),
    [
        (squad(q=[]), "'q' has no answer"),
        ('{"data": []}', "nothing to score"),
        ('{"data": {}}', "data must be a list of objects"),
        ('{"q": "x"}', "data must be a list of objects"),
        ('{"data": [{"paragraphs": 1}]}', r"data\[0\].paragraphs must be a list"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": 1}]}]}]}', r"qas\[0\] has no id"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": "q"}]}]}]}', "answers must be a list"),
        ('{"data": [{"paragraphs": [{"qas": [{"id": "q", "answers": [{}]}]}]}]}', "'q' has no answer"),
    ],
)
def test_gold_that_is_not_squads_is_refused(score, tmp_path: Path, gold: str, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        score("xquad", '{"q": "x"}', gold)
    assert str(caught.value).startswith(f"{tmp_path / 'gold'}:")


@pytest.mark.parametrize("task", ["xnli", "udpos", "bucc", "tatoeba"])
def test_empty_gold_is_no_score(score, task: str) -> None:
    with pytest.raises(DataError, match="gold:1: there is nothing to score"):
        score(task, "", "")


def test_what_is_asked_for_wrongly_is_the_command_lines_fault(score, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no official scorer for 'xnl'.*xnli, pawsx"):
        score("xnl", "", "")
    with pytest.raises(UsageError, match="cannot be read"):
        official.score("xnli", "en", tmp_path / "gone", tmp_path / "gone")
    with pytest.raises(UsageError, match="cannot be read"):
        official.score("xnli", "en", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="no rules for sw"):
        score("mlqa", '{"q": "x"}', squad(q=["x"]), "sw")


def test_only_the_end_of_a_line_ends_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("a\u2028b\x0bc\n\x1cd\r\n".encode())
    assert files.lines(path) == ["a\u2028b\x0bc", "d"]


# Writing


LABELS = {"xnli": XNLI, "pawsx": ("0", "1"), "xcopa": ("0", "1"), "tatoeba": tuple(map(str, range(50)))}
IDS = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r"), min_size=1).filter(
    lambda text: text == text.strip() != ""
)


@pytest.mark.parametrize("task", LABELS)
def test_labels_come_back_as_they_were_written(tmp_path_factory, task: str) -> None:
    path, form = tmp_path_factory.mktemp("out") / "f", TASKS[task].form

    @given(st.lists(st.sampled_from(LABELS[task])))
    def holds(labels: list[str]) -> None:
        path.write_text(form.write(labels), encoding="utf-8")
        assert form.read(path).values == labels

    holds()


@pytest.mark.parametrize(("task", "names"), [("udpos", UPOS), ("panx", IOB2)])
def test_tags_come_back_as_they_were_written(tmp_path_factory, task: str, names: tuple[str, ...]) -> None:
    path, form = tmp_path_factory.mktemp("out") / "f", TASKS[task].form

    @given(st.lists(st.lists(st.sampled_from(names), min_size=1)))
    def holds(sentences: list[list[str]]) -> None:
        text = form.write(sentences)
        for end in ("", "\n") if sentences else ("",):  # one blank line at the end does no harm
            path.write_text(text + end, encoding="utf-8")
            found = form.read(path)
            assert found.values == sentences
        lines = text.split("\n")
        assert [lines[line - 1] for line in found.lines] == [sentence[0] for sentence in sentences]

    holds()


def test_texts_and_pairs_come_back_as_they_were_written(tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("out") / "f"

    @given(st.dictionaries(st.text(), st.text()), st.lists(st.tuples(IDS, IDS)))
    def holds(texts: dict[str, str], pairs: list[tuple[str, str]]) -> None:
        path.write_text(TASKS["mlqa"].form.write(list(texts.items())), encoding="utf-8")
        assert dict(TASKS["mlqa"].form.read(path).values) == texts and path.read_bytes().isascii()
        path.write_text(TASKS["bucc"].form.write(pairs), encoding="utf-8", newline="\n")
        assert TASKS["bucc"].form.read(path).values == pairs

    holds()


def test_where_a_file_stands() -> None:
    places = {name: task.file("de") for name, task in TASKS.items()}
    assert places["xnli"] == "xnli/test-de.tsv" and places["bucc"] == "bucc2018/test-de.tsv"
    assert places["xcopa"] == "xcopa/test-de.jsonl" and places["tydiqa"] == "tydiqa/test-de.json"
    assert places["udpos_38"] == places["udpos"] and places["wikiann_48"] == places["panx"]


# From the project's own rows


def test_labels_are_named_as_xtreme_names_them() -> None:
    hub = ["entailment", "neutral", "contradiction"]
    table = pa.table({"id": ["0", "1", "2"], "label": [2, -1, 0]})
    assert rows.gold(TASKS["xnli"].form, table, hub, "w") == ["contradiction", None, "entailment"]
    assert rows.gold(TASKS["xcopa"].form, pa.table({"label": [1, 0]}), ["choice1", "choice2"], "w") == [
        "1",
        "0",
    ]
    tags = pa.table({"tags": pa.array([[1, -1]], pa.list_(pa.int32()))})
    assert rows.gold(TASKS["panx"].form, tags, list(IOB2), "w") == [["B-PER", None]]
    with pytest.raises(DataError, match="the labels YES"):
        rows.gold(TASKS["xnli"].form, table, ["YES", "neutral"], "w")
    with pytest.raises(DataError, match="no labels"):
        rows.gold(TASKS["panx"].form, tags, None, "w")


def pool(english: list[str], matches: list[int | None]) -> pa.Table:
    """Aligned rows: English texts, and for each the place of its translation."""
    n = len(english)
    back = {there: here for here, there in enumerate(matches) if there is not None}
    theirs = [[f"b-{back[place]}"] if place in back else [] for place in range(n)]
    mine = [[] if place is None else [f"a-{place}"] for place in matches]
    return pa.table(
        {
            "id": [f"{side}-{row}" for side in "ab" for row in range(n)],
            "side": pa.array([0] * n + [1] * n, pa.int32()),
            "text": [f"x{row}" for row in range(n)] + english,
            "matches": pa.array(theirs + mine, pa.list_(pa.string())),
        }
    )


def test_tatoebas_english_sentences_are_sorted_by_code_point_and_ties_stay() -> None:
    english = ["b", "a", " Z", "é", "a", "\U0001f600", "\uffff"]
    table = pool(english, [0, 1, 2, 3, 4, 5, 6])
    # Z, a, a, b, é, U+FFFF, U+1F600: capitals first, and code points, not bytes of UTF-16
    assert rows.gold(TASKS["tatoeba"].form, table, None, "w") == ["2", "1", "4", "0", "3", "6", "5"]
    without = pool(["b", "a"], [None, 1])
    assert rows.gold(TASKS["tatoeba"].form, without, None, "w") == ["1", None]


def test_tatoebas_predictions_are_places_in_the_other_file() -> None:
    data = {"test": pool(["c", "a", "b"], [0, 1, 2])}
    layers = [
        [0, 0, 0],
        [2, 1, 0],
    ]  # what each layer answers to the sentences as they stand; the second counts
    said = [
        (f"b-{n}", layer, f"a-{place}", 0.5)
        for layer, places in enumerate(layers)
        for n, place in enumerate(places)
    ]
    names = ("id", "layer", "candidate", "score")
    table = pa.table(dict(zip(names, map(list, zip(*said, strict=True)), strict=True)))
    spec = {"target": "tatoeba", "language": "de", "split": "test"}
    found = rows.predictions(TASKS["tatoeba"].form, data, {"test": table}, spec)
    assert found == ["1", "0", "2"]  # to a, b, c
    gold = Answers("g", rows.gold(TASKS["tatoeba"].form, data["test"], None, "w"))
    assert gold.values == ["1", "2", "0"]
    score = TASKS["tatoeba"].form.score(gold, Answers("p", found), "de")
    assert score.n == 3 and score.metrics == {"accuracy": pytest.approx(100 / 3)}


def mined(*layers: list[tuple[int, int, float]]) -> pa.Table:
    said = [(f"x{a}", layer, f"e{b}", score) for layer, found in enumerate(layers) for a, b, score in found]
    names, types = ("id", "layer", "candidate", "score"), (pa.string(), pa.int32(), pa.string(), pa.float32())
    columns = zip(*said, strict=True)
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def test_buccs_pairs_are_those_of_the_layer_and_threshold_of_dev() -> None:
    sentences = pa.table(
        {
            "id": ["x0", "x1", "x2", "e0", "e1", "e2"],
            "side": pa.array([0, 0, 0, 1, 1, 1], pa.int32()),
            "text": ["."] * 6,
            "matches": pa.array([["e0"], ["e1"], [], ["x0"], ["x1"], []], pa.list_(pa.string())),
        }
    )
    without = sentences.set_column(3, "matches", pa.array([[]] * 6, pa.list_(pa.string())))
    # Layer 1 is right twice before it is wrong: the threshold lies between 1.0 and 0.5.
    dev = mined([(0, 1, 2.0), (1, 0, 1.0)], [(0, 0, 1.5), (1, 1, 1.0), (2, 2, 0.5)])
    test = mined([(0, 1, 9.0)], [(2, 0, 2.0), (1, 1, 0.75), (0, 2, 0.7421875)])
    spec = {"target": "bucc", "language": "de", "split": "test"}
    for data in ({"dev": sentences, "test": sentences}, {"dev": sentences, "test": without}):
        found = rows.predictions(TASKS["bucc"].form, data, {"dev": dev, "test": test}, spec)
        assert found == [("x2", "e0"), ("x1", "e1")]
    with pytest.raises(DataError, match="has no gold pair"):
        rows.predictions(
            TASKS["bucc"].form, {"dev": without, "test": without}, {"dev": dev, "test": test}, spec
        )
    assert rows.gold(TASKS["bucc"].form, sentences, None, "w") == [("x0", "e0"), ("x1", "e1")]


def test_predictions_stand_in_the_order_of_the_data() -> None:
    data = {"test": pa.table({"id": ["x", "y", "z"], "label": [0, 1, 2]})}
    predicted = {"test": pa.table({"id": ["z", "x", "y"], "prediction": [0, 1, 2]})}
    spec = {"target": "xnli", "language": "de", "split": "test", "labels": list(XNLI)}
    found = rows.predictions(TASKS["xnli"].form, data, predicted, spec)
    assert found == ["entailment", "neutral", "contradiction"]
    texts = {"test": pa.table({"id": ["z", "x", "y"], "prediction": ["Z", "", "Y"]})}
    assert rows.predictions(TASKS["xquad"].form, data, texts, spec) == [("x", ""), ("y", "Y"), ("z", "Z")]
    with pytest.raises(DataError, match="do not hold the same examples"):
        rows.predictions(TASKS["xnli"].form, data, {"test": predicted["test"].slice(1)}, spec)
