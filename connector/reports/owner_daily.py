"""The owner's morning screen: where the month stands, what happened, why deals are lost, who acts next.

The days reported are those since the last working day: Monday's report tells of Friday to Sunday.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.base import DealFact, Facts
from connector.figures.losses import loss_reasons, reason_name
from connector.figures.pace import PaceRow, pace
from connector.figures.plan import IsWorking, month_end, month_start
from connector.figures.sales import ALL, SalesRow, sales, total_amount
from connector.figures.stats import NONE
from connector.reports import charting
from connector.reports.base import DealSet, ReportData, ReportInput
from connector.reports.losses import HEAD_OF_SALES, Losses, Step, ask, ask_for_reasons, group, losses_of
from connector.reports.wording import (
    MONTHS,
    MONTHS_IN,
    MONTHS_OF,
    change_percent,
    dated_span,
    difference,
    gap_in_facts,
    person,
    shorten,
    span,
    whole_money,
)

#: Fewer working days or won deals than this carry no forecast.
MIN_DAYS = 5
MIN_WON = 5

#: A gap in front of the first working day is never longer (New Year holidays have 10 or 11 days).
MAX_GAP_DAYS = 14

MAX_DEALS = 2
MAX_REASONS = 3
MAX_STEPS = 4


@dataclass(frozen=True, slots=True)
class DealLine:
    """One deal. `amount` None: the CRM's field is empty or in another currency."""

    name: str
    amount: Decimal | None
    manager: str
    reason: str


@dataclass(frozen=True, slots=True)
class DealList:
    """Deals of one kind: all counted and summed, the largest by name, `more` not named."""

    count: int
    amount: Decimal
    lines: tuple[DealLine, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Month:
    """Revenue of the month against its plan. `gap` is fact − expected, `forecast` None where data are few."""

    name: str
    name_in: str
    name_of: str
    fact: Decimal
    won: int
    plan: Decimal | None
    plan_percent: Decimal | None
    days_elapsed: int
    days_total: int
    expected: Decimal | None
    gap: Decimal | None
    forecast: Decimal | None
    forecast_percent: Decimal | None
    needed_per_day: Decimal | None

    @property
    def is_over(self) -> bool:
        """Whether no working day of the month is left."""
        return self.days_elapsed >= self.days_total


@dataclass(frozen=True, slots=True)
class Comparison:
    """This month against the same days of the month before; the verdicts are about numbers of deals."""

    days: str
    days_before: str
    now: SalesRow
    before: SalesRow
    created: str
    won: str
    lost: str
    revenue_percent: int | None


@dataclass(frozen=True, slots=True)
class OwnerDaily(ReportData):
    """All that the report shows. `foreign` counts deals whose amounts are in another currency.

    complete_until: up to when the facts were compared with the CRM, "" when up to the report. `missed`:
    changes of the days reported that no webhook told of.
    """

    currency: str
    days: str
    is_one_day: bool
    month: Month
    won: DealList
    lost: DealList
    created: DealList
    losses: Losses
    comparison: Comparison
    steps: tuple[Step, ...]
    foreign: int
    complete_until: str
    missed: int

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was won, lost or created in the days reported."""
        return not (self.won.count or self.lost.count or self.created.count)


def owner_daily(given: ReportInput) -> OwnerDaily:
    """The owner's report of the days before `facts.as_of`."""
    facts = given.facts
    until = facts.last_day + timedelta(days=1)
    days = Period(_since(until, given.is_working), until)
    to_date = Period(month_start(facts.last_day), until)
    closed = facts.closed_in(days)
    won = [deal for deal in closed if deal.outcome is Outcome.WON]
    lost = [deal for deal in closed if deal.outcome is Outcome.LOST]
    created = facts.created_in(days)
    closed_this_month = facts.closed_in(to_date)
    paces = pace(facts, given.plans, given.is_working)
    month_name, lost_this_month = MONTHS_OF[facts.last_day.month - 1], _ids(closed_this_month, Outcome.LOST)
    return OwnerDaily(
        title=f"Продажи за {dated_span(days)}",
        charts=(*charting.plan_fact(facts, paces), *charting.pace_lines(facts, paces, given.is_working)),
        deals={
            "won": DealSet(f"Выиграно за {span(days)}", tuple(deal.id for deal in won)),
            "lost": DealSet(f"Проиграно за {span(days)}", tuple(deal.id for deal in lost)),
            "created": DealSet(f"Новые сделки за {span(days)}", tuple(deal.id for deal in created)),
            "month": DealSet(f"Выручка {month_name}", _ids(closed_this_month, Outcome.WON)),
            "month_lost": DealSet(f"Отказы {month_name}", lost_this_month),
        },
        currency=facts.currency or "RUB",
        days=span(days),
        is_one_day=days.start == facts.last_day,
        month=_month(facts, paces),
        won=_list(facts, won),
        lost=_list(facts, lost),
        created=_list(facts, created),
        losses=losses_of(group(loss_reasons(facts, to_date), "all"), MAX_REASONS),
        comparison=_comparison(facts, to_date),
        steps=tuple(_steps(facts, paces, created, closed_this_month)[:MAX_STEPS]),
        foreign=len({deal.id for deal in (*created, *closed_this_month) if deal.is_foreign}),
        complete_until=gap_in_facts(facts),
        missed=facts.count_missed(days),
    )


def _ids(deals: Sequence[DealFact], outcome: Outcome) -> tuple[str, ...]:
    return tuple(deal.id for deal in deals if deal.outcome is outcome)


def _since(until: date, is_working: IsWorking) -> date:
    """The last working day before `until`."""
    for back in range(1, MAX_GAP_DAYS + 1):
        if is_working(until - timedelta(days=back)):
            return until - timedelta(days=back)
    return until - timedelta(days=1)


def _month(facts: Facts, paces: Sequence[PaceRow]) -> Month:
    whole = {row.metric: row for row in paces if row.manager == ALL}
    revenue, won = whole["revenue"], int(whole["won"].fact)
    is_over = revenue.days_elapsed >= revenue.days_total
    can_tell = revenue.days_elapsed >= MIN_DAYS and won >= MIN_WON and not is_over
    number = facts.last_day.month - 1
    return Month(
        name=MONTHS[number],
        name_in=MONTHS_IN[number],
        name_of=MONTHS_OF[number],
        fact=revenue.fact,
        won=won,
        plan=revenue.plan,
        plan_percent=revenue.fact / revenue.plan * 100 if revenue.plan else None,
        days_elapsed=revenue.days_elapsed,
        days_total=revenue.days_total,
        expected=revenue.expected,
        gap=None if revenue.expected is None else revenue.fact - revenue.expected,
        forecast=revenue.forecast if can_tell else None,
        forecast_percent=revenue.forecast_percent if can_tell else None,
        needed_per_day=revenue.needed_per_day,
    )


def _list(facts: Facts, of: Sequence[DealFact]) -> DealList:
    largest = sorted(of, key=lambda deal: (-deal.amount, deal.created_at, deal.id))
    # A rest of one deal is that deal.
    shown = largest if len(largest) <= MAX_DEALS + 1 else largest[:MAX_DEALS]
    return DealList(
        count=len(of),
        amount=total_amount(of),
        lines=tuple(
            DealLine(
                name=shorten(deal.name),
                amount=deal.amount or None,
                manager=person(deal.manager, facts.user_names, nobody="без ответственного"),
                reason=_reason(facts, deal),
            )
            for deal in shown
        ),
        more=len(largest) - len(shown),
    )


def _reason(facts: Facts, deal: DealFact) -> str:
    if deal.outcome is not Outcome.LOST:
        return ""
    if deal.loss_reason_id is None:
        return "причина не указана"
    return shorten(reason_name(facts, deal.loss_reason_id))


def _comparison(facts: Facts, to_date: Period) -> Comparison:
    before = same_days_before(to_date)
    now, then = sales(facts, to_date)[0], sales(facts, before)[0]
    return Comparison(
        days=span(to_date),
        days_before=span(before),
        now=now,
        before=then,
        created=difference(now.created, then.created),
        won=difference(now.won, then.won),
        lost=difference(now.lost, then.lost),
        revenue_percent=change_percent(now.revenue, then.revenue),
    )


def same_days_before(to_date: Period) -> Period:
    """The same days of the month before; a month that is over is compared with the whole month before."""
    last = to_date.end - timedelta(days=1)
    last_before = to_date.start - timedelta(days=1)
    if last != month_end(last):
        last_before = last_before.replace(day=min(last.day, last_before.day))
    return Period(month_start(last_before), last_before + timedelta(days=1))


def _steps(
    facts: Facts, paces: Sequence[PaceRow], created: Sequence[DealFact], closed: Sequence[DealFact]
) -> list[Step]:
    """What the figures ask of people, the dearest first."""
    steps = []
    currency = facts.currency or "RUB"
    behind = [
        (row.expected - row.fact, row)
        for row in paces
        if row.metric == "revenue" and row.manager not in (ALL, NONE) and row.expected and row.needed_per_day
    ]
    gap, row = max(behind, key=lambda item: item[0], default=(Decimal(0), None))
    if row is not None and gap > 0 and row.days_elapsed >= MIN_DAYS:
        who = person(row.manager, facts.user_names)
        lag, rate = (whole_money(value, currency) for value in (gap, row.needed_per_day or gap))
        steps.append(Step(who, f"догнать свой план: отставание {lag}, нужно по {rate} в рабочий день"))
    if ownerless := [deal for deal in created if deal.manager == NONE and deal.outcome is Outcome.OPEN]:
        steps.append(Step(HEAD_OF_SALES, f"назначить ответственных за новые сделки: {len(ownerless)}"))
    steps += ask_for_reasons(facts, [deal for deal in closed if deal.outcome is Outcome.LOST], limit=2)
    priceless = [d for d in closed if d.outcome is Outcome.WON and not d.amount and not d.is_foreign]
    steps += ask(facts, priceless, "указать сумму", ("выигранной", "выигранных"), limit=1)
    return steps
