"""The one clock of a sandbox: the machine's, moved forward on demand.

Whoever waits by this clock follows it with `on_move`, so that an hour that is skipped is over at once for
sleepers, retries, tokens and limits alike. Knows nothing of CRMs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: Nobody needs more, and dates beyond the year 9999 break those who read them.
MAX_SHIFT = timedelta(days=3660)


class MovingClock:
    """A `connector.clock.Clock` that can be moved; thread-safe. `start_now`: what it shows at first."""

    def __init__(self, start_now: datetime | None = None) -> None:
        self._shift = timedelta() if start_now is None else start_now - datetime.now(UTC)
        self._moved = threading.Condition()
        self._followers: list[Callable[[], None]] = []

    @property
    def shift(self) -> timedelta:
        """How far this clock is from the machine's."""
        return self._shift

    @shift.setter
    def shift(self, value: timedelta) -> None:
        with self._moved:
            self._shift = value
            self._moved.notify_all()
        for wake in self._followers:
            wake()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def monotonic(self) -> float:
        """Seconds from some moment on, of this clock's time."""
        return time.monotonic() + self._shift.total_seconds()

    def forward(self, by: timedelta) -> datetime:
        """Skip so much time; the new present. ValueError for time backwards or over ten years."""
        if not timedelta() < by <= MAX_SHIFT:
            raise ValueError("время идёт только вперёд, и не дальше чем на десять лет за раз")
        self.shift += by
        return self.now()

    def sleep(self, duration: timedelta) -> None:
        """Wait until so much of this clock's time is over; moving the clock cuts it short."""
        until = self.now() + duration
        with self._moved:
            while (left := (until - self.now()).total_seconds()) > 0:
                self._moved.wait(left)

    def on_move(self, wake: Callable[[], None]) -> None:
        """Call `wake` after each move, from the thread that moved the clock."""
        self._followers.append(wake)
