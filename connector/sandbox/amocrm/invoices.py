"""The list of invoices: its own fields, its address for paying. Knows no HTTP. Source: reference 4.14.

Elements of this list (and of any but the products) are linked with deals as they are; those of the products
are rows of deals.
"""

from __future__ import annotations

from connector.sandbox.amocrm.fields import Enum
from connector.sandbox.amocrm.products import Element
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


def pay_address(world: World, element: Element) -> str | None:
    """Where the client pays; None for an element of another list."""
    catalog = world.shelf.catalogs.get(element.catalog_id)
    is_invoice = catalog is not None and catalog.type == "invoices"
    return f"{world.base_url}/pay/{element.id}" if is_invoice else None
