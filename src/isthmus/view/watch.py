"""What a run is doing, read from what it leaves: receipts, the jobs' logs and Snakemake's messages.

A job is done when its receipt was written since the run began, and runs when its log was. Only jobs whose parents
are done are looked at, so a look costs a few system calls for each of them, however large the study is.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.jobs import Job
from isthmus.store import Store
from isthmus.view.forecast import START_UP_SECONDS, Forecast, Pace, Running, forecast, seconds_of

TAIL_BYTES = 4096
ERROR, ERROR_BYTES = (
    "isthmus: ",
    1 << 20,
)  # what the command line puts before an error, which may be a long list
SETTLE_SECONDS = 5.0  # after which a failure is taken as the job's last
STEP = re.compile(rb"^step (\d+)/(\d+) .*?(?:\| eta (?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?)?\r?$", re.MULTILINE)
CORES = re.compile(r"^Provided (cores|remote nodes): (\d+|unlimited)")
JOB_ID = re.compile(r"^\s+jobid: (\S+)")
LOG_OF_FAILED = re.compile(r"^\s+log: (.+) \(check log file")
RESTART = re.compile(r"^Trying to restart job (\S+)\.$")

Signature = tuple[int, int, int] | None


class Messages:
    """A file that grows, read by whole lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = 0

    def read(self) -> list[str]:
        """The lines that were completed since the last call."""
        with self.path.open("rb") as file:
            file.seek(self._place)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return whole.decode("utf-8", "replace").splitlines()


@dataclass
class _Track:
    """A job that runs: when it was first seen, and what its log said last, and when."""

    since: float
    step: int = 0
    steps: int = 0
    left: float | None = None
    said: float = 0.0


class Watch:
    """The jobs of one run. Make it before Snakemake starts: what is there then is from earlier runs."""

    def __init__(
        self,
        jobs: Sequence[Job],
        results: Path,
        store: Store,
        pace: Pace,
        messages: Messages,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs = tuple(jobs)
        self.done: set[str] = set()
        self.failed: dict[str, Job] = {}
        self.stopping = False  # jobs that end without a result do so because they were asked to
        self.cores, self.nodes = os.cpu_count() or 1, False
        self._store, self._pace, self._messages, self._clock = store, pace, messages, clock
        self._tracks: dict[str, _Track] = {}
        self.told: set[str] = set()
        self._failed: dict[str, float] = {}
        self._share = 0.0
        self.receipts = {job.key: job.receipt(results) for job in self.jobs}
        self.logs = {job.key: log_of(job, results) for job in self.jobs}
        self._by_log = {self.logs[job.key].as_posix(): job for job in self.jobs}
        self._paths = {key: (self.receipts[key], self.logs[key]) for key in self.receipts}
        self._before = {key: [_signature(path) for path in paths] for key, paths in self._paths.items()}
        self._ids: dict[str, list[Job]] = {}
        self._id = ""
        self._children: dict[str, list[Job]] = {}
        self._missing: dict[str, int] = {}
        for job in self.jobs:
            makers = [maker.key for maker in job.waits_for if maker.key in self.receipts]
            self._missing[job.key] = len(makers)
            for maker in makers:
                self._children.setdefault(maker, []).append(job)
        self._ready = {job.key: job for job in self.jobs if not self._missing[job.key]}

    def look(self) -> list[Job]:
        """See what changed; gives the jobs that failed for good since the last look."""
        self._read_messages()
        queue = list(self._ready.values())
        while queue:
            job = queue.pop()
            if self._changed(job, 0):
                queue += self._finish(job)
            elif self._changed(job, 1):
                self._follow(job)
        # Snakemake answers a failure with another attempt within seconds, if it does.
        late = self._clock() - SETTLE_SECONDS
        told = [job for key, job in self.failed.items() if key not in self.told and self._failed[key] <= late]
        self.told.update(job.key for job in told)
        return told

    @property
    def running(self) -> dict[str, Running]:
        """The jobs that run, longest first, by key."""
        now = self._clock()
        return {
            key: Running(
                self._ready[key],
                now - track.since,
                track.step,
                track.steps,
                None if track.left is None else max(0.0, track.left - (now - track.said)),
            )
            for key, track in self._tracks.items()
        }

    def forecast(self) -> Forecast:
        """The share done, which never shrinks, and the seconds left."""
        found = forecast(self.jobs, self.done, self.running, self._pace, self.cores, self.nodes, self.told)
        self._share = max(self._share, found.share)
        return Forecast(self._share, found.left)

    def counts(self) -> dict[str, tuple[int, int]]:
        """Jobs done and jobs of the run, by stage in the order of the plan."""
        found: dict[str, tuple[int, int]] = {}
        for job in self.jobs:
            done, total = found.get(job.stage, (0, 0))
            found[job.stage] = (done + (job.key in self.done), total + 1)
        return found

    # Receipts and logs -----------------------------------------------------------------------------------------

    def _changed(self, job: Job, which: int) -> bool:
        now = _signature(self._paths[job.key][which])
        if now is None:
            self._before[job.key][which] = None  # dropped by the plan, or by Snakemake before an attempt
            return False
        return now != self._before[job.key][which]

    def _finish(self, job: Job) -> list[Job]:
        """Note that a job is done; gives the jobs that waited for it alone."""
        seconds = seconds_of(self._store, self.receipts[job.key])
        if seconds is not None:
            self._pace.note(job, seconds + START_UP_SECONDS)
        self.done.add(job.key)
        self.failed.pop(job.key, None)
        self._tracks.pop(job.key, None)
        del self._ready[job.key]
        freed = []
        for child in self._children.get(job.key, []):
            self._missing[child.key] -= 1
            if not self._missing[child.key]:
                self._ready[child.key] = child
                freed.append(child)
        return freed

    def _follow(self, job: Job) -> None:
        track = self._tracks.get(job.key)
        if track is None:
            track = self._tracks[job.key] = _Track(self._clock())
            self.failed.pop(job.key, None)
        said = list(STEP.finditer(tail(self.logs[job.key])))
        if said and int(said[-1][1]) != track.step:
            match = said[-1]
            hours, minutes, seconds = (int(part or 0) for part in match.groups()[2:])
            track.step, track.steps, track.said = int(match[1]), int(match[2]), self._clock()
            told = any(part is not None for part in match.groups()[2:])
            track.left = hours * 3600.0 + minutes * 60 + seconds if told else None

    # Snakemake's messages ----------------------------------------------------------------------------------------

    def _read_messages(self) -> None:
        for line in self._messages.read():
            if match := CORES.match(line):
                self.cores = max(1, int(match[2])) if match[2].isdigit() else len(self.jobs)
                self.nodes = match[1] != "cores"
            elif match := JOB_ID.match(line):
                self._id = match[1]
            elif match := LOG_OF_FAILED.match(line):
                for path in match[1].split(", "):
                    self._fail(self._by_log.get(path))
            elif match := RESTART.match(line):
                for job in self._ids.pop(match[1], []):
                    self.failed.pop(job.key, None)
                    self.told.discard(job.key)

    def _fail(self, job: Job | None) -> None:
        if job is None or job.key in self.done:
            return
        self._ids.setdefault(self._id, []).append(job)
        if not self.stopping:
            self.failed[job.key] = job
            self._failed[job.key] = self._clock()
        self._tracks.pop(job.key, None)
        self._before[job.key] = [_signature(path) for path in self._paths[job.key]]


def log_of(job: Job, results: Path) -> Path:
    """Where the rules put a job's log. What is published for people has one name, whatever its key."""
    return results / "logs" / (f"{job.place}.log" if job.publishes else f"{job.place}-{job.key}.log")


def tail(path: Path, size: int = TAIL_BYTES) -> bytes:
    """The last bytes of a file; none if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read()
    except OSError:
        return b""


def error_of(log: Path) -> list[str]:
    """The message of the error that a job's log ends with, in lines; none if it ends without one."""
    lines = tail(log, ERROR_BYTES).decode("utf-8", "replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(ERROR)]
    if not starts:
        return []
    return [lines[starts[-1]].removeprefix(ERROR), *lines[starts[-1] + 1 :]]


def titles(rules: Path) -> Callable[[Job], str]:
    """What a job does, in the words of its rule's message: the rules are read for their receipts' paths and messages."""
    known: dict[str, tuple[re.Pattern[str], str]] = {}
    for path in sorted(rules.glob("*.smk")):
        parts = re.split(r"^rule (\w+):$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for rule, body in zip(parts[1::2], parts[2::2], strict=True):
            message = re.search(r'message:\s+"(.*)"', body)
            place = re.search(r'receipt="results/\{study\}/(.*)-\{key\}\.json"', body)
            if message:
                pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(place[1])) if place else ".*"
                known[rule] = (re.compile(pattern), message[1])
    return lambda job: _title(job, known)


def _title(job: Job, known: Mapping[str, tuple[re.Pattern[str], str]]) -> str:
    pattern, message = known.get(job.rule, (None, ""))
    match = pattern.fullmatch(job.place) if pattern else None
    if match is None:
        return f"{job.rule} {job.place}"
    return re.sub(r"\{wildcards\.(\w+)\}", lambda name: match.groupdict().get(name[1], "?"), message)


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
