"""How many deals there are, in which state, and how many of them took a step back."""

from __future__ import annotations

from dataclasses import dataclass

from connector.domain import Outcome
from connector.figures.base import Facts, Move


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
    kept = facts.all_deals()
    deleted = facts.count_deleted()
    reopened = moved_back = 0
    for _, moves in facts.histories():
        reopened += any(_leaves_closed(facts, move) for move in moves)
        moved_back += any(is_back(facts, move) for move in moves)
    return [
        CountsRow(
            all_deals=len(kept) + deleted,
            deleted=deleted,
            deals=len(kept),
            open=sum(deal.outcome is Outcome.OPEN for deal in kept),
            won=sum(deal.outcome is Outcome.WON for deal in kept),
            lost=sum(deal.outcome is Outcome.LOST for deal in kept),
            reopened=reopened,
            moved_back=moved_back,
            lost_without_reason=sum(
                deal.outcome is Outcome.LOST and deal.loss_reason_id is None for deal in kept
            ),
        )
    ]


def is_back(facts: Facts, move: Move) -> bool:
    """Whether a move goes between two open stages of one pipeline to a smaller sort."""
    source = facts.stages.get(move.source) if move.source else None
    target = facts.stages.get(move.target)
    return (
        source is not None
        and target is not None
        and source.pipeline_id == target.pipeline_id
        and source.outcome is target.outcome is Outcome.OPEN
        and target.sort < source.sort
    )


def _leaves_closed(facts: Facts, move: Move) -> bool:
    """Whether a move goes out of won or out of lost; between two lost stages it does not."""
    source = facts.outcome(move.source)
    return source in (Outcome.WON, Outcome.LOST) and facts.outcome(move.target) is not source
