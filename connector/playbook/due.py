"""«1 working day», «2 часа», «завтра 10:00» -> the moment by which a task is due.

Minutes, hours and working days are counted in working time; days and weeks go by the calendar and then move
to the next working moment; a clock time stands as written, on a working day.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from connector.playbook.calendar import WorkingCalendar
from connector.playbook.words import fold, nearest

Unit = Literal["minute", "hour", "working day", "day", "week"]

_MAX_AMOUNT = 999
_EXAMPLES = "например, «1 рабочий день», «2 часа», «30 минут», «завтра 10:00»"

_UNITS: dict[str, Unit] = {
    **dict.fromkeys(("minute", "minutes", "min", "минута", "минуту", "минуты", "минут", "мин"), "minute"),
    **dict.fromkeys(("hour", "hours", "working hour", "working hours"), "hour"),
    **dict.fromkeys(("час", "часа", "часов", "ч"), "hour"),
    **dict.fromkeys(("рабочий час", "рабочих часа", "рабочих часов"), "hour"),
    **dict.fromkeys(("working day", "working days"), "working day"),
    **dict.fromkeys(("рабочий день", "рабочих дня", "рабочих дней"), "working day"),
    **dict.fromkeys(("day", "days", "день", "дня", "дней"), "day"),
    **dict.fromkeys(("week", "weeks", "неделя", "неделю", "недели", "недель"), "week"),
}  # fmt: skip
_DAYS = {"today": 0, "сегодня": 0, "tomorrow": 1, "завтра": 1}


@dataclass(frozen=True, slots=True)
class Span:
    """So much time after the start."""

    amount: int
    unit: Unit


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A local time today or tomorrow (`days_ahead`)."""

    days_ahead: int
    at: time


@functools.lru_cache(maxsize=256)
def parse_due(spec: str) -> Span | ClockTime:
    """What `spec` says. Raises ValueError with a Russian sentence when it says nothing known."""
    text = fold(spec)
    if found := re.fullmatch(r"([0-9]{1,4}) ?(\D+)", text):
        amount, word = int(found[1]), found[2].strip()
        if word not in _UNITS:
            guess = nearest(word, _UNITS)
            hint = f"может быть, «{amount} {guess}»?" if guess else _EXAMPLES
            raise ValueError(f"непонятный срок «{spec}»; {hint}")
        if not 1 <= amount <= _MAX_AMOUNT:
            raise ValueError(f"срок «{spec}»: число должно быть от 1 до {_MAX_AMOUNT}")
        return Span(amount, _UNITS[word])
    if found := re.fullmatch(r"(\w+)(?: в)? ([0-9]{1,2}):([0-9]{2})", text):
        if found[1] not in _DAYS or int(found[2]) > 23 or int(found[3]) > 59:
            raise ValueError(f"непонятный срок «{spec}»; {_EXAMPLES}")
        return ClockTime(_DAYS[found[1]], time(int(found[2]), int(found[3])))
    raise ValueError(f"непонятный срок «{spec}»; {_EXAMPLES}")


def due_at(spec: str, now: datetime, timezone: str, calendar: WorkingCalendar) -> datetime:
    """When the task is due, aware UTC. `now` is aware, `timezone` the account's IANA name.

    Raises ValueError when `spec` is none; the playbook's own were checked when it was loaded.
    """
    zone = ZoneInfo(timezone)
    local = now.astimezone(zone).replace(tzinfo=None)
    due = _local_due(parse_due(spec), local, calendar).replace(tzinfo=zone).astimezone(UTC)
    # The hour that a clock is put back exists twice: what lies ahead locally may then lie behind.
    return max(due, now.astimezone(UTC))


def _local_due(spec: Span | ClockTime, now: datetime, calendar: WorkingCalendar) -> datetime:
    if isinstance(spec, ClockTime):
        day = calendar.next_working_day(now.date() + timedelta(days=spec.days_ahead))
        if datetime.combine(day, spec.at) <= now:
            day = calendar.next_working_day(day + timedelta(days=1))
        return datetime.combine(day, spec.at)
    match spec.unit:
        case "minute":
            return calendar.add_working_time(now, timedelta(minutes=spec.amount))
        case "hour":
            return calendar.add_working_time(now, timedelta(hours=spec.amount))
        case "working day":
            return calendar.add_working_time(now, spec.amount * calendar.day_length)
        case "day":
            return calendar.next_working_moment(now + timedelta(days=spec.amount))
        case "week":
            return calendar.next_working_moment(now + timedelta(weeks=spec.amount))
