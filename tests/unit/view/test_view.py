"""The view of a run: what it reads from receipts and logs, what it promises, what it draws. No Snakemake here."""

import io
import json
import os
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from isthmus.jobs import STAGES, Job, Unit
from isthmus.plan import Plan
from isthmus.store import Store
from isthmus.view import forecast, screen, watch
from isthmus.view.forecast import Pace, Running
from isthmus.view.screen import View, about, fit, is_ordinary, joined
from isthmus.view.watch import Messages, Watch, log_of, titles
from tests.conftest import MICRO, REPOSITORY

TITLES = titles(REPOSITORY / "workflow" / "rules")


def job(rule: str, stage: str, place: str, *makers: Job, publishes: tuple[str, ...] = ()) -> Job:
    made = Job(rule, place, (Unit(stage, place, {"place": place}),), makers, publishes=publishes)
    made.__dict__["key"] = f"{abs(hash((rule, place))):016x}"[:16]  # the key of real code is slow to find
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class World:
    """A run that only exists on disk: the test plays Snakemake and the jobs."""

    root: Path
    jobs: list[Job]
    earlier: dict[str, float] = field(default_factory=dict)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.results = self.root / "results"
        self.messages = self.root / "messages.log"
        self.messages.write_text("Provided cores: 2\n")
        store = Store(self.root / "store")
        clock = lambda: self.now  # noqa: E731
        self.watch = Watch(
            self.jobs, self.results, store, Pace(dict(self.earlier)), Messages(self.messages), clock
        )
        self.stream = Terminal()
        self.view = View(self.watch, TITLES, "small", self.stream, clock)

    def log(self, made: Job, text: str = "") -> None:
        path = log_of(made, self.results)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)

    def finish(self, made: Job, seconds: float = 0.0) -> None:
        path = made.receipt(self.results)
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = self.root / "store" / made.stage / made.key
        folder.mkdir(parents=True, exist_ok=True)
        cost = {"started": self.now - seconds, "seconds": seconds}
        (folder / "manifest.json").write_text(json.dumps({"key": made.key, "cost": cost}))
        entry = {"stage": made.stage, "digest": made.key, "content": "", "status": "ok"}
        path.write_text(json.dumps({"units": {made.key: entry}}))

    def say(self, *lines: str) -> None:
        with self.messages.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


FETCHES = [job("fetch_dataset", "fetch", f"data/d{n}") for n in range(4)]
TRAIN = job("train_target", "train", "target/tiny/plain/words/s1", *FETCHES)
SCORES = [job("score_languages", "score", f"scores/tiny/plain/words/s1/l{n}", TRAIN) for n in range(3)]
REPORT = job("report", "report", "report", *SCORES, publishes=("report.html",))
JOBS = [*FETCHES, TRAIN, *SCORES, REPORT]


@pytest.fixture
def world(tmp_path, monkeypatch) -> World:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return World(tmp_path, JOBS)


# What runs ----------------------------------------------------------------------------------------------------------


def test_a_job_runs_when_its_log_is_written_and_is_done_when_its_receipt_is(world):
    world.watch.look()
    assert not world.watch.running and not world.watch.done
    world.log(FETCHES[0])
    world.watch.look()
    world.now += 7
    assert [run.elapsed for run in world.watch.running.values()] == [7]
    world.finish(FETCHES[0])
    world.watch.look()
    assert not world.watch.running
    assert world.watch.done == {FETCHES[0].key}
    assert world.watch.counts()["fetch"] == (1, 4)


def test_receipts_and_logs_of_an_earlier_run_count_for_nothing(tmp_path):
    before = World(tmp_path, JOBS)
    for made in JOBS:
        before.log(made, "step 00010/00020 (50%) | eta 5s\n")
        before.finish(made)
    world = World(tmp_path, JOBS)
    world.watch.look()
    assert not world.watch.done and not world.watch.running
    FETCHES[0].receipt(world.results).unlink()  # the plan drops it …
    world.watch.look()
    assert not world.watch.done
    world.finish(FETCHES[0])  # … and the job writes it again
    world.watch.look()
    assert world.watch.done == {FETCHES[0].key}


def test_a_whole_chain_that_ended_between_two_looks_is_seen_at_once(world):
    for made in JOBS:
        world.finish(made)
    world.watch.look()
    assert world.watch.done == {made.key for made in JOBS}


def test_a_training_tells_its_steps_and_its_time_left(world):
    for made in FETCHES:
        world.finish(made)
    world.log(
        TRAIN, "step 00001/00400 (0.2%) | loss 1 | grad 1\nstep 00210/00400 (52%) | loss 1 | eta 1m12s\n"
    )
    world.watch.look()
    world.now += 10
    (run,) = world.watch.running.values()
    assert (run.step, run.steps, run.left) == (210, 400, 62)
    assert screen.progress(run) == "step 210/400  eta 1m02s"
    world.now += 1000
    assert next(iter(world.watch.running.values())).left == 0


# Failures -----------------------------------------------------------------------------------------------------------


def error(world: World, made: Job, number: int = 5) -> None:
    log = log_of(made, world.results)
    world.say(f"Error in rule {made.rule}:", f"    jobid: {number}")
    world.say(f"    log: {log} (check log file(s) for error details)")


def test_a_failed_job_is_named_once_with_its_log(world):
    world.log(FETCHES[1], "the disk is full\n")
    world.view.show()
    error(world, FETCHES[1])
    world.view.show()
    assert "FAILED" not in world.stream.getvalue()  # it may be tried again
    for _ in range(4):
        world.now += 3
        world.view.show()
    shown = world.stream.getvalue()
    assert shown.count("FAILED: Fetching d1; its log: ") == 1
    assert str(log_of(FETCHES[1], world.results)) in shown
    assert not world.watch.running
    assert "1 failed" in world.view.lines(100)[0]


def test_a_job_that_is_tried_again_has_not_failed(world):
    world.log(FETCHES[1])
    world.view.show()
    error(world, FETCHES[1])
    world.watch.look()
    world.say("Trying to restart job 5.")
    world.watch.look()
    world.now += 60
    assert not world.watch.look() and not world.watch.failed
    world.log(FETCHES[1], "another attempt")
    world.watch.look()
    assert list(world.watch.running) == [FETCHES[1].key]


def test_jobs_that_a_signal_ends_have_not_failed(world, capsys):
    world.log(FETCHES[1])
    world.view.show()
    world.view.stop()
    error(world, FETCHES[1])
    world.view.show()
    world.view.end(1)
    world.view.explain(world.messages)
    assert not world.watch.failed
    assert "Stopped: 0 of 9 jobs ran" in world.stream.getvalue()
    assert "Run the same command again" in capsys.readouterr().err


def test_a_failed_run_ends_with_the_logs_last_lines(world, capsys):
    world.log(FETCHES[1], "\n".join(f"line {n}" for n in range(100)))
    world.view.show()
    error(world, FETCHES[1])
    world.view.end(1)
    world.view.explain(world.messages)
    text = capsys.readouterr().err
    assert "line 99" in text and "line 10\n" not in text
    assert str(log_of(FETCHES[1], world.results)) in text and str(world.messages) in text


def test_a_list_of_problems_is_shown_whole(world, capsys):
    problems = [f"xnli/l{n} test: row 3 has no text_a" for n in range(60)]
    world.log(FETCHES[1], "note: this\nisthmus: an earlier one\nisthmus: " + "\n".join(problems) + "\n")
    world.view.show()
    error(world, FETCHES[1])
    world.view.end(1)
    world.view.explain(world.messages)
    text = capsys.readouterr().err
    assert all(problem in text for problem in problems)
    assert "earlier" not in text and "note: this" not in text
    assert watch.error_of(log_of(FETCHES[1], world.results)) == problems


def test_a_training_waits_for_the_checks(tmp_path):
    check = job("preflight", "check", "preflight", *FETCHES)
    train = replace(TRAIN, after=(check,))
    train.__dict__["key"] = TRAIN.key
    world = World(tmp_path, [*FETCHES, check, train])
    world.log(train)
    for made in FETCHES:
        world.finish(made)
    world.watch.look()
    assert not world.watch.running
    world.finish(check)
    world.watch.look()
    assert list(world.watch.running) == [train.key]


# The time left ------------------------------------------------------------------------------------------------------


def test_every_stage_has_a_default():
    assert forecast.DEFAULT_SECONDS.keys() == STAGES.keys()


def test_nothing_is_promised_without_a_measurement(world):
    world.watch.look()
    assert world.watch.forecast().left is None
    assert "left" not in world.view.lines(100)[0]


def test_a_steady_run_counts_down_and_never_below_nothing(tmp_path):
    world = World(tmp_path, JOBS, {"fetch": 10.0, "train": 100.0, "score": 4.0, "report": 2.0})
    lefts, shares = [], []

    def tick(seconds: float) -> None:
        for _ in range(int(seconds)):
            world.now += 1
            world.watch.look()
            found = world.watch.forecast()
            lefts.append(found.left)
            shares.append(found.share)

    for pair in (FETCHES[:2], FETCHES[2:]):
        for made in pair:
            world.log(made)
        tick(10)
        for made in pair:
            world.finish(made, 9.5)
    world.log(TRAIN)
    tick(100)
    world.finish(TRAIN, 99.5)
    for made in SCORES:
        world.log(made)
    tick(6)
    for made in SCORES:
        world.finish(made, 3.5)
    world.log(REPORT)
    tick(2)
    world.finish(REPORT, 1.5)
    tick(1)
    assert lefts.pop() is None and shares[-1] == 1
    # Two cores, 40 s of fetching, then a chain of 100 s, three scores at a time, the report.
    assert 115 < lefts[0] < 130
    assert all(left >= 0 for left in lefts)
    assert all(later <= earlier + 5 for earlier, later in pairwise(lefts))
    assert all(later >= earlier for earlier, later in pairwise(shares))
    assert lefts[20] == pytest.approx(106, abs=5)


def test_the_longest_chain_is_the_least_time_however_many_cores(tmp_path):
    world = World(tmp_path, JOBS, {"fetch": 10.0, "train": 100.0, "score": 4.0, "report": 2.0})
    world.say("Provided cores: 64")
    world.watch.look()
    assert world.watch.cores == 64
    assert world.watch.forecast().left == pytest.approx(116)


def test_a_measured_job_outweighs_what_jobs_took_before(tmp_path):
    world = World(tmp_path, JOBS, {"fetch_dataset": 10.0, "train": 100.0, "score": 4.0, "report": 2.0})
    for made in FETCHES[:3]:
        world.finish(made, 49.5)
    world.watch.look()
    pace = Pace({"fetch_dataset": 10.0, "fetch": 7000.0})
    for made in FETCHES[:3]:
        pace.note(made, 50.0)
    assert pace.expected(FETCHES[3]) == 40
    assert world.watch.forecast().left == pytest.approx(40 + 100 + 4 + 2)


def test_a_slow_training_corrects_the_forecast_while_it_runs():
    pace = Pace({"train_target": 10.0})
    run = Running(TRAIN, 50.0, step=25, steps=100)
    others = [job("train_target", "train", f"target/tiny/plain/words/s{n}") for n in range(2, 4)]
    found = forecast.forecast([TRAIN, *others], (), {TRAIN.key: run}, pace, 1, False)
    assert found.left == pytest.approx(150 + 2 * (10 + 200) / 2)
    assert Running(TRAIN, 50.0).rest(10.0) == 5.0


def test_jobs_that_cannot_run_any_more_take_no_time():
    pace = Pace({"fetch": 10.0, "train": 100.0, "score": 4.0, "report": 2.0})
    found = forecast.forecast(JOBS, (), {}, pace, 2, False, {FETCHES[0].key})
    assert found.left == 15


def test_costs_are_read_from_the_store(tmp_path):
    world = World(tmp_path, JOBS)
    world.finish(TRAIN, 30)
    unit = TRAIN.units[0]
    unit.__dict__["key"] = TRAIN.key
    found = forecast.earlier(world.watch._store, JOBS[4:5], JOBS[4:5])
    assert found == {"train": 30.5, "train_target": 30.5}
    (tmp_path / "store" / "train" / TRAIN.key / "manifest.json").write_text("{")
    assert forecast.earlier(world.watch._store, JOBS[4:5], JOBS[4:5]) == {}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a few seconds"),
        (42, "about 40 s"),
        (94, "about 90 s"),
        (170, "about 3 min"),
        (3599, "about 1 h"),
        (7700, "about 2 h 10 min"),
        (100_000, "about 1 d 4 h"),
    ],
)
def test_times_are_no_more_precise_than_they_are(seconds, words):
    assert about(seconds) == words


# The look -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 7, 20, 40, 80, 200])
def test_no_line_is_longer_than_the_terminal(world, width):
    for made in FETCHES:
        world.finish(made, 3)
    world.log(TRAIN, "step 00210/00400 (52%) | loss 1 | eta 1m12s\n")
    world.watch.look()
    world.view.stop()
    lines = world.view.lines(width)
    assert lines and max(map(len, lines)) <= width


def test_a_view_is_never_higher_than_the_terminal(tmp_path):
    world = World(tmp_path, [job("fetch_dataset", "fetch", f"data/d{n}") for n in range(50)])
    for made in world.jobs:
        world.log(made)
    world.watch.look()
    assert len(world.view.lines(100, 9)) < 9
    assert any("and 42 more" in line for line in world.view.lines(100, 40))


def test_the_view_says_what_runs_and_how_far_it_is(world):
    for made in FETCHES:
        world.finish(made, 3)
    world.log(TRAIN, "step 00210/00400 (52%) | loss 1 | eta 1m12s\n")
    world.view.show()
    head, stages, run = world.view.lines(100)
    assert re.match(r"small  ━+─+  \d+ %  4 of 9 jobs  about \d+ s left  elapsed 0s$", head)
    assert stages == "  fetch 4/4 · train 0/1 · score 0/3 · report 0/1"
    assert run == "  Fine-tuning tiny on words after plain (seed 1)  step 210/400  eta 1m12s"
    world.view.end(0)
    assert world.stream.getvalue().endswith("\x1b[JDone: 4 of 9 jobs ran, in 0s.\n")


def test_a_log_file_gets_few_plain_lines(world, monkeypatch):
    plain = io.StringIO()
    world.view = View(world.watch, TITLES, "small", plain, lambda: world.now)
    for _ in range(60):
        world.now += 1
        world.view.show()
    assert len(plain.getvalue().splitlines()) == 6
    assert "\x1b" not in plain.getvalue()
    world.log(FETCHES[0])
    world.now += 1
    world.view.show()
    assert len(plain.getvalue().splitlines()) == 7
    assert "Fetching d0" in plain.getvalue()


def test_a_reader_who_leaves_does_not_end_the_run(world):
    world.stream.close()
    world.view.show()
    world.view.end(0)


def test_every_job_has_a_title_in_its_rules_words_and_the_rules_log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "micro.yaml").write_text(MICRO)
    plan = Plan.of(Path("micro.yaml"))
    found = {made.rule: TITLES(made) for made in plan.jobs}
    rules = "\n".join(path.read_text() for path in (REPOSITORY / "workflow" / "rules").glob("*.smk"))
    assert found["train_target"].startswith("Fine-tuning tiny on ")
    assert all("?" not in title and "{" not in title for title in found.values())
    assert not [rule for rule, title in found.items() if title.startswith(rule)]
    for made in plan.jobs:
        path = log_of(made, plan.results).as_posix().removeprefix("results/micro/logs/")
        stem = re.sub(r"-[0-9a-f]{16}$", "", path.split("/")[0].removesuffix(".log"))
        assert f"logs/{stem}" in rules, path
    unknown = job("fly", "fetch", "sky/high")
    assert TITLES(unknown) == "fly sky/high"


def test_text_is_fitted():
    assert fit("a long title", "7s", 12) == "a long …  7s"
    assert fit("title", "", 3) == "ti…"
    assert joined(["ab", "cd", "ef"], " · ", 7) == ["ab · cd", "ef"]


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--cores 8",
        "-c8 -k",
        "--cores=all --keep-going",
        "-j 4 --resources gpu=1 hub=2 --nolock",
        "--workflow-profile profiles/slurm --slurm-logdir x",
    ],
)
def test_an_ordinary_run_is_viewed(arguments):
    assert is_ordinary(arguments.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "-n",
        "-np",
        "--dry-run",
        "--help",
        "-h",
        "--unlock",
        "--lint",
        "--dag",
        "--summary",
        "--verbose",
        "--quiet",
        "--version",
        "--cores 2 --until train_target",
        "--cores 2 results/a.json",
        "--nolock results/a.json",
        "--list-rules",
        "--no-such-option",
    ],
)
def test_anything_else_has_the_terminal_to_itself(arguments):
    assert not is_ordinary(arguments.split())


def test_a_look_at_many_jobs_is_cheap(tmp_path):
    world = World(tmp_path, [job("fetch_dataset", "fetch", f"data/d{n}") for n in range(400)])
    before = os.times()
    for _ in range(5):
        world.view.show()
    after = os.times()
    assert (after.user + after.system - before.user - before.system) / 5 < 0.05


def test_messages_are_read_by_whole_lines(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    messages = watch.Messages(path)
    assert messages.read() == ["one"]
    path.write_bytes(b"one\ntwo\n\xff\n")
    assert messages.read() == ["two", "�"]
