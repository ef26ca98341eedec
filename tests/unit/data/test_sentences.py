"""Where sentences end, and where they do not."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from isthmus.data.sentences import spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in spans(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["He came.", "She went!", "Why?", "No one knew"],
        ["It cost 3.5 million.", "In 1999 it was sold."],
        ['He said "Stop."', "Then he left."],
        ["It is so.[12][note 3]", "Others doubt it."],
        ["Mr. and Mrs. Smith met Dr. Jones in St. Louis.", "They talked."],
        ["He lived in the U.S. Senate's shadow, e.g. John F. Kennedy did."],
        ["They moved to the U.S.", "In 1920 they came back."],
        ["See No. 5 on p. 12.", "It is there."],
        ["He waited... and left.", "It was late."],
        ["Really?!", "(Yes.)", "“Good.”", "Fine."],
        ["he came.", "she went.", "no one knew"],  # a text without capitals
        ["He came.", "She read e.g. the news. but left"],
        ["他来了。", "她走了！", "为什么？", "没有人知道"],
        ["वह आया।", "वह गई।"],
        ["هل جاء؟", "نعم."],
        ["ไม่มีจุดจบ ของประโยค"],
    ],
    ids=lambda parts: parts[0][:12],
)
def test_sentences_are_found(parts: list[str]) -> None:
    text = ("" if parts[0][-1] == "。" else " ").join(parts)
    assert sentences(text) == parts


def test_spans_are_places_in_the_text_as_it_is() -> None:
    text = "  One.\n\n Two 𝄞 e\u0301.  Three \t"
    assert spans(text) == [(2, 6), (9, 18), (20, 25)]
    assert sentences(text) == ["One.", "Two 𝄞 e\u0301.", "Three"]
    assert spans("") == spans(" \n ") == [] and sentences("...") == ["..."]


def test_nothing_but_white_space_lies_between() -> None:
    text = "A. B. C! ... 'D.' [E] (f.) G?! 。H । 1. 2."
    found = spans(text)
    assert found == sorted(found) and all(start < end for start, end in found)
    ends = [0, *(end for _, end in found)]
    starts = [*(start for start, _ in found), len(text)]
    assert all(not text[end:start].strip() for end, start in zip(ends, starts, strict=True))


def test_it_finds_what_lareqas_authors_found(mirror: Path) -> None:
    rows = pq.read_table(mirror / "mirror-extra/lareqa/xquad-r.en/test-00000-of-00001.parquet").to_pylist()
    theirs = {row["context"]: {tuple(span) for span in row["sentence_breaks"]} for row in rows}
    ours = {context: set(spans(context)) for context in theirs}
    both = sum(len(ours[context] & found) for context, found in theirs.items())
    assert sum(map(len, theirs.values())) == 1180
    assert 2 * both / (1180 + sum(map(len, ours.values()))) > 0.98
