"""How many deals there are, in which state, and how many of them took a step back."""

from __future__ import annotations

from dataclasses import dataclass

from connector.figures.base import Facts


@dataclass(frozen=True, slots=True)
class CountsRow:
    """One row: the whole account at `as_of`. `deals` are the kept ones."""

    all_deals: int
    deleted: int
    deals: int
    open: int
    won: int
    lost: int
    reopened: int
    moved_back: int
    lost_without_reason: int


def counts(facts: Facts) -> list[CountsRow]:
    """The one row of counts.

    reopened: has a move out of won or lost; moved_back: has a move between two open stages of a pipeline to a
    smaller sort.
    """
    [(deleted,)] = facts.ask(
        "SELECT count(*) FROM f.deals WHERE is_deleted AND NOT is_service AND created_at < $as_of"
    )
    [(kept, is_open, won, lost, without_reason)] = facts.ask(_KEPT)
    [(reopened, moved_back)] = facts.ask(_STEPS_BACK)
    return [
        CountsRow(
            all_deals=kept + deleted,
            deleted=deleted,
            deals=kept,
            open=is_open,
            won=won,
            lost=lost,
            reopened=reopened,
            moved_back=moved_back,
            lost_without_reason=without_reason,
        )
    ]


_KEPT = """
SELECT count(*), count(*) FILTER (outcome = 'open'), count(*) FILTER (outcome = 'won'),
       count(*) FILTER (outcome = 'lost'), count(*) FILTER (outcome = 'lost' AND loss_reason_id IS NULL)
FROM d
"""

#: Between two lost stages (Bitrix24 has several) no deal is reopened.
_STEPS_BACK = """
SELECT count(DISTINCT deal_id) FILTER (is_reopened), count(DISTINCT deal_id) FILTER (is_back)
FROM (
    SELECT deal_id, s.outcome <> 'open' AND t.outcome IS DISTINCT FROM s.outcome AS is_reopened,
           s.pipeline_id = t.pipeline_id AND s.outcome = 'open' AND t.outcome = 'open' AND t.sort < s.sort
               AS is_back
    FROM m
    JOIN st s ON s.pipeline_id = from_pipeline AND s.stage_id = from_stage
    LEFT JOIN st t ON t.pipeline_id = to_pipeline AND t.stage_id = to_stage
)
WHERE is_reopened OR is_back
"""
