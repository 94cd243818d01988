"""When reports go: as cron for the scheduler's ticks, and as a question to the calendar on the day itself."""

from __future__ import annotations

from datetime import date, timedelta

from connector.playbook.calendar import WorkingCalendar
from connector.playbook.fields import WEEKDAYS
from connector.playbook.model import ReportSchedule


def cron_of(schedule: ReportSchedule) -> str:
    """Five fields of cron, as APScheduler's `CronTrigger.from_crontab` reads them, in the schedule's zone.

    Working days and the last of them become every day: cron knows neither holidays nor working Saturdays,
    `is_due_on` does.
    Weekdays stand by name, since APScheduler and cron count them differently.
    """
    clock = f"{schedule.at.minute} {schedule.at.hour}"
    if schedule.on[0] in WEEKDAYS:
        days = sorted(schedule.on, key=WEEKDAYS.index)
        return f"{clock} * * {','.join(day[:3] for day in days)}"
    if schedule.on[0] in ("daily", "working_days") or "last_working_day" in schedule.on:
        return f"{clock} * * *"
    return f"{clock} {','.join(schedule.on)} * *"


def is_due_on(schedule: ReportSchedule, day: date, calendar: WorkingCalendar) -> bool:
    """Whether the report goes on that local day; asked when a slot of `cron_of` is run."""
    is_last = (day + timedelta(days=1)).day == 1
    return any(
        word == "daily"
        or (word == "working_days" and calendar.is_working_day(day))
        or word == WEEKDAYS[day.weekday()]
        or word == str(day.day)
        or (word == "last" and is_last)
        or (word == "last_working_day" and _is_last_working_day(day, calendar))
        for word in schedule.on
    )


def _is_last_working_day(day: date, calendar: WorkingCalendar) -> bool:
    month_after = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return calendar.is_working_day(day) and not calendar.working_days_between(
        day + timedelta(days=1), month_after
    )
