"""What is under way: open deals and money by stage, weighted by how such deals ended before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Outcome
from connector.figures.base import DealFact, Facts
from connector.figures.sales import total_amount
from connector.figures.stats import natural, ratio


@dataclass(frozen=True, slots=True)
class OpenRow:
    """One open stage. `win_chance` is a fraction, None where no deal that entered the stage is closed yet."""

    pipeline_id: str
    stage_id: str
    name: str
    open_deals: int
    amount: Decimal
    win_chance: float | None
    weighted_amount: Decimal | None


def open_pipeline(facts: Facts) -> list[OpenRow]:
    """Rows of every open stage, and of stages that the CRM no longer lists but open deals are still in."""
    under_way: dict[tuple[str, str], list[DealFact]] = defaultdict(list)
    outcomes: dict[str, Outcome] = {}
    for deal in facts.all_deals():
        outcomes[deal.id] = deal.outcome
        if deal.outcome is Outcome.OPEN:
            under_way[deal.pipeline_id, deal.stage_id].append(deal)
    won: dict[tuple[str, str], int] = defaultdict(int)
    lost: dict[tuple[str, str], int] = defaultdict(int)
    for deal_id, moves in facts.histories():
        tally = {Outcome.WON: won, Outcome.LOST: lost}.get(outcomes[deal_id])
        if tally is not None:
            for key in {move.target for move in moves}:
                tally[key] += 1

    steps = [
        ((stage.pipeline_id, stage.id), stage.name)
        for pipeline in sorted(facts.ladders, key=natural)
        for stage in facts.ladders[pipeline]
        if stage.outcome is Outcome.OPEN
    ]
    steps += [(key, "") for key in sorted(under_way) if facts.outcome(key) is not Outcome.OPEN]
    rows = []
    for key, name in steps:
        amount = total_amount(under_way[key])
        closed = won[key] + lost[key]
        rows.append(
            OpenRow(
                pipeline_id=key[0],
                stage_id=key[1],
                name=name,
                open_deals=len(under_way[key]),
                amount=amount,
                win_chance=ratio(won[key], closed),
                weighted_amount=amount * won[key] / closed if closed else None,
            )
        )
    return rows
