"""The «Товары» list: its elements are the portal's product rows, one element for each different product.

A lead's row is a link to an element with a quantity. Knows no HTTP. Source: reference 4.14.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from connector.sandbox.amocrm.fields import VAT_CHOICES
from connector.sandbox.amocrm.world import World
from connector.sandbox.state import Deal, ProductRow
from connector.sandbox.table import Table, Tracked

PRODUCTS_ID = 4521
PRODUCTS_ENTITY = f"catalogs/{PRODUCTS_ID}"
NO_VAT = VAT_CHOICES[0]


class Product(NamedTuple):
    """What makes two rows the same product."""

    name: str
    price: Decimal
    unit: str
    vat: Decimal | None


@dataclass(slots=True)
class Element:
    """One row of a list. `fields` holds values by field name; `product` ties it to rows of deals."""

    id: int
    catalog_id: int
    name: str
    created_by: int
    updated_by: int
    created_at: datetime
    updated_at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
    product: Product | None = None
    is_deleted: bool = False


@dataclass(slots=True)
class Catalog:
    id: int
    name: str
    type: str
    sort: int
    created_by: int
    created_at: datetime
    updated_at: datetime


class Shelf:
    """All lists of the account with their elements; made once a `World`. Callers hold the portal's lock."""

    def __init__(self, world: World) -> None:
        now = world.portal.now()
        self._world = world
        self.catalogs = {PRODUCTS_ID: Catalog(PRODUCTS_ID, "Товары", "products", 20, 0, now, now)}
        self.elements: Table[Element] = Table()
        self._by_product: Tracked[Product, Element] = Tracked()
        #: Elements of other lists by the deal that they are linked with, and their quantities.
        self.links: dict[int, dict[int, Decimal]] = {}
        #: Whether the invoices of a loaded past stand here, see `invoices.py`.
        self.has_met_invoices = False
        for name, type_, code in (
            ("Артикул", "text", "SKU"),
            ("Описание", "textarea", "DESCRIPTION"),
            ("Цена", "price", "PRICE"),
            ("Группа", "category", "GROUP"),
            ("External ID", "text", "EXTERNAL_ID"),
            ("Единица измерения", "text", "UNIT"),
        ):
            world.fields.add(PRODUCTS_ENTITY, name, type_, code=code, is_predefined=True)
        world.fields.add(PRODUCTS_ENTITY, "НДС", "select", code="VAT", enums=VAT_CHOICES, is_predefined=True)

    def element_of(self, row: ProductRow) -> Element:
        """The element of a deal's row, made when it is met for the first time."""
        product = Product(row.name, row.price, row.unit, row.vat_rate)
        found = self._by_product.get(product)
        if found is None:
            now = self._world.portal.now()
            found = Element(self.new_id(), PRODUCTS_ID, row.name, 0, 0, now, now, product=product)
            found.fields = {
                "Артикул": f"SKU-{found.id}",
                "Цена": format(row.price, "f"),
                "Единица измерения": row.unit,
                "НДС": vat_text(row.vat_rate),
            }
            self.elements[found.id] = found
            self._by_product[product] = found
        return found

    def new_id(self) -> int:
        return self._world.portal.new_id("amocrm_element", 525_001)

    def meet_rows(self) -> None:
        """Make elements for rows that came with the history or from the board."""
        for deal in self._world.portal.deals.values():
            for row in deal.rows:
                self.element_of(row)

    def put(self, element: Element) -> None:
        """Store a new or changed element; rows of deals that use it follow its name, price, unit and VAT."""
        old = element.product
        self.elements[element.id] = element
        if element.catalog_id != PRODUCTS_ID:
            return
        new = product_of(element)
        element.product = new
        if old is not None and old != new:
            self._by_product.pop(old, None)
            self._follow(old, new, element.updated_by)
        self._by_product[new] = element

    def _follow(self, old: Product, new: Product, by: int) -> None:
        for deal in list(self._world.portal.deals.values()):
            if not deal.is_deleted and any(_product(row) == old for row in deal.rows):
                rows = [_with_product(row, new) if _product(row) == old else row for row in deal.rows]
                self._world.portal.update_deal(deal.id, {"rows": rows}, by=by)


def product_of(element: Element) -> Product:
    """What a row that links to `element` says."""
    unit = str(element.fields.get("Единица измерения") or "шт")
    price = decimal(element.fields.get("Цена"))
    return Product(element.name, price, unit, vat_rate(element.fields.get("НДС")))


def _product(row: ProductRow) -> Product:
    return Product(row.name, row.price, row.unit, row.vat_rate)


def _with_product(row: ProductRow, new: Product) -> ProductRow:
    return ProductRow(row.id, new.name, new.price, row.quantity, new.unit, new.vat, row.discount)


def decimal(value: Any) -> Decimal:
    """A number from a field's text; 0 for what is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() else Decimal(0)


def vat_text(rate: Decimal | None) -> str:
    return NO_VAT if rate is None else f"{format(rate.normalize(), 'f')}%"


def vat_rate(text: Any) -> Decimal | None:
    return None if not text or text == NO_VAT else decimal(str(text).rstrip("%"))


def number(value: Decimal) -> int | float:
    """A quantity in JSON: whole numbers without a point."""
    return int(value) if value == value.to_integral_value() else float(value)


def lead_elements(world: World, deal: Deal) -> list[dict[str, Any]]:
    """`_embedded.catalog_elements` of a lead; rows of the same product are one link."""
    with world.portal.lock:
        return [
            {"id": element.id, "metadata": metadata(world, element, quantity)}
            for element, quantity in linked_elements(world, deal)
        ]


def linked_elements(world: World, deal: Deal) -> list[tuple[Element, Decimal]]:
    """The elements of a deal's rows with their quantities, in the order of the rows; then other lists'."""
    sums: dict[int, Decimal] = {}
    for row in deal.rows:
        element = world.shelf.element_of(row)
        sums[element.id] = sums.get(element.id, Decimal(0)) + row.quantity
    sums.update(world.shelf.links.get(deal.id, {}))
    return [(world.shelf.elements[i], quantity) for i, quantity in sums.items()]


def metadata(world: World, element: Element, quantity: Decimal) -> dict[str, Any]:
    price = world.fields.by_code(f"catalogs/{element.catalog_id}", "PRICE")
    return {
        "quantity": number(quantity),
        "catalog_id": element.catalog_id,
        "price_id": price.id if price else None,
    }
