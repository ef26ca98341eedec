"""Every target in every language of babel: an oracle that reads the text alone scores 100, constants score the floor.

The whole way but the model: the catalogue's request, babel's rows, the door, the metric.
"""

import functools

import pyarrow as pa
import pytest

from isthmus import families
from isthmus.data import fetch
from isthmus.evaluate import metrics
from isthmus.hubs.babel import hub
from isthmus.hubs.babel.parse import parse
from isthmus.tasks.files import catalogue
from isthmus.tasks.task import Task
from isthmus.units import fetch_spec

TASKS = catalogue()
# On the real hub these have fewer languages than babel speaks; the targets that babel does not serve are not here.
EXPECTED = {
    "xnli": 9,
    "pawsx": 6,
    "udpos": 11,
    "panx": 12,
    "xquad": 8,
    "mlqa": 6,
    "tydiqa": 6,
    "bucc": 3,
    "tatoeba": 11,
}
CELLS = [
    (task.name, language)
    for task in TASKS.values()
    if task.name in EXPECTED
    for language in task.codes
    if language in hub.languages()
]


def test_every_target_is_there_in_all_its_languages():
    counts = {name: sum(task == name for task, _ in CELLS) for name in EXPECTED}
    assert counts == EXPECTED and len(CELLS) == sum(EXPECTED.values())


class Cell:
    """One target in one language: the hub's rows and the canonical ones, by split."""

    def __init__(self, name: str, language: str) -> None:
        self.task: Task = TASKS[name]
        self.language = language
        source = self.task.sources[0]
        request = self.task.request(source, language)
        self.spec = fetch_spec(self.task, language, source, request, "babel")
        splits = {split: name for split, name in request["splits"].items() if split != "train"}
        work = type("Work", (), {"spec": self.spec, "inputs": {}, "name": name})()
        self.raw = {split: fetch.read(work, name) for split, name in splits.items()}
        self.gold = {
            split: fetch.canonical_rows(tables, self.spec, f"{name}/{language} {split}")
            for split, tables in self.raw.items()
        }

    @property
    def config(self) -> str:
        return self.spec["source"]["config"]

    def answers(self, split: str) -> list:
        """What the oracle says of each row, with the row's answer out of its sight."""
        dataset = hub._find(self.spec["source"]["id"], self.config)
        rows = self.raw[split][""].to_pylist()
        return [
            hub.oracle(dataset.hub_id, self.config, {k: v for k, v in row.items() if k != dataset.answer})
            for row in rows
        ]

    def score(self, predicted: dict[str, pa.Table]) -> tuple[dict[str, float], metrics.Scored]:
        metric = metrics.load(self.task.metric)
        spec = {"target": self.task.name, "language": self.language, "split": "test"}
        spec |= {"labels": self.task.labels} if self.task.labels else {}
        scored = metric.score(self.gold, predicted, spec)
        return {k: 100 * float(v) for k, v in metric.values(scored.parts.mean(axis=0)).items()}, scored


cell = functools.lru_cache(maxsize=2)(Cell)


def oracle(cell: Cell, split: str) -> pa.Table:
    """The family's predictions as an oracle would make them."""
    gold = cell.gold[split]
    if cell.task.retrieval is not None:
        return translations(cell, gold)
    answers = cell.answers(split)
    if cell.task.columns.answers is not None:
        answers = [answer["text"][0] for answer in answers]
    return pa.table({"id": gold["id"], "prediction": answers})


def translations(cell: Cell, gold: pa.Table) -> pa.Table:
    """The pairs of sentences that mean the same, found by parsing both sides; the same in two layers."""
    sides = {}
    for row in gold.to_pylist():
        meaning = parse(cell.language if row["side"] == 0 else "en", row["text"])
        sides.setdefault(row["side"], {}).setdefault(meaning, row["id"])
    pairs = [(sides[0][m], sides[1][m]) for m in sides[1] if m in sides[0]]
    if cell.task.retrieval == "nearest":
        by_english = {english: other for other, english in pairs}
        asked = [
            name for name, side in zip(gold["id"].to_pylist(), gold["side"].to_pylist(), strict=True) if side
        ]
        pairs = [(name, by_english[name]) for name in asked]
    return layered(pairs, [0.9] * len(pairs))


def layered(pairs: list, scores: list) -> pa.Table:
    rows = [
        (first, layer, second, score)
        for layer in (0, 1)
        for (first, second), score in zip(pairs, scores, strict=True)
    ]
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    types = (pa.string(), pa.int32(), pa.string(), pa.float32())
    names = ("id", "layer", "candidate", "score")
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


@pytest.mark.parametrize(("name", "language"), CELLS)
def test_an_oracle_scores_100(name: str, language: str) -> None:
    here = cell(name, language)
    values, scored = here.score({split: oracle(here, split) for split in here.gold})
    assert set(values.values()) == {100.0}
    assert len(scored.ids) >= 190


def constants(here: Cell) -> list[dict[str, pa.Table]]:
    """Every constant answer that a task allows."""
    gold = here.gold["test"]
    if here.task.retrieval == "nearest":
        asked = [row["id"] for row in gold.to_pylist() if row["side"]]
        first = next(row["id"] for row in gold.to_pylist() if not row["side"])
        return [{"test": layered([(name, first) for name in asked], [0.5] * len(asked))}]
    if here.task.retrieval == "margin":
        return [{split: layered([], []) for split in here.gold}]
    if here.task.columns.answers is not None:
        return [{"test": pa.table({"id": gold["id"], "prediction": [""] * len(gold)})}]
    labels = range(len(here.task.labels))
    if here.task.columns.tokens is None:
        return [{"test": pa.table({"id": gold["id"], "prediction": [label] * len(gold)})} for label in labels]
    return [
        {
            "test": pa.table(
                {
                    "id": gold["id"],
                    "prediction": [[label] * len(words) for words in gold["tokens"].to_pylist()],
                }
            )
        }
        for label in labels
    ]


@pytest.mark.parametrize(("name", "language"), CELLS)
def test_the_best_constant_scores_the_floor(name: str, language: str) -> None:
    here = cell(name, language)
    main = metrics.load(here.task.metric).NAMES[0]
    found = [here.score(predicted) for predicted in constants(here)]
    best = max(values[main] for values, _ in found)
    assert best == pytest.approx(100 * found[0][1].floor)
    known = {
        "xnli": 100 / 3,
        "pawsx": 50.0,
        "xquad": 0.0,
        "mlqa": 0.0,
        "tydiqa": 0.0,
        "bucc": 0.0,
        "tatoeba": 0.25,
    }
    if name in known:
        assert best == pytest.approx(known[name])
    else:
        assert 0 <= best < 15


def test_every_family_is_exercised() -> None:
    assert {TASKS[name].family for name, _ in CELLS} == {"classify", "tag", "span", "retrieve"}
    assert all(hasattr(families.load(TASKS[name].family), "canonical") for name, _ in CELLS)
