import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import UsageError
from isthmus.study.yamlfile import MAX_ALIASED_NODES, MAX_BYTES, Document, Flaw, YamlError, load, number


def read(folder: Path, text: str | bytes) -> Document:
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(path)


def flaws(folder: Path, text: str | bytes) -> list[Flaw]:
    with pytest.raises(YamlError) as caught:
        read(folder, text)
    return list(caught.value.flaws)


@pytest.fixture(params=["C", "Python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both parsers of PyYAML: the one in C is not in every build of it."""
    if request.param == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    return str(request.param)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("2e-5", 2e-5),
        ("2.0e-5", 2e-5),
        ("1E3", 1000.0),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("12", 12),
        ("+7", 7),
        ("0", 0),
        ("no", "no"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("0b1", "0b1"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'2e-5'", "2e-5"),
        ('"true"', "true"),
        ("'010'", "010"),
        ("=", "="),
    ],
)
def test_the_written_text_decides(tmp_path: Path, written: str, value: Any) -> None:
    found = read(tmp_path, f"key: {written}\n").value["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize("key", ["no", "1", "true", "2e-5", "on", "null"])
def test_keys_are_text(tmp_path: Path, key: str) -> None:
    assert read(tmp_path, f"{key}: 1\n").value == {key: 1}


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 010\n", 2, "octal"),
        ("a: .inf\n", 1, "not a number"),
        ("a: [1, -.INF]\n", 1, "not a number"),
        ("a: .nan\n", 1, "not a number"),
        ("a: 1e999\n", 1, "too large"),
        ("a: 123456789012345678901234567890\n", 1, "too large"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice (first in line 1)"),
        ("a: {b: 1, b: 2}\n", 1, "twice"),
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("# a\tcomment\n", 1, "tab"),
        ("__use_yte__: true\n", 1, "__use_yte__"),
        ("a:\n  __use_yte__: true\n", 2, "__use_yte__"),
        ("a: 1\n---\nb: 2\n", 2, "second YAML document"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "tag"),
        ("a: !!str 5\n", 1, "tag"),
        ("a: ! 5\n", 1, "tag"),
        ("? [a]\n: 1\n", 1, "key must be text"),
        ("a: *b\n", 1, "no complete anchor"),
        ("a: &b [1, *b]\n", 1, "no complete anchor"),
        ("a: &b {<<: *b}\n", 1, "no complete anchor"),
        ("a:\n  <<: 5\n", 2, "<< takes mappings"),
        ("a: [1\nb: 2\n", 2, "not YAML"),
        ("a: 'x\n", 2, "not YAML"),
        ("a: b: c\n", 1, "not YAML"),
        ("a: x\u0001\n", 1, ""),
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("a: " + "[" * 30 + "]" * 30, 1, "nested deeper"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: int, words: str) -> None:
    found = flaws(tmp_path, text)
    assert len(found) == 1
    assert words in found[0].text
    assert found[0].line == line


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    found = flaws(tmp_path, b"a: 1\nb: \xff\n")
    assert (found[0].line, found[0].text) == (2, "this is not UTF-8: save the file as UTF-8.")


def test_a_mark_at_the_beginning_is_no_text(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\n").value == {"a": 1}


def test_the_size_is_bounded(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1\n#".ljust(MAX_BYTES, "x")).value == {"a": 1}
    assert "larger than 256 KB" in flaws(tmp_path, "a: " + "x" * MAX_BYTES)[0].text


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "none.yaml")


@pytest.mark.usefixtures("parser")
def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 6)]
    found = flaws(tmp_path, "\n".join(levels))  # twice as many levels take all memory
    assert "too many values" in found[0].text


def test_aliases_nest_no_deeper_than_values(tmp_path: Path) -> None:
    text = "a: &a " + "[" * 15 + "]" * 15 + "\nb: " + "[" * 15 + "*a" + "]" * 15
    assert "nested deeper" in flaws(tmp_path, text)[0].text


@pytest.mark.usefixtures("parser")
def test_small_aliases_and_merge_keys(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nlist: &list [1, 2]\none:\n  <<: *base\n  b: 3\ntwo: *list\n"
    document = read(tmp_path, text)
    assert document.value["one"] == {"b": 3, "a": 1}
    assert document.value["two"] == [1, 2]
    assert document.line(("one", "b")) == 5
    assert document.line(("one", "a")) == 1


def test_many_aliased_values_are_refused(tmp_path: Path) -> None:
    values = ", ".join(["1"] * (MAX_ALIASED_NODES // 2))
    assert read(tmp_path, f"a: &a [{values}]\nb: *a").value
    assert "too many" in flaws(tmp_path, f"a: &a [{values}]\nb: *a\nc: *a")[0].text


@pytest.mark.usefixtures("parser")
def test_lines_and_written_text(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  - x\n  - c: 2e-5\n    d: {e: 'no'}\n")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 5,
        ("b", 1, "d", "e"): 5,
    }
    assert document.written[("b", 1, "c")] == "2e-5"
    assert document.line(("b", 1, "missing", "deep")) == 4


def test_flaws_that_do_not_hinder_are_collected(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: 1\na: 2\nb: 010\nc: 3\n")
    found: list[Flaw] = []
    document = load(path, found)
    assert document.value == {"a": 1, "b": "010", "c": 3}
    assert [(flaw.where, flaw.line) for flaw in found] == [(("a",), 2), (("b",), 3)]
    with pytest.raises(YamlError) as caught:
        load(path)
    assert str(caught.value).splitlines()[0].startswith(f"{path}:2: this key stands twice")


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "0x1", "1_0", "١", "1e", "--1", "9" * 5000])
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda child: st.lists(child, max_size=4) | st.dictionaries(TEXT, child, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_json(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    """JSON is YAML without its traps, so what a JSON writer wrote comes back as it was."""
    path = tmp_path_factory.getbasetemp() / "json.yaml"
    path.write_text(json.dumps({"value": value}, ensure_ascii=False), encoding="utf-8")
    assert load(path).value == {"value": value}


@given(st.binary(max_size=200) | st.text("ab01:-[]{}&*!|>'\"# \n,.~<?%@`", max_size=120).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        document = load(path)
    except YamlError as error:
        assert error.flaws
        assert all(flaw.line >= 1 for flaw in error.flaws)
    else:
        assert document.lines[()] >= 1
