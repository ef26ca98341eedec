"""Texts as hashes: equal where the words are, different elsewhere, in scripts with and without blanks."""

import numpy as np
import pytest

from isthmus.evaluate.grams import FEWER, WORDS, _powers, grams

LONG = "the quick brown fox jumps over the lazy dog while seven other animals look on and wonder why"


def sets(text: str) -> tuple[int, set[int], set[int]]:
    found = grams([text])
    return int(found.whole[0]), set(found.long.tolist()), set(found.short.tolist())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Don't stop!", "do n't stop ."),
        ("ﬁne Ｗｏｒｄｓ", "Fine words"),
        ("STRASSE", "Straße"),
        ("ΟΔΟΣ", "οδος"),
        ("हिन्दी में", "हिन्दी, में।"),
        ("我们 走吧。", "我们走吧"),
        ("ไปกันเถอะ", "ไป กัน เถอะ"),
    ],
)
def test_case_form_punctuation_and_blanks_do_not_count(one: str, other: str) -> None:
    assert sets(one)[0] == sets(other)[0] != 0


@pytest.mark.parametrize(
    ("one", "other"), [("ab c", "abd"), ("हिन्दी", "हनद"), ("a", "aa"), ("ab", "ba"), ("1", "2")]
)
def test_other_letters_are_another_text(one: str, other: str) -> None:
    assert sets(one)[0] != sets(other)[0]


@pytest.mark.parametrize("text", ["", " ", "?!", "\n", "—…"])
def test_a_text_without_letters_is_nothing(text: str) -> None:
    assert sets(text) == (0, set(), set())


def test_every_run_of_13_words_and_of_8_is_there() -> None:
    words = LONG.split()
    _, long, short = sets(LONG)
    assert (len(words), len(long), len(short)) == (18, 18 - WORDS + 1, 18 - FEWER + 1)
    assert sets(" ".join(words[2:15]).upper())[1] <= long
    assert not sets(" ".join([*words[2:14], "else"]))[1] & long
    assert sets(" ".join(words[:8]))[1] == set() and sets(" ".join(words[:8]))[2] <= short
    assert sets(" ".join(words[:7]))[2] == set()


@pytest.mark.parametrize(
    ("letters", "per_word"), [("天地玄黄宇宙洪荒", 2), ("ひらがなかな", 2), ("กขคงจฉ", 5)]
)
def test_scripts_without_blanks_count_characters(letters: str, per_word: int) -> None:
    rng = np.random.default_rng(1)
    text = "".join(rng.choice(list(letters), 200))
    _, long, short = sets(text)
    assert len(long) == 200 - WORDS * per_word + 1
    assert len(short) == 200 - FEWER * per_word + 1
    part = text[50 : 50 + WORDS * per_word]
    assert len(sets(part)[1]) == 1 and sets(part)[1] <= long
    assert sets(f"{part[:9]}, {part[9:]}")[1] == sets(part)[1]
    assert sets(part[1:])[1] == set()


def test_a_word_of_another_script_is_one_word_among_them() -> None:
    text = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来 Python 暑往秋冬收藏闰余"  # 26 characters and one word
    assert len(sets(text)[1]) == 27 - 2 * WORDS + 1
    assert sets(text)[1] == sets(text.replace(" ", ""))[1]


def test_texts_of_a_batch_do_not_touch_and_are_what_they_are_alone() -> None:
    texts = [LONG, "", "one two", "天地玄黄" * 10, LONG[::-1], "?", "กขคง" * 30, "a b c d e f g h"]
    together = grams(texts)
    for place, text in enumerate(texts):
        whole, long, short = sets(text)
        assert together.whole[place] == whole
        assert set(together.long[slice(*together.long_ends[place : place + 2])].tolist()) == long
        assert set(together.short[slice(*together.short_ends[place : place + 2])].tolist()) == short
    assert together.long_ends[-1] == len(together.long) and together.short_ends[-1] == len(together.short)


def test_hashes_are_the_same_everywhere_and_do_not_collide() -> None:
    assert sets("the same text")[0] == 13871439297271316573
    texts = [f"{a} {b}" for a in range(300) for b in range(300)]
    assert len(set(grams(texts).whole.tolist())) == len({text.replace(" ", "") for text in texts})


def test_powers_are_one_table_for_texts_of_all_sizes() -> None:
    small = [table[:10].tolist() for table in _powers(10)]
    large = _powers(50_000)
    assert [table[:10].tolist() for table in large] == small and all(len(table) >= 50_000 for table in large)
    assert all(one is other for one, other in zip(_powers(10), large, strict=True))
    assert set((large[0] * large[1]).tolist()) == {1}


def test_nothing_gives_nothing() -> None:
    assert len(grams([]).whole) == len(grams([]).long) == 0 and grams([]).long_ends.tolist() == [0]
