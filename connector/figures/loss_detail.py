"""Lost deals by reason, stage, channel and manager at once, with their money and the deals themselves."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Period
from connector.figures.base import Facts, money
from connector.figures.losses import LOST, reason_name
from connector.figures.stats import natural


@dataclass(frozen=True, slots=True)
class LossDetailRow:
    """One reason at one stage (`pipeline:stage` that was left) in one channel of one manager.

    `deal_ids` are the deals that `deals` counts, by their numbers, with spaces between them.
    """

    loss_reason_id: str | None
    reason: str
    stage: str
    channel: str
    manager: str
    deals: int
    lost_amount: Decimal
    deal_ids: str


def loss_detail(facts: Facts, period: Period) -> list[LossDetailRow]:
    """Rows of all deals that are lost now and were lost in the period; no reason given is a row too."""
    rows: list[LossDetailRow] = []
    for reason, stage, channel, manager, count, amount, ids in facts.ask(_DETAIL, period):
        deal_ids = " ".join(sorted(ids, key=natural))
        name = reason_name(facts, reason)
        rows.append(LossDetailRow(reason, name, stage, channel, manager, count, money(amount), deal_ids))
    return sorted(
        rows, key=lambda r: [natural(k or "") for k in (r.loss_reason_id, r.stage, r.channel, r.manager)]
    )


_DETAIL = f"""
WITH {LOST}
SELECT loss_reason_id, stage, channel, manager, count(*), sum(amount), list(deal_id) FROM lost GROUP BY ALL
"""
