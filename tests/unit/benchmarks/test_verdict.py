import json
import math
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import demo, mirror, prediction, report, training
from benchmarks.verdict import Target, exit_code, largest_difference


@pytest.mark.parametrize(
    ("value", "bounds", "passed"),
    [
        (3.5, (3.5, None), True),
        (3.49, (3.5, None), False),
        (0.5, (None, 0.5), True),
        (0.51, (None, 0.5), False),
        (3.1, (3.2, 4.8), False),
        (4.0, (3.2, 4.8), True),
        (4.9, (3.2, 4.8), False),
        (math.nan, (None, 1e-5), False),
        (math.inf, (None, 1e-5), False),
    ],
)
def test_a_target_is_met_between_its_bounds(value, bounds, passed) -> None:
    target = Target("it", value, *bounds)
    assert target.passed is passed
    assert exit_code([{"targets": [target.json()]}]) == (0 if passed else 1)


def test_one_miss_among_many_is_a_miss() -> None:
    met, missed = Target("a", 1.0, at_least=0.0).json(), Target("b", 1.0, at_most=0.0).json()
    assert exit_code([{"targets": [met]}, {"targets": []}]) == 0
    assert exit_code([{"targets": [met, missed]}, {"targets": [met]}]) == 1


def test_differences_are_relative_and_none_is_infinite() -> None:
    assert largest_difference([1.0, 2.0, 9.0], [1.0, 2.002]) == pytest.approx(0.001, rel=1e-2)
    assert largest_difference([], [1.0]) == math.inf


def side(seconds, losses, peak) -> dict:
    peaks = {"peak_rss_mb": peak, "peak_rss_mb_in_training": peak}
    return {"step_seconds": seconds, "losses": losses, **peaks}


def training_sides(**changes) -> dict:
    sides = {
        "ours": side([4.0, 5.0, 6.0], [1.1, 1.0, 0.9, 0.8], 4000.0),
        "dynamic": side([12.0, 13.0, 14.0], [1.1, 1.0, 0.9, 0.8], 7000.0),
        "fixed": side([18.0, 19.0], [1.1, 1.0, 0.9], 8500.0),
        "ours_again": side([4.2, 5.1], [1.1, 1.0, 0.9], 4000.0),
    }
    for name, (key, value) in changes.items():
        sides[name] |= {key: value}
    return sides


def test_training_is_compared_by_middle_steps() -> None:
    found = training.compare(training_sides())
    assert found["times"] == {"fixed": 18.5 / 5.0, "dynamic": 13.0 / 5.0}
    assert found["drift"] == pytest.approx(4.65 / 4.5 - 1) and not found["noisy"]
    assert exit_code([found]) == 0


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"fixed": ("step_seconds", [15.0, 15.0])}, "examples per second, times Trainer padded to 128"),
        (
            {"dynamic": ("step_seconds", [10.7, 10.7, 99.0])},
            "examples per second, times Trainer padded to the longest",
        ),
        ({"ours": ("peak_rss_mb", 4251.0)}, "peak memory, of Trainer padded to 128"),
        (
            {"dynamic": ("losses", [1.1, 1.0, 0.9, 0.80001])},
            "largest relative difference of a loss, to Trainer padded to the longest",
        ),
        (
            {"fixed": ("losses", [1.1, 1.0, 0.90001])},
            "largest relative difference of a loss, to Trainer padded to 128",
        ),
        ({"fixed": ("losses", [])}, "largest relative difference of a loss, to Trainer padded to 128"),
    ],
)
def test_each_target_of_training_can_be_missed(changes, missed) -> None:
    found = training.compare(training_sides(**changes))
    assert [target["name"] for target in found["targets"] if not target["passed"]] == [missed]
    assert exit_code([found]) == 1


def test_a_machine_whose_second_run_is_slower_is_noisy() -> None:
    assert training.compare(training_sides(ours_again=("step_seconds", [4.6, 5.6])))["noisy"]


def answers(seconds, found, margins) -> dict:
    return {"seconds": seconds, "rows": len(found), "answers": found, "margins": margins}


@pytest.mark.parametrize(
    ("ours", "misses"),
    [
        (answers(1.0, [0, 1, 2], [0.5, 0.4, 0.3]), 0),
        (answers(1.2, [0, 1, 2], [0.5, 0.4, 0.3]), 1),
        (answers(1.0, [0, 1, 1], [0.5, 0.4, 0.3]), 1),
        (answers(1.0, [0, 1, 2], [0.5, 0.4, 0.3002]), 1),
    ],
)
def test_prediction_has_to_be_faster_and_the_same(ours, misses) -> None:
    found = prediction.compare({"ours": ours, "fixed": answers(3.3, [0, 1, 2], [0.5, 0.4, 0.3])})
    assert sum(not target["passed"] for target in found["targets"]) == misses


@pytest.mark.parametrize(("last", "passed"), [(8.0, True), (10.0, False), (6.0, False)])
def test_cost_is_linear_within_a_fifth(last, passed) -> None:
    sides = [
        {"step_seconds": [2.0, 2.0], "tokens": [9, 500, 500]},
        {"step_seconds": [4.0, 4.0], "tokens": [9, 1000, 1000]},
        {"step_seconds": [last, last], "tokens": [9, 2000, 2000]},
    ]
    found = training.linearity(sides)
    assert found["targets"][0]["passed"] is passed
    assert found["targets"][0]["value"] == pytest.approx(last / 2.0)


def manifest(stage, started, cpu, details, **recipe) -> dict:
    cost = {"started": started, "cpu_seconds": cpu}
    return {"stage": stage, "cost": cost, "details": details, "spec": {"recipe": recipe}}


def test_the_demos_share_counts_jobs_once_and_only_the_models_computing() -> None:
    measured = {"cpu_seconds": {"compute": 50.0, "assess": 5.0, "data": 1.0, "startup": 2.0, "saving": 1.0}}
    records = [
        manifest("train", 1.0, 70.0, measured, threads=2),
        # Two units of one job: its CPU seconds are those of the last commit.
        manifest("predict", 2.0, 6.0, {"cpu_seconds": {"compute": 2.0}}),
        manifest("predict", 2.0, 8.0, {"cpu_seconds": {"compute": 3.0}}),
        manifest("tabulate", 3.0, 2.0, {"seconds": {"compute": 9.0}}),
    ]
    found = demo.account(records, 100.0)
    assert found["compute_cpu_seconds"] == 60.0 and found["share_outside_compute"] == pytest.approx(0.4)
    assert found["outside_jobs_cpu_seconds"] == 20.0
    assert found["stages"]["predict"]["jobs"] == 1 and found["stages"]["predict"]["rest"] == 3.0
    assert found["units_estimated_from_wall_time"] == 0


def test_where_only_wall_seconds_are_recorded_the_share_says_that_it_is_estimated() -> None:
    found = demo.account([manifest("train", 1.0, 70.0, {"seconds": {"compute": 30.0}}, threads=2)], 100.0)
    assert found["compute_cpu_seconds"] == 60.0 and found["units_estimated_from_wall_time"] == 1


def part(passed: bool) -> command.Part:
    def run(prepared, scale, work, say) -> dict:
        return {"targets": [Target("it", float(passed), at_least=1).json()]}

    return run


@pytest.mark.parametrize("passed", [True, False])
def test_the_command_exits_with_the_verdict_and_shows_it(monkeypatch, tmp_path: Path, capsys, passed) -> None:
    monkeypatch.setitem(command.PARTS, "demo", part(passed))
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.main(["--only", "demo"]) == (0 if passed else 1)
    written = json.loads((tmp_path / "demo.json").read_text())
    assert written["targets"][0]["passed"] is passed and written["machine"]["versions"]["torch"]
    assert ("passed |" if passed else "**missed** |") in (tmp_path / "README.md").read_text()
    assert ("MISSED: it" in capsys.readouterr().out) is not passed


def test_small_sizes_never_write_among_the_results(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(command.PARTS, "demo", part(True))
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    assert command.main(["--quick", "--only", "demo", "--work", str(tmp_path / "work")]) == 0
    assert not (tmp_path / "results").exists()
    assert "quick" in (tmp_path / "work/results/README.md").read_text()


def test_without_texts_it_exits_2_and_names_what_is_missing(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("ISTHMUS_HUB", str(tmp_path))
    with pytest.raises(mirror.NoData):
        mirror.folder()
    assert command.main(["--only", "training", "--work", str(tmp_path)]) == 2
    assert "nyu-mll/glue/mnli" in capsys.readouterr().err


def test_a_measurement_that_breaks_is_no_success(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    monkeypatch.setitem(
        command.PARTS, "demo", lambda *_: command.measure("demo", {"study": "/nowhere.yaml"}, tmp_path)
    )
    # The mirror is not asked for: no part that needs it runs.
    monkeypatch.setattr(command, "NEED_NO_TEXTS", frozenset({"demo", "bf16"}))
    monkeypatch.setitem(command.PARTS, "bf16", part(True))
    assert command.main(["--only", "demo", "bf16", "--work", str(tmp_path)]) == 1
    assert "demo ended with 1" in capsys.readouterr().err
    assert (tmp_path / "bf16.json").is_file()  # the others are measured all the same


def test_the_table_shows_every_target(tmp_path: Path) -> None:
    result = {"targets": [Target("it", 2.0, 1.0, 3.0).json()], "machine": command.facts(), "threads": 2}
    (tmp_path / "linear.json").write_text(json.dumps(result))
    assert "| linear | it | ≥ 1 and ≤ 3 | 2 | passed |" in report.write(tmp_path)
