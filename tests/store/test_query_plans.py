"""Future work costs nothing: with many pending rows every hot statement still goes through its index.

Asserted on the statements that the code really sends, caught on their way to the driver and explained.
`benchmarks/engine.py` measures the same with a million timers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert

from connector.clock import FixedClock
from connector.store import timers
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schema import jobs
from connector.store.schema import timers as timers_table

PENDING = 20_000
HORIZON = timedelta(days=300)


@pytest.fixture
def queue(db: Database, clock: FixedClock) -> JobQueue:
    """A store with many timers and many jobs that are not due, and one of each that is."""
    future = [clock.now() + timedelta(hours=1) + HORIZON * n / PENDING for n in range(PENDING)]
    with db.begin() as conn:
        conn.execute(
            insert(timers_table),
            [
                {
                    "account": "alpha",
                    "deal_id": str(n // 5),
                    "due": due,
                    "queue": "work",
                    "task": "step",
                    "args": {},
                }
                for n, due in enumerate(future)
            ],
        )
        conn.execute(
            insert(jobs),
            [
                {
                    "queue": "work",
                    "task": "event",
                    "args": {},
                    "account": "alpha",
                    "order_key": f"deal:{n // 5}",
                    "state": "ready",
                    "run_at": due,
                    "max_attempts": 12,
                    "created_at": clock.now(),
                }
                for n, due in enumerate(future)
            ],
        )
        conn.execute(
            insert(jobs),
            [
                {
                    "queue": "work",
                    "task": "event",
                    "args": {},
                    "account": "alpha",
                    "order_key": f"deal:{n}",
                    "state": "done",
                    "run_at": clock.now(),
                    "max_attempts": 12,
                    "created_at": clock.now(),
                    "finished_at": clock.now(),
                }
                for n in range(PENDING)
            ],
        )
        timers.add(conn, account="alpha", deal_id="7", due=clock.now(), task="step", args={})
        JobQueue(db, clock).enqueue(conn, "event", {}, account="beta", order_key="deal:1")
    with db.begin() as conn:
        conn.exec_driver_sql("ANALYZE")
    return JobQueue(db, clock)


@contextmanager
def caught(db: Database) -> Iterator[list[tuple[str, Any]]]:
    statements: list[tuple[str, Any]] = []

    def catch(
        conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and "advisory" not in statement:
            statements.append((statement, parameters))

    event.listen(db._engine, "before_cursor_execute", catch)
    try:
        yield statements
    finally:
        event.remove(db._engine, "before_cursor_execute", catch)


def plan(db: Database, statement: str, parameters: Any) -> str:
    prefix = "EXPLAIN QUERY PLAN " if db.dialect == "sqlite" else "EXPLAIN "
    with db.begin() as conn:
        rows = conn.exec_driver_sql(prefix + statement, parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def reads_whole_table(plan_text: str) -> bool:
    scan = re.compile(r"Seq Scan on |^SCAN (jobs|timers|earlier|other)\b(?!.* INDEX)", re.MULTILINE)
    return bool(scan.search(plan_text))


def test_hot_statements_use_their_indexes_and_read_no_whole_table(queue: JobQueue, clock: FixedClock) -> None:
    def cancel() -> int:
        with queue.db.begin() as conn:
            return timers.cancel_deal(conn, "alpha", "7")

    hot: list[tuple[str, Callable[[], object], set[str]]] = [
        ("has_due", lambda: queue.has_due(["work", "reports"]), {"ix_jobs_ready"}),
        (
            "claim",
            lambda: queue.claim("one", "work", 4, 3, timedelta(seconds=30)),
            {"ix_jobs_ready", "ix_jobs_order"},
        ),
        # Either of the two small indexes on what runs will do: by lease, or by account.
        ("return_expired", queue.return_expired, {"ix_jobs_"}),
        ("promote", lambda: timers.promote(queue.db, queue, clock.now()), {"ix_timers_due"}),
        ("cancel_deal", cancel, {"ix_timers_account_deal_id"}),
        ("prune", lambda: queue.prune(clock.now() - timedelta(days=1)), {"ix_jobs_finished"}),
    ]
    for name, call, indexes in hot:
        with caught(queue.db) as statements:
            call()
        plans = "\n\n".join(plan(queue.db, *each) for each in statements)
        assert all(index in plans for index in indexes), f"{name}:\n{plans}"
        assert not reads_whole_table(plans), f"{name}:\n{plans}"
