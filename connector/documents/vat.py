"""VAT: which rates exist on a day, which of them a seller may use, and the tax to the kopeck. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext

from connector.documents.russian import percent

KOPECK = Decimal("0.01")
#: The base rate by the first day on which it holds, newest first. Source: НК РФ, статья 164, пункт 3.
_BASE = ((date(2026, 1, 1), Decimal(22)), (date(2019, 1, 1), Decimal(20)))
#: Reduced, and for exports. Source: НК РФ, статья 164, пункты 1 и 2.
_REDUCED = frozenset({Decimal(0), Decimal(10)})
#: Of sellers on the simplified system, since 2025. Source: НК РФ, статья 164, пункт 8.
_SIMPLIFIED = frozenset({Decimal(5), Decimal(7)})
_SIMPLIFIED_SINCE = date(2025, 1, 1)
#: Every rate that a document of any day may bear.
KNOWN_RATES = _REDUCED | _SIMPLIFIED | {rate for _, rate in _BASE}


@dataclass(frozen=True, slots=True)
class VatShare:
    """The tax of all rows of one rate. `base` is what they cost: with the tax, or without it if on top."""

    rate: Decimal
    base: Decimal
    vat: Decimal
    is_on_top: bool = False

    @property
    def text(self) -> str:
        """«в том числе НДС (22 %)», or «НДС (22 %)» where it comes on top."""
        return f"{'' if self.is_on_top else 'в том числе '}НДС ({percent(self.rate)})"


def base_rate_on(day: date) -> Decimal:
    """The base rate that holds on `day`, in percent; of days before 2019, that of 2019."""
    return next((rate for since, rate in _BASE if day >= since), _BASE[-1][1])


def rates_on(day: date) -> frozenset[Decimal]:
    """The VAT rates that hold on `day`, in percent."""
    simplified = _SIMPLIFIED if day >= _SIMPLIFIED_SINCE else frozenset[Decimal]()
    return _REDUCED | simplified | {base_rate_on(day)}


def seller_rate_on(day: date, rate: Decimal) -> Decimal:
    """The seller's own rate as it was on `day`: who writes the present base rate means the base rate."""
    return base_rate_on(day) if rate == _BASE[0][1] else rate


def rates_of(seller_rate: Decimal, day: date) -> frozenset[Decimal]:
    """The rates that rows of a seller may bear on `day`: 5 % and 7 % go with no other rate but 0 %."""
    if seller_rate in _SIMPLIFIED:
        return rates_on(day) & {seller_rate, Decimal(0)}
    return rates_on(day) - _SIMPLIFIED


def rate_text(rate: Decimal | None) -> str:
    """«22 %», or «без НДС» for None."""
    return "без НДС" if rate is None else percent(rate)


def vat_within(amount: Decimal, rate: Decimal) -> Decimal:
    """The VAT that `amount` contains, to the kopeck, half up: 122 at 22 % contain 22."""
    with localcontext() as context:
        context.prec = 60
        return (amount * rate / (100 + rate)).quantize(KOPECK, ROUND_HALF_UP)


def vat_on_top(amount: Decimal, rate: Decimal) -> Decimal:
    """The VAT that is added to `amount`, to the kopeck, half up: 22 to 100 at 22 %."""
    with localcontext() as context:
        context.prec = 60
        return (amount * rate / 100).quantize(KOPECK, ROUND_HALF_UP)
