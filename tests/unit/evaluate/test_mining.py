"""F1 of mined pairs: hand-counted, layer and threshold from dev alone."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import DataError
from isthmus.evaluate.metrics import mining
from tests.conftest import environment

SPEC = {"target": "mine", "language": "xx", "split": "test"}
Rows = Sequence[tuple[int, int, float]]


def gold(pairs: Sequence[tuple[int, int]], size: int = 5) -> pa.Table:
    names = [[f"{side}{n}" for n in range(size)] for side in "xe"]
    matches = [[f"e{b}" for a, b in pairs if a == n] for n in range(size)]
    matches += [[f"x{a}" for a, b in pairs if b == n] for n in range(size)]
    return pa.table(
        {
            "id": names[0] + names[1],
            "side": pa.array([0] * size + [1] * size, pa.int32()),
            "text": ["."] * 2 * size,
            "matches": pa.array(matches, pa.list_(pa.string())),
        }
    )


def predicted(*layers: Rows) -> pa.Table:
    rows = [(f"x{a}", layer, f"e{b}", score) for layer, found in enumerate(layers) for a, b, score in found]
    names, numbers, candidates, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "id": pa.array(names, pa.string()),
            "layer": pa.array(numbers, pa.int32()),
            "candidate": pa.array(candidates, pa.string()),
            "score": pa.array(scores, pa.float32()),
        }
    )


GOLD = gold([(0, 0), (1, 1), (2, 2)])
# hits at ranks 1, 2 and 4: F1 is 2/4, 4/5, 4/6, 6/7 there; so all four are taken, from between 1.0 and 0.75 on
DEV = [(0, 0, 1.5), (1, 1, 1.25), (3, 2, 1.125), (2, 3, 1.0), (4, 4, 0.75)]
DEV_HITS = [(0, 0, 1.5), (1, 1, 1.25), (3, 3, 1.125), (2, 2, 1.0), (4, 4, 0.75)]


def test_the_threshold_lies_midway_and_goes_to_test() -> None:
    test = [(0, 0, 1.5), (4, 3, 0.9375), (1, 1, 0.875), (2, 2, 0.8125)]
    tables = {"dev": predicted(DEV_HITS), "test": predicted(test)}
    scored = mining.score({"dev": GOLD, "test": GOLD}, tables, SPEC)
    assert scored.details["threshold"] == 0.875 and scored.details["dev_layers"] == {
        "0": pytest.approx(6 / 7)
    }
    assert scored.ids == ["x0", "x1", "x2", "x3", "x4"] and scored.rows == 5 and scored.floor == 0.0
    assert scored.parts.tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    values = mining.values(scored.parts.mean(axis=0))
    assert values["precision"] == pytest.approx(2 / 3) == values["recall"] == values["f1"]
    assert scored.details["layers"]["0"] == pytest.approx(2 / 3)


def test_the_layer_is_the_best_on_dev_whatever_test_says() -> None:
    good, bad = [(0, 0, 3.0), (1, 1, 2.0), (2, 2, 1.0)], [(0, 1, 3.0), (1, 0, 2.0), (2, 2, 1.0)]
    tables = {"dev": predicted(bad, good, good), "test": predicted(good, bad, good)}
    details = mining.score({"dev": GOLD, "test": GOLD}, tables, SPEC).details
    assert details["layer"] == 1 and details["chosen_by"] == "dev" and details["threshold"] == 1.0
    assert details["dev_layers"] == {"0": pytest.approx(1 / 3), "1": 1.0, "2": 1.0}
    assert details["layers"] == {"0": 1.0, "1": pytest.approx(1 / 3), "2": 1.0}
    assert details["dev_thresholds"] == {"0": 1.0, "1": 1.0, "2": 1.0}


def test_pairs_of_one_score_are_not_parted() -> None:
    # a cut after the first would give 2/4, but the second has the same score: taking both gives 2/5
    mined = mining.Mined(["x0", "x1"], np.array([1.0, 1.0]), np.array([True, False]))
    assert mining.best_cut(mined, 3) == (pytest.approx(2 / 5), 1.0)


def test_where_nothing_is_right_everything_is_predicted_as_in_the_official_code() -> None:
    mined = mining.Mined(["x0"], np.array([1.0]), np.array([False]))
    assert mining.best_cut(mined, 3) == (0.0, 0.0) == mining.best_cut(mining.NONE, 3)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 4),
)
def test_no_threshold_is_better(rows: list[tuple[int, bool]], more_gold: int) -> None:
    rows = sorted(rows, key=lambda row: -row[0])
    mined = mining.Mined(
        [f"x{n}" for n in range(len(rows))],
        np.array([float(value) for value, _ in rows]),
        np.array([hit for _, hit in rows]),
    )
    total = int(mined.hits.sum()) + more_gold
    f1, threshold = mining.best_cut(mined, total)
    if mined.hits.any():
        assert mined.f1(threshold, total) == pytest.approx(f1)
        assert f1 == pytest.approx(max(mined.f1(cut, total) for cut in np.arange(-0.5, 7.5, 0.5)))


def test_several_translations_of_a_sentence_are_several_gold_pairs() -> None:
    twice = gold([(0, 0), (0, 1)])
    scored = mining.score(
        {"dev": twice, "test": twice}, dict.fromkeys(("dev", "test"), predicted([(0, 1, 1.0)])), SPEC
    )
    assert scored.parts[0].tolist() == [1.0, 1.0, 2.0]
    assert mining.values(scored.parts.mean(axis=0))["recall"] == 0.5


def test_a_layer_that_mines_nothing_has_no_f1() -> None:
    tables = {"dev": predicted([], DEV), "test": predicted([], [])}
    scored = mining.score({"dev": GOLD, "test": GOLD}, tables, SPEC)
    assert scored.details["layers"] == {"1": 0.0} and scored.parts[:, 1].sum() == 0
    nothing = mining.score({"dev": GOLD, "test": GOLD}, dict.fromkeys(("dev", "test"), predicted()), SPEC)
    assert mining.values(nothing.parts.mean(axis=0))["f1"] == 0.0 == nothing.floor


def test_a_threshold_needs_a_dev_split_with_gold() -> None:
    test = predicted(DEV)
    for golds, tables in (
        ({"test": GOLD}, {"test": test}),
        ({"test": GOLD, "dev": GOLD}, {"test": test}),
        ({"test": GOLD, "dev": gold([])}, {"test": test, "dev": test}),
    ):
        with pytest.raises(DataError, match="Give the task a dev split with gold pairs"):
            mining.score(golds, tables, SPEC)


def test_without_gold_pairs_there_is_nothing_to_score() -> None:
    scored = mining.score({"test": gold([])}, {"test": predicted(DEV)}, SPEC)
    assert scored.ids == [] and scored.parts.shape == (0, 3) and scored.rows == 5


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(0, 9, 1.0)], "'e9', which is no sentence of the other side"),
        ([(9, 0, 1.0)], "'x9', which is none of the 5 sentences"),
        ([(0, 0, 1.0), (0, 1, 1.0)], "'x0' more than once"),
        ([(0, 0, 1.0), (1, 0, 1.0)], "English sentence in two pairs of layer 0"),
    ],
)
def test_pairs_that_cannot_be_are_refused(rows: Rows, complaint: str) -> None:
    for split in ("test", "dev"):
        tables = {"dev": predicted(DEV), "test": predicted(DEV), split: predicted(rows)}
        with pytest.raises(DataError, match=complaint):
            mining.score({"dev": GOLD, "test": GOLD}, tables, SPEC)


def test_values_are_vectorised_and_empty_shares_are_zero() -> None:
    values = mining.values(np.array([[[0.1, 0.2, 0.4], [0.0, 0.0, 0.4]], [[0.0, 0.3, 0.0], [0.0, 0.0, 0.0]]]))
    assert values["f1"].tolist() == [[pytest.approx(1 / 3), 0.0], [0.0, 0.0]]
    assert values["precision"].tolist() == [[0.5, 0.0], [0.0, 0.0]]
    assert values["recall"].tolist() == [[0.25, 0.0], [0.0, 0.0]]


def test_the_interval_is_that_of_f1() -> None:
    parts = np.tile([[1.0, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]], (40, 1))
    low, high = mining.interval(parts, "mine", "xx")
    assert low < 0.5 < high and high - low < 0.35 and (low, high) == mining.interval(parts, "mine", "xx")


def test_neither_pandas_nor_torch_is_loaded(tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(GOLD, tmp_path / "gold.parquet")
    pq.write_table(predicted(DEV_HITS), tmp_path / "mined.parquet")
    asked = [(f"e{n}", 0, f"x{n}", 1.0) for n in range(5)]
    names, layers, candidates, scores = zip(*asked, strict=True)
    found = {"id": names, "layer": layers, "candidate": candidates, "score": scores}
    pq.write_table(pa.table({key: list(value) for key, value in found.items()}), tmp_path / "found.parquet")
    code = f"""
import sys
import pyarrow.parquet as pq
from isthmus.evaluate.metrics import mining, nearest
gold, mined, found = (pq.ParquetFile({str(tmp_path)!r} + f"/{{n}}.parquet").read() for n in ("gold", "mined", "found"))
spec = {SPEC!r}
scored = mining.score({{"dev": gold, "test": gold}}, {{"dev": mined, "test": mined}}, spec)
mining.interval(scored.parts, "x")
nearest.score({{"test": gold}}, {{"test": found}}, spec)
assert not {{"pandas", "torch"}} & set(sys.modules), "slow"
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
