"""babel's tagged words: names, parts of speech, supertags."""

import collections
import functools

import pytest

from isthmus.errors import DataError
from isthmus.hubs.babel import hub, tags
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.lexicon import names, stems
from isthmus.hubs.babel.world import HE, NAME_KIND, NAME_VERBS, NAMES, PLAIN, TITLES, Event, Phrase, Style

XTREME, CCG = "google/xtreme", "LDC2005T13/ccgbank"
EVENT = Event(Phrase("farmer", "big"), "find", Phrase("PER8"), "LOC10", "yesterday", "quickly")


@functools.cache
def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


def said(language: str, event: Event, tagger, style: Style = PLAIN) -> list[str]:
    return tags.said(language, ((event, style),), tagger)[1]


def test_every_treebank_but_that_of_swahili_is_there() -> None:
    assert set(tags.TREEBANKS) >= {"udpos.English", "udpos.Chinese", "udpos.Korean"}
    assert len(tags.TREEBANKS) == len(LANGUAGES) - 1 and "sw" not in tags.TREEBANKS.values()


@pytest.mark.parametrize(
    ("config", "column"),
    [
        ("udpos.English", "pos_tags"),
        ("udpos.Arabic", "pos_tags"),
        ("PAN-X.fi", "ner_tags"),
        ("PAN-X.ja", "ner_tags"),
    ],
)
def test_the_oracle_decides_training_tags_too(config: str, column: str) -> None:
    for row in rows(XTREME, config, "train")[::19]:
        assert hub.oracle(XTREME, config, {"tokens": row["tokens"]}) == row[column]


def test_words_that_say_nothing_are_refused() -> None:
    words = rows(XTREME, "PAN-X.tr", "test")[0]["tokens"]
    for broken in (words[:-1], words[::-1], [], [" ".join(words[:2]), *words[2:]]):
        with pytest.raises(DataError):
            hub.oracle(XTREME, "PAN-X.tr", {"tokens": broken})


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_tagged_alike_in_all_languages(language: str) -> None:
    assert collections.Counter(said(language, EVENT, tags.ner)) - collections.Counter({"O": 99}) == {
        "B-PER": 1,
        "I-PER": 1,
        "B-LOC": 1,
        "I-LOC": 1,
    }
    tagged = said(language, EVENT, tags.ner)
    assert all(tagged[at - 1] == f"B-{tag[2:]}" for at, tag in enumerate(tagged) if tag.startswith("I"))


def test_one_name_as_two_participants_side_by_side_is_two_names() -> None:
    event = Event(Phrase("PER8"), "find", Phrase("PER8"))
    assert said("tr", event, tags.ner) == ["B-PER", "I-PER", "B-PER", "I-PER", "O", "O"]


def test_names_take_endings_and_no_article() -> None:
    words = {code: tags.said(code, ((EVENT, PLAIN),), tags.pos) for code in LANGUAGES}
    assert names("fi")["PER8"][-1] + "a" in words["fi"][0] or names("fi")["PER8"][-1] + "ä" in words["fi"][0]
    english, upos = words["en"]
    assert english[upos.index("PROPN") - 1] != "the" and upos.count("PROPN") == 4
    assert " ".join(upos) == "DET ADJ NOUN VERB PROPN PROPN ADV ADP PROPN PROPN ADV PUNCT"
    assert words["ja"][1].count("ADP") == 3 and words["ja"][0][-1] == "。"


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_differ_from_each_other_and_from_all_words(language: str) -> None:
    found = list(names(language).values())
    assert len(set(found)) == len(NAME_KIND)
    assert {len(words) for words in found} == {1, 2}
    taken = [*stems(language).values(), *{word for words in found for word in words}]
    assert not [(a, b) for a in taken for b in taken if a is not b and b.startswith(a)]


def test_most_names_are_the_english_ones_as_the_language_spells_them() -> None:
    def shared(code: str) -> float:
        pairs = [(names("en")[name][-1][:3], names(code)[name][-1][:3]) for name in NAMES["PER"][:6]]
        return sum(a == b for a, b in pairs) / len(pairs)

    assert min(shared("es"), shared("de"), shared("tr"), shared("sw")) >= 0.5


def test_names_without_a_second_word_are_told_by_their_verb() -> None:
    for sentence in tags.sentences("panx", "test"):
        for event, _ in sentence:
            for noun in (event.agent.noun, event.patient.noun):
                if noun in NAME_KIND and noun not in TITLES:
                    assert event.verb in NAME_VERBS[NAME_KIND[noun]]


def test_a_share_of_the_names_is_not_in_the_training_split() -> None:
    def told(split: str) -> collections.Counter[str]:
        events = [event for sentence in tags.sentences("panx", split) for event, _ in sentence]
        return collections.Counter(n for e in events for n in (e.agent.noun, e.patient.noun, e.place))

    train, test = told("train"), told("test")
    assert not tags.UNSEEN & set(train) and set(test) > tags.UNSEEN
    mentions = sum(number for name, number in test.items() if name in NAME_KIND)
    assert 0.15 < sum(test[name] for name in tags.UNSEEN) / mentions < 0.35
    bare = [row for row in rows(XTREME, "PAN-X.en", "test") if not any(row["ner_tags"])]
    assert 0.05 < len(bare) / 300 < 0.4


@pytest.mark.parametrize("name", ["udpos", "panx", "ccg"])
def test_splits_share_no_sentence(name: str) -> None:
    seen: dict[tuple, str] = {}
    for split in tags.ROWS[name]:
        for sentence in tags.sentences(name, split):
            assert seen.setdefault(sentence, split) == split


def test_rows_are_parallel() -> None:
    kinds = [
        [tuple(sorted(t for t in row["ner_tags"] if t % 2)) for row in rows(XTREME, f"PAN-X.{code}", "test")]
        for code in ("en", "zh", "ar")
    ]
    assert kinds[0] == kinds[1] == kinds[2]


def test_all_kinds_of_word_occur_in_english() -> None:
    tagged = collections.Counter(t for row in rows(XTREME, "udpos.English", "train") for t in row["pos_tags"])
    assert {tags.POS[t] for t in tagged} == set(tags.POS) - {"INTJ", "NUM", "SYM", "X"}
    assert said("de", Event(Phrase(HE), "see", Phrase("dog")), tags.pos)[0] == "PRON"


def test_supertags_follow_from_role_voice_and_order() -> None:
    event = Event(Phrase("farmer", "big"), "find", Phrase("PER8"), "city", "yesterday", "quickly")
    vp = r"(S\NP)\(S\NP)"
    assert said("en", event, tags.supertags) == (
        ["NP/N", "N/N", "N", r"(S\NP)/NP", "N/N", "N", vp, r"(S\S)/NP", "NP/N", "N", r"S\S", "."]
    )
    assert said("en", event._replace(place="", manner=""), tags.supertags, Style(True, "time")) == (
        ["S/S", "N/N", "N", r"(S\NP)/(S\NP)", r"S\NP", f"({vp})/NP", "NP/N", "N/N", "N", "."]
    )
    negated = event._replace(negated=True, time="", place="", manner="")
    assert said("en", negated, tags.supertags)[3:6] == [r"(S\NP)/(S\NP)", vp, r"(S\NP)/NP"]


def test_supertags_are_served_as_text() -> None:
    table = hub.serve(CCG, "default", "validation")
    assert table.column_names == ["tokens", "tags"] and table.num_rows == 200
    assert all(len(row["tokens"]) == len(row["tags"]) for row in table.to_pylist())
    assert grammar("en").language.stop == table.to_pylist()[0]["tokens"][-1]
