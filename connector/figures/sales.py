"""Sales by all, pipeline, manager and channel: what a period closed, and what came of what it created."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from connector.domain import Outcome, Period
from connector.figures.base import DealFact, Facts
from connector.figures.stats import divide, mean, median, natural, p90, ratio

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


@dataclass(slots=True)
class _Group:
    won: list[DealFact] = field(default_factory=list)
    lost: list[DealFact] = field(default_factory=list)
    created: list[DealFact] = field(default_factory=list)


def groups_of(deal: DealFact) -> Iterator[tuple[str, str]]:
    """The (dim, key) groups a deal belongs to, one of each dimension."""
    yield "all", ALL
    yield "pipeline", deal.pipeline_id
    yield "manager", deal.manager
    yield "channel", deal.channel


def sales(facts: Facts, period: Period) -> list[SalesRow]:
    """Rows of every group that closed or created a deal in the period, and always the row of all."""
    groups: dict[tuple[str, str], _Group] = defaultdict(_Group)
    groups["all", ALL] = _Group()
    for deal in facts.closed_in(period):
        for key in groups_of(deal):
            group = groups[key]
            (group.won if deal.outcome is Outcome.WON else group.lost).append(deal)
    for deal in facts.created_in(period):
        for key in groups_of(deal):
            groups[key].created.append(deal)
    return [_row(*key, groups[key]) for key in sorted(groups, key=lambda k: (k[0], natural(k[1])))]


def total_amount(of: Sequence[DealFact]) -> Decimal:
    """The sum of the amounts."""
    return sum((deal.amount for deal in of), Decimal(0))


def _row(dim: str, key: str, group: _Group) -> SalesRow:
    won, lost, created = group.won, group.lost, group.created
    revenue = total_amount(won)
    cycles = [deal.age_at_close_s for deal in won]
    created_won = sum(deal.outcome is Outcome.WON for deal in created)
    created_lost = sum(deal.outcome is Outcome.LOST for deal in created)
    return SalesRow(
        dim=dim,
        key=key,
        won=len(won),
        lost=len(lost),
        win_rate=ratio(len(won), len(won) + len(lost)),
        revenue=revenue,
        avg_cheque=divide(revenue, len(won)),
        avg_cheque_nonzero=divide(revenue, sum(deal.amount > 0 for deal in won)),
        cycle_median_s=median(cycles),
        cycle_p90_s=p90(cycles),
        cycle_mean_s=mean(cycles),
        lost_cycle_median_s=median([deal.age_at_close_s for deal in lost]),
        created=len(created),
        created_won=created_won,
        created_lost=created_lost,
        created_open=len(created) - created_won - created_lost,
        created_win_rate=ratio(created_won, len(created)),
    )
