"""What goes wrong at each stage in a period: moves that skip it, come back to it, or end in lost."""

from __future__ import annotations

from dataclasses import dataclass

from connector.domain import Outcome, Period
from connector.figures.base import Facts
from connector.figures.stats import natural, ratio


@dataclass(frozen=True, slots=True)
class StageFlowRow:
    """One open stage: numbers of moves made in the period inside its pipeline; shares are fractions.

    passed: moves into it, `returned` those that left a later stage, won or lost; skipped: moves from an
    earlier open stage to a later one or to won that leave it out, `skip_share` of passed + skipped; left:
    moves out of it, `lost` those of them into lost, `dead_end_share` of left.
    """

    pipeline_id: str
    stage_id: str
    name: str
    passed: int
    returned: int
    skipped: int
    skip_share: float | None
    left: int
    lost: int
    dead_end_share: float | None


def stage_flow(facts: Facts, period: Period) -> list[StageFlowRow]:
    """Rows of every pipeline's open stages."""
    moves = facts.ask(_MOVES, period)
    rows = []
    for pipeline in sorted(facts.ladders, key=natural):
        own = [move[1:] for move in moves if move[0] == pipeline]
        for place, stage in enumerate(facts.ladders[pipeline]):
            if stage.outcome is not Outcome.OPEN:
                continue
            passed = sum(n for _, _, to, _, n in own if to == place)
            left = sum(n for at, was_open, _, _, n in own if was_open and at == place)
            lost = sum(n for at, was_open, _, is_lost, n in own if was_open and at == place and is_lost)
            skipped = sum(
                n for at, was_open, to, _, n in own if was_open and to is not None and at < place < to
            )
            rows.append(
                StageFlowRow(
                    pipeline_id=pipeline,
                    stage_id=stage.id,
                    name=stage.name,
                    passed=passed,
                    returned=sum(
                        n for at, _, to, _, n in own if to == place and at is not None and at > place
                    ),
                    skipped=skipped,
                    skip_share=ratio(skipped, passed + skipped),
                    left=left,
                    lost=lost,
                    dead_end_share=ratio(lost, left),
                )
            )
    return rows


#: (pipeline, place left, whether it was open, place entered, whether that is lost, moves). Lost is left as if
#: it stood behind everything; it is no place to enter.
_MOVES = """
SELECT to_pipeline, CASE WHEN s.outcome = 'lost' THEN s.last + 1 ELSE s.pos END AS place, s.outcome = 'open',
       t.pos, t.outcome = 'lost', count(*)
FROM m
JOIN st t ON t.pipeline_id = to_pipeline AND t.stage_id = to_stage
LEFT JOIN st s ON s.pipeline_id = from_pipeline AND s.stage_id = from_stage AND from_pipeline = to_pipeline
WHERE ts >= $start AND ts < $stop
  AND NOT coalesce(from_pipeline = to_pipeline AND from_stage = to_stage, false)
GROUP BY ALL
"""
