"""babel's questions: their form, and that one sentence answers each."""

import collections
import functools

import pytest

from isthmus.errors import DataError
from isthmus.hubs.babel import hub, spans, texts
from isthmus.hubs.babel.dice import Dice
from isthmus.hubs.babel.grammar import grammar
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.parse import parser
from isthmus.hubs.babel.world import ASKING, PLAIN, Event, Phrase, Style, answers, asked, asking

EVENT = Event(Phrase("farmer", "big"), "find", Phrase("goat", "happy"), "market", "yesterday", "quickly")
OTHER = Event(Phrase("cat"), "see", Phrase("dog"))
SQUAD, SQUAD2, TYDI = "rajpurkar/squad", "rajpurkar/squad_v2", "google-research-datasets/tydiqa"
SERVED = [
    (dataset.hub_id, config, split)
    for dataset in spans.DATASETS
    for config in dataset.configs
    for split in dataset.splits
]


@functools.cache
def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_question_reads_back(code: str) -> None:
    for slot in ASKING:
        question = asking(EVENT, slot)
        assert asked(question) == slot and not asked(EVENT)
        text = grammar(code).say(question)
        assert parser(code).parse(text) == (question, PLAIN)
        assert text.endswith(grammar(code).functions.mark)


def order(code: str, slot: str) -> list[str]:
    tokens = grammar(code).linearise(asking(EVENT._replace(place="", time="", manner=""), slot))
    roles = [token.role for token in tokens]
    return [role for at, role in enumerate(roles) if role not in roles[:at]]


def test_questions_have_the_order_of_their_language() -> None:
    assert order("en", "place") == ["place", "verb", "agent", "patient"]
    english = grammar("en").linearise(asking(EVENT, "patient"))
    assert [token.form for token in english[:3]] == ["whom", "did", "the"]
    assert [token.upos for token in english if token.role == "verb"] == ["AUX", "VERB"]
    assert "did" not in grammar("en").say(asking(EVENT, "agent"))
    assert order("de", "patient") == ["patient", "verb", "agent"]
    assert order("ru", "time") == ["time", "agent", "verb", "patient"]
    assert order("ar", "agent") == ["agent", "verb", "patient"]
    assert order("tr", "place") == ["agent", "place", "patient", "verb"]
    assert order("zh", "patient") == ["agent", "verb", "patient"]
    assert order("sw", "manner") == ["agent", "verb", "patient", "manner"]


@pytest.mark.parametrize(
    ("code", "slot", "expected"),
    [
        ("en", "agent", "the {big} {farmer}"),
        ("en", "place", "the {market}"),
        ("en", "time", "{yesterday}"),
        ("zh", "place", "{market}"),
        ("ja", "agent", "{big}い{farmer}"),
        ("hi", "manner", "{quickly}"),
    ],
)
@pytest.mark.parametrize("style", [PLAIN, Style(passive=True), Style(front="time")])
def test_the_answer_is_the_phrase_as_it_stands_without_adposition(code, slot, expected, style) -> None:
    found = spans.answer(code, ((OTHER, PLAIN), (EVENT, style)), asking(EVENT, slot))
    assert found["text"] == [expected.format(**grammar(code).stems)]


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_answer_stands_where_it_is_said_to_start(code: str) -> None:
    for slot in ASKING:
        said = ((OTHER, PLAIN), (EVENT, Style(front="place")))
        found = spans.answer(code, said, asking(EVENT, slot))
        start, text = found["answer_start"][0], found["text"][0]
        context = grammar(code).tell(said)
        assert context[start : start + len(text)] == text
        assert start >= len(grammar(code).say(OTHER))


def test_what_answers_what() -> None:
    question = asking(EVENT, "place")
    assert answers(question, EVENT)
    assert answers(asking(EVENT._replace(agent=Phrase("farmer"), time=""), "place"), EVENT)
    for other in (
        {"verb": "see"},
        {"place": ""},
        {"negated": True},
        {"time": "winter"},
        {"time": ""},
        {"agent": Phrase("farmer", "small")},
        {"agent": Phrase("farmer")},
        {"patient": Phrase("cat")},
    ):
        assert not answers(question, EVENT._replace(**other))
    assert answers(asking(EVENT, "agent"), EVENT._replace(agent=Phrase("king")))


@pytest.mark.parametrize(("hub_id", "config", "split"), SERVED)
def test_answers_are_cut_from_their_contexts(hub_id: str, config: str, split: str) -> None:
    for row in rows(hub_id, config, split):
        text, start = row["answers"]["text"], row["answers"]["answer_start"]
        assert len(text) == len(start) <= 1
        assert text or hub_id == SQUAD2
        assert all(row["context"][s : s + len(t)] == t for t, s in zip(text, start, strict=True))


def test_exactly_one_sentence_answers_and_none_where_there_is_no_answer() -> None:
    told = {
        len(context): [answers(question, event) for event, _ in context]
        for context, (question, _) in spans.items("squad", "train")
    }
    assert set(told) == {2, 3}
    for name, possible in (("squad", {1}), ("xquad", {1}), ("squad_v2", {0, 1})):
        numbers = collections.Counter(
            sum(answers(question, event) for event, _ in context)
            for context, (question, _) in spans.items(name, "validation")
        )
        assert set(numbers) == possible
    assert 0.25 < numbers[0] / 300 < 0.42


def test_the_oracle_reads_the_text_and_refuses_what_is_no_question() -> None:
    row = rows("google/xquad", "xquad.ru", "validation")[0]
    emptied = row | {"answers": {"text": [], "answer_start": []}}
    assert hub.oracle("google/xquad", "xquad.ru", emptied) == row["answers"]
    with pytest.raises(DataError, match="not a question"):
        hub.oracle("google/xquad", "xquad.ru", row | {"question": row["context"].split(".")[0] + "."})
    with pytest.raises(DataError):
        hub.oracle("google/xquad", "xquad.de", row)


def test_the_training_answers_follow_from_the_text() -> None:
    for hub_id, config in ((SQUAD, "plain_text"), (SQUAD2, "squad_v2")):
        for row in rows(hub_id, config, "train")[::29]:
            assert hub.oracle(hub_id, config, row) == row["answers"]


def key(event: Event) -> tuple[str, str, str]:
    return (event.verb, event.agent.noun, event.patient.noun)


def test_sets_share_no_event() -> None:
    owner: dict[tuple, tuple] = {}
    for name, splits in spans.ROWS.items():
        for split in splits:
            for context, _ in spans.items(name, split):
                share = spans.SHARES[f"{name}/{split}"]
                assert all(owner.setdefault(key(event), share) == share for event, _ in context)
    assert len(set(owner.values())) == 7  # the two versions of SQuAD share theirs


def test_no_place_in_the_context_and_no_slot_is_mostly_the_answer() -> None:
    slots: collections.Counter[str] = collections.Counter()
    sentences: collections.Counter[int] = collections.Counter()
    drawn = spans.items("squad", "train")
    for context, (question, _) in drawn:
        slots[asked(question)] += 1
        sentences[next(at for at, (event, _) in enumerate(context) if answers(question, event))] += 1
    assert set(slots) == set(ASKING)
    assert max(slots.values()) < 0.4 * len(drawn)
    assert max(sentences.values()) < 0.5 * len(drawn)


def test_tydi_stacks_its_languages() -> None:
    for split, number in (("train", 800), ("validation", 1200)):
        table = hub.serve(TYDI, "secondary_task", split).to_pylist()
        assert len(table) == number == len({row["id"] for row in table})
        counts = collections.Counter(row["id"].split("-")[0] for row in table)
        assert set(counts) == {"arabic", "english", "finnish", "korean", "russian", "swahili"}
        assert counts["english"] == (300 if split == "train" else 200)
        for row in table[::50]:
            assert hub.oracle(TYDI, "secondary_task", row) == row["answers"]


def test_a_quarter_of_the_texts_hold_a_question_that_a_neighbour_answers() -> None:
    dice, found = Dice("test of questions"), 0
    for _ in range(400):
        events = [event for event, _ in texts.draw_document(dice, 3)]
        for at, question in enumerate(events):
            if asked(question):
                found += 1
                neighbours = events[max(0, at - 1) : at] + events[at + 1 : at + 2]
                assert any(answers(question, event) for event in neighbours)
    assert 0.18 < found / 400 < 0.3


def test_titles_are_no_question_words_and_some_texts_of_languages_without_spaces_have_them() -> None:
    for code in ("en", "zh"):
        table = rows("wikimedia/wikipedia", f"20231101.{code}", "train")
        assert not {row["title"] for row in table} & {"who", "whom", "he", "谁", "他"}
    spaced = sum(" " in row["text"] for row in table) / len(table)
    assert 0.35 < spaced < 0.45
