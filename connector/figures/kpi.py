"""Fact and plan of each manager and metric by day, week and month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connector.domain import Period
from connector.figures.activity import METRICS, daily_facts
from connector.figures.base import Facts
from connector.figures.plan import (
    MONEY_METRICS,
    IsWorking,
    Plan,
    days,
    month_plans,
    month_start,
    next_month,
    weekdays,
    working_days,
)
from connector.figures.stats import divide, natural


@dataclass(frozen=True, slots=True)
class KpiRow:
    """One metric of one manager in the day, week or month that starts on `start`; `percent` is per cent."""

    period: str
    manager: str
    start: date
    metric: str
    fact: Decimal
    plan: Decimal | None
    percent: Decimal | None

    @property
    def is_money(self) -> bool:
        """Whether the metric is a sum of money; all others count things."""
        return self.metric in MONEY_METRICS


def kpi(
    facts: Facts, period: Period, plans: Sequence[Plan], is_working: IsWorking = weekdays
) -> list[KpiRow]:
    """Rows that start on or after the first day of the month of `period.start` and before `period.end`.

    Weeks and months are whole ones, also where they reach beyond the period. A row with neither fact nor plan
    is left out.
    """
    first = month_start(period.start)
    last_month_end = next_month(period.end - timedelta(days=1)) if period.end > first else first
    reach = Period(first, max(last_month_end, period.end + timedelta(days=6)))

    done: dict[tuple[str, str, date, str], Decimal] = defaultdict(Decimal)
    for (manager, metric, day), value in daily_facts(facts, reach).items():
        for unit, start in _units(day):
            done[unit, manager, start, metric] += value
    planned: dict[tuple[str, str, date, str], Decimal] = defaultdict(Decimal)
    for (manager, month, metric), value in month_plans(plans).items():
        if metric not in METRICS or not first <= month < reach.end:
            continue
        planned["month", manager, month, metric] = value
        end = next_month(month)
        total = working_days(month, end, is_working)
        for day in days(month, end):
            share = value / total if is_working(day) else Decimal(0)
            planned["day", manager, day, metric] += share
            planned["week", manager, _monday(day), metric] += share

    rows = []
    for key in done.keys() | planned.keys():
        unit, manager, start, metric = key
        fact, plan = done.get(key, Decimal(0)), planned.get(key)
        if first <= start < period.end and (fact or plan):
            percent = divide(fact * 100, plan)
            rows.append(KpiRow(unit, manager, start, metric, fact, plan, percent))
    return sorted(rows, key=lambda row: (row.period, natural(row.manager), row.start, row.metric))


def _units(day: date) -> tuple[tuple[str, date], ...]:
    """The day, week and month that a day belongs to."""
    return ("day", day), ("week", _monday(day)), ("month", month_start(day))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
