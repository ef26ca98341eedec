"""Intervals: right on known cases, honest in simulation, the same on every run."""

from itertools import pairwise

import numpy as np
import pytest

from isthmus.evaluate import statistics
from isthmus.evaluate.statistics import (
    bootstrap_mean,
    joint_means,
    paired_difference,
    percentile,
    seed_of,
    seed_weights,
    strata,
    wilson,
)


def coin(n: int, share: float, *names: str) -> np.ndarray:
    return (statistics.generator(*names).random(n) < share).astype(np.float64)


def names(n: int, prefix: str = "") -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def test_seed_of_depends_on_names_and_their_order() -> None:
    seeds = {seed_of("a", "b"), seed_of("b", "a"), seed_of("ab"), seed_of("a", "b", "")}
    assert len(seeds) == 4
    assert seed_of("xnli", "de") == 57511953002803786941280813141216873235


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_published_values(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_at_the_edges() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(1, 1)
    assert 0 < low < 1 and high == 1.0
    low, high = wilson(5000, 5000)
    assert low > 0.999 and high == 1.0
    assert wilson(0, 5000)[0] == 0.0


def test_bootstrap_of_a_mean_agrees_with_wilson() -> None:
    values = coin(2000, 0.7, "agree")[:, None]
    assert bootstrap_mean(values, lambda means: means[:, 0], "x") == pytest.approx(
        wilson(values.sum(), 2000), abs=0.004
    )


def test_bootstrap_of_a_ratio_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = np.stack([np.arange(101.0), np.full(101, 200.0)], axis=1)
    whole = bootstrap_mean(parts, lambda means: means[:, 0] / means[:, 1], "ratio")
    assert whole[0] < 0.25 < whole[1]
    monkeypatch.setattr(statistics, "_BLOCK", 1000)
    assert bootstrap_mean(parts, lambda means: means[:, 0] / means[:, 1], "ratio") == whole


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_all_wrong_or_all_right_gives_a_point(constant: float) -> None:
    values = np.full((50, 1), constant)
    assert bootstrap_mean(values, lambda means: means[:, 0], "x") == (constant, constant)


def test_strata_divide_by_the_languages_that_share_an_id() -> None:
    found = strata({"en": ["a", "b", "c"], "de": ["b", "a"], "fi": ["z"]})
    assert {(s.ids, tuple(s.positions)) for s in found} == {
        (("a", "b"), ("de", "en")),
        (("c",), ("en",)),
        (("z",), ("fi",)),
    }
    shared = next(s for s in found if s.ids == ("a", "b"))
    assert shared.positions["de"].tolist() == [1, 0]


def test_joint_means_are_the_bootstrap_of_each_column() -> None:
    values = coin(400, 0.6, "v")
    replicates = joint_means({"en": values[:, None]}, {"en": names(400)}, "t")["en"][:, 0]
    assert replicates.mean() == pytest.approx(values.mean(), abs=0.005)
    assert replicates.std() == pytest.approx(np.sqrt(0.6 * 0.4 / 400), rel=0.1)


def test_parallel_examples_are_drawn_together_and_others_alone() -> None:
    values = coin(300, 0.5, "v")[:, None]
    both = {"en": values, "de": values}
    together = joint_means(both, {"en": names(300), "de": names(300)}, "t")
    assert np.array_equal(together["en"], together["de"])
    alone = joint_means(both, {"en": names(300), "de": names(300, "de-")}, "t")
    assert abs(np.corrcoef(alone["en"][:, 0], alone["de"][:, 0])[0, 1]) < 0.15


def test_partly_parallel_examples_keep_each_languages_n() -> None:
    ones = {"en": np.ones((10, 1)), "de": np.ones((7, 1))}
    means = joint_means(ones, {"en": names(10), "de": [*names(4), *names(3, "x")]}, "t")
    assert np.array_equal(means["en"], np.ones((statistics.RESAMPLES, 1)))
    assert np.array_equal(means["de"], np.ones((statistics.RESAMPLES, 1)))


def test_row_order_and_other_languages_do_not_change_the_draws() -> None:
    values, ids = coin(200, 0.5, "v")[:, None], names(200)
    alone = joint_means({"de": values}, {"de": ids}, "t")["de"]
    turned = joint_means({"de": values[::-1]}, {"de": ids[::-1]}, "t")["de"]
    with_more = {"fi": coin(200, 0.4, "f")[:, None], "de": values, "ja": coin(9, 0.4, "j")[:, None]}
    beside = joint_means(with_more, {"fi": ids, "de": ids, "ja": names(9, "ja")}, "t")["de"]
    assert np.array_equal(alone, turned)
    assert np.array_equal(alone, beside)
    assert not np.array_equal(alone, joint_means({"de": values}, {"de": ids}, "other")["de"])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = {"de": coin(50, 0.5, "v")[:, None]}, {"de": names(50)}, "t"
    whole = joint_means(*arguments)["de"]
    monkeypatch.setattr(statistics, "_BLOCK", 700)
    assert np.array_equal(joint_means(*arguments)["de"], whole)


def test_equal_arms_differ_by_exactly_nothing() -> None:
    values = coin(100, 0.5, "v")
    means = joint_means({"en": np.stack([values, values], axis=1)}, {"en": names(100)}, "t")["en"]
    difference = paired_difference(means[:, :1], means[:, 1:], seed_weights([1]))
    assert not difference.any()


def gain_interval(n: int, gain: float, repetition: int) -> tuple[float, float]:
    draws = statistics.generator("simulation", str(repetition))
    difficulty = draws.random(n)
    noise = draws.random((2, n)) * 0.4
    base, arm = (difficulty + noise[0] < 0.8), (difficulty + noise[1] < 0.8 + gain)
    values = np.stack([arm, base], axis=1).astype(np.float64)
    means = joint_means({"en": values}, {"en": names(n, f"{repetition}-")}, "simulated", resamples=400)["en"]
    return percentile(paired_difference(means[:, :1], means[:, 1:], seed_weights([1], resamples=400)))


def test_coverage_without_a_difference_is_near_nominal() -> None:
    held = [low <= 0 <= high for low, high in (gain_interval(200, 0.0, i) for i in range(200))]
    assert 0.90 <= np.mean(held) <= 0.99


def test_a_clear_difference_is_seen_and_more_examples_narrow_it() -> None:
    few, many = gain_interval(200, 0.3, 1), gain_interval(3200, 0.3, 1)
    assert few[0] > 0 and many[0] > 0
    assert many[1] - many[0] < 0.4 * (few[1] - few[0])


def test_pairing_narrows_the_interval() -> None:
    shared = coin(1000, 0.5, "shared")
    flips = coin(1000, 0.1, "flips")
    values = np.stack([np.abs(shared - flips), shared], axis=1)
    means = joint_means({"en": values}, {"en": names(1000)}, "t")["en"]
    paired = paired_difference(means[:, :1], means[:, 1:], seed_weights([1]))
    apart = joint_means(
        {"a": values[:, :1], "b": values[:, 1:]}, {"a": names(1000, "a"), "b": names(1000, "b")}, "t"
    )
    assert paired.std() < 0.6 * (apart["a"] - apart["b"]).std()


def test_one_seed_adds_nothing_and_more_seeds_add_their_spread() -> None:
    assert np.array_equal(seed_weights([5]), np.ones((statistics.RESAMPLES, 1)))
    weights = seed_weights([1, 2, 3])
    assert weights.sum(axis=1) == pytest.approx(1)
    treated = np.tile([0.5, 0.6, 0.7], (statistics.RESAMPLES, 1))
    difference = paired_difference(treated, np.full_like(treated, 0.5), weights)
    assert difference.mean() == pytest.approx(0.1, abs=0.01)
    assert difference.std() == pytest.approx(np.sqrt(2 / 3 * 0.01 / 3), rel=0.1)


def test_seeds_are_paired_not_crossed() -> None:
    # both arms move with the seed, their difference does not
    baseline = np.tile([0.2, 0.5, 0.9], (statistics.RESAMPLES, 1))
    difference = paired_difference(baseline + 0.05, baseline, seed_weights([1, 2, 3]))
    assert difference.std() == pytest.approx(0, abs=1e-12)


def test_results_are_the_same_on_every_run() -> None:
    values = coin(20, 0.5, "golden")[:, None]
    low, high = percentile(joint_means({"en": values}, {"en": names(20)}, "golden")["en"][:, 0])
    assert (values.sum(), low, high) == (GOLDEN_SUM, pytest.approx(GOLDEN_LOW), pytest.approx(GOLDEN_HIGH))
    assert seed_weights([1, 2], "golden")[:4, 0].tolist() == GOLDEN_WEIGHTS


def test_intervals_widen_as_examples_get_fewer() -> None:
    widths = [high - low for low, high in (wilson(n // 2, n) for n in (10, 100, 1000))]
    assert all(wide > narrow for wide, narrow in pairwise(widths))


GOLDEN_SUM = 9
GOLDEN_LOW, GOLDEN_HIGH = 0.25, 0.7
GOLDEN_WEIGHTS = [0.0, 0.5, 1.0, 0.5]
