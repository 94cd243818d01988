"""Sums to the kopeck: against whole-number arithmetic, on ten thousand random invoices."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import pytest

from connector.documents.money import rates_on, totals, vat_within
from connector.documents.payment_qr import parse, payload
from connector.documents.words import amount_in_words, number_in_words
from connector.domain import ProductRow
from connector.errors import HeldError

DAY = date(2026, 11, 24)
VAT = Decimal(22)


def row(**changes: object) -> ProductRow:
    values: dict[str, object] = {"name": "Кабель", "quantity": Decimal(1), "price": Decimal(100)}
    return ProductRow(**{**values, **changes})  # type: ignore[arg-type]


def test_ten_thousand_random_invoices_agree_to_the_kopeck() -> None:
    rng = random.Random(26)
    for _ in range(10_000):
        seller_rate = rng.choice([None, Decimal(22), Decimal(5)])
        rows, expected, bases = [], 0, {}
        for _ in range(rng.randint(1, 12)):
            kopecks, thousandths = rng.randrange(10 ** rng.randint(3, 9)), rng.randrange(1, 20_000)
            rate = None if seller_rate is None else rng.choice([None, *map(Decimal, (0, 5, 7, 10, 22))])
            rows.append(
                row(
                    price=Decimal(kopecks) / 100,
                    quantity=Decimal(thousandths) / 1000,
                    discount=Decimal(rng.randrange(10_000)) / 100,
                    vat_rate=rate,
                )
            )
            amount = (kopecks * thousandths * 2 + 1000) // 2000  # half up, in whole numbers
            expected += amount
            effective = seller_rate if rate is None else rate
            if effective is not None:
                bases[effective] = bases.get(effective, 0) + amount
        if not expected:
            continue
        result = totals(rows, amount=Decimal(expected) / 100, seller_rate=seller_rate, on=DAY)

        assert sum(line.amount for line in result.lines) == result.total == Decimal(expected) / 100
        vat = {share.rate: int(share.vat * 100) for share in result.vat_shares}
        assert vat == {
            rate: (base * int(rate) * 2 + 100 + int(rate)) // (2 * (100 + int(rate)))
            for rate, base in bases.items()
        }
        words = amount_in_words(result.total)
        assert words.casefold().startswith(number_in_words(expected // 100) + " рубл")
        assert f" {expected % 100:02} копе" in words
        code = payload(
            name="a", account="4" * 20, bank="b", bik="044525225", corr_account="3" * 20, amount=result.total
        )
        assert parse(code)["Sum"] == str(expected)


def test_a_kopeck_between_rows_and_deal_holds_the_document() -> None:
    with pytest.raises(HeldError) as held:
        totals([row()], amount=Decimal("100.01"), seller_rate=VAT, on=DAY)
    assert "100,00" in held.value.missing[0].where
    assert "100,01" in held.value.missing[0].where


def test_vat_is_named_for_each_rate() -> None:
    rows = [row(price=Decimal(122)), row(price=Decimal(110), vat_rate=Decimal(10)), row(vat_rate=Decimal(0))]
    result = totals(rows, amount=Decimal(332), seller_rate=VAT, on=DAY)
    assert result.vat == 32
    assert result.vat_text == (
        "в том числе НДС (22\u00a0%) 22,00\u00a0₽, НДС (10\u00a0%) 10,00\u00a0₽, НДС (0\u00a0%) 0,00\u00a0₽"
    )


def test_a_seller_without_vat_says_so() -> None:
    result = totals([row(vat_rate=Decimal(0))], amount=Decimal(100), seller_rate=None, on=DAY)
    assert (result.vat_text, result.vat, result.lines[0].rate_text) == ("без НДС", 0, "без НДС")


@pytest.mark.parametrize(
    ("rows", "amount", "rate", "place"),
    [
        ([], Decimal(5), VAT, "нет ни одной строки"),
        ([row()], None, VAT, "Сделка → Сумма"),
        ([row()], Decimal(0), VAT, "ноль"),
        ([row()], Decimal(-1), VAT, "Сделка → Сумма"),
        ([row()], Decimal("NaN"), VAT, "Сделка → Сумма"),
        ([row()], Decimal("100.001"), VAT, "целых копейках"),
        ([row(name="  ")], Decimal(100), VAT, "строка 1 (нет названия)"),
        ([row(), row(quantity=Decimal(0))], Decimal(100), VAT, "строка 2 (количество 0)"),
        ([row(price=Decimal("33.3333"))], Decimal(100), VAT, "цена 33.3333"),
        ([row(price=Decimal(10) ** 40)], Decimal(100), VAT, "цена"),
        ([row(vat_rate=Decimal(20))], Decimal(100), VAT, "ставки НДС 20\u00a0% на 24.11.2026 не существует"),
        ([row(vat_rate=Decimal(22))], Decimal(100), None, "продавец работает без НДС"),
        ([row()] * 5001, Decimal(500100), VAT, "помещается 5000"),
    ],
)
def test_faulty_rows_hold_the_document_and_say_where(
    rows: list[ProductRow], amount: Decimal | None, rate: Decimal | None, place: str
) -> None:
    with pytest.raises(HeldError) as held:
        totals(rows, amount=amount, seller_rate=rate, on=DAY)
    assert place in " ".join(field.where for field in held.value.missing)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(HeldError) as held:
        totals([row(name=""), row(quantity=Decimal(-1))], amount=None, seller_rate=VAT, on=DAY)
    assert [field.name for field in held.value.missing] == [
        "сделка.сумма",
        "товары[1].название",
        "товары[2].количество",
    ]


def test_rates_follow_the_day_of_the_document() -> None:
    assert Decimal(20) in rates_on(date(2025, 12, 31))
    assert Decimal(20) not in rates_on(date(2026, 1, 1))
    assert vat_within(Decimal("0.02"), VAT) == Decimal("0.00")
    assert vat_within(Decimal("0.03"), VAT) == Decimal("0.01")


def test_a_discount_is_shown_and_not_taken_twice() -> None:
    result = totals(
        [row(price=Decimal(90), discount=Decimal(10), quantity=Decimal(3))],
        amount=Decimal(270),
        seller_rate=VAT,
        on=DAY,
    )
    assert (result.total, result.discount, result.lines[0].full_price) == (270, 30, 100)
