"""How long work in the background shares an account's rate limit with what people wait for.

A decorator over the shared limit: what people wait for keeps using that limit as it is. Must not know any
CRM.

Background work takes the whole rate while nobody else wants it, because it never queues: it takes a place
only when that place is due, so whoever comes next waits for one place at most, in whatever process. And it
never takes the last part of a burst, so where bursts are allowed a deal that moved does not wait at all.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.http import RateLimiter
from connector.errors import RetryLater

#: The part of a burst that background work leaves to what people wait for: a deal that moved takes about ten
#: calls, and three of them may move at once before one waits.
SPARE = 1 / 3

#: Background work reserves its place this part of a place ahead: what the clock and the store take of the
#: time would otherwise be lost to the rate, place after place.
LEAD = 1 / 4

#: How long background work gives way to whoever has a place in the queue already. After that it takes a
#: place as everybody does, so that an account that is never at rest cannot stop it.
GIVES_WAY = timedelta(seconds=3)


class BackgroundShare:
    """The common limit in its quiet moments. Safe to share between threads."""

    def __init__(self, limiter: RateLimiter, clock: Clock) -> None:
        self._limiter = limiter
        self._clock = clock
        # One thread of this process asks at a time: the others would ask for the same place in vain.
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    @property
    def is_kept(self) -> bool:
        return self._limiter.is_kept

    def acquire(
        self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
    ) -> timedelta:
        """How long to wait before sending, on top of the waits that were made in here.

        Raises RetryLater when all of them together would exceed `max_wait`.
        """
        spare = max(spare, int(burst * SPARE))
        lead = min(timedelta(seconds=LEAD / rate_per_s), max_wait)
        began = self._clock.now()
        turn = self._turns[key]
        if not turn.acquire(timeout=min(max_wait.total_seconds(), threading.TIMEOUT_MAX)):
            raise RetryLater(GIVES_WAY)
        try:
            slept = timedelta()
            while True:
                spent = max(slept, self._clock.now() - began)
                gives_way = slept < GIVES_WAY
                left = lead if gives_way else max(timedelta(), max_wait - spent)
                try:
                    return self._limiter.acquire(
                        key, rate_per_s=rate_per_s, burst=burst, max_wait=left, spare=spare
                    )
                except RetryLater as busy:
                    if not gives_way or spent + busy.wait > max_wait:
                        raise
                    pause = max(busy.wait - lead / 2, lead / 4)
                    self._clock.sleep(pause)
                    slept += pause
        finally:
            turn.release()

    def push_back(self, key: str, until: datetime) -> None:
        """For everybody: whoever was told to slow down tells the others."""
        self._limiter.push_back(key, until)
