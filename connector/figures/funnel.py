"""The funnel, by two questions: how far did the deals created in a period get, and what happened in it."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from connector.domain import Period
from connector.figures.base import Facts
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
    found = _Cohorts(facts, period, "''")
    return [row for pipeline in sorted(facts.ladders, key=natural) for row in found.rows("", pipeline)]


def funnel_cohort_by_manager(facts: Facts, period: Period) -> list[ManagerCohortRow]:
    """The same a manager; a manager has rows of the pipelines that his deals are in."""
    found = _Cohorts(facts, period, "manager")
    return [
        ManagerCohortRow(key, *astuple(row))
        for key, pipeline in found.groups
        for row in found.rows(key, pipeline)
    ]


def funnel_cohort_by_channel(facts: Facts, period: Period) -> list[ChannelCohortRow]:
    """The same a channel; a channel has rows of the pipelines that its deals are in."""
    found = _Cohorts(facts, period, "channel")
    return [
        ChannelCohortRow(key, *astuple(row))
        for key, pipeline in found.groups
        for row in found.rows(key, pipeline)
    ]


#: (deal_id, place): the furthest step of its present pipeline that each deal of the relation {of} has got to.
#: Once won, in whichever pipeline, is the whole way. The present stage counts even where the move into it
#: was never recorded.
FURTHEST = """
SELECT o.deal_id, max(
    CASE WHEN o.outcome = 'won' OR v.outcome = 'won' THEN e.last
         WHEN v.pipeline_id = o.pipeline_id THEN coalesce(v.pos, 0) ELSE 0 END
) AS place
FROM {of} o
LEFT JOIN (SELECT pipeline_id, any_value(last) AS last FROM st GROUP BY ALL) e
    ON e.pipeline_id = o.pipeline_id
JOIN (
    SELECT deal_id, to_pipeline AS p, to_stage AS s FROM f.moves WHERE ts < $as_of
    UNION ALL SELECT deal_id, pipeline_id, stage_id FROM {of}
) x ON x.deal_id = o.deal_id
LEFT JOIN st v ON v.pipeline_id = x.p AND v.stage_id = x.s
GROUP BY o.deal_id
"""

_BORN = "WITH c AS (SELECT *, {group} AS grp FROM d WHERE created_at >= $start AND created_at < $stop)"


class _Cohorts:
    """Deals created in a period by the values of `group`, an expression over deals."""

    def __init__(self, facts: Facts, period: Period, group: str) -> None:
        self._ladders = facts.ladders
        born = _BORN.format(group=group)
        self._places: dict[tuple[str, str], dict[int, int]] = {}
        furthest = FURTHEST.format(of="c")
        for key, pipeline, place, count in facts.ask(
            f"{born} SELECT grp, pipeline_id, coalesce(place, 0), count(*) "
            f"FROM c JOIN ({furthest}) USING (deal_id) GROUP BY ALL",
            period,
        ):
            self._places.setdefault((key, pipeline), {})[place] = count
        self._entered = {
            (key, pipeline, stage): count
            for key, pipeline, stage, count in facts.ask(
                f"{born} SELECT grp, pipeline_id, to_stage, count(DISTINCT c.deal_id) "
                "FROM c JOIN f.moves x ON x.deal_id = c.deal_id AND x.to_pipeline = c.pipeline_id "
                "WHERE ts < $as_of GROUP BY ALL",
                period,
            )
        }

    @property
    def groups(self) -> list[tuple[str, str]]:
        """(group, pipeline) of all that have a deal."""
        return sorted(self._places, key=lambda key: (natural(key[0]), natural(key[1])))

    def rows(self, key: str, pipeline: str) -> list[CohortRow]:
        """One group's rows of one pipeline."""
        places = self._places.get((key, pipeline), {})
        cohort = sum(places.values())
        rows: list[CohortRow] = []
        before: int | None = None
        for step, stage in enumerate(self._ladders.get(pipeline, ())):
            reached = sum(count for place, count in places.items() if place >= step)
            rows.append(
                CohortRow(
                    pipeline_id=pipeline,
                    stage_id=stage.id,
                    name=stage.name,
                    cohort=cohort,
                    entered=self._entered.get((key, pipeline, stage.id), 0),
                    reached=reached,
                    conv_from_first=ratio(reached, cohort),
                    conv_from_prev=None if before is None else ratio(reached, before),
                )
            )
            before = reached
        return rows


def funnel_period(facts: Facts, period: Period) -> list[PeriodRow]:
    """Rows of every pipeline's open stages and won, for the moves made in the period.

    A move to an open stage of another pipeline is an entry there, and neither forward nor back here.
    """
    entered = {(p, s): (deals, entries) for p, s, deals, entries in facts.ask(_ENTRIES, period)}
    exits = {(p, s, way): count for p, s, way, count in facts.ask(_EXITS, period)}
    rows = []
    for pipeline in sorted(facts.ladders, key=natural):
        before: int | None = None
        for stage in facts.ladders[pipeline]:
            key = (pipeline, stage.id)
            deals, entries = entered.get(key, (0, 0))
            rows.append(
                PeriodRow(
                    pipeline_id=pipeline,
                    stage_id=stage.id,
                    name=stage.name,
                    entered_deals=deals,
                    entries=entries,
                    exits_forward=exits.get((*key, "forward"), 0),
                    exits_back=exits.get((*key, "back"), 0),
                    exits_won=exits.get((*key, "won"), 0),
                    exits_lost=exits.get((*key, "lost"), 0),
                    conv_from_prev=None if before is None else ratio(deals, before),
                )
            )
            before = deals
    return rows


_ENTRIES = """
SELECT to_pipeline, to_stage, count(DISTINCT deal_id), count(*)
FROM m WHERE ts >= $start AND ts < $stop GROUP BY ALL
"""

#: forward, back, won or lost; a move that is none of them is left out.
_EXITS = """
SELECT from_pipeline, from_stage,
       CASE WHEN t.outcome <> 'open' THEN t.outcome
            WHEN s.pipeline_id IS NULL OR s.pipeline_id <> t.pipeline_id THEN NULL
            WHEN s.outcome = 'won' OR t.sort < s.sort THEN 'back'
            WHEN t.sort > s.sort THEN 'forward' END AS way,
       count(*)
FROM m
JOIN st t ON t.pipeline_id = to_pipeline AND t.stage_id = to_stage
LEFT JOIN st s ON s.pipeline_id = from_pipeline AND s.stage_id = from_stage
WHERE ts >= $start AND ts < $stop AND from_stage IS NOT NULL
  AND NOT (from_pipeline = to_pipeline AND from_stage = to_stage)
GROUP BY ALL
"""
