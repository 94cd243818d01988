"""Work that is due later: rows of their own, so that a deal's timers go with one statement.

A timer stands in no order until it is due; as a waiting job it would hold up every later event of its deal
for weeks. Knows nothing of what a task does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from connector.store.database import Database
from connector.store.jobs import DEFAULT_QUEUE, JobQueue, NewJob
from connector.store.schema import timers

PROMOTE_BATCH = 500


def add(
    conn: Connection,
    *,
    account: str,
    deal_id: str | None,
    due: datetime,
    task: str,
    args: Mapping[str, Any],
    order_key: str | None = None,
    dedup: str | None = None,
    queue: str = DEFAULT_QUEUE,
) -> int | None:
    """The new timer's id; None when a timer with an equal `dedup` is waiting.

    `dedup` goes on to the job, so a timer added again after its job was made makes no second one. It is
    unique over all accounts and begins with the account.
    """
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    insertion = (
        insert(timers)
        .values(
            account=account,
            deal_id=deal_id,
            due=due,
            queue=queue,
            task=task,
            args=dict(args),
            order_key=order_key,
            dedup=dedup,
        )
        .on_conflict_do_nothing(index_elements=["dedup"])
        .returning(timers.c.id)
    )
    timer_id: int | None = conn.execute(insertion).scalar_one_or_none()
    return timer_id


def cancel_deal(conn: Connection, account: str, deal_id: str) -> int:
    """How many timers of the deal were waiting and are gone."""
    return conn.execute(
        delete(timers).where(timers.c.account == account, timers.c.deal_id == deal_id)
    ).rowcount


def promote(db: Database, queue: JobQueue, now: datetime, limit: int = PROMOTE_BATCH) -> int:
    """How many timers due at `now` became jobs, oldest first, at most `limit`, in one transaction.

    Any number of processes may do it at once: each timer becomes one job.
    """
    due = (
        select(timers)
        .where(timers.c.due <= now)
        .order_by(timers.c.due, timers.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    with db.read() as conn:
        first = select(timers.c.id).where(timers.c.due <= now).order_by(timers.c.due).limit(1)
        if conn.execute(first).first() is None:
            return 0
    with db.begin() as conn:
        rows = conn.execute(due).all()
        if not rows:
            return 0
        conn.execute(delete(timers).where(timers.c.id.in_([row.id for row in rows])))
        queue.enqueue_all(
            conn,
            [
                NewJob(
                    row.task,
                    row.args,
                    row.account,
                    queue=row.queue,
                    order_key=row.order_key,
                    dedup=row.dedup or f"timer:{row.id}",
                )
                for row in rows
            ],
        )
    return len(rows)
