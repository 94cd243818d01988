"""How soon a request may leave, shared by all processes of an installation through one row a key.

The algorithm is GCRA: the row holds the theoretical arrival time of the next request, so one upsert both asks
and reserves. Knows nothing of CRMs or HTTP.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from connector.clock import Clock
from connector.errors import RetryLater
from connector.store.database import Database
from connector.store.moment import as_us, moment_us
from connector.store.schema import rate_limits

MICROSECOND = timedelta(microseconds=1)


class SharedLimiter:
    """The limits of all keys of one store."""

    is_kept = True

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._insert = postgresql.insert if db.dialect == "postgresql" else sqlite.insert
        self._greatest = func.greatest if db.dialect == "postgresql" else func.max
        # How far the row of a key may run ahead of the clock before a request waits, as last asked for.
        self._tolerance_us: dict[str, int] = {}

    def acquire(
        self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
    ) -> timedelta:
        """How long the caller must wait before it sends; the place is reserved.

        `burst` requests may leave at once after a pause, then `rate_per_s`; a caller that names `spare`
        leaves so many places of the burst to the others. Raises RetryLater, and reserves nothing, when the
        wait would exceed `max_wait`.
        """
        step = round(1_000_000 / rate_per_s)
        self._tolerance_us[key] = step * (max(burst, 1) - 1)
        tolerance = step * (max(burst - spare, 1) - 1)
        now = moment_us(self._db, self._clock)
        arrival = self._greatest(rate_limits.c.tat_us, now, type_=BigInteger())
        # The row is the arrival time after this request's step; without the step, less the tolerance, it is
        # when this request may leave.
        wait_us = rate_limits.c.tat_us - literal(step + tolerance) - now
        reserve = (
            self._insert(rate_limits)
            .values(key=key, tat_us=now + literal(step))
            .on_conflict_do_update(
                index_elements=["key"],
                set_={"tat_us": arrival + literal(step)},
                where=arrival - literal(tolerance) - now <= literal(max_wait // MICROSECOND),
            )
            .returning(wait_us)
        )
        reserved: int | None = None
        with self._db.begin() as conn:
            reserved = conn.execute(reserve).scalar_one_or_none()
            told_at = self._clock.now()
            if reserved is None:
                left = select(rate_limits.c.tat_us - literal(tolerance) - now).where(rate_limits.c.key == key)
                raise RetryLater(timedelta(microseconds=max(1, conn.execute(left).scalar_one())))
        # The wait was counted from the statement on; the commit has taken a part of it.
        return max(timedelta(), timedelta(microseconds=reserved) - (self._clock.now() - told_at))

    def push_back(self, key: str, until: datetime) -> None:
        """Let no request of `key` leave before `until`, and then at the plain rate, without a burst.

        For everybody: whoever was told to slow down tells the others.
        """
        blocked = as_us(until) + self._tolerance_us.get(key, 0)
        pushed = self._insert(rate_limits).values(key=key, tat_us=blocked)
        pushed = pushed.on_conflict_do_update(
            index_elements=["key"],
            set_={"tat_us": self._greatest(rate_limits.c.tat_us, literal(blocked), type_=BigInteger())},
        )
        with self._db.begin() as conn:
            conn.execute(pushed)
