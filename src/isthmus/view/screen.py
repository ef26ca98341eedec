"""`isthmus run` at work: Snakemake in a process of its own, its messages in a file, and a few calm lines for a person."""

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TextIO

from isthmus.jobs import Job
from isthmus.plan import Plan
from isthmus.train.progress import duration
from isthmus.view.forecast import Forecast, Pace, Running, earlier
from isthmus.view.watch import Messages, Watch, error_of, tail, titles

LOOK_SECONDS = 1.0
LEAST_IDLE = (
    150  # a look that took t seconds is followed by a rest of 150 t: under 1 % of a core for any study
)
PLAIN_SECONDS = 10.0
BAR_CELLS = 24
LEAST_CELLS = 4
FACTS_CELLS = 54  # kept free beside the bar, so that it does not change its length
MOST_RUNNING = 8
MOST_FAILED = 5
GAP = "  "

# Options of an ordinary run, and whether values follow them. With any other word Snakemake has the terminal to
# itself: it may be asked to show something, or to run only a part.
ONE, MANY, NONE = "one", "many", "none"
ORDINARY = {
    **dict.fromkeys(
        ("--cores", "-c", "--jobs", "-j", "--local-cores", "--retries", "--restart-times", "-T"), ONE
    ),
    **dict.fromkeys(("--profile", "--workflow-profile", "--executor", "-e", "--latency-wait", "-w"), ONE),
    **dict.fromkeys(("--max-threads", "--scheduler", "--max-jobs-per-timespan", "--jobname", "--jn"), ONE),
    **dict.fromkeys(("--max-status-checks-per-second", "--seconds-between-status-checks"), ONE),
    **dict.fromkeys(("--conda-prefix", "--conda-frontend", "--conda-base-path", "--precommand"), ONE),
    **dict.fromkeys(
        ("--apptainer-prefix", "--singularity-prefix", "--apptainer-args", "--singularity-args"), ONE
    ),
    **dict.fromkeys(
        ("--resources", "--res", "--set-threads", "--set-resources", "--default-resources"), MANY
    ),
    **dict.fromkeys(("--default-res", "--set-resource-scopes", "--groups", "--group-components"), MANY),
    **dict.fromkeys(("--software-deployment-method", "--deployment-method", "--deployment", "--sdm"), MANY),
    **dict.fromkeys(("--rerun-triggers", "--envvars"), MANY),
    **dict.fromkeys(
        ("--keep-going", "-k", "--rerun-incomplete", "--ri", "--nolock", "--show-failed-logs"), NONE
    ),
    **dict.fromkeys(("--printshellcmds", "-p", "--nocolor", "--use-conda", "--use-apptainer"), NONE),
    **dict.fromkeys(
        ("--use-singularity", "--use-envmodules", "--benchmark-extended", "--keep-incomplete"), NONE
    ),
}
ORDINARY_PREFIXES = ("--slurm-", "--cluster-", "--scheduler-greedy-")


def is_ordinary(arguments: Sequence[str]) -> bool:
    """Whether Snakemake is asked to run the whole study, so that a view of the run can stand for its messages."""
    values = NONE
    for argument in arguments:
        if not argument.startswith("-"):
            if values == NONE:
                return False  # a target
            values = NONE if values == ONE else values
            continue
        name, equals, _ = argument.partition("=")
        if name[:2] in ("-c", "-j", "-T", "-w") and name[2:].isdigit():
            name, equals = name[:2], "="
        if name not in ORDINARY and not name.startswith(ORDINARY_PREFIXES):
            return False
        values = NONE if equals else ORDINARY.get(name, ONE)
    return True


def run(command: Sequence[str], environment: Mapping[str, str], plan: Plan, jobs: Sequence[Job]) -> int:
    """Run Snakemake on the jobs that wait and show how it goes; give the exit code.

    It is Snakemake's own, except that a run that a signal ended has the code that shells expect of it.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = plan.results / "logs" / f"snakemake-{stamp}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    pace = Pace(earlier(plan.store, plan.jobs, jobs))
    watch = Watch(jobs, plan.results, plan.store, pace, Messages(path))
    rules = Path(command[command.index("--snakefile") + 1]).parent / "workflow" / "rules"
    view = View(watch, titles(rules), plan.study.name, sys.stdout)
    if jobs:
        view.say(f"{plan.study.name}: {len(jobs)} of {len(plan.jobs)} jobs to run.")
        view.say(f"Snakemake's messages: {path}")
    else:
        view.say("Nothing to do: everything is in the store.")
    with path.open("ab") as log, _passing_signals(view) as signals:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        signals.process = process
        if signals.number:  # it came while the process was made
            process.send_signal(signals.number)
        _attend(process, view if jobs else None)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode
    if jobs:
        view.end(code)
    if code:
        view.explain(path)
    elif not jobs:
        path.unlink()
    return 128 + signals.number if code and signals.number else code


def _attend(process: "subprocess.Popen[bytes]", view: "View | None") -> None:
    """Wait for Snakemake, looking from time to time."""
    pause = LOOK_SECONDS
    while True:
        try:
            process.wait(pause if view else None)
            return
        except subprocess.TimeoutExpired:
            pass
        if view:
            started = time.process_time()
            view.show()
            pause = max(LOOK_SECONDS, LEAST_IDLE * (time.process_time() - started))


@dataclass
class _Signals:
    """The signal that asked for an end, if any, and the process to tell of it."""

    process: "subprocess.Popen[bytes] | None" = None
    number: int = 0


@contextlib.contextmanager
def _passing_signals(view: "View") -> Iterator[_Signals]:
    """Take SIGINT and SIGTERM meanwhile, and wait for Snakemake all the same: it ends its jobs first.

    A terminal sends Ctrl-C to Snakemake and its jobs as well, which must not get it twice: their second signal means
    `at once`. What is sent to this process alone is passed on.
    """
    signals = _Signals()

    def note(number: int, _: FrameType | None) -> None:
        signals.number = signals.number or number
        view.stop()
        if signals.process is not None and not (number == signal.SIGINT and _in_foreground()):
            signals.process.send_signal(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether this process and its children are what the terminal sends Ctrl-C to."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


@dataclass
class View:
    """What a person sees of a run: lines redrawn in place on a terminal, else a line now and then."""

    watch: Watch
    title: Callable[[Job], str]
    study: str
    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    note: str = ""
    live: bool = field(init=False)
    _started: float = field(init=False)
    _said: float = field(init=False)
    _stages: tuple[object, ...] = ()
    _drawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.live = self.stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._started = self._said = self.clock()

    def show(self) -> None:
        """Look, and show what changed."""
        for job in self.watch.look():
            self.say(f"FAILED: {self.title(job)}; its log: {self.watch.logs[job.key]}")
        if self.live:
            size = shutil.get_terminal_size()
            self._draw(self.lines(size.columns, size.lines))
            return
        stages = self._changing()
        if stages != self._stages or self.clock() - self._said >= PLAIN_SECONDS:
            self._stages, self._said = stages, self.clock()
            self._write(self.plain() + "\n")

    def stop(self) -> None:
        """Say from here on that an end was asked for. Jobs that end now without a result did not fail."""
        self.note = "stopping: the running jobs end or save their state first"
        self.watch.stopping = True

    def end(self, code: int) -> None:
        """Look a last time and put one line in the view's place."""
        self.watch.look()
        done, total = len(self.watch.done), len(self.watch.jobs)
        how = "Done" if not code else "Stopped" if self.note else "Failed"
        failed = f", {len(self.watch.failed)} failed" if self.watch.failed else ""
        self.say(f"{how}: {done} of {total} jobs ran{failed}, in {duration(self.clock() - self._started)}.")
        self._drawn = []

    def say(self, sentence: str) -> None:
        """A line that stays, above the view."""
        self._draw([])
        self._write(f"{sentence}\n")

    def explain(self, messages: Path) -> None:
        """Why the run failed, as far as its logs tell, on standard error."""
        if self.note and not self.watch.failed:
            print("Run the same command again to go on.", file=sys.stderr)
            return
        failed = list(self.watch.failed.values())
        for job in failed[:MOST_FAILED]:
            path = self.watch.logs[job.key]
            print(f"\nFailed: {self.title(job)}\n{path} ends with:", file=sys.stderr)
            print(_last_words(path), file=sys.stderr)
        if len(failed) > MOST_FAILED:
            print(f"\nand {len(failed) - MOST_FAILED} more jobs failed.", file=sys.stderr)
        if any("source" in unit.spec for job in failed for unit in job.units):
            print("\n`isthmus check` with the study lists all that is wrong with its data.", file=sys.stderr)
        print(f"\nSnakemake's messages ({messages}) end with:", file=sys.stderr)
        print(_last_lines(messages, 4 if failed else 20), file=sys.stderr)

    # Lines -----------------------------------------------------------------------------------------------------

    def lines(self, width: int, height: int = 24) -> list[str]:
        """The view, at most `width` columns wide and `height` lines high."""
        ahead = self.watch.forecast()
        facts = GAP.join(self._facts(ahead))
        cells = min(BAR_CELLS, width - len(self.study) - max(FACTS_CELLS, len(facts)) - 2 * len(GAP))
        filled = round(cells * ahead.share)
        bar = f"{'━' * filled}{'─' * (cells - filled)}{GAP}" if cells >= LEAST_CELLS else ""
        found = [fit(f"{self.study}{GAP}{bar}{facts}", "", width)]
        found += [fit(GAP + line, "", width) for line in joined(self._counts(), " · ", width - len(GAP))]
        running = list(self.watch.running.values())
        most = max(1, min(MOST_RUNNING, height - len(found) - 4))
        found += [fit(GAP + self.title(run.job), progress(run), width) for run in running[:most]]
        if len(running) > most:
            found.append(fit(f"{GAP}and {len(running) - most} more", "", width))
        if not running:
            found.append(fit(GAP + "waiting for a job to start", "", width))
        if self.note:
            found.append(fit(GAP + self.note, "", width))
        return found

    def plain(self) -> str:
        """The view as one line for a log."""
        parts = [*self._facts(self.watch.forecast()), *([self.note] if self.note else [])]
        running = [f"{self.title(run.job)} {progress(run)}" for run in self.watch.running.values()]
        more = [f"{len(running) - 2} more"] if len(running) > 2 else []
        return " | ".join([*parts, " · ".join(self._counts()), *running[:2], *more])

    def _facts(self, ahead: Forecast) -> list[str]:
        done, total = len(self.watch.done), len(self.watch.jobs)
        facts = [f"{math.floor(100 * ahead.share)} %", f"{done} of {total} jobs"]
        if self.watch.told:
            facts.append(f"{len(self.watch.told)} failed")
        facts += [f"{about(ahead.left)} left"] if ahead.left is not None else []
        return [*facts, f"elapsed {duration(self.clock() - self._started)}"]

    def _counts(self) -> list[str]:
        return [f"{stage} {done}/{total}" for stage, (done, total) in self.watch.counts().items()]

    def _changing(self) -> tuple[object, ...]:
        """What a new line is due for: a stage that began or ended, a note."""
        counts = self.watch.counts()
        over = tuple(stage for stage, (done, total) in counts.items() if done == total)
        begun = {run.job.stage for run in self.watch.running.values()}
        begun |= {stage for stage, (done, _) in counts.items() if done}
        return over, tuple(sorted(begun)), self.note

    # The terminal ------------------------------------------------------------------------------------------------

    def _draw(self, lines: list[str]) -> None:
        """Put lines in the place of those drawn before."""
        if not self.live or not (lines or self._drawn):
            return
        width = max(1, shutil.get_terminal_size().columns)
        # A terminal that was made narrower has broken the old lines.
        height = sum(max(1, math.ceil(len(line) / width)) for line in self._drawn)
        up = f"\x1b[{height}A" if height else ""
        self._write(f"\r{up}\x1b[J" + "".join(f"{line}\n" for line in lines))
        self._drawn = lines

    def _write(self, text: str) -> None:
        # Nobody reads any more: the run goes on.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()


def progress(run: Running) -> str:
    """How far a job is: `step 210/400  eta 12s`, else how long it has run."""
    if not run.steps:
        return duration(run.elapsed)
    left = f"{GAP}eta {duration(run.left)}" if run.left is not None and run.step < run.steps else ""
    return f"step {run.step}/{run.steps}{left}"


def about(seconds: float) -> str:
    """A time without more precision than it has: `a few seconds`, `about 40 s`, `about 3 min`, `about 2 h 10 min`."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 95:
        return f"about {max(10, 10 * round(seconds / 10))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 24 * 60:
        hours, rest = divmod(10 * round(minutes / 10), 60)
        return f"about {hours} h {rest} min" if rest else f"about {hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"about {days} d {hours} h" if hours else f"about {days} d"


def fit(left: str, right: str, width: int) -> str:
    """Text on the left and on the right in at most `width` columns; the left is cut, and the right if it must."""
    right = right[:width]
    room = width - (len(right) + len(GAP) if right else 0)
    if room < 1:
        return right
    if len(left) > room:
        left = f"{left[: room - 1]}…"
    return f"{left}{' ' * min(len(GAP), width)}{right}" if right else left


def joined(words: Sequence[str], between: str, width: int) -> list[str]:
    """Words in as few lines of at most `width` columns as they need, in their order."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(between) + len(word) <= width:
            lines[-1] += between + word
        else:
            lines.append(word)
    return lines


def _last_words(path: Path) -> str:
    """The error that a job's log ends with, all of it: it may be a list. Else its last lines."""
    return "\n".join(f"  {line}" for line in error_of(path)) or _last_lines(path, 8)


def _last_lines(path: Path, count: int) -> str:
    lines = tail(path, 16 * 1024).decode("utf-8", "replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-count:]) or "  (nothing)"
