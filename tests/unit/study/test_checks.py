"""Bad study files: each gets its own line, with the line number and how to mend it. The table: tests/studies/bad."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.study.load import StudyError, load_study

BAD = Path(__file__).parents[2] / "studies" / "bad"
BASE = (BAD / "base.yaml").read_text(encoding="utf-8")
CASES: list[dict[str, Any]] = yaml.safe_load((BAD / "cases.yaml").read_text(encoding="utf-8"))


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return [line.removeprefix(f"{path}:") for line in caught.value.problems]


def test_the_base_is_good() -> None:
    assert load_study(BAD / "base.yaml").name == "good"


def test_there_are_many_cases() -> None:
    assert len({case["case"] for case in CASES}) == len(CASES) >= 80


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_a_bad_study_gets_its_line(tmp_path: Path, case: dict[str, Any]) -> None:
    if case["old"] == "(all)":
        text = case["new"]
    else:
        assert BASE.count(case["old"]) == 1
        text = BASE.replace(case["old"], case["new"])
    line = case["line"].replace("{folder}", str(tmp_path))
    found = problems(tmp_path, text)
    assert line in found
    assert not case.get("alone", True) or found == [line]


def test_all_problems_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = BASE.replace("study: good", "study: Good").replace("width: 64", "width: wide")
    text = text.replace("  mnli: mnli", "  mnli: mnlii\n  qqp: [qpq, 7]").replace("[1]", "[]")
    text = text.replace("[xnli, pawsx]", "[xnlii, pawsx]").replace("{epochs: 2}", "{epoch: 2}\nextra: 1")
    assert problems(tmp_path, text) == [
        '1: study: "Good" cannot be a name: use a-z, 0-9, "_", "." and "-", a letter or digit first, '
        "at most 64 characters.",
        '8: encoders.tiny.pretrain.width: needs a number, found "wide".',
        '11: arms.mnli: there is no task "mnlii". Did you mean "mnli"?',
        "12: arms.qqp[1]: needs a task, or keys such as {mix: [a, b]}, found the number 7.",
        '13: targets[0]: there is no task "xnlii". Did you mean "xnli"?',
        "15: seeds: is empty: give at least one.",
        '20: recipe.target.epoch: there is no option "epoch" here. Did you mean "epochs"?',
        '21: extra: there is no option "extra" here. Known: arms, encoders, hub, languages, question, recipe, '
        "seeds, study, targets, tasks.",
    ]


def test_a_broken_part_causes_no_further_problems(tmp_path: Path) -> None:
    """The arm that cannot be read trains on mnli, perhaps; the options for mnli are not called unread."""
    text = BASE.replace("  mnli: mnli", "  mnli: {task: mnli, cup: 1}")
    text = text.replace("{learning_rate: 2e-5}", "{tasks: {mnli: {epochs: 1}}}")
    assert problems(tmp_path, text) == [
        '11: arms.mnli.cup: there is no option "cup" here. Did you mean "cap"?'
    ]


def test_a_long_list_of_problems_is_cut(tmp_path: Path) -> None:
    text = BASE.replace("targets: [xnli, pawsx]", f"targets: [{', '.join(f't{n}' for n in range(150))}]")
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(path)
    assert str(caught.value).splitlines()[-1] == "... and 50 more."


def test_no_value_reaches_the_terminal_raw(tmp_path: Path) -> None:
    text = BASE.replace("targets: [xnli, pawsx]", 'targets: ["\\e[31mred\\u202e\\nline"]')
    assert problems(tmp_path, text)[0].startswith(
        '12: targets[0]: there is no task "\\u001b[31mred\\u202e\\nline".'
    )


def test_a_study_brings_tasks_of_its_own(tmp_path: Path) -> None:
    tasks = tmp_path / "mine"
    tasks.mkdir()
    (tasks / "dates.yaml").write_text(
        "task: dates\nfamily: classify\ntitle: Dates\nmetric: accuracy\nlanguages: [en, de]\n"
        "sources: [{hub: me/dates, splits: {train: train, test: test}}]\n"
        "columns: {text_a: a, label: y}\nlabels: [no, yes]\n"
    )
    (tasks / "xnli.yaml").write_text((tasks / "dates.yaml").read_text().replace("task: dates", "task: xnli"))
    (tasks / "odd.yaml").write_text((tasks / "dates.yaml").read_text().replace("classify", "clasify"))
    text = BASE.replace("hub: babel", "tasks: mine").replace("[xnli, pawsx]", "[xnli, dates, odd]")
    found = problems(tmp_path, text)
    assert found == [
        "15: recipe: dates has no development examples to select a checkpoint by: write select: last.",
        f'{tasks}/odd.yaml:1: task: the file is called "odd.yaml": call it dates.yaml.',
        f'{tasks}/odd.yaml:2: family: there is no family "clasify". Did you mean "classify"?',
        f'{tasks}/xnli.yaml:1: task: "xnli" is in the catalogue already. Give the study\'s own task another name.',
    ]


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (
            ("labels: [no, yes]", "labels: [yes, no]\ntrains_on: base"),
            '"dates" and its training set "base" differ in family or labels. Correct the task files.',
        ),
        (
            ("train: train, ", ""),
            '"dates" is trained on "dates", which has no training data. Correct trains_on or splits in its task file.',
        ),
        (
            ("metric: accuracy\n", ""),
            '"dates" is not a target: it has no metric. Targets: base, bucc, lareqa, mewslix, mlqa, panx, pawsx, tatoeba, tatoeba_41, tydiqa, udpos, udpos_38, wikiann_48, xcopa, xnli, xquad, xquad_12.',
        ),
        (("labels:", "trains_on: bass\nlabels:"), 'there is no task "bass". Did you mean "base"?'),
    ],
)
def test_a_target_and_its_training_set(tmp_path: Path, edit: tuple[str, str], line: str) -> None:
    tasks = tmp_path / "mine"
    tasks.mkdir()
    text = (
        "task: base\nfamily: classify\ntitle: Dates\nmetric: accuracy\nlanguages: [en, de]\n"
        "sources: [{hub: me/dates, splits: {train: train, dev: dev, test: test}}]\n"
        "columns: {text_a: a, label: y}\nlabels: [no, yes]\n"
    )
    (tasks / "base.yaml").write_text(text)
    assert edit[0] in text
    (tasks / "dates.yaml").write_text(text.replace("task: base", "task: dates").replace(*edit))
    study = BASE.replace("hub: babel", "tasks: mine").replace("[xnli, pawsx]", "[xnli, dates]")
    assert problems(tmp_path, study) == [f"12: targets[1]: {line}"]


def test_a_checkpoint_is_selected_by_the_training_sets_own_development_examples(tmp_path: Path) -> None:
    tasks = tmp_path / "mine"
    tasks.mkdir()
    text = (
        "task: {name}\nfamily: classify\ntitle: Dates\nmetric: accuracy\nlanguages: [en, de]\n"
        "sources: [{hub: me/dates, splits: {SPLITS}}]\ncolumns: {text_a: a, label: y}\nlabels: [no, yes]\n"
    )
    base = text.replace("{name}", "base").replace("SPLITS", "train: train")
    dates = text.replace("{name}", "dates").replace("SPLITS", "dev: dev, test: test") + "trains_on: base\n"
    (tasks / "base.yaml").write_text(base)
    (tasks / "dates.yaml").write_text(dates)
    path = tmp_path / "study.yaml"
    path.write_text(BASE.replace("hub: babel", "tasks: mine").replace("[xnli, pawsx]", "[xnli, dates]"))
    # The target's development examples serve other languages; training never reads them.
    assert problems(tmp_path, path.read_text()) == [
        "15: recipe: base has no development examples to select a checkpoint by: write select: last."
    ]
    (tasks / "base.yaml").write_text(base.replace("train: train", "train: train, dev: dev"))
    assert load_study(path).tasks["dates"].training_set == "base"
