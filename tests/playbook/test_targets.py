"""A target split between people is the target again, to the kopeck."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.domain import User
from connector.errors import ConfigError
from connector.playbook.load import parse_playbook
from connector.playbook.model import Target
from connector.playbook.people import find_user
from connector.playbook.targets import largest_remainder, split_target
from tests.playbook.samples import USERS


def target(revenue: str, **split: str) -> Target:
    weights = {name: Decimal(weight) for name, weight in split.items()}
    return Target(month=date(2026, 12, 1), revenue=Decimal(revenue), split=weights)


def test_shares_follow_the_weights() -> None:
    split = {"Анна Азарова": "40", "борис буров": "35", "vera@example.ru": "25"}
    assert split_target(target("10000000", **split), USERS) == {
        "11": Decimal(4_000_000),
        "12": Decimal(3_500_000),
        "13": Decimal(2_500_000),
    }


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


def test_without_split_active_sellers_share_equally() -> None:
    assert split_target(target("0.03"), USERS) == {"11": Decimal("0.02"), "12": Decimal("0.01")}


def test_without_split_administrators_sell_when_nobody_else_does() -> None:
    owner = User("1", "Ольга", is_admin=True)
    assert split_target(target("5"), [owner, User("2", "Вера", is_active=False)]) == {"1": Decimal(5)}
    assert split_target(target("5"), []) == {}


def test_an_unknown_name_is_named_with_its_place() -> None:
    text = "targets: [{month: 2026-12, revenue: 1, split: {Ана Азарова: 1, Борис Буров: 1}}]"
    with pytest.raises(ConfigError) as raised:
        split_target(parse_playbook(text, "a.yml").targets[0], USERS)
    assert [str(problem) for problem in raised.value.problems] == [
        "a.yml:1:61  план: в CRM нет пользователя «Ана Азарова»; может быть, «Анна Азарова»?"
    ]


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
