"""Every entry of the catalogue comes through the door: from babel in each language that it speaks, and from a hub by its
own client.

What the mirror of real data has of them is in test_catalogue.py.
"""

import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.data import fetch
from isthmus.errors import DataError, HubError
from isthmus.expand import Expansion, expand
from isthmus.hubs import wanted
from isthmus.hubs.babel import hub, texts
from isthmus.hubs.babel.hub import Babel
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import Unit
from isthmus.study.load import load_study
from isthmus.tasks.files import catalogue
from isthmus.tasks.task import Task
from isthmus.work import Work
from tests.conftest import MICRO, environment
from tests.hub_server import HubServer

TASKS = catalogue()
WHOLE = {name: task for name, task in TASKS.items() if task.unites is None}
SPOKEN = {
    name: [language for language in task.codes if language in hub.languages()] for name, task in WHOLE.items()
}
# In languages that babel does not speak, it says what it has; where one table serves many languages, no row is left.
UNSPOKEN = {name: [code for code in task.codes if code not in SPOKEN[name]] for name, task in WHOLE.items()}
FEW = 60  # documents of a text, whose thousands are much alike


@pytest.fixture
def few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARTICLES", "PAIRS"):
        monkeypatch.setattr(texts, name, FEW)


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Expansion:
    """The plan of some study on babel: it knows how a task's data are found."""
    path = tmp_path_factory.mktemp("plan") / "micro.yaml"
    path.write_text(MICRO)
    return Expansion(load_study(path), Babel())


def sound(task: Task, rows: pa.Table) -> None:
    """Assert that the rows have the form of the task, and gold where it has any."""
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    assert len(set(columns["id"])) == len(rows) > 0
    options = range(len(task.labels or ()))
    for name, values in columns.items():
        if name == "label":
            assert set(values) <= {-1, *options} and any(label >= 0 for label in values)
        elif name == "tags" and task.labels:
            assert {tag for tags in values for tag in tags} <= set(options)
        elif name == "choices":
            assert all(len(set(texts)) == len(texts) > 1 for texts in values)
        elif name == "answers" and not task.unanswerable:
            assert all(values)
        elif pa.types.is_string(rows.schema.field(name).type) and name not in ("id", "beside"):
            assert all(text.strip() for text in values)


@pytest.mark.parametrize("name", WHOLE)
def test_babel_serves_it_in_every_language_that_it_speaks(
    plan: Expansion, unit: Callable[..., Work], few_texts: None, name: str
) -> None:
    task = TASKS[name]
    assert SPOKEN[name]
    for language in SPOKEN[name]:
        planned = plan.data_unit(task, language)
        assert planned.key not in plan.lacking
        work = unit(planned.name, planned.spec, {})
        fetch.run([work])
        assert work.commit.only["status"] == "ok"
        for split in planned.spec["splits"]:
            sound(task, pq.read_table(work.folder / f"{split}.parquet"))


def test_a_study_of_all_of_them_lacks_nothing_on_babel(tmp_path: Path) -> None:
    targets = [name for name, task in TASKS.items() if task.is_target]
    arms = [
        name for name, task in TASKS.items() if task.trainable and not task.is_text and not task.is_target
    ]
    text = MICRO.replace("targets: [xnli]", f"targets: [{', '.join(targets)}]")
    text = text.replace("languages: [en, de]\nseeds", "languages: all\nseeds")
    text = text.replace("  mnli: mnli\n", "".join(f"  {name}: {name}\n" for name in arms))
    (tmp_path / "all.yaml").write_text(text.replace("all: {", "all: {select: last, "))
    jobs, lacking = expand(load_study(tmp_path / "all.yaml"), Babel())
    assert not lacking
    read = {job.place.removeprefix("data/") for job in jobs if job.rule == "fetch_dataset"}
    assert read == set(WHOLE)


def test_what_unites_others_is_made_of_entries() -> None:
    for task in TASKS.values():
        for part in task.datasets:
            assert TASKS[part].labels == task.labels
            assert part in WHOLE


@pytest.mark.parametrize("name", [name for name, codes in UNSPOKEN.items() if codes])
def test_babel_says_what_it_has_in_the_place_of_a_language_that_it_does_not_speak(
    plan: Expansion, unit: Callable[..., Work], name: str
) -> None:
    task = TASKS[name]
    for language in UNSPOKEN[name][:3]:
        planned = plan.data_unit(task, language)
        lacks = planned.key in plan.lacking
        assert not lacks or plan.lacking[planned.key].startswith(f"{name} in {language}: tried ")
        said = (
            r"babel has no (config|dataset) \S+.*\. It has: " if lacks else f"{name}/{language} .*has no rows"
        )
        with pytest.raises(HubError if lacks else DataError, match=said):
            fetch.run([unit(planned.name, planned.spec, {})])


def test_an_empty_mirror_says_of_every_entry_what_to_add(tmp_path: Path, unit: Callable[..., Work]) -> None:
    (tmp_path / "micro.yaml").write_text(MICRO)
    mirror = tmp_path / "empty"
    plan = Expansion(load_study(tmp_path / "micro.yaml"), Mirror(mirror))
    for name, task in WHOLE.items():
        planned = plan.data_unit(task, task.codes[0])
        first = task.sources_in(task.codes[0])[0].hub
        assert plan.lacking[planned.key].startswith(f"{name} in {task.codes[0]}: tried {first} ")
        with pytest.raises(HubError, match=rf"has no {re.escape(first)}, config .*\. Add it there"):
            fetch.run([unit(planned.name, planned.spec, {"hub": mirror})])


# A study that reads every form of data that the hub has: labels as places, as texts and as the hub's names, lists of tags
# with names and as texts, spans, choices in columns, lists and structs, aligned sentences, sentences to mine in tables of
# their own, text with and without its translation, one table for many languages, a split from several.
STUDY = """\
study: forms
question: Does each form come through the client?
hub: huggingface
encoders:
  tiny:
    pretrain: {data: [wikipedia, ccmatrix], languages: [en, tr], vocab_size: 600, layers: 1, width: 16, heads: 2, positions: 64}
arms:
  none: []
  anli: anli
  ccg: ccg
  social_iqa: social_iqa
  commonsense_qa: commonsense_qa
  hellaswag_translated: hellaswag_translated
  jnli: jnli
  jsquad: jsquad
targets: [pawsx, xcopa, wikiann_48, xquad_12, tydiqa, tatoeba_41, mined]
tasks: own
languages: [de, en, tr, sw, zh]
recipe:
  all: {max_length: 48, select: last}
"""

# In the catalogue the archives come first, which are on no hub.
MINED = """\
task: mined
title: BUCC
family: retrieve
metric: mining
retrieval: margin
languages: [de, zh]
sources:
  - hub: comparable.limsi.fr/bucc2018
    configs: {a: "{language}-en.{language}", b: "{language}-en.en", gold: "{language}-en.gold"}
    splits: {dev: sample, test: training}
columns: {id: id, text: sentence, id_a: id1, id_b: id2}
"""


def served(unit: Unit) -> dict[str, bytes]:
    """The files of a unit's dataset as babel's tree has them."""
    source, files = unit.spec["source"], {}
    for config, split in wanted(source, unit.spec["splits"].values()):
        target = io.BytesIO()
        pq.write_table(hub.serve(source["id"], config, split), target)
        files[f"{config}/{split}-00000-of-00001.parquet"] = target.getvalue()
    return files


def fetched(unit_: Callable[..., Work], planned: Unit, inputs: Mapping[str, Path]) -> dict[str, pa.Table]:
    work = unit_(planned.name, planned.spec, inputs)
    fetch.run([work])
    return {split: pq.read_table(work.folder / f"{split}.parquet") for split in planned.spec["splits"]}


def test_every_form_comes_through_the_hubs_client_as_babel_has_it(
    tmp_path: Path, unit: Callable[..., Work], few_texts: None
) -> None:
    study, cache = tmp_path / "forms.yaml", tmp_path / "cache"
    study.write_text(STUDY)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mined.yaml").write_text(MINED)
    loaded = load_study(study)
    on_babel, on_the_hub = (Expansion(loaded, kind) for kind in (Babel(), Mirror(cache)))
    needed = [(loaded.tasks[name], code) for name, codes in on_babel.needs.needed().items() for code in codes]
    units = [on_babel.data_unit(task, language) for task, language in needed]
    files: dict[str, dict[str, bytes]] = {}
    for planned in units:
        files.setdefault(planned.spec["source"]["id"], {}).update(served(planned))
    server = HubServer(page=100)
    try:
        for hub_id, content in files.items():
            server.dataset(hub_id, content)
        run = subprocess.run(
            [sys.executable, "-m", "isthmus", "fetch", str(study)],
            cwd=tmp_path,
            env=environment()
            | {name: "" for name in os.environ if name.lower().endswith("_proxy")}
            | {
                "HF_ENDPOINT": server.endpoint,
                "HF_HOME": str(tmp_path / "home"),
                "ISTHMUS_CACHE": str(cache),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.close()
    assert run.returncode == 0, run.stderr
    assert len(units) > 25
    for (task, language), planned in zip(needed, units, strict=True):
        there = on_the_hub.data_unit(task, language)
        assert not on_the_hub.lacking
        assert fetched(unit, there, {"hub": cache}) == fetched(unit, planned, {})
