"""What each manager did on each local day: the facts beneath kpi and pace, one metric a name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, Table, and_, literal, or_, select

from connector.domain import Period
from connector.figures.base import Facts, money, naive
from connector.figures.plan import MONEY_METRICS, days
from connector.store.schema import deals

#: Metric -> (relation, its moment, condition, number or hundredths), in the order of the sale.
_METRICS = {
    "leads": ("d", "created_at", "true", "count(*)"),
    "calls": ("calls_", "ts", "true", "count(*)"),
    "calls_answered": ("calls_", "ts", "answered", "count(*)"),
    "meetings": ("meetings_", "held_at", "status = 'held'", "count(*)"),
    "invoices": ("invoices_", "issued_at", "status <> 'cancelled'", "count(*)"),
    "invoices_amount": ("invoices_", "issued_at", "status <> 'cancelled' AND NOT is_foreign", "sum(amount)"),
    "paid_amount": ("invoices_", "paid_at", "NOT is_foreign", "sum(amount)"),
    "tasks_done": ("tasks_", "completed_at", "true", "count(*)"),
    "won": ("d", "closed_at", "outcome = 'won'", "count(*)"),
    "revenue": ("d", "closed_at", "outcome = 'won'", "sum(amount)"),
}

#: All metrics.
METRICS = tuple(_METRICS)

#: (manager, metric, local day) -> fact; what is not there is 0.
DailyFacts = Mapping[tuple[str, str, date], Decimal]


def daily_facts(facts: Facts, period: Period) -> DailyFacts:
    """Facts of the period by local day.

    By the deal's present owner: leads, deals created; won, revenue: deals won now, on the day of their last
    closing. By who did it: calls, all of them, and calls_answered; meetings held; invoices issued and not
    cancelled, their amount; paid_amount on the day of payment; tasks_done on that of completion. Amounts in
    another currency than the account's are in no sum.
    """
    keep_days(facts, period)
    parts = [
        f"SELECT manager, '{metric}', day, {what} FROM {relation} r "
        f"ASOF JOIN days ON r.{moment} >= days.start_at "
        f"WHERE {moment} >= $start AND {moment} < $stop AND {condition} GROUP BY ALL"
        for metric, (relation, moment, condition, what) in _METRICS.items()
    ]
    return {
        (manager, metric, day): money(value) if metric in MONEY_METRICS else Decimal(value)
        for manager, metric, day, value in facts.ask(" UNION ALL ".join(parts), period)
        if value
    }


def keep_days(facts: Facts, period: Period) -> None:
    """Have the local days of the period as the relation `days` (day, start_at)."""
    rows = [(day, naive(facts.midnight(day))) for day in days(period.start, period.end + timedelta(days=1))]
    facts.keep("days", {"day": "DATE", "start_at": "TIMESTAMP"}, rows)


def kept_activity(facts: Facts, table: Table) -> ColumnElement[bool]:
    """Activities of the account that count: not deleted, and of a kept deal or of none at all."""
    gone = (
        select(literal(1))
        .select_from(deals)
        .where(
            deals.c.account == table.c.account,
            deals.c.deal_id == table.c.deal_id,
            or_(deals.c.is_deleted.is_(True), deals.c.is_service.is_(True)),
        )
    )
    return and_(table.c.account == facts.account, table.c.is_deleted.is_(False), ~gone.exists())
