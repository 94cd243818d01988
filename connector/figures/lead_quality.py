"""What came of a period's enquiries by channel and source: how soon they were touched, how far they got."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal

from sqlalchemy import and_, or_, select

from connector.domain import Outcome, Period, Stage
from connector.figures.base import CHUNK, DealFact, Facts
from connector.figures.funnel import furthest
from connector.figures.sales import total_amount
from connector.figures.stats import NONE, median, natural, p90, ratio
from connector.store.schema import calls, deals, messages

#: A call may lie so long before the deal that was made from it.
BEFORE = timedelta(minutes=5)

#: Working time of the definitions: Monday to Friday, without holidays.
WORK_STARTS_AT, WORK_ENDS_AT = time(9), time(18)


@dataclass(frozen=True, slots=True)
class LeadQualityRow:
    """One channel or source. Times are seconds over the deals that were touched, shares are of all leads."""

    key: str
    leads: int
    reacted: int
    reaction_median_s: float | None
    reaction_p90_s: float | None
    reaction_work_median_s: float | None
    qualified: int
    qualified_share: float | None
    key_stage: int
    key_share: float | None
    won: int
    revenue: Decimal


def lead_quality_by_channel(facts: Facts, period: Period) -> list[LeadQualityRow]:
    """A row of each channel that deals of the period came from."""
    return _rows(facts, period, lambda deal: deal.channel)


def lead_quality_by_source(facts: Facts, period: Period) -> list[LeadQualityRow]:
    """A row of each `utm_source`, in lower case and trimmed; empty is `(none)`."""
    sources = _sources(facts, period)
    return _rows(facts, period, lambda deal: sources[deal.id])


def _rows(facts: Facts, period: Period, key_of: Callable[[DealFact], str]) -> list[LeadQualityRow]:
    cohort = facts.created_in(period)
    touches = dict(_first_touches(facts, cohort))
    histories = dict(facts.histories(cohort))
    groups: dict[str, list[DealFact]] = defaultdict(list)
    for deal in cohort:
        groups[key_of(deal)].append(deal)
    marks = {pipeline: _marks(facts, ladder) for pipeline, ladder in facts.ladders.items()}
    got = {
        deal.id: furthest(facts, facts.ladders.get(deal.pipeline_id, ()), deal, histories.get(deal.id, ()))
        for deal in cohort
    }
    rows = []
    for key in sorted(groups, key=natural):
        of = groups[key]
        reacted = [(deal, touches[deal.id]) for deal in of if deal.id in touches]
        spans = [max((touch - deal.created_at).total_seconds(), 0.0) for deal, touch in reacted]
        work = [working_seconds(facts, deal.created_at, touch) for deal, touch in reacted]
        qualified = sum(_is_past(marks, got, deal, 0) for deal in of)
        at_key = sum(_is_past(marks, got, deal, 1) for deal in of)
        won = [deal for deal in of if deal.outcome is Outcome.WON]
        rows.append(
            LeadQualityRow(
                key=key,
                leads=len(of),
                reacted=len(reacted),
                reaction_median_s=median(spans),
                reaction_p90_s=p90(spans),
                reaction_work_median_s=median(work),
                qualified=qualified,
                qualified_share=ratio(qualified, len(of)),
                key_stage=at_key,
                key_share=ratio(at_key, len(of)),
                won=len(won),
                revenue=total_amount(won),
            )
        )
    return rows


def working_seconds(facts: Facts, start: datetime, end: datetime) -> float:
    """Seconds of [start, end) inside Monday-Friday 9-18 of the account's zone; 0 when end is before start."""
    total = 0.0
    day = facts.day(start)
    while end > start and day <= facts.day(end):
        if day.isoweekday() <= 5:
            opens = datetime.combine(day, WORK_STARTS_AT, facts.timezone)
            closes = datetime.combine(day, WORK_ENDS_AT, facts.timezone)
            # Differences of aware times of one zone ignore its changes; as instants they do not.
            first, last = max(start, opens).timestamp(), min(end, closes).timestamp()
            total += max(last - first, 0.0)
        day += timedelta(days=1)
    return total


def _marks(facts: Facts, ladder: Sequence[Stage]) -> tuple[int | None, int | None]:
    """Places of the first qualified and the first key stage on the ladder."""
    marked = [facts.marks[stage.pipeline_id, stage.id] for stage in ladder]
    qualified = next((step for step, (is_qualified, _) in enumerate(marked) if is_qualified), None)
    return qualified, next((step for step, (_, is_key) in enumerate(marked) if is_key), None)


def _is_past(
    marks: dict[str, tuple[int | None, int | None]], got: dict[str, int], deal: DealFact, which: int
) -> bool:
    place = marks.get(deal.pipeline_id, (None, None))[which]
    return place is not None and got[deal.id] >= place


def _sources(facts: Facts, period: Period) -> dict[str, str]:
    start, end = facts.bounds(period)
    rows = facts.conn.execute(
        select(deals.c.deal_id, deals.c.utm_source).where(
            deals.c.account == facts.account, deals.c.created_at >= start, deals.c.created_at < end
        )
    )
    return {deal_id: (source or "").strip().lower() or NONE for deal_id, source in rows}


def _first_touches(facts: Facts, cohort: Sequence[DealFact]) -> Iterator[tuple[str, datetime]]:
    """(deal_id, its first touch): an outgoing call, an answered incoming one, an outgoing message."""
    created = {deal.id: deal.created_at for deal in cohort}
    ids = list(created)
    found: dict[str, datetime] = {}
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        for table, condition in (
            (calls, or_(calls.c.direction == "out", calls.c.answered.is_(True))),
            (messages, messages.c.direction == "out"),
        ):
            # The earliest touch may lie before the five minutes; then all of them have to be looked at.
            statement = select(table.c.deal_id, table.c.at).where(
                and_(
                    table.c.account == facts.account,
                    table.c.deal_id.in_(chunk),
                    table.c.is_deleted.is_(False),
                    table.c.at < facts.as_of,
                    condition,
                )
            )
            for deal_id, at in facts.conn.execute(statement):
                if at >= created[deal_id] - BEFORE and (deal_id not in found or at < found[deal_id]):
                    found[deal_id] = at
    yield from found.items()
