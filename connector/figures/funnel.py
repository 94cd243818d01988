"""The funnel, by two questions: how far did the deals created in a period get, and what happened in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from connector.domain import Outcome, Period, Stage
from connector.figures.base import DealFact, Facts, Move
from connector.figures.stats import natural, ratio


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One stage of one pipeline for the deals created in the period; shares are fractions."""

    pipeline_id: str
    stage_id: str
    name: str
    cohort: int
    entered: int
    reached: int
    conv_from_first: float | None
    conv_from_prev: float | None


@dataclass(frozen=True, slots=True)
class ManagerCohortRow:
    """The same for the deals of one manager."""

    manager: str
    pipeline_id: str
    stage_id: str
    name: str
    cohort: int
    entered: int
    reached: int
    conv_from_first: float | None
    conv_from_prev: float | None


@dataclass(frozen=True, slots=True)
class ChannelCohortRow:
    """The same for the deals of one channel."""

    channel: str
    pipeline_id: str
    stage_id: str
    name: str
    cohort: int
    entered: int
    reached: int
    conv_from_first: float | None
    conv_from_prev: float | None


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """What happened at one stage in the period; `conv_from_prev` may exceed 1."""

    pipeline_id: str
    stage_id: str
    name: str
    entered_deals: int
    entries: int
    exits_forward: int
    exits_back: int
    exits_won: int
    exits_lost: int
    conv_from_prev: float | None


def funnel_cohort(facts: Facts, period: Period) -> list[CohortRow]:
    """Rows of every pipeline's open stages and won, for the deals created in the period."""
    cohort = facts.created_in(period)
    histories = dict(facts.histories(cohort))
    by_pipeline = _grouped(cohort, lambda deal: deal.pipeline_id)
    return [
        row
        for pipeline in sorted(facts.ladders, key=natural)
        for row in _cohort_rows(facts, pipeline, by_pipeline.get(pipeline, []), histories)
    ]


def funnel_cohort_by_manager(facts: Facts, period: Period) -> list[ManagerCohortRow]:
    """The same a manager; a manager has rows of the pipelines that his deals are in."""
    return [ManagerCohortRow(key, *_fields(row)) for key, row in _by(facts, period, lambda d: d.manager)]


def funnel_cohort_by_channel(facts: Facts, period: Period) -> list[ChannelCohortRow]:
    """The same a channel; a channel has rows of the pipelines that its deals are in."""
    return [ChannelCohortRow(key, *_fields(row)) for key, row in _by(facts, period, lambda d: d.channel)]


def _by(facts: Facts, period: Period, group_of: Callable[[DealFact], str]) -> list[tuple[str, CohortRow]]:
    cohort = facts.created_in(period)
    histories = dict(facts.histories(cohort))
    found: list[tuple[str, CohortRow]] = []
    groups = _grouped(cohort, group_of)
    for key in sorted(groups, key=natural):
        by_pipeline = _grouped(groups[key], lambda deal: deal.pipeline_id)
        for pipeline in sorted(by_pipeline, key=natural):
            rows = _cohort_rows(facts, pipeline, by_pipeline[pipeline], histories)
            found.extend((key, row) for row in rows)
    return found


def _grouped(of: Sequence[DealFact], key: Callable[[DealFact], str]) -> dict[str, list[DealFact]]:
    groups: dict[str, list[DealFact]] = defaultdict(list)
    for deal in of:
        groups[key(deal)].append(deal)
    return groups


def _fields(row: CohortRow) -> tuple[str, str, str, int, int, int, float | None, float | None]:
    return (
        row.pipeline_id,
        row.stage_id,
        row.name,
        row.cohort,
        row.entered,
        row.reached,
        row.conv_from_first,
        row.conv_from_prev,
    )


def _cohort_rows(
    facts: Facts, pipeline: str, cohort: Sequence[DealFact], histories: dict[str, list[Move]]
) -> list[CohortRow]:
    ladder = facts.ladders.get(pipeline, ())
    entered = dict.fromkeys((stage.id for stage in ladder), 0)
    reached = [0] * len(ladder)
    for deal in cohort:
        moves = histories.get(deal.id, [])
        for stage_id in {move.target[1] for move in moves if move.target[0] == pipeline} & entered.keys():
            entered[stage_id] += 1
        for step in range(furthest(facts, ladder, deal, moves) + 1):
            reached[step] += 1
    return [
        CohortRow(
            pipeline_id=pipeline,
            stage_id=stage.id,
            name=stage.name,
            cohort=len(cohort),
            entered=entered[stage.id],
            reached=reached[step],
            conv_from_first=ratio(reached[step], len(cohort)),
            conv_from_prev=ratio(reached[step], reached[step - 1]) if step else None,
        )
        for step, stage in enumerate(ladder)
    ]


def furthest(facts: Facts, ladder: Sequence[Stage], deal: DealFact, moves: Sequence[Move]) -> int:
    """Position of the furthest step of its present pipeline that the deal has reached.

    Once won, in whichever pipeline, is the whole way. The present stage counts even where the move into it
    was never recorded.
    """
    visited = {move.target for move in moves} | {(deal.pipeline_id, deal.stage_id)}
    if deal.outcome is Outcome.WON or any(facts.outcome(key) is Outcome.WON for key in visited):
        return len(ladder) - 1
    return max(
        (step for step, stage in enumerate(ladder) if (stage.pipeline_id, stage.id) in visited), default=0
    )


@dataclass(slots=True)
class _Traffic:
    deals: set[str] = field(default_factory=set)
    entries: int = 0
    exits: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def funnel_period(facts: Facts, period: Period) -> list[PeriodRow]:
    """Rows of every pipeline's open stages and won, for the moves made in the period.

    A move to an open stage of another pipeline is an entry there, and neither forward nor back here.
    """
    start, end = facts.bounds(period)
    traffic: dict[tuple[str, str], _Traffic] = defaultdict(_Traffic)
    for deal_id, moves in facts.histories():
        for move in moves:
            if not start <= move.at < end:
                continue
            entered = traffic[move.target]
            entered.deals.add(deal_id)
            entered.entries += 1
            if move.source and (way := _way(facts, move.source, move.target)):
                traffic[move.source].exits[way] += 1
    rows = []
    for pipeline in sorted(facts.ladders, key=natural):
        before: int | None = None
        for stage in facts.ladders[pipeline]:
            at = traffic[pipeline, stage.id]
            rows.append(
                PeriodRow(
                    pipeline_id=pipeline,
                    stage_id=stage.id,
                    name=stage.name,
                    entered_deals=len(at.deals),
                    entries=at.entries,
                    exits_forward=at.exits["forward"],
                    exits_back=at.exits["back"],
                    exits_won=at.exits["won"],
                    exits_lost=at.exits["lost"],
                    conv_from_prev=None if before is None else ratio(len(at.deals), before),
                )
            )
            before = len(at.deals)
    return rows


def _way(facts: Facts, source: tuple[str, str], target: tuple[str, str]) -> str | None:
    """forward, back, won or lost; None for a move that is none of them."""
    left, entered = facts.stages.get(source), facts.stages.get(target)
    if entered is None or source == target:
        return None
    if entered.outcome is not Outcome.OPEN:
        return entered.outcome.value
    if left is None or left.pipeline_id != entered.pipeline_id:
        return None
    if left.outcome is Outcome.WON or entered.sort < left.sort:
        return "back"
    return "forward" if entered.sort > left.sort else None
