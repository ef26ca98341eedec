"""A signal ends a job at once, wherever it is; a part with grace ends itself, but not for whoever asks twice."""

import subprocess
import sys

import pytest

from isthmus.stop import STOP_SIGNALS
from tests.conftest import environment

# Runs the lines of a test as a job, and tells its end as the command line does.
JOB = """\
import hashlib, os, signal, sys, threading, time
from isthmus import stop as module
from isthmus.errors import Interrupted, IsthmusError
from isthmus.stop import Stop
stop = Stop()
module.PATIENCE_S = {patience}
def tell(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
def work():
{lines}
try:
    stop.during(work)
except IsthmusError as error:
    print(error, file=sys.stderr)
    tell()  # once more, when it ends already
    sys.exit(error.exit_code)
tell()
print("done")
"""


def job(lines: str, patience: float = 60.0) -> subprocess.CompletedProcess:
    indented = "\n".join(f"    {line}" for line in lines.splitlines())
    source = JOB.format(lines=indented, patience=patience)
    command = [sys.executable, "-c", source]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)


def test_a_job_that_nobody_stops_ends_well_and_late_signals_change_nothing():
    run = job("print('works')")
    assert (run.returncode, run.stdout) == (0, "works\ndone\n"), run.stderr


@pytest.mark.parametrize("number", STOP_SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_the_job_at_once(number):
    run = job(f"tell({int(number)})\nprint('goes on')")
    assert (run.returncode, run.stdout) == (75, ""), run.stderr
    assert f"Stopped by {number.name}" in run.stderr and "Run the same command again" in run.stderr


def test_a_signal_ends_a_job_that_waits():
    run = job("os.spawnlp(os.P_NOWAIT, 'sh', 'sh', '-c', f'kill {os.getpid()}')\ntime.sleep(50)\nprint('on')")
    assert (run.returncode, run.stdout) == (75, ""), run.stderr


SWALLOWED = """\
try:
    tell()
except Exception:
    print('swallowed')
"""
TURNED = """\
try:
    tell()
except BaseException:
    raise ImportError('half imported')
"""
IGNORED = """\
class Loose:
    def __del__(self):
        tell()
Loose()
time.sleep(50)
"""
# A call that no signal cuts short and that leaves the interpreter to other threads, as long ones do.
IN_C = """\
threading.Timer(0.2, tell).start()
hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)
"""
CLEANED = """\
try:
    tell()
finally:
    tell()
    print('cleaned')
"""


def test_a_library_that_catches_exceptions_does_not_catch_it():
    run = job(SWALLOWED)
    assert (run.returncode, run.stdout) == (75, ""), run.stderr


def test_a_library_that_makes_another_error_of_it_is_no_bug():
    run = job(TURNED)
    assert run.returncode == 75 and "ImportError: half imported" in run.stderr


def test_what_cleans_up_is_not_disturbed_again():
    run = job(CLEANED)
    assert (run.returncode, run.stdout) == (75, "cleaned\n"), run.stderr


@pytest.mark.parametrize("lines", [IGNORED, IN_C], ids=["ignored", "in C"])
def test_a_main_thread_that_does_not_come_round_is_left_behind(lines):
    run = job(lines, patience=0.1)
    assert run.returncode == 75 and "Stopped at once" in run.stderr


GRACE = """\
with stop.graceful():
    tell()
    print('saves', stop())
print('goes on')
"""
TWICE = """\
with stop.graceful():
    tell()
    print('saves')
    tell()
    print('goes on')
"""
OWN = """\
with stop.graceful():
    tell()
    raise Interrupted('Stopped and saved at step 7.')
"""
NESTED = """\
with stop.graceful():
    with stop.graceful():
        tell()
    print('saves')
print('goes on')
"""


@pytest.mark.parametrize("lines", [GRACE, NESTED], ids=["one", "nested"])
def test_grace_lasts_to_the_end_of_its_block(lines):
    run = job(lines)
    assert run.returncode == 75 and run.stdout in ("saves True\n", "saves\n"), run.stderr


def test_who_asks_twice_means_at_once():
    run = job(TWICE)
    assert (run.returncode, run.stdout) == (75, "saves\n"), run.stderr


def test_a_block_that_ended_itself_says_why():
    run = job(OWN)
    assert run.returncode == 75 and "saved at step 7" in run.stderr


IN_GRACE = """\
[threading.Timer(seconds, tell).start() for seconds in {signals}]
with stop.graceful():
    hashlib.pbkdf2_hmac('sha256', b'', b'', {rounds})
    print('saves')
print('goes on')
"""


def test_grace_in_a_long_call_has_no_limit_but_the_second_signal():
    assert job(IN_GRACE.format(signals=[0.2], rounds=3 * 10**6), patience=0.1).stdout == "saves\n"
    run = job(IN_GRACE.format(signals=[0.2, 0.4], rounds=10**9), patience=0.1)
    assert (run.returncode, run.stdout) == (75, "") and "Stopped at once" in run.stderr


def test_an_error_of_the_job_stays_what_it_is():
    run = job("raise KeyError('gone')")
    assert run.returncode == 1 and "KeyError: 'gone'" in run.stderr
