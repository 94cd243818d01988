"""A rate limiter for tests."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.errors import RetryLater


class Turnstile:
    """Lets everybody through after `wait`, and records what it was asked and told."""

    is_kept = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.pushed: list[tuple[str, datetime]] = []
        self.wait: timedelta | RetryLater = timedelta()

    def acquire(
        self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
    ) -> timedelta:
        self.asked.append(key)
        if isinstance(self.wait, RetryLater):
            raise self.wait
        return self.wait

    def push_back(self, key: str, until: datetime) -> None:
        self.pushed.append((key, until))
