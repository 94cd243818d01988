"""From the revenue wanted back to deals, invoices, meetings, calls and leads, by a cohort's own rates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

from connector.domain import Period
from connector.figures.base import Facts, money
from connector.figures.cohort import COHORT
from connector.figures.sales import ALL
from connector.figures.stats import natural

#: Old enough to have closed.
COHORT_DAYS = 180


@dataclass(frozen=True, slots=True)
class RatesRow:
    """What a cohort did: numbers of deals that had a thing at least once, and of the things themselves."""

    pipeline: str
    leads: int
    with_call: int
    with_meeting: int
    with_invoice: int
    won: int
    revenue: Decimal
    calls: int
    meetings: int
    invoices: int


@dataclass(frozen=True, slots=True)
class ReverseRow:
    """What the goal asks for at each step: exact, rounded up once, and rounded up at every step of the way.

    None where no deal of the cohort took the step, or the cohort won no money.
    """

    pipeline: str
    goal: Decimal | None
    avg_cheque: Decimal | None
    won: Decimal | None
    won_ceil: int | None
    won_chain: int | None
    with_invoice: Decimal | None
    with_invoice_ceil: int | None
    with_invoice_chain: int | None
    with_meeting: Decimal | None
    with_meeting_ceil: int | None
    with_meeting_chain: int | None
    with_call: Decimal | None
    with_call_ceil: int | None
    with_call_chain: int | None
    leads: Decimal | None
    leads_ceil: int | None
    leads_chain: int | None
    activities_invoices: Decimal | None
    activities_meetings: Decimal | None
    activities_calls: Decimal | None


def cohort_period(period: Period) -> Period:
    """The 180 days before the period."""
    return Period(period.start - timedelta(days=COHORT_DAYS), period.start)


def reverse_funnel_rates(facts: Facts, created: Period) -> list[RatesRow]:
    """The row of all pipelines, then of each one that deals created in `created` are in."""
    rows = {
        key: RatesRow(key, leads, with_call, with_meeting, with_invoice, won, money(revenue), *done)
        for key, leads, with_call, with_meeting, with_invoice, won, revenue, *done in facts.ask(
            _RATES, created
        )
    }
    whole = rows.pop(ALL)
    return [whole, *(rows[key] for key in sorted(rows, key=natural))]


def reverse_funnel(facts: Facts, created: Period, goal: Decimal | None) -> list[ReverseRow]:
    """The same rows with what the goal asks for. Without a goal there is nothing to ask."""
    return [_reverse(rates, goal) for rates in reverse_funnel_rates(facts, created)]


_RATES = f"""
WITH {COHORT}
SELECT coalesce(pipeline_id, 'all'), count(*), count(*) FILTER (calls_answered > 0),
       count(*) FILTER (meetings > 0), count(*) FILTER (invoices > 0), count(*) FILTER (is_won), sum(amount),
       coalesce(sum(calls), 0), coalesce(sum(meetings), 0), coalesce(sum(invoices), 0)
FROM cohort GROUP BY GROUPING SETS ((), (pipeline_id))
"""


def _reverse(rates: RatesRow, goal: Decimal | None) -> ReverseRow:
    is_known = goal is not None and rates.won > 0 and rates.revenue > 0
    needed = goal * rates.won / rates.revenue if goal is not None and is_known else None
    exact: dict[str, Decimal | None] = {"won": needed}
    chain: dict[str, int | None] = {"won": None if needed is None else _up(needed)}
    before, above = chain["won"], rates.won
    for step in ("with_invoice", "with_meeting", "with_call", "leads"):
        count = getattr(rates, step)
        if needed is None or not count:
            exact[step] = chain[step] = None
            continue
        exact[step] = needed * count / rates.won
        # The step before that somebody took; exact in integers.
        assert before is not None
        before = chain[step] = -(-before * count // above)
        above = count
    per_won = {
        what: None if needed is None else needed * getattr(rates, what) / rates.won
        for what in ("invoices", "meetings", "calls")
    }
    return ReverseRow(
        pipeline=rates.pipeline,
        goal=goal,
        avg_cheque=rates.revenue / rates.won if rates.won else None,
        won=needed,
        won_ceil=_ceil(needed),
        won_chain=chain["won"],
        with_invoice=exact["with_invoice"],
        with_invoice_ceil=_ceil(exact["with_invoice"]),
        with_invoice_chain=chain["with_invoice"],
        with_meeting=exact["with_meeting"],
        with_meeting_ceil=_ceil(exact["with_meeting"]),
        with_meeting_chain=chain["with_meeting"],
        with_call=exact["with_call"],
        with_call_ceil=_ceil(exact["with_call"]),
        with_call_chain=chain["with_call"],
        leads=exact["leads"],
        leads_ceil=_ceil(exact["leads"]),
        leads_chain=chain["leads"],
        activities_invoices=per_won["invoices"],
        activities_meetings=per_won["meetings"],
        activities_calls=per_won["calls"],
    )


def _ceil(value: Decimal | None) -> int | None:
    return None if value is None else _up(value)


def _up(value: Decimal) -> int:
    # 28 digits leave a whole number a hair above itself now and then: 3.000…01 deals are 3.
    return int(value.quantize(Decimal("1e-12")).to_integral_value(ROUND_CEILING))
