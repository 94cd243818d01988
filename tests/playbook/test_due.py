"""Due dates fall into working time, whatever hour the deal moved at."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.playbook.calendar import WorkingCalendar
from connector.playbook.due import due_at, parse_due

CALENDAR = WorkingCalendar()
ZONE = "Europe/Moscow"


def local(text: str) -> datetime:
    return datetime.strptime(text, "%d.%m.%Y %H:%M").replace(tzinfo=ZoneInfo(ZONE))


@pytest.mark.parametrize(
    ("spec", "now", "due"),
    [
        # 24.11.2026 is a Tuesday.
        ("1 working day", "24.11.2026 14:20", "25.11.2026 14:20"),
        ("1 рабочий день", "24.11.2026 20:00", "25.11.2026 18:00"),
        ("1 working day", "27.11.2026 14:20", "30.11.2026 14:20"),
        ("1 working day", "29.11.2026 03:00", "30.11.2026 18:00"),
        ("3 рабочих дня", "26.11.2026 10:00", "01.12.2026 10:00"),
        ("2 hours", "24.11.2026 14:20", "24.11.2026 16:20"),
        ("2 часа", "24.11.2026 16:00", "24.11.2026 18:00"),
        ("2 часа", "27.11.2026 17:00", "30.11.2026 10:00"),
        ("2 рабочих часа", "29.11.2026 03:00", "30.11.2026 11:00"),
        ("20 hours", "24.11.2026 09:00", "26.11.2026 11:00"),
        ("30 minutes", "24.11.2026 17:59", "25.11.2026 09:29"),
        ("30минут", "24.11.2026 08:00", "24.11.2026 09:30"),
        ("2 days", "24.11.2026 14:20", "26.11.2026 14:20"),
        ("2 дня", "26.11.2026 14:20", "30.11.2026 09:00"),
        ("1 неделю", "24.11.2026 20:00", "02.12.2026 09:00"),
        ("сегодня 18:00", "24.11.2026 14:20", "24.11.2026 18:00"),
        ("Сегодня в 12:00", "24.11.2026 14:20", "25.11.2026 12:00"),
        ("today 12:00", "27.11.2026 14:20", "30.11.2026 12:00"),
        ("завтра 10:00", "24.11.2026 14:20", "25.11.2026 10:00"),
        ("tomorrow 10:00", "27.11.2026 14:20", "30.11.2026 10:00"),
        # The New Year holidays, the day off moved to 31.12 and the one moved to 09.01.2026.
        ("1 working day", "30.12.2026 12:00", "11.01.2027 12:00"),
        ("1 working day", "30.12.2025 12:00", "12.01.2026 12:00"),
        # 01.11.2025 was a working Saturday.
        ("1 working day", "31.10.2025 12:00", "01.11.2025 12:00"),
    ],
)
def test_due(spec: str, now: str, due: str) -> None:
    found = due_at(spec, local(now), ZONE, CALENDAR)
    assert found.utcoffset() == timedelta(0)
    assert found == local(due)


def test_due_depends_on_the_accounts_zone() -> None:
    now = datetime(2026, 11, 24, 14, tzinfo=UTC)  # 17:00 in Moscow, 0:00 of the next day in Vladivostok.
    assert due_at("2 часа", now, "Europe/Moscow", CALENDAR) == datetime(2026, 11, 25, 7, tzinfo=UTC)
    assert due_at("2 часа", now, "Asia/Vladivostok", CALENDAR) == datetime(2026, 11, 25, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("1 woking day", "непонятный срок «1 woking day»; может быть, «1 working day»?"),
        ("3 рабочик дня", "непонятный срок «3 рабочик дня»; может быть, «3 рабочих дня»?"),
        ("скоро", "непонятный срок «скоро»; например,"),
        ("0 часов", "срок «0 часов»: число должно быть от 1 до 999"),
        ("1000 дней", "срок «1000 дней»: число должно быть"),
        ("завтра 25:00", "непонятный срок «завтра 25:00»"),
        ("послезавтра 10:00", "непонятный срок «послезавтра 10:00»"),
        ("", "непонятный срок «»"),
        ("-1 час", "непонятный срок «-1 час»"),
    ],
)
def test_a_due_that_says_nothing_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_due(spec)
    assert str(raised.value).startswith(message)


moments = st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC))
zones = st.sampled_from(["Europe/Moscow", "Asia/Kamchatka", "Europe/Berlin", "America/New_York"])
specs = st.builds(
    "{} {}".format, st.integers(1, 40), st.sampled_from(["минут", "часов", "рабочих дней", "дней"])
)


@settings(deadline=None)
@given(moments, zones, specs)
def test_a_due_lies_ahead_and_in_working_hours(now: datetime, zone: str, spec: str) -> None:
    due = due_at(spec, now, zone, CALENDAR)
    there = due.astimezone(ZoneInfo(zone))
    assert due >= now
    assert CALENDAR.is_working_day(there.date())
    assert time(9) <= there.time() <= time(18)


@settings(deadline=None)
@given(moments, moments, specs)
def test_who_starts_later_is_due_later(first: datetime, second: datetime, spec: str) -> None:
    earlier, later = sorted([first, second])
    assert due_at(spec, earlier, ZONE, CALENDAR) <= due_at(spec, later, ZONE, CALENDAR)


def test_own_hours_and_days_win() -> None:
    own = WorkingCalendar(
        days_off=frozenset({date(2026, 11, 25)}),
        working_days=frozenset({date(2026, 11, 28)}),
        starts_at=time(10),
        ends_at=time(19),
    )
    assert due_at("1 час", local("24.11.2026 18:30"), ZONE, own) == local("26.11.2026 10:30")
    assert due_at("1 рабочий день", local("27.11.2026 12:00"), ZONE, own) == local("28.11.2026 12:00")


@pytest.mark.parametrize(
    ("day", "works"),
    [
        (date(2026, 11, 4), False),
        (date(2025, 11, 1), True),
        (date(2025, 5, 2), False),
        (date(2025, 12, 31), False),
        (date(2024, 12, 28), True),
        (date(2026, 3, 9), False),
        (date(2026, 11, 24), True),
        (date(2026, 11, 28), False),
    ],
)
def test_the_official_calendar_with_its_moved_days(day: date, works: bool) -> None:
    assert CALENDAR.is_working_day(day) is works


def test_working_days_of_a_year_are_the_official_number() -> None:
    # 247 and 248: the production calendars of 2025 and 2024.
    assert CALENDAR.working_days_between(date(2025, 1, 1), date(2026, 1, 1)) == 247
    assert CALENDAR.working_days_between(date(2024, 1, 1), date(2025, 1, 1)) == 248


def test_a_calendar_without_working_days_is_refused() -> None:
    closed = WorkingCalendar(days_off=frozenset(date(2026, 1, 1) + timedelta(days=n) for n in range(800)))
    with pytest.raises(ValueError, match="нет рабочих дней"):
        closed.next_working_day(date(2026, 1, 1))
