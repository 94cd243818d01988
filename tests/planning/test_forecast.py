"""The forecast of a month: by hand, beside the usual rules of thumb, and silent without a history."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal

from connector.planning.forecast import Forecast, NoForecast, Snapshot, forecast

#: What tools of the trade give a stage by default.
STATIC = {"a": 0.1, "b": 0.25, "c": 0.5, "d": 0.7}

DAYS = 21


def month(won: int, opened: int, came: int, new: int) -> Snapshot:
    """A month over, with `opened` open deals of 100 each, `came` of them won later."""
    return Snapshot(
        won=Decimal(won),
        open_count={"a": opened},
        open_money={"a": Decimal(opened * 100)},
        won_count={"a": came},
        won_money={"a": Decimal(came * 100)},
        won_new=Decimal(new),
        won_deals=came,
    )


def test_open_deals_count_by_what_their_stage_brought_and_new_ones_by_the_past() -> None:
    past = [month(900, 50, 10, 300) for _ in range(6)]
    now = Snapshot(Decimal(1000), {"a": 60}, {"a": Decimal(6000)}, {}, {})
    found = forecast(now, past, plan=Decimal(2500))
    assert isinstance(found, Forecast)
    assert (found.from_open, found.from_new, found.value) == (Decimal(1200), Decimal(300), Decimal(2500))
    assert found.low < found.value < found.high
    assert found.probability is not None and abs(found.probability - 0.5) < 0.01


def test_what_is_won_is_the_least_that_comes() -> None:
    past = [month(900, 50, 10, 0) for _ in range(4)]
    found = forecast(Snapshot(Decimal(1000), {}, {}, {}, {}), past, plan=Decimal(900))
    assert isinstance(found, Forecast)
    assert found.low == found.value == 1000
    assert found.probability == 1


def test_without_months_or_deals_enough_there_is_no_number() -> None:
    now = Snapshot(Decimal(1000), {"a": 60}, {"a": Decimal(6000)}, {}, {})
    assert forecast(now, [month(900, 50, 10, 300)] * 3) == NoForecast(3, 30)
    assert forecast(now, [month(900, 50, 2, 300)] * 6) == NoForecast(6, 12)


def test_a_stage_never_seen_is_taken_like_the_whole_pipeline() -> None:
    past = [month(0, 50, 10, 0) for _ in range(6)]
    found = forecast(Snapshot(Decimal(0), {"new": 10}, {"new": Decimal(1000)}, {}, {}), past)
    assert isinstance(found, Forecast)
    assert found.from_open == 200


def test_on_many_departments_it_misses_less_than_run_rate_and_static_weights() -> None:
    """40 departments with ten months behind them, looked at on the 6th and 12th of 21 working days."""
    rng = random.Random(38)
    missed: Counter[str] = Counter()
    inside = made = 0
    for _ in range(40):
        deals = _department(rng)
        for elapsed in (6, 12):
            past = [_snapshot(deals, number, elapsed) for number in range(3, 13)]
            truth = _snapshot(deals, 13, elapsed)
            now = Snapshot(truth.won, truth.open_count, truth.open_money, {}, {})
            found = forecast(now, past)
            if isinstance(found, NoForecast):
                continue
            total = truth.won + truth.rest
            static = sum(float(money) * STATIC[stage] for stage, money in now.open_money.items())
            made += 1
            inside += found.low <= total <= found.high
            scale = float(total) or 1.0
            missed["ours"] += abs(float(found.value - total)) / scale
            missed["run rate"] += abs(float(truth.won) / elapsed * DAYS - float(total)) / scale
            missed["static"] += abs(float(truth.won) + static - float(total)) / scale
    assert made > 60
    assert missed["ours"] < 0.8 * min(missed["run rate"], missed["static"]), missed
    assert 0.7 <= inside / made <= 0.92


@dataclass(frozen=True)
class Deal:
    created: int
    amount: int
    stages: list[tuple[float, str]]
    closed: float
    is_won: bool


def _department(rng: random.Random) -> list[Deal]:
    """14 months of a department with its own pace, conversions, cycle and cheques."""
    passes = [rng.uniform(0.4, 0.9) for _ in STATIC]
    stays = [rng.uniform(2, 9) for _ in STATIC]
    mu, sigma = rng.uniform(9, 12), rng.uniform(0.4, 0.9)
    deals, at, pace = [], 0.0, rng.uniform(1.5, 5)
    while (at := at + rng.expovariate(pace)) < 14 * DAYS:
        moment, stages, is_won = at, [], True
        for stage, share, stay in zip(STATIC, passes, stays, strict=True):
            stages.append((moment, stage))
            moment += rng.expovariate(1 / stay)
            if rng.random() > share:
                is_won = False
                break
        deals.append(Deal(int(at), round(rng.lognormvariate(mu, sigma)), stages, moment, is_won))
    return deals


def _snapshot(deals: list[Deal], number: int, elapsed: int) -> Snapshot:
    start, now, end = number * DAYS, number * DAYS + elapsed, (number + 1) * DAYS
    open_count: Counter[str] = Counter()
    won_count: Counter[str] = Counter()
    open_money: dict[str, Decimal] = defaultdict(Decimal)
    won_money: dict[str, Decimal] = defaultdict(Decimal)
    won = new = Decimal(0)
    won_deals = 0
    for deal in deals:
        wins_later = deal.is_won and now <= deal.closed < end
        won_deals += deal.is_won and start <= deal.closed < end
        if deal.is_won and start <= deal.closed < now:
            won += deal.amount
        if deal.created >= now:
            new += deal.amount * wins_later
        elif deal.closed >= now:
            stage = [name for moment, name in deal.stages if math.floor(moment) < now][-1]
            open_count[stage] += 1
            open_money[stage] += deal.amount
            if wins_later:
                won_count[stage] += 1
                won_money[stage] += deal.amount
    return Snapshot(won, open_count, open_money, won_count, won_money, new, won_deals)
