"""A pool from training to its score: two languages whose questions find sentences of both, and mentions that find entities."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.check import datasets, features
from isthmus.check.findings import Findings
from isthmus.check.vocabulary import stand_in
from isthmus.data import tokenize
from isthmus.errors import DataError
from isthmus.evaluate import predict, score
from isthmus.families import match
from isthmus.train import prepare, stage
from isthmus.work import Work
from tests.unit.conftest import ARCHITECTURE, FILLERS, FOREIGN

RECIPE = {"max_length": 32, "query_length": 16}
TRAINING = {"learning_rate": 3e-3, "batch_size": 12, "steps": 60, "eval_every": 30, "dropout": 0.0, **RECIPE}
WORDS = [f"{first} {second}" for first in FILLERS for second in FILLERS if first != second][:24]


def foreign(text: str) -> str:
    return " ".join(FOREIGN.get(word, word) for word in text.split())


def questions(split: str, say: Callable[[str], str]) -> pa.Table:
    """Paragraphs of two sentences, each with a question that has the words of its first one."""
    rows: dict[str, list[Any]] = {
        name: [] for name in ("id", "context", "question", "answers", "starts", "sentences")
    }
    for number, words in enumerate(WORDS):
        sentence = say(words)
        rows["id"].append(f"{split}{number}")
        rows["context"].append(f"{sentence} zag")
        rows["question"].append(f"zig {sentence}")
        rows["answers"].append([sentence])
        rows["starts"].append([0])
        rows["sentences"].append([[0, len(sentence)], [len(sentence) + 1, len(sentence) + 4]])
    return pa.table(rows)


@pytest.fixture(scope="module")
def data(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows and tokens of `ask` in two languages, of `link` in one and of its `things`."""
    root = tmp_path_factory.mktemp("pools")
    tables = {"ask/here": questions("q", str), "ask/there": questions("q", foreign)}
    rows = {name: match.canonical({"": table}, name) for name, table in tables.items()}
    mentions = {
        "id": [f"m{n}" for n in range(24)],
        "mention": WORDS,
        "before": ["zig"] * 24,
        "after": ["zag"] * 24,
    }
    wanted = {"wanted": [f"Q{n}" for n in range(24)]}
    rows["link/here"] = match.canonical({"": pa.table({**mentions, **wanted})}, "link")
    things = {"id": [f"Q{n}" for n in range(30)], "candidate": [*WORDS, *FILLERS[:6]]}
    rows["things/here"] = match.canonical({"": pa.table(things)}, "things")
    for name, table in rows.items():
        for split in ("train", "dev", "test") if "things" not in name else ("test",):
            path = root / "data" / name / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
        inputs = {"tokenizer": world / "tokenizer", "data": root / "data" / name}
        folder = root / "tokens" / name
        folder.mkdir(parents=True)
        spec = {"task": name.partition("/")[0], "family": "match", "language": name.partition("/")[2]}
        tokenize.run([Work(name, spec, inputs, {}, folder, root, lambda: False, lambda **_: None)])
    return root


@pytest.fixture
def model(unit, world: Path, data: Path) -> Callable[..., Work]:
    def train(task: str = "ask", pool: tuple[str, ...] = (), **recipe: Any) -> Work:
        entry = {"task": task, "family": "match", "languages": ["here"]} | (
            {"pool": list(pool)} if pool else {}
        )
        spec = {"tasks": [entry], "recipe": {**TRAINING, **recipe}, "seed": 1, "init": ARCHITECTURE}
        names = (f"{task}/here", *pool)
        inputs = {f"tokens/{name}": data / "tokens" / name for name in names}
        work: Work = unit(f"model-{task}", spec, {"tokenizer": world / "tokenizer", **inputs})
        stage.run([work])
        return work

    return train


@pytest.fixture
def asked(unit, data: Path) -> Callable[..., Work]:
    def make(model: Path, target: str, language: str, pool: tuple[str, ...], name: str = "") -> Work:
        spec = {
            "target": target,
            "form": {"family": "match"},
            "language": language,
            "splits": ["test"],
            "head": target,
        }
        inputs = {"model": model, "tokens": data / f"tokens/{target}/{language}"}
        inputs |= {f"pool/{place}": data / "tokens" / place for place in pool}
        spec |= {"recipe": RECIPE, "pool": list(pool)}
        work: Work = unit(name or f"predictions/{target}/{language}/{len(pool)}", spec, inputs)
        return work

    return make


@pytest.fixture
def scored(unit, data: Path) -> Callable[[Work], dict[str, Any]]:
    def run(predicted: Work) -> dict[str, Any]:
        names = ("target", "language", "pool")
        spec = {name: predicted.spec[name] for name in names} | {"split": "test", "metric": "ranked"}
        inputs = {f"pool/{place}": data / "data" / place for place in spec["pool"]}
        inputs |= {"prediction": predicted.folder, "data": data / f"data/{spec['target']}/{spec['language']}"}
        work = unit(f"score/{predicted.name}", spec, inputs)
        score.run([work])
        assert work.commit.only["status"] == "ok"
        return dict(json.loads((work.folder / "score.json").read_text()))

    return run


BOTH = ("ask/here", "ask/there")


def found(work: Work) -> Mapping[str, list[str]]:
    table = pq.read_table(work.folder / "test.parquet")
    return dict(zip(table["id"].to_pylist(), table["found"].to_pylist(), strict=True))


def test_training_finds_what_chance_does_not(model, asked, scored) -> None:
    trained = model()
    assert trained.commit.only["details"]["dev"][-1]["score"] > 0.5
    works = [asked(trained.folder, "ask", language, BOTH) for language in ("here", "there")]
    predict.run(works)
    report = scored(works[0])
    main = report["metrics"]["map_at_20"]
    assert report["main"] == "map_at_20" and main["n"] == 24
    assert main["value"] > 3 * report["floor"] and main["ci_low"] > report["floor"] > 0
    assert report["details"] == {"pool": list(BOTH), "candidates": 96}
    names = {name for row in found(works[0]).values() for name in row}
    assert {name.partition("_")[0] for name in names} == {"here", "there"}
    assert all(len(row) == 20 for row in found(works[1]).values())


def test_a_pool_is_read_once_for_all_languages_and_changes_no_byte(
    model, asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(steps=1).folder
    pool, made = match.pool, []
    monkeypatch.setattr(match, "pool", lambda *given: made.append(len(given[0])) or pool(*given))
    together = [asked(folder, "ask", language, BOTH) for language in ("here", "there")]
    narrow = asked(folder, "ask", "there", BOTH[1:])
    predict.run([*together, narrow])
    assert made == [2, 1]
    alone = asked(folder, "ask", "there", BOTH, name="alone")
    predict.run([alone])
    files = [work.folder / "test.parquet" for work in (together[1], alone, narrow)]
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert {name.partition("_")[0] for row in found(narrow).values() for name in row} == {"there"}


def test_mentions_find_the_entities_of_another_task(model, asked, scored) -> None:
    trained = model("link", ("things/here",), steps=80)
    work = asked(trained.folder, "link", "here", ("things/here",))
    predict.run([work])
    report = scored(work)
    assert report["details"]["candidates"] == 30
    assert (
        report["metrics"]["map_at_20"]["value"]
        == report["metrics"]["mrr_at_20"]["value"]
        > 2 * report["floor"]
    )
    assert json.loads((trained.folder / "heads.json").read_text()) == {"link": {"family": "match"}}


def test_a_training_without_its_pool_has_nothing_to_train_on(model) -> None:
    with pytest.raises(DataError, match="link has no training example"):
        model("link")


def test_a_pool_without_the_split_is_named(model, asked, data: Path, tmp_path: Path) -> None:
    work = asked(model(steps=1).folder, "ask", "here", ("ask/here",))
    work.inputs["pool/ask/here"] = tmp_path
    with pytest.raises(DataError, match="ask in here has no split test"):
        predict.run([work])


def test_the_pool_is_no_part_of_the_heads_form() -> None:
    assert "pool" in prepare.NOT_OF_THE_HEAD


@pytest.mark.parametrize(("task", "trains"), [("link", True), ("link", False), ("ask", True), ("ask", False)])
def test_the_checks_find_candidates_for_the_rows_that_they_try(
    data: Path, tmp_path: Path, task: str, trains: bool
) -> None:
    findings, roles = (
        Findings(),
        {f"data/{name}/here": data / f"data/{name}/here" for name in (task, "things")},
    )
    sources = {
        role: {
            "task": role,
            "language": "here",
            "hub": "me/x",
            "splits": {path.stem: path.stem for path in folder.iterdir()},
        }
        for role, folder in roles.items()
    }
    splits = datasets.look(sources, roles, findings)
    vocabulary = stand_in((split.sample for split in splits.values()), tmp_path)
    use = {
        "encoder": "tiny",
        "task": task,
        "family": "match",
        "trains": trains,
        "data": [f"data/{task}/here"],
    }
    use |= {"recipe": RECIPE} | ({"pool": "things"} if task == "link" else {})
    assert features.try_uses([use], splits, {"tiny": features.bench(vocabulary, 40)}, roles, findings)
    assert not findings.problems
    if task == "link":
        alone = {place: split for place, split in splits.items() if "things" not in place[0]}
        features.try_uses([use], alone, {"tiny": features.bench(vocabulary, 40)}, roles, findings)
        assert findings.problems
