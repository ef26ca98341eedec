"""A user adds a task of every family, and a language, by YAML and CSV alone, and data as parquet files."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data import fetch
from isthmus.errors import DataError
from isthmus.expand import expand
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import Job
from isthmus.study.load import load_study
from isthmus.tasks.files import families
from isthmus.tasks.languages import languages
from isthmus.work import Work

SOURCE = """\
languages: [en, luo]
sources:
  - hub: me/{name}
    config: "{{language}}"
    splits: {{train: train, dev: dev, test: test}}
    train_languages: [en]
licence: none
"""
OWN = {
    "my-nli": """\
family: classify
metric: accuracy
columns: {text_a: first, text_b: second, label: answer}
labels: ["no", "yes"]
""",
    "my-names": "family: tag\nmetric: chunks\ncolumns: {tokens: words, tags: names}\nlabels: [O, B-PER, I-PER]\n",
    "my-choice": """\
family: choice
metric: accuracy
columns: {id: number, prompt: "{story} What next?", choices: ["{one}", "{two}"], label: right}
labels: [one, two]
""",
    "my-answers": """\
family: span
metric: answers
columns: {id: key, context: passage, question: question, answers: answers}
""",
    "my-sentences": """\
family: match
metric: ranked
pool: own
columns: {id: key, context: passage, question: question, answers: answers, sentences: parts}
""",
}
ROWS: Mapping[str, Mapping[str, list[Any]]] = {
    "my-nli": {"first": ["It rains.", "So."], "second": ["It is wet.", "No."], "answer": ["yes", "no"]},
    "my-names": {"words": [["Awa", "sings"], ["rain"]], "names": [[1, 0], [0]]},
    "my-choice": {
        "number": [7, 8],
        "story": ["It rains.", "He fell."],
        "one": ["It dries.", "He rose."],
        "two": ["It gets wet.", "He sang."],
        "right": [1, 0],
    },
    "my-answers": {
        "key": ["q1", "q2"],
        "passage": ["Awa sings.", "Rain falls."],
        "question": ["Who sings?", "What falls?"],
        "answers": [{"text": ["Awa"], "answer_start": [0]}, {"text": ["Rain"], "answer_start": [0]}],
    },
    "my-sentences": {
        "key": ["q1", "q2"],
        "passage": ["Awa sings. It rains.", "Rain falls."],
        "question": ["Who sings?", "What falls?"],
        "answers": [{"text": ["Awa"], "answer_start": [0]}, {"text": ["Rain"], "answer_start": [0]}],
        "parts": [[[0, 10], [11, 20]], [[0, 11]]],
    },
}
# Translations are found by the encoder itself: there is nothing to train on.
FOUND = {
    "my-bitext": """\
task: my-bitext
title: my-bitext
family: retrieve
metric: nearest
retrieval: nearest
languages: [luo]
sources: [{hub: me/my-bitext, config: "{language}", splits: {test: test}}]
columns: {text_a: there, text_b: english}
""",
    "my-pools": """\
task: my-pools
title: my-pools
family: retrieve
metric: mining
retrieval: margin
languages: {luo: dho}
sources:
  - hub: me/my-pools
    configs: {a: "{hub_language}", b: en, gold: "gold-{hub_language}"}
    splits: {dev: dev, test: test}
columns: {id: name, text: sentence, id_a: first, id_b: second}
""",
}
POOLS: Mapping[str, Mapping[str, list[Any]]] = {
    "dho": {"name": ["a1", "a2"], "sentence": ["Koth chue.", "Awa wer."]},
    "en": {"name": ["b1", "b2"], "sentence": ["Awa sings.", "Rain falls."]},
    "gold-dho": {"first": ["a1", "a2"], "second": ["b2", "b1"]},
}
TEXT = """\
task: my-text
family: mlm
title: Text
languages: [en, luo]
sources: [{hub: me/text, config: "{language}", splits: {train: train}}]
columns: {text: line}
"""
STUDY = """\
study: own
question: Do tasks of my own work?
hub: ./mirror
tasks: own
encoders:
  tiny:
    pretrain: {data: [my-text], vocab_size: 600, layers: 1, width: 16, heads: 2, positions: 64}
arms:
  none: []
  choice: {task: my-choice, recipe: {epochs: 1}}
targets: [my-nli, my-names, my-choice, my-answers, my-sentences, my-bitext, my-pools]
languages: [luo]
recipe:
  all: {max_length: 48}
"""


def write(folder: Path, split: str, columns: Mapping[str, list[Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), folder / f"{split}-00000-of-00001.parquet")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with tasks of its own, and the mirror that has their data."""
    (tmp_path / "own").mkdir()
    for name, text in OWN.items():
        whole = f"task: {name}\ntitle: {name}\n{text}{SOURCE.format(name=name)}"
        (tmp_path / "own" / f"{name}.yaml").write_text(whole)
        for language, splits in {"en": ("train", "dev", "test"), "luo": ("dev", "test")}.items():
            for split in splits:
                write(tmp_path / "mirror" / "me" / name / language, split, ROWS[name])
    for name, text in FOUND.items():
        (tmp_path / "own" / f"{name}.yaml").write_text(text)
    pairs = {"there": ["Koth chue.", "Awa wer."], "english": ["Rain falls.", "Awa sings."]}
    write(tmp_path / "mirror" / "me" / "my-bitext" / "luo", "test", pairs)
    for config, columns in POOLS.items():
        for split in ("dev", "test"):
            write(tmp_path / "mirror" / "me" / "my-pools" / config, split, columns)
    (tmp_path / "own" / "my-text.yaml").write_text(TEXT)
    for language in ("en", "luo"):
        write(tmp_path / "mirror" / "me" / "text" / language, "train", {"line": ["It rains.", "Rain falls."]})
    (tmp_path / "own" / "languages.csv").write_text("code,name,script,family\nluo,Luo,Latn,Nilo-Saharan\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def planned(folder: Path) -> list[Job]:
    found = load_study(folder / "study.yaml")
    jobs, lacking = expand(found, Mirror(Path(found.hub)))
    assert not lacking
    return jobs


def test_they_are_planned_like_any_others(study: Path) -> None:
    places = [job.place for job in planned(study)]
    assert {f"data/{name}" for name in (*OWN, *FOUND, "my-text")} <= set(places)
    for arm in ("none", "choice"):
        assert {f"scores/tiny/{arm}/{name}/s1" for name in FOUND} <= set(places)
    for arm in ("none", "choice"):
        assert {f"target/tiny/{arm}/{name}/s1" for name in OWN} <= set(places)
        assert {f"scores/tiny/{arm}/{name}/s1" for name in OWN} <= set(places)
    assert "intermediate/tiny/choice/s1" in places


def test_their_data_come_through_the_door(study: Path, unit: Callable[..., Work]) -> None:
    fetched = {}
    for job in planned(study):
        for planned_unit in job.units if job.rule == "fetch_dataset" else ():
            work = unit(planned_unit.name, planned_unit.spec, {"hub": study / "mirror"})
            fetch.run([work])
            fetched[planned_unit.name] = {
                path.stem: pq.read_table(path) for path in work.folder.glob("*.parquet")
            }
    assert set(fetched["my-nli/en"]) == {"train", "dev", "test"} and set(fetched["my-nli/luo"]) == {
        "dev",
        "test",
    }
    assert fetched["my-nli/luo"]["test"]["label"].to_pylist() == [1, 0]
    assert fetched["my-names/luo"]["test"]["tags"].to_pylist() == [[1, 0], [0]]
    choices = fetched["my-choice/luo"]["test"]
    assert choices["prompt"].to_pylist() == ["It rains. What next?", "He fell. What next?"]
    assert choices["choices"].to_pylist()[0] == ["It dries.", "It gets wet."]
    assert choices["label"].to_pylist() == [1, 0] and choices["id"].to_pylist() == ["7", "8"]
    assert fetched["my-answers/luo"]["test"]["starts"].to_pylist() == [[0], [0]]
    assert fetched["my-text/luo"]["train"]["text"].to_pylist() == ["It rains.", "Rain falls."]
    passages = fetched["my-sentences/luo"]["test"].to_pylist()
    assert [row["text"] for row in passages[2:]] == ["Awa sings.", "It rains.", "Rain falls."]
    assert [row["matches"] for row in passages[:2]] == [["1_0"], ["2_0"]]
    assert fetched["my-bitext/luo"]["test"]["side"].to_pylist() == [0, 0, 1, 1]
    pools = fetched["my-pools/luo"]["test"].to_pylist()
    assert [row["matches"] for row in pools] == [["b2"], ["b1"], ["a2"], ["a1"]]


def test_every_family_is_among_them() -> None:
    told = (*OWN.values(), *FOUND.values(), TEXT)
    assert {re.search(r"family: (\w+)", text)[1] for text in told} == set(families())


def test_their_language_is_known(study: Path) -> None:
    assert languages(study / "own")["luo"].family == "Nilo-Saharan"


def test_a_wrong_language_file_is_a_problem_of_the_study(study: Path) -> None:
    (study / "own" / "languages.csv").write_text("code,name,script,family\nluo,Luo,Latin,Nilo-Saharan\n")
    with pytest.raises(Exception, match=r"languages\.csv:2: script: \"Latin\" is not an ISO 15924 code"):
        load_study(study / "study.yaml")


def test_data_that_do_not_fit_the_file_are_named(study: Path, unit: Callable[..., Work]) -> None:
    write(study / "mirror" / "me" / "my-nli" / "luo", "test", {**ROWS["my-nli"], "answer": ["yes", "maybe"]})
    spec = next(unit.spec for job in planned(study) for unit in job.units if unit.name == "my-nli/luo")
    with pytest.raises(DataError, match=r"row 1 has the label 'maybe'\. The task expects no, yes"):
        fetch.run([unit("work", spec, {"hub": study / "mirror"})])
