"""The portal's catalogue of goods, with units and VAT. Must not know what they are sold for.

`crm.product.list` needs the right `crm` alone; its successor `catalog.product.list` a right that most
integrations lack, and a request a price. Source: Bitrix24 REST docs, pages «crm.product.list»,
«crm.vat.list», «crm.measure.list».
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from connector.clock import Clock
from connector.crm.bitrix24.api import B24Api
from connector.crm.bitrix24.listing import LongList
from connector.crm.wild import Wild
from connector.domain import Product

_SELECT: Final = (
    *("ID", "NAME", "CODE", "XML_ID", "ACTIVE", "PRICE", "CURRENCY_ID"),
    *("MEASURE", "VAT_ID", "VAT_INCLUDED"),
)
_CENT: Final = Decimal("0.01")


def read_products(api: B24Api, clock: Clock) -> Iterator[Product]:
    """Goods that are on sale, by ascending id."""
    answers = api.batch({"vat": ("crm.vat.list", {}), "measures": ("crm.measure.list", {})})
    rates = answers.read(
        "vat",
        lambda rows: {row["ID"].id(): row["RATE"].decimal() for row in rows.each() if row.text_at("RATE")},
    )
    units = answers.read(
        "measures",
        lambda rows: {row["ID"].id(): row.text_at("SYMBOL_RUS", "MEASURE_TITLE") for row in rows.each()},
    )

    def read(item: Wild) -> Product | None:
        active = item.get("ACTIVE")
        if active is not None and not active.flag():
            return None
        rate = rates.get(item.text_at("VAT_ID"))
        return Product(
            id=item["ID"].id(),
            name=item.text_at("NAME"),
            price=_price(item, rate),
            currency=item.text_at("CURRENCY_ID") or "RUB",
            unit=units.get(item.text_at("MEASURE")) or "шт.",
            sku=item.text_at("CODE", "XML_ID"),
            vat_rate=rate,
        )

    listed = LongList(api, clock, "crm.product.list", {"select": list(_SELECT)}, read, key="ID", place=())
    return (product for product in listed.rows() if product is not None)


def _price(item: Wild, rate: Decimal | None) -> Decimal | None:
    """With VAT, whether the portal's price has it or not."""
    if not item.text_at("PRICE"):
        return None
    price = item["PRICE"].decimal()
    included = item.get("VAT_INCLUDED")
    if rate is None or (included is not None and included.flag()):
        return price
    return (price * (100 + rate) / 100).quantize(_CENT, ROUND_HALF_UP)
