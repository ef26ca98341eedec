"""`isthmus run` where a log file reads it: few lines, Snakemake's messages in a file, nothing lost when it fails."""

import shutil


def test_a_run_is_a_few_lines_and_its_messages_a_file(micro):
    shutil.rmtree(micro.store / "report")
    run = micro.isthmus("run", "micro.yaml", "--cores", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    (messages,) = (micro.results / "logs").glob("snakemake-*Z.log")
    assert lines[0] == "micro: 1 of 25 jobs to run."
    assert lines[1].endswith(f": {messages.relative_to(micro.path)}")
    assert any(line.startswith("Done: 1 of 1 jobs ran, in ") for line in lines)
    assert lines[-1].startswith("Report: ")
    assert "Writing the report" in messages.read_text()
    assert "\x1b" not in run.stdout + run.stderr
    assert not run.stderr

    idle = micro.isthmus("run", "micro.yaml", "--cores", "1")
    assert idle.returncode == 0
    assert idle.stdout.splitlines()[0] == "Nothing to do: everything is in the store."
    assert "Report: " in idle.stdout
    assert list((micro.results / "logs").glob("snakemake-*")) == [messages]


def test_what_snakemake_complains_of_is_shown(micro):
    run = micro.isthmus("run", "micro.yaml", "--cores", "none-at-all")
    assert run.returncode not in (0, 70)
    assert "Error parsing number of cores" in run.stderr
