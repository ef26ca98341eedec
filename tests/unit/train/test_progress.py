import re

import pytest

from isthmus.clock import Clock
from isthmus.train import progress
from isthmus.train.progress import Progress, duration


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, as the first item."""
    time = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: time[0])
    return time


def test_the_line_is_the_one_promised(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(1200, 0)
    for step in range(1, 101):
        now[0] += 0.1
        bar.note(step, 3.2121, 9.1e-4, 0.8, 2510)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2  # the first step, and one after five seconds
    pattern = r"step 0005[12]/01200 \(4\.[23]%\) \| loss 3\.21 \| lr 9\.1e-4 \| grad 0\.8 \| 25\.1k tok/s \| eta 1m55s"
    assert re.fullmatch(pattern, lines[1])


def test_the_last_step_is_always_told(now: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress(30, 20)  # resumed
    for step in range(21, 31):
        now[0] += 0.1
        bar.note(step, 12.0, 1e-3, 1.0, 100)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 00021/00030 (70.0%) | loss 12.0") and lines[-1].startswith("step 00030")


def test_seconds_are_counted_by_purpose_even_when_a_block_fails(now: list[float]) -> None:
    clock = Clock({"data": 1.0})
    with clock("data"):
        now[0] += 2.0
    with pytest.raises(RuntimeError), clock("compute"):
        now[0] += 3.0
        raise RuntimeError
    assert clock.seconds == {"data": 3.0, "compute": 3.0}


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0s"), (42, "42s"), (100, "1m40s"), (4000, "1h06m")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
