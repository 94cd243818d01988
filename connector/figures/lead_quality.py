"""How good the enquiries of each channel and source are, and how soon somebody answered them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from connector.domain import Period
from connector.figures.base import Facts, money, naive
from connector.figures.funnel import FURTHEST
from connector.figures.plan import days
from connector.figures.stats import natural, ratio

#: A deal is made from the call or letter that began it: what was so long before it belongs to it.
BEFORE_CREATION = timedelta(minutes=5)


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
    return _rows(facts, period, "channel")


def lead_quality_by_source(facts: Facts, period: Period) -> list[LeadQualityRow]:
    """A row of each `utm_source`, in lower case and trimmed; empty is `(none)`."""
    return _rows(facts, period, "source")


def _rows(facts: Facts, period: Period, group: str) -> list[LeadQualityRow]:
    _keep_work(facts, period)
    furthest = FURTHEST.format(of="born")
    rows = facts.ask(_QUALITY.format(group=group, furthest=furthest), period)
    return [_row(*row) for row in sorted(rows, key=lambda row: natural(row[0]))]


def _row(key: str, leads: int, reacted: int, *rest: Any) -> LeadQualityRow:
    median, p90, work_median, qualified, key_stage, won, revenue = rest
    return LeadQualityRow(
        key=key,
        leads=leads,
        reacted=reacted,
        reaction_median_s=median,
        reaction_p90_s=p90,
        reaction_work_median_s=work_median,
        qualified=qualified,
        qualified_share=ratio(qualified, leads),
        key_stage=key_stage,
        key_share=ratio(key_stage, leads),
        won=won,
        revenue=money(revenue),
    )


def _keep_work(facts: Facts, period: Period) -> None:
    """Have the relation `work` (start_at, from_at, to_at, before_us) of the local days up to that of `as_of`:
    when work began and ended on a day, and how much work there was on the days before it."""
    rows = []
    before = 0
    last = max(facts.day(facts.as_of), period.end)
    for day in days(period.start - timedelta(days=1), last + timedelta(days=1)):
        begins = datetime.combine(day, WORK_STARTS_AT, facts.timezone).astimezone(UTC)
        ends = datetime.combine(day, WORK_ENDS_AT, facts.timezone).astimezone(UTC)
        if day.isoweekday() > 5:
            ends = begins
        rows.append((naive(facts.midnight(day)), naive(begins), naive(ends), before))
        before += (ends - begins) // timedelta(microseconds=1)
    columns = {"start_at": "TIMESTAMP", "from_at": "TIMESTAMP", "to_at": "TIMESTAMP", "before_us": "BIGINT"}
    facts.keep("work", columns, rows)


_BEFORE = f"INTERVAL {int(BEFORE_CREATION.total_seconds())} SECOND"

_QUALITY = f"""
WITH born AS (SELECT *, {{group}} AS grp FROM d WHERE created_at >= $start AND created_at < $stop),
touch AS (
    SELECT deal_id, min(x.ts) AS first_at
    FROM (
        SELECT deal_id, ts FROM calls_ WHERE is_out OR answered
        UNION ALL SELECT deal_id, ts FROM messages_ WHERE is_out
    ) x JOIN born USING (deal_id)
    WHERE x.ts >= born.created_at - {_BEFORE} AND x.ts < $as_of AND x.ts >= $start::TIMESTAMP - {_BEFORE}
    GROUP BY deal_id
),
span AS (
    SELECT deal_id, created_at, greatest(created_at, first_at) AS first_at
    FROM born JOIN touch USING (deal_id)
),
reaction AS (
    SELECT deal_id, epoch_us(first_at) - epoch_us(created_at) AS us,
           (b.before_us + greatest(0, epoch_us(least(first_at, b.to_at)) - epoch_us(b.from_at)))
           - (a.before_us + greatest(0, epoch_us(least(created_at, a.to_at)) - epoch_us(a.from_at)))
           AS work_us
    FROM span
    ASOF JOIN work a ON span.created_at >= a.start_at
    ASOF JOIN work b ON span.first_at >= b.start_at
),
mark AS (
    SELECT pipeline_id, min(pos) FILTER (is_qualified) AS qualified, min(pos) FILTER (is_key) AS key_stage
    FROM st WHERE pos IS NOT NULL GROUP BY pipeline_id
)
SELECT grp, count(*), count(us), quantile_cont(us / 1e6, 0.5), quantile_cont(us / 1e6, 0.9),
       quantile_cont(work_us / 1e6, 0.5), count(*) FILTER (place >= qualified),
       count(*) FILTER (place >= key_stage), count(*) FILTER (outcome = 'won'),
       sum(amount) FILTER (outcome = 'won')
FROM born
LEFT JOIN reaction USING (deal_id)
JOIN ({{furthest}}) USING (deal_id)
LEFT JOIN mark ON mark.pipeline_id = born.pipeline_id
GROUP BY grp
"""
