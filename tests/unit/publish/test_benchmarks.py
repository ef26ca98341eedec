"""What there is of a benchmark: never a part under the name of the whole."""

from typing import Any

import pytest

from isthmus.evaluate.overall import BENCHMARKS
from isthmus.publish import report
from isthmus.publish.benchmarks import standings
from isthmus.publish.results import read
from isthmus.publish.terminal import table
from isthmus.tasks.files import catalogue

XTREME = BENCHMARKS["xtreme"]


def right(count: int) -> list[float]:
    return [1.0] * count + [0.0] * (100 - count)


def fill(invented: Any, tasks: dict[str, Any], arms: dict[str, int], **options: Any) -> None:
    """Each arm gets 50 points and its own more, in every language but where an option says otherwise."""
    for arm, more in arms.items():
        for target, languages in tasks.items():
            for language in languages:
                invented.add(arm, language, right(50 + more), target=target, **options)


def whole() -> dict[str, Any]:
    return {XTREME.targets[task][0]: languages for task, languages in XTREME.tasks.items()}


def test_targets_are_those_of_the_catalogue() -> None:
    known = set(catalogue())
    for benchmark in BENCHMARKS.values():
        for task, names in benchmark.targets.items():
            there = [name for name in names if name in known]
            assert there, task
            assert all(set(benchmark.tasks[task]) <= set(catalogue()[name].codes) for name in there[:1])


def test_a_whole_benchmark_has_its_score_and_a_gain(invented: Any) -> None:
    fill(invented, whole(), {"none": 0, "mnli": 8})
    folder = invented.tabulate()
    (found,) = standings(read(folder), "tiny")
    assert (found.heading, found.columns[0]) == ("XTREME", "score")
    assert found.caveat.endswith("only where these are the published ones, whole.")
    assert found.columns[1:5] == ("classification", "tagging", "qa", "retrieval") and found.groups == 4
    assert [number.value for number in found.rows["mnli"]] == [58.0] * 14
    assert [number.gain for number in found.rows["none"]] == [None] * 14
    assert found.rows["mnli"][0].gain == pytest.approx(8)
    block = table(folder, width=100).split("XTREME · tiny\n")[1].splitlines()
    assert block[0].split() == ["score", "gain", "over", "none", *found.columns[1:5]]
    assert block[2].split() == ["mnli", "58.0", "+8.0", "58.0", "58.0", "58.0", "58.0"]


def test_a_part_is_called_a_part_and_says_what_is_missing(invented: Any) -> None:
    udpos = [code for code in XTREME.tasks["udpos"] if code not in ("kk", "yo")]
    fill(invented, {"xnli": XTREME.tasks["xnli"], "udpos": udpos, "bucc": ["de"]}, {"none": 0, "mnli": -6})
    invented.add("none", "ro", right(99), target="xnli")  # not one of the benchmark's languages
    invented.add("mnli", "ro", right(99), target="xnli")
    folder = invented.tabulate()
    (found,) = standings(read(folder), "tiny")
    assert (found.heading, found.columns) == (
        "XTREME, 3 of 9 tasks",
        ("mean", "classification", "tagging", "retrieval", "xnli", "udpos", "bucc2018"),
    )
    assert found.caveat == (
        "No score of XTREME: the mean is that of the part that the study has. Missing: pawsx, panx, xquad, mlqa, "
        "tydiqa, tatoeba; udpos without kk, yo; bucc2018 without fr, ru, zh."
    )
    assert found.rows["none"][0].value == 50 and found.rows["mnli"][0].gain == pytest.approx(-6)
    text = table(folder, width=80)
    assert "XTREME, 3 of 9 tasks · tiny" in text and "udpos without kk, yo" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    page = report.render(read(folder), {"study": "s", "question": "", "synthetic": False, "notes": []})
    assert "<h3>XTREME, 3 of 9 tasks</h3>" in page and "udpos without kk, yo; bucc2018 without" in page
    assert "−6.0" in page.split("<h2>Benchmarks</h2>")[1].split("<h2>Scores")[0]


def test_an_arm_without_a_cell_has_no_mean_and_a_collapsed_one_a_star(invented: Any) -> None:
    fill(invented, {"xnli": ["en", "de"], "pawsx": ["en"]}, {"none": 0})
    fill(invented, {"xnli": ["en"], "pawsx": ["en"]}, {"lost": 5, "flat": 1})
    invented.add("lost", "de", None, target="xnli", status="diverged")
    invented.add("flat", "de", right(33), target="xnli", status="collapsed")
    folder = invented.tabulate()
    (found,) = standings(read(folder), "tiny")
    lost = dict(zip(found.columns, (number.value for number in found.rows["lost"]), strict=True))
    assert lost == {"mean": None, "classification": None, "xnli": None, "pawsx": 55.0}
    assert [number.gain for number in found.rows["lost"]][:3] == [None] * 3
    stars = dict(zip(found.columns, (number.star for number in found.rows["flat"]), strict=True))
    assert stars == {"mean": True, "classification": True, "xnli": True, "pawsx": False}
    lines = table(folder, width=100).split("XTREME, 2 of 9 tasks")[1].splitlines()
    assert lines[3].split() == ["lost", "–", "–", "–"] and "46.5*" in lines[4]


def test_a_baseline_that_failed_leaves_scores_without_gains(invented: Any) -> None:
    fill(invented, {"xnli": ["en"], "pawsx": ["en"]}, {"mnli": 5})
    invented.add("none", "en", right(50), target="xnli")
    invented.add("none", "en", None, target="pawsx", status="diverged")
    (found,) = standings(read(invented.tabulate()), "tiny")
    assert found.rows["none"][0].value is None
    assert (found.rows["mnli"][0].value, found.rows["mnli"][0].gain) == (55.0, None)


def test_only_what_says_more_than_the_tables_is_shown(invented: Any) -> None:
    fill(invented, {"xnli": ["en", "de"], "mine": ["en"]}, {"none": 0})
    results = read(invented.tabulate())
    assert standings(results, "tiny") == []
    fill(invented, {"xquad": ["en"]}, {"none": 0})
    assert [found.title for found in standings(read(invented.tabulate(folder="more")), "tiny")] == ["XTREME"]
    fill(invented, {"xcopa": ["et"], "udpos_38": ["en"], "udpos": ["de"]}, {"none": 0})
    found = standings(read(invented.tabulate(folder="both")), "tiny")
    assert [each.title for each in found] == ["XTREME", "XTREME-R"]
    assert [each.columns[-3:] for each in found] == [("xnli", "udpos", "xquad"), ("xcopa", "udpos", "xquad")]
    assert "udpos without af, ar, bg, de, el, es and 31 more" in found[1].missing


def test_each_encoder_has_its_own(invented: Any) -> None:
    for encoder, more in (("tiny", 0), ("base", 20)):
        fill(invented, {"xnli": ["en"], "pawsx": ["en"]}, {"none": more}, encoder=encoder)
    folder = invented.tabulate()
    text = table(folder, width=100)
    assert "XTREME, 2 of 9 tasks · tiny" in text and "XTREME, 2 of 9 tasks · base" in text
    assert standings(read(folder), "base")[0].rows["none"][0].value == 70
