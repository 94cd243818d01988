"""Each slot of a schedule is run once or recorded as skipped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from connector.clock import FixedClock
from connector.errors import ConfigError
from connector.store import schedules
from connector.store.cron import next_fire
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schedules import Schedule
from connector.store.schema import jobs
from connector.store.schema import schedules as table

DAILY = Schedule(
    "alpha", "owner_daily", "0 9 * * *", "Europe/Moscow", "report", {"report": "owner_daily"}, queue="reports"
)
NINE_IN_MOSCOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)


@pytest.fixture
def queue(db: Database, clock: FixedClock) -> JobQueue:
    return JobQueue(db, clock)


def sync(queue: JobQueue, *wanted: Schedule, account: str = "alpha") -> None:
    with queue.db.begin() as conn:
        schedules.sync(conn, account, wanted, queue.clock.now())


def next_slots(db: Database) -> dict[str, datetime]:
    with db.read() as conn:
        rows = conn.execute(select(table.c.name, table.c.next_run_at))
        return {row.name: row.next_run_at for row in rows}


def slots(db: Database, state: str = "ready") -> list[Any]:
    with db.read() as conn:
        found = select(jobs.c.args).where(jobs.c.state == state).order_by(jobs.c.id)
        return [args["slot"] for args in conn.execute(found).scalars()]


def test_a_due_slot_becomes_a_job_that_knows_its_planned_moment(queue: JobQueue) -> None:
    sync(queue, DAILY)
    assert schedules.tick(queue.db, queue, NINE_IN_MOSCOW - timedelta(seconds=1)) == 0
    assert schedules.tick(queue.db, queue, NINE_IN_MOSCOW + timedelta(seconds=2)) == 1
    assert schedules.tick(queue.db, queue, NINE_IN_MOSCOW + timedelta(seconds=2)) == 0
    with queue.db.read() as conn:
        row = conn.execute(select(jobs)).one()
    assert row.args == {"report": "owner_daily", "slot": "2026-11-25T06:00:00+00:00"}
    assert (row.queue, row.task, row.account) == ("reports", "report", "alpha")
    assert row.dedup == "cron:alpha:owner_daily:2026-11-25T06:00:00+00:00"
    assert next_slots(queue.db) == {"owner_daily": NINE_IN_MOSCOW + timedelta(days=1)}


def test_a_slot_missed_while_nothing_ran_is_run_late_within_its_limit(queue: JobQueue) -> None:
    sync(queue, DAILY)
    assert schedules.tick(queue.db, queue, NINE_IN_MOSCOW + timedelta(hours=11)) == 1
    assert slots(queue.db) == ["2026-11-25T06:00:00+00:00"]


def test_slots_found_too_late_are_recorded_as_skipped_and_the_next_one_runs(queue: JobQueue) -> None:
    sync(queue, DAILY)
    back = NINE_IN_MOSCOW + timedelta(days=3, hours=1)
    assert schedules.tick(queue.db, queue, back) == 1
    assert slots(queue.db, "cancelled") == ["2026-11-25T06:00:00+00:00"]
    assert slots(queue.db) == ["2026-11-28T06:00:00+00:00"]
    assert next_slots(queue.db) == {"owner_daily": NINE_IN_MOSCOW + timedelta(days=4)}


def test_of_several_due_slots_the_newest_is_run_and_the_others_are_recorded(
    queue: JobQueue, clock: FixedClock
) -> None:
    sync(
        queue,
        Schedule("alpha", "often", "*/10 * * * *", "UTC", "reconcile", late_limit=timedelta(minutes=25)),
    )
    assert schedules.tick(queue.db, queue, clock.now() + timedelta(hours=1)) == 1
    assert [slot[11:16] for slot in slots(queue.db)] == ["10:00"]
    assert [slot[11:16] for slot in slots(queue.db, "cancelled")] == ["09:10", "09:40", "09:50"]
    with queue.db.read() as conn:
        reasons = set(conn.execute(select(jobs.c.error).where(jobs.c.state == "cancelled")).scalars())
    assert reasons == {"skipped: found too late", "skipped: the next slot is due already"}


def test_a_schedule_that_did_not_move_keeps_its_slot_when_synced_again(
    queue: JobQueue, clock: FixedClock
) -> None:
    sync(queue, DAILY)
    clock.move_to(NINE_IN_MOSCOW + timedelta(minutes=5))
    # Restarted after the slot and before anybody ticked: it must not be lost.
    sync(queue, Schedule("alpha", "owner_daily", "0 9 * * *", "Europe/Moscow", "report", {"report": "other"}))
    assert next_slots(queue.db) == {"owner_daily": NINE_IN_MOSCOW}
    schedules.tick(queue.db, queue, clock.now())
    with queue.db.read() as conn:
        assert conn.execute(select(jobs.c.args)).scalar_one()["report"] == "other"


def test_sync_adds_moves_and_removes_only_the_accounts_own(queue: JobQueue) -> None:
    sync(queue, DAILY, Schedule("alpha", "gone", "0 0 * * *", "UTC", "report"))
    sync(queue, Schedule("beta", "theirs", "0 0 * * *", "UTC", "report"), account="beta")
    moved = Schedule("alpha", "owner_daily", "30 9 * * *", "Europe/Moscow", "report")
    sync(queue, moved, Schedule("alpha", "new", "0 0 * * *", "Asia/Vladivostok", "report"))
    assert next_slots(queue.db) == {
        "owner_daily": NINE_IN_MOSCOW + timedelta(minutes=30),
        "new": datetime(2026, 11, 24, 14, 0, tzinfo=UTC),
        "theirs": datetime(2026, 11, 25, 0, 0, tzinfo=UTC),
    }
    sync(queue)
    assert set(next_slots(queue.db)) == {"theirs"}


def test_every_schedule_that_cannot_be_read_is_named_and_nothing_changes(queue: JobQueue) -> None:
    sync(queue, DAILY)
    with pytest.raises(ConfigError) as caught:
        sync(
            queue,
            Schedule("alpha", "words", "every morning", "UTC", "report"),
            Schedule("alpha", "nowhere", "0 9 * * *", "Europe/Nowhere", "report"),
            Schedule("alpha", "never", "0 9 31 2 *", "UTC", "report"),
            DAILY,
        )
    assert [problem.place for problem in caught.value.problems] == ["words", "nowhere", "never"]
    assert set(next_slots(queue.db)) == {"owner_daily"}


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # 24 November 2026 is a Tuesday.
        ("0 9 * * *", "Europe/Moscow", "2026-11-24T05:59", "2026-11-24T06:00"),
        ("0 9 * * *", "Europe/Moscow", "2026-11-24T06:00", "2026-11-25T06:00"),
        ("30 9 * * 1", "Europe/Moscow", "2026-11-24T09:00", "2026-11-30T06:30"),
        ("30 9 * * mon", "Europe/Moscow", "2026-11-24T09:00", "2026-11-30T06:30"),
        ("0 0 * * 0", "UTC", "2026-11-24T09:00", "2026-11-29T00:00"),
        ("0 0 * * 7", "UTC", "2026-11-24T09:00", "2026-11-29T00:00"),
        ("0 0 * * 1-5", "UTC", "2026-11-27T09:00", "2026-11-30T00:00"),
        ("0 0 * * 5-7", "UTC", "2026-11-24T09:00", "2026-11-27T00:00"),
        ("0 0 * * 2,4", "UTC", "2026-11-24T09:00", "2026-11-26T00:00"),
        ("0 0 * * */2", "UTC", "2026-11-24T09:00", "2026-11-26T00:00"),
        ("0 10 1,15 * *", "Asia/Yekaterinburg", "2026-11-24T09:00", "2026-12-01T05:00"),
        # The hour that summer time leaves out does not exist: its slot falls to the next day that has it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T02:00", "2026-03-29T01:30"),
        # The hour that comes twice has its slots twice: they are different moments.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:00", "2026-10-25T00:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30", "2026-10-25T01:30"),
    ],
)
def test_cron_as_crontab_reads_it(cron: str, zone: str, after: str, expected: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    fire = next_fire(cron, ZoneInfo(zone), moment)
    assert fire is not None and fire.strftime("%Y-%m-%dT%H:%M") == expected


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "* * * * 5-2", "* * * * someday"])
def test_what_is_no_cron_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next_fire(cron, ZoneInfo("UTC"), datetime(2026, 11, 24, tzinfo=UTC))
