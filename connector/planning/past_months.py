"""The month at hand and the months before it, each on the same working day: what the forecast learns from."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from connector.domain import Outcome
from connector.figures.base import DealFact, Facts, Move
from connector.figures.plan import IsWorking, days, month_start, next_month, working_days
from connector.planning.forecast import Snapshot

#: How many past months are looked at.
MONTHS = 12


@dataclass(slots=True)
class _Look:
    """One month on one day, while it is being counted."""

    start: datetime
    at: datetime
    end: datetime
    won: Decimal = Decimal(0)
    won_new: Decimal = Decimal(0)
    won_deals: int = 0
    open_count: Counter[str] = field(default_factory=Counter)
    won_count: Counter[str] = field(default_factory=Counter)
    open_money: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    won_money: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def snapshot(self) -> Snapshot:
        return Snapshot(
            *(self.won, self.open_count, self.open_money, self.won_count, self.won_money),
            *(self.won_new, self.won_deals),
        )


def snapshots(facts: Facts, is_working: IsWorking) -> tuple[Snapshot, list[Snapshot]]:
    """(the month of `facts.last_day` as it stands, past months on the same working day, the oldest first).

    Months before the first deal are left out. Amounts and owners are the present ones.
    """
    month = month_start(facts.last_day)
    elapsed = working_days(month, facts.last_day + timedelta(days=1), is_working)
    looks = [_Look(facts.midnight(month), facts.as_of, facts.as_of)]
    for _ in range(MONTHS):
        month = month_start(month - timedelta(days=1))
        cut = _after_working_days(month, elapsed, is_working)
        looks.append(_Look(facts.midnight(month), facts.midnight(cut), facts.midnight(next_month(month))))
    looks.reverse()
    deals = facts.alive_since(looks[0].start)
    histories = dict(facts.histories(deals))
    first = facts.first_created_at
    for deal in deals:
        moves = histories.get(deal.id, [])
        moments = [move.at for move in moves]
        for look in looks:
            _count(look, deal, moves, moments, facts)
    past = [look.snapshot() for look in looks[:-1] if first is not None and first <= look.start]
    return looks[-1].snapshot(), past


def _count(
    look: _Look, deal: DealFact, moves: Sequence[Move], moments: Sequence[datetime], facts: Facts
) -> None:
    is_won = deal.outcome is Outcome.WON and deal.closed_at is not None
    closed_at = deal.closed_at
    comes = is_won and closed_at is not None and look.at <= closed_at < look.end
    if is_won and closed_at is not None and look.start <= closed_at < look.end:
        look.won_deals += 1
    if is_won and closed_at is not None and look.start <= closed_at < look.at:
        look.won += deal.amount
    if deal.created_at >= look.at:
        if comes:
            look.won_new += deal.amount
        return
    stood = bisect_left(moments, look.at)
    key = moves[stood - 1].target if stood else (deal.pipeline_id, deal.stage_id)
    if (facts.outcome(key) or Outcome.OPEN) is not Outcome.OPEN:
        return
    if not moves and closed_at is not None and closed_at < look.at:
        return
    stage = ":".join(key)
    look.open_count[stage] += 1
    look.open_money[stage] += deal.amount
    if comes:
        look.won_count[stage] += 1
        look.won_money[stage] += deal.amount


def _after_working_days(month: date, count: int, is_working: IsWorking) -> date:
    """The day after the `count`-th working day of the month; the next month's first when it has fewer."""
    for day in days(month, next_month(month)):
        count -= is_working(day)
        if count <= 0:
            return day + timedelta(days=1)
    return next_month(month)
