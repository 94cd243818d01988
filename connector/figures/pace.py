"""Where the month of the last reported day stands against its plan, and where it leads at this pace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from connector.domain import Period
from connector.figures.activity import METRICS, daily_facts
from connector.figures.base import Facts
from connector.figures.plan import (
    MONEY_METRICS,
    IsWorking,
    Plan,
    month_plans,
    month_start,
    next_month,
    sum_of_known,
    weekdays,
    working_days,
)
from connector.figures.sales import ALL
from connector.figures.stats import divide, natural

__all__ = ["PaceRow", "Plan", "pace"]


@dataclass(frozen=True, slots=True)
class PaceRow:
    """One metric of one manager, `all` for everybody. Days are working days; percents are per cent."""

    manager: str
    metric: str
    fact: Decimal
    plan: Decimal | None
    days_elapsed: int
    days_total: int
    expected: Decimal | None
    pace_percent: Decimal | None
    forecast: Decimal | None
    forecast_percent: Decimal | None
    needed_per_day: Decimal | None

    @property
    def is_money(self) -> bool:
        """Whether the metric is a sum of money; all others count things."""
        return self.metric in MONEY_METRICS


def pace(facts: Facts, plans: Sequence[Plan], is_working: IsWorking = weekdays) -> list[PaceRow]:
    """Rows of `all` for each metric, and of each manager with a plan or a fact in the month of `last_day`."""
    month = month_start(facts.last_day)
    end = next_month(month)
    elapsed = working_days(month, facts.last_day + timedelta(days=1), is_working)
    total = working_days(month, end, is_working)

    done: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for (manager, metric, _), value in daily_facts(facts, Period(month, end)).items():
        done[manager, metric] += value
        done[ALL, metric] += value
    planned: dict[tuple[str, str], Decimal] = {}
    for (manager, of_month, metric), value in month_plans(plans).items():
        if of_month == month and metric in METRICS:
            planned[manager, metric] = value
    for metric in METRICS:
        whole = sum_of_known([value for (_, of), value in planned.items() if of == metric])
        if whole is not None:
            planned[ALL, metric] = whole

    keys = {key for key, value in done.items() if value} | planned.keys() | {(ALL, m) for m in METRICS}
    return [
        _row(*key, fact=done[key], plan=planned.get(key), elapsed=elapsed, total=total)
        for key in sorted(keys, key=lambda k: (natural(k[0]), k[1]))
    ]


def _row(
    manager: str, metric: str, *, fact: Decimal, plan: Decimal | None, elapsed: int, total: int
) -> PaceRow:
    expected = divide(plan * elapsed, total) if plan is not None else None
    forecast = divide(fact * total, elapsed)
    pace_share = divide(fact, expected)
    forecast_share = divide(forecast, plan)
    return PaceRow(
        manager=manager,
        metric=metric,
        fact=fact,
        plan=plan,
        days_elapsed=elapsed,
        days_total=total,
        expected=expected,
        pace_percent=None if pace_share is None else pace_share * 100,
        forecast=forecast,
        forecast_percent=None if forecast_share is None else forecast_share * 100,
        needed_per_day=None if plan is None else divide(max(plan - fact, Decimal(0)), total - elapsed),
    )
