"""The command line. Rules call `isthmus stage`; people call the rest. Nothing heavy is imported before it is needed."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from isthmus.errors import IsthmusError, UsageError
from isthmus.stop import Stop

REPOSITORY = Path(__file__).parents[2]
HUB_COMMANDS = {
    "fetch": "download all that a study reads from the Hugging Face hub, and pin it",
    "pin": "write the commits, sizes and hashes of what a study reads into hub.lock beside it",
    "bundle": "write a study's downloads to one file, for a cluster without a network",
    "unbundle": "bring the downloads of such a file into this machine's cache",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit code. Errors that a user can cause are one paragraph on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except IsthmusError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        print("isthmus: this is a bug; the lines above tell where.", file=sys.stderr)
        return IsthmusError.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="isthmus", description="English intermediate-task training for zero-shot cross-lingual transfer."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a study through Snakemake", allow_abbrev=False)
    run.add_argument("study", type=Path, metavar="STUDY")
    run.add_argument(
        "snakemake", nargs=argparse.REMAINDER, help="arguments for Snakemake, such as --cores 8 or -n"
    )
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="list what would run")
    plan.add_argument("study", type=Path, metavar="STUDY")
    plan.set_defaults(command=_plan)

    check = commands.add_parser("check", help="fetch what a study reads and list all that is wrong with it")
    check.add_argument("study", type=Path, metavar="STUDY")
    check.set_defaults(command=_check)

    answer = commands.add_parser("answer", help="print a study's table of scores and gains")
    answer.add_argument("study", type=Path, metavar="STUDY")
    answer.set_defaults(command=_answer)

    _add_score(commands)
    _add_export(commands)

    for name, text in HUB_COMMANDS.items():
        hub = commands.add_parser(name, help=text)
        hub.add_argument("study", type=Path, metavar="STUDY")
        if name == "pin":
            hub.add_argument("--update", action="store_true", help="take the newest commits")
        if name in ("bundle", "unbundle"):
            hub.add_argument("file", type=Path, metavar="FILE")
        hub.set_defaults(command=_hub, action=name)

    stage = commands.add_parser("stage", help="run one job (called by the rules)")
    stage.add_argument("name")
    stage.add_argument(
        "--job", type=Path, required=True, help="the job's document below results/<study>/jobs"
    )
    stage.add_argument("--receipt", type=Path, required=True, help="where to write the receipt")
    stage.set_defaults(command=_stage)
    return parser


def _add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    score = commands.add_parser("score", help="score a prediction file in XTREME's format as its scorers do")
    score.add_argument("--task", required=True)
    score.add_argument("--language", required=True)
    score.add_argument("--predictions", type=Path, required=True, metavar="FILE")
    gold = score.add_mutually_exclusive_group(required=True)
    gold.add_argument("--gold", type=Path, metavar="FILE", help="the right answers in XTREME's format")
    gold.add_argument(
        "--hub", metavar="FOLDER", help="take them from a folder in the hub's layout (or babel)"
    )
    score.add_argument("--split", help="which split of the hub (default: test)")
    score.set_defaults(command=_score)


def _add_export(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = commands.add_parser("export", help="write the predictions of a study as a submission folder")
    export.add_argument("benchmark", choices=("xtreme", "xtreme-r"))
    export.add_argument("study", type=Path, metavar="STUDY")
    export.add_argument("folder", type=Path, metavar="DIR")
    for name in ("encoder", "arm", "seed"):
        export.add_argument(f"--{name}", help="which one, where the study has several")
    export.set_defaults(command=_export)


def _run(options: argparse.Namespace) -> int:
    from isthmus.plan import Plan
    from isthmus.view import screen

    # Says what is wrong before Snakemake reads the file in its own, unbounded way.
    plan = Plan.of(options.study)
    snakefile = REPOSITORY / "Snakefile"
    if not snakefile.is_file():
        raise UsageError(
            f"There is no Snakefile in {REPOSITORY}. `isthmus run` needs the repository: clone it and run `make` there."
        )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)]
    command += ["--configfile", str(options.study), *options.snakemake]
    environment = {**os.environ, "ISTHMUS_RUN": "1"}
    if screen.is_ordinary(options.snakemake):
        code = screen.run(command, environment, plan, plan.resolve(write=False))
    else:
        code = subprocess.run(command, env=environment, check=False).returncode
    if code == 0 and not plan.resolve(write=False):
        _show(plan.results)
    return code


def _plan(options: argparse.Namespace) -> int:
    from isthmus.plan import Plan

    plan = Plan.of(options.study)
    waiting = plan.resolve(write=False)
    for job in waiting:
        print(f"{job.rule:<20} {plan.receipt(job)}")
    print(f"{len(waiting)} of {len(plan.jobs)} jobs would run; the rest is in the store {plan.store.root}.")
    return 0


def _check(options: argparse.Namespace) -> int:
    from isthmus.check.command import check, table

    for line in table(check(options.study)):
        print(line)
    return 0


def _answer(options: argparse.Namespace) -> int:
    from isthmus.plan import Plan, results_of
    from isthmus.study.load import load_study

    results = results_of(load_study(options.study))
    if not (results / "scores.parquet").is_file():
        raise UsageError(f"{results} has no scores yet: run the study first (isthmus run {options.study}).")
    _show(results)
    try:
        plan = Plan.of(options.study)
        waiting = plan.resolve(write=False)
    except IsthmusError as error:
        print(f"\nWhether these are the tables of the study as it stands could not be told: {error}")
        return 0
    if waiting:
        print(
            f"\nTHESE ARE OLDER TABLES: {len(waiting)} of the study's {len(plan.jobs)} jobs have not run as it stands now."
        )
    return 0


def _show(results: Path) -> None:
    from isthmus.publish.terminal import table

    print(table(results))
    print(f"\nReport: {results / 'report.html'}")


def _score(options: argparse.Namespace) -> int:
    _one_thread()
    from isthmus.evaluate import official

    if options.gold is not None and options.split is not None:
        raise UsageError(
            "--split chooses a split of --hub; a file given with --gold has none. Drop one of them."
        )
    with _without_pandas():
        found = official.score(
            options.task,
            options.language,
            options.predictions,
            options.gold,
            options.hub or "",
            options.split or "test",
        )
    if found.note:
        print(f"isthmus: {found.note}", file=sys.stderr)
    print(json.dumps(found.report))
    return 0


def _export(options: argparse.Namespace) -> int:
    _one_thread()
    from isthmus.plan import Plan
    from isthmus.publish.export import RUN, export

    asked = {name: getattr(options, name) for name in RUN}
    for line in export(options.benchmark, Plan.of(options.study), options.folder, asked):
        print(line)
    print(f"Submission folder: {options.folder}")
    return 0


def _hub(options: argparse.Namespace) -> int:
    from isthmus.hubs import commands

    given = {name: value for name, value in vars(options).items() if name not in ("command", "action")}
    getattr(commands, options.action)(**given)
    return 0


def _stage(options: argparse.Namespace) -> int:
    stop = Stop()
    stop.during(lambda: _run_stage(options, stop))
    return 0


def _run_stage(options: argparse.Namespace, stop: Stop) -> None:
    _one_thread()
    from isthmus.jobs import STAGES
    from isthmus.runner import run_job

    if options.name not in STAGES:
        raise UsageError(f"There is no stage {options.name!r}. The stages are {', '.join(STAGES)}.")
    run_job(options.job, options.receipt, stop)


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Arrow looks for pandas when it is handed a list, and importing it takes longer than all the rest of a score."""

    class Hidden:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "pandas":
                raise ModuleNotFoundError(name)

    sys.meta_path.insert(0, Hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(Hidden)


def _one_thread() -> None:
    """numpy's linear algebra takes every core unless told before it is loaded; a job has one, and torch is told its own."""
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ[f"{library}_NUM_THREADS"] = "1"


if __name__ == "__main__":
    sys.exit(main())
