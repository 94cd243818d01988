"""Report schedules as cron and as a question to the calendar."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger

from connector.playbook.calendar import WorkingCalendar
from connector.playbook.model import ReportSchedule
from connector.playbook.schedule import cron_of, is_due_on

CALENDAR = WorkingCalendar(
    days_off=frozenset({date(2026, 11, 24)}), working_days=frozenset({date(2026, 11, 28)})
)
ZONE = ZoneInfo("Europe/Moscow")


def schedule(on: object, at: str = "09:30") -> ReportSchedule:
    return ReportSchedule.model_validate({"report": "owner_daily", "at": at, "on": on, "to": "owner"})


CASES = [
    ("daily", "30 9 * * *", range(1, 31)),
    (
        "working_days",
        "30 9 * * *",
        [2, 3, 5, 6, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 23, 25, 26, 27, 28, 30],
    ),
    ("monday", "30 9 * * mon", [2, 9, 16, 23, 30]),
    (["воскресенье", "Monday"], "30 9 * * mon,sun", [1, 2, 8, 9, 15, 16, 22, 23, 29, 30]),
    (["1st", "15-е"], "30 9 1,15 * *", [1, 15]),
    ("31st", "30 9 31 * *", []),
    (["15th", "last"], "30 9 15,last * *", [15, 30]),
    ("последний рабочий день", "30 9 * * *", [30]),
    (["15th", "last_working_day"], "30 9 * * *", [15, 30]),
]


@pytest.mark.parametrize(("on", "cron", "days"), CASES)
def test_a_report_goes_on_its_days(on: object, cron: str, days: list[int]) -> None:
    assert cron_of(schedule(on)) == cron
    november = [date(2026, 11, day) for day in range(1, 31)]
    assert [day.day for day in november if is_due_on(schedule(on), day, CALENDAR)] == list(days)


@pytest.mark.parametrize(("on", "cron", "days"), CASES)
def test_the_schedulers_slots_cover_every_day_that_is_due(on: object, cron: str, days: list[int]) -> None:
    trigger = CronTrigger.from_crontab(cron, timezone=ZONE)
    moment, slots = datetime(2026, 11, 1, tzinfo=ZONE), []
    while (moment := trigger.get_next_fire_time(None, moment)) and moment < datetime(
        2026, 12, 1, tzinfo=ZONE
    ):
        assert (moment.hour, moment.minute) == (9, 30)
        slots.append(moment.day)
        moment += timedelta(seconds=1)
    assert set(days) <= set(slots)
    if cron != "30 9 * * *":
        assert slots == list(days)


@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2025, [17, 20, 21, 22, 18, 19, 23, 21, 22, 23, 19, 22]),
        (2026, [15, 19, 21, 22, 19, 21, 23, 21, 22, 22, 20, 22]),
    ],
)
def test_working_days_of_each_month_are_those_of_the_production_calendar(year: int, days: list[int]) -> None:
    firsts = [date(year + month // 12, month % 12 + 1, 1) for month in range(13)]
    assert [WorkingCalendar().working_days_between(*pair) for pair in itertools.pairwise(firsts)] == days


def test_the_last_working_day_may_be_earlier_than_the_last_but_never_missing() -> None:
    calendar = WorkingCalendar(days_off=frozenset({date(2026, 12, 30)}))
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(365)]
    due = [day for day in days if is_due_on(schedule("last_working_day"), day, calendar)]
    assert [day.month for day in due] == list(range(1, 13))
    # 31 December is a moved day off, the company adds the 30th; 31 January is a Saturday.
    assert (due[11], due[0], due[10]) == (date(2026, 12, 29), date(2026, 1, 30), date(2026, 11, 30))


def test_a_zone_that_nobody_knows_is_named_with_the_nearest() -> None:
    given = {"report": "owner_daily", "at": "09:00", "on": "daily", "to": "owner"}
    assert ReportSchedule.model_validate({**given, "zone": "Asia/Omsk"}).zone == "Asia/Omsk"
    with pytest.raises(ValueError, match="Asia/Omsk"):
        ReportSchedule.model_validate({**given, "zone": "Asia/Omks"})
