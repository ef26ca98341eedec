"""studies/xtreme-mini.yaml on the mirror of real data: which languages it scores, and a cut of it from nothing to its report.

The cut is the study itself with a smaller encoder, shorter trainings, the baseline alone and two languages: nearly all of its
time is that of starting processes, and each further arm would cost as much again.
"""

import html
import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from isthmus.tasks.files import catalogue
from isthmus.tasks.task import Task
from tests.conftest import REPOSITORY, Folder

STUDY = REPOSITORY / "studies" / "xtreme-mini.yaml"
OFFICIAL = json.loads((REPOSITORY / "src/isthmus/evaluate/overall.json").read_text())["xtreme"]["tasks"]
# What has no gold on the mirror; `test_what_is_left_out_is_not_on_the_mirror` looks there.
WITHOUT_GOLD = {"udpos": "kk tl", "panx": "th", "tydiqa": "ar bn fi id ru te", "bucc2018": "de fr ru"}

LANGUAGES = ["en", "zh"]  # BUCC is there in zh alone, TyDiQA in en, ko and sw
SIZES = {"vocab_size": 8000, "sentences_per_language": 600, "layers": 1, "width": 32, "heads": 2}
SIZES |= {"feed_forward": 64, "positions": 160, "languages": LANGUAGES}
RECIPE = {
    "all": {
        "learning_rate": 0.003,
        "max_length": 160,
        "doc_stride": 112,
        "eval_every": 60,
        "eval_examples": 100,
        "examples": 2000,
    },
    "pretrain": {"steps": 20, "tokens_per_batch": 1000},
    "target": {
        "steps": 40,
        "tasks": {
            "squad": {"select": "last"},  # its development set is XQuAD's English side
            "tydiqa-mini": {"select": "last"},  # it has no development set
            "udpos-mini": {"steps": 90},
        },
    },
}


def study() -> dict:
    return yaml.safe_load(STUDY.read_text())


def targets() -> dict[str, Task]:
    """The study's targets, in its order."""
    known = catalogue(STUDY.parent / study()["tasks"])
    return {name: known[name] for name in study()["targets"]}


def official(target: str) -> str:
    """What the table of XTREME's means calls a target of the study."""
    name = target.removesuffix("-mini")
    return "bucc2018" if name == "bucc" else name


def on_mirror(mirror: Path, task: Task, language: str) -> list[dict]:
    """The rows of a target's test split, read past isthmus: of two pools those of the other language."""
    names = {"language": language, "hub_language": task.hub_language(language)}
    for source in task.sources:
        config = (source.configs or {"a": source.config})["a"].format(**names)
        files = list((mirror / source.hub / config).glob(f"{source.splits['test']}-*.parquet"))
        if files:
            rows = [row for path in files for row in pq.read_table(path).to_pylist()]
            starts = {column: text.format(**names).rstrip("*") for column, text in source.where.items()}
            return [
                row for row in rows if all(row[column].startswith(text) for column, text in starts.items())
            ]
    return []


def test_the_nine_tasks_of_xtreme_are_its_targets_in_every_language_with_gold(mirror):
    assert [official(name) for name in targets()] == list(OFFICIAL)
    for name, task in targets().items():
        missing = set(WITHOUT_GOLD.get(official(name), "").split())
        assert set(task.codes) == set(OFFICIAL[official(name)].split()) - missing, name
        for language in task.codes:
            assert on_mirror(mirror, task, language), (name, language)


def test_what_is_left_out_is_not_on_the_mirror(mirror):
    for config in ("udpos.Kazakh", "udpos.Tagalog", "PAN-X.th"):
        assert not list((mirror / "google" / "xtreme" / config).glob("test-*"))
    (file,) = (mirror / "google-research-datasets" / "tydiqa" / "secondary_task").glob("validation-*")
    asked = {name.split("-")[0] for name in pq.read_table(file).column("id").to_pylist()}
    assert asked == {"english", "korean", "swahili"}
    pools = {
        path.name.split("-")[0] for path in (mirror / "mirror-extra" / "bucc2018").iterdir() if path.is_dir()
    }
    assert pools == {"zh"}


def test_every_target_that_is_a_cut_says_so():
    assert [name for name, task in targets().items() if not task.caution] == []
    cut = {name: task.caution for name, task in targets().items() if name.endswith("-mini")}
    assert len(set(cut.values())) == len(cut) == 8


@pytest.fixture(scope="module")
def cut(mirror, tmp_path_factory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("xtreme-mini"))
    shutil.copytree(STUDY.parent / study()["tasks"], folder.path / "tasks")
    (encoder,) = study()["encoders"].values()
    encoder["pretrain"] |= SIZES
    document = study() | {
        "study": "micro",
        "tasks": "tasks",
        "encoders": {"mini": encoder},
        "arms": {"none": []},
        "languages": LANGUAGES,
        "recipe": RECIPE,
    }
    folder.write(yaml.safe_dump(document, sort_keys=False))
    folder.snakemake(ISTHMUS_HUB=str(mirror))
    return folder


def test_every_cell_of_the_cut_is_a_number_on_all_of_its_test_set(cut, mirror):
    table = pq.read_table(cut.results / "scores.parquet").to_pylist()
    cells = Counter((row["intermediate"], row["target"], row["language"]) for row in table)
    wanted = {
        ("none", name, language)
        for name, task in targets().items()
        for language in LANGUAGES
        if language in task.codes
    }
    assert set(cells) == wanted
    assert {official(name) for _, name, _ in cells} == set(OFFICIAL)
    size = {(name, code): len(on_mirror(mirror, targets()[name], code)) for _, name, code in wanted}
    for row in table:
        assert row["status"] in ("ok", "collapsed")
        assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 100
        assert row["n"] == size[row["target"], row["language"]], row


def test_english_words_are_tagged_better_than_by_the_most_frequent_tag(cut, mirror):
    tags = Counter(tag for row in on_mirror(mirror, targets()["udpos-mini"], "en") for tag in row["pos_tags"])
    majority = 100 * tags.most_common(1)[0][1] / tags.total()
    (found,) = [
        row["value"]
        for row in pq.read_table(cut.results / "scores.parquet").to_pylist()
        if (row["intermediate"], row["target"], row["language"], row["metric"])
        == ("none", "udpos-mini", "en", "token_accuracy")
    ]
    assert 10 < majority < 30
    assert found > majority + 10


def test_the_report_warns_of_every_target(cut):
    report = " ".join(html.unescape((cut.results / "report.html").read_text()).split())
    for task in targets().values():
        assert " ".join(task.caution.split()) in report, task.name
