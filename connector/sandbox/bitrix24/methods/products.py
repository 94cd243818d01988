"""Product rows of deals, leads, quotes, invoices and elements, with the arithmetic of the four prices.

Source: reference section 4.7. The portal keeps a row's final price with tax and the discount off one unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.deals import DEAL, is_manual
from connector.sandbox.bitrix24.entities import Entity, camel_name
from connector.sandbox.bitrix24.filters import Column, Columns, split_operator
from connector.sandbox.bitrix24.kinds import entity_by_short
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.params import as_list, as_map
from connector.sandbox.bitrix24.site import Lead
from connector.sandbox.bitrix24.smart import SmartItem
from connector.sandbox.bitrix24.smart_fields import set_rows
from connector.sandbox.bitrix24.wire import (
    RestError,
    invalid_argument,
    item_not_found,
    not_found,
    parse_decimal,
    parse_int,
)
from connector.sandbox.state import Deal, ProductRow

Owner = Deal | Lead | SmartItem

TABLE = MethodTable()

_CENT = Decimal("0.01")
_HUNDRED = Decimal(100)
_BY_SUM, _BY_RATE = 1, 2

#: Units of the portal's classifier by the name written in the row.
_MEASURES = {
    "шт": 796,
    "м": 6,
    "л": 112,
    "кг": 166,
    "т": 168,
    "ч": 356,
    "час": 356,
    "усл. ед": 876,
    "компл": 839,
}
_PIECE = 796


def _cents(value: Decimal) -> Decimal:
    return value.quantize(_CENT, ROUND_HALF_UP)


def short_code(owner: Owner) -> str:
    """`ownerType` of an object."""
    if isinstance(owner, SmartItem):
        return {7: "Q", 31: "SI"}.get(owner.type_id, f"T{owner.type_id:x}")
    return "D" if isinstance(owner, Deal) else "L"


def _universal(owner: Owner, row: ProductRow, place: int) -> dict[str, Any]:
    tax = 1 + (row.vat_rate or Decimal(0)) / _HUNDRED
    exclusive = row.price / tax if row.net_price is None else row.net_price
    brutto = row.price + row.discount
    netto = brutto / tax
    rate = (netto - exclusive) / netto * _HUNDRED if netto else Decimal(0)
    return {
        "id": row.id,
        "ownerId": owner.id,
        "ownerType": short_code(owner),
        "productId": row.product_id,
        "productName": row.name,
        "price": _cents(row.price),
        "priceAccount": _cents(row.price),
        "priceExclusive": _cents(exclusive),
        "priceNetto": _cents(netto),
        "priceBrutto": _cents(brutto),
        "quantity": row.quantity,
        "discountTypeId": _BY_RATE if row.discount_in_percent else _BY_SUM,
        "discountRate": _cents(rate),
        "discountSum": _cents(netto - exclusive),
        "taxRate": row.vat_rate,
        "taxIncluded": "N" if row.vat_rate is None or row.is_vat_on_top else "Y",
        "customized": "Y",
        "measureCode": _MEASURES.get(row.unit.rstrip("."), _PIECE),
        "measureName": row.unit,
        "sort": (place + 1) * 10,
        "xmlId": "",
        "type": 4,
        "storeId": 0,
    }


def _classic(owner: Owner, row: ProductRow, place: int) -> dict[str, Any]:
    new = _universal(owner, row, place)
    return {
        "ID": str(row.id),
        "OWNER_ID": str(owner.id),
        "OWNER_TYPE": new["ownerType"],
        "PRODUCT_ID": row.product_id,
        "PRODUCT_NAME": row.name,
        "ORIGINAL_PRODUCT_NAME": row.name,
        "PRODUCT_DESCRIPTION": None,
        "PRICE": new["price"],
        "PRICE_EXCLUSIVE": new["priceExclusive"],
        "PRICE_NETTO": new["priceNetto"],
        "PRICE_BRUTTO": new["priceBrutto"],
        "PRICE_ACCOUNT": f"{new['priceAccount']:.2f}",
        "QUANTITY": row.quantity,
        "DISCOUNT_TYPE_ID": new["discountTypeId"],
        "DISCOUNT_RATE": new["discountRate"],
        "DISCOUNT_SUM": new["discountSum"],
        "TAX_RATE": row.vat_rate,
        "TAX_INCLUDED": new["taxIncluded"],
        "CUSTOMIZED": "Y",
        "MEASURE_CODE": new["measureCode"],
        "MEASURE_NAME": row.unit,
        "SORT": new["sort"],
        "XML_ID": "",
        "TYPE": 4,
        "STORE_ID": 0,
        # Nothing is kept in stores here, so nothing is reserved.
        **dict.fromkeys(("RESERVE_ID", "DATE_RESERVE_END", "RESERVE_QUANTITY")),
    }


def _parse(call: Call, wanted: Mapping[str, Any], row_id: int) -> ProductRow:
    """A row from camelCase or UPPER_SNAKE names."""
    given = {key.replace("_", "").lower(): value for key, value in wanted.items()}

    def amount(name: str) -> Decimal:
        return parse_decimal(given.get(name) or 0) or Decimal(0)

    kind = parse_int(given.get("discounttypeid")) or _BY_RATE
    vat = None if given.get("taxrate") in (None, "") else amount("taxrate")
    on_top = bool(vat) and str(given.get("taxincluded") or "Y").upper() == "N"
    net = amount("priceexclusive") if on_top and "priceexclusive" in given else None
    price = amount("price") if net is None else _cents(net * (1 + (vat or Decimal(0)) / _HUNDRED))
    if kind == _BY_RATE:
        rate = amount("discountrate")
        discount = _cents(price / (1 - rate / _HUNDRED) - price) if 0 < rate < _HUNDRED else Decimal(0)
    else:
        discount = _cents(amount("discountsum") * (1 + (vat or Decimal(0)) / _HUNDRED))
    product_id = parse_int(given.get("productid")) or 0
    name = str(given.get("productname") or (f"Товар №{product_id}" if product_id else ""))
    if not name:
        raise RestError(400, "CRM_PRODUCT_ROW_NAME_IS_EMPTY", "Product name is empty")
    quantity = amount("quantity") if "quantity" in given else Decimal(1)
    unit = str(given.get("measurename") or "шт")
    return ProductRow(
        row_id or call.site.portal.new_id("row"),
        name,
        price,
        quantity,
        unit,
        vat,
        discount,
        is_vat_on_top=on_top,
        net_price=net,
        discount_in_percent=kind == _BY_RATE,
        product_id=product_id,
    )


def _store(call: Call, owner: Owner, rows: list[ProductRow]) -> Owner:
    """Rows replace those of the owner; its amount follows unless it is kept by hand."""
    if isinstance(owner, SmartItem):
        return set_rows(call.site, owner, rows, call.user_id)
    total = sum((row.price * row.quantity for row in rows), Decimal(0))
    if isinstance(owner, Lead):
        owner.rows = rows
        LEAD.save(call.site, owner, {"OPPORTUNITY": total}, call.user_id)
        return owner
    changes: dict[str, Any] = {"rows": rows}
    if not is_manual(owner):
        changes["amount"] = total
    return call.site.portal.update_deal(owner.id, changes, by=call.user_id)


def _owner(call: Call, owner_type: Any, owner_id: Any) -> Owner:
    entity = entity_by_short(call.site, str(owner_type))
    if entity is None or entity.short in {"C", "CO"}:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", f"Owner type {owner_type} is not supported")
    owner: Owner | None = entity.find(call.site, parse_int(owner_id) or 0)
    if owner is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")
    return owner


def owners_with_rows(call: Call) -> Iterator[Owner]:
    yield from (deal for deal in DEAL.all(call.site) if deal.rows)
    yield from (lead for lead in call.site.leads.values() if lead.rows)
    for items in call.site.smart.items.values():
        yield from (item for item in items.values() if item.rows)


def _locate(call: Call) -> tuple[Owner, int]:
    row_id = call.id()
    for owner in owners_with_rows(call):
        for place, row in enumerate(owner.rows):
            if row.id == row_id:
                return owner, place
    raise item_not_found()


_COLUMN_TYPES = {"ownerType": "string", "productName": "string", "price": "double", "quantity": "double"}
_COLUMNS = frozenset({"id", "ownerId", "productId", "sort", "taxRate", *_COLUMN_TYPES})


def _column(name: str) -> Column | None:
    known = name if name in _COLUMNS else camel_name(name)
    if known not in _COLUMNS:
        return None
    return Column(_COLUMN_TYPES.get(known, "integer"), lambda row: row[known])


@TABLE.add("crm.item.productrow.list", scope="crm", any_case=False)
def productrow_list(call: Call) -> Page:
    """Rows of one owner; `=ownerType` and `=ownerId` must be named, any parameter besides breaks the call."""
    extra = set(call.params) - {"filter", "order", "start", "select", "auth"}
    if extra:
        raise invalid_argument(f"Unknown parameter: {min(extra)}")
    filter_ = as_map(call.params.get("filter"))
    named = {split_operator(key)[1]: value for key, value in filter_.items()}
    if "ownerType" not in named or "ownerId" not in named:
        raise invalid_argument("The filter must contain ownerType and ownerId")
    ids = [parse_int(value) for value in as_list(named["ownerId"])]
    kinds = [entity_by_short(call.site, str(short)) for short in as_list(named["ownerType"])]
    owners = [kind.find(call.site, number) for kind in kinds if kind for number in ids if number]
    rows = [
        _universal(owner, row, place)
        for owner in owners
        if owner is not None
        for place, row in enumerate(getattr(owner, "rows", ()))
    ]

    columns = Columns(_column, strict=True, zone=call.site.zone)
    return page_of(call, rows, columns, lambda page: {"productRows": page}, ascending_by="id")


@TABLE.add("crm.item.productrow.set", scope="crm", any_case=False)
def productrow_set(call: Call) -> dict[str, Any]:
    deal = _owner(call, call.require("ownerType"), call.require("ownerId"))
    rows = [_parse(call, as_map(row), 0) for row in as_list(call.require("productRows"))]
    deal = _store(call, deal, rows)
    return {"productRows": [_universal(deal, row, place) for place, row in enumerate(deal.rows)]}


@TABLE.add("crm.item.productrow.add", scope="crm", any_case=False)
def productrow_add(call: Call) -> dict[str, Any]:
    wanted = call.require_map("fields")
    deal = _owner(call, wanted.get("ownerType"), wanted.get("ownerId"))
    deal = _store(call, deal, [*deal.rows, _parse(call, wanted, 0)])
    return {"productRow": _universal(deal, deal.rows[-1], len(deal.rows) - 1)}


@TABLE.add("crm.item.productrow.get", scope="crm", any_case=False)
def productrow_get(call: Call) -> dict[str, Any]:
    deal, place = _locate(call)
    return {"productRow": _universal(deal, deal.rows[place], place)}


@TABLE.add("crm.item.productrow.update", scope="crm", any_case=False)
def productrow_update(call: Call) -> dict[str, Any]:
    deal, place = _locate(call)
    merged = {**_universal(deal, deal.rows[place], place), **call.require_map("fields")}
    rows = [*deal.rows]
    rows[place] = _parse(call, merged, deal.rows[place].id)
    deal = _store(call, deal, rows)
    return {"productRow": _universal(deal, deal.rows[place], place)}


@TABLE.add("crm.item.productrow.delete", scope="crm", any_case=False)
def productrow_delete(call: Call) -> None:
    deal, place = _locate(call)
    _store(call, deal, [row for index, row in enumerate(deal.rows) if index != place])


@TABLE.add("crm.item.productrow.fields", scope="crm", any_case=False)
def productrow_fields(call: Call) -> dict[str, Any]:
    blank = Deal(0, "", 0, "", None)
    sample = _universal(blank, ProductRow(0, "", Decimal(1), Decimal(1)), 0)
    kinds = {int: "integer", str: "string", Decimal: "double"}
    return {
        "fields": {
            name: {
                "type": kinds.get(type(value), "double"),
                "isRequired": name in {"ownerId", "ownerType"},
                "isReadOnly": name in {"id", "priceAccount", "storeId"},
                "isImmutable": name in {"ownerId", "ownerType"},
                "isMultiple": False,
                "isDynamic": False,
                "title": name,
                "upperName": re.sub(r"(?=[A-Z])", "_", name).upper(),
            }
            for name, value in sample.items()
        }
    }


def _rows_get(entity: Entity, call: Call) -> list[dict[str, Any]]:
    owner = entity.find(call.site, call.id())
    if owner is None:
        raise not_found()
    return [_classic(owner, row, place) for place, row in enumerate(owner.rows)]


def _rows_set(entity: Entity, call: Call) -> bool:
    owner = entity.find(call.site, call.id())
    if owner is None:
        raise not_found()
    _store(call, owner, [_parse(call, as_map(row), 0) for row in as_list(call.params.get("rows"))])
    return True


for _entity in (DEAL, LEAD):
    TABLE.add(f"crm.{_entity.code}.productrows.get", scope="crm")(partial(_rows_get, _entity))
    TABLE.add(f"crm.{_entity.code}.productrows.set", scope="crm")(partial(_rows_set, _entity))


@TABLE.add("crm.measure.list", scope="crm")
def measure_list(call: Call) -> Page:
    rows = [
        {
            "ID": str(place),
            "CODE": str(code),
            "MEASURE_TITLE": name,
            "SYMBOL_RUS": name,
            "SYMBOL_INTL": "",
            "SYMBOL_LETTER_INTL": "",
            "IS_DEFAULT": "Y" if name == "шт" else "N",
        }
        for place, (name, code) in enumerate(_MEASURES.items(), 1)
    ]
    return Page(rows, total=len(rows))
