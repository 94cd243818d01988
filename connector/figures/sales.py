"""Sales by all, pipeline, manager and channel: what a period closed, and what came of what it created."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connector.domain import Period
from connector.figures.base import DealFact, Facts, money
from connector.figures.stats import divide, natural, ratio

#: The key of the one group of the dimension `all`.
ALL = "all"


@dataclass(frozen=True, slots=True)
class SalesRow:
    """One group. Shares are fractions, times seconds, money unrounded."""

    dim: str
    key: str
    won: int
    lost: int
    win_rate: float | None
    revenue: Decimal
    avg_cheque: Decimal | None
    avg_cheque_nonzero: Decimal | None
    cycle_median_s: float | None
    cycle_p90_s: float | None
    cycle_mean_s: float | None
    lost_cycle_median_s: float | None
    created: int
    created_won: int
    created_lost: int
    created_open: int
    created_win_rate: float | None


def sales(facts: Facts, period: Period) -> list[SalesRow]:
    """Rows of every group that closed or created a deal in the period, and always the row of all."""
    closed = {(dim, key): rest for dim, key, *rest in facts.ask(_CLOSED, period)}
    born = {(dim, key): rest for dim, key, *rest in facts.ask(_CREATED, period)}
    keys = sorted({("all", ALL), *closed, *born}, key=lambda k: (k[0], natural(k[1])))
    return [_row(*key, closed.get(key, _NONE_CLOSED), born.get(key, [0, 0, 0])) for key in keys]


def total_amount(of: Sequence[DealFact]) -> Decimal:
    """The sum of the amounts."""
    return sum((deal.amount for deal in of), Decimal(0))


def _row(dim: str, key: str, closed: Sequence[Any], born: Sequence[Any]) -> SalesRow:
    won, lost, hundredths, nonzero, median, p90, mean, lost_median = closed
    created, created_won, created_lost = born
    revenue = money(hundredths)
    return SalesRow(
        dim=dim,
        key=key,
        won=won,
        lost=lost,
        win_rate=ratio(won, won + lost),
        revenue=revenue,
        avg_cheque=divide(revenue, won),
        avg_cheque_nonzero=divide(revenue, nonzero),
        cycle_median_s=median,
        cycle_p90_s=p90,
        cycle_mean_s=mean,
        lost_cycle_median_s=lost_median,
        created=created,
        created_won=created_won,
        created_lost=created_lost,
        created_open=created - created_won - created_lost,
        created_win_rate=ratio(created_won, created),
    )


_NONE_CLOSED = [0, 0, 0, 0, None, None, None, None]

#: (dim, key) of each grouping set, and the sets: all, pipeline, manager, channel.
DIMENSIONS = """
CASE WHEN grouping(pipeline_id) = 0 THEN 'pipeline' WHEN grouping(manager) = 0 THEN 'manager'
     WHEN grouping(channel) = 0 THEN 'channel' ELSE 'all' END AS dim,
coalesce(pipeline_id, manager, channel, 'all') AS key
"""
GROUPING = "GROUP BY GROUPING SETS ((), (pipeline_id), (manager), (channel))"

_CLOSED = f"""
WITH c AS (
    SELECT pipeline_id, manager, channel, amount, outcome = 'won' AS is_won,
           epoch_us(closed_at) - epoch_us(created_at) AS us
    FROM d WHERE outcome <> 'open' AND closed_at >= $start AND closed_at < $stop
)
SELECT {DIMENSIONS}, count(*) FILTER (is_won), count(*) FILTER (NOT is_won), sum(amount) FILTER (is_won),
       count(*) FILTER (is_won AND amount > 0),
       quantile_cont(us / 1e6, 0.5) FILTER (is_won), quantile_cont(us / 1e6, 0.9) FILTER (is_won),
       sum(us) FILTER (is_won) / count(*) FILTER (is_won) / 1e6,
       quantile_cont(us / 1e6, 0.5) FILTER (NOT is_won)
FROM c {GROUPING}
"""

_CREATED = f"""
SELECT {DIMENSIONS}, count(*), count(*) FILTER (outcome = 'won'), count(*) FILTER (outcome = 'lost')
FROM d WHERE created_at >= $start AND created_at < $stop {GROUPING}
"""
