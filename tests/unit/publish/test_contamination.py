"""The audit as people read it: the worst first, nothing where nothing is."""

import csv
from pathlib import Path
from typing import Any

import pytest

from isthmus.evaluate.audit import COLUMNS, FILE
from isthmus.publish import contamination, report
from isthmus.publish.results import read
from isthmus.publish.terminal import table
from tests.unit.publish.test_report import EVIL, Page


def row(target: str, language: str, exact: int, ngram: int, **changes: Any) -> dict[str, str]:
    found = {
        **dict.fromkeys(COLUMNS, ""),
        **{"study": "s", "training": "seen", "training_languages": "en", "role": "intermediate"},
        **{"target": target, "language": language, "field": "context", "n": "200", "examples": "id-1; id-2"},
        **{
            "exact": str(exact),
            "exact_percent": f"{exact / 2:.2f}",
            "n_with_ngrams": "100",
            "ngram": str(ngram),
        },
        **{"ngram_percent": f"{ngram:.2f}", "covered_percent": "0.00"},
    }
    return found | changes


def write(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / FILE).open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


ROWS = [
    row("xnli", "en", 0, 0),
    row("xnli", "de", 1, 3),
    row("xnli", "ar", 6, 2),
    row("pawsx", "de", 100, 61, training="other", role="target"),
    row("panx", "de", 0, 0),
]


def test_the_worst_come_first_with_their_languages(tmp_path: Path) -> None:
    rows = contamination.read(write(tmp_path, ROWS))
    assert rows == ROWS
    first, second = contamination.overlaps(rows)
    assert (first.row["target"], first.percent, first.languages) == ("pawsx", 50.0, ("de",))
    assert (second.languages, second.percent, second.compared) == (("ar", "de"), 3.0, 3)
    section = contamination.section(rows)
    assert (
        section["summary"]
        == "Of 5 comparisons of a test split with a training set, 3 found texts that both have."
    )
    assert section["worst"][0]["whole"] == "50.00 % (100)" and section["worst"][0]["shared"] == "61.00 % (61)"


def test_a_handful_of_long_texts_is_not_a_whole_split() -> None:
    few = row("panx", "de", 0, 3, n_with_ngrams="3", ngram_percent="100.00")
    many = row("xnli", "de", 9, 20)
    assert [overlap.row["target"] for overlap in contamination.overlaps([few, many])] == ["xnli", "panx"]
    assert contamination.notable([few]) == ""
    assert "up to 10 % of xnli's" in contamination.notable([few, many])
    assert contamination.notable([row("xnli", "de", 10, 0)]) and not contamination.notable(
        [row("xnli", "de", 9, 9)]
    )


def test_many_languages_are_counted_and_many_overlaps_cut() -> None:
    rows = [row("panx", f"l{number:02d}", 10 + number, 0) for number in range(20)]
    (overlap,) = contamination.overlaps(rows)
    assert overlap.named == "l19, l18, l17, l16, l15, l14 and 14 more"
    many = contamination.section([row(f"t{number}", "en", 1, 1) for number in range(20)])
    assert (len(many["worst"]), many["left"]) == (contamination.WORST, 20 - contamination.WORST)


def test_a_split_without_ngrams_has_a_dash_for_their_share() -> None:
    (line,) = contamination.section([row("panx", "de", 4, 0, n_with_ngrams="0", ngram_percent="")])["worst"]
    assert (line["whole"], line["shared"]) == ("2.00 % (4)", "–")


def test_the_report_shows_what_was_found_and_says_where_nothing_was(small: Any, tmp_path: Path) -> None:
    results, spec = read(small.tabulate()), {"study": "s", "question": "", "synthetic": False, "notes": []}
    text = report.render(results, spec, ROWS)
    words = " ".join(Page(text).text)
    for part in (
        "Test examples that were trained on",
        "61.00 % (61)",
        "id-1; id-2",
        "may be answered from memory",
    ):
        assert part in words, part
    clean = report.render(results, spec, ROWS[:1])
    assert "None of 1 comparisons" in clean and "answered from memory" not in clean
    assert "contamination of" not in report.render(
        results, spec
    ) and "Test examples that" not in report.render(results, spec)
    evil = report.render(results, spec, [row(EVIL, EVIL, 5, 5, examples=EVIL, training=EVIL, role=EVIL)])
    assert "<script" not in evil and "<img" not in evil and Page(evil).open == []


def test_the_stage_reads_the_audit(small: Any) -> None:
    out = small.root / "report"
    out.mkdir()
    inputs = {"tables": small.tabulate(), "audit": write(small.root, ROWS)}
    spec = {"study": "invented", "question": "", "synthetic": False, "notes": []}
    report.run([small.work("report", spec, inputs, out)])
    assert "61.00 % (61)" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("rows", "said"), [(ROWS, True), (ROWS[:3], False), ([], False)])
def test_the_terminal_says_only_what_is_notable(small: Any, rows: list[dict[str, str]], said: bool) -> None:
    folder = write(small.tabulate(), rows)
    text = table(folder, width=100)
    assert ("Seen in training: up to 50 % of pawsx's context (de) in other (target)" in text) is said
    assert max(map(len, text.splitlines())) <= 100


def test_a_run_without_its_audit_has_a_table_all_the_same(small: Any) -> None:
    assert "Seen in training" not in table(small.tabulate(), width=100)
