"""Time as a part that is handed in, so that tests own it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where the present moment comes from."""

    def now(self) -> datetime:
        """The present moment, aware UTC."""

    def sleep(self, duration: timedelta) -> None:
        """Let `duration` pass."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, duration: timedelta) -> None:
        time.sleep(max(0.0, duration.total_seconds()))


class FixedClock:
    """A clock that stands until it is moved; `sleep` moves it and remembers each wait."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.waits: list[timedelta] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, duration: timedelta) -> None:
        self.waits.append(duration)
        self._now += duration

    def move_to(self, now: datetime) -> None:
        self._now = now
