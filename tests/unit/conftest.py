"""What the tests of the engine share: an invented world of a few words, its tokenizer, and units of work on it."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.spec import canonical
from isthmus.work import Work

FILLERS = ["brim", "dalo", "fent", "gorp", "hule", "jand", "kest", "lomi"]
FOREIGN = {"brim": "mirba", "dalo": "ladu", "fent": "tefni", "gorp": "proga", "hule": "elhu", "jand": "dnaje"}
FOREIGN |= {"kest": "tseki", "lomi": "imole", "zig": "gizo", "zag": "gaza"}
ARCHITECTURE = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "positions": 40, "dropout": 0.1}


@dataclass
class Commits:
    """What a stage committed: status, reason and details, in order."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(
        self, status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        self.calls.append(
            {"status": status, "reason": reason, "details": json.loads(canonical(details or {}))}
        )

    @property
    def only(self) -> dict[str, Any]:
        (call,) = self.calls
        return call


@pytest.fixture
def unit(tmp_path: Path) -> Callable[..., Work]:
    """Make a unit of work. The same name again gets the same state folder and an empty work folder, as after a kill."""

    def make(
        name: str,
        spec: Mapping[str, Any],
        inputs: Mapping[str, Path],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> Work:
        folder, state = tmp_path / "work" / name, tmp_path / "state" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        state.mkdir(parents=True, exist_ok=True)
        return Work(
            name, spec, dict(inputs), dict.fromkeys(inputs, "ok"), folder, state, interrupted, Commits()
        )

    return make


def sentence(number: int, cue: str) -> str:
    """Some fillers, different for each number, with a cue among them."""
    words = [FILLERS[number * 5 % 8], FILLERS[number * 3 % 7], cue, FILLERS[number % 8]]
    return " ".join(words[number % 2 :])


def abroad(text: str) -> str:
    """The same sentence in the foreign language, in the opposite order."""
    return " ".join(FOREIGN[word] for word in reversed(text.split()))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tokenized toy data: `cue` (label 1 where `zig` stands in text_a), `twin` (whether both sides have the same
    cue), and `text` in `here` and `there`, the latter with translations into the former.
    """
    root = tmp_path_factory.mktemp("world")
    cues = ["zag", "zig"]
    for split, numbers in (("train", range(64)), ("dev", range(100, 124)), ("test", range(200, 240))):
        texts = [sentence(n, cues[n % 2]) for n in numbers]
        others = [sentence(n + 3, cues[n // 2 % 2]) for n in numbers]
        ids = [f"{split}{n}" for n in numbers]
        cue = {"id": ids, "text_a": texts, "label": pa.array([n % 2 for n in numbers], pa.int32())}
        same = [int(n % 2 == n // 2 % 2) for n in numbers]
        _write(root / "data/cue/here" / f"{split}.parquet", cue)
        _write(root / "data/cue/there" / f"{split}.parquet", {**cue, "text_a": [abroad(t) for t in texts]})
        twin = {**cue, "text_b": others, "label": pa.array(same, pa.int32())}
        _write(root / "data/twin/here" / f"{split}.parquet", twin)
    plain = [f"{sentence(n, cues[n % 2])} {sentence(n + 1, cues[n // 2 % 2])}" for n in range(60)]
    numbered = {"id": [str(n) for n in range(60)]}
    _write(root / "data/text/here/train.parquet", {**numbered, "text": plain})
    foreign = {**numbered, "text": [abroad(text) for text in plain], "pair": plain}
    _write(root / "data/text/there/train.parquet", foreign)
    _tokenize(root)
    return root


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)


def _tokenize(root: Path) -> None:
    from isthmus.data import tokenize, tokenizer

    def work(name: str, spec: Mapping[str, Any], inputs: Mapping[str, Path]) -> Work:
        (root / name).mkdir(parents=True)
        return Work(name, spec, inputs, {}, root / name, root, lambda: False, Commits())

    spec = {
        "vocab_size": 120,
        "character_coverage": 1.0,
        "sentences_per_language": 100,
        "threads": 1,
        "seed": 1,
    }
    inputs = {f"data/text/{language}": root / f"data/text/{language}" for language in ("here", "there")}
    tokenizer.run([work("tokenizer", spec, inputs)])
    for folder in sorted((root / "data").glob("*/*")):
        task, language = folder.parts[-2:]
        family = "mlm" if task == "text" else "classify"
        inputs = {"tokenizer": root / "tokenizer", "data": folder}
        tokenize.run(
            [
                work(
                    f"tokens/{task}/{language}",
                    {"task": task, "family": family, "language": language},
                    inputs,
                )
            ]
        )
