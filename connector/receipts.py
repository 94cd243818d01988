"""The positions of a fiscal receipt (54-ФЗ) out of a kept invoice; pure.

They come from the very document that the client pays, never from the deal as it is now, and add up to what is
paid to the kopeck. Knows no provider's codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from connector.documents.discounts import spread
from connector.documents.freeze import thaw
from connector.documents.russian import quantity as shown_quantity
from connector.documents.words import in_hundredths
from connector.payments.base import Receipt, ReceiptItem
from connector.store.archive import ArchivedDocument

#: A receipt of YooKassa's own till holds no more; rows beyond it are told together, one position a rate.
MAX_ITEMS = 80
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def receipt_of(document: ArchivedDocument, amount: Decimal) -> Receipt | None:
    """The receipt for `amount` paid for the document; None for one without rows (of an older kit).

    A part of the sum is spread over all rows. email and phone are both "" where the invoice knows neither.
    """
    context = thaw(document.context)
    rows = [row for row in context.get("товары", ()) if _gross(row) > 0]
    if not rows:
        return None
    kopecks = in_hundredths(amount)
    if kopecks == sum(in_hundredths(_gross(row)) for row in rows):
        items = [_item(row) for row in rows]
    else:
        parts = spread(kopecks, [in_hundredths(_gross(row)) for row in rows])
        items = [_whole(row, part) for row, part in zip(rows, parts, strict=True) if part]
    if len(items) > MAX_ITEMS:
        items = _by_rate(items, f"Товары и услуги по счёту № {document.number}")
    contact, client = context.get("контакт", {}), context.get("клиент", {})
    return Receipt(
        tuple(items),
        email=_email(contact.get("email"), client.get("email")),
        phone=_phone(contact.get("телефон"), client.get("телефон")),
        payer=str(client.get("полное_название") or client.get("название") or ""),
        inn=str(client.get("инн") or ""),
    )


def _gross(row: Mapping[str, Any]) -> Decimal:
    """The row's sum with its VAT; in older documents no other was printed."""
    gross: Decimal = row.get("сумма_с_ндс", row["сумма"])
    return gross


def _item(row: Mapping[str, Any]) -> ReceiptItem:
    """The row as it is where pieces of it have a price in whole kopecks; else it is one position."""
    gross, quantity = in_hundredths(_gross(row)), row["количество"]
    if quantity == quantity.to_integral_value() and gross % int(quantity) == 0:
        price = Decimal(gross // int(quantity)).scaleb(-2)
        return ReceiptItem(row["название"], quantity, price, _rate(row), _is_service(row))
    return _whole(row, gross)


def _whole(row: Mapping[str, Any], kopecks: int) -> ReceiptItem:
    name = row["название"]
    if row["количество"] != 1:
        name = f"{name} ({shown_quantity(row['количество'])} {row['единица']})"
    return ReceiptItem(name, Decimal(1), Decimal(kopecks).scaleb(-2), _rate(row), _is_service(row))


def _by_rate(items: Sequence[ReceiptItem], name: str) -> list[ReceiptItem]:
    sums: dict[Decimal | None, Decimal] = {}
    for item in items:
        sums[item.vat_rate] = sums.get(item.vat_rate, Decimal(0)) + item.price * item.quantity
    is_service = all(item.is_service for item in items)
    return [ReceiptItem(name, Decimal(1), sum_, rate, is_service) for rate, sum_ in sums.items()]


def _rate(row: Mapping[str, Any]) -> Decimal | None:
    """The rate out of its words, «22 %» or «без НДС», which every document has."""
    number = re.match(r"\d+", str(row.get("ставка", "")))
    return Decimal(number[0]) if number else None


def _is_service(row: Mapping[str, Any]) -> bool:
    return str(row.get("единица", "")).casefold().startswith(("усл", "час"))


def _email(*given: Any) -> str:
    texts = (str(one or "").strip() for one in given)
    return next((text for text in texts if _ADDRESS.fullmatch(text)), "")


def _phone(*given: Any) -> str:
    """Eleven digits of a Russian number, «79000000000»; "" for none."""
    for one in given:
        digits = re.sub(r"\D", "", str(one or ""))
        if len(digits) == 10:
            digits = "7" + digits
        if len(digits) == 11 and digits[0] in "78":
            return "7" + digits[1:]
    return ""
