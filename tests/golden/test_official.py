"""What XTREME's own scorers give, by hand and by slow readings of their rules, through the files and the command."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import DataError, HubError, UsageError
from isthmus.evaluate import official
from isthmus.evaluate.metrics import answers_by_language
from isthmus.evaluate.official import TASKS
from isthmus.evaluate.official.files import Answers
from isthmus.evaluate.official.forms import Tags
from isthmus.evaluate.overall import BENCHMARKS
from tests.conftest import environment

UPOS, IOB2 = (TASKS[task].form.names for task in ("udpos", "panx"))


def metrics(task: str, gold: list, said: list, language: str = "en") -> dict[str, float]:
    return TASKS[task].form.score(Answers("gold", gold), Answers("said", said), language).metrics


def sentences(text: str) -> list[list[str]]:
    return [part.split() for part in text.split("|")]


# Tags


@pytest.mark.parametrize(
    ("task", "gold", "said", "hits", "predicted", "right", "correct", "words"),
    [
        # one wrong tag in a run of nouns loses the run, though two of three words are right
        ("udpos", "NOUN NOUN VERB", "NOUN NOUN NOUN", 0, 1, 2, 2, 3),
        ("udpos", "SCONJ SCONJ", "SCONJ CCONJ", 1, 2, 2, 1, 2),  # tags with S never merge
        ("udpos", "CCONJ", "SCONJ", 0, 1, 1, 0, 1),  # later versions of seqeval take these for the same
        ("udpos", "NOUN|NOUN", "NOUN|NOUN", 2, 2, 2, 2, 2),  # no chunk goes on into the next sentence
        ("panx", "B-PER I-PER O", "I-PER I-PER O", 1, 1, 1, 2, 3),  # an I- may begin a chunk
        ("panx", "B-PER B-PER", "B-PER I-PER", 0, 1, 2, 1, 2),
        ("panx", "B-PER I-LOC O", "B-PER I-PER O", 0, 1, 2, 2, 3),
        ("panx", "O O", "O O", 0, 0, 0, 2, 2),
    ],
)
def test_chunks_by_hand(task, gold, said, hits, predicted, right, correct, words) -> None:
    found = metrics(task, sentences(gold), sentences(said))
    precision, recall = hits / predicted if predicted else 0, hits / right if right else 0
    assert list(found) == ["f1", "precision", "recall", "token_accuracy"]
    assert found["precision"] == precision * 100 and found["recall"] == recall * 100
    assert found["f1"] == (2 * precision * recall / (precision + recall) * 100 if hits else 0)
    assert found["token_accuracy"] == correct / words * 100


def chunks_of(tags: list[list[str]]) -> set[tuple[str, int, int]]:
    """seqeval 0.0.12's chunks, read one tag after the other: (type, first word, last word)."""
    flat = [tag for sentence in tags for tag in [*sentence, "O"]]
    found, begin, before = set(), 0, ("O", "")
    for place, tag in enumerate([*flat, "O"]):
        now = tag[0], tag.split("-")[-1]
        differ = before[1] != now[1]
        inside = before[0] in "BI" and now[0] in "BSO"
        if before[0] in "ES" or inside or (before[0] not in "O." and differ):
            found.add((before[1], begin, place - 1))
        if now[0] in "BS" or (before[0] in "ESO" and now[0] in "EI") or (now[0] not in "O." and differ):
            begin = place
        before = now
    return found


@pytest.mark.parametrize(("task", "names"), [("udpos", UPOS), ("panx", IOB2)])
def test_chunks_by_a_slow_reading(task: str, names: tuple[str, ...]) -> None:
    word = st.tuples(*[st.sampled_from(names)] * 2)

    @given(st.lists(st.lists(word, min_size=1, max_size=6), min_size=1, max_size=5))
    def holds(pairs: list) -> None:
        gold, said = ([[pair[side] for pair in sentence] for sentence in pairs] for side in range(2))
        mine, theirs = chunks_of(gold), chunks_of(said)
        found, hits = metrics(task, gold, said), len(mine & theirs)
        assert found["precision"] == (hits / len(theirs) * 100 if theirs else 0)
        assert found["recall"] == (hits / len(mine) * 100 if mine else 0)

    holds()


def test_sentences_not_lines_must_match(tmp_path: Path) -> None:
    gold, said = tmp_path / "g", tmp_path / "p"
    gold.write_text("DET\nNOUN\n\nVERB\n")
    for text in ("DET\nNOUN\n\nVERB", "DET\r\nNOUN\r\n\r\nVERB\r\n", "DET\nNOUN\n\nVERB\n\n"):
        said.write_bytes(text.encode())
        assert official.score("udpos", "en", said, gold).report["metrics"]["f1"] == 100
    # a sentence that lacks a word shifts all that follows in 0.0.12, without a word: it is refused here
    said.write_text("DET\n\nNOUN\nVERB\n")
    with pytest.raises(DataError, match="sentence 1 has 1 tags, and 2"):
        official.score("udpos", "en", said, gold)


# Questions


def question(task: str, language: str, said: str | None, *golds: str) -> tuple[float, float]:
    found = metrics(task, [("q", list(golds))], [("q", said)] if said is not None else [], language)
    assert list(found) == ["f1", "exact_match"]
    return found["f1"], found["exact_match"]


@pytest.mark.parametrize(
    ("task", "language", "said", "golds", "f1", "exact"),
    [
        ("xquad", "en", "The cat.", ["a cat"], 100, 100),
        ("xquad", "de", "das Haus", ["Haus"], 200 / 3, 0),  # articles of English alone
        ("mlqa", "de", "das Haus", ["Haus"], 100, 100),
        ("xquad", "zh", "北京", ["北京市"], 0, 0),  # no blanks, no overlap
        ("mlqa", "zh", "北京", ["北京市"], 80, 0),
        ("mlqa", "zh", "《北京》，2008", ["北京 2008"], 100, 100),  # punctuation goes before text is cut
        ("mlqa", "zh", "2008年", ["2008 年"], 100, 100),
        ("tydiqa", "ko", "서울은", ["서울"], 0, 0),
        ("mlqa", "ar", "القلم", ["قلم"], 100, 100),
        ("mlqa", "ar", "مقالات", ["مق ات"], 100, 100),  # every alif with lam is a space, inside words too
        ("mlqa", "es", "una", ["una"], 0, 100),  # both come out empty
        ("xquad", "en", "the", ["an"], 0, 100),
        ("xquad", "en", "", ["x"], 0, 0),
        ("mlqa", "hi", "एक घर।", ["एक घर"], 100, 100),
        ("mlqa", "vi", "những con mèo", ["con mèo"], 100, 100),
        ("xquad", "th", "ที่a", ["ที่"], 100, 100),  # an article's end may be a combining mark
        ("xquad", "en", "b c d e", ["a b c d", "c"], 600 / 7, 0),  # the best of the gold answers
        ("xquad", "en", None, ["x"], 0, 0),
        ("xquad", "en", None, ["the"], 0, 0),  # no prediction is not the empty one
    ],
)
def test_questions_by_hand(task, language, said, golds, f1, exact) -> None:
    assert question(task, language, said, *golds) == (pytest.approx(f1), exact)


def test_missing_questions_count_nothing_and_strangers_do_not_count() -> None:
    gold = [("a", ["x"]), ("b", ["y"]), ("c", ["z z"]), ("d", ["w"])]
    form = TASKS["xquad"].form
    found = form.score(Answers("g", gold), Answers("p", [("e", "x"), ("c", "z"), ("a", "x")]), "en")
    # F1 of "z" is 2/3 (precision 1, recall 1/2)
    assert found.n == 4 and found.metrics == {"f1": 100 * (1 + 2 / 3) / 4, "exact_match": 25}
    assert found.note == "2 of 4 questions have no prediction and count 0"


def test_of_an_id_that_comes_twice_the_last_counts(tmp_path: Path) -> None:
    gold, said = tmp_path / "g", tmp_path / "p"
    paragraph = {"qas": [{"id": "q", "answers": [{"text": "x"}]}]}
    said.write_text('{"q": "y", "q": "x"}')
    for questions in ([paragraph], [paragraph, paragraph]):  # gold that comes twice counts twice
        gold.write_text(json.dumps([{"paragraphs": questions}]))
        report = official.score("tydiqa", "ru", said, gold).report
        assert report["n"] == len(questions) and report["metrics"] == {"f1": 100, "exact_match": 100}


# Pairs and labels


def test_pairs_are_sets_and_a_blank_line_is_a_wrong_one(tmp_path: Path) -> None:
    gold, said = tmp_path / "g", tmp_path / "p"
    gold.write_text("de-1\ten-1\nde-2\ten-2\n")

    def score(text: str) -> tuple[float, ...]:
        said.write_text(text)
        report = official.score("bucc2018", "de", said, gold).report
        assert report["n"] == 2 and list(report["metrics"]) == ["f1", "precision", "recall"]
        return tuple(report["metrics"].values())

    assert score("de-2\ten-2\nde-1\ten-1") == (100, 100, 100)
    assert score("de-1\ten-1\nde-1\ten-1\n") == (2 * 0.5 / 1.5 * 100, 100, 50)
    assert score("de-1\ten-1\n\n") == (50, 50, 50)
    assert score("de-1\ten-1\n\n\n\n") == (50, 50, 50)
    assert score("en-1\tde-1\n") == (0, 0, 0) == score("")


def test_labels_are_compared_as_they_are(tmp_path: Path) -> None:
    gold, said = tmp_path / "g", tmp_path / "p"
    gold.write_text('{"label": 0, "idx": 7}\n{"label": 1}\n1\n')
    said.write_text('{"label": "0"}\n0\n{"label": 1}\n')
    assert official.score("xcopa", "ht", said, gold).report["metrics"] == {"accuracy": 2 / 3 * 100}
    gold.write_text("308\n441\n-1\n")
    said.write_text("308\n440\n0\n")
    assert official.score("tatoeba", "af", said, gold).report["metrics"] == {"accuracy": 1 / 3 * 100}


LABELS = {"xnli": TASKS["xnli"].form.names, "pawsx": "01", "xcopa": "01", "tatoeba": ["0", "7", "12"]}


@pytest.mark.parametrize("task", LABELS)
def test_accuracy_is_the_share_of_equal_lines_whatever_their_order(task: str) -> None:
    @given(st.lists(st.tuples(*[st.sampled_from(list(LABELS[task]))] * 2), min_size=1), st.randoms())
    def holds(pairs: list[tuple[str, str]], dice: random.Random) -> None:
        expected = {"accuracy": sum(a == b for a, b in pairs) / len(pairs) * 100}
        assert metrics(task, *map(list, zip(*pairs, strict=True))) == expected
        dice.shuffle(pairs)
        assert metrics(task, *map(list, zip(*pairs, strict=True))) == expected

    holds()


# The command


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "isthmus", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    (tmp_path / "g").write_text("NOUN\nVERB\n")
    (tmp_path / "p").write_text("NOUN\nX\n")
    files = ("--predictions", "p", "--gold", "g")
    shown = run("score", "--task", "udpos", "--language", "yo", *files, cwd=tmp_path)
    assert shown.returncode == 0 and shown.stderr == "" and shown.stdout.count("\n") == 1
    values = dict.fromkeys(("f1", "precision", "recall", "token_accuracy"), 50.0)
    assert json.loads(shown.stdout) == {"task": "udpos", "language": "yo", "n": 1, "metrics": values}


def test_the_command_says_what_is_wrong_and_with_which_code(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("NOUN\nDOG\n")
    base = ("score", "--task", "udpos", "--language", "yo", "--predictions", "p")
    shown = run(*base, "--gold", "p", cwd=tmp_path)
    assert shown.returncode == 65 and shown.stdout == ""
    assert shown.stderr.startswith("isthmus: p:2: ") and shown.stderr.count("\n") == 1
    (tmp_path / "p").write_text("NOUN\n")
    for arguments in (
        (),
        ("--gold", "p", "--hub", "h"),
        ("--gold", "p", "--split", "test"),
        ("--gold", "no"),
    ):
        assert run(*base, *arguments, cwd=tmp_path).returncode == 2


def heavy(folder: Path, *gold: str) -> str:
    """What scoring a file of Swahili answers imports of what takes long."""
    (folder / "p").write_text("neutral\n")
    arguments = ["score", "--task", "xnli", "--language", "sw", "--predictions", "p", *gold]
    code = (
        f"import sys\nfrom isthmus.cli import main\nassert main({arguments!r}) == 0\n"
        "print(sorted({'torch', 'pandas', 'pydantic', 'snakemake', 'transformers'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()[-1]


def test_scoring_a_file_imports_nothing_heavy(tmp_path: Path) -> None:
    assert heavy(tmp_path, "--gold", "p") == "[]"


# Gold from a hub


def write(folder: Path, hub_id: str, config: str, split: str, columns: dict) -> None:
    path = folder / hub_id / config
    path.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path / f"{split}-00000-of-00001.parquet")


def test_scoring_by_a_hub_imports_nothing_heavy(tmp_path: Path) -> None:
    write(
        tmp_path / "hub", "facebook/xnli", "sw", "test", {"premise": ["a"], "hypothesis": ["b"], "label": [1]}
    )
    assert heavy(tmp_path, "--hub", "hub") == "['pydantic']"  # which reads the catalogue


def test_gold_comes_from_a_hub_in_xtremes_words_and_order(tmp_path: Path) -> None:
    pairs = {"source_sentence": ["eins", "zwei", "drei"], "target_sentence": ["two\n", "One\n", "a three\n"]}
    write(tmp_path, "google/xtreme", "tatoeba.deu", "validation", pairs)
    texts = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [2, 0, -1]}
    write(tmp_path, "facebook/xnli", "de", "test", texts)
    said = tmp_path / "said"
    said.write_text("1\n2\n1\n")  # One, a three, two: the third is wrong
    for split in ("test", "validation"):
        report = official.score("tatoeba", "de", said, None, str(tmp_path), split).report
        assert report["n"] == 3 and report["metrics"] == {"accuracy": 2 / 3 * 100}
    said.write_text("contradiction\nneutral\nneutral\n")
    report = official.score("xnli", "de", said, None, str(tmp_path), "test").report
    assert report["n"] == 2 and report["metrics"] == {"accuracy": 50}  # what has no gold does not count
    for arguments, what in ((("xnli", "xx", "test"), "no language"), (("xnli", "de", "nope"), "no split")):
        task, language, split = arguments
        with pytest.raises(UsageError, match=what):
            official.score(task, language, said, None, str(tmp_path), split)
    with pytest.raises(HubError):
        official.score("xnli", "fr", said, None, str(tmp_path), "test")


def perfect(task: str, gold: list) -> list:
    """The right answers as predictions; where there are several the first, where there is none anything."""
    form = TASKS[task].form
    if form.suffix == "json":
        return [(name, texts[0]) for name, texts in gold]
    if isinstance(form, Tags):
        return [[tag or form.names[0] for tag in tags] for tags in gold]
    return [label or "0" for label in gold]


def constant(task: str, gold: list) -> tuple[list, dict[str, float]]:
    """One and the same answer to everything, and what it must get by a count of the gold."""
    form, n = TASKS[task].form, len(gold)
    if form.suffix == "json":
        return [(name, "") for name, _ in gold], {"f1": 0.0}
    if isinstance(form, Tags):
        words = [tag for tags in gold for tag in tags]
        ((most, count),) = Counter(words).most_common(1)
        return [[most] * len(tags) for tags in gold], {"token_accuracy": count / len(words) * 100}
    ((most, count),) = Counter(gold).most_common(1)
    return [most] * n, {"accuracy": count / n * 100}


# How many languages of each task the mirror of real data has at least; where it lacks one, the error says so.
HELD = {
    "xnli": 15,
    "pawsx": 7,
    "xcopa": 11,
    "udpos": 30,
    "panx": 39,
    "xquad": 11,
    "mlqa": 7,
    "tydiqa": 3,
    "tatoeba": 36,
}


@pytest.mark.parametrize("task", HELD)
def test_gold_and_constant_predictions_on_real_data(mirror: Path, tmp_path: Path, task: str) -> None:
    from isthmus.evaluate.official.hub import gold_of

    form, path, held = TASKS[task].form, tmp_path / "said", []
    tasks = {**BENCHMARKS["xtreme-r"].tasks, **BENCHMARKS["xtreme"].tasks}
    for language in tasks[task]:
        try:
            gold = gold_of(task, language, str(mirror), "test")
        except (HubError, DataError) as error:
            assert str(mirror) in str(error)
            continue
        held.append(language)

        def score(said: list, gold: Answers = gold, language: str = language) -> dict[str, float]:
            path.write_text(form.write(said), encoding="utf-8")
            return form.score(gold, form.read(path), language).metrics

        found = score(perfect(task, gold.values))
        if task == "mlqa":  # an answer that is nothing but an article is an exact match, and shares no word
            bare = sum(not answers_by_language.normalise(texts[0], language) for _, texts in gold.values)
            expected = 100 * (len(gold.values) - bare) / len(gold.values)
            assert found == {"f1": pytest.approx(expected), "exact_match": 100}
        else:
            assert set(found.values()) == {100.0}, language
        said, floor = constant(task, gold.values)
        assert floor.items() <= score(said).items()
    assert len(held) >= HELD[task]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["a", "B", " b", "é", "a", "\u0660"]), min_size=1, max_size=12))
def test_tatoebas_order_is_that_of_the_texts_and_stable(texts: list[str]) -> None:
    from isthmus.evaluate.official import rows

    n = len(texts)
    table = pa.table(
        {
            "id": [f"{side}-{row}" for side in "ab" for row in range(n)],
            "side": pa.array([0] * n + [1] * n, pa.int32()),
            "text": ["x"] * n + texts,
            "matches": [[f"b-{row}"] for row in range(n)] + [[f"a-{row}"] for row in range(n)],
        }
    )
    found = [int(place) for place in rows.gold(TASKS["tatoeba"].form, table, None, "w")]
    pairs = sorted((text.strip(), place) for place, text in enumerate(texts))
    assert found == [place for _, place in pairs]
