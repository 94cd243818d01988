"""«20 встреч в плане, прошло 8»: an alarm in time, rarely a false one, and the right link named."""

from __future__ import annotations

import math
import random
from datetime import date
from decimal import Decimal

import pytest

from connector.planning.chance import binomial_tail, poisson_tail, student
from connector.planning.control import Signal, Standing, catch_up, has_recovered, signals

THURSDAY, FRIDAY = date(2026, 12, 3), date(2026, 12, 4)


def standing(
    done: dict[str, int], due: dict[str, int], planned: dict[str, int] | None = None, **meetings: int
) -> Standing:
    return Standing(
        "11", *({k: Decimal(v) for k, v in part.items()} for part in (done, due, planned or due)), **meetings
    )


def one(found: list[Signal]) -> Signal:
    assert len(found) == 1, found
    return found[0]


def test_eight_of_twenty_with_enough_calls_breaks_between_call_and_agreement() -> None:
    week = standing(
        {"calls": 118, "agreed": 4, "meetings": 3},
        {"calls": 120, "agreed": 14, "meetings": 12},
        {"calls": 200, "agreed": 24, "meetings": 20},
        agreed=4,
        held=3,
    )
    found = one(signals([week], [THURSDAY, FRIDAY]))
    assert (found.metric, found.kind, found.link) == ("meetings", "behind", ("calls", "agreed"))
    assert found.per_day == ((THURSDAY, 9), (FRIDAY, 8))
    assert found.missing == 17


def test_meetings_agreed_that_do_not_take_place_are_told_as_that() -> None:
    week = standing({"meetings": 5}, {"meetings": 6}, {"meetings": 10}, agreed=14, held=5)
    found = one(signals([week], [FRIDAY]))
    assert (found.kind, found.link, found.done, found.due) == ("no_shows", ("agreed", "meetings"), 5, 14)


def test_few_meetings_for_few_calls_are_one_alarm_that_names_the_calls() -> None:
    week = standing({"calls": 40, "meetings": 3}, {"calls": 120, "meetings": 12})
    found = one(signals([week], []))
    assert (found.metric, found.link) == ("meetings", ("calls", "calls"))


def test_a_number_without_a_cause_here_stands_for_itself() -> None:
    found = one(signals([standing({"calls": 60}, {"calls": 120})], []))
    assert (found.metric, found.link, found.per_day) == ("calls", ("calls", "calls"), ())


def test_revenue_and_numbers_without_a_plan_raise_nothing() -> None:
    week = standing({"revenue": 0, "meetings": 0}, {"revenue": 10_000_000, "meetings": 0})
    assert signals([week], []) == []


def test_an_alarm_ends_when_the_number_is_such_as_chance_brings_about() -> None:
    assert not has_recovered(standing({"meetings": 7}, {"meetings": 12}), "meetings", "behind")
    assert has_recovered(standing({"meetings": 10}, {"meetings": 12}), "meetings", "behind")
    assert has_recovered(standing({}, {}, agreed=14, held=11), "meetings", "no_shows")


def test_what_is_missing_falls_on_the_days_left_in_whole_numbers() -> None:
    assert catch_up(Decimal("4.2"), [THURSDAY, FRIDAY]) == ((THURSDAY, 3), (FRIDAY, 2))
    assert catch_up(Decimal(5), []) == ()


@pytest.mark.parametrize(("count", "mean"), [(0, 2), (2, 2), (8, 20), (990, 1000), (0, 1000)])
def test_chances_of_counts_are_the_sums_of_their_terms(count: int, mean: int) -> None:
    exact, term = Decimal(0), (-Decimal(mean)).exp()
    for k in range(count + 1):
        exact += term
        term = term * mean / (k + 1)
    assert poisson_tail(count, mean) == pytest.approx(float(exact), rel=1e-9)


def test_chances_of_trials_and_students_quantiles_are_those_of_the_tables() -> None:
    assert binomial_tail(4, 10, 0.5) == pytest.approx(0.3770, abs=0.0001)
    assert [round(student(freedom), 2) for freedom in (4, 9, 30)] == [1.53, 1.38, 1.31]


def test_slow_weeks_are_told_in_time_and_good_ones_left_alone() -> None:
    """Looks on Wednesday, Thursday and Friday morning at a week with 20 meetings planned.

    On pace 24 are agreed a week and 85 % take place; in a slow week 20 are agreed and 40 % take place.
    """
    rng = random.Random(208)
    weeks = 1500
    false = sum(_first_alarm(rng, agreed=20 / 0.85, shows=0.85) is not None for _ in range(weeks))
    slow = [_first_alarm(rng, agreed=20, shows=0.4) for _ in range(weeks)]
    assert false / weeks <= 0.05
    assert sum(day is not None for day in slow) / weeks >= 0.95
    assert sum(day is not None and day <= 3 for day in slow) / weeks >= 0.88


def _first_alarm(rng: random.Random, *, agreed: float, shows: float) -> int | None:
    agreed_now = held = 0
    for day in range(1, 5):
        today = _poisson(rng, agreed / 5)
        agreed_now += today
        held += sum(rng.random() < shows for _ in range(today))
        now = standing(
            {"meetings": held}, {"meetings": 4 * day}, {"meetings": 20}, agreed=agreed_now, held=held
        )
        if day >= 2 and signals([now], []):
            return day
    return None


def _poisson(rng: random.Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count
