"""The command line: exit codes that schedulers act on, one paragraph for a person, nothing heavy imported early."""

import subprocess
import sys

import pytest

from isthmus import cli, errors
from tests.conftest import MICRO, environment


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "isthmus", *arguments]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, **options)


def test_help_names_the_commands():
    shown = run("--help")
    assert shown.returncode == 0
    for command in (
        "run",
        "plan",
        "check",
        "answer",
        "score",
        "export",
        "fetch",
        "pin",
        "bundle",
        "unbundle",
        "stage",
    ):
        assert command in shown.stdout


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["stage", "train"]])
def test_a_wrong_command_line_is_exit_2(arguments):
    assert run(*arguments).returncode == 2


def test_a_missing_study_is_one_sentence(tmp_path):
    shown = run("plan", "gone.yaml", cwd=tmp_path)
    assert shown.returncode == 2
    assert "gone.yaml" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_check_of_a_wrong_study_says_so_before_anything_is_fetched(tmp_path):
    (tmp_path / "micro.yaml").write_text(MICRO.replace("\nlanguages: [en, de]", "\nlanguages: [en, xx]"))
    shown = run("check", "micro.yaml", cwd=tmp_path)
    assert shown.returncode == 2
    assert "no target has" in shown.stderr and "xx" in shown.stderr
    assert not (tmp_path / "results").exists()


def test_an_answer_without_scores_says_how_to_get_them(tmp_path):
    (tmp_path / "micro.yaml").write_text(MICRO)
    shown = run("answer", "micro.yaml", cwd=tmp_path)
    assert shown.returncode == 2
    assert "isthmus run micro.yaml" in shown.stderr


def test_a_plan_lists_every_job(tmp_path):
    (tmp_path / "micro.yaml").write_text(MICRO)
    shown = run("plan", "micro.yaml", cwd=tmp_path)
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1].startswith("25 of 25 jobs would run")


@pytest.mark.parametrize("error", errors.IsthmusError.__subclasses__())
def test_every_error_has_its_exit_code(monkeypatch, capsys, error):
    def command(_):
        raise error("what, where, how")

    monkeypatch.setattr(cli, "_plan", command)
    assert cli.main(["plan", "x"]) == error.exit_code
    assert capsys.readouterr().err == "isthmus: what, where, how\n"


def test_a_bug_says_so_and_shows_where(monkeypatch, capsys):
    monkeypatch.setattr(cli, "_plan", lambda _: 1 / 0)
    assert cli.main(["plan", "x"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_exit_codes_are_distinct():
    codes = [error.exit_code for error in errors.IsthmusError.__subclasses__()]
    assert len(set(codes)) == len(codes)


IMPORTS = """
import sys
sys.argv = ["isthmus", "plan", "micro.yaml"]
from isthmus.cli import main
main()
print("heavy:", *sorted({"torch", "transformers", "datasets", "pandas", "tokenizers", "snakemake"} & set(sys.modules)))
"""


def test_planning_imports_nothing_heavy(tmp_path):
    (tmp_path / "micro.yaml").write_text(MICRO)
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1].strip() == "heavy:"
