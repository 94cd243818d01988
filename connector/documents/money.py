"""The sums of a document, exact to the kopeck: rows, total, VAT within it.

Prices include VAT, as sales departments quote them. Nothing is rounded to make ends meet: rows that do not
add up to the amount of the deal hold the document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext

from connector.documents.russian import NBSP, money, percent
from connector.documents.words import in_hundredths
from connector.domain import ProductRow
from connector.errors import HeldError, MissingField

_KOPECK = Decimal("0.01")
#: VAT rates by the first day on which they hold, newest first. Source: НК РФ, статья 164, edition of 2026.
_RATES: tuple[tuple[date, frozenset[Decimal]], ...] = (
    (date(2026, 1, 1), frozenset(map(Decimal, (0, 5, 7, 10, 22)))),
    (date(2025, 1, 1), frozenset(map(Decimal, (0, 5, 7, 10, 20)))),
    (date(2019, 1, 1), frozenset(map(Decimal, (0, 10, 20)))),
)
#: More rows are no document to read, and typeset for minutes.
MAX_ROWS = 5000
#: Beyond this a number in a deal is a slip of the hand, and Decimal would begin to round.
_TOO_MUCH = Decimal(10) ** 15
ROWS_PLACE = "Сделка → Товары"
AMOUNT_PLACE = "Сделка → Товары и сумма сделки"


@dataclass(frozen=True, slots=True)
class Line:
    """One priced row. `rate` is None for «без НДС»; `vat` is the tax within `amount`."""

    name: str
    quantity: Decimal
    unit: str
    price: Decimal
    discount: Decimal
    amount: Decimal
    rate: Decimal | None

    @property
    def full_price(self) -> Decimal:
        """The price of one unit before the discount."""
        return self.price + self.discount

    @property
    def rate_text(self) -> str:
        return rate_text(self.rate)


@dataclass(frozen=True, slots=True)
class VatShare:
    """The tax within all rows of one rate."""

    rate: Decimal
    base: Decimal
    vat: Decimal

    @property
    def text(self) -> str:
        """«в том числе НДС (22 %)»"""
        return f"в том числе НДС ({percent(self.rate)})"


@dataclass(frozen=True, slots=True)
class Totals:
    """All sums of one document."""

    lines: tuple[Line, ...]
    total: Decimal
    vat_shares: tuple[VatShare, ...]
    discount: Decimal

    @property
    def vat(self) -> Decimal:
        return sum((share.vat for share in self.vat_shares), Decimal(0))

    @property
    def vat_text(self) -> str:
        """«в том числе НДС (22 %) 3 967,21 ₽», or «без НДС»; rates parted by commas."""
        if not self.vat_shares:
            return "без НДС"
        shares = [f"НДС ({percent(share.rate)}) {money(share.vat)}" for share in self.vat_shares]
        return "в том числе " + ", ".join(shares)

    @property
    def purpose_vat_text(self) -> str:
        """The same for a payment order: «в том числе НДС (22 %) 3967,21 руб.»; several rates as one sum."""
        if not self.vat_shares:
            return "без НДС"
        rate = f" ({percent(self.vat_shares[0].rate)})" if len(self.vat_shares) == 1 else ""
        return f"в том числе НДС{rate} {self.vat:f} руб.".replace(NBSP, " ").replace(".", ",", 1)


def rates_on(day: date) -> frozenset[Decimal]:
    """The VAT rates that hold on `day`, in percent."""
    return next((rates for since, rates in _RATES if day >= since), _RATES[-1][1])


def rate_text(rate: Decimal | None) -> str:
    """«22 %», or «без НДС» for None."""
    return "без НДС" if rate is None else percent(rate)


def vat_within(amount: Decimal, rate: Decimal) -> Decimal:
    """The VAT that `amount` contains, to the kopeck, half up: 122 at 22 % contain 22."""
    with localcontext() as context:
        context.prec = 60
        return (amount * rate / (100 + rate)).quantize(_KOPECK, ROUND_HALF_UP)


def line_amount(row: ProductRow) -> Decimal:
    """Price times quantity to the kopeck, half up."""
    with localcontext() as context:
        context.prec = 60
        return (row.price * row.quantity).quantize(_KOPECK, ROUND_HALF_UP)


def totals(
    rows: Sequence[ProductRow], *, amount: Decimal | None, seller_rate: Decimal | None, on: date
) -> Totals:
    """The sums of `rows` for a document issued on the day `on`.

    amount: the deal's own, which the rows must reach exactly. seller_rate: for rows whose rate the CRM does
    not give; None means that the seller works without VAT, and then no row may carry any.
    Errors: HeldError naming everything that is wrong with the rows or the amount.
    """
    faults = list(_faults(rows, amount, seller_rate, on))
    if faults:
        raise HeldError("Суммы сделки не годятся для документа", faults)
    lines = tuple(
        Line(
            name=row.name,
            quantity=row.quantity,
            unit=row.unit,
            price=row.price,
            discount=row.discount,
            amount=line_amount(row),
            rate=seller_rate if row.vat_rate is None or seller_rate is None else row.vat_rate,
        )
        for row in rows
    )
    total = sum((line.amount for line in lines), Decimal(0))
    if total != amount:
        difference = (
            f"строки товаров дают {money(total)}, а сумма сделки {money(amount or Decimal(0))}: "
            "исправьте товары или сумму"
        )
        raise HeldError(
            "Сумма строк не равна сумме сделки",
            [MissingField("итого.сумма", f"{AMOUNT_PLACE} ({difference})")],
        )
    discount = sum(
        ((line.full_price * line.quantity).quantize(_KOPECK, ROUND_HALF_UP) - line.amount for line in lines),
        Decimal(0),
    )
    return Totals(lines, total, _vat_shares(lines), discount)


def _vat_shares(lines: Sequence[Line]) -> tuple[VatShare, ...]:
    bases: dict[Decimal, Decimal] = {}
    for line in lines:
        if line.rate is not None:
            bases[line.rate] = bases.get(line.rate, Decimal(0)) + line.amount
    return tuple(
        VatShare(rate, bases[rate], vat_within(bases[rate], rate)) for rate in sorted(bases, reverse=True)
    )


def _faults(
    rows: Sequence[ProductRow], amount: Decimal | None, seller_rate: Decimal | None, on: date
) -> list[MissingField]:
    faults = []

    def fault(name: str, where: str) -> None:
        faults.append(MissingField(name, where))

    if amount is None:
        fault("сделка.сумма", "Сделка → Сумма")
    elif not _is_payable(amount):
        fault("сделка.сумма", f"Сделка → Сумма (сейчас {amount}; нужна сумма в рублях и целых копейках)")
    elif amount == 0:
        fault("сделка.сумма", "Сделка → Сумма (сейчас ноль)")
    if not rows:
        fault("товары", f"{ROWS_PLACE} (в сделке нет ни одной строки)")
    if len(rows) > MAX_ROWS:
        fault("товары", f"{ROWS_PLACE} (строк {len(rows)}, а в документ помещается {MAX_ROWS})")
        return faults
    allowed = rates_on(on)
    for position, row in enumerate(rows, 1):
        place = f"{ROWS_PLACE} → строка {position}"
        if not row.name.strip():
            fault(f"товары[{position}].название", f"{place} (нет названия)")
        if not row.quantity.is_finite() or not 0 < row.quantity < _TOO_MUCH:
            fault(f"товары[{position}].количество", f"{place} (количество {row.quantity})")
        if not _is_payable(row.price):
            fault(f"товары[{position}].цена", f"{place} (цена {row.price}; нужны рубли и целые копейки)")
        if row.vat_rate is None:
            continue
        if not row.vat_rate.is_finite():
            fault(f"товары[{position}].ставка", f"{place} (ставка НДС {row.vat_rate})")
        elif seller_rate is None and row.vat_rate != 0:
            fault(
                f"товары[{position}].ставка",
                f"{place} (стоит НДС {percent(row.vat_rate)}, а продавец работает без НДС)",
            )
        elif seller_rate is not None and row.vat_rate not in allowed:
            fault(
                f"товары[{position}].ставка",
                f"{place} (ставки НДС {percent(row.vat_rate)} на {on:%d.%m.%Y} не существует)",
            )
    return faults


def _is_payable(value: Decimal) -> bool:
    if not value.is_finite() or not 0 <= value < _TOO_MUCH:
        return False
    try:
        in_hundredths(value)
    except ValueError:
        return False
    return True
