"""The table at the end of a run: calm, complete, never wider than the screen."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from isthmus.errors import DataError
from isthmus.publish.results import signed
from isthmus.publish.terminal import table

LANGUAGES = [f"l{i:02d}" for i in range(40)]


def right(count: int) -> list[float]:
    return [1.0] * count + [0.0] * (100 - count)


def test_scores_gains_and_facts_are_there(small: Any) -> None:
    text = table(small.tabulate(), width=100)
    lines = text.splitlines()
    assert lines[0] == "study invented"
    assert "xnli · tiny · accuracy · test · n 100 · constant answer 33.3" in lines
    header = [line for line in lines if "gain over none" in line][2]
    assert header.split() == ["mean", "gain", "over", "none", "en", "de", "ar"]
    row = [line for line in lines if line.startswith("mnli")][2]
    assert row.split()[1] == "74.7" and row.split()[-3:] == ["88.0", "78.0", "58.0"]
    assert "+8.0 [+" in row
    assert "one seed" in text


def test_the_floor_has_the_name_that_its_metric_gives_it(invented: Any) -> None:
    for target, metric in (("xnli", "accuracy"), ("lareqa", "ranked")):
        invented.add("none", "en", right(50), target=target)
        invented.cells[-1]["metric"] = metric
    text = table(invented.tabulate(), width=100)
    assert "xnli · tiny · accuracy · test · n 100 · constant answer 33.3" in text
    assert "lareqa · tiny · accuracy · test · n 100 · random order 33.3" in text


def test_blank_cells_are_marked_and_explained(small: Any) -> None:
    text = table(small.tabulate(), width=100)
    pawsx = text.split("pawsx · tiny")[1].splitlines()
    assert pawsx[3].split() == ["mnli", "–", "–", "68.0", "–"]
    assert "tiny mnli pawsx (de): diverged" in text


def test_flawed_scores_carry_a_star(invented: Any) -> None:
    invented.add("none", "en", right(50))
    invented.add("mnli", "en", right(33), status="collapsed")
    text = table(invented.tabulate(), width=100)
    assert "33.0*" in text
    assert "tiny mnli xnli (en): collapsed" in text


def test_a_run_that_failed_everywhere_is_one_line(invented: Any) -> None:
    for language in LANGUAGES:
        invented.add("none", language, right(50))
        invented.add("mnli", language, None, status="diverged")
    assert "tiny mnli xnli (all 40 languages): diverged" in table(invented.tabulate(), width=100)


@pytest.mark.parametrize(("gain", "text"), [(1.25, "+1.2"), (-0.31, "−0.3"), (-0.04, "0.0"), (0.0, "0.0")])
def test_gains_are_written_with_their_sign(gain: float, text: str) -> None:
    assert signed(gain) == text


@pytest.mark.parametrize(("synthetic", "times"), [(True, 1), (False, 0)])
def test_synthetic_data_has_a_banner(small: Any, synthetic: bool, times: int) -> None:
    assert table(small.tabulate(synthetic=synthetic), width=100).count("SYNTHETIC DATA") == times


@pytest.mark.parametrize("width", [60, 80, 131])
def test_many_languages_and_long_names_fit_the_width(invented: Any, width: int) -> None:
    for arm in ("none", "m" * 64, "short"):
        for language in LANGUAGES:
            invented.add(arm, language, right(50), status="ok" if arm != "short" else "collapsed")
    text = table(invented.tabulate(synthetic=True), width=width)
    assert max(map(len, text.splitlines())) <= width
    for language in LANGUAGES:
        assert language in text
    assert "mmmmmmmmmmmmm…mmmmmmmmmmmmmm" in text


def test_wide_letters_count_double(invented: Any) -> None:
    invented.add("none", "en", right(50))
    invented.add("中文", "en", right(60))
    lines = table(invented.tabulate(), width=100).splitlines()
    assert next(line for line in lines if line.startswith("中文")).startswith("中文  60.0")
    assert next(line for line in lines if line.startswith("none")).startswith("none  50.0")


def test_one_arm_has_no_gain_column(invented: Any) -> None:
    invented.add("none", "en", right(50))
    text = table(invented.tabulate(), width=100)
    assert "gain over" not in text and "50.0" in text


def test_several_encoders_and_targets_have_a_mean_of_targets(small: Any) -> None:
    text = table(small.tabulate(), width=100)
    assert "all targets · tiny" in text
    assert "62.1" in text.split("all targets · tiny")[1]


def test_a_folder_without_tables_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no scores\.parquet"):
        table(tmp_path)


def test_a_foreign_parquet_file_is_the_users_error(small: Any) -> None:
    folder = small.tabulate()
    rows = pq.read_table(folder / "scores.parquet")
    pq.write_table(rows.replace_schema_metadata(None), folder / "scores.parquet")
    with pytest.raises(DataError, match="does not say which study"):
        table(folder)


def test_the_table_imports_neither_torch_nor_pandas(small: Any) -> None:
    code = (
        "import sys\n"
        "from isthmus.publish.terminal import table\n"
        f"table({str(small.tabulate())!r})\n"
        "print([name for name in ('torch', 'pandas', 'jinja2') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
