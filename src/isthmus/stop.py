"""Signals that ask a job to stop, and when they are heeded.

A job may be killed whatever it is doing: what it leaves behind is whole. So a signal ends it at once, with the exit
code that says "run it again". Only a part that has something to save, or is about to publish, asks for grace.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

from isthmus.errors import Interrupted, IsthmusError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
# So long the main thread may take to unwind, or to come back from a call into C. Then the process ends without it.
PATIENCE_S = 2.0
AGAIN = "Run the same command again to go on."

Result = TypeVar("Result")


class Stopped(BaseException):
    """Raised wherever the main thread is. No Exception, for libraries catch those and go on."""


@dataclass
class Stop:
    """Whether a signal asked this process to stop, and what that does: end it, or wait for the end of a grace.

    `asked` is what those with grace look at between their steps; a second signal ends their grace.
    """

    asked: bool = False
    name: str = "a signal"
    _grace: int = 0
    _ending: bool = False
    _alarm: int = -1

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.asked

    def during(self, work: Callable[[], Result]) -> Result:
        """Do the work (in the main thread) and heed signals meanwhile; afterwards they are ignored for good.

        Raises:
            Interrupted: a signal ended the work.
        """
        try:
            # A function, not a context manager: between the lines of `with` a signal would not be caught.
            try:
                self._listen()
                return work()
            finally:
                self._ending = True  # from here on a signal changes nothing
        except Stopped as stopped:
            raise Interrupted(f"Stopped by {self.name}; what is finished is kept. {AGAIN}") from stopped
        except IsthmusError:
            raise
        except Exception as error:
            if not self.asked:
                raise
            # A library made an error of its own of it, or what was half done could not be undone.
            raise Interrupted(f"Stopped by {self.name} ({type(error).__name__}: {error}). {AGAIN}") from error
        finally:
            for number in STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            signal.set_wakeup_fd(-1)

    @contextlib.contextmanager
    def graceful(self) -> Iterator[None]:
        """A block that a signal does not end: it looks at `asked` and ends itself, or is short."""
        self._grace += 1
        try:
            yield
        finally:
            self._grace -= 1
        if self.asked and not self._grace:
            self._end()

    def _listen(self) -> None:
        ear, self._alarm = os.pipe()
        os.set_blocking(self._alarm, False)
        signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(ear,), name="stop", daemon=True).start()
        for number in STOP_SIGNALS:
            signal.signal(number, self._heard)

    def _heard(self, number: int, _: FrameType | None) -> None:
        again, self.asked = self.asked, True
        self.name = signal.Signals(number).name
        if (again or not self._grace) and not self._ending:
            self._end()

    def _end(self) -> None:
        self._ending = True
        with contextlib.suppress(OSError):  # full of signals, or nobody listens
            os.write(self._alarm, b"\0")
        raise Stopped

    def _watch(self, ear: int) -> None:
        """End the process where the main thread does not: in a long call into C, where Python's handlers wait, or
        where somebody swallowed the exception. The system writes to the pipe the moment a signal comes.
        """
        heard = 0
        while not heard or (heard == 1 and self._grace):
            heard += len(os.read(ear, 64))
        time.sleep(PATIENCE_S)
        os.write(2, f"isthmus: Stopped at once. {AGAIN}\n".encode())
        os._exit(Interrupted.exit_code)
