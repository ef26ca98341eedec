"""Texts as answers, by SQuAD's rules and by MLQA's. The expected numbers are worked out by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import DataError, UsageError
from isthmus.evaluate import metrics, overlap
from isthmus.evaluate.metrics import answers, answers_by_language
from tests.conftest import environment

LANGUAGES = json.loads(answers_by_language.RULES.read_text())


def score(metric, gold: list[list[str]], predicted: list[str], language: str = "en"):
    ids = [f"q{n}" for n in range(len(gold))]
    mine = pa.table({"id": ids, "answers": pa.array(gold, pa.list_(pa.string()))})
    theirs = pa.table({"id": ids, "prediction": pa.array(predicted, pa.string())})
    spec = {"target": "qa", "language": language, "split": "test"}
    return metric.score({"test": mine}, {"test": theirs.take(list(range(len(ids)))[::-1])}, spec)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat, a DOG!", "cat dog"),
        ("an apple-pie", "applepie"),
        ("theatre's a.m.", "theatres am"),
        ("a.n. other", "other"),  # punctuation goes first: "an" is what is left
        ("Das Haus", "das haus"),  # articles of English only
        ("“Zitat”", "“zitat”"),  # ASCII punctuation only
        ("中国。", "中国。"),
        ("a\u00a0b", "b"),
        (
            "कीa\u0301b",
            "की \u0301b",
        ),  # a mark is no letter, so an article ends there; a space takes its place
        ("", ""),
    ],
)
def test_squads_normalisation(text: str, expected: str) -> None:
    assert answers.normalise(text) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "The “Cat”, a DOG—", "cat dog"),
        ("en", "l'une des", "lune des"),
        ("es", "¿Las casas de la Una?", "casas de"),
        ("es", "lasaña", "lasaña"),
        ("de", "Einem Mann des Dorfes; eines", "mann dorfes"),
        ("vi", "Những con mèo của tôi là", "con mèo tôi"),
        ("hi", "एक घर। the", "एक घर the"),
        ("ar", "المعلم، في القلم", "معلم في قلم"),
        ("ar", "مقالات", "مق ات"),  # inside a word too, and it is cut there
        ("zh", "在 2008年，北京奥运会 Beijing 2008。", "在 2008 年 北 京 奥 运 会 beijing 2008"),
        ("zh", "the 㐀龦x", "the 㐀龦x"),  # outside U+4E00 to U+9FA5
        ("zh", "·", ""),
    ],
)
def test_mlqas_normalisation(language: str, text: str, expected: str) -> None:
    assert answers_by_language.normalise(text, language) == expected


@pytest.mark.parametrize(
    "normalise", [answers.normalise, *(lambda t, k=k: answers_by_language.normalise(t, k) for k in LANGUAGES)]
)
def test_what_is_normal_has_single_spaces_and_no_capitals(normalise) -> None:
    @given(st.text())
    def holds(text: str) -> None:
        assert normalise(text) == " ".join(normalise(text).split())
        assert normalise(text) == normalise(f" {text}\t")

    holds()


def test_a_language_without_rules_is_named() -> None:
    with pytest.raises(UsageError, match="no rules for sw; it has them for ar, de, en, es, hi, vi, zh"):
        score(answers_by_language, [["a"]], ["a"], "sw")


@pytest.mark.parametrize(
    ("golds", "predicted", "f1", "exact"),
    [
        (["The cat"], "a cat.", 1, 1),
        (["the big cat"], "big dog", 0.5, 0),  # one of two and one of two
        (["x y z"], "x", 0.5, 0),  # precision 1, recall 1/3
        (["x x y"], "x x x", 2 / 3, 0),  # a word counts as often as it stands on both sides
        (["one", "one two"], "one two", 1, 1),
        (["a b c d", "c"], "b c d e", 6 / 7, 0),  # "b c d" against "b c d e": the article is gone
        (["東京都"], "東京", 0, 0),  # no spaces, no overlap
        (["the"], "a", 0, 1),  # both come out empty
        (["x"], "", 0, 0),
        ([], "", 1, 1),
        ([], "the", 1, 1),
        ([], "x", 0, 0),
    ],
)
def test_f1_and_exact_match_of_one_question(
    golds: list[str], predicted: str, f1: float, exact: float
) -> None:
    scored = score(answers, [golds, ["never"]], [predicted, "ever"])
    assert scored.parts.tolist() == [[pytest.approx(f1), exact], [0, 0]]


def test_mlqa_counts_characters_of_chinese() -> None:
    parts = score(answers_by_language, [["北京市", "天津"]], ["北京"], "zh").parts.tolist()
    assert parts == [[pytest.approx(0.8), 0]]
    assert score(answers, [["北京市"]], ["北京"], "zh").parts.tolist() == [[0, 0]]


def test_the_article_alone_is_right_but_shares_nothing() -> None:
    assert score(answers_by_language, [["una"]], ["una"], "es").parts.tolist() == [[0, 1]]


def test_f1_and_exact_match_are_two_means() -> None:
    scored = score(answers, [["x y"], ["z", "w"], ["q"]], ["x", "w", "r"])
    assert scored.ids == ["q0", "q1", "q2"] and scored.rows == 3
    values = answers.values(scored.parts.mean(axis=0))
    assert list(values) == list(answers.NAMES)
    assert values["f1"] == pytest.approx(5 / 9) and values["exact_match"] == pytest.approx(1 / 3)
    assert values["f1_em"] == pytest.approx(4 / 9)
    low, high = answers.interval(scored.parts, "a")
    assert 0 <= low <= 4 / 9 <= high <= 1


def test_the_floor_is_that_of_the_empty_answer() -> None:
    assert score(answers, [["x"], ["y"]], ["x", "y"]).floor == 0
    assert score(answers, [["x"], [], [], []], ["x", "", "", ""]).floor == 0.75
    assert score(answers_by_language, [["una"], ["x"]], ["x", "x"], "es").floor == 0.25


def test_a_split_without_any_answer_has_no_gold() -> None:
    scored = score(answers, [[], []], ["", "x"])
    assert scored.ids == [] and scored.floor is None and scored.rows == 2 and scored.parts.shape == (0, 2)


def test_other_questions_are_refused() -> None:
    gold = pa.table({"id": ["a"], "answers": pa.array([["x"]], pa.list_(pa.string()))})
    spec = {"target": "qa", "language": "en", "split": "test"}
    for theirs in (
        {"id": ["b"], "prediction": ["x"]},
        {"id": ["a"], "prediction": pa.array([None], pa.string())},
    ):
        with pytest.raises(DataError, match="qa/en test"):
            answers.score({"test": gold}, {"test": pa.table(theirs)}, spec)


@given(st.text(), st.text())
def test_overlap_is_symmetric_and_full_for_equal_texts(left: str, right: str) -> None:
    assert overlap.f1(left, right) == pytest.approx(overlap.f1(right, left))
    assert 0 <= overlap.f1(left, right) <= 1
    assert overlap.f1(left, left) == (1.0 if left.split() else 0.0)


def test_scoring_imports_neither_torch_nor_pandas(tmp_path: Path) -> None:
    gold = {"id": ["a"], "answers": pa.array([["x"]], pa.list_(pa.string())), "tags": [[1]]}
    tables = {
        "gold": gold,
        "text": {"id": ["a"], "prediction": ["x"]},
        "tags": {"id": ["a"], "prediction": [[1]]},
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    code = (
        "import sys, pyarrow.parquet as pq\n"
        "from isthmus.evaluate.metrics import answers, answers_by_language, chunks\n"
        "spec = {'target': 't', 'language': 'en', 'split': 's', 'labels': ['O', 'B']}\n"
        "read = lambda name: {'s': pq.ParquetFile(f'{sys.argv[1]}/{name}.parquet').read()}\n"
        "for metric, said in ((answers, 'text'), (answers_by_language, 'text'), (chunks, 'tags')):\n"
        "    scored = metric.score(read('gold'), read(said), spec)\n"
        "    metric.interval(scored.parts, 'n')\n"
        "print([name for name in ('torch', 'pandas', 'transformers') if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_metrics_are_found_by_name() -> None:
    assert metrics.load("answers").NAMES == metrics.load("answers_by_language").NAMES
