import numpy as np
import pytest

from isthmus.data import ragged, switch
from isthmus.data.seeds import stream

# Words 10..19 of language 0 mean 30..39 of the pivot, words 50..59 of language 1 too. 5 and 6 are full stops.
ROWS, PIVOT, ONE = 70, 20, 40
FIRST, SECOND, HOME = 0, 1, 2


@pytest.fixture(scope="module")
def parallel():
    random = stream(1, "parallel")
    text, pair, language = [], [], []
    for shift, index in ((0, FIRST), (ONE, SECOND)):
        for _ in range(150):
            words = random.choice(np.arange(10, 20), 4, replace=False)
            text.append([*(words[::-1] + shift).tolist(), 5])
            pair.append([*(words + PIVOT).tolist(), 6])
            language.append(index)
    for _ in range(20):
        text.append([*(random.choice(np.arange(10, 20), 4) + PIVOT).tolist(), 6])
        pair.append([])
        language.append(HOME)
    return ragged.from_rows(text), ragged.from_rows(pair), np.array(language)


@pytest.fixture(scope="module")
def lexicon(parallel) -> switch.Lexicon:
    return switch.induce(*parallel, 3, ROWS)


def test_words_are_linked_to_their_translations_and_full_stops_to_nothing(parallel) -> None:
    text, pair, language = parallel
    links = switch.align(text, pair, np.flatnonzero(language == FIRST), ROWS)
    assert links.tolist() == [[word, word + PIVOT] for word in range(10, 20)]


def test_several_forms_of_a_word_share_a_meaning(parallel) -> None:
    text, pair, language = parallel
    flat = text.flat.copy()
    places = np.flatnonzero(flat == 12)
    flat[places[::2]] = 22  # every other 12 takes another form
    links = switch.align(ragged.Ragged(flat, text.offsets), pair, np.flatnonzero(language == FIRST), ROWS)
    assert [12, 32] in links.tolist() and [22, 32] in links.tolist()


def test_languages_meet_through_the_pivot(lexicon: switch.Lexicon) -> None:
    concept = lexicon.entry[FIRST, 13]
    assert lexicon.pieces[lexicon.offsets[concept] : lexicon.offsets[concept + 1]].tolist() == [13, 33, 53]
    assert lexicon.entry[SECOND, 53] == concept and lexicon.entry[SECOND, 13] == -1


def test_the_language_of_the_translations_is_found_among_the_texts(parallel, lexicon: switch.Lexicon) -> None:
    assert switch.pivot_language(*parallel, 3, ROWS) == HOME
    assert lexicon.entry[HOME, 33] == lexicon.entry[FIRST, 13]


def test_a_language_with_other_words_is_not_taken_for_it(parallel) -> None:
    text, pair, language = parallel
    flat = np.where(np.repeat(language, text.lengths) == HOME, 65, text.flat)
    assert switch.pivot_language(ragged.Ragged(flat, text.offsets), pair, language, 3, ROWS) is None


def test_pieces_with_translations_are_replaced_at_the_rate(lexicon: switch.Lexicon) -> None:
    ids = np.tile(np.array([0, 13, 14, 5, 60, 2]), (2000, 1))
    own = np.ones(ids.shape, dtype=bool)
    switched = lexicon.switch(ids, np.zeros(2000, dtype=int), own, 0.6, stream(1))
    assert (switched[:, [0, 3, 4, 5]] == ids[:, [0, 3, 4, 5]]).all()
    assert set(switched[:, 1]) == {13, 33, 53} and set(switched[:, 2]) == {14, 34, 54}
    assert (switched[:, 1] != 13).mean() == pytest.approx(0.6 * 2 / 3, abs=0.03)
    assert (lexicon.switch(ids, np.zeros(2000, dtype=int), own, 0.0, stream(1)) == ids).all()


def test_the_other_side_of_a_pair_is_read_as_the_pivot(lexicon: switch.Lexicon) -> None:
    ids = np.tile(np.array([13, 33]), (500, 1))
    own = np.tile(np.array([True, False]), (500, 1))
    switched = lexicon.switch(ids, np.zeros(500, dtype=int), own, 1.0, stream(1))
    assert set(switched[:, 0]) == set(switched[:, 1]) == {13, 33, 53}


def test_switching_is_pure_in_its_stream(lexicon: switch.Lexicon) -> None:
    ids = np.tile(np.arange(10, 20), (20, 1))
    languages, own = np.zeros(20, dtype=int), np.ones(ids.shape, dtype=bool)
    one, again, other = (lexicon.switch(ids, languages, own, 0.5, stream(1, n)) for n in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_text_without_translations_gives_an_empty_lexicon() -> None:
    text = ragged.from_rows([[10, 11], [12]])
    lexicon = switch.induce(text, ragged.from_rows([[], []]), np.array([0, 1]), 2, ROWS)
    assert (lexicon.entry == -1).all() and not len(lexicon.pieces)
