"""The score stage on invented predictions: strict joins, honest blanks, equal bytes."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import DataError
from isthmus.evaluate import score
from isthmus.work import Work

IDS = ["a", "b", "c", "d"]
GOLD = [0, 1, 2, 1]
RIGHT = [0, 1, 2, 1]


class Case:
    """One unit of work with invented gold and predictions in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commits: list[dict[str, Any]] = []
        for name in ("data", "prediction", "out", "state"):
            (root / name).mkdir()
        self.gold(IDS, GOLD)
        self.predict(IDS, RIGHT)

    def gold(self, ids: list[str], labels: list[int | None]) -> None:
        write(self.root / "data" / "test.parquet", id=ids, label=pa.array(labels, pa.int32()))

    def predict(self, ids: list[str], predictions: list[int | None]) -> None:
        table = {"id": ids, "prediction": pa.array(predictions, pa.int32()), "margin": [0.5] * len(ids)}
        write(self.root / "prediction" / "test.parquet", **table)

    def work(self, statuses: Mapping[str, str] | None = None) -> Work:
        return Work(
            name="score xnli/de",
            spec={
                "target": "xnli",
                "family": "classify",
                "language": "de",
                "split": "test",
                "metric": "accuracy",
            },
            inputs={role: self.root / role for role in ("data", "prediction")},
            statuses=statuses or {"data": "ok", "prediction": "ok"},
            folder=self.root / "out",
            state=self.root / "state",
            interrupted=lambda: False,
            commit=self.commit,
        )

    def commit(self, status: str = "ok", reason: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.commits.append({"status": status, "reason": reason, "details": details})

    def run(self, **statuses: str) -> dict[str, Any]:
        score.run([self.work(statuses)])
        return self.report()

    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.root / "out" / "score.json").read_text())
        return report

    def correct(self) -> dict[str, float]:
        table = pq.read_table(self.root / "out" / "examples.parquet")
        assert table.schema.field("correct").type == pa.float32()
        return dict(zip(table["id"].to_pylist(), table["correct"].to_pylist(), strict=True))


def write(file: Path, **columns: Any) -> None:
    pq.write_table(pa.table(columns), file)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_perfect_predictions_score_100(case: Case) -> None:
    report = case.run()
    assert report["main"] == "accuracy"
    numbers = report["metrics"]["accuracy"]
    assert (numbers["value"], numbers["n"], numbers["ci_high"]) == (100.0, 4, 100.0)
    assert 0 < numbers["ci_low"] < 100
    assert report["floor"] == 50.0
    assert case.correct() == dict.fromkeys(IDS, 1.0)
    assert case.commits[0]["status"] == "ok"
    assert case.commits[0]["details"]["rows"] == 4


def test_a_score_changes_when_a_prediction_changes(case: Case) -> None:
    case.predict(IDS, [0, 1, 2, 2])
    assert case.run()["metrics"]["accuracy"]["value"] == 75.0
    assert case.correct()["d"] == 0.0


def test_rows_are_joined_by_id_not_by_place(case: Case) -> None:
    case.predict(IDS[::-1], RIGHT[::-1])
    assert case.run()["metrics"]["accuracy"]["value"] == 100.0
    assert list(case.correct()) == IDS


def test_order_of_predictions_does_not_change_the_bytes(case: Case) -> None:
    case.predict(IDS, [0, 0, 2, 1])
    case.run()
    files = [case.root / "out" / name for name in ("score.json", "examples.parquet")]
    before = [file.read_bytes() for file in files]
    case.predict(["b", "d", "a", "c"], [0, 1, 0, 2])
    case.run()
    assert [file.read_bytes() for file in files] == before


@pytest.mark.parametrize(
    ("gold", "predicted", "words"),
    [
        (IDS, ["a", "b", "c"], ["1 ids of the gold have no prediction", "'d'", "xnli/de test"]),
        (IDS, [*IDS, "e", "f"], ["2 predicted ids are not in the gold", "'e', 'f'"]),
        (IDS, ["a", "a", "b", "c", "d"], ["1 predicted ids are doubled", "'a'"]),
        (["a", "a", "b"], ["a", "a", "b"], ["1 gold ids are doubled", "id column"]),
        (
            IDS,
            ["w", "x", "y", "z"],
            ["4 ids of the gold have no", "'a', 'b', 'c', ...", "4 predicted ids are not"],
        ),
        (IDS, [], ["4 ids of the gold have no prediction"]),
    ],
)
def test_ids_that_do_not_match_are_named(
    case: Case, gold: list[str], predicted: list[str], words: list[str]
) -> None:
    case.gold(gold, [0] * len(gold))
    case.predict(predicted, [0] * len(predicted))
    with pytest.raises(DataError) as caught:
        case.run()
    assert all(word in str(caught.value) for word in [*words, "predict again"])
    assert not case.commits


def test_empty_predictions_are_refused(case: Case) -> None:
    case.predict(IDS, [0, None, 2, 1])
    with pytest.raises(DataError, match="1 empty values"):
        case.run()


def test_wrong_columns_are_named(case: Case) -> None:
    write(case.root / "prediction" / "test.parquet", id=IDS, answer=RIGHT)
    with pytest.raises(DataError, match="no column prediction; it has id, answer"):
        case.run()


def test_a_missing_file_is_named(case: Case) -> None:
    (case.root / "data" / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"no gold file .*test\.parquet"):
        case.run()


def test_gold_without_labels_gives_no_number(case: Case) -> None:
    case.gold(IDS, [-1] * 4)
    report = case.run()
    assert report["metrics"]["accuracy"] == {"value": None, "n": 0, "ci_low": None, "ci_high": None}
    assert case.correct() == {}
    assert case.commits[0]["status"] == "no-gold"
    assert "None of the 4 rows of xnli/de test" in case.commits[0]["reason"]


def test_an_empty_split_has_no_gold(case: Case) -> None:
    case.gold([], [])
    case.predict([], [])
    case.run()
    assert case.commits[0]["status"] == "no-gold"


def test_partly_labelled_gold_is_scored_on_its_labels(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.gold(IDS, [0, -1, -1, 1])
    numbers = case.run()["metrics"]["accuracy"]
    assert (numbers["value"], numbers["n"]) == (100.0, 2)
    assert list(case.correct()) == ["a", "d"]
    assert case.commits[0]["details"]["labelled"] == 2
    assert case.commits[0]["details"]["rows"] == 4
    assert "n 2 of 4 rows" in capsys.readouterr().out


def test_a_collapsed_run_is_scored_and_stays_collapsed(case: Case) -> None:
    case.predict(IDS, [1, 1, 1, 1])
    assert case.run(prediction="collapsed")["metrics"]["accuracy"]["value"] == 50.0
    assert case.commits[0]["status"] == "collapsed"


def test_scoring_imports_neither_torch_nor_pandas(case: Case) -> None:
    (case.root / "run.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from isthmus.evaluate import score\n"
        "from isthmus.work import Work\n"
        "root = Path(sys.argv[1])\n"
        "spec = dict(target='xnli', language='de', split='test', metric='accuracy')\n"
        "inputs = {role: root / role for role in ('data', 'prediction')}\n"
        "commit = lambda **details: None\n"
        "score.run([Work('s', spec, inputs, {}, root / 'out', root, lambda: False, commit)])\n"
        "print([name for name in ('torch', 'pandas', 'transformers', 'jinja2') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, str(case.root / "run.py"), str(case.root)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
