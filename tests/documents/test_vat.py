"""Which VAT rates a document of a day and a seller may bear, and the tax to the kopeck."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from connector.documents.vat import rates_of, rates_on, seller_rate_on, vat_on_top, vat_within

NOW, LAST_YEAR, LONG_AGO = date(2026, 1, 1), date(2025, 12, 31), date(2024, 12, 31)


def rates(*numbers: int) -> set[Decimal]:
    return set(map(Decimal, numbers))


def test_rates_follow_the_day() -> None:
    assert rates_on(NOW) == rates(0, 5, 7, 10, 22)
    assert rates_on(LAST_YEAR) == rates(0, 5, 7, 10, 20)
    assert rates_on(LONG_AGO) == rates(0, 10, 20)


@pytest.mark.parametrize(
    ("seller", "day", "allowed"),
    [
        *((22, NOW, (0, 10, 22)), (10, NOW, (0, 10, 22)), (0, NOW, (0, 10, 22))),
        *((20, LAST_YEAR, (0, 10, 20)), (5, NOW, (0, 5)), (7, LAST_YEAR, (0, 7)), (7, LONG_AGO, (0,))),
    ],
)
def test_the_simplified_system_keeps_to_its_own_rate(
    seller: int, day: date, allowed: tuple[int, ...]
) -> None:
    assert rates_of(Decimal(seller), day) == rates(*allowed)


def test_the_base_rate_of_the_seller_is_the_one_of_the_day() -> None:
    assert seller_rate_on(LAST_YEAR, Decimal(22)) == 20
    assert seller_rate_on(NOW, Decimal(22)) == 22
    assert seller_rate_on(LAST_YEAR, Decimal(5)) == 5


@pytest.mark.parametrize(
    ("amount", "rate", "within", "on_top"),
    [
        ("122", 22, "22", "26.84"),
        ("0.02", 22, "0", "0"),
        ("0.03", 22, "0.01", "0.01"),
        ("105", 5, "5", "5.25"),
        ("107", 7, "7", "7.49"),
        ("110", 10, "10", "11"),
        ("0.05", 10, "0", "0.01"),  # half a kopeck goes up
        ("999", 0, "0", "0"),
        ("1000000000000.00", 22, "180327868852.46", "220000000000"),
    ],
)
def test_vat_to_the_kopeck(amount: str, rate: int, within: str, on_top: str) -> None:
    assert vat_within(Decimal(amount), Decimal(rate)) == Decimal(within)
    assert vat_on_top(Decimal(amount), Decimal(rate)) == Decimal(on_top)
