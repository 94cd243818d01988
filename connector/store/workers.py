"""Who is alive: one row a worker process, written with each extension of its leases.

For `connector status` alone. No decision hangs on it: a dead worker's jobs come back by their leases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from connector.clock import Clock
from connector.store.database import Database
from connector.store.moment import moment
from connector.store.schema import workers

FORGET_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker as it last reported. `running` is how many jobs it had then."""

    owner: str
    host: str
    pid: int
    queues: tuple[str, ...]
    threads: int
    running: int
    started_at: datetime
    seen_at: datetime


class WorkerRegistry:
    """The rows of all workers of one store."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def beat(
        self, owner: str, *, host: str, pid: int, queues: tuple[str, ...], threads: int, running: int
    ) -> None:
        """Say that the worker is alive; rows not seen for a day go."""
        now = moment(self._db, self._clock)
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        row = insert(workers).values(
            owner=owner,
            host=host[:255],
            pid=pid,
            queues=",".join(queues)[:255],
            threads=threads,
            running=running,
            started_at=now,
            seen_at=now,
        )
        row = row.on_conflict_do_update(
            index_elements=["owner"], set_={"running": row.excluded.running, "seen_at": row.excluded.seen_at}
        )
        with self._db.begin() as conn:
            conn.execute(row)
            forgotten = workers.c.seen_at < moment(self._db, self._clock, -FORGET_AFTER)
            conn.execute(delete(workers).where(forgotten))

    def leave(self, owner: str) -> None:
        """Remove the row of a worker that stops by itself."""
        with self._db.begin() as conn:
            conn.execute(delete(workers).where(workers.c.owner == owner))

    def seen_within(self, age: timedelta) -> list[WorkerRow]:
        """The workers that reported at most `age` ago, longest running first."""
        recent = workers.c.seen_at >= moment(self._db, self._clock, -age)
        with self._db.read() as conn:
            rows = conn.execute(select(workers).where(recent).order_by(workers.c.started_at)).all()
        return [
            WorkerRow(
                owner=row.owner,
                host=row.host,
                pid=row.pid,
                queues=tuple(row.queues.split(",")),
                threads=row.threads,
                running=row.running,
                started_at=row.started_at,
                seen_at=row.seen_at,
            )
            for row in rows
        ]
