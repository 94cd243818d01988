"""The list of invoices: its own fields, its address for paying. Knows no HTTP. Source: reference 4.14.

Elements of this list (and of any but the products) are linked with deals as they are; those of the products
are rows of deals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from connector.sandbox.amocrm.fields import Enum
from connector.sandbox.amocrm.products import Catalog, Element
from connector.sandbox.amocrm.wire import unix
from connector.sandbox.amocrm.world import World

STATUSES = {
    "created": "Создан",
    "paid": "Оплачен",
    "paid_in_advance": "Оплачен авансом",
    "partially_paid": "Частично оплачен",
}
FIELDS = (
    ("Поставщик", "supplier", "SUPPLIER"),
    ("Плательщик", "payer", "PAYER"),
    ("Позиции счета", "items", "ITEMS"),
    ("Дата оплаты", "date_time", "BILL_PAYMENT_DATE"),
    ("Комментарий", "textarea", "BILL_COMMENT"),
    ("Итоговая сумма", "numeric", "BILL_PRICE"),
)


def define_fields(world: World, catalog_id: int) -> None:
    """The fields that every list of invoices has from the start."""
    entity = f"catalogs/{catalog_id}"
    status = world.fields.add(entity, "Статус", "select", code="BILL_STATUS", is_predefined=True)
    status.enums = [
        Enum(world.fields.new_enum_id(), text, (index + 1) * 2, code)
        for index, (code, text) in enumerate(STATUSES.items())
    ]
    for name, kind, code in FIELDS:
        world.fields.add(entity, name, kind, code=code, is_predefined=True)


def meet_invoices(world: World) -> None:
    """Make the list and its elements for invoices that came with the history, once.

    Elements of a deal that was deleted are deleted ones, as are those of cancelled invoices.
    """
    shelf, portal = world.shelf, world.portal
    with portal.lock:
        if shelf.has_met_invoices:
            return
        shelf.has_met_invoices = True
        notes = [note for note in portal.notes.rows() if "invoice_id" in note.params]
        if not notes:
            return
        now = portal.now()
        number = portal.new_id("amocrm_catalog", 4601)
        shelf.catalogs[number] = Catalog(number, "Счета", "invoices", 30, 0, now, now)
        define_fields(world, number)
        for note in notes:
            deal = portal.deals.get(note.entity_id)
            element = _element(world, number, note.params, note.created_by, note.created_at)
            element.is_deleted |= deal is None or deal.is_deleted
            shelf.elements[element.id] = element
            shelf.links.setdefault(note.entity_id, {})[element.id] = Decimal(1)


def _element(world: World, catalog_id: int, said: Mapping[str, Any], by: int, at: datetime) -> Element:
    paid_at = datetime.fromisoformat(said["paid_at"]) if said["paid_at"] else None
    status = "paid" if paid_at else "created"
    values = [
        {"field_code": "BILL_STATUS", "values": [{"enum_code": status}]},
        {"field_code": "BILL_PRICE", "values": [{"value": said["amount"]}]},
    ]
    if paid_at is not None:
        values.append({"field_code": "BILL_PAYMENT_DATE", "values": [{"value": unix(paid_at)}]})
    name = f"Счёт № {said['invoice_id']}"
    element = Element(world.shelf.new_id(), catalog_id, name, by, by, at, paid_at or at)
    element.fields = world.codec.changes(f"catalogs/{catalog_id}", element, values)["fields"]
    element.is_deleted = said["status"] == "cancelled"
    return element


def pay_address(world: World, element: Element) -> str | None:
    """Where the client pays; None for an element of another list."""
    catalog = world.shelf.catalogs.get(element.catalog_id)
    is_invoice = catalog is not None and catalog.type == "invoices"
    return f"{world.base_url}/pay/{element.id}" if is_invoice else None
