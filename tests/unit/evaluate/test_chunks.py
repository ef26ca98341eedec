"""Chunks as seqeval 0.0.12 counts them. The expected numbers are worked out by hand, or by a second, slow reading."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import DataError
from isthmus.evaluate import metrics
from isthmus.evaluate.metrics import chunks

WORD_CLASSES = ["ADJ", "CCONJ", "INTJ", "NOUN", "SCONJ", "SYM", "VERB", "X", "_"]
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PREFIXES = ["O", "B-A", "I-A", "E-A", "S-A", "B-B", "I-B", "E-B", "S-B", ".", "S\\NP", "N/N", "I-a-B"]


def counts(gold: list[str], predicted: list[str], labels: list[str]) -> list[list[int]]:
    """Counts of sentences given as texts of tags."""
    sides = [
        [np.array([labels.index(tag) for tag in text.split()]) for text in side] for side in (gold, predicted)
    ]
    return chunks.counts(*sides, labels).astype(int).tolist()


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        # true, predicted and gold chunks, correct words, words
        ("NOUN VERB", "NOUN VERB", [2, 2, 2, 2, 2]),
        (
            "NOUN NOUN VERB",
            "NOUN NOUN NOUN",
            [0, 1, 2, 2, 3],
        ),  # equal neighbours are one chunk: it is lost whole
        ("NOUN NOUN NOUN VERB", "NOUN NOUN VERB VERB", [0, 2, 2, 3, 4]),
        ("SCONJ SCONJ", "SCONJ CCONJ", [1, 2, 2, 1, 2]),  # but not those with an S
        ("SYM SYM NOUN", "SYM SYM NOUN", [3, 3, 3, 3, 3]),
        ("SCONJ", "CCONJ", [0, 1, 1, 0, 1]),  # whole tags are compared: later versions cut the first letter
        ("INTJ INTJ", "INTJ INTJ", [1, 1, 1, 2, 2]),
        ("X _ X", "X X X", [0, 1, 3, 2, 3]),
    ],
)
def test_bare_tags_merge_with_their_neighbours(gold: str, predicted: str, expected: list[int]) -> None:
    assert counts([gold], [predicted], WORD_CLASSES) == [expected]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ("B-PER I-PER O B-LOC", "B-PER I-PER O O", [1, 1, 2, 3, 4]),
        ("B-PER I-PER O I-LOC", "I-PER I-PER O B-LOC", [2, 2, 2, 2, 4]),  # an I- may begin a chunk
        ("B-PER B-PER", "B-PER I-PER", [0, 1, 2, 1, 2]),
        ("B-PER I-LOC", "B-PER I-PER", [0, 1, 2, 1, 2]),
        ("O O", "O O", [0, 0, 0, 2, 2]),
        ("B-LOC I-LOC I-LOC", "B-LOC I-LOC O", [0, 1, 1, 2, 3]),
    ],
)
def test_entities_are_counted_whole(gold: str, predicted: str, expected: list[int]) -> None:
    assert counts([gold], [predicted], ENTITIES) == [expected]


def test_ends_and_single_words_close_a_chunk() -> None:
    assert counts(["B-A I-A E-A I-A"], ["B-A I-A I-A I-A"], PREFIXES) == [[0, 1, 2, 3, 4]]
    assert counts(["S-A I-A . S-A"], ["S-A S-A O S-A"], PREFIXES) == [[3, 3, 3, 2, 4]]


def by_hand(sentences: list[list[str]]) -> set[tuple[str, int, int]]:
    """The chunks of all sentences as one sequence with an O behind each, letter by letter of the rule."""
    sequence = [tag for sentence in sentences for tag in (*sentence, "O")]
    found, begin, before, kind_before = set(), 0, "O", "O"
    for place, tag in enumerate(sequence):
        letter, kind = tag[0], tag.split("-")[-1]
        changed = kind != kind_before
        closed = before in "ES" or (before in "BI" and letter in "BSO") or (before not in "O." and changed)
        if closed:
            found.add((kind_before, begin, place - 1))
        if letter in "BS" or (before in "ESO" and letter in "EI") or (letter not in "O." and changed):
            begin = place
        before, kind_before = letter, kind
    return found


def tagged(labels: list[str]) -> st.SearchStrategy:
    pair = st.tuples(st.integers(0, len(labels) - 1), st.integers(0, len(labels) - 1))
    return st.lists(st.lists(pair, min_size=1, max_size=8), min_size=1, max_size=5)


@pytest.mark.parametrize(
    "labels", [WORD_CLASSES, ENTITIES, PREFIXES], ids=["classes", "entities", "prefixes"]
)
def test_sentence_by_sentence_is_what_all_sentences_together_are(labels: list[str]) -> None:
    @given(tagged(labels))
    def holds(sentences: list[list[tuple[int, int]]]) -> None:
        sides = [[np.array([pair[side] for pair in pairs]) for pairs in sentences] for side in range(2)]
        parts = chunks.counts(*sides, labels)
        gold, predicted = (by_hand([[labels[tag] for tag in tags] for tags in side]) for side in sides)
        assert parts.sum(axis=0)[:3].tolist() == [len(gold & predicted), len(predicted), len(gold)]
        one_by_one = [chunks.counts([mine], [theirs], labels)[0] for mine, theirs in zip(*sides, strict=True)]
        assert parts.tolist() == np.stack(one_by_one).tolist()
        assert parts[:, 4].tolist() == [len(pairs) for pairs in sentences]
        constant = [by_hand([[label] * len(pairs) for pairs in sentences]) for label in labels]
        best = max(2 * len(gold & own) / max(1, len(gold) + len(own)) for own in constant)
        assert chunks.floor(sides[0], labels) == pytest.approx(best)

    holds()


LISTS = pa.list_(pa.int32())


def score(gold: list[list[int]], predicted: list[list[int]], order: tuple = (), labels: list = WORD_CLASSES):
    ids = [f"s{n}" for n in range(len(gold))]
    mine = pa.table({"id": ids, "tags": pa.array(gold, LISTS)})
    theirs = pa.table({"id": ids, "prediction": pa.array(predicted, LISTS)})
    spec = {"target": "udt", "language": "en", "split": "test", "labels": labels}
    return chunks.score({"test": mine}, {"test": theirs.take(list(order)) if order else theirs}, spec)


def test_sentences_are_joined_by_id_and_words_without_gold_left_out() -> None:
    scored = score([[3, 3, 6], [-1, -1], [3, -1, 3]], [[3, 3, 3], [0, 0], [3, 6, 3]], (2, 0, 1))
    assert scored.ids == ["s0", "s2"] and scored.rows == 3
    assert scored.parts.tolist() == [[0, 1, 2, 2, 3], [1, 1, 1, 2, 2]]


def test_the_metric_is_micro_averaged_over_chunks() -> None:
    scored = score([[3, 3, 6], [3]], [[3, 3, 3], [3]])
    values = chunks.values(scored.parts.mean(axis=0))
    assert list(values) == list(chunks.NAMES)
    assert values["precision"] == pytest.approx(1 / 2) and values["recall"] == pytest.approx(1 / 3)
    assert values["f1"] == pytest.approx(2 / 5) and values["token_accuracy"] == pytest.approx(3 / 4)
    low, high = chunks.interval(scored.parts, "a")
    assert 0 <= low <= 0.4 <= high <= 1


def test_without_a_chunk_everything_is_0_and_many_means_are_worked_out_at_once() -> None:
    values = chunks.values(np.array([[[0.0, 0, 0, 2, 2]], [[1, 1, 1, 1, 1]]]))
    assert values["f1"].tolist() == [[0.0], [1.0]] and values["token_accuracy"].shape == (2, 1)


def test_the_floor_is_the_best_single_tag() -> None:
    assert score([[3, 3], [3], [6]], [[0, 0], [0], [0]]).floor == pytest.approx(2 / 3)
    assert score([[1, 2], [0, 0]], [[0, 0], [0, 0]], labels=ENTITIES).floor == pytest.approx(2 / 3)


def test_a_split_without_gold_has_no_score() -> None:
    scored = score([[-1], [-1, -1]], [[3], [3, 3]])
    assert scored.ids == [] and scored.parts.shape == (0, 5) and scored.floor is None and scored.rows == 2


def test_another_number_of_tags_than_words_is_refused() -> None:
    with pytest.raises(DataError, match=r"udt/en test: sentence s1 has 2 words and 1 predicted tags"):
        score([[3], [3, 3]], [[3], [3]])


@pytest.mark.parametrize(
    ("gold", "predicted", "side"), [([9], [3], "gold"), ([3], [9], "predicted"), ([3], [-1], "predicted")]
)
def test_a_tag_that_is_no_label_is_refused(gold: list[int], predicted: list[int], side: str) -> None:
    with pytest.raises(DataError, match=f"sentence s0 has {side} tags that are none of the 9 labels"):
        score([gold], [predicted])


def test_the_metric_is_found_by_name() -> None:
    assert metrics.load("chunks").NAMES[0] == "f1"
