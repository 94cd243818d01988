"""Why deals were lost, by all, pipeline, manager, channel and the stage they were lost from.

Counted are all deals that are lost now and were lost in the period; no reason given is a row like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.base import DealFact, Facts
from connector.figures.sales import groups_of, total_amount
from connector.figures.stats import NONE, NOT_SET, natural


@dataclass(frozen=True, slots=True)
class LossRow:
    """One reason in one group. `share` is of the group's lost deals; money unrounded."""

    dim: str
    key: str
    loss_reason_id: str | None
    reason: str
    deals: int
    share: float
    lost_amount: Decimal


def loss_reasons(facts: Facts, period: Period) -> list[LossRow]:
    """Rows of every reason in every group that lost a deal in the period."""
    lost = lost_in(facts, period)
    left = stages_left(facts, lost)
    groups: dict[tuple[str, str], list[DealFact]] = defaultdict(list)
    for deal in lost:
        for group in groups_of(deal):
            groups[group].append(deal)
        groups["stage", left[deal.id]].append(deal)
    rows = [row for (dim, key), of in groups.items() for row in _reasons(facts, dim, key, of)]
    return sorted(rows, key=lambda row: (row.dim, natural(row.key), natural(row.loss_reason_id or "")))


def lost_in(facts: Facts, period: Period) -> list[DealFact]:
    """Deals that are lost and whose last closing lies in the period."""
    return [deal for deal in facts.closed_in(period) if deal.outcome is Outcome.LOST]


def stages_left(facts: Facts, lost: Sequence[DealFact]) -> dict[str, str]:
    """deal_id -> `pipeline:stage` that its last move into lost left; `(none)` where no such move is known."""
    left = {deal.id: NONE for deal in lost}
    for deal_id, moves in facts.histories(lost):
        for move in reversed(moves):
            if facts.outcome(move.target) is Outcome.LOST:
                left[deal_id] = ":".join(move.source) if move.source else NONE
                break
    return left


def reason_name(facts: Facts, loss_reason_id: str | None) -> str:
    """What people call the reason; its id when the CRM no longer has it, `(not set)` without one."""
    if loss_reason_id is None:
        return NOT_SET
    return facts.reason_names.get(loss_reason_id, loss_reason_id)


def _reasons(facts: Facts, dim: str, key: str, lost: Sequence[DealFact]) -> list[LossRow]:
    by_reason: dict[str | None, list[DealFact]] = defaultdict(list)
    for deal in lost:
        by_reason[deal.loss_reason_id].append(deal)
    return [
        LossRow(
            dim=dim,
            key=key,
            loss_reason_id=reason,
            reason=reason_name(facts, reason),
            deals=len(of),
            share=len(of) / len(lost),
            lost_amount=total_amount(of),
        )
        for reason, of in by_reason.items()
    ]
