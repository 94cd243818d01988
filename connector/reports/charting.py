"""Rows of the charts, out of what the reports say in words: captions are the very words of the text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from connector.charts import Chart
from connector.domain import Outcome, Period
from connector.figures.base import Facts
from connector.figures.pace import PaceRow
from connector.figures.plan import IsWorking, month_start, next_month
from connector.figures.sales import ALL
from connector.figures.stats import NONE
from connector.reports.losses import NO_REASON, Losses
from connector.reports.wording import MONTHS_OF, person, whole_money, whole_percent

#: More bars than this do not fit on a phone's screen.
MAX_BARS = 8


@dataclass(frozen=True, slots=True)
class StageBar:
    """One stage of a funnel; `share` is of the stage before, in per cent, None for the first."""

    name: str
    deals: int
    share: Decimal | None
    is_bottleneck: bool = False


@dataclass(frozen=True, slots=True)
class ChannelBar:
    """One channel; `qualified` of its `leads` were good."""

    name: str
    leads: int
    qualified: int


def plan_fact(facts: Facts, paces: Sequence[PaceRow]) -> tuple[Chart, ...]:
    """Revenue of the month against its plan, the department and each manager; none without a plan."""
    currency = facts.currency or "RUB"
    with_plan = [row for row in paces if row.metric == "revenue" and row.plan and row.manager != NONE]
    whole = [row for row in with_plan if row.manager == ALL]
    own = sorted((row for row in with_plan if row.manager != ALL), key=lambda row: -(row.plan or 0))
    rows = [*whole, *own][:MAX_BARS]
    if not rows:
        return ()
    month = MONTHS_OF[facts.last_day.month - 1]
    bars: list[dict[str, str | int | None]] = []
    for row in rows:
        plan = row.plan or Decimal(0)
        name = "Отдел" if row.manager == ALL else person(row.manager, facts.user_names)
        bars.append(
            {
                "имя": name,
                "план": _length(plan),
                "факт": _length(row.fact),
                "по графику": _length(row.expected or Decimal(0)),
                "подпись": f"{whole_money(row.fact, currency)} · {whole_percent(row.fact / plan * 100)}",
            }
        )
    words = "; ".join(f"{bar['имя']}: {bar['подпись']} плана" for bar in bars)
    return (Chart("plan_fact", f"План и факт {month}", f"План и факт {month}. {words}", tuple(bars)),)


def pace_lines(facts: Facts, paces: Sequence[PaceRow], is_working: IsWorking) -> tuple[Chart, ...]:
    """Revenue of the month day by day, beside its plan and the forecast; none without a plan."""
    row = next((row for row in paces if row.metric == "revenue" and row.manager == ALL), None)
    if row is None or not row.plan:
        return ()
    start = month_start(facts.last_day)
    days = [start + timedelta(days=n) for n in range((next_month(start) - start).days)]
    won: dict[date, Decimal] = defaultdict(Decimal)
    for deal in facts.closed_in(Period(start, facts.last_day + timedelta(days=1))):
        if deal.outcome is Outcome.WON and deal.closed_at:
            won[facts.day(deal.closed_at)] += deal.amount
    working = sum(is_working(day) for day in days) or 1
    plan, fact, worked = Decimal(0), Decimal(0), 0
    rows: list[dict[str, str | int | None]] = []
    for day in days:
        worked += is_working(day)
        plan = row.plan * worked / working
        rows.append({"день": day.day, "сумма": _length(plan), "линия": "план"})
        if day <= facts.last_day:
            fact += won[day]
            rows.append({"день": day.day, "сумма": _length(fact), "линия": "факт"})
    if row.forecast is not None:
        rows.append({"день": facts.last_day.day, "сумма": _length(fact), "линия": "прогноз"})
        rows.append({"день": days[-1].day, "сумма": _length(row.forecast), "линия": "прогноз"})
    month, currency = MONTHS_OF[start.month - 1], facts.currency or "RUB"
    alt = (
        f"Выручка {month} нарастающим итогом: {whole_money(fact, currency)} "
        f"при плане на месяц {whole_money(row.plan, currency)}"
    )
    return (Chart("pace", f"Выручка {month} нарастающим итогом", alt, tuple(rows)),)


def losses(title: str, of: Losses, currency: str) -> tuple[Chart, ...]:
    """Reasons by number of deals, heaviest first, the missing reason always among them."""
    bars = tuple(
        {
            "имя": line.reason,
            "сделок": line.deals,
            "подпись": f"{line.deals} · {whole_money(line.amount, currency)}",
            "причина": "нет" if line.reason == NO_REASON else "есть",
        }
        for line in of.reasons
    )
    words = "; ".join(f"{bar['имя']}: {bar['подпись']}" for bar in bars)
    return (Chart("loss_reasons", title, f"{title}. {words}", bars),) if bars else ()


def funnel(title: str, stages: Sequence[StageBar]) -> tuple[Chart, ...]:
    """Deals by stage, in the stages' order; the narrow place stands out."""
    bars: tuple[Mapping[str, str | int | None], ...] = tuple(
        {
            "имя": stage.name,
            "сделок": stage.deals,
            "подпись": str(stage.deals)
            if stage.share is None
            else f"{stage.deals} · {whole_percent(stage.share)}",
            "узкое место": "да" if stage.is_bottleneck else "нет",
        }
        for stage in stages
    )
    words = "; ".join(f"{bar['имя']}: {bar['подпись']}" for bar in bars)
    return (Chart("funnel", title, f"{title}. {words}", bars),) if bars else ()


def channels(title: str, of: Sequence[ChannelBar]) -> tuple[Chart, ...]:
    """Leads by channel with the good ones in them, the largest `MAX_BARS`."""
    largest = sorted(of, key=lambda bar: (-bar.leads, bar.name))[:MAX_BARS]
    bars: tuple[Mapping[str, str | int | None], ...] = tuple(
        {
            "имя": bar.name,
            "лидов": bar.leads,
            "качественных": bar.qualified,
            "подпись": f"{bar.leads}, качественных {bar.qualified}",
        }
        for bar in largest
    )
    words = "; ".join(f"{bar['имя']}: {bar['подпись']}" for bar in bars)
    return (Chart("leads_by_channel", title, f"{title}. {words}", bars),) if bars else ()


def _length(amount: Decimal) -> int:
    """Whole units: a bar has no kopecks, and its caption is text."""
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
