"""Every target in every language of babel: an oracle that reads the text alone scores 100, constants score the floor.

The whole way but the model: the catalogue's request, babel's rows, the door, the metric.
"""

import functools
import itertools
from collections import defaultdict

import pyarrow as pa
import pytest

from isthmus import families
from isthmus.data import fetch
from isthmus.evaluate import metrics
from isthmus.hubs import wanted
from isthmus.hubs.babel import hub
from isthmus.hubs.babel.parse import parse
from isthmus.hubs.babel.world import answers
from isthmus.tasks.files import catalogue
from isthmus.tasks.files import families as known_families
from isthmus.tasks.task import Task
from isthmus.units import fetch_spec

TASKS = catalogue()
# How many of each target's languages babel speaks.
EXPECTED = {
    "xnli": 9,
    "pawsx": 6,
    "xcopa": 3,
    "udpos": 11,
    "udpos_38": 11,
    "panx": 12,
    "wikiann_48": 12,
    "xquad": 8,
    "xquad_12": 8,
    "mlqa": 6,
    "tydiqa": 6,
    "bucc": 3,
    "tatoeba": 11,
    "tatoeba_41": 11,
    "lareqa": 8,
    "mewslix": 6,
}
CELLS = [
    (task.name, language)
    for task in TASKS.values()
    if task.is_target
    for language in task.codes
    if language in hub.languages()
]


def test_every_target_is_there_in_all_its_languages():
    counts = {name: sum(task == name for task, _ in CELLS) for name, _ in CELLS}
    assert counts == EXPECTED


def spec_of(task: Task, language: str) -> dict:
    """The spec of the first source that babel has, as the plan chooses it."""
    for source in task.sources_in(language):
        request = task.request(source, language)
        places = wanted(request["source"], request["splits"].values())
        if all(hub.offers(source.hub, config, split) for config, split in places):
            return fetch_spec(task, language, source, request, "babel")
    raise AssertionError(f"babel has no source of {task.name} in {language}")


def read(spec: dict, hub_split: str) -> dict[str, pa.Table]:
    return fetch.read(type("Work", (), {"spec": spec, "inputs": {}, "name": spec["task"]})(), hub_split)


@functools.cache
def canonical(name: str, language: str, split: str) -> pa.Table:
    """The rows of a split as they come through the door."""
    spec = spec_of(TASKS[name], language)
    return fetch.canonical_rows(read(spec, spec["splits"][split]), spec, f"{name}/{language} {split}")


def pool(task: Task, language: str) -> list[tuple[str, str]]:
    """Where the candidates of a target come from, as the plan has it."""
    if task.pool_task is not None:
        return [(task.pool_task, code) for code in TASKS[task.pool_task].codes]
    return [
        (name, code)
        for name, code in CELLS
        if name == task.name and (task.pool == "study" or code == language)
    ]


class Cell:
    """One target in one language: the hub's rows and the canonical ones, by split."""

    def __init__(self, name: str, language: str) -> None:
        self.task: Task = TASKS[name]
        self.language = language
        self.spec = spec_of(self.task, language)
        splits = {split: name for split, name in self.spec["splits"].items() if split != "train"}
        self.raw = {split: read(self.spec, name) for split, name in splits.items()}
        self.gold = {
            split: fetch.canonical_rows(tables, self.spec, f"{name}/{language} {split}")
            for split, tables in self.raw.items()
        }
        self.pool = pool(self.task, language) if self.task.pool is not None else []
        self.gold |= {f"pool/{name}/{code}": canonical(name, code, "test") for name, code in self.pool}

    @property
    def config(self) -> str:
        return self.spec["source"]["config"]

    @property
    def answer(self) -> str:
        """The column that an oracle may not see."""
        return hub._find(self.spec["source"]["id"], self.config).answer

    def answers(self, split: str) -> list:
        """What the oracle says of each row, with the row's answer out of its sight."""
        rows = [
            {name: value for name, value in row.items() if name != self.answer}
            for row in self.raw[split][""].to_pylist()
        ]
        return [hub.oracle(self.spec["source"]["id"], self.config, row) for row in rows]

    def score(self, predicted: dict[str, pa.Table]) -> tuple[dict[str, float], metrics.Scored]:
        metric = metrics.load(self.task.metric)
        spec = {"target": self.task.name, "language": self.language, "split": "test"}
        spec |= {"labels": self.task.labels} if self.task.labels else {}
        spec |= {"pool": [f"{name}/{code}" for name, code in self.pool]} if self.pool else {}
        scored = metric.score(self.gold, predicted, spec)
        return {k: 100 * float(v) for k, v in metric.values(scored.parts.mean(axis=0)).items()}, scored


cell = functools.lru_cache(maxsize=2)(Cell)


def oracle(cell: Cell, split: str) -> pa.Table:
    """The family's predictions as an oracle would make them."""
    gold = cell.gold[split]
    if cell.task.retrieval is not None:
        return translations(cell, gold)
    if cell.task.pool is not None:
        return found(cell, gold, split)
    said = cell.answers(split)
    if cell.task.columns.answers is not None:
        said = [answer["text"][0] for answer in said]
    elif cell.raw[split][""].schema.field(cell.answer).type == pa.list_(pa.string()):
        said = [[cell.task.labels.index(tag) for tag in tags] for tags in said]
    return pa.table({"id": gold["id"], "prediction": said})


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


@functools.cache
def told(name: str, language: str) -> dict[str, list[tuple[str, object]]]:
    """What each sentence of a pool tells, with the sentence's id, by its verb."""
    events = defaultdict(list)
    for row in canonical(name, language, "test").to_pylist():
        if row["side"] == 1:
            event = parse(language, row["text"])
            events[event.verb].append((f"{language}_{row['id']}", event))
    return events


def found(cell: Cell, gold: pa.Table, split: str) -> pa.Table:
    """What each query looks for: the entity that is meant, or every sentence of the pool that answers."""
    queries = [row for row in gold.to_pylist() if row["side"] == 0]
    if cell.task.pool_task is not None:
        right = [[entity] for entity in cell.answers(split)]
    else:
        right = []
        for row in queries:
            question = parse(cell.language, row["text"])
            events = itertools.chain(*(told(*place)[question.verb] for place in cell.pool))
            right.append([name for name, event in events if answers(question, event)])
    return pa.table({"id": [row["id"] for row in queries], "found": right})


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
    values, scored = here.score({split: oracle(here, split) for split in here.raw})
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
        return [{split: layered([], []) for split in here.raw}]
    if here.task.pool is not None:
        queries = [row["id"] for row in gold.to_pylist() if row["side"] == 0]
        name, code = here.pool[0]
        first = [row["id"] for row in canonical(name, code, "test").to_pylist() if row["side"] == 1][:20]
        names = first if here.task.pool_task is not None else [f"{code}_{place}" for place in first]
        return [{"test": pa.table({"id": queries, "found": [names] * len(queries)})}]
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
    if here.task.pool is not None:  # the floor is what one order gets on average over all orders
        assert 0 < 100 * found[0][1].floor < 5 and best < 5
        return
    assert best == pytest.approx(100 * found[0][1].floor)
    known = {"xnli": 100 / 3}
    known |= dict.fromkeys(("pawsx", "xcopa"), 50.0) | dict.fromkeys(("tatoeba", "tatoeba_41"), 0.25)
    known |= dict.fromkeys(("xquad", "xquad_12", "mlqa", "tydiqa", "bucc"), 0.0)
    if name in known:
        assert best == pytest.approx(known[name])
    else:
        assert 0 <= best < 15


def test_every_family_is_exercised() -> None:
    assert {TASKS[name].family for name, _ in CELLS} == set(known_families()) - {"mlm"}
    assert all(hasattr(families.load(TASKS[name].family), "canonical") for name, _ in CELLS)
