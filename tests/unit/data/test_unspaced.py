"""Blanks between words go where the language has none."""

import pyarrow as pa
import pytest

from isthmus.data.fetch import canonical_rows
from isthmus.data.unspaced import unspaced
from isthmus.tasks.files import catalogue
from isthmus.units import fetch_spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("二 人 の 男性 が 立って い ます 。", "二人の男性が立っています。"),
        ("他 在 Windows XP 上 工作 , 很 好 。", "他在Windows XP上工作,很好。"),
        ("Windows XP works", "Windows XP works"),
        ("カタカナ\u3000ー \t テスト", "カタカナーテスト"),  # a wide blank is one of them
        ("한국어 는 띄어쓰기", "한국어 는 띄어쓰기"),  # Korean is written with blanks
        ("𠮷 野 家", "𠮷野家"),
        ("", ""),
    ],
)
def test_only_blanks_beside_kana_and_han_go(text: str, expected: str) -> None:
    assert unspaced(text) == expected


def test_a_spec_says_whether_blanks_go() -> None:
    table = pa.table({"premise": ["二 人 の 男性"], "hypothesis": ["人 が いる"], "label": [0]})
    spec = {
        "source": {},
        "family": "classify",
        "columns": {"text_a": "premise", "text_b": "hypothesis", "label": "label"},
        "labels": ["entailment", "neutral", "contradiction"],
    }
    kept = canonical_rows({"": table}, spec, "here").to_pylist()[0]
    assert (kept["text_a"], kept["text_b"]) == ("二 人 の 男性", "人 が いる")
    found = canonical_rows({"": table}, spec | {"unspaced": True}, "here").to_pylist()[0]
    assert (found["text_a"], found["text_b"]) == ("二人の男性", "人がいる")


def test_only_the_languages_that_a_task_names_are_rid_of_blanks() -> None:
    task = catalogue()["mnli_translated"]
    specs = {
        code: fetch_spec(task, code, task.sources[0], task.request(task.sources[0], code), "babel")
        for code in ("zh", "de")
    }
    assert specs["zh"]["unspaced"] is True
    assert "unspaced" not in specs["de"]
