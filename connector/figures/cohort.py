"""Deals of a cohort with how much was done for each: what the way back from a revenue is reckoned from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Period
from connector.figures.base import Facts, money


@dataclass(frozen=True, slots=True)
class CohortDeal:
    """One deal: its won amount (0 unless won) and how many of each thing it had before `as_of`.

    calls: all of them, `calls_answered` the answered ones; meetings held; invoices not cancelled.
    """

    is_won: bool
    amount: Decimal
    calls: int
    calls_answered: int
    meetings: int
    invoices: int


def cohort(facts: Facts, period: Period) -> list[CohortDeal]:
    """Kept deals created in the period, as they stand at `as_of`."""
    rows = facts.ask(
        f"WITH {COHORT} SELECT is_won, amount, calls, calls_answered, meetings, invoices FROM cohort "
        "ORDER BY created_at, deal_id",
        period,
    )
    return [CohortDeal(is_won, money(amount), *done) for is_won, amount, *done in rows]


#: Deals created in the period with numbers of what was done for each.
COHORT = """
born AS (SELECT * FROM d WHERE created_at >= $start AND created_at < $stop),
called AS (
    SELECT deal_id, count(*) AS calls, count(*) FILTER (answered) AS calls_answered
    FROM calls_ SEMI JOIN born USING (deal_id) WHERE ts < $as_of GROUP BY deal_id
),
met AS (
    SELECT deal_id, count(*) AS meetings
    FROM meetings_ SEMI JOIN born USING (deal_id) WHERE status = 'held' AND held_at < $as_of GROUP BY deal_id
),
billed AS (
    SELECT deal_id, count(*) AS invoices
    FROM invoices_ SEMI JOIN born USING (deal_id) WHERE status <> 'cancelled' AND issued_at < $as_of
    GROUP BY deal_id
),
cohort AS (
    SELECT deal_id, pipeline_id, created_at, outcome = 'won' AS is_won,
           CASE WHEN outcome = 'won' THEN amount ELSE 0 END AS amount, coalesce(calls, 0) AS calls,
           coalesce(calls_answered, 0) AS calls_answered, coalesce(meetings, 0) AS meetings,
           coalesce(invoices, 0) AS invoices
    FROM born LEFT JOIN called USING (deal_id) LEFT JOIN met USING (deal_id) LEFT JOIN billed USING (deal_id)
)
"""
