from pathlib import Path

import pytest

from isthmus.study.problems import Problems, did_you_mean, name_problem, place, prune, relative, shown
from isthmus.study.yamlfile import load


@pytest.mark.parametrize("name", ["a", "0", "mnli-n1000", "a_b.c-d", "a" * 64])
def test_names(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "A", "-a", ".a", "_a", "a/b", "a b", "a\n", "ä", "\u0430", "a" * 65, "~", "a;b"]
)
def test_what_is_no_name(name: str) -> None:
    assert name_problem(name) is not None


def test_a_look_alike_is_named_by_its_code() -> None:
    assert "U+0430" in str(name_problem("mnl\u0430"))


def test_proposals() -> None:
    assert did_you_mean("LERNING_RATE", ["learning_rate", "epochs"]) == ' Did you mean "learning_rate"?'
    assert did_you_mean("zzz", ["b", "a"]) == " Known: a, b."
    assert did_you_mean(None, ["b", "a"], "Such") == " Such: a, b."
    assert did_you_mean("x", []) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "nothing"),
        ([], "an empty list"),
        ([1], "a list"),
        ({}, "keys with values"),
        (3, "the number 3"),
        ("a\nb\u202e", '"a\\nb\\u202e"'),
        ("x" * 100, '"' + "x" * 57 + '..."'),
    ],
)
def test_values_in_a_sentence(value: object, text: str) -> None:
    assert shown(value) == text


def test_places() -> None:
    assert place(("arms", "mnli", 0, "mix", 1)) == "arms.mnli[0].mix[1]"
    assert place(("arms", "a\nb")) == 'arms."a\\nb"'


def test_lines_are_in_the_order_of_the_file_and_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: 2\n")
    problems = Problems(load(path))
    assert not problems
    for key in ("b", "a", "b"):
        problems.add((key,), "is odd.")
    assert problems.lines() == [f"{path}:1: a: is odd.", f"{path}:2: b: is odd."]


def test_prune() -> None:
    assert prune({"a": {"b": 1, "c": 2}, "d": 3}, [("a", "b"), ("d",)]) == {"a": {"c": 2}}
    assert prune({"a": 1}, [()]) == {"a": 1}


def test_paths_are_shown_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative(tmp_path / "a" / "b") == Path("a/b")
    assert relative(Path("/elsewhere")) == Path("/elsewhere")
