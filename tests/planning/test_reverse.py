"""The way back from the revenue: numbers by hand, both directions agree, intervals hold what they say."""

from __future__ import annotations

import math
import random
from decimal import Decimal

from connector.figures.cohort import CohortDeal
from connector.planning.reverse import reverse


def deal(amount: int = 0, *, calls: int = 1, meetings: int = 0, invoices: int = 0) -> CohortDeal:
    return CohortDeal(amount > 0, Decimal(amount), calls, min(calls, 1), meetings, invoices)


#: 100 leads, 40 with a meeting, 25 with an invoice, 10 won at 200 000 on the average.
COHORT = [
    *(deal(amount, meetings=2, invoices=1) for amount in (100_000, 300_000) for _ in range(5)),
    *(deal(meetings=1, invoices=1) for _ in range(15)),
    *(deal(meetings=1) for _ in range(15)),
    *(deal(calls=3) for _ in range(50)),
    *(deal(calls=0) for _ in range(10)),
]


def test_ten_million_are_so_many_deals_invoices_meetings_calls_and_leads() -> None:
    found = reverse(Decimal(10_000_000), COHORT)
    assert found is not None
    assert found.avg_cheque == 200_000
    assert {step.step: step.value for step in found.steps} == {
        "won": Decimal(50),
        "with_invoice": Decimal(125),
        "with_meeting": Decimal(200),
        "with_call": Decimal(450),
        "leads": Decimal(500),
    }
    assert {step.step: step.value for step in found.activities} == {
        "invoices": Decimal(125),
        "meetings": Decimal(250),
        "calls": Decimal(950),
    }


def test_the_numbers_found_lead_forward_to_the_goal_again() -> None:
    goal = Decimal("7777777.77")
    found = reverse(goal, COHORT)
    assert found is not None
    leads = found.step("leads")
    assert leads is not None
    assert round(leads.value * found.won / found.leads * found.avg_cheque, 2) == goal


def test_rounding_up_happens_once_and_only_upwards() -> None:
    found = reverse(Decimal(10_000_001), COHORT)
    assert found is not None
    assert found.targets() == {"calls": 951, "meetings": 251, "invoices": 126, "won": 51}


def test_steps_that_nobody_took_are_left_out() -> None:
    found = reverse(Decimal(100), [deal(50), deal()])
    assert found is not None
    assert [step.step for step in found.steps] == ["won", "with_call", "leads"]
    assert found.step("meetings") is None


def test_a_cohort_without_money_says_nothing() -> None:
    assert reverse(Decimal(100), []) is None
    assert reverse(Decimal(100), [deal() for _ in range(50)]) is None
    assert reverse(Decimal(100), [CohortDeal(True, Decimal(0), 0, 0, 0, 0)]) is None


def test_few_won_deals_carry_a_number_and_no_interval() -> None:
    found = reverse(Decimal(100), [deal(50) for _ in range(9)])
    assert found is not None
    assert found.steps[-1].low is None and found.steps[-1].high is None


def test_four_of_five_intervals_hold_the_truth() -> None:
    """500 departments whose true funnel is known; 80 % is promised, 75-85 % is what chance leaves of it."""
    rng = random.Random(500)
    inside = {"leads": 0, "with_meeting": 0}
    for _ in range(500):
        meets, wins = rng.uniform(0.3, 0.6), rng.uniform(0.2, 0.4)
        mu, sigma = rng.uniform(10, 13), rng.uniform(0.3, 0.9)
        cohort = []
        for _ in range(rng.randint(200, 600)):
            has_met = rng.random() < meets
            is_won = has_met and rng.random() < wins
            amount = Decimal(max(round(rng.lognormvariate(mu, sigma)), 1)) if is_won else Decimal(0)
            cohort.append(CohortDeal(is_won, amount, 1, 1, int(has_met), int(is_won)))
        found = reverse(Decimal(10_000_000), cohort)
        assert found is not None
        truth = 10_000_000 / (math.exp(mu + sigma**2 / 2) * meets * wins)
        for step, true in (("leads", truth), ("with_meeting", truth * meets)):
            need = found.step(step)
            assert need is not None and need.low is not None and need.high is not None
            inside[step] += need.low <= Decimal(true) <= need.high
    assert all(375 <= count <= 425 for count in inside.values()), inside
