"""The scheduler ticks, and a tick that fails stops neither itself nor the others."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from connector.clock import FixedClock, SystemClock
from connector.scheduler import KEEP_FINISHED, Scheduler, Tick
from connector.store import schedules, timers
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schedules import Schedule
from connector.store.schema import jobs

DEADLINE_S = 30


def tasks(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.execute(select(jobs.c.task).order_by(jobs.c.id)).scalars())


def test_it_promotes_timers_takes_slots_and_calls_what_was_handed_in(db: Database) -> None:
    queue = JobQueue(db, SystemClock())
    an_hour_ago = queue.now() - timedelta(hours=1)
    with db.begin() as conn:
        timers.add(conn, account="alpha", deal_id="7", due=an_hour_ago, task="step", args={})
        hourly = Schedule("alpha", "hourly", "0 * * * *", "UTC", "report", late_limit=timedelta(hours=24))
        schedules.sync(conn, "alpha", [hourly], an_hour_ago - timedelta(hours=1))
    both, called = threading.Event(), threading.Event()
    waker = JobQueue(db, SystemClock(), lambda: both.set() if {"step", "report"} <= set(tasks(db)) else None)
    scheduler = Scheduler(db, waker, SystemClock(), [Tick("mine", timedelta(hours=1), called.set)])
    scheduler.start()
    try:
        assert both.wait(DEADLINE_S) and called.wait(DEADLINE_S)
    finally:
        scheduler.stop()


def test_a_failing_tick_comes_again_and_leaves_the_others_alone(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    db = Database(sqlite_url)
    other = threading.Event()
    thrice = threading.Event()
    failures: list[int] = []

    def fail() -> None:
        failures.append(1)
        if len(failures) == 3:
            thrice.set()
        raise ZeroDivisionError

    quick = timedelta(milliseconds=20)
    ticks = [Tick("failing", quick, fail), Tick("other", quick, other.set)]
    scheduler = Scheduler(db, JobQueue(db, SystemClock()), SystemClock(), ticks)
    scheduler.start()
    try:
        assert thrice.wait(DEADLINE_S)
        other.clear()
        assert other.wait(DEADLINE_S)
    finally:
        scheduler.stop()
        db.close()
    assert "tick failing failed; it comes again" in caplog.text


def test_a_database_that_is_away_is_told_in_one_sentence(
    sqlite_url: str, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    db = Database(sqlite_url)
    scheduler = Scheduler(db, JobQueue(db, clock), clock)
    timers_tick = scheduler.ticks[0]
    with db.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE timers RENAME TO gone")
    for _ in range(5):
        scheduler.run_tick(timers_tick)
    with db.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE gone RENAME TO timers")
    scheduler.run_tick(timers_tick)
    db.close()
    assert [record.levelname for record in caplog.records if record.name == "connector.store.outage"] == [
        "WARNING",
        "WARNING",
    ]
    assert "no such table: timers" in caplog.text and "after 5 failed tries" in caplog.text


def test_all_timers_due_are_promoted_in_one_tick(db: Database, clock: FixedClock) -> None:
    queue = JobQueue(db, clock)
    with db.begin() as conn:
        for n in range(1100):
            timers.add(conn, account="alpha", deal_id=str(n), due=clock.now(), task="step", args={})
    assert Scheduler(db, queue, clock).promote_timers() == 1100
    assert queue.counts().ready == 1100


def test_finished_jobs_are_kept_for_a_month(db: Database, clock: FixedClock) -> None:
    queue = JobQueue(db, clock)
    with db.begin() as conn:
        queue.enqueue(conn, "event", {}, account="alpha")
    queue.finish(queue.claim("one", "work", 1, 1, timedelta(seconds=30))[0])
    scheduler = Scheduler(db, queue, clock)
    clock.sleep(KEEP_FINISHED)
    assert scheduler.prune() == 0
    clock.sleep(timedelta(seconds=1))
    assert scheduler.prune() == 1
