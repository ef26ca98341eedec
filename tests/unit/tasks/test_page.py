"""docs/tasks.md is what the catalogue says, and its tutorial is true."""

import difflib
import re
from pathlib import Path

from isthmus.study.docs import TASKS
from isthmus.tasks.files import catalogue, families
from isthmus.tasks.languages import languages
from isthmus.tasks.page import page

REPOSITORY = Path(__file__).parents[3]


def test_the_page_is_fresh() -> None:
    stands = (REPOSITORY / TASKS).read_text(encoding="utf-8").splitlines()
    difference = "\n".join(
        difflib.unified_diff(stands, page().splitlines(), str(TASKS), "generated", lineterm="")
    )
    assert not difference, f"{TASKS} is stale, run `python -m isthmus.study.docs`:\n{difference}"


def test_every_task_and_language_has_a_whole_line() -> None:
    lines = page().splitlines()
    for name in catalogue():
        (line,) = [line for line in lines if line.startswith(f"| `{name}` |")]
        assert line.count("|") == 12
        assert any(line.startswith(f"- `{name}`: ") for line in lines)
    assert sum(line.count("|") == 7 for line in lines) == len(languages()) + 2


def test_what_a_line_says() -> None:
    lines = {line.split("|")[1].strip(" `"): line for line in page().splitlines() if line.count("|") == 12}
    assert "| train 392,702, dev 9,815 |" in lines["mnli"]
    assert "| 7: de en es fr ja ko zh | en |" in lines["pawsx"]
    assert "| by `squad` |" in lines["xquad_12"] and "| ja | ja |" in lines["jnli"]
    assert "| the study's |" in lines["mnli_translated"] and "those of anli, mnli, snli" in lines["anli_plus"]
    assert "lighteval/siqa<br>allenai/social_i_qa" in lines["social_iqa"]


def test_the_tutorial_is_true(tmp_path: Path) -> None:
    (task,) = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    (table,) = re.findall(r"```csv\n(.*?)```", page(), re.DOTALL)
    (tmp_path / "ner-hausa.yaml").write_text(task)
    (tmp_path / "languages.csv").write_text(table)
    found = catalogue(tmp_path)["ner-hausa"]
    assert found.is_target and found.trainable == ("en",)
    assert languages(tmp_path)["luo"].family == "Nilo-Saharan"


def test_every_family_is_explained() -> None:
    explained = {
        line.split("`")[1] for line in page().splitlines() if line.startswith("| `") and line.count("|") == 4
    }
    assert explained == set(families())
