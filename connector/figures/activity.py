"""What each manager did on each local day: the facts beneath kpi and pace, one metric a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.base import Facts

#: Metrics that deals carry; those of calls, meetings, invoices and tasks join here with their tables.
METRICS = ("leads", "won", "revenue")

#: (manager, metric, local day) -> fact; what is not there is 0.
DailyFacts = Mapping[tuple[str, str, date], Decimal]


def daily_facts(facts: Facts, period: Period) -> DailyFacts:
    """Facts of the period by local day.

    leads: deals created, by present owner; won, revenue: deals won now, on the day of their last closing.
    """
    found: dict[tuple[str, str, date], Decimal] = defaultdict(Decimal)
    for deal in facts.created_in(period):
        found[deal.manager, "leads", facts.day(deal.created_at)] += 1
    for deal in facts.closed_in(period):
        if deal.outcome is Outcome.WON and deal.closed_at:
            day = facts.day(deal.closed_at)
            found[deal.manager, "won", day] += 1
            found[deal.manager, "revenue", day] += deal.amount
    return found
