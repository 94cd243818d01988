"""How long deals stay in each open stage: finished visits, and how old the unfinished ones are."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from connector.domain import Outcome, Period
from connector.figures.base import Facts
from connector.figures.stats import mean, median, natural, p90


@dataclass(frozen=True, slots=True)
class DwellRow:
    """One open stage in one window, times in seconds. `open_*` are the same in both windows."""

    window: str
    pipeline_id: str
    stage_id: str
    name: str
    visits: int
    median_s: float | None
    p90_s: float | None
    mean_s: float | None
    deals: int
    deal_median_s: float | None
    deal_p90_s: float | None
    open_now: int
    open_median_age_s: float | None


@dataclass(slots=True)
class _Visits:
    lengths: list[float] = field(default_factory=list)
    by_deal: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, deal_id: str, length_s: float) -> None:
        self.lengths.append(length_s)
        self.by_deal[deal_id] += length_s


def dwell(facts: Facts, period: Period) -> list[DwellRow]:
    """Rows of every open stage: window `all` (every finished visit) and `period` (those left in it)."""
    start, end = facts.bounds(period)
    finished: dict[tuple[str, tuple[str, str]], _Visits] = defaultdict(_Visits)
    ages: dict[tuple[str, str], list[float]] = defaultdict(list)
    for deal_id, moves in facts.histories():
        for move, following in pairwise(moves):
            length_s = (following.at - move.at).total_seconds()
            finished["all", move.target].add(deal_id, length_s)
            if start <= following.at < end:
                finished["period", move.target].add(deal_id, length_s)
        ages[moves[-1].target].append((facts.as_of - moves[-1].at).total_seconds())
    rows = []
    for window in ("all", "period"):
        for pipeline in sorted(facts.ladders, key=natural):
            for stage in facts.ladders[pipeline]:
                if stage.outcome is not Outcome.OPEN:
                    continue
                visits = finished[window, (pipeline, stage.id)]
                per_deal = list(visits.by_deal.values())
                waiting = ages[pipeline, stage.id]
                rows.append(
                    DwellRow(
                        window=window,
                        pipeline_id=pipeline,
                        stage_id=stage.id,
                        name=stage.name,
                        visits=len(visits.lengths),
                        median_s=median(visits.lengths),
                        p90_s=p90(visits.lengths),
                        mean_s=mean(visits.lengths),
                        deals=len(per_deal),
                        deal_median_s=median(per_deal),
                        deal_p90_s=p90(per_deal),
                        open_now=len(waiting),
                        open_median_age_s=median(waiting),
                    )
                )
    return rows
