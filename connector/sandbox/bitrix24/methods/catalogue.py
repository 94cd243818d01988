"""The catalogue of goods and the VAT rates, by the classic methods.

Source: documentation pages «crm.product.*», «crm.vat.list», «crm.measure.list». A product is here once it was
added: the shared portal knows rows of deals only.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.wire import (
    RestError,
    is_yes,
    moment,
    not_found,
    number,
    parse_decimal,
    parse_int,
)

TABLE = MethodTable()

#: Id and rate in percent; «Без НДС» has none.
VAT_RATES: Final = (
    (1, "Без НДС", None),
    (2, "НДС 10%", "10.00"),
    (3, "НДС 20%", "20.00"),
    (4, "НДС 22%", "22.00"),
)

_PIECE: Final = 1
_NUMBERS: Final = frozenset({"ID", "MEASURE", "VAT_ID", "SORT", "SECTION_ID", "CATALOG_ID"})


def _values(call: Call) -> dict[str, Any]:
    known = {"NAME", "CODE", "XML_ID", "DESCRIPTION", "CURRENCY_ID"}
    values: dict[str, Any] = {}
    for name, value in call.require_map("fields").items():
        if name in known:
            values[name] = str(value)
        elif name in _NUMBERS - {"ID"}:
            values[name] = parse_int(value)
        elif name == "PRICE":
            values[name] = parse_decimal(value)
        elif name in ("ACTIVE", "VAT_INCLUDED"):
            values[name] = "Y" if is_yes(value) else "N"
    return values


def _product(call: Call) -> dict[str, Any]:
    found = call.site.products.get(call.id())
    if found is None:
        raise not_found()
    return found


def _shown(product: dict[str, Any]) -> dict[str, Any]:
    row = {name: None if value is None else str(value) for name, value in product.items()}
    price = product["PRICE"]
    return {**row, "PRICE": None if price is None else f"{number(price):.2f}"}


@TABLE.add("crm.product.add", scope="crm")
def product_add(call: Call) -> int:
    values = _values(call)
    if not values.get("NAME"):
        raise RestError(400, "ERROR_CORE", "The product name is not specified")
    now = moment(call.site.now(), call.site.zone)
    made = {
        "ID": call.site.portal.new_id("product"),
        "CATALOG_ID": 14,
        "NAME": "",
        "CODE": None,
        "XML_ID": None,
        "DESCRIPTION": None,
        "ACTIVE": "Y",
        "PRICE": None,
        "CURRENCY_ID": call.site.portal.currency,
        "VAT_ID": None,
        "VAT_INCLUDED": "N",
        "MEASURE": _PIECE,
        "SECTION_ID": None,
        "SORT": 500,
        "DATE_CREATE": now,
        "TIMESTAMP_X": now,
        **values,
    }
    call.site.products[made["ID"]] = made
    product_id: int = made["ID"]
    return product_id


@TABLE.add("crm.product.get", scope="crm")
def product_get(call: Call) -> dict[str, Any]:
    return _shown(_product(call))


@TABLE.add("crm.product.update", scope="crm")
def product_update(call: Call) -> bool:
    _product(call).update(_values(call))
    return True


@TABLE.add("crm.product.delete", scope="crm")
def product_delete(call: Call) -> bool:
    del call.site.products[_product(call)["ID"]]
    return True


@TABLE.add("crm.product.list", scope="crm")
def product_list(call: Call) -> Page:
    names = set(selected(call)) - {"*"}

    def find(name: str) -> Column:
        kind = "integer" if name in _NUMBERS else "double" if name == "PRICE" else "string"
        return Column(kind, lambda row: row.get(name))

    def present(page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        rows = [_shown(product) for product in page]
        if not names:
            return rows
        return [{name: row[name] for name in row if name in names | {"ID"}} for row in rows]

    rows = list(call.site.products.values())
    return page_of(call, rows, Columns(find, strict=False, zone=call.site.zone), present, ascending_by="ID")


@TABLE.add("crm.vat.list", scope="crm")
def vat_list(call: Call) -> Page:
    rows = [
        {"ID": str(vat_id), "ACTIVE": "Y", "C_SORT": str(vat_id * 100), "NAME": name, "RATE": rate}
        for vat_id, name, rate in VAT_RATES
    ]
    return Page(rows, total=len(rows))
