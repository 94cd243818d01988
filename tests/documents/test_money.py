"""Sums to the kopeck: against whole-number arithmetic, on ten thousand random invoices."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from connector.documents.discounts import Discount
from connector.documents.money import Totals, totals
from connector.documents.payment_qr import parse, payload
from connector.documents.words import amount_in_words, number_in_words
from connector.domain import ProductRow
from connector.errors import HeldError

DAY = date(2026, 11, 24)
VAT = Decimal(22)


def row(**changes: object) -> ProductRow:
    values: dict[str, object] = {"name": "Кабель", "quantity": Decimal(1), "price": Decimal(100)}
    return ProductRow(**{**values, **changes})  # type: ignore[arg-type]


def count(rows: list[ProductRow], amount: Decimal | int | str | None, **changes: Any) -> Totals:
    options: dict[str, Any] = {"seller_rate": VAT, "on": DAY}
    return totals(rows, amount=None if amount is None else Decimal(amount), **{**options, **changes})


def rubles(kopecks: int) -> Decimal:
    return Decimal(kopecks) / 100


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


class Invoice:
    """A random invoice and what it has to come to, in whole kopecks: an oracle that knows no Decimal."""

    def __init__(self, rng: random.Random) -> None:
        self.seller = rng.choice([None, 5, 7, 22, 22, 22])
        self.is_on_top = self.seller is not None and rng.random() < 0.4
        self.rows: list[ProductRow] = []
        self.before: list[int] = []
        self.rates: list[int | None] = []
        for _ in range(rng.randint(1, 9)):
            self._add_row(rng)
        self.discount, self.off = self._discount(rng)

    def _add_row(self, rng: random.Random) -> None:
        kopecks, thousandths = rng.randrange(10 ** rng.randint(3, 9)), rng.randrange(1, 20_000)
        said = None
        if self.seller is not None:
            said = rng.choice([None, "free", 0, self.seller, *((10,) if self.seller == 22 else ())])
        rate = None if said == "free" else self.seller if said is None else said
        values: dict[str, Any] = {"price": rubles(kopecks)}
        if self.is_on_top and rate:
            # Its price with VAT makes no payable sum, which must not matter.
            values = {"price": Decimal("33.3333"), "net_price": rubles(kopecks)}
        self.rows.append(
            row(
                quantity=Decimal(thousandths) / 1000,
                vat_rate=None if said in (None, "free") else Decimal(said),
                is_vat_free=said == "free",
                **values,
            )
        )
        self.before.append(half_up(kopecks * thousandths, 1000))
        self.rates.append(rate if isinstance(rate, int) else None)

    def _discount(self, rng: random.Random) -> tuple[Discount | None, int]:
        whole, kind = sum(self.before), rng.choice(["none", "percent", "money"])
        if kind == "percent":
            tenths = rng.randrange(1, 999)
            return Discount(percent=Decimal(tenths) / 10), half_up(whole * tenths, 1000)
        if kind == "money" and whole > 1:
            kopecks = rng.randrange(1, whole)
            return Discount(amount=rubles(kopecks)), kopecks
        return None, 0

    def taxes(self, amounts: list[int]) -> dict[int, int]:
        """VAT by rate, from the rows' sums after the discount."""
        bases: dict[int, int] = {}
        for amount, rate in zip(amounts, self.rates, strict=True):
            if rate is not None:
                bases[rate] = bases.get(rate, 0) + amount
        on_top = self.is_on_top and any(self.rates)
        return {rate: half_up(base * rate, 100 if on_top else 100 + rate) for rate, base in bases.items()}


def largest_remainders(total: int, weights: list[int]) -> list[int]:
    """Kopeck by kopeck to whoever is owed most."""
    whole = sum(weights)
    given = [total * weight // whole for weight in weights]
    for _ in range(total - sum(given)):
        owed = [total * weight - part * whole for weight, part in zip(weights, given, strict=True)]
        given[owed.index(max(owed))] += 1
    return given


def test_ten_thousand_random_invoices_agree_to_the_kopeck() -> None:
    rng = random.Random(26)
    seen = dict.fromkeys(("on top", "within", "without", "mixed", "percent", "money"), 0)
    for _ in range(10_000):
        invoice = Invoice(rng)
        if invoice.off >= sum(invoice.before):
            continue
        shares = largest_remainders(invoice.off, invoice.before)
        amounts = [before - share for before, share in zip(invoice.before, shares, strict=True)]
        taxes = invoice.taxes(amounts)
        on_top = invoice.is_on_top and any(invoice.rates)
        expected = sum(amounts) + (sum(taxes.values()) if on_top else 0)

        result = count(
            invoice.rows,
            rubles(expected),
            seller_rate=None if invoice.seller is None else Decimal(invoice.seller),
            discount=invoice.discount,
        )

        assert [line.amount for line in result.lines] == [rubles(amount) for amount in amounts]
        assert result.total == rubles(expected) == sum(line.gross for line in result.lines)
        assert result.sum_of_lines == rubles(sum(amounts))
        assert {int(share.rate): int(share.vat * 100) for share in result.vat_shares} == taxes
        assert result.is_on_top is on_top
        assert all(line.amount >= 0 for line in result.lines)
        assert result.discount == rubles(invoice.off)
        words = amount_in_words(result.total)
        assert words.casefold().startswith(number_in_words(expected // 100) + " рубл")
        assert f" {expected % 100:02} копе" in words
        code = payload(
            name="a", account="4" * 20, bank="b", bik="044525225", corr_account="3" * 20, amount=result.total
        )
        assert parse(code)["Sum"] == str(expected)
        kind = "on top" if on_top else "within" if taxes else "without"
        seen[kind] += 1
        seen["mixed"] += len(set(invoice.rates)) > 1
        if invoice.discount is not None:
            seen["percent" if invoice.discount.percent is not None else "money"] += 1
    assert min(seen.values()) > 1_000, seen


def test_a_kopeck_between_rows_and_deal_holds_the_document() -> None:
    with pytest.raises(HeldError) as held:
        count([row()], "100.01")
    where = held.value.missing[0].where.replace("\u00a0", " ")
    assert "дают 100,00 ₽, а сумма сделки 100,01 ₽, разница 0,01 ₽" in where


def test_a_discount_that_the_amount_does_not_have_holds_the_document() -> None:
    with pytest.raises(HeldError) as held:
        count([row(quantity=Decimal(10))], 1000, discount=Discount(percent=Decimal(10)))
    where = held.value.missing[0].where.replace("\u00a0", " ")
    assert "со скидкой 10 % дают 900,00 ₽, а сумма сделки 1 000,00 ₽, разница 100,00 ₽" in where


@pytest.mark.parametrize(
    "discount", [Discount(amount=Decimal(100)), Discount(amount=Decimal("100.01")), Discount(amount=VAT * 9)]
)
def test_a_discount_never_takes_all_of_it(discount: Discount) -> None:
    with pytest.raises(HeldError) as held:
        count([row()], 1, discount=discount)
    assert held.value.missing[0].name == "сделка.скидка"


def test_vat_is_named_for_each_rate() -> None:
    rows = [row(price=Decimal(122)), row(price=Decimal(110), vat_rate=Decimal(10)), row(vat_rate=Decimal(0))]
    rows.append(row(price=Decimal(7), is_vat_free=True))
    result = count(rows, 339)
    assert (result.vat, result.exempt) == (32, 7)
    assert result.vat_text.replace("\u00a0", " ") == (
        "в том числе НДС (22 %) 22,00 ₽, НДС (10 %) 10,00 ₽, НДС (0 %) 0,00 ₽, без НДС 7,00 ₽"
    )
    assert result.purpose_vat_text == "в том числе НДС 32,00 руб."


@pytest.mark.parametrize(("rate", "text"), [(5, "НДС (5 %) 5,00 ₽"), (7, "НДС (7 %) 6,87 ₽")])
def test_the_simplified_system_names_its_rate(rate: int, text: str) -> None:
    result = count([row(price=Decimal(105))], 105, seller_rate=Decimal(rate))
    assert result.vat_text.replace("\u00a0", " ") == f"в том числе {text}"


def test_an_older_document_has_the_rate_of_its_day() -> None:
    result = count([row(price=Decimal(120)), row(price=Decimal(120), vat_rate=Decimal(20))], 240, on=OLD)
    assert [(share.rate, share.vat) for share in result.vat_shares] == [(20, 40)]
    with pytest.raises(HeldError, match="Суммы сделки"):
        count([row(vat_rate=VAT)], 100, on=OLD)


OLD = date(2025, 12, 30)


def test_vat_on_top_is_added_and_named_without_the_word_within() -> None:
    rows = [row(price=Decimal("122"), net_price=Decimal(100), quantity=Decimal(3)), row(is_vat_free=True)]
    result = count(rows, 466)
    assert (result.sum_of_lines, result.vat, result.total, result.is_on_top) == (400, 66, 466, True)
    assert [line.gross for line in result.lines] == [366, 100]
    assert result.vat_shares[0].text.replace("\u00a0", " ") == "НДС (22 %)"


def test_where_vat_on_top_misses_the_amount_the_portals_own_prices_are_taken() -> None:
    """The portal rounds the price of one piece: 40.66 x 3, while 99.99 and its VAT are 121.99."""
    unit = row(price=Decimal("40.66"), net_price=Decimal("33.33"), quantity=Decimal(3))
    assert count([unit], "121.99").is_on_top
    by_piece = count([unit], "121.98")
    assert (by_piece.is_on_top, by_piece.lines[0].price) == (False, Decimal("40.66"))


def test_a_way_that_cannot_be_counted_does_not_stop_the_other() -> None:
    broken_net = row(price=Decimal(122), net_price=Decimal("100.001"))
    assert count([broken_net], 122).total == 122
    broken_gross = row(price=Decimal("122.001"), net_price=Decimal(100))
    assert count([broken_gross], 122).total == 122


def test_prices_with_and_without_vat_in_one_document_are_all_shown_with_it() -> None:
    rows = [row(price=Decimal(122), net_price=Decimal(100)), row(price=Decimal(61))]
    result = count(rows, 183)
    assert (result.is_on_top, result.vat) == (False, 33)


def test_a_seller_whose_prices_lack_vat_adds_it() -> None:
    assert count([row()], 122, adds_vat=True).total == 122
    with pytest.raises(HeldError) as held:
        count([row()], 100, adds_vat=True)
    assert "с НДС сверху дают 122,00" in held.value.missing[0].where
    # Rows without tax are the same either way.
    assert count([row(is_vat_free=True)], 100, adds_vat=True).total == 100


def test_kopecks_that_the_crm_does_not_keep_come_from_the_rows() -> None:
    assert count([row(price=Decimal("99.55"))], 99, is_amount_whole=True).total == Decimal("99.55")
    assert count([row(price=Decimal("99.55"))], 100, is_amount_whole=True).total == Decimal("99.55")
    for amount, is_whole in ((99, False), (98, True), (101, True)):
        with pytest.raises(HeldError):
            count([row(price=Decimal("99.55"))], amount, is_amount_whole=is_whole)


def test_a_seller_without_vat_says_so() -> None:
    result = count([row(vat_rate=Decimal(0))], 100, seller_rate=None)
    assert (result.vat_text, result.vat, result.lines[0].rate_text) == ("без НДС", 0, "без НДС")


def test_a_row_without_a_rate_is_what_our_company_says() -> None:
    assert count([row(price=Decimal(122))], 122).vat == 22
    free = count([row(price=Decimal(122)), row(vat_rate=VAT)], 222, unsaid="free")
    assert (free.exempt, free.lines[0].rate) == (122, None)
    with pytest.raises(HeldError) as held:
        count([row()], 100, unsaid="held")
    assert "строка 1 (не указана ставка НДС)" in held.value.missing[0].where
    assert count([row()], 100, unsaid="held", seller_rate=None).vat == 0


def test_sums_bear_the_currency_of_the_deal() -> None:
    result = count([row(price=Decimal(122))], 122, currency="USD")
    assert result.vat_text.endswith("22,00\u00a0$")
    assert result.purpose_vat_text.endswith("22,00 USD")


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
        ([row(price=Decimal(-5))], Decimal(100), VAT, "цена -5"),
        ([row(price=Decimal("NaN"))], Decimal(100), VAT, "строка 1 (нет цены)"),
        ([row(price=Decimal(10) ** 40)], Decimal(100), VAT, "цена"),
        ([row(vat_rate=Decimal(20))], Decimal(100), VAT, "ставки НДС 20\u00a0% на 24.11.2026 не существует"),
        ([row(vat_rate=Decimal(22))], Decimal(100), None, "продавец работает без НДС"),
        ([row(vat_rate=Decimal(22))], Decimal(100), Decimal(5), "продавец работает со ставкой 5\u00a0%"),
        ([row(vat_rate=Decimal(5))], Decimal(100), VAT, "продавец работает со ставкой 22\u00a0%"),
        ([row()], Decimal(100), Decimal(20), "company.yml → ндс (ставки 20\u00a0% на 24.11.2026"),
        ([row()] * 5001, Decimal(500100), VAT, "помещается 5000"),
    ],
)
def test_faulty_rows_hold_the_document_and_say_where(
    rows: list[ProductRow], amount: Decimal | None, rate: Decimal | None, place: str
) -> None:
    with pytest.raises(HeldError) as held:
        count(rows, amount, seller_rate=rate)
    assert place in " ".join(field.where for field in held.value.missing)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(HeldError) as held:
        count([row(name=""), row(quantity=Decimal(-1))], None)
    assert [field.name for field in held.value.missing] == [
        "сделка.сумма",
        "товары[1].название",
        "товары[2].количество",
    ]


def test_a_discount_of_a_row_is_shown_and_not_taken_twice() -> None:
    result = count([row(price=Decimal(90), discount=Decimal(10), quantity=Decimal(3))], 270)
    (line,) = result.lines
    assert (result.total, result.discount, line.full_price, line.saved) == (270, 30, 100, 30)


def test_discounts_of_a_row_and_of_the_document_add_up() -> None:
    rows = [row(price=Decimal(90), discount=Decimal(10), quantity=Decimal(3)), row(price=Decimal("0.01"))]
    result = count(rows, "243.01", discount=Discount(percent=Decimal(10)))
    assert [line.amount for line in result.lines] == [Decimal("243.00"), Decimal("0.01")]
    assert [line.saved for line in result.lines] == [57, 0]
