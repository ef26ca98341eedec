"""How a run gets on: the line that tells a person."""

import time
from dataclasses import dataclass

from isthmus.log import say

LOG_EVERY_S = 5.0
# The first steps of a process warm caches and allocators up; the speed shown leaves them out.
STEPS_TO_WARM_UP = 10


@dataclass
class Progress:
    """Says a line every few seconds: `step 00100/01200 (8.3%) | loss 3.21 | ... | eta 1m40s`."""

    steps: int
    first_step: int
    _said_s: float = float("-inf")
    _since_s: float = 0.0
    _since_step: int = 0
    _tokens: int = 0

    def note(self, step: int, loss: float, rate: float, norm: float, tokens: int) -> None:
        """Tell of update number `step` (from 1), if it is time for a line."""
        now = time.monotonic()
        if step - self.first_step == min(STEPS_TO_WARM_UP, self.steps - self.first_step):
            self._since_s, self._since_step, self._tokens = now, step, 0
        elif self._since_step:
            self._tokens += tokens
        if step == self.steps or now - self._said_s >= LOG_EVERY_S:
            self._said_s = now
            say(self._line(step, loss, rate, norm, now))

    def _line(self, step: int, loss: float, rate: float, norm: float, now: float) -> str:
        width = max(5, len(str(self.steps)))
        parts = [
            f"step {step:0{width}d}/{self.steps:0{width}d} ({100 * step / self.steps:.1f}%)",
            f"loss {loss:.3g}" if loss < 10 else f"loss {loss:.1f}",
            f"lr {rate:.1e}".replace("e-0", "e-"),
            f"grad {norm:.2g}",
        ]
        done = step - self._since_step
        if self._since_step and done and now > self._since_s:
            parts.append(f"{self._tokens / (now - self._since_s) / 1000:.1f}k tok/s")
            parts.append(f"eta {duration((now - self._since_s) / done * (self.steps - step))}")
        return " | ".join(parts)


def duration(seconds: float) -> str:
    """42 -> `42s`, 100 -> `1m40s`, 4000 -> `1h06m`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
