"""Why deals were lost in the last whole week and since the month began: reasons, managers, stages, money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from connector.domain import Period
from connector.figures.base import Facts
from connector.figures.losses import LossRow, loss_reasons, lost_in
from connector.figures.plan import month_start
from connector.figures.stats import NONE
from connector.reports import charting
from connector.reports.base import DealSet, ReportData, ReportInput
from connector.reports.losses import NO_REASON, Losses, Step, ask_for_reasons, group, losses_of
from connector.reports.wording import MONTHS_OF, dated_span, difference, gap_in_facts, person, shorten, span

WEEK = timedelta(days=7)

MAX_REASONS = 4
MAX_GROUPS = 4
MAX_STEPS = 3


@dataclass(frozen=True, slots=True)
class GroupLine:
    """What one manager lost, or what was lost from one stage. `main` is the reason named most often."""

    name: str
    deals: int
    amount: Decimal
    main: str
    main_deals: int


@dataclass(frozen=True, slots=True)
class GroupList:
    """The heaviest groups by name; `more_deals` were lost by `more` groups that are not named."""

    lines: tuple[GroupLine, ...]
    more: int
    more_deals: int


@dataclass(frozen=True, slots=True)
class LossReport(ReportData):
    """All that the report shows: the week against the week before, and the month to date."""

    currency: str
    week_days: str
    week_before_days: str
    week: Losses
    before: Losses
    verdict: str
    managers: GroupList
    stages: GroupList
    month_days: str
    month_of: str
    month: Losses
    steps: tuple[Step, ...]
    foreign: int
    complete_until: str


def loss_report(given: ReportInput) -> LossReport:
    """The report on the last whole week before `facts.as_of`, Monday to Sunday."""
    facts = given.facts
    until = facts.last_day + timedelta(days=1)
    monday = until - timedelta(days=until.weekday())
    week, before = Period(monday - WEEK, monday), Period(monday - 2 * WEEK, monday - WEEK)
    month = Period(month_start(facts.last_day), until)
    rows, earlier = loss_reasons(facts, week), loss_reasons(facts, before)
    lost = lost_in(facts, week)
    now = losses_of(group(rows, "all"), MAX_REASONS, before=group(earlier, "all"))
    then = losses_of(group(earlier, "all"), MAX_REASONS)
    currency = facts.currency or "RUB"
    return LossReport(
        title=f"Причины отказов за {dated_span(week)}",
        charts=charting.losses(f"Почему отказывают, {span(week)}", now, currency),
        deals={
            "week": DealSet(f"Проиграно за {span(week)}", tuple(deal.id for deal in lost)),
            "month": DealSet(f"Проиграно за {span(month)}", tuple(d.id for d in lost_in(facts, month))),
            "before": DealSet(f"Проиграно за {span(before)}", tuple(d.id for d in lost_in(facts, before))),
        },
        currency=currency,
        week_days=span(week),
        week_before_days=span(before),
        week=now,
        before=then,
        verdict=difference(now.deals, then.deals),
        managers=_groups(facts, rows, "manager"),
        stages=_groups(facts, rows, "stage"),
        month_days=span(month),
        month_of=MONTHS_OF[facts.last_day.month - 1],
        month=losses_of(group(loss_reasons(facts, month), "all"), MAX_REASONS),
        steps=tuple(ask_for_reasons(facts, lost, MAX_STEPS)),
        foreign=sum(deal.is_foreign for deal in lost),
        complete_until=gap_in_facts(facts),
    )


def _groups(facts: Facts, rows: Sequence[LossRow], dim: str) -> GroupList:
    keys = {row.key for row in group(rows, dim)}
    lines = [_group_line(facts, dim, key, group(rows, dim, key)) for key in keys]
    lines.sort(key=lambda line: (-line.deals, -line.amount, line.name))
    # A rest of one group is that group.
    shown = lines if len(lines) <= MAX_GROUPS + 1 else lines[:MAX_GROUPS]
    rest = lines[len(shown) :]
    return GroupList(tuple(shown), len(rest), sum(line.deals for line in rest))


def _group_line(facts: Facts, dim: str, key: str, rows: Sequence[LossRow]) -> GroupLine:
    main = max(rows, key=lambda row: (row.deals, row.lost_amount, row.reason))
    return GroupLine(
        name=person(key, facts.user_names) if dim == "manager" else _stage_name(facts, key),
        deals=sum(row.deals for row in rows),
        amount=sum((row.lost_amount for row in rows), Decimal(0)),
        main=shorten(main.reason) if main.loss_reason_id is not None else NO_REASON.lower(),
        main_deals=main.deals,
    )


def _stage_name(facts: Facts, key: str) -> str:
    """«Счёт», or «Счёт (Оптовые продажи)» where there are several pipelines."""
    if key == NONE:
        return "Этап неизвестен"
    # Ids of Bitrix24 have colons of their own («C5:NEW»), ids of pipelines never do.
    pipeline_id, stage_id = key.split(":", 1)
    stage = facts.stages.get((pipeline_id, stage_id))
    if stage is None:
        return "Этап, которого больше нет"
    if len(facts.ladders) == 1:
        return shorten(stage.name)
    return f"{shorten(stage.name)} ({shorten(facts.pipeline_names[pipeline_id])})"
