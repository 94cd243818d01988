"""A discount on a whole document: how people write it, and its spreading over rows to the kopeck. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

from connector.documents.russian import money, percent

_KOPECK = Decimal("0.01")
_WRITTEN = re.compile(r"(?P<number>\d+(?:[.,]\d+)?)(?P<unit>%|р|руб|рублей|рубля|рубль|₽|rub)?\.?", re.I)
_HOW = "напишите «10 %» или «5000 руб.»"


@dataclass(frozen=True, slots=True)
class Discount:
    """Percent of the rows' sum, or an amount of money; exactly one of the two is set."""

    percent: Decimal | None = None
    amount: Decimal | None = None

    def off(self, total: Decimal) -> Decimal:
        """How much it takes off `total`, to the kopeck, half up; may be more than there is."""
        if self.amount is not None:
            return self.amount
        assert self.percent is not None
        with localcontext() as context:
            context.prec = 60
            return (total * self.percent / 100).quantize(_KOPECK, ROUND_HALF_UP)

    def text(self, currency: str) -> str:
        """«10 %» or «5 000,00 ₽»."""
        return (
            money(self.amount, currency) if self.amount is not None else percent(self.percent or Decimal(0))
        )


def parse(text: str, title: str = "") -> tuple[Discount, ...]:
    """What a field of a deal may mean, the likeliest first; empty for no discount. title: of the field, whose
    «%» or «руб» tells the unit of a bare number. Without it both are possible: the deal's amount will tell.

    Errors: ValueError in Russian, with how to write it.
    """
    found = _WRITTEN.fullmatch(re.sub(r"\s", "", text))
    if found is None:
        raise ValueError(f"скидку «{text[:40]}» не понять: {_HOW}")
    number = Decimal(found["number"].replace(",", "."))
    if not number:
        return ()
    unit = found["unit"] or _unit_of(title)
    if unit == "%" and number >= 100:
        raise ValueError(f"скидка {percent(number)} не оставляет суммы")
    is_payable = number == number.quantize(_KOPECK, ROUND_HALF_UP) and number < 10**15
    if unit and unit != "%" and not is_payable:
        raise ValueError(f"скидка {text.strip()[:40]}: нужны рубли и целые копейки")
    meanings = []
    if unit in ("", "%") and number < 100:
        meanings.append(Discount(percent=number))
    if unit != "%" and is_payable:
        meanings.append(Discount(amount=number))
    return tuple(meanings)


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """`total` parted by `weights` into whole numbers that add up to it: the largest remainders get one more.

    Both in kopecks, 0 <= total <= sum(weights), so that no part is larger than its weight.
    """
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(total * weights[at] % whole), at))
    for at in by_remainder[: total - sum(parts)]:
        parts[at] += 1
    return parts


def _unit_of(title: str) -> str:
    if "%" in title or "процент" in title.casefold():
        return "%"
    return "руб" if re.search(r"руб|₽|сумм", title.casefold()) else ""
