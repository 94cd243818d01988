"""Which days and hours are worked: the Russian production calendar with the company's own days on top.

The official calendar (moved days off and working Saturdays included) comes from the `holidays` package; years
for which the government has not yet moved anything have the holidays of the Labour Code only.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import holidays

WORK_STARTS_AT = time(9)
WORK_ENDS_AT = time(18)

#: Longer than any run of days off; a calendar without a working day in it is a mistake.
_LONGEST_BREAK = 370


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """Working days and hours of one company, in its local time.

    `days_off` and `working_days` are the company's own and win over the official calendar.
    """

    days_off: frozenset[date] = frozenset()
    working_days: frozenset[date] = frozenset()
    starts_at: time = WORK_STARTS_AT
    ends_at: time = WORK_ENDS_AT

    def is_working_day(self, day: date) -> bool:
        """True when the company works on that local day."""
        if day in self.days_off:
            return False
        if day in self.working_days:
            return True
        official = _official_year(day.year)
        return day in official.working_weekends or (day.weekday() < 5 and day not in official.days_off)

    def working_days_between(self, start: date, end: date) -> int:
        """How many working days the half-open span [start, end) has."""
        return sum(self.is_working_day(day) for day in _days(start, end))

    def next_working_day(self, day: date) -> date:
        """The first working day on or after `day`. Raises ValueError when a year has none."""
        last = day + timedelta(days=_LONGEST_BREAK)
        for candidate in _days(day, last):
            if self.is_working_day(candidate):
                return candidate
        raise ValueError(f"в календаре нет рабочих дней с {day:%d.%m.%Y} по {last:%d.%m.%Y}")

    def next_working_moment(self, moment: datetime) -> datetime:
        """`moment` (naive local) when it lies in working hours, else the next start of work.

        The end of work is no longer working time.
        """
        if self.is_working_day(moment.date()):
            if moment.time() < self.starts_at:
                return datetime.combine(moment.date(), self.starts_at)
            if moment.time() < self.ends_at:
                return moment
        return datetime.combine(self.next_working_day(moment.date() + timedelta(days=1)), self.starts_at)

    def add_working_time(self, moment: datetime, span: timedelta) -> datetime:
        """The moment (naive local) by which `span` of working time has passed since `moment`.

        A span that ends with a working day gives the end of that day, not the start of the next one.
        """
        current = self.next_working_moment(moment)
        while True:
            left_today = datetime.combine(current.date(), self.ends_at) - current
            if span <= left_today:
                return current + span
            span -= left_today
            tomorrow = self.next_working_day(current.date() + timedelta(days=1))
            current = datetime.combine(tomorrow, self.starts_at)

    @property
    def day_length(self) -> timedelta:
        """How long a working day is."""
        return datetime.combine(date.min, self.ends_at) - datetime.combine(date.min, self.starts_at)


@dataclass(frozen=True, slots=True)
class _OfficialYear:
    days_off: frozenset[date]
    working_weekends: frozenset[date]


@functools.lru_cache(maxsize=64)
def _official_year(year: int) -> _OfficialYear:
    # One object a year, never shared: the package fills years in on first look-up, and a second thread
    # would see a year half done.
    official = holidays.country_holidays("RU", years=year)
    return _OfficialYear(
        days_off=frozenset(official), working_weekends=frozenset(getattr(official, "weekend_workdays", ()))
    )


def _days(start: date, end: date) -> Iterator[date]:
    day = start
    while day < end:
        yield day
        day += timedelta(days=1)
