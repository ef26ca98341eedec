"""Gold predictions on the mirror of real data score 100, those of XTREME-R that test_official.py has no form for: its own
languages of four tasks, and LAReQA, whose data the mirror has under an id of its own.
"""

from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.data import fetch
from isthmus.data.candidates import right
from isthmus.evaluate import metrics
from isthmus.hubs import mirror as hub
from isthmus.hubs import wanted
from isthmus.hubs.mirror import Mirror
from isthmus.tasks.files import catalogue, read_task
from isthmus.tasks.task import Task
from isthmus.units import fetch_spec

TASKS = catalogue()
ROWS = 200  # of each split, the first
# Each task of XTREME-R with languages that XTREME's lacks, and how many of them the mirror has.
MORE = {
    ("udpos_38", "udpos"): 5,
    ("wikiann_48", "panx"): 8,
    ("xquad_12", "xquad"): 1,
    ("tatoeba_41", "tatoeba"): 5,
}
LAREQA = """\
task: own-lareqa
title: LAReQA
family: match
metric: ranked
pool: study
languages: [de, th, zh]
sources: [{hub: mirror-extra/lareqa, config: "xquad-r.{language}", splits: {test: test}}]
columns: {id: id, context: context, question: question, answers: answers, sentences: sentence_breaks}
"""


def gold_of(mirror: Path, task: Task, language: str, rows: int | None = ROWS) -> pa.Table | None:
    """The test split as it comes through the door, from the first source that the mirror has."""
    for source in task.sources_in(language):
        request = task.request(source, language)
        split = request["splits"]["test"]
        places = list(wanted(request["source"], [split]))
        if all(Mirror(mirror).offers(source.hub, *place) for place in places):
            spec = fetch_spec(task, language, source, request, "hub")
            table = hub.read(spec["source"], split, mirror).slice(0, rows)
            return fetch.canonical_rows({"": table}, spec, f"{task.name}/{language} test")
    return None


def perfect(gold: pa.Table) -> pa.Table:
    """The gold as predictions."""
    columns = {name: gold[name].to_pylist() for name in gold.column_names}
    if "tags" in columns:
        return pa.table({"id": gold["id"], "prediction": gold["tags"]})
    if "answers" in columns:
        return pa.table({"id": gold["id"], "prediction": [texts[0] for texts in columns["answers"]]})
    asked = [row for row, side in enumerate(columns["side"]) if side == 1]
    found = [(columns["id"][row], columns["matches"][row][0]) for row in asked]
    return layers(found)


def layers(found: list[tuple[str, str]]) -> pa.Table:
    rows = [(name, layer, candidate, 1.0) for layer in (0, 1) for name, candidate in found]
    types = {"id": pa.string(), "layer": pa.int32(), "candidate": pa.string(), "score": pa.float32()}
    columns = zip(types.items(), zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.array(values, kind) for (name, kind), values in columns})


def constant(gold: pa.Table) -> tuple[pa.Table, float | None]:
    """One answer to everything, and what it must get where a count tells."""
    columns = {name: gold[name].to_pylist() for name in gold.column_names}
    if "tags" in columns:
        return pa.table({"id": gold["id"], "prediction": [[0] * len(tags) for tags in columns["tags"]]}), None
    if "answers" in columns:
        return pa.table({"id": gold["id"], "prediction": [""] * len(gold)}), 0.0
    asked = [columns["id"][row] for row, side in enumerate(columns["side"]) if side == 1]
    first = next(name for name, side in zip(columns["id"], columns["side"], strict=True) if side == 0)
    return layers([(name, first) for name in asked]), 100 / len(asked)


def score(
    task: Task, language: str, gold: dict[str, pa.Table], said: pa.Table, **more: object
) -> dict[str, float]:
    metric = metrics.load(task.metric)
    spec = {"target": task.name, "language": language, "split": "test", **more}
    spec |= {"labels": task.labels} if task.labels else {}
    scored = metric.score(gold, {"test": said}, spec)
    return {name: 100 * float(value) for name, value in metric.values(scored.parts.mean(axis=0)).items()}


@pytest.mark.parametrize(("name", "smaller"), MORE)
def test_the_languages_that_xtreme_r_adds(mirror: Path, name: str, smaller: str) -> None:
    task, held = TASKS[name], 0
    for language in sorted(set(task.codes) - set(TASKS[smaller].codes)):
        gold = gold_of(mirror, task, language)
        if gold is None:
            continue
        held += 1
        assert set(score(task, language, {"test": gold}, perfect(gold)).values()) == {100.0}
        said, floor = constant(gold)
        found = score(task, language, {"test": gold}, said)[metrics.load(task.metric).NAMES[0]]
        assert found == pytest.approx(floor) if floor is not None else found < 40
    assert held == MORE[name, smaller]


def test_lareqa(mirror: Path, tmp_path: Path) -> None:
    path = tmp_path / "own-lareqa.yaml"
    path.write_text(LAREQA)
    task, problems = read_task(path)
    assert task is not None and not problems
    tables = {language: gold_of(mirror, task, language, None) for language in task.codes}
    pool = {f"{task.name}/{language}": table for language, table in tables.items()}
    for language, gold in tables.items():
        wanted_, everything = right((language, gold), list(tables.items()))
        assert len(wanted_) == 1190 and all(len(names) >= 3 for names in wanted_.values())
        whole = {"test": gold, **{f"pool/{place}": table for place, table in pool.items()}}
        said = pa.table({"id": list(wanted_), "found": [names[:20] for names in wanted_.values()]})
        found = score(task, language, whole, said, pool=list(pool))
        assert set(found.values()) == {100.0}
        first = pa.table({"id": list(wanted_), "found": [everything[:20]] * len(wanted_)})
        assert score(task, language, whole, first, pool=list(pool))["map_at_20"] < 1
