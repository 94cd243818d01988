"""What each manager did on each local day: the facts beneath kpi and pace, one metric a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, and_, literal, or_, select

from connector.domain import Outcome, Period
from connector.figures.base import Facts
from connector.figures.stats import NONE
from connector.store.schema import calls, deals, invoices, meetings, tasks

#: All metrics, in the order of the sale.
METRICS = (
    *("leads", "calls", "calls_answered", "meetings", "invoices", "invoices_amount", "paid_amount"),
    *("tasks_done", "won", "revenue"),
)

#: (manager, metric, local day) -> fact; what is not there is 0.
DailyFacts = Mapping[tuple[str, str, date], Decimal]


def daily_facts(facts: Facts, period: Period) -> DailyFacts:
    """Facts of the period by local day.

    By the deal's present owner: leads, deals created; won, revenue: deals won now, on the day of their last
    closing. By who did it: calls, all of them, and calls_answered; meetings held; invoices issued and not
    cancelled, their amount; paid_amount on the day of payment; tasks_done on that of completion. Amounts in
    another currency than the account's are in no sum.
    """
    found: dict[tuple[str, str, date], Decimal] = defaultdict(Decimal)
    for deal in facts.created_in(period):
        found[deal.manager, "leads", facts.day(deal.created_at)] += 1
    for deal in facts.closed_in(period):
        if deal.outcome is Outcome.WON and deal.closed_at:
            day = facts.day(deal.closed_at)
            found[deal.manager, "won", day] += 1
            found[deal.manager, "revenue", day] += deal.amount
    start, end = facts.bounds(period)
    for manager, at, answered in _rows(facts, calls, calls.c.at, start, end, calls.c.answered):
        found[manager, "calls", facts.day(at)] += 1
        found[manager, "calls_answered", facts.day(at)] += bool(answered)
    held = meetings.c.status == "held"
    for manager, at, _ in _rows(facts, meetings, meetings.c.held_at, start, end, literal(1), held):
        found[manager, "meetings", facts.day(at)] += 1
    issued = invoices.c.status != "cancelled"
    for manager, at, amount in _money(facts, invoices.c.issued_at, start, end, issued):
        found[manager, "invoices", facts.day(at)] += 1
        found[manager, "invoices_amount", facts.day(at)] += amount
    for manager, at, amount in _money(facts, invoices.c.paid_at, start, end):
        found[manager, "paid_amount", facts.day(at)] += amount
    for manager, at, _ in _rows(facts, tasks, tasks.c.completed_at, start, end, literal(1)):
        found[manager, "tasks_done", facts.day(at)] += 1
    return found


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


def _rows(
    facts: Facts,
    table: Table,
    at: Column[Any],
    start: datetime,
    end: datetime,
    value: ColumnElement[Any],
    *conditions: ColumnElement[bool],
) -> Iterator[tuple[str, datetime, Any]]:
    """(manager, when, value) of the table's rows in [start, end)."""
    statement = select(table.c.manager_id, at, value).where(
        kept_activity(facts, table), at >= start, at < end, *conditions
    )
    for manager, moment, what in facts.conn.execute(statement):
        yield manager or NONE, moment, what


def _money(
    facts: Facts, at: Column[Any], start: datetime, end: datetime, *conditions: ColumnElement[bool]
) -> Iterator[tuple[str, datetime, Decimal]]:
    """(manager, when, amount) of invoices; 0 for an empty amount and for one in another currency."""
    statement = select(invoices.c.manager_id, at, invoices.c.amount, invoices.c.currency).where(
        kept_activity(facts, invoices), at >= start, at < end, *conditions
    )
    for manager, moment, amount, currency in facts.conn.execute(statement):
        is_foreign = facts.currency is not None and currency != facts.currency
        yield manager or NONE, moment, Decimal(0) if is_foreign or amount is None else amount
