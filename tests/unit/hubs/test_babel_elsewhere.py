"""babel's rows under other ids: they are the same, in other columns or another language."""

import pytest

from isthmus.hubs.babel import bitext, elsewhere, hub, spans, tags
from isthmus.hubs.babel.languages import LANGUAGES
from isthmus.hubs.babel.parse import parse

XTREME, MLQA = "google/xtreme", "facebook/mlqa"
SQUADS = ("archives/squad-xtreme", "xtreme_translations/SQuAD")
TRANSLATED = [
    (dataset.hub_id, config, split, dataset.answer)
    for dataset in elsewhere.DATASETS
    if dataset.oracle
    for config in dataset.configs
    for split in ("train", "val")
    if split in dataset.splits
]


def rows(hub_id: str, config: str, split: str) -> list[dict]:
    return hub.serve(hub_id, config, split).to_pylist()


@pytest.mark.parametrize(
    ("hub_id", "config", "split", "columns"),
    [
        (
            "unimelb-nlp/wikiann",
            "de",
            "test",
            "tokens list<element: string>, ner_tags list<element: int64>, langs list<element: string>,"
            " spans list<element: string>",
        ),
        (
            "archives/ud-2.5",
            "de",
            "dev",
            "id string, tokens list<element: string>, upos list<element: string>",
        ),
        ("mteb/tatoeba-bitext-mining", "swh-eng", "test", "sentence1 string, sentence2 string, lang string"),
        ("archives/bucc2018", "zh-en.zh", "sample", "id string, sentence string"),
        ("archives/bucc2018", "zh-en.gold", "training", "id1 string, id2 string"),
        (
            SQUADS[0],
            "tr",
            "dev",
            "id string, title string, context string, question string,"
            " answers struct<text: list<element: string>, answer_start: list<element: int32>>",
        ),
        (
            MLQA,
            "mlqa-translate-train.hi",
            "validation",
            "context string, question string,"
            " answers struct<text: list<element: string>, answer_start: list<element: int32>>, id string",
        ),
    ],
)
def test_columns_are_those_of_the_hub(hub_id: str, config: str, split: str, columns: str) -> None:
    schema = hub.serve(hub_id, config, split).schema
    found = ", ".join(f"{field.name} {field.type}" for field in schema)
    assert found.replace("<item:", "<element:") == columns


@pytest.mark.parametrize(("hub_id", "config", "split", "answer"), TRANSLATED)
def test_the_oracle_decides_training_answers(hub_id: str, config: str, split: str, answer: str) -> None:
    for row in rows(hub_id, config, split)[::13]:
        unanswered = {name: value for name, value in row.items() if name != answer}
        assert hub.oracle(hub_id, config, unanswered) == row[answer]


@pytest.mark.parametrize("language", LANGUAGES)
def test_wikiann_has_the_sentences_of_panx_and_their_names(language: str) -> None:
    served = rows("unimelb-nlp/wikiann", language, "test")
    for row, other in zip(served, rows(XTREME, f"PAN-X.{language}", "test"), strict=True):
        assert {name: row[name] for name in other} == other
        names = [tags.NER[tag] for tag in row["ner_tags"]]
        assert len(row["spans"]) == sum(name.startswith("B") for name in names)
        words = [word for named in row["spans"] for word in named.split(": ", 1)[1].split(" ")]
        assert words == [word for word, name in zip(row["tokens"], names, strict=True) if name != "O"]


@pytest.mark.parametrize("language", tags.TREEBANKS.values())
def test_the_treebanks_have_the_sentences_of_udpos(language: str) -> None:
    config = next(config for config, code in tags.TREEBANKS.items() if code == language)
    for split, name in elsewhere.UD_SPLITS.items():
        served = rows("archives/ud-2.5", language, split)
        assert len({row["id"] for row in served}) == len(served)
        for row, other in zip(served[::11], rows(XTREME, config, name)[::11], strict=True):
            assert row["tokens"] == other["tokens"]
            assert row["upos"] == [tags.POS[tag] for tag in other["pos_tags"]]


@pytest.mark.parametrize(("code", "language"), bitext.TATOEBA.items())
def test_both_tatoebas_are_one(code: str, language: str) -> None:
    served = rows("mteb/tatoeba-bitext-mining", f"{code}-eng", "test")
    others = rows(XTREME, f"tatoeba.{code}", "validation")
    assert [(row["sentence1"], row["sentence2"]) for row in served] == [
        (row["source_sentence"], row["target_sentence"]) for row in others
    ]
    assert {row["lang"] for row in served} == {f"{code}-eng"}


def test_both_ids_of_bucc_and_of_xtremes_squad_serve_the_same() -> None:
    for config in ("ru-en.ru", "ru-en.en", "ru-en.gold"):
        first, second = (
            hub.serve(f"{owner}/bucc2018", config, "sample") for owner in ("archives", "comparable.limsi.fr")
        )
        assert first.equals(second, check_metadata=True)
    assert hub.serve(SQUADS[0], "ru", "dev").equals(hub.serve(SQUADS[1], "ru", "dev"), check_metadata=True)


def test_translations_of_squad_mean_what_squad_means() -> None:
    english = {row["id"]: row for row in rows("rajpurkar/squad", "plain_text", "validation")}
    for hub_id, config, split, language in (
        (SQUADS[0], "tr", "dev", "tr"),
        (MLQA, "mlqa-translate-train.zh", "validation", "zh"),
    ):
        for row in rows(hub_id, config, split):
            assert spans.read(language, row)[1] == spans.read("en", english[row["id"]])[1]


def test_each_translation_by_mlqas_authors_lost_other_questions() -> None:
    kept = {language: set(elsewhere.kept(language, "train")) for language in ("ar", "zh")}
    assert {len(places) for places in kept.values()} == {2700}
    assert len(kept["ar"] & kept["zh"]) < 2600
    for language, places in kept.items():
        served = rows(MLQA, f"mlqa-translate-train.{language}", "train")
        assert [row["id"] for row in served] == [f"squad-train-{place + 1}" for place in sorted(places)]


def test_hellaswag_is_translated_from_its_validation_set() -> None:
    english = rows("Rowan/hellaswag", "default", "validation")
    for row, other in zip(rows("alexandrainst/m_hellaswag", "ru", "val"), english, strict=True):
        assert (row["label"], row["source_id"]) == (other["label"], other["source_id"])
        assert parse("ru", row["ctx"]) == parse("en", other["ctx"])
        assert [parse("ru", text) for text in row["endings"]] == [
            parse("en", text) for text in other["endings"]
        ]
