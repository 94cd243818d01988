"""The part of an account's rate limit that long work in the background may take.

A decorator over the shared limit: what people wait for keeps using that limit as it is. Must not know any
CRM.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.http import RateLimiter
from connector.errors import RetryLater

#: Background work never takes more than this part of the rate, all of it together, and saves up no burst.
SHARE = 0.5

#: How long background work gives way to whoever has a place in the queue already. After that it takes a
#: place as everybody does, so that an account that is never at rest cannot stop it.
GIVES_WAY = timedelta(seconds=3)


class BackgroundShare:
    """A limit of its own for background work, before the common one; the common one in its quiet moments.

    Without the second step background and foreground would take turns, each at half of the rate, however
    small the share is.
    """

    def __init__(self, limiter: RateLimiter, clock: Clock) -> None:
        self._limiter = limiter
        self._clock = clock

    def acquire(self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta) -> timedelta:
        """How long to wait before sending, on top of the waits that were made in here.

        Raises RetryLater when all of them together would exceed `max_wait`.
        """
        spent = self._limiter.acquire(
            f"{key}:background", rate_per_s=rate_per_s * SHARE, burst=1, max_wait=max_wait
        )
        self._clock.sleep(spent)
        way_is_given_until = spent + GIVES_WAY
        while True:
            gives_way = spent < way_is_given_until
            left = timedelta() if gives_way else max_wait - spent
            try:
                return self._limiter.acquire(key, rate_per_s=rate_per_s, burst=burst, max_wait=left)
            except RetryLater as busy:
                if not gives_way or spent + busy.wait > max_wait:
                    raise
                self._clock.sleep(busy.wait)
                spent += busy.wait

    def push_back(self, key: str, until: datetime) -> None:
        """For everybody: whoever was told to slow down tells the others."""
        self._limiter.push_back(key, until)
