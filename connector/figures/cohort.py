"""Deals of a cohort with how much was done for each: what the way back from a revenue is reckoned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ColumnElement, Table, and_, case, func, select

from connector.domain import Outcome, Period
from connector.figures.base import CHUNK, Facts
from connector.store.schema import calls, invoices, meetings


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
    return [deal for of in cohort_by_pipeline(facts, period).values() for deal in of]


def cohort_by_pipeline(facts: Facts, period: Period) -> dict[str, list[CohortDeal]]:
    """The same by the pipeline that the deals are in."""
    deals = facts.created_in(period)
    done = _Done(facts, [deal.id for deal in deals])
    found: dict[str, list[CohortDeal]] = {}
    for deal in deals:
        found.setdefault(deal.pipeline_id, []).append(
            CohortDeal(
                is_won=deal.outcome is Outcome.WON,
                amount=deal.amount if deal.outcome is Outcome.WON else Decimal(0),
                calls=done.calls.get(deal.id, 0),
                calls_answered=done.answered.get(deal.id, 0),
                meetings=done.meetings.get(deal.id, 0),
                invoices=done.invoices.get(deal.id, 0),
            )
        )
    return found


class _Done:
    """Numbers of activities by deal."""

    def __init__(self, facts: Facts, deal_ids: Sequence[str]) -> None:
        self._facts = facts
        self.calls: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.meetings: dict[str, int] = {}
        self.invoices: dict[str, int] = {}
        for start in range(0, len(deal_ids), CHUNK):
            self._count(deal_ids[start : start + CHUNK])

    def _count(self, ids: Sequence[str]) -> None:
        of_calls = select(
            calls.c.deal_id, func.count(), func.sum(case((calls.c.answered.is_(True), 1), else_=0))
        ).where(self._among(calls, ids), calls.c.at < self._facts.as_of)
        for deal_id, count, answered in self._facts.conn.execute(of_calls.group_by(calls.c.deal_id)):
            self.calls[deal_id], self.answered[deal_id] = count, int(answered)
        held = and_(
            self._among(meetings, ids), meetings.c.status == "held", meetings.c.held_at < self._facts.as_of
        )
        self.meetings.update(self._counts(meetings, held))
        issued = and_(
            self._among(invoices, ids),
            invoices.c.status != "cancelled",
            invoices.c.issued_at < self._facts.as_of,
        )
        self.invoices.update(self._counts(invoices, issued))

    def _counts(self, table: Table, condition: ColumnElement[bool]) -> Iterator[tuple[str, int]]:
        statement = select(table.c.deal_id, func.count()).where(condition).group_by(table.c.deal_id)
        yield from ((deal_id, count) for deal_id, count in self._facts.conn.execute(statement))

    def _among(self, table: Table, ids: Sequence[str]) -> ColumnElement[bool]:
        return and_(
            table.c.account == self._facts.account, table.c.deal_id.in_(ids), table.c.is_deleted.is_(False)
        )
