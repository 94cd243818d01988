"""How long deals stay in each open stage: finished visits, and how old the unfinished ones are."""

from __future__ import annotations

from dataclasses import dataclass

from connector.domain import Outcome, Period
from connector.figures.base import Facts
from connector.figures.stats import natural


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


def dwell(facts: Facts, period: Period) -> list[DwellRow]:
    """Rows of every open stage: window `all` (every finished visit) and `period` (those left in it)."""
    waiting = {(p, s): (count, age) for p, s, count, age in facts.ask(_WAITING)}
    rows = []
    for window in ("all", "period"):
        left = "next_ts IS NOT NULL" if window == "all" else "next_ts >= $start AND next_ts < $stop"
        of = period if window == "period" else None
        visits = {(p, s): tuple(rest) for p, s, *rest in facts.ask(_VISITS.format(left=left), of)}
        for pipeline in sorted(facts.ladders, key=natural):
            for stage in facts.ladders[pipeline]:
                if stage.outcome is not Outcome.OPEN:
                    continue
                key = (pipeline, stage.id)
                count, median, p90, mean, deals, deal_median, deal_p90 = visits.get(key, _NO_VISITS)
                open_now, age = waiting.get(key, (0, None))
                rows.append(
                    DwellRow(
                        window=window,
                        pipeline_id=pipeline,
                        stage_id=stage.id,
                        name=stage.name,
                        visits=count,
                        median_s=median,
                        p90_s=p90,
                        mean_s=mean,
                        deals=deals,
                        deal_median_s=deal_median,
                        deal_p90_s=deal_p90,
                        open_now=open_now,
                        open_median_age_s=age,
                    )
                )
    return rows


_NO_VISITS = (0, None, None, None, 0, None, None)

_VISITS = """
WITH v AS (
    SELECT deal_id, to_pipeline, to_stage, epoch_us(next_ts) - epoch_us(ts) AS us FROM m WHERE {left}
), single AS (
    SELECT to_pipeline, to_stage, count(*) AS visits, quantile_cont(us / 1e6, [0.5, 0.9]) AS q,
           sum(us) / count(*) / 1e6 AS mean
    FROM v GROUP BY ALL
), whole AS (
    SELECT to_pipeline, to_stage, count(*) AS deals, quantile_cont(us / 1e6, [0.5, 0.9]) AS q
    FROM (SELECT to_pipeline, to_stage, deal_id, sum(us) AS us FROM v GROUP BY ALL) GROUP BY ALL
)
SELECT to_pipeline, to_stage, visits, single.q[1], single.q[2], mean, deals, whole.q[1], whole.q[2]
FROM single JOIN whole USING (to_pipeline, to_stage)
"""

_WAITING = """
SELECT to_pipeline, to_stage, count(*), quantile_cont((epoch_us($as_of::TIMESTAMP) - epoch_us(ts)) / 1e6, 0.5)
FROM m WHERE next_ts IS NULL GROUP BY ALL
"""
