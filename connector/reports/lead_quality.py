"""What came of the enquiries of the last thirty days, channel by channel: twice a month, for marketing.

An enquiry needs time to become a deal: what is won grows for weeks, so the thirty days before stand beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from connector.domain import Period
from connector.figures.base import Facts
from connector.figures.lead_quality import LeadQualityRow, lead_quality_by_channel
from connector.figures.stats import NONE
from connector.reports import charting
from connector.reports.base import DealSet, ReportData, ReportInput
from connector.reports.charting import ChannelBar
from connector.reports.losses import HEAD_OF_SALES, Step
from connector.reports.wording import dated_span, gap_in_facts, shorten, span

DAYS = timedelta(days=30)

#: Fewer enquiries than this carry no verdict.
ENOUGH = 20

MAX_CHANNELS = 6

MARKETING = "Маркетинг"

#: What people call deals without a channel.
UNNAMED = "Канал не указан"


@dataclass(frozen=True, slots=True)
class ChannelLine:
    """One channel. `verdict` compares its share of qualified enquiries with all others'; "" for no word."""

    name: str
    leads: int
    before: int
    reaction: str
    untouched: int
    qualified: float | None
    at_key: float | None
    won: int
    revenue: Decimal
    verdict: str


@dataclass(frozen=True, slots=True)
class LeadQuality(ReportData):
    """All that the report shows."""

    currency: str
    days: str
    days_before: str
    leads: int
    leads_before: int
    total: ChannelLine | None
    channels: tuple[ChannelLine, ...]
    more: int
    more_leads: int
    steps: tuple[Step, ...]
    foreign: int
    complete_until: str


def lead_quality(given: ReportInput) -> LeadQuality:
    """The report on the thirty days before `facts.as_of`."""
    facts = given.facts
    until = facts.last_day + timedelta(days=1)
    period, before = Period(until - DAYS, until), Period(until - 2 * DAYS, until - DAYS)
    rows = sorted(lead_quality_by_channel(facts, period), key=lambda row: (-row.leads, row.key))
    earlier = {row.key: row.leads for row in lead_quality_by_channel(facts, before)}
    everything = _sum(rows)
    # A rest of one channel is that channel.
    shown = rows if len(rows) <= MAX_CHANNELS + 1 else rows[:MAX_CHANNELS]
    rest = rows[len(shown) :]
    lines = [_line(facts, row, earlier.get(row.key, 0), _verdict(row, everything)) for row in shown]
    cohort = facts.created_in(period)
    return LeadQuality(
        title=f"Качество заявок за {dated_span(period)}",
        charts=charting.channels(
            f"Заявки по каналам, {span(period)}",
            [ChannelBar(line.name, row.leads, row.qualified) for line, row in zip(lines, shown, strict=True)],
        ),
        deals={"leads": DealSet(f"Заявки за {span(period)}", tuple(deal.id for deal in cohort))},
        currency=facts.currency or "RUB",
        days=span(period),
        days_before=span(before),
        leads=everything.leads,
        leads_before=sum(earlier.values()),
        total=_line(facts, everything, sum(earlier.values()), "") if rows else None,
        channels=tuple(lines),
        more=len(rest),
        more_leads=sum(row.leads for row in rest),
        steps=tuple(_steps(lines)),
        foreign=sum(deal.is_foreign for deal in cohort),
        complete_until=gap_in_facts(facts),
    )


def duration(seconds: float | None) -> str:
    """«12 мин», «3 ч 40 мин», «2 дн»; a working day is nine hours, and "" is nothing known."""
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "меньше минуты"
    hours, rest = divmod(minutes, 60)
    if hours < 9:
        return f"{hours} ч {rest} мин" if hours and rest else f"{hours} ч" if hours else f"{rest} мин"
    return f"{round(hours / 9, 1):g} раб. дн".replace(".", ",", 1) if hours % 9 else f"{hours // 9} раб. дн"


def _sum(rows: Sequence[LeadQualityRow]) -> LeadQualityRow:
    leads, qualified = sum(row.leads for row in rows), sum(row.qualified for row in rows)
    at_key = sum(row.key_stage for row in rows)
    return LeadQualityRow(
        key="all",
        leads=leads,
        reacted=sum(row.reacted for row in rows),
        # A median of all is no sum of medians: the line of all shows none.
        reaction_median_s=None,
        reaction_p90_s=None,
        reaction_work_median_s=None,
        qualified=qualified,
        qualified_share=qualified / leads if leads else None,
        key_stage=at_key,
        key_share=at_key / leads if leads else None,
        won=sum(row.won for row in rows),
        revenue=sum((row.revenue for row in rows), Decimal(0)),
    )


def _line(facts: Facts, row: LeadQualityRow, before: int, verdict: str) -> ChannelLine:
    name = UNNAMED if row.key == NONE else facts.channel_names.get(row.key, row.key)
    return ChannelLine(
        name=shorten(name),
        leads=row.leads,
        before=before,
        reaction=duration(row.reaction_work_median_s),
        untouched=row.leads - row.reacted,
        qualified=row.qualified_share,
        at_key=row.key_share,
        won=row.won,
        revenue=row.revenue,
        verdict=verdict,
    )


def _verdict(row: LeadQualityRow, everything: LeadQualityRow) -> str:
    """The channel's share of qualified enquiries against that of all the others (two proportions, 2σ)."""
    others = everything.leads - row.leads
    if row.leads < ENOUGH or others < ENOUGH:
        return "мало данных" if row.leads < ENOUGH else ""
    theirs = (everything.qualified - row.qualified) / others
    mine = row.qualified / row.leads
    pooled = everything.qualified / everything.leads
    spread = math.sqrt(pooled * (1 - pooled) * (1 / row.leads + 1 / others))
    if not spread or abs(mine - theirs) <= 2 * spread:
        return ""
    return "лучше остальных" if mine > theirs else "хуже остальных"


def _steps(lines: Sequence[ChannelLine]) -> list[Step]:
    steps = []
    named = [line for line in lines if line.name != UNNAMED]
    worse = [line for line in named if line.verdict == "хуже остальных"]
    if worse:
        worst = max(worse, key=lambda line: line.leads)
        steps.append(Step(MARKETING, f"разобраться с каналом «{worst.name}»: подходящих заявок в нём мало"))
    better = [line for line in named if line.verdict == "лучше остальных"]
    if better:
        best = max(better, key=lambda line: line.leads)
        steps.append(Step(MARKETING, f"прибавить канал «{best.name}»: его заявки подходят чаще остальных"))
    unnamed = next((line for line in lines if line.name == UNNAMED), None)
    if unnamed is not None and unnamed.leads >= ENOUGH:
        steps.append(Step(MARKETING, f"разметить источники: у {unnamed.leads} заявок канал не указан"))
    untouched = sum(line.untouched for line in lines)
    if untouched:
        steps.append(Step(HEAD_OF_SALES, f"разобрать заявки, которым никто не ответил: {untouched}"))
    return steps
