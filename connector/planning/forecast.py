"""How much the month will bring, with an interval, from what the department's own past months did. Pure.

Three parts: what is won already; the deals open now, each stage by the share of its money that past months
won between the same working day and their end; deals that do not exist yet, by what past months still made of
new ones. The interval comes from how far this very rule missed past months when each was left out in turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from statistics import NormalDist

from connector.planning.chance import student

#: Fewer past months than this are no history.
MIN_MONTHS = 4

#: Fewer deals won in all past months than this neither.
MIN_WON = 20

#: How much a stage is believed to be like the whole pipeline, in deals.
PRIOR_DEALS = 10


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A month on one of its working days, and how it ended. Money without kopecks lost: Decimal.

    won: revenue of the month by then. open_money, open_count: open deals by stage key. For a month that is
    over: won_money by the stage that deals stood in then, won_count likewise; won_new: of deals created
    later; won_deals: all that it won. These four are empty or 0 for the month to be forecast.
    """

    won: Decimal
    open_count: Mapping[str, int]
    open_money: Mapping[str, Decimal]
    won_count: Mapping[str, int]
    won_money: Mapping[str, Decimal]
    won_new: Decimal = Decimal(0)
    won_deals: int = 0

    @property
    def rest(self) -> Decimal:
        """What the month brought after this day."""
        return sum(self.won_money.values(), self.won_new)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Revenue of the month. months: past months it was learnt from.

    missed_by: root mean square of what this rule missed past months by, as a share of their revenue; None
    where they brought nothing. probability: that the plan is reached, None without a plan.
    """

    won: Decimal
    from_open: Decimal
    from_new: Decimal
    low: Decimal
    high: Decimal
    months: int
    missed_by: float | None
    probability: float | None

    @property
    def value(self) -> Decimal:
        """The middle of the forecast."""
        return self.won + self.from_open + self.from_new


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Why there is none: what is there and what would be needed."""

    months: int
    won: int


def forecast(now: Snapshot, past: Sequence[Snapshot], plan: Decimal | None = None) -> Forecast | NoForecast:
    """The forecast of the month that `now` shows, from the same working day of past months."""
    won_before = sum(month.won_deals for month in past)
    if len(past) < MIN_MONTHS or won_before < MIN_WON:
        return NoForecast(len(past), won_before)
    from_open, from_new = _rest(now, past)
    misses = []
    shares = []
    for index, month in enumerate(past):
        others = [*past[:index], *past[index + 1 :]]
        miss = float(month.rest - sum(_rest(month, others)))
        misses.append(miss)
        total = float(month.won + month.rest)
        shares.append(miss / total if total else 0.0)
    rest = float(from_open + from_new)
    # Months grow and shrink: a miss is scaled to the month at hand by what was to be expected of each.
    usual = math.fsum(float(month.rest) for month in past) / len(past)
    scale = rest / usual if usual > 0 and rest > 0 else 1.0
    sigma = math.sqrt(math.fsum(miss**2 for miss in misses) / len(misses)) * scale
    sigma = max(sigma, _least(now, past))
    reach = student(len(past) - 1) * sigma
    value = now.won + from_open + from_new
    return Forecast(
        won=now.won,
        from_open=_money(from_open),
        from_new=_money(from_new),
        # What is won cannot be lost again by waiting.
        low=max(now.won, _money(value - Decimal(repr(reach)))),
        high=_money(value + Decimal(repr(reach))),
        months=len(past),
        missed_by=math.sqrt(math.fsum(share**2 for share in shares) / len(shares)),
        probability=None if plan is None else _probability(plan, now.won, float(value), sigma),
    )


def _rest(now: Snapshot, past: Sequence[Snapshot]) -> tuple[Decimal, Decimal]:
    """Expected money of the open deals and of those to come."""
    seen = sum((sum(month.open_money.values(), Decimal(0)) for month in past), Decimal(0))
    came = sum((sum(month.won_money.values(), Decimal(0)) for month in past), Decimal(0))
    overall = came / seen if seen else Decimal(0)
    cheque = seen / max(sum(sum(month.open_count.values()) for month in past), 1)
    from_open = Decimal(0)
    for stage, money in now.open_money.items():
        of_stage = sum((month.open_money.get(stage, Decimal(0)) for month in past), Decimal(0))
        won = sum((month.won_money.get(stage, Decimal(0)) for month in past), Decimal(0))
        prior = cheque * PRIOR_DEALS
        rate = (won + overall * prior) / (of_stage + prior) if of_stage + prior else overall
        from_open += money * rate
    return from_open, sum((month.won_new for month in past), Decimal(0)) / len(past)


def _least(now: Snapshot, past: Sequence[Snapshot]) -> float:
    """The scatter that chance alone gives the open deals, each won or not."""
    count = sum(now.open_count.values())
    if not count:
        return 0.0
    cheque = float(sum(now.open_money.values(), Decimal(0))) / count
    seen = sum(sum(month.open_count.values()) for month in past)
    rate = sum(sum(month.won_count.values()) for month in past) / seen if seen else 0.0
    return cheque * math.sqrt(count * rate * (1 - min(rate, 1.0)))


def _probability(plan: Decimal, won: Decimal, value: float, sigma: float) -> float:
    if won >= plan:
        return 1.0
    if sigma <= 0:
        return float(value >= float(plan))
    return 1 - NormalDist(value, sigma).cdf(float(plan))


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"), ROUND_HALF_UP)
