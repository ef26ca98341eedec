"""A submission folder from the store, and back: scored against the hub, it has the study's own scores."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus import receipt
from isthmus.data import fetch
from isthmus.errors import DataError, UsageError
from isthmus.evaluate import metrics, official
from isthmus.evaluate.official import TASKS
from isthmus.evaluate.official import hub as gold
from isthmus.plan import Plan
from isthmus.publish.export import Cell, _smaller_pools, export
from isthmus.receipt import Outcome
from isthmus.tasks.files import PACKAGED, catalogue
from isthmus.units import fetch_spec
from tests.conftest import MICRO

STUDY = MICRO.replace("targets: [xnli]", "tasks: own\ntargets: [xnli, udpos, panx, mlqa, own, tatoeba, bucc]")
OWN = (PACKAGED / "xnli.yaml").read_text().replace("task: xnli", "task: own")
NONE = {"encoder": None, "arm": "none", "seed": None}


@pytest.mark.parametrize(
    ("name", "languages", "expected"),
    [
        ("lareqa", ["de", "en"], 1),
        ("lareqa", catalogue()["lareqa"].codes, 0),
        ("mewslix", ["de"], 0),
        ("xnli", ["de"], 0),
    ],
)
def test_a_pool_of_fewer_languages_is_said(name: str, languages: list[str], expected: int) -> None:
    pool = {"lareqa": [f"lareqa/{language}" for language in languages], "mewslix": ["mewslix_entities/all"]}
    spec = {"pool": pool[name]} if name in pool else {}
    cells = [Cell(name, language, SimpleNamespace(spec=spec)) for language in languages]
    notes = _smaller_pools(catalogue(), cells)
    assert len(notes) == expected
    for note in notes:
        assert note.startswith("lareqa: candidates were looked for in de, en, of 11 languages.")
        assert "isthmus score --hub" in note


def canonical(name: str, language: str) -> dict[str, pa.Table]:
    """Babel's dev and test rows of a task."""
    task = gold._task(name)
    source = task.sources[0]
    request = task.request(source, language)
    spec = fetch_spec(task, language, source, request, "babel")
    work = gold._work(name, spec, None)
    splits = {ours: names for ours, names in request["splits"].items() if ours != "train"}
    return {s: fetch.canonical_rows(fetch.read(work, names), spec, name) for s, names in splits.items()}


def guess(name: str, data: pa.Table, dice: random.Random) -> pa.Table:
    """Predictions of every kind that are right about half of the time; rows in another order than the data's."""
    if "side" in data.column_names:
        return retrieved(name, data, dice)
    half = lambda right, others: right if dice.random() < 0.5 else dice.choice(others)  # noqa: E731
    column = next(column for column in ("label", "tags", "answers") if column in data.column_names)
    values = data.column(column).to_pylist()
    if column == "label":
        said = pa.array([half(value, [0, 1]) for value in values], pa.int32())
    elif column == "tags":
        said = pa.array([[half(tag, [0, 1, 2]) for tag in tags] for tags in values], pa.list_(pa.int32()))
    else:
        said = pa.array([half(texts[0], ["", "die", texts[0][:3]]) for texts in values], pa.string())
    table = pa.table({"id": data.column("id"), "prediction": said})
    order = list(range(len(table)))
    dice.shuffle(order)
    return table.take(order)


def retrieved(name: str, data: pa.Table, dice: random.Random) -> pa.Table:
    rows = data.select(["id", "side", "matches"]).to_pylist()
    asked = [row for row in rows if row["side"] == (1 if name == "tatoeba" else 0)]
    offered = [row["id"] for row in rows if row["side"] == (0 if name == "tatoeba" else 1)]
    found = []
    for layer in range(3):
        free = list(offered)
        dice.shuffle(free)
        for row in asked:
            right = row["matches"] and dice.random() < 0.3 + 0.2 * layer
            candidate = row["matches"][0] if right else free[-1]
            if name == "bucc":  # each sentence in one pair at most, right ones more often on top
                if candidate not in free:
                    continue
                free.remove(candidate)
            found.append((row["id"], layer, candidate, dice.random() + (0.4 if right else 0.0)))
        if name == "bucc":
            mine = sorted((row for row in found if row[1] == layer), key=lambda row: -row[3])
            found = [row for row in found if row[1] != layer] + mine
    names = ("id", "layer", "candidate", "score")
    types = (pa.string(), pa.int32(), pa.string(), pa.float32())
    columns = zip(*found, strict=True)
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


class Finished:
    """A study of which one arm has data and predictions in the store, as jobs would have left them."""

    def __init__(self, folder: Path, study: str = STUDY) -> None:
        (folder / "own").mkdir()
        (folder / "own" / "own.yaml").write_text(OWN)
        (folder / "micro.yaml").write_text(study)
        self.plan = Plan.of(folder / "micro.yaml")
        self.tables: dict[tuple[str, str, str], dict[str, pa.Table]] = {}
        self.status = "ok"

    def keep(self, unit, tables: dict[str, pa.Table], status: str = "ok") -> Outcome:
        with self.plan.store.claim(unit.stage, unit.key * 2) as claim:
            for split, table in tables.items():
                pq.write_table(table, claim.folder / f"{split}.parquet")
            return Outcome.of(claim.commit({"status": status, "name": unit.name}))

    def fill(self, arm: str = "none", status: str = "ok") -> None:
        (tables,) = (unit for job in self.plan.jobs for unit in job.units if unit.stage == "tabulate")
        outcomes: dict[str, Outcome] = {}
        for cell in tables.spec["cells"]:
            if cell["arm"] != arm or cell["target"] not in TASKS:
                continue
            unit = tables.parents[cell["score"]]
            data = canonical(cell["target"], cell["language"])
            dice = random.Random(f"{cell['target']}/{cell['language']}")
            splits = ("dev", "test") if cell["target"] in ("bucc", "tatoeba") else ("test",)
            said = {split: guess(cell["target"], data[split], dice) for split in splits if split in data}
            self.tables["data", cell["target"], cell["language"]] = data
            self.tables["prediction", cell["target"], cell["language"]] = said
            outcomes[unit.parents["data"].key] = self.keep(unit.parents["data"], data)
            kept = {} if status == "diverged" else said
            outcomes[unit.parents["prediction"].key] = self.keep(unit.parents["prediction"], kept, status)
        for job in self.plan.jobs:
            mine = {unit.key: outcomes[unit.key] for unit in job.units if unit.key in outcomes}
            if mine:
                receipt.write(self.plan.receipt(job), job.key, {key: {} for key in mine}, mine)


@pytest.fixture
def finished(tmp_path, monkeypatch) -> Finished:
    monkeypatch.chdir(tmp_path)
    found = Finished(tmp_path)
    found.fill()
    # What the store is held against is the plan's own business, and tested there.
    monkeypatch.setattr(Plan, "resolve", lambda self, write=True: ())
    return found


def test_the_export_scores_as_the_study_does(finished, tmp_path):
    lines = export("xtreme", finished.plan, tmp_path / "out", NONE)
    cells = sorted((target, language) for role, target, language in finished.tables if role == "data")
    assert [target for target, _ in cells] == [
        "bucc",
        "mlqa",
        "mlqa",
        "panx",
        "panx",
        "tatoeba",
        "udpos",
        "udpos",
        "xnli",
        "xnli",
    ]
    for target, language in cells:
        spec = {"target": target, "language": language, "split": "test"}
        task = gold._task(target)
        metric = metrics.load(task.metric)
        data, said = (finished.tables[role, target, language] for role in ("data", "prediction"))
        scored = metric.score(data, said, spec | ({"labels": task.labels} if task.labels else {}))
        expected = {
            name: 100 * float(value) for name, value in metric.values(scored.parts.mean(axis=0)).items()
        }
        expected.pop("f1_em", None)
        path = tmp_path / "out" / TASKS[target].file(language)
        report = official.score(target, language, path, None, "babel", "test").report
        assert report["metrics"] == {name: pytest.approx(value, abs=1e-9) for name, value in expected.items()}
        main = report["metrics"].get("accuracy", report["metrics"].get("f1"))
        assert 0 < main < 100, "guesses that are all right or all wrong would prove little"
    assert "bucc2018: de" in lines and "xnli: de, en" in lines
    assert "own is left out: XTREME has no such task." in lines
    assert (
        "Missing for XTREME: pawsx (all of it)." in lines
        and "Missing for XTREME: bucc2018 (fr, ru, zh)." in lines
    )
    assert not (tmp_path / "out" / "own").exists()


def test_the_run_must_be_named_where_there_are_several(finished, tmp_path):
    with pytest.raises(UsageError, match=r"several values of arm. Choose one with --arm: none, mnli"):
        export("xtreme", finished.plan, tmp_path / "out", {**NONE, "arm": None})
    with pytest.raises(UsageError, match=r"no seed '7'. Choose one with --seed: 1"):
        export("xtreme", finished.plan, tmp_path / "out", {**NONE, "seed": "7"})
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(finished, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UsageError, match="not empty"):
        export("xtreme", finished.plan, tmp_path / "out", NONE)


def test_what_the_store_lost_is_said(finished, tmp_path):
    with pytest.raises(DataError, match="receipt"):  # arm mnli has none
        export("xtreme", finished.plan, tmp_path / "out", {**NONE, "arm": "mnli"})


def test_what_has_not_run_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Finished(tmp_path, MICRO).plan
    with pytest.raises(UsageError, match=r"4 of the 4 artifacts .*run the study first .isthmus run"):
        export("xtreme", plan, tmp_path / "out", NONE)
    (tmp_path / "micro.yaml").write_text(MICRO.replace("targets: [xnli]", "tasks: own\ntargets: [own]"))
    with pytest.raises(UsageError, match=r"no target that a submission to XTREME holds. own is left out"):
        export("xtreme", Plan.of(tmp_path / "micro.yaml"), tmp_path / "out", NONE)


def test_diverged_runs_are_said_and_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Plan, "resolve", lambda self, write=True: ())
    found = Finished(tmp_path, MICRO)
    found.fill(status="diverged")
    lines = export("xtreme", found.plan, tmp_path / "out", NONE)
    assert "xnli/de has the status diverged." in lines and not (tmp_path / "out" / "xnli").exists()
    assert "Missing for XTREME: xnli (all of it)." in lines


def test_each_benchmark_takes_its_own_of_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Plan, "resolve", lambda self, write=True: ())
    found = Finished(tmp_path, MICRO.replace("[xnli]", "[xquad, xquad_12, pawsx]"))
    found.fill()
    first = export("xtreme", found.plan, tmp_path / "a", NONE)
    second = export("xtreme-r", found.plan, tmp_path / "b", NONE)
    assert "xquad_12 is left out: xquad stands for it." in first
    assert "xquad is left out: xquad_12 stands for it." in second
    assert "pawsx is left out: XTREME-R has no such task." in second
    assert json.loads((tmp_path / "b" / "xquad" / "test-de.json").read_text())
