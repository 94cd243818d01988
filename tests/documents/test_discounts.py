"""How people write a discount, and its spreading over rows to the kopeck."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction

import pytest

from connector.documents.discounts import Discount, parse, spread


@pytest.mark.parametrize(
    ("text", "title", "expected"),
    [
        ("10 %", "Скидка", Discount(percent=Decimal(10))),
        ("12,5%", "Скидка", Discount(percent=Decimal("12.5"))),
        ("7", "Скидка, %", Discount(percent=Decimal(7))),
        ("7", "Процент скидки", Discount(percent=Decimal(7))),
        ("5 000 руб.", "Скидка", Discount(amount=Decimal(5000))),
        ("5\u00a0000,50 ₽", "Скидка", Discount(amount=Decimal("5000.50"))),
        ("300р", "", Discount(amount=Decimal(300))),
        ("500", "Скидка, руб.", Discount(amount=Decimal(500))),
        ("3 %", "Сумма скидки, руб.", Discount(percent=Decimal(3))),
        ("0", "Скидка", None),
        ("0 %", "Скидка", None),
    ],
)
def test_a_discount_is_read_as_people_write_it(text: str, title: str, expected: Discount | None) -> None:
    assert parse(text, title) == (() if expected is None else (expected,))


def test_a_bare_number_may_be_either_and_the_likelier_comes_first() -> None:
    assert parse("10", "Скидка") == (Discount(percent=Decimal(10)), Discount(amount=Decimal(10)))
    assert parse("5000", "Скидка") == (Discount(amount=Decimal(5000)),)
    assert parse("12.345", "Скидка") == (Discount(percent=Decimal("12.345")),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("десять", "не понять"),
        ("-5 %", "не понять"),
        ("100 %", "не оставляет"),
        ("150%", "не оставляет"),
        ("0.005 руб", "целые копейки"),
        ("10 % и ещё 5", "не понять"),
        ("9" * 20 + " руб", "целые копейки"),
    ],
)
def test_what_is_not_clear_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text, "Скидка")


def test_parts_add_up_and_the_largest_remainders_get_the_kopecks() -> None:
    """Checked by what defines the largest remainder, not by computing it a second time."""
    rng = random.Random(7)
    for _ in range(3_000):
        weights = [rng.choice((0, rng.randrange(10 ** rng.randint(1, 9)))) for _ in range(rng.randint(1, 9))]
        total = rng.randint(0, sum(weights))
        parts = spread(total, weights)
        assert sum(parts) == total
        if not total:
            continue
        shares = [Fraction(total * weight, sum(weights)) for weight in weights]
        rests = [share % 1 for share in shares]
        raised = [part > share for part, share in zip(parts, shares, strict=True)]
        assert all(abs(part - share) < 1 for part, share in zip(parts, shares, strict=True))
        assert all(0 <= part <= weight for part, weight in zip(parts, weights, strict=True))
        lowest = min((rest for rest, up in zip(rests, raised, strict=True) if up), default=Fraction(1))
        assert all(rest <= lowest for rest, up in zip(rests, raised, strict=True) if not up)


def test_nothing_to_spread_over() -> None:
    assert spread(0, []) == []
    assert spread(0, [0, 0]) == [0, 0]
