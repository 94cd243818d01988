"""When a cron expression fires next. Pure; APScheduler does the reckoning, zones and summer time included.

Two things differ from crontab(5) in APScheduler 3: its day of the week counts from Monday as 0, which is set
right here (0 and 7 are Sunday), and day of month and day of week, when both are given, must both fit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger

DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def next_fire(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first moment later than `after`, aware UTC; None when there is none. ValueError: not a cron."""
    fire: datetime | None = _trigger(cron, zone).get_next_fire_time(None, after + timedelta(microseconds=1))
    return None if fire is None else fire.astimezone(UTC)


@lru_cache(maxsize=256)
def _trigger(cron: str, zone: ZoneInfo) -> CronTrigger:
    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(f"five fields expected, got {len(fields)}")
    return CronTrigger.from_crontab(" ".join([*fields[:4], _named_days(fields[4])]), timezone=zone)


def _named_days(field: str) -> str:
    """The field for days of the week with names instead of numbers: «1-5» is `mon,tue,wed,thu,fri`."""
    return ",".join(_named_part(part) for part in field.split(","))


def _named_part(part: str) -> str:
    spelt = re.sub(r"^\*/", "0-6/", part)
    match = re.fullmatch(r"(?P<first>[0-7])(?:-(?P<last>[0-7]))?(?:/(?P<step>[1-7]))?", spelt)
    if match is None:
        return part
    first = int(match["first"])
    last = int(match["last"] or (7 if match["step"] else first))
    if last < first:
        raise ValueError(f"day of week {part!r} runs backwards")
    days = range(first, last + 1, int(match["step"] or 1))
    return ",".join(dict.fromkeys(DAY_NAMES[day] for day in days))
