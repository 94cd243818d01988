"""Why deals were lost, by all, pipeline, manager, channel and the stage they were lost from.

Counted are all deals that are lost now and were lost in the period; no reason given is a row like any other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.base import DealFact, Facts, money
from connector.figures.stats import NOT_SET, natural


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
    rows = facts.ask(_REASONS, period)
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for dim, key, _, count, _ in rows:
        totals[dim, key] += count
    return [
        LossRow(dim, key, reason, reason_name(facts, reason), count, count / totals[dim, key], money(amount))
        for dim, key, reason, count, amount in sorted(
            rows, key=lambda row: (row[0], natural(row[1]), natural(row[2] or ""))
        )
    ]


def lost_in(facts: Facts, period: Period) -> list[DealFact]:
    """Deals that are lost and whose last closing lies in the period."""
    return [deal for deal in facts.closed_in(period) if deal.outcome is Outcome.LOST]


def reason_name(facts: Facts, loss_reason_id: str | None) -> str:
    """What people call the reason; its id when the CRM no longer has it, `(not set)` without one."""
    if loss_reason_id is None:
        return NOT_SET
    return facts.reason_names.get(loss_reason_id, loss_reason_id)


#: Lost deals of the period with the stage that their last move into lost left.
LOST = """
l AS (
    SELECT * FROM d WHERE outcome = 'lost' AND closed_at >= $start AND closed_at < $stop
), lost AS (
    SELECT l.*, coalesce(x.stage, '(none)') AS stage
    FROM l LEFT JOIN (
        SELECT deal_id, arg_max(coalesce(from_pipeline || ':' || from_stage, '(none)'), n) AS stage
        FROM f.moves
        SEMI JOIN l USING (deal_id)
        SEMI JOIN (SELECT * FROM st WHERE outcome = 'lost') s
            ON s.pipeline_id = to_pipeline AND s.stage_id = to_stage
        WHERE ts < $as_of GROUP BY deal_id
    ) x USING (deal_id)
)
"""

_REASONS = f"""
WITH {LOST}
SELECT dim, key, loss_reason_id, count(*), sum(amount)
FROM (
    SELECT unnest(['all', 'pipeline', 'manager', 'channel', 'stage']) AS dim,
           unnest(['all', pipeline_id, manager, channel, stage]) AS key, loss_reason_id, amount
    FROM lost
)
GROUP BY ALL
"""
