"""Sources at an address: what they ask for, and what is said of those that cannot be read."""

from pathlib import Path

import pytest

from isthmus.errors import UsageError
from isthmus.expand import Expansion
from isthmus.hubs import formats
from isthmus.study.load import load_study
from isthmus.tasks.archive import file_name
from isthmus.tasks.files import catalogue, read_task
from isthmus.tasks.task import Task
from tests.conftest import MICRO

WORDS = """\
task: words
family: tag
title: Words
metric: chunks
languages: {en: eng, de: deu}
sources:
  - hub: archives/words
    url: https://example.org/{split}/words-{hub_language}.tgz
    format: conllu
    members: "*/{language}_*-{split}.conllu"
    config: "{language}"
    splits: {train: train, test: [a, b]}
    train_languages: [en]
  - {hub: me/words, config: "{language}", splits: {test: test}, columns: {tags: pos}, caution: They are few.}
columns: {tokens: tokens, tags: upos}
labels: [NOUN, VERB]
caution: They are short.
"""


def read(folder: Path, text: str = WORDS) -> tuple[Task | None, list[str]]:
    path = folder / "words.yaml"
    path.write_text(text)
    return read_task(path)


def test_what_is_asked_for(tmp_path: Path) -> None:
    task, problems = read(tmp_path)
    assert problems == [] and task is not None
    request = task.request(task.sources[0], "de")
    assert request == {
        "source": {
            "id": "archives/words",
            "revision": None,
            "config": "de",
            "archive": {
                "format": formats.word("conllu"),
                "files": {
                    split: {
                        "url": f"https://example.org/{split}/words-deu.tgz",
                        "name": f"{split}-words-deu.tgz",
                        "members": f"*/de_*-{split}.conllu",
                    }
                    for split in ("a", "b")
                },
            },
        },
        "splits": {"test": ["a", "b"]},
        "columns": {"tokens": "tokens", "tags": "upos"},
    }
    assert set(task.request(task.sources[0], "en")["source"]["archive"]["files"]) == {"train", "a", "b"}
    plain = task.request(task.sources[1], "de")
    assert "archive" not in plain["source"]  # so that what is no archive keeps its identity
    assert plain["columns"] == {"tokens": "tokens", "tags": "pos"}


@pytest.mark.parametrize(
    ("old", "new", "language"),
    [("de: deu", "de: ../../../evil", "de"), ("[a, b]", "[a, ../../x]", "de"), ("de: deu", "de: a b", "de")],
)
def test_a_filled_in_name_stays_in_its_folder(tmp_path: Path, old: str, new: str, language: str) -> None:
    task, problems = read(tmp_path, WORDS.replace(old, new))
    assert problems == [] and task is not None
    with pytest.raises(UsageError, match=r"is no name of a file.*Correct languages, splits or url"):
        task.request(task.sources[0], language)


def test_hashes_by_address(tmp_path: Path) -> None:
    url, some = "https://example.org/a/words-deu.tgz", "ab" * 32
    text = WORDS.replace("    format: conllu", f"    sha256: {{'{url}': {some}}}\n    format: conllu")
    task, _ = read(tmp_path, text)
    assert task is not None
    files = task.request(task.sources[0], "de")["source"]["archive"]["files"]
    assert files["a"]["sha256"] == some
    assert "sha256" not in files["b"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.org/a/b.tgz", "b.tgz"),
        ("https://x.org/{split}/{language}.json?download=1", "{split}-{language}.json"),
        ("https://x.org/{language}/{split}/{language}.json", "{split}-{language}.json"),
        ("https://x.org/b.json", "b.json"),
    ],
)
def test_names_of_files_differ_where_addresses_do(url: str, name: str) -> None:
    assert file_name(url) == name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("archives/words", "me/words", "hub: files at an address are called archives/…"),
        (
            "    url: https://example.org/{split}/words-{hub_language}.tgz\n",
            "",
            "hub: archives/… is the name of files",
        ),
        (
            "    url: https://example.org/{split}/words-{hub_language}.tgz\n",
            "",
            "members: is said of files at an addr",
        ),
        ("    format: conllu\n", "", "format: say what the files are: conllu, pools, squad, tsv."),
        ("format: conllu", "format: conlu", 'there is no format "conlu". Did you mean "conllu"?'),
        ("https://example", "ftp://example", "is no address such as https://"),
        ("{hub_language}.tgz", "{hub_language}.tgz#top", "what follows a # is never sent"),
        ("https://example", "https://me:secret@example", "no place for a name and a password"),
        ("words-{hub_language}.tgz", "", "its path has to end with the name of a file"),
        (
            "words-{hub_language}.tgz",
            "words-{lang}.tgz",
            'nothing is called {lang}. Did you mean "language"?',
        ),
        (
            '    members: "*/{language}_*-{split}.conllu"\n',
            "",
            "members: say which files of the archive hold a split",
        ),
        ("words-{hub_language}.tgz", "words.conllu", "members: only archives"),
        ("    format: conllu\n", f"    format: conllu\n    sha256: {'a' * 64}\n", "stands for several files"),
        (
            "    format: conllu\n",
            f"    format: conllu\n    sha256: {{x: {'a' * 63}}}\n",
            "is no SHA-256 in 64 small hexadecimal digits",
        ),
        (
            "    format: conllu\n",
            "    format: conllu\n    sha256: []\n",
            "needs a hash, or a hash for each address",
        ),
        ("    format: conllu\n", "    format: conllu\n    revision: main\n", "files at an address have none"),
        ("{tags: pos}", "{tag: pos}", "columns.tag: is no column of the task"),
        (
            "    format: conllu\n",
            "    format: conllu\n    languages: [fr]\n",
            'the task has no language "fr"',
        ),
        (
            "few.}",
            "few., languages: [en]}",
            None,
        ),
        (
            "    format: conllu\n",
            "    format: conllu\n    languages: [en]\n",
            None,
        ),
    ],
)
def test_what_cannot_be_read_gets_its_line(tmp_path: Path, old: str, new: str, said: str | None) -> None:
    assert old in WORDS
    _, problems = read(tmp_path, WORDS.replace(old, new))
    if said is None:
        assert problems == []
    else:
        assert any(said in problem for problem in problems), problems
        assert all("words.yaml:" in problem for problem in problems)


def test_a_language_without_a_source(tmp_path: Path) -> None:
    text = WORDS.replace("    format: conllu\n", "    format: conllu\n    languages: [en]\n")
    _, problems = read(tmp_path, text.replace("few.}", "few., languages: [en]}"))
    assert [problem.partition(": sources: ")[2] for problem in problems] == [
        '"de" is read from none of them: see their languages.'
    ]


class Some:
    """A hub that has some datasets."""

    kind = "hub"
    synthetic = False
    folder = None

    def __init__(self, *ids: str) -> None:
        self.ids = ids

    def languages(self) -> None:
        return None

    def offers(self, hub_id: str, config: str, split: str) -> bool:
        return hub_id in self.ids


@pytest.mark.parametrize(
    ("ids", "cautions"),
    [
        (("archives/words",), ["Words: They are short."]),
        (("me/words", "archives/words"), ["Words: They are short."]),
        (("me/words",), ["Words: They are short.", "Words: They are few."]),
    ],
)
def test_a_source_is_cautioned_against_where_it_is_read(
    tmp_path: Path, ids: tuple[str, ...], cautions: list[str]
) -> None:
    (tmp_path / "mine").mkdir()
    text = WORDS.replace("caution: They are few.}", "train_languages: [en], caution: They are few.}")
    (tmp_path / "mine" / "words.yaml").write_text(text.replace("{test: test}", "{train: train, test: test}"))
    study = MICRO.replace("[xnli]", "[words]").replace("arms:", "tasks: mine\narms:")
    study = study.replace("  mnli: mnli\n", "").replace("all: {", "all: {select: last, ")
    (tmp_path / "micro.yaml").write_text(study)
    expansion = Expansion(load_study(tmp_path / "micro.yaml"), Some("wikimedia/wikipedia", *ids))
    jobs = expansion.run()
    notes = jobs[-1].units[0].spec["notes"]
    assert [note for note in notes if note.startswith("Words")] == cautions


def test_the_catalogue_reads_each_language_of_its_own_treebanks() -> None:
    task = catalogue()["udpos_38"]
    first = {code: task.sources_in(code)[0].hub for code in task.codes}
    assert [code for code, hub in first.items() if hub == "archives/ud-2.7"] == ["lt", "pl", "ro", "uk", "wo"]
    assert sum(hub == "archives/ud-2.5" for hub in first.values()) == 33
    request = task.request(task.sources_in("lt")[0], "lt")
    assert request["source"]["archive"]["files"]["test"]["members"] == "*/lt_*-ud-test*.conllu"
