"""The morning's look at the week: alarms open and close by themselves, ask once, answers come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import insert, select

from connector.clock import FixedClock
from connector.daily_control import DailyControl
from connector.figures.snapshot import Snapshots
from connector.playbook.load import parse_playbook
from connector.store import alarms, outbox
from connector.store.alarms import Alarm
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schema import calls, jobs, meetings
from connector.targets import Targets
from tests.figures.past import ACCOUNT, Past, utc

#: 22 working days: 10 calls and 4 meetings a day for each of two.
PLAYBOOK = """
targets:
  - {month: 2026-12, revenue: 100, kpi: {calls: 440, meetings: 176}, split: {Анна: 1, Борис: 1}}
people: {head_of_sales: {user: Вера}}
"""
MONDAY = date(2026, 12, 7)
THURSDAY = "2026-12-10 06:00:00"


class Crm:
    """What a CRM says of tasks."""

    def __init__(self) -> None:
        self.answers: dict[str, str | None] = {}

    def task_answer(self, task_id: str) -> str | None:
        return self.answers[task_id]


class Office:
    def __init__(self, db: Database) -> None:
        self.db, self.crm = db, Crm()
        self.clock = FixedClock(utc(THURSDAY))
        self.folder = TemporaryDirectory()
        playbook = parse_playbook(PLAYBOOK)
        targets = Targets(db, lambda: playbook, lambda _: None, self.clock)
        self.queue = JobQueue(db, self.clock)
        self.control = DailyControl(
            db,
            self.queue,
            {ACCOUNT: self.crm},  # type: ignore[dict-item]
            targets,
            lambda: playbook,
            Snapshots(Path(self.folder.name)),
            self.clock,
        )
        with db.begin() as conn:
            Past().facts(conn, zone="Europe/Moscow")

    def did(self, manager: str, day: int, *, called: int = 0, held: int = 0, failed: int = 0) -> None:
        """What a manager did on a day of December at noon."""
        at = datetime(2026, 12, day, 9, tzinfo=UTC)
        with self.db.begin() as conn:
            begun = self.count(calls), self.count(meetings)
            for number in range(called):
                row = {"call_id": f"c{begun[0] + number}", "at": at, "direction": "out", "answered": True}
                conn.execute(insert(calls).values(**row, **_of(manager), duration_s=60))
            for number in range(held + failed):
                status = "held" if number < held else "cancelled"
                row = {"meeting_id": f"m{begun[1] + number}", "created_at": at, "planned_at": at}
                held_at = at if status == "held" else None
                conn.execute(insert(meetings).values(**row, **_of(manager), held_at=held_at, status=status))

    def count(self, table: Any) -> int:
        with self.db.read() as conn:
            return len(conn.execute(select(table.c.account)).all())

    def look(self, moment: str = THURSDAY) -> list[Alarm]:
        self.clock.move_to(utc(moment))
        return self.control.check(ACCOUNT, self.clock.now())

    def open(self) -> Sequence[tuple[str, str, str]]:
        with self.db.read() as conn:
            return [(a.kind, a.person, a.metric) for a in alarms.still_open(conn, ACCOUNT)]

    def tasks(self) -> list[str]:
        with self.db.read() as conn:
            effects = outbox.latest(conn, ACCOUNT, 100)
        return [
            f"{e.params.get('user_id') or e.params['role']}: {e.params['text']}" for e in reversed(effects)
        ]

    def good_week(self, *people: str, days: Sequence[int] = (7, 8, 9)) -> None:
        for person in people:
            for day in days:
                self.did(person, day, called=10, held=4, failed=1)


@pytest.fixture
def office(db: Database) -> Office:
    return Office(db)


def test_a_week_on_its_way_is_left_alone(office: Office) -> None:
    office.good_week("1", "2")
    assert office.look() == []
    assert office.tasks() == []


def test_who_lags_is_asked_once_with_the_broken_link_and_the_days_to_come(office: Office) -> None:
    office.good_week("1")
    for day in (7, 8, 9):
        office.did("2", day, called=10, held=1)
    assert [(a.person, a.metric) for a in office.look()] == [("2", "meetings")]
    assert office.tasks() == [
        "2: Встречи: 3, а к сегодняшнему дню нужно 12 (план недели 20) — Борис\n"
        "Звонки идут по плану (30 из 30), рвётся связка «звонок → назначенная встреча».\n"
        "Чтобы догнать до конца недели: чт 9, пт 8.\n"
        "Напишите в результате задачи, в чём причина, и закройте её: ответ попадёт в отчёт."
    ]
    assert office.look("2026-12-10 12:00:00") == []
    assert len(office.tasks()) == 1
    with office.db.read() as conn:
        assert len(conn.execute(select(jobs.c.id)).all()) == 1


def test_when_everybody_lags_the_head_of_sales_is_asked_too(office: Office) -> None:
    for person in ("1", "2"):
        for day in (7, 8, 9):
            office.did(person, day, called=10, held=1)
    office.look()
    asked = [task.split(":")[0] for task in office.tasks()]
    assert sorted(asked) == ["1", "2", "head_of_sales"]


def test_meetings_that_do_not_take_place_are_an_alarm_of_their_own(office: Office) -> None:
    office.good_week("1")
    for day in (7, 8, 9):
        office.did("2", day, called=10, held=2, failed=3)
    office.look()
    assert ("no_shows", "2", "meetings") in office.open()
    assert (
        "2: Встречи срываются: из 15 назначенных состоялось 6 — Борис"
        in office.tasks()[-1] + office.tasks()[0]
    )


def test_an_alarm_closes_when_the_number_has_caught_up(office: Office) -> None:
    office.good_week("1")
    for day in (7, 8, 9):
        office.did("2", day, called=10, held=1)
    office.look()
    office.did("1", 10, called=10, held=4)
    office.did("2", 10, called=10, held=13)
    office.look("2026-12-11 06:00:00")
    assert office.open() == []
    with office.db.read() as conn:
        assert [a.close_reason for a in alarms.since(conn, ACCOUNT, MONDAY)] == ["recovered"]


def test_an_alarm_ends_with_its_week(office: Office) -> None:
    office.good_week("1")
    office.did("2", 7, called=1)
    office.look()
    assert office.open()
    office.look("2026-12-14 06:00:00")
    assert office.open() == []


def test_days_off_ask_nobody(office: Office) -> None:
    assert office.look("2026-12-12 06:00:00") == []
    assert office.tasks() == []


def test_the_answer_comes_back_once(office: Office) -> None:
    office.good_week("1")
    for day in (7, 8, 9):
        office.did("2", day, called=10, held=1)
    (alarm,) = office.look()
    assert office.control.collect_answers(ACCOUNT) == 0  # the task is not given yet
    with office.db.begin() as conn:
        effect = outbox.by_key(conn, ACCOUNT, alarm.ask_key)
        assert effect is not None
        outbox.finish(
            conn, outbox.start_attempt(conn, effect, utc(THURSDAY)), {"task_id": "77"}, utc(THURSDAY)
        )
    office.crm.answers["77"] = None
    assert office.control.collect_answers(ACCOUNT) == 0
    office.crm.answers["77"] = "Клиенты в отпусках"
    assert office.control.collect_answers(ACCOUNT) == 1
    assert office.control.collect_answers(ACCOUNT) == 0
    with office.db.read() as conn:
        kept = alarms.by_id(conn, ACCOUNT, alarm.id)
    assert kept is not None and kept.answer == "Клиенты в отпусках"


def _of(manager: str) -> dict[str, Any]:
    return {"account": ACCOUNT, "manager_id": manager, "deal_id": None, "is_deleted": False}
