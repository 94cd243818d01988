"""Monthly plans and how they fall on working days. Where plans come from is not known here."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connector.figures.stats import NONE

#: Metrics that are sums of money; all others count things.
MONEY_METRICS = frozenset({"revenue", "invoices_amount", "paid_amount"})

#: Whether people work on a day.
IsWorking = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be reached in the month that starts at `month`.

    `manager_id` None: the part of the department's plan that nobody has been given.
    """

    manager_id: str | None
    month: date
    metric: str
    value: Decimal

    @property
    def manager(self) -> str:
        """The group key, `(none)` for the part that nobody has been given."""
        return self.manager_id or NONE


def weekdays(day: date) -> bool:
    """Monday to Friday, without holidays: the calendar that the definitions take when none is given."""
    return day.isoweekday() <= 5


def month_start(day: date) -> date:
    """The first day of the day's month."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after the day's."""
    return month_end(day) + timedelta(days=1)


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def days(start: date, end: date) -> Iterator[date]:
    """The days of [start, end)."""
    for offset in range((end - start).days):
        yield start + timedelta(days=offset)


def working_days(start: date, end: date, is_working: IsWorking) -> int:
    """How many working days [start, end) has."""
    return sum(is_working(day) for day in days(start, end))


def month_plans(plans: Iterable[Plan]) -> dict[tuple[str, date, str], Decimal]:
    """(manager, first of the month, metric) -> plan; several plans of one key are parts and add up."""
    found: dict[tuple[str, date, str], Decimal] = {}
    for plan in plans:
        key = (plan.manager, month_start(plan.month), plan.metric)
        found[key] = found.get(key, Decimal(0)) + plan.value
    return found


def sum_of_known(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None
