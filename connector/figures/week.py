"""What control looks at beside the daily facts: meetings agreed for days gone by, contracts issued."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from connector.domain import Period
from connector.figures.activity import kept_activity
from connector.figures.base import Facts
from connector.figures.stats import NONE
from connector.store.schema import deals, documents, meetings


@dataclass(frozen=True, slots=True)
class Agreed:
    """Meetings agreed for a time that has passed, and how many of them took place."""

    agreed: int
    held: int


def agreed_meetings(facts: Facts, period: Period) -> dict[str, Agreed]:
    """By manager: meetings whose agreed time lies in the period and before `as_of`.

    One that was moved counts at its new time alone: CRMs keep no other.
    """
    start, end = facts.bounds(period)
    statement = select(meetings.c.manager_id, meetings.c.status).where(
        kept_activity(facts, meetings), meetings.c.planned_at >= start, meetings.c.planned_at < end
    )
    agreed: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for manager, status in facts.conn.execute(statement):
        agreed[manager or NONE] += 1
        held[manager or NONE] += status == "held"
    return {manager: Agreed(count, held[manager]) for manager, count in agreed.items()}


def contracts(facts: Facts, period: Period) -> Mapping[tuple[str, date], int]:
    """(manager, day) -> deals whose first contract was issued on that day, by their present owner."""
    statement = (
        select(deals.c.responsible_id, documents.c.issued_on, documents.c.deal_id)
        .join_from(
            documents,
            deals,
            (deals.c.account == documents.c.account) & (deals.c.deal_id == documents.c.deal_id),
        )
        .where(
            documents.c.account == facts.account,
            documents.c.kind == "contract",
            documents.c.created_at < facts.as_of,
            deals.c.is_deleted.is_(False),
        )
        .order_by(documents.c.id)
    )
    seen: set[str] = set()
    found: Counter[tuple[str, date]] = Counter()
    for manager, day, deal_id in facts.conn.execute(statement):
        if deal_id not in seen and period.start <= day < period.end:
            found[manager or NONE, day] += 1
        seen.add(deal_id)
    return found
