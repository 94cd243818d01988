"""A month falls on people and days in whole numbers, and every sum is the month again."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest

from connector.figures.stats import NONE
from connector.planning.decompose import DEFAULT_RAMP, Decomposition, Seller, decompose, unit_of
from connector.playbook.calendar import WorkingCalendar

DECEMBER = date(2026, 12, 1)
IS_WORKING = WorkingCalendar().is_working_day


def of(person: str, metric: str, plan: Decomposition) -> dict[int, int]:
    return {d.day: int(v) for (who, what, d), v in plan.atoms.items() if (who, what) == (person, metric)}


def test_a_vacation_moves_the_work_to_the_days_at_work_and_to_the_others() -> None:
    away = Seller("2", Decimal(1), absences=((date(2026, 12, 7), date(2026, 12, 18)),))
    plan = decompose(DECEMBER, {"meetings": Decimal(36)}, [Seller("1", Decimal(1)), away], IS_WORKING)
    # December 2026 has 22 working days, 10 of them fall on the vacation.
    assert plan.shares == {("1", "meetings"): Decimal(23), ("2", "meetings"): Decimal(13)}
    assert not of("2", "meetings", plan).keys() & set(range(7, 19))
    assert sum(of("2", "meetings", plan).values()) == 13


def test_a_newcomer_starts_by_quarters_and_grows_within_the_month() -> None:
    newcomer = Seller("2", Decimal(1), since=date(2026, 11, 16), ramp=DEFAULT_RAMP)
    assert [newcomer.power(date(2026, *day)) for day in ((11, 15), (11, 16), (12, 15), (12, 16))] == [
        Decimal(0),
        Decimal("0.25"),
        Decimal("0.25"),
        Decimal("0.5"),
    ]
    assert newcomer.power(date(2027, 2, 15)) == Decimal("0.75")
    assert newcomer.power(date(2027, 2, 16)) == 1


def test_a_person_who_leaves_has_no_number_after_the_last_day() -> None:
    leaver = Seller("2", Decimal(1), until=date(2026, 12, 10))
    plan = decompose(DECEMBER, {"calls": Decimal(300)}, [Seller("1", Decimal(1)), leaver], IS_WORKING)
    assert max(of("2", "calls", plan)) == 10
    assert sum(plan.shares.values()) == 300


def test_with_nobody_at_work_the_department_keeps_its_number() -> None:
    gone = Seller("2", Decimal(1), until=date(2026, 11, 30))
    for people in ([], [gone]):
        plan = decompose(DECEMBER, {"calls": Decimal(44)}, people, IS_WORKING)
        assert plan.shares == {(NONE, "calls"): Decimal(44)}
        assert set(of(NONE, "calls", plan).values()) == {2}
        assert plan.plans()[0].manager_id is None


def test_a_month_without_a_working_day_is_planned_on_its_last_day() -> None:
    plan = decompose(DECEMBER, {"won": Decimal(3)}, [Seller("1", Decimal(1))], lambda _: False)
    assert plan.atoms == {("1", "won", date(2026, 12, 31)): Decimal(3)}


@pytest.mark.parametrize(("metric", "total"), [("calls", "-1"), ("calls", "1.5"), ("revenue", "0.001")])
def test_what_is_no_whole_number_of_units_is_refused(metric: str, total: str) -> None:
    with pytest.raises(ValueError, match=metric):
        decompose(DECEMBER, {metric: Decimal(total)}, [Seller("1", Decimal(1))], IS_WORKING)


def test_a_thousand_departments_add_up_to_the_kopeck_and_to_the_unit() -> None:
    rng = random.Random(20261201)
    for _ in range(1000):
        month = date(rng.choice((2025, 2026, 2028)), rng.randint(1, 12), 1)
        people = [_somebody(rng, str(number), month) for number in range(rng.randint(0, 9))]
        totals = {
            "calls": Decimal(rng.randint(0, 5000)),
            "won": Decimal(rng.randint(0, 40)),
            "revenue": Decimal(rng.randint(0, 10**11)) / 100,
        }
        plan = decompose(month, totals, people, IS_WORKING)
        by_metric: dict[str, Decimal] = defaultdict(Decimal)
        by_person: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for (_, metric), value in plan.shares.items():
            by_metric[metric] += value
        for (person, metric, day), value in plan.atoms.items():
            assert value % unit_of(metric) == 0 and value > 0
            assert (day.year, day.month) == (month.year, month.month) and IS_WORKING(day)
            known = next((seller for seller in people if seller.user_id == person), None)
            assert known is None or known.power(day) > 0
            by_person[person, metric] += value
        assert by_metric == totals
        assert by_person == {key: value for key, value in plan.shares.items() if value}


def test_any_day_the_sum_so_far_is_within_one_of_the_even_share() -> None:
    plan = decompose(DECEMBER, {"meetings": Decimal(37)}, [Seller("1", Decimal(1))], IS_WORKING)
    working = [DECEMBER + timedelta(days=n) for n in range(31) if IS_WORKING(DECEMBER + timedelta(days=n))]
    for number, day in enumerate(working, 1):
        even = Decimal(37 * number) / len(working)
        assert abs(plan.due("1", "meetings", day + timedelta(days=1)) - even) <= Decimal("0.5")


def _somebody(rng: random.Random, name: str, month: date) -> Seller:
    def some_day() -> date:
        return month + timedelta(days=rng.randint(-40, 40))

    start, since = some_day(), some_day()
    return Seller(
        name,
        Decimal(rng.randint(1, 1000)) / 10,
        absences=((start, start + timedelta(days=rng.randint(0, 28))),) if rng.random() < 0.4 else (),
        since=since if rng.random() < 0.3 else None,
        until=since + timedelta(days=rng.randint(0, 60)) if rng.random() < 0.2 else None,
        ramp=DEFAULT_RAMP if rng.random() < 0.5 else (),
    )
