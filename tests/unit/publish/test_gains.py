"""Gains over arm none: numbers, intervals, and what is said where there is none."""

from typing import Any

import numpy as np
import pytest

from isthmus.errors import DataError
from isthmus.publish.gains import COLUMNS

ALL = "study,encoder,arm,target,language,seeds,n,baseline,value,gain,ci_low,ci_high,status,note"


def right(count: int, n: int = 100) -> list[float]:
    return [1.0] * count + [0.0] * (n - count)


def numbers(row: dict[str, str], *names: str) -> tuple[float | None, ...]:
    return tuple(float(row[name]) if row[name] else None for name in names)


def test_columns() -> None:
    assert ",".join(COLUMNS) == ALL


def test_gain_with_interval_per_language_and_mean(small: Any) -> None:
    rows = small.gains()
    row = rows["mnli", "xnli", "de"]
    assert numbers(row, "baseline", "value", "gain") == (70.0, 78.0, 8.0)
    low, high = numbers(row, "ci_low", "ci_high")
    assert 1 < low < 8 < high < 16
    mean = rows["mnli", "xnli", "mean"]
    assert numbers(mean, "baseline", "value", "gain") == (66.6667, 74.6667, 8.0)
    assert (mean["seeds"], mean["n"], mean["status"]) == ("1", "300", "ok")


def test_order_is_arm_target_language_then_means(small: Any) -> None:
    target_rows = [("xnli", language) for language in ("en", "de", "ar", "mean")]
    target_rows += [("pawsx", language) for language in ("en", "de", "mean")]
    order = [(arm, *place) for arm in ("none", "mnli") for place in [*target_rows, ("mean", "mean")]]
    assert list(small.gains()) == order


def test_the_baseline_has_its_score_and_no_gain(small: Any) -> None:
    row = small.gains()["none", "xnli", "mean"]
    assert numbers(row, "value", "gain", "ci_low") == (66.6667, None, None)
    assert row["note"] == "the baseline"


def test_a_mean_over_incomplete_languages_is_blank_and_says_which(small: Any) -> None:
    rows = small.gains()
    cell = rows["mnli", "pawsx", "de"]
    assert (cell["value"], cell["gain"], cell["status"]) == ("", "", "diverged")
    mean = rows["mnli", "pawsx", "mean"]
    assert numbers(mean, "baseline", "value", "gain", "ci_low", "ci_high") == (None,) * 5
    assert (mean["status"], mean["note"]) == ("incomplete", "1 of 2 languages (diverged: de)")
    overall = rows["mnli", "mean", "mean"]
    assert (overall["gain"], overall["note"]) == ("", "1 of 2 targets (incomplete: pawsx)")
    assert rows["none", "mean", "mean"]["value"] == "62.0833"


def test_a_score_survives_a_missing_baseline_but_its_gain_does_not(invented: Any) -> None:
    invented.add("none", "en", right(50))
    invented.add("none", "de", None, status="diverged")
    invented.add("mnli", "en", right(60))
    invented.add("mnli", "de", right(40))
    rows = invented.gains()
    row = rows["mnli", "xnli", "de"]
    assert (row["value"], row["gain"], row["status"]) == ("40.0000", "", "diverged")
    assert row["note"] == "no baseline; seed 1: diverged"
    mean = rows["mnli", "xnli", "mean"]
    assert (mean["value"], mean["gain"], mean["status"]) == ("50.0000", "", "incomplete")
    assert mean["note"] == "gain for 1 of 2 languages (diverged: de)"


def test_nothing_computed_yet_is_all_missing(invented: Any) -> None:
    for arm in ("none", "mnli"):
        invented.add(arm, "en", None, status="missing")
        invented.add(arm, "de", None, status="missing")
    mean = invented.gains()["mnli", "xnli", "mean"]
    assert (mean["status"], mean["note"]) == ("missing", "0 of 2 languages (all missing)")


def test_seeds_are_averaged_in_pairs(invented: Any) -> None:
    for seed, base in ((1, 50), (2, 60), (3, 40)):
        invented.add("none", "en", right(base), seed=seed)
        invented.add("mnli", "en", right(base + seed), seed=seed)
    row = invented.gains()["mnli", "xnli", "en"]
    assert numbers(row, "baseline", "value", "gain") == (50.0, 52.0, 2.0)
    assert (row["seeds"], row["n"]) == ("3", "100")
    assert row["note"] == "the interval covers examples and 3 seeds"


def test_a_lost_seed_is_said_and_left_out_on_both_sides(invented: Any) -> None:
    for seed, base in ((1, 50), (2, 90)):
        invented.add("none", "en", right(base), seed=seed)
    invented.add("mnli", "en", right(55), seed=1)
    invented.add("mnli", "en", None, seed=2, status="diverged")
    rows = invented.gains()
    row = rows["mnli", "xnli", "en"]
    assert numbers(row, "baseline", "value", "gain") == (50.0, 55.0, 5.0)
    assert row["status"] == "incomplete"
    assert row["note"].startswith("1 of 2 seeds (diverged: 2)")
    assert rows["mnli", "xnli", "mean"]["note"] == row["note"]


def test_more_spread_between_seeds_widens_the_interval(invented: Any) -> None:
    for seed, gain in ((1, 0), (2, 10), (3, 20)):
        invented.add("none", "en", right(40), seed=seed)
        invented.add("spread", "en", right(40 + gain), seed=seed)
        invented.add("even", "en", right(50), seed=seed)
    rows = invented.gains()
    widths = {}
    for arm in ("spread", "even"):
        low, high = numbers(rows[arm, "xnli", "en"], "ci_low", "ci_high")
        widths[arm] = high - low
        assert rows[arm, "xnli", "en"]["gain"] == "10.0000"
    assert widths["spread"] > 1.3 * widths["even"]


def test_a_collapsed_run_counts_and_is_said(invented: Any) -> None:
    invented.add("none", "en", right(50))
    invented.add("none", "de", right(50))
    invented.add("mnli", "en", right(33), status="collapsed")
    invented.add("mnli", "de", right(60))
    rows = invented.gains()
    row = rows["mnli", "xnli", "en"]
    assert (row["gain"], row["status"]) == ("-17.0000", "collapsed")
    assert row["note"].startswith("seed 1: collapsed; ")
    mean = rows["mnli", "xnli", "mean"]
    assert (mean["gain"], mean["status"]) == ("-3.5000", "collapsed")
    assert mean["note"].startswith("not all sound (collapsed: en)")


def test_a_collapsed_baseline_is_said(invented: Any) -> None:
    invented.add("none", "en", right(33), status="collapsed")
    invented.add("mnli", "en", right(60))
    row = invented.gains()["mnli", "xnli", "en"]
    assert row["status"] == "collapsed"
    assert row["note"].startswith("baseline seed 1: collapsed; ")


def test_equal_arms_gain_nothing(invented: Any) -> None:
    for arm in ("none", "same"):
        invented.add(arm, "en", right(70))
    row = invented.gains()["same", "xnli", "en"]
    assert numbers(row, "gain", "ci_low", "ci_high") == (0.0, 0.0, 0.0)
    assert row["gain"] == "0.0000"


def test_parallel_languages_are_resampled_together(invented: Any) -> None:
    base, better = right(50), right(60)
    for target, prefixes in (("parallel", ("", "")), ("apart", ("en-", "de-"))):
        for language, prefix in zip(("en", "de"), prefixes, strict=True):
            ids = [f"{prefix}{i}" for i in range(100)]
            invented.add("none", language, base, target=target, ids=ids)
            invented.add("mnli", language, better, target=target, ids=ids)
    rows = invented.gains()
    width = {
        target: np.diff(numbers(rows["mnli", target, "mean"], "ci_low", "ci_high"))[0]
        for target in ("parallel", "apart")
    }
    single = np.diff(numbers(rows["mnli", "parallel", "en"], "ci_low", "ci_high"))[0]
    assert width["parallel"] == pytest.approx(single)  # the same meanings twice add no evidence
    assert width["apart"] < 0.85 * single


def test_one_example_has_no_interval(invented: Any) -> None:
    invented.add("none", "en", [0.0])
    invented.add("mnli", "en", [1.0])
    row = invented.gains()["mnli", "xnli", "en"]
    assert (row["gain"], row["ci_low"], row["note"]) == ("100.0000", "", "n = 1: no interval")


def test_one_seed_is_said(small: Any) -> None:
    note = small.gains()["mnli", "xnli", "en"]["note"]
    assert note == "one seed: the interval covers examples only"


def test_synthetic_data_is_said_in_every_row(small: Any) -> None:
    assert all(
        row["note"].split("; ")[-1] == "synthetic data" for row in small.gains(synthetic=True).values()
    )


def test_other_examples_under_two_arms_are_an_error(invented: Any) -> None:
    invented.add("none", "en", [1.0, 0.0], ids=["a", "b"])
    invented.add("mnli", "en", [1.0, 0.0], ids=["a", "c"])
    with pytest.raises(DataError, match=r"xnli/en: arms none \(seed 1\) and mnli \(seed 1\)"):
        invented.tabulate()


def test_gains_are_those_of_the_test_split(invented: Any) -> None:
    for arm, count in (("none", 50), ("mnli", 60)):
        invented.add(arm, "en", right(count + 30), split="dev", ids=[f"d{i}" for i in range(100)])
        invented.add(arm, "en", right(count), split="test")
    row = invented.gains()["mnli", "xnli", "en"]
    assert numbers(row, "baseline", "value") == (50.0, 60.0)


def test_encoders_do_not_mix(invented: Any) -> None:
    for encoder, base in (("tiny", 40), ("large", 80)):
        invented.add("none", "en", right(base), encoder=encoder)
        invented.add("mnli", "en", right(base + 5), encoder=encoder)
    lines = (invented.tabulate() / "gains.csv").read_text().splitlines()
    large = next(line for line in lines if line.startswith("invented,large,mnli,xnli,en,"))
    assert ",80.0000,85.0000,5.0000," in large


def test_another_arm_does_not_change_an_interval(small: Any) -> None:
    before = small.gains()["mnli", "xnli", "de"]
    small.add("squad", "de", right(71))
    assert small.gains(folder="again")["mnli", "xnli", "de"] == before
