from pathlib import Path

import pytest

from isthmus.errors import UsageError
from isthmus.tasks.files import PACKAGED, TaskError, catalogue, families, read_task
from isthmus.tasks.task import Task

DATES = """\
task: dates
family: classify
title: Dates
metric: accuracy
trains_on: mnli
languages: {en: eng_Latn, de: deu_Latn}
sources:
  - hub: me/dates
    config: "x.{hub_language}"
    splits: {train: train, test: test}
    rows: {test: 10}
    train_languages: [en]
    where: {lang: "{language}"}
columns: {id: nr, text_a: a, label: y}
labels: [no, yes]
"""


def task(folder: Path, text: str = DATES) -> Task:
    (folder / "dates.yaml").write_text(text, encoding="utf-8")
    return catalogue(folder)["dates"]


def problems(folder: Path, old: str, new: str) -> list[str]:
    assert DATES.count(old) == 1
    path = folder / "dates.yaml"
    path.write_text(DATES.replace(old, new), encoding="utf-8")
    found, lines = read_task(path)
    assert (found is None) == bool(lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_the_catalogue() -> None:
    tasks = catalogue()
    assert set(tasks) == {path.stem for path in PACKAGED.glob("*.yaml")}
    assert all(found.licence and found.citation for found in tasks.values())
    assert not any(
        source.hub.startswith("mirror-extra/") for found in tasks.values() for source in found.sources
    )
    assert {name for name, found in tasks.items() if found.is_target} == {
        "xnli",
        "pawsx",
        "udpos",
        "panx",
        "xquad",
        "mlqa",
        "tydiqa",
        "bucc",
        "tatoeba",
        # XTREME-R's, where they differ
        "xcopa",
        "udpos_38",
        "wikiann_48",
        "xquad_12",
        "tatoeba_41",
        "lareqa",
        "mewslix",
    }
    retrieved = {name for name, found in tasks.items() if not found.is_trained}
    assert retrieved == {"bucc", "tatoeba", "tatoeba_41"}
    asked = [found for name, found in tasks.items() if name in ("xquad", "xquad_12", "mlqa")]
    assert {found.training_set for found in asked} == {"squad"}
    lengths = {
        name: len(tasks[name].codes) for name in ("xnli", "pawsx", "udpos", "panx", "xquad", "mlqa", "tydiqa")
    }
    assert lengths == {"xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9}
    assert len(tasks["bucc"].codes) == 4 and len(tasks["tatoeba"].codes) == 36
    assert {name for name, found in tasks.items() if found.is_text} == {"wikipedia", "ccmatrix"}
    assert {name for name, found in tasks.items() if found.is_parallel} == {"ccmatrix"}


def test_published_facts() -> None:
    """Row counts, label orders and languages as published."""
    tasks = catalogue()
    assert tasks["mnli"].sources[0].rows == {"train": 392702, "dev": 9815}
    assert tasks["xnli"].sources[0].rows == {"dev": 2490, "test": 5010}
    assert tasks["pawsx"].sources[0].rows == {"train": 49401, "dev": 2000, "test": 2000}
    assert tasks["mnli"].labels == tasks["xnli"].labels == ["entailment", "neutral", "contradiction"]
    assert tasks["pawsx"].labels == ["0", "1"]
    assert tasks["xnli"].codes == (
        "ar",
        "bg",
        "de",
        "el",
        "en",
        "es",
        "fr",
        "hi",
        "ru",
        "sw",
        "th",
        "tr",
        "ur",
        "vi",
        "zh",
    )
    assert tasks["pawsx"].codes == ("de", "en", "es", "fr", "ja", "ko", "zh")
    assert tasks["xnli"].training_set == "mnli"
    assert tasks["pawsx"].training_set == "pawsx"
    assert "no" in tasks["wikipedia"].codes


def test_requests_of_the_catalogue() -> None:
    tasks = catalogue()
    assert tasks["pawsx"].request(tasks["pawsx"].sources[0], "de") == {
        "source": {"id": "google-research-datasets/paws-x", "config": "de", "revision": None},
        "splits": {"dev": "validation", "test": "test"},
        "columns": {"id": "id", "text_a": "sentence1", "text_b": "sentence2", "label": "label"},
    }
    assert tasks["pawsx"].request(tasks["pawsx"].sources[0], "en")["splits"]["train"] == "train"
    assert (
        tasks["wikipedia"].request(tasks["wikipedia"].sources[0], "no")["source"]["config"] == "20231101.no"
    )
    assert tasks["ccmatrix"].request(tasks["ccmatrix"].sources[0], "fi")["source"]["config"] == "en-fi"


def test_a_join_brings_the_translation_but_not_to_english_itself() -> None:
    bible = catalogue(Path(__file__).parents[3] / "studies" / "real-first")["bible"]
    found = bible.request(bible.sources[0], "fi")
    assert found["source"] == {
        "id": "mirror-extra/bible-parallel",
        "config": "default",
        "revision": None,
        "where": {"lang": "fi"},
        "join": {"on": "verse_id", "where": {"lang": "en"}, "as": "pair"},
    }
    assert found["columns"] == {"id": "verse_id", "text": "text", "pair": "pair"}
    english = bible.request(bible.sources[0], "en")
    assert "join" not in english["source"]
    assert english["columns"] == {"id": "verse_id", "text": "text"}


def test_a_task_of_a_study(tmp_path: Path) -> None:
    dates = task(tmp_path)
    assert dates.codes == ("en", "de")
    assert dates.labels == ["no", "yes"]
    assert dates.is_target
    assert not dates.is_text
    assert dates.request(dates.sources[0], "de") == {
        "source": {"id": "me/dates", "config": "x.deu_Latn", "revision": None, "where": {"lang": "de"}},
        "splits": {"test": "test"},
        "columns": {"id": "nr", "text_a": "a", "label": "y"},
    }


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("task: dates", "task: date", '1: task: the file is called "dates.yaml": call it date.yaml.'),
        (
            "family: classify",
            "family: clasify",
            '2: family: there is no family "clasify". Did you mean "classify"?',
        ),
        ("title: Dates\n", "", "1: title: is missing: this key must be given."),
        (
            "metric: accuracy",
            "metrik: accuracy",
            '4: metrik: there is no option "metrik" here. Did you mean "metric"?',
        ),
        ("{en: eng_Latn, de: deu_Latn}", "[]", "6: languages: is empty: give at least one."),
        (
            "{en: eng_Latn, de: deu_Latn}",
            "[en, DE]",
            '6: languages[1]: "DE" is not a language code such as en, or en_latn.',
        ),
        (
            "{en: eng_Latn, de: deu_Latn}",
            "[en, en]",
            '6: languages[1]: "en" stands twice in this list: keep one.',
        ),
        (
            "{en: eng_Latn, de: deu_Latn}",
            "5",
            "6: languages: needs a list such as [en, de], or the hub's names such as {en: eng_Latn}, "
            "found the number 5.",
        ),
        (
            "me/dates",
            "me/../dates",
            '8: sources[0].hub: "me/../dates" is not a dataset id such as owner/name.',
        ),
        (
            "x.{hub_language}",
            "x.{lang}",
            '9: sources[0].config: nothing is called {lang}. Did you mean "language"?',
        ),
        (
            "{train: train, test: test}",
            "{validation: x, test: test}",
            "10: sources[0].splits.validation: must be 'train', 'dev' or 'test', found \"validation\".",
        ),
        (
            "{test: 10}",
            "{dev: 10}",
            "11: sources[0].rows.dev: the source has no dev split: name it in splits, or drop the number.",
        ),
        (
            "train_languages: [en]",
            "train_languages: [fr]",
            '12: sources[0].train_languages[0]: the task has no language "fr". Known: de, en.',
        ),
        (
            "labels: [no, yes]\n",
            "",
            "14: columns.label: labels and columns.label go together: give both or none.",
        ),
        (
            "text_a: a",
            "text_b: a",
            "14: columns: give exactly one of text_a, tokens, context, query, mention, candidate, prompt, text, which say what an example is; "
            "here is none of them.",
        ),
        ("text_a: a", "text: a", "14: columns.label: does not go with text: drop one of them."),
        ("text_a: a", "context: a", "14: columns: context needs answers beside it."),
        ("family: classify", "family: tag", '2: family: "tag" reads tasks with tokens, not text_a.'),
        (
            "metric: accuracy",
            "metric: acuracy",
            '4: metric: there is no metric "acuracy". Did you mean "accuracy"?',
        ),
        (
            "metric: accuracy",
            "metric: chunks",
            '4: metric: "chunks" scores tasks with tags, which this one has not.',
        ),
        ("text_a: a, label: y", "tokens: a", "14: columns: tokens needs tags beside it."),
        (
            "text_a: a, label: y",
            "text_a: a, text_b: b",
            "15: labels: labels and columns.label (or tags) go together",
        ),
        (
            "labels: [no, yes]",
            "labels: [no, yes]\nunanswerable: true",
            "16: unanswerable: is said of questions",
        ),
        (
            "labels: [no, yes]",
            "labels: [no, yes]\nretrieval: margin",
            "16: retrieval: needs sentences and their",
        ),
        (
            "labels: [no, yes]",
            "labels: [no, yes]\nunites: [mnli, snli]",
            "7: sources: the tasks that are united",
        ),
        (
            'config: "x.{hub_language}"',
            "configs: {a: x}",
            "8: sources[0]: sentences to mine, and only they, have",
        ),
        ("[no, yes]", "[no, no]", '15: labels[1]: "no" stands twice in this list: keep one.'),
        (
            "title: Dates",
            "title: Dates\ntrained_in: [de]",
            '4: trained_in[0]: the task has no train split in "de". Known: en.',
        ),
        (
            "title: Dates",
            "title: Dates\ntrained_in: [en, en]",
            '4: trained_in[1]: "en" stands twice in this list: keep one.',
        ),
        (
            "title: Dates",
            "title: Dates\ntrained_in: here",
            "4: trained_in: must be 'study', found \"here\".",
        ),
        (
            "title: Dates",
            "title: Dates\ntrained_in: 1",
            "4: trained_in: needs study, or a list such as [ja], found the number 1.",
        ),
        (
            DATES[DATES.index("trains_on") : DATES.index("    rows")],
            DATES[DATES.index("trains_on") : DATES.index("    rows")]
            .replace("trains_on: mnli\n", "trained_in: study\n")
            .replace("train: train, ", ""),
            "5: trained_in: is said of labelled data with a train split: drop it.",
        ),
        (
            "title: Dates",
            "title: Dates\nunspaced: [ja]",
            '4: unspaced[0]: "ja" is none of the task\'s languages.',
        ),
        (
            "[no, yes]",
            "[0, 1]",
            "15: labels[0]: needs text, found the number 0 (put it in quotes if the text is meant).",
        ),
    ],
)
def test_a_bad_task_file_gets_its_line(tmp_path: Path, old: str, new: str, line: str) -> None:
    assert any(found.startswith(line) for found in problems(tmp_path, old, new))


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("- 1\n")
    (tmp_path / "b.yaml").write_text("task: [\n")
    (tmp_path / "mnli.yaml").write_text((PACKAGED / "mnli.yaml").read_text())
    with pytest.raises(TaskError) as caught:
        catalogue(tmp_path)
    assert isinstance(caught.value, UsageError)
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in caught.value.problems] == [
        "a.yaml",
        "b.yaml",
        "mnli.yaml",
    ]
    assert "is in the catalogue already" in caught.value.problems[-1]


def test_families_are_modules() -> None:
    assert list(families()) == ["choice", "classify", "match", "mlm", "retrieve", "span", "tag"]


REAL = Path(__file__).parents[3] / "studies" / "real-first"


@pytest.mark.parametrize("name", ["mnli", "xnli", "pawsx", *(path.stem for path in REAL.glob("*.yaml"))])
def test_real_files_have_what_the_task_names(mirror: Path, name: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    found = catalogue(REAL)[name]
    for language in found.codes:
        request = found.request(found.sources[0], language)
        source = request["source"]
        joined = source.get("join", {}).get("as")
        wanted = {column for column in request["columns"].values() if column != joined} | set(
            source.get("where", {})
        )
        for split in request["splits"].values():
            files = sorted((mirror / source["id"] / source["config"]).glob(f"{split}-*.parquet"))
            assert files, (language, split)
            assert wanted <= set(parquet.read_schema(files[0]).names)


def test_the_bible_has_the_languages_that_its_task_names(mirror: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = mirror / "mirror-extra" / "bible-parallel" / "default" / "train-00000-of-00001.parquet"
    languages = parquet.read_table(file, columns=["lang"])["lang"].unique().to_pylist()
    assert sorted(languages) == sorted(catalogue(REAL)["bible"].codes)


def union(folder: Path, parts: str, **texts: str) -> list[str]:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "all.yaml").write_text(
        f"task: all\nfamily: span\ntitle: All\nlanguages: [en]\nunites: {parts}\n"
    )
    try:
        tasks = catalogue(folder)
    except TaskError as error:
        return list(error.problems)
    assert tasks["all"].kind == "questions"
    return []


def test_a_union_is_of_the_form_of_its_parts(tmp_path: Path) -> None:
    other = (PACKAGED / "squad.yaml").read_text().replace("task: squad", "task: more")
    assert union(tmp_path, "[squad, more]", more=other) == []


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ("[squad, squat]", 'there is no task "squat". Did you mean "squad"?'),
        ("[squad, squad_v2]", '"squad_v2" differs in family or labels.'),
        ("[squad, anli_plus]", '"anli_plus" unites tasks itself: name those.'),
        ("[squad, xquad]", '"xquad" has no training data in en.'),
        ("[squad, jaquad]", '"jaquad" has no training data in en.'),
    ],
)
def test_a_union_that_cannot_be_trained_on_is_refused(tmp_path: Path, parts: str, problem: str) -> None:
    assert any(line.endswith(f"unites: {problem}") for line in union(tmp_path, parts))


def test_labels_of_the_training_data_are_not_shared(tmp_path: Path) -> None:
    text = (PACKAGED / "ccg.yaml").read_text().replace("task: ccg", "task: more")
    (tmp_path / "more.yaml").write_text(text)
    (tmp_path / "both.yaml").write_text(
        "task: both\nfamily: tag\ntitle: B\nlanguages: [en]\nunites: [ccg, more]\n"
    )
    with pytest.raises(TaskError, match="has the labels of its own training data"):
        catalogue(tmp_path)
