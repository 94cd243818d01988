"""Whose clock the work engine goes by.

On PostgreSQL with the machine's own clock it is the server's: workers on several machines then agree on
leases, due times and rate limits, however wrong their clocks are. A clock handed in by a test is always
obeyed, and on SQLite, which has one machine, the clock is the machine's.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Interval,
    bindparam,
    cast,
    func,
    literal,
    select,
    type_coerce,
)

from connector.clock import Clock, SystemClock
from connector.store.database import Database
from connector.store.schema import UtcDateTime


def is_servers(db: Database, clock: Clock) -> bool:
    """Whether the database server's clock decides."""
    return db.dialect == "postgresql" and isinstance(clock, SystemClock)


def moment(db: Database, clock: Clock, plus: timedelta = timedelta(0)) -> ColumnElement[datetime]:
    """The present moment plus `plus`, to be used inside a statement."""
    if not is_servers(db, clock):
        # Asked anew at each execution, so that a statement can be built once and used again.
        return bindparam("now", callable_=lambda: clock.now() + plus, type_=UtcDateTime(), unique=True)
    # The statement's time, not the transaction's: a claim may have waited for its lock. Not clock_timestamp()
    # either, which is volatile, so that no index would be used for a comparison with it.
    now = func.statement_timestamp(type_=DateTime(timezone=True))
    return type_coerce(now + literal(plus, Interval()), UtcDateTime())


def moment_us(db: Database, clock: Clock) -> ColumnElement[int]:
    """The present moment in whole microseconds since the epoch, to be used inside a statement."""
    if not is_servers(db, clock):
        return bindparam("now_us", callable_=lambda: as_us(clock.now()), type_=BigInteger(), unique=True)
    seconds = func.extract("epoch", func.statement_timestamp())
    return cast(seconds * 1_000_000, BigInteger())


def as_us(at: datetime) -> int:
    """`at` in whole microseconds since the epoch."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def read_now(db: Database, clock: Clock) -> datetime:
    """The present moment, aware UTC."""
    if not is_servers(db, clock):
        return clock.now()
    with db.read() as conn:
        return conn.execute(select(moment(db, clock))).scalar_one()
