"""How far long work is, in one line: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

BAR = 24

#: Where nobody watches, a line is written so often at most, in seconds.
PLAIN_EVERY_S = 10.0
#: A terminal is drawn anew so often at most.
DRAW_EVERY_S = 0.1


class Progress:
    """One line on `out`. `now`: seconds of a clock that never goes back."""

    def __init__(
        self, out: TextIO | None = None, now: Callable[[], float] = time.monotonic, width: int = 100
    ) -> None:
        self._out = out or sys.stderr
        self._now = now
        self._width = width
        self._is_terminal = self._out.isatty()
        self._what = ""
        self._began = self._drawn = 0.0
        self._first: tuple[int, float | None] = (0, None)
        self._line = ""

    def show(self, what: str, count: int, share: float | None) -> None:
        """`count` rows of `what` are read; `share`: 0..1 of all of them, None where nobody knows."""
        now = self._now()
        if what != self._what:
            self.close()
            # Rate and time left are those of this run: what an earlier one read took no time of it.
            self._what, self._began, self._drawn, self._first = what, now, float("-inf"), (count, share)
        self._line = self._text(now, count, share)
        every = DRAW_EVERY_S if self._is_terminal else PLAIN_EVERY_S
        if now - self._drawn >= every:
            self._draw(now)

    def close(self) -> None:
        """Write the last state, and end the line."""
        if not self._line:
            return
        self._draw(self._now())
        if self._is_terminal:
            self._out.write("\n")
        self._out.flush()
        self._line = self._what = ""

    def _draw(self, now: float) -> None:
        self._drawn = now
        if self._is_terminal:
            self._out.write(f"\r{self._line[: self._width]:<{self._width}}")
        else:
            self._out.write(f"{self._line}\n")
        self._out.flush()

    def _text(self, now: float, count: int, share: float | None) -> str:
        parts = [f"{self._what}: {_spaced(count)}"]
        if share is not None and self._is_terminal:
            full = round(share * BAR)
            parts.insert(0, f"[{'█' * full}{'░' * (BAR - full)}]")
        if share is not None:
            parts.append(f"{share:.0%}")
        spent = now - self._began
        first_count, first_share = self._first
        if spent >= 1 and count > first_count:
            parts.append(f"{_spaced(round((count - first_count) / spent))} в секунду")
        if spent >= 1 and share is not None and first_share is not None and first_share < share < 1:
            parts.append(f"осталось {_duration(spent * (1 - share) / (share - first_share))}")
        return (
            ", ".join(parts)
            if len(parts) < 2 or not parts[0].startswith("[")
            else (f"{parts[0]} {', '.join(parts[1:])}")
        )


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", "\u00a0")


def _duration(seconds: float) -> str:
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} с"
    if whole < 3600:
        return f"{whole // 60} мин {whole % 60:02} с"
    return f"{whole // 3600} ч {whole % 3600 // 60:02} мин"
