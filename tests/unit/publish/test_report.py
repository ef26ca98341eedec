"""The report: self-contained, escaped, complete, the same on every run."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from isthmus.publish import report
from isthmus.publish.results import read

EVIL = "<script>alert('x')</script>\"><img src=https://example.org/x onerror=alert(1)>"
VOID = {"meta", "line", "circle", "rect", "br", "img", "link"}


class Page(HTMLParser):
    """Tags, attributes and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def make(invention: Any, **changes: Any) -> str:
    spec = {"study": "invented", "question": "Does it help?", "synthetic": False, "notes": []} | changes
    tables = invention.tabulate(synthetic=spec["synthetic"])
    out = invention.root / "report"
    out.mkdir()
    report.run([invention.work("report invented", spec, {"tables": tables}, out)])
    return (out / "report.html").read_text(encoding="utf-8")


def right(count: int) -> list[float]:
    return [1.0] * count + [0.0] * (100 - count)


def test_the_page_is_well_formed_and_asks_for_nothing(small: Any) -> None:
    page = Page(make(small))
    assert page.open == []
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not [
        a for _, attributes in page.tags for a in attributes if a in ("src", "href") or a.startswith("on")
    ]
    policies = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies and str(policies[0]).startswith("default-src 'none'")


def test_the_style_loads_nothing(small: Any) -> None:
    text = make(small)
    assert not re.findall(r"https?:|//[a-z]|@import", text)
    assert set(re.findall(r"url\(([^)]*)\)", text)) <= {"#hatch"}


def test_gains_scores_and_reasons_are_there(small: Any) -> None:
    text = " ".join(Page(make(small, notes=["measured twice"])).text)
    for word in (
        "Does it help?",
        "74.7",
        "+8.0",
        "diverged",
        "1 of 2 languages (diverged: de)",
        "measured twice",
    ):
        assert word in text, word
    assert "One training seed was run" in text


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_has_a_banner(small: Any, synthetic: bool) -> None:
    text = make(small, synthetic=synthetic)
    assert ("SYNTHETIC DATA" in text) is synthetic
    assert (" · synthetic data</title>" in text) is synthetic


def test_tables_that_say_synthetic_are_enough_for_the_banner(small: Any) -> None:
    results = read(small.tabulate(synthetic=True))
    page = report.render(results, {"study": "s", "question": "", "synthetic": False, "notes": []})
    assert "SYNTHETIC DATA" in page


def test_names_cannot_inject_anything(invented: Any) -> None:
    for arm in ("none", EVIL):
        for target in (EVIL, "b"):
            invented.add(arm, EVIL, right(50), encoder=EVIL, target=target)
            invented.add(arm, "en", None, encoder=EVIL, target=target, status=EVIL)
    text = make(invented, study=EVIL, question=EVIL, notes=[EVIL])
    assert "<script" not in text and "<img" not in text
    page = Page(text)
    assert page.open == []
    assert not [a for _, attributes in page.tags for a in attributes if a in ("src", "onerror")]
    assert EVIL in "".join(page.text)


def test_the_floor_has_the_name_that_its_metric_gives_it(invented: Any) -> None:
    for target, metric in (("xnli", "accuracy"), ("lareqa", "ranked")):
        invented.add("none", "en", right(50), target=target)
        invented.cells[-1]["metric"] = metric
    text = make(invented)
    assert "; a constant answer gets 33.3<" in text and "; a random order gets 33.3<" in text


def test_one_arm_has_scores_and_no_gains(invented: Any) -> None:
    invented.add("none", "en", right(50))
    invented.add("none", "de", right(40))
    text = make(invented)
    assert "Gains over arm" not in text
    assert "45.0" in text and "<figure>" in text


def test_nothing_finished_still_makes_a_page(invented: Any) -> None:
    for arm in ("none", "mnli"):
        invented.add(arm, "en", None, status="missing")
    text = make(invented)
    assert "no score yet" in text and text.count("missing") >= 3


def test_every_arm_stands_in_the_tables_even_when_not_drawn(invented: Any) -> None:
    arms = ["none", *(f"arm-{i:02d}" for i in range(20))]
    for arm in arms:
        invented.add(arm, "en", right(50))
    text = make(invented)
    assert all(f"<bdi>{arm}</bdi></th>" in text for arm in arms)
    assert text.count("<figure>") == report.PANELS
    assert "8 further arms are not drawn" in text


def test_right_to_left_text_keeps_its_direction(small: Any) -> None:
    text = make(small, question="هل يساعد؟")
    assert '<p class="question" dir="auto">هل يساعد؟</p>' in text


def test_equal_tables_give_equal_bytes(small: Any, tmp_path: Path) -> None:
    first = make(small)
    (tmp_path / "tables").rename(tmp_path / "tables-1")
    (tmp_path / "report").rename(tmp_path / "report-1")
    assert make(small) == first


def test_several_seeds_are_said(invented: Any) -> None:
    for seed in (1, 2):
        for arm, count in (("none", 50), ("mnli", 60)):
            invented.add(arm, "en", right(count), seed=seed)
    assert "2 training seeds were run" in make(invented)


def test_the_scores_of_all_layers_are_shown(invented: Any) -> None:
    for language, layer, scores in (("de", 1, (0.1, 0.5)), ("fr", 0, (0.2, 0.3))):
        details = {"layer": layer, "chosen_by": "dev", "layers": {"0": scores[0], "1": scores[1]}}
        invented.add("none", language, [1.0, 0.0], target="tatoeba", details=details)
    text = make(invented)
    assert "in how many languages the layer was chosen on the development set" in text
    assert '<td class="sure">15.0<small>1</small></td><td class="sure">40.0<small>1</small></td>' in text
