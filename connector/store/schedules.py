"""Repeated work: one row a schedule with its next slot; whoever moves the slot on enqueues its job.

Any number of processes may tick, with clocks that disagree: a slot is taken by compare-and-swap in the
transaction that enqueues, so each slot is run once or recorded as skipped. Knows nothing of what a task does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from connector.errors import ConfigError, Problem
from connector.store.cron import next_fire
from connector.store.database import Database
from connector.store.jobs import DEFAULT_QUEUE, JobQueue
from connector.store.schema import schedules

log = logging.getLogger(__name__)

#: Slots taken in one tick; what is left is taken by the next.
MAX_SLOTS_PER_TICK = 1000


@dataclass(frozen=True, slots=True)
class Schedule:
    """`cron` has the five usual fields and is read in `timezone` (IANA name).

    Of several slots that are due the newest is run, unless it is found later than `late_limit` after its
    moment; the others are recorded as skipped, as cancelled jobs.
    """

    account: str
    name: str
    cron: str
    timezone: str
    task: str
    args: Mapping[str, Any] = field(default_factory=dict)
    late_limit: timedelta = timedelta(hours=12)
    queue: str = DEFAULT_QUEUE


def sync(conn: Connection, account: str, wanted: Sequence[Schedule], now: datetime) -> None:
    """Make the account's rows equal to `wanted`: add, change, remove.

    A row whose time did not change keeps its next slot, so a restart neither loses nor repeats one.
    Raises ConfigError that names every schedule whose cron or zone cannot be read.
    """
    first = _first_slots(account, wanted, now)
    names = [schedule.name for schedule in wanted]
    conn.execute(delete(schedules).where(schedules.c.account == account, schedules.c.name.not_in(names)))
    insert = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    for schedule in wanted:
        contents = {
            "cron": schedule.cron,
            "timezone": schedule.timezone,
            "queue": schedule.queue,
            "task": schedule.task,
            "args": dict(schedule.args),
            "late_limit_s": int(schedule.late_limit.total_seconds()),
        }
        row = {"account": account, "name": schedule.name, **contents, "next_run_at": first[schedule.name]}
        conn.execute(insert(schedules).values(row).on_conflict_do_nothing())
        this = (schedules.c.account == account, schedules.c.name == schedule.name)
        moved = (schedules.c.cron != schedule.cron) | (schedules.c.timezone != schedule.timezone)
        conn.execute(update(schedules).where(*this, moved).values(next_run_at=first[schedule.name]))
        conn.execute(update(schedules).where(*this).values(contents))


def tick(db: Database, queue: JobQueue, now: datetime) -> int:
    """How many jobs were enqueued for slots due at `now`; args get `"slot"`, the planned moment in ISO."""
    enqueued = 0
    for _ in range(MAX_SLOTS_PER_TICK):
        with db.read() as conn:
            due = select(schedules).where(schedules.c.next_run_at <= now)
            row = conn.execute(due.order_by(schedules.c.next_run_at).limit(1)).first()
        if row is None:
            break
        enqueued += _take(db, queue, row, now)
    return enqueued


def _take(db: Database, queue: JobQueue, row: Row[Any], now: datetime) -> int:
    slot: datetime = row.next_run_at
    late_limit = timedelta(seconds=row.late_limit_s)
    zone = ZoneInfo(row.timezone)
    is_late = now - slot > late_limit
    # After a long stop the slots that are too late by now are passed over in one step.
    following = next_fire(row.cron, zone, after=max(slot, now - late_limit) if is_late else slot)
    if following is None:
        raise ValueError(f"schedule {row.name!r} has no slot after {slot}")
    skipped = "found too late" if is_late else "the next slot is due already" if following <= now else ""
    with db.begin() as conn:
        moved = (
            update(schedules)
            .where(
                schedules.c.account == row.account,
                schedules.c.name == row.name,
                schedules.c.cron == row.cron,
                schedules.c.next_run_at == slot,
            )
            .values(next_run_at=following)
        )
        if conn.execute(moved).rowcount != 1:
            return 0
        job_id = queue.enqueue(
            conn,
            row.task,
            {**row.args, "slot": slot.isoformat()},
            account=row.account,
            queue=row.queue,
            dedup=f"cron:{row.account}:{row.name}:{slot.isoformat()}",
        )
        if skipped and job_id is not None:
            queue.cancel(conn, job_id, f"skipped: {skipped}")
    if skipped:
        log.log(
            logging.WARNING if is_late else logging.INFO,
            "schedule %s of %s: the slot of %s is skipped: %s",
            row.name,
            row.account,
            slot.isoformat(),
            skipped,
            extra={"action": "slot_skipped", "account": row.account},
        )
    return 0 if skipped or job_id is None else 1


def _first_slots(account: str, wanted: Sequence[Schedule], now: datetime) -> dict[str, datetime]:
    first: dict[str, datetime] = {}
    problems: list[Problem] = []
    for schedule in wanted:
        if schedule.account != account:
            raise ValueError(
                f"schedule {schedule.name!r} is of account {schedule.account!r}, not {account!r}"
            )
        try:
            slot = next_fire(schedule.cron, ZoneInfo(schedule.timezone), after=now)
        except (ValueError, KeyError, OSError) as error:
            problems.append(Problem(schedule.name, f"расписание {schedule.cron!r} не читается: {error}"))
            continue
        if slot is None:
            problems.append(Problem(schedule.name, f"расписание {schedule.cron!r} не наступает никогда"))
            continue
        first[schedule.name] = slot
    if problems:
        raise ConfigError(problems)
    return first
