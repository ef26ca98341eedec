"""What the paper's procedure asks of the data, and what its code did not do (traps of reference implementations)."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.data.fetch import read
from isthmus.expand import expand
from isthmus.hubs import Hub
from isthmus.hubs.babel.hub import Babel
from isthmus.hubs.mirror import Mirror
from isthmus.jobs import Unit
from isthmus.study.load import load_study
from isthmus.work import Work
from tests.conftest import MICRO

TYDIQA = (
    MICRO.replace("targets: [xnli]", "targets: [tydiqa]")
    .replace("\nlanguages: [en, de]", "\nlanguages: all")
    .replace("target: {steps", "target: {select: last, steps")
)


def units(folder: Path, hub: Hub) -> dict[str, list[Unit]]:
    """The units of a study with TyDiQA, by stage."""
    assert "tydiqa" in TYDIQA and "\nlanguages: all" in TYDIQA
    (folder / "study.yaml").write_text(TYDIQA)
    found: dict[str, list[Unit]] = {}
    for job in expand(load_study(folder / "study.yaml"), hub)[0]:
        found.setdefault(job.stage, []).extend(job.units)
    return found


def rows(spec: dict[str, Any], mirror: Path, folder: Path) -> pa.Table:
    """The training rows that a fetch spec reads from a mirror."""
    work = Work("tydiqa/en", spec, {"hub": mirror}, {}, folder, folder, lambda: False, lambda *_: None)
    return read(work, spec["splits"]["train"])[""]


def test_tydiqa_is_trained_on_english_questions_alone(tmp_path: Path) -> None:
    """jiant wrote the questions of all languages into the English training file and read it whole."""
    stages = units(tmp_path, Babel())
    trained = [unit for unit in stages["train"] if any("tydiqa" in role for role in unit.parents)]
    assert trained
    for unit in trained:
        assert [role for role in unit.parents if "tydiqa" in role] == ["tokens/tydiqa/en"]
    fetched = {unit.spec["language"]: unit.spec for unit in stages["fetch"] if unit.spec["task"] == "tydiqa"}
    assert len(fetched) > 1
    assert {language for language, spec in fetched.items() if "train" in spec["splits"]} == {"en"}
    assert {spec["source"]["where"]["id"] for spec in fetched.values()} >= {"english-*"}


def test_the_mirrors_english_questions_are_all_that_is_read(tmp_path: Path, mirror: Path) -> None:
    (spec,) = (
        unit.spec
        for unit in units(tmp_path, Mirror(mirror))["fetch"]
        if (unit.spec["task"], unit.spec["language"]) == ("tydiqa", "en")
    )
    spec = dict(spec)
    table = rows(spec, mirror, tmp_path)
    every = rows({**spec, "source": {**spec["source"], "where": {}}}, mirror, tmp_path)
    ids = table["id"].to_pylist()
    assert ids and all(name.startswith("english-") for name in ids)
    assert len(ids) == sum(name.startswith("english-") for name in every["id"].to_pylist()) < len(every)
