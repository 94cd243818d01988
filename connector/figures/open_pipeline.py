"""What is under way: open deals and money by stage, weighted by how such deals ended before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from connector.domain import Outcome
from connector.figures.base import Facts, money
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
    under_way = {(p, s): (count, money(amount)) for p, s, count, amount in facts.ask(_UNDER_WAY)}
    ended = {(p, s): (won, lost) for p, s, won, lost in facts.ask(_ENDED)}
    steps = [
        ((stage.pipeline_id, stage.id), stage.name)
        for pipeline in sorted(facts.ladders, key=natural)
        for stage in facts.ladders[pipeline]
        if stage.outcome is Outcome.OPEN
    ]
    steps += [(key, "") for key in sorted(under_way) if facts.outcome(key) is not Outcome.OPEN]
    rows = []
    for key, name in steps:
        count, amount = under_way.get(key, (0, Decimal(0)))
        won, lost = ended.get(key, (0, 0))
        closed = won + lost
        rows.append(
            OpenRow(
                pipeline_id=key[0],
                stage_id=key[1],
                name=name,
                open_deals=count,
                amount=amount,
                win_chance=ratio(won, closed),
                weighted_amount=amount * won / closed if closed else None,
            )
        )
    return rows


_UNDER_WAY = "SELECT pipeline_id, stage_id, count(*), sum(amount) FROM d WHERE outcome = 'open' GROUP BY ALL"

_ENDED = """
SELECT to_pipeline, to_stage, count(*) FILTER (outcome = 'won'), count(*) FILTER (outcome = 'lost')
FROM (SELECT DISTINCT deal_id, to_pipeline, to_stage FROM f.moves WHERE ts < $as_of)
JOIN (SELECT deal_id, outcome FROM d WHERE outcome <> 'open') USING (deal_id)
GROUP BY ALL
"""
