"""The sums of a document, exact to the kopeck: rows, discounts, total, VAT within it or on top of it.

Nothing is rounded to make ends meet: rows that do not add up to the amount of the deal hold the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Literal

from connector.documents.discounts import Discount, spread
from connector.documents.russian import NBSP, money, percent
from connector.documents.vat import (
    KOPECK,
    VatShare,
    rate_text,
    rates_of,
    rates_on,
    seller_rate_on,
    vat_on_top,
    vat_within,
)
from connector.documents.words import in_hundredths
from connector.domain import ProductRow
from connector.errors import HeldError, MissingField

#: What a row is whose rate the CRM does not give: taxed at the seller's own, without VAT, or held.
Unsaid = Literal["own", "free", "held"]
#: More rows are no document to read, and typeset for minutes.
MAX_ROWS = 5000
#: Beyond this a number in a deal is a slip of the hand, and Decimal would begin to round.
_TOO_MUCH = Decimal(10) ** 15
ROWS_PLACE = "Сделка → Товары"
AMOUNT_PLACE = "Сделка → Товары и сумма сделки"
SELLER_PLACE = "templates/documents/company.yml → ндс"


@dataclass(frozen=True, slots=True)
class Line:
    """One priced row. `rate` is None for «без НДС».

    Prices and sums are with VAT, or without it in a document that adds it on top. price: of one unit after
    the row's own `discount`, which is per unit, too. reduction: the row's share of the document's discount.
    amount: what the row costs after both. gross: the same with VAT.
    """

    name: str
    quantity: Decimal
    unit: str
    price: Decimal
    discount: Decimal
    amount: Decimal
    rate: Decimal | None
    gross: Decimal
    reduction: Decimal = Decimal(0)

    @property
    def full_price(self) -> Decimal:
        """The price of one unit before any discount."""
        return self.price + self.discount

    @property
    def saved(self) -> Decimal:
        """What all discounts take off the row: its full price times quantity less this is `amount`."""
        return times(self.full_price, self.quantity) - self.amount

    @property
    def rate_text(self) -> str:
        return rate_text(self.rate)


@dataclass(frozen=True, slots=True)
class Totals:
    """All sums of one document. `total` is what is paid; `sum_of_lines` lacks the VAT that comes on top."""

    lines: tuple[Line, ...]
    total: Decimal
    vat_shares: tuple[VatShare, ...]
    currency: str = "RUB"
    is_on_top: bool = False

    @property
    def sum_of_lines(self) -> Decimal:
        return _sum(line.amount for line in self.lines)

    @property
    def vat(self) -> Decimal:
        return _sum(share.vat for share in self.vat_shares)

    @property
    def discount(self) -> Decimal:
        """What all discounts together take off."""
        return _sum(line.saved for line in self.lines)

    def has(self, discount: Discount) -> bool:
        """Whether the rows' own discounts make just this one on the whole document."""
        return self.discount == discount.off(self.sum_of_lines + self.discount) > 0

    @property
    def exempt(self) -> Decimal:
        """What rows without VAT cost, in a document that has VAT as well."""
        if not self.vat_shares:
            return Decimal(0)
        return _sum(line.amount for line in self.lines if line.rate is None)

    @property
    def vat_text(self) -> str:
        """«в том числе НДС (22 %) 3 967,21 ₽», or «без НДС»; rates parted by commas."""
        if not self.vat_shares:
            return "без НДС"
        shares = [
            f"НДС ({percent(share.rate)}) {money(share.vat, self.currency)}" for share in self.vat_shares
        ]
        if self.exempt:
            shares.append(f"без НДС {money(self.exempt, self.currency)}")
        return "в том числе " + ", ".join(shares)

    @property
    def purpose_vat_text(self) -> str:
        """The same for a payment order: «в том числе НДС (22 %) 3967,21 руб.»; several rates as one sum."""
        if not self.vat_shares:
            return "без НДС"
        is_single = len(self.vat_shares) == 1 and not self.exempt
        rate = f" ({percent(self.vat_shares[0].rate)})" if is_single else ""
        unit = "руб." if self.currency == "RUB" else self.currency
        return f"в том числе НДС{rate} {self.vat:f} {unit}".replace(NBSP, " ").replace(".", ",", 1)


def totals(
    rows: Sequence[ProductRow],
    *,
    amount: Decimal | None,
    seller_rate: Decimal | None,
    on: date,
    unsaid: Unsaid = "own",
    adds_vat: bool = False,
    discount: Discount | None = None,
    currency: str = "RUB",
    is_amount_whole: bool = False,
) -> Totals:
    """The sums of `rows` for a document under the tax law of the day `on`.

    amount: the deal's own, which the document must reach exactly. is_amount_whole: the CRM keeps no kopecks
    in it, so the rows may differ by less than a ruble. seller_rate: for rows whose rate the CRM does not
    give, as `unsaid` says; None means that the seller works without VAT, and then no row may carry any.
    adds_vat: the CRM's prices lack it wherever the CRM does not say otherwise. discount: on the whole
    document, after those of the rows.
    Rows whose VAT comes on top are counted so first, then by their prices with VAT: the first that gives the
    amount is taken, and the next is not looked at.
    Errors: HeldError naming everything that is wrong with the rows or the amount.
    """
    faults = list(_faults(rows, amount, seller_rate, unsaid, on))
    if faults or amount is None:
        raise HeldError("Суммы сделки не годятся для документа", faults)
    rates = [_rate(row, seller_rate, unsaid, on) for row in rows]
    first: Totals | HeldError | None = None
    for priced in _ways(rows, rates, adds_vat=adds_vat):
        try:
            found = _count(priced(), rates, discount, currency)
        except HeldError as error:
            first = first or error
            continue
        if found.total == amount or (is_amount_whole and _is_rounded(amount, found.total)):
            return found
        if not isinstance(first, Totals):
            first = found
    if isinstance(first, Totals):
        raise _difference(first, amount, discount)
    assert first is not None  # there is always a way
    raise first


@dataclass(frozen=True, slots=True)
class _Priced:
    """Rows with the prices that a way of counting prints for them."""

    rows: Sequence[ProductRow]
    is_on_top: bool


def _ways(
    rows: Sequence[ProductRow], rates: Sequence[Decimal | None], *, adds_vat: bool
) -> Iterator[Callable[[], _Priced]]:
    """VAT on top where every taxed row has it so, then prices with VAT as far as they are known."""
    taxed = [row for row, rate in zip(rows, rates, strict=True) if rate]
    if taxed and all(row.net_price is not None or adds_vat for row in taxed):
        yield lambda: _Priced([_net(row) for row in rows], is_on_top=True)
    if not taxed or not adds_vat or all(row.net_price is not None for row in taxed):
        yield lambda: _Priced(rows, is_on_top=False)


def _net(row: ProductRow) -> ProductRow:
    if row.net_price is None:
        return row
    return replace(row, price=row.net_price, discount=row.net_discount)


def _count(
    priced: _Priced, rates: Sequence[Decimal | None], discount: Discount | None, currency: str
) -> Totals:
    """Errors: HeldError for prices that cannot be paid, and for a discount that leaves nothing."""
    _check_prices(priced.rows)
    before = [times(row.price, row.quantity) for row in priced.rows]
    reductions = _reductions(before, discount, currency)
    amounts = [sum_ - reduction for sum_, reduction in zip(before, reductions, strict=True)]
    shares = tuple(_vat_shares(amounts, rates, is_on_top=priced.is_on_top))
    lines = tuple(
        Line(
            name=row.name,
            quantity=row.quantity,
            unit=row.unit,
            price=row.price,
            discount=row.discount,
            amount=sum_,
            rate=rate,
            gross=gross,
            reduction=reduction,
        )
        for row, sum_, rate, gross, reduction in zip(
            priced.rows, amounts, rates, _gross(amounts, rates, shares), reductions, strict=True
        )
    )
    total = _sum(line.gross for line in lines)
    return Totals(lines, total, shares, currency, priced.is_on_top)


def _reductions(before: Sequence[Decimal], discount: Discount | None, currency: str) -> list[Decimal]:
    if discount is None:
        return [Decimal(0)] * len(before)
    total = _sum(before)
    off = discount.off(total)
    if off >= total:
        raise HeldError(
            "Скидка не меньше суммы",
            [
                MissingField(
                    "сделка.скидка",
                    f"Сделка → Скидка (скидка {discount.text(currency)}, а строки товаров дают "
                    f"{money(total, currency)})",
                )
            ],
        )
    parts = spread(in_hundredths(off), [in_hundredths(sum_) for sum_ in before])
    return [_kopecks(part) for part in parts]


def _vat_shares(
    amounts: Sequence[Decimal], rates: Sequence[Decimal | None], *, is_on_top: bool
) -> Iterator[VatShare]:
    """Of each rate, on the sum of its rows: rounding row by row would drift from it."""
    bases: dict[Decimal, Decimal] = {}
    for amount, rate in zip(amounts, rates, strict=True):
        if rate is not None:
            bases[rate] = bases.get(rate, Decimal(0)) + amount
    for rate in sorted(bases, reverse=True):
        vat = (vat_on_top if is_on_top else vat_within)(bases[rate], rate)
        yield VatShare(rate, bases[rate], vat, is_on_top)


def _gross(
    amounts: Sequence[Decimal], rates: Sequence[Decimal | None], shares: Sequence[VatShare]
) -> list[Decimal]:
    """Each row with its VAT: the tax on top of a rate is spread over the rows of that rate."""
    gross = list(amounts)
    for share in shares:
        if not share.is_on_top or not share.vat:
            continue
        places = [at for at, rate in enumerate(rates) if rate == share.rate]
        parts = spread(in_hundredths(share.vat), [in_hundredths(amounts[at]) for at in places])
        for at, part in zip(places, parts, strict=True):
            gross[at] += _kopecks(part)
    return gross


def _difference(found: Totals, amount: Decimal, discount: Discount | None) -> HeldError:
    currency = found.currency
    with_what = ""
    if discount is not None:
        with_what = f" со скидкой {discount.text(currency)}"
    if found.is_on_top:
        with_what += " и с НДС сверху" if with_what else " с НДС сверху"
    off = money(abs(found.total - amount), currency)
    difference = (
        f"строки товаров{with_what} дают {money(found.total, currency)}, а сумма сделки "
        f"{money(amount, currency)}, разница {off}: исправьте товары или сумму"
    )
    return HeldError(
        "Сумма строк не равна сумме сделки",
        [MissingField("итого.сумма", f"{AMOUNT_PLACE} ({difference})")],
    )


def _rate(row: ProductRow, seller_rate: Decimal | None, unsaid: Unsaid, on: date) -> Decimal | None:
    if seller_rate is None or row.is_vat_free:
        return None
    if row.vat_rate is not None:
        return row.vat_rate
    return None if unsaid == "free" else seller_rate_on(on, seller_rate)


def _faults(
    rows: Sequence[ProductRow], amount: Decimal | None, seller_rate: Decimal | None, unsaid: Unsaid, on: date
) -> Iterator[MissingField]:
    """What is wrong whichever way the sums are counted."""
    if amount is None:
        yield MissingField("сделка.сумма", "Сделка → Сумма")
    elif not _is_payable(amount):
        where = f"Сделка → Сумма (сейчас {amount}; нужна сумма в рублях и целых копейках)"
        yield MissingField("сделка.сумма", where)
    elif amount == 0:
        yield MissingField("сделка.сумма", "Сделка → Сумма (сейчас ноль)")
    if not rows:
        yield MissingField("товары", f"{ROWS_PLACE} (в сделке нет ни одной строки)")
    if len(rows) > MAX_ROWS:
        where = f"{ROWS_PLACE} (строк {len(rows)}, а в документ помещается {MAX_ROWS})"
        yield MissingField("товары", where)
        return
    own = None if seller_rate is None else seller_rate_on(on, seller_rate)
    if own is not None and own not in rates_on(on):
        where = f"{SELLER_PLACE} (ставки {percent(own)} на {on:%d.%m.%Y} не существует)"
        yield MissingField("продавец.ндс", where)
    for position, row in enumerate(rows, 1):
        place = f"{ROWS_PLACE} → строка {position}"
        if not row.name.strip():
            yield MissingField(f"товары[{position}].название", f"{place} (нет названия)")
        if not row.quantity.is_finite() or not 0 < row.quantity < _TOO_MUCH:
            where = f"{place} (количество {row.quantity})"
            yield MissingField(f"товары[{position}].количество", where)
        if (wrong := _wrong_rate(row, own, unsaid, on)) is not None:
            yield MissingField(f"товары[{position}].ставка", f"{place} ({wrong})")


def _wrong_rate(row: ProductRow, own: Decimal | None, unsaid: Unsaid, on: date) -> str | None:
    """Why the row's rate cannot be, None when it can; own: the seller's on that day."""
    rate = row.vat_rate
    if row.is_vat_free:
        return None
    if rate is None:
        return "не указана ставка НДС" if unsaid == "held" and own is not None else None
    if not rate.is_finite():
        return f"ставка НДС {rate}"
    if own is None:
        return f"стоит НДС {percent(rate)}, а продавец работает без НДС" if rate else None
    if rate not in rates_on(on):
        return f"ставки НДС {percent(rate)} на {on:%d.%m.%Y} не существует"
    if rate not in rates_of(own, on):
        return f"стоит НДС {percent(rate)}, а продавец работает со ставкой {percent(own)}"
    return None


def _check_prices(rows: Sequence[ProductRow]) -> None:
    faults = [
        MissingField(
            f"товары[{position}].цена",
            f"{ROWS_PLACE} → строка {position} ({_wrong_price(row.price)})",
        )
        for position, row in enumerate(rows, 1)
        if not _is_payable(row.price)
    ]
    if faults:
        raise HeldError("Цены сделки не годятся для документа", faults)


def _wrong_price(price: Decimal) -> str:
    return "нет цены" if price.is_nan() else f"цена {price}; нужны рубли и целые копейки"


def _is_payable(value: Decimal) -> bool:
    if not value.is_finite() or not 0 <= value < _TOO_MUCH:
        return False
    try:
        in_hundredths(value)
    except ValueError:
        return False
    return True


def _is_rounded(amount: Decimal, total: Decimal) -> bool:
    return amount == amount.to_integral_value() and abs(total - amount) < 1


def times(price: Decimal, quantity: Decimal) -> Decimal:
    """What so many pieces cost, to the kopeck, half up."""
    with localcontext() as context:
        context.prec = 60
        return (price * quantity).quantize(KOPECK, ROUND_HALF_UP)


def _sum(amounts: Sequence[Decimal] | Iterator[Decimal]) -> Decimal:
    return sum(amounts, Decimal(0))


def _kopecks(number: int) -> Decimal:
    return Decimal(number).scaleb(-2)
