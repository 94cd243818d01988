"""Money in shares is the money again, to the kopeck; people are found by their names."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain import User
from connector.playbook.people import find_user
from connector.playbook.shares import largest_remainder
from tests.playbook.samples import USERS


def test_kopecks_left_over_go_to_who_lost_most() -> None:
    assert largest_remainder(Decimal("100"), {"a": Decimal(1), "b": Decimal(1), "c": Decimal(1)}) == {
        "a": Decimal("33.34"),
        "b": Decimal("33.33"),
        "c": Decimal("33.33"),
    }
    assert largest_remainder(Decimal("0.05"), {"a": Decimal("0.1"), "b": Decimal("0.3")}) == {
        "a": Decimal("0.01"),
        "b": Decimal("0.04"),
    }


weights = st.dictionaries(
    st.integers(0, 50), st.decimals(0, 10**6, places=3), min_size=1, max_size=30
).filter(lambda shares: any(shares.values()))


@settings(deadline=None)
@given(st.decimals("0.01", 10**12, places=2), weights)
def test_the_sum_is_exact_and_nobody_is_off_by_a_kopeck(total: Decimal, shares: dict[int, Decimal]) -> None:
    result = largest_remainder(total, shares)
    whole = sum(shares.values())
    assert sum(result.values()) == total
    for key, weight in shares.items():
        assert abs(result[key] * whole - total * weight) < Decimal("0.01") * whole


@pytest.mark.parametrize(
    ("spec", "user_id"),
    [("admin", "7"), ("12", "12"), (" анна  АЗАРОВА", "11"), ("VERA@example.ru", "13"), ("Нет", None)],
)
def test_people_are_found_as_they_are_written(spec: str, user_id: str | None) -> None:
    found = find_user(spec, USERS)
    assert (found and found.id) == user_id


def test_of_namesakes_the_active_and_older_comes_first() -> None:
    users = [User("10", "Анна"), User("9", "Анна"), User("8", "Анна", is_active=False)]
    found = find_user("анна", users)
    assert found is not None and found.id == "9"
