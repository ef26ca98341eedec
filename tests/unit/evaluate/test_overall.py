"""Means over languages, tasks and groups, and what is missing of them."""

import pytest

from isthmus.errors import DataError, UsageError
from isthmus.evaluate.overall import BENCHMARKS, overall, points


def whole(benchmark: str, value: float = 50.0) -> dict:
    return {
        task: {language: {"accuracy": value} for language in languages}
        for task, languages in BENCHMARKS[benchmark].tasks.items()
    }


def test_the_benchmarks_have_their_languages() -> None:
    counts = {name: len(languages) for name, languages in BENCHMARKS["xtreme"].tasks.items()}
    assert counts == {
        **{"xnli": 15, "pawsx": 7, "udpos": 33, "panx": 40, "xquad": 11, "mlqa": 7, "tydiqa": 9},
        **{"bucc2018": 4, "tatoeba": 36},
    }
    revised = {name: len(languages) for name, languages in BENCHMARKS["xtreme-r"].tasks.items()}
    assert revised == {
        **{"xnli": 15, "xcopa": 11, "udpos": 38, "panx": 48, "xquad": 12, "mlqa": 7, "tydiqa": 9},
        **{"tatoeba": 41, "mewslix": 11, "lareqa": 11},
    }
    for benchmark in BENCHMARKS.values():
        assert all(len(set(languages)) == len(languages) for languages in benchmark.tasks.values())
        assert {task for members in benchmark.groups.values() for task in members} == set(benchmark.tasks)


def test_the_score_is_the_mean_over_tasks_not_over_groups_or_languages() -> None:
    scores = whole("xtreme", 0.0)
    scores["xnli"] = {language: {"accuracy": 90.0} for language in scores["xnli"]}
    scores["xnli"]["en"] = {"accuracy": 60.0}
    found = overall("xtreme", scores)
    assert found.tasks["xnli"].value == pytest.approx(88)
    assert found.score.value == pytest.approx(88 / 9) and found.score.missing == () and found.missing == []
    assert found.groups["classification"].value == pytest.approx(44)
    assert found.groups["qa"].value == 0 and found.metrics["xnli"] == {"accuracy": pytest.approx(88)}


def test_questions_count_with_the_mean_of_f1_and_exact_match() -> None:
    assert points({"f1": 80.0, "exact_match": 60.0}) == 70
    assert points({"precision": 1.0, "f1": 80.0, "token_accuracy": 99.0}) == 80
    assert points({"accuracy": 40.0}) == 40
    scores = whole("xtreme")
    scores["mlqa"] = {language: {"f1": 80.0, "exact_match": 60.0} for language in scores["mlqa"]}
    found = overall("xtreme", scores)
    assert found.tasks["mlqa"].value == 70 and found.metrics["mlqa"] == {"f1": 80, "exact_match": 60}
    with pytest.raises(DataError):
        points({})


def test_what_is_missing_is_said_and_not_filled_in() -> None:
    scores = whole("xtreme")
    del scores["pawsx"]["ko"], scores["bucc2018"]
    scores["pawsx"]["de"] = {"accuracy": 80.0}
    found = overall("xtreme", scores)
    assert found.tasks["pawsx"].value is None and found.tasks["pawsx"].partial == pytest.approx(55)
    assert found.tasks["pawsx"].missing == ("ko",) and found.tasks["bucc2018"].partial is None
    assert found.score.value is None and found.score.missing == ("pawsx", "bucc2018")
    assert found.score.partial == pytest.approx((7 * 50 + 55) / 8)
    assert found.groups["tagging"].value == 50 and found.groups["retrieval"].missing == ("bucc2018",)
    assert found.missing == ["pawsx: ko", "bucc2018: nothing of it"]


def test_what_is_not_the_benchmarks_does_not_count() -> None:
    scores = whole("xtreme-r")
    scores["pawsx"] = {"de": {"accuracy": 0.0}}
    scores["xnli"]["ro"] = {"accuracy": 0.0}
    assert overall("xtreme-r", scores).score.value == 50
    with pytest.raises(UsageError, match="xtreme, xtreme-r"):
        overall("glue", {})
    assert overall("xtreme", {}).score.partial is None
