"""`/api/v4/catalogs` and their elements; the products list shows the rows of deals.

Source: reference 4.14.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.invoices import define_fields, meet_invoices, pay_address
from connector.sandbox.amocrm.lists import page_reply
from connector.sandbox.amocrm.products import Catalog, Element
from connector.sandbox.amocrm.request import BOOL, INT, LIST, STRING, Batch, Call, Kind, check_types
from connector.sandbox.amocrm.wire import (
    ApiError,
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_a_choice,
    not_found,
    problem,
    unix,
    unknown_entity,
)
from connector.sandbox.amocrm.world import Route, World, query_matches

PATH = "/api/v4/catalogs"
MAX_CATALOGS = 10
TYPES = ("regular", "invoices", "products", "suppliers")
KINDS: dict[str, Kind] = {"name": STRING, "type": STRING, "sort": INT, "can_add_elements": BOOL}


def _catalog(world: World, row: Catalog) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "created_by": row.created_by,
        "updated_by": row.created_by,
        "created_at": unix(row.created_at),
        "updated_at": unix(row.updated_at),
        "sort": row.sort,
        "type": row.type,
        "can_add_elements": True,
        "can_show_in_cards": False,
        "can_link_multiple": True,
        "can_be_deleted": row.type == "regular",
        "sdk_widget_code": None,
        "account_id": world.account_id,
        "_links": world.link(f"{PATH}/{row.id}"),
    }


def catalogs(world: World, call: Call) -> Reply:
    meet_invoices(world)
    rows = sorted(world.shelf.catalogs.values(), key=lambda c: c.sort)
    wanted = call.filter.get("type")
    rows = [c for c in rows if wanted is None or c.type == wanted]
    return page_reply(call, world.base_url, "catalogs", rows, lambda c: _catalog(world, c))


def _known(world: World, catalog_id: int) -> Catalog:
    meet_invoices(world)
    found = world.shelf.catalogs.get(catalog_id)
    if found is None:
        raise not_found("Catalog not found")
    return found


def catalog(world: World, call: Call, catalog_id: int) -> Reply:
    return hal(_catalog(world, _known(world, catalog_id)))


def _check_catalog(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, KINDS, required=("name",) if is_new else ())
    if not found and "name" in item and not item["name"].strip():
        found.append(blank("name"))
    if not found and item.get("type", "regular") not in TYPES:
        found.append(not_a_choice("type"))
    return found


def add_catalogs(world: World, call: Call) -> Reply:
    with world.portal.lock:
        batch = call.items().check(lambda item: _check_catalog(item, is_new=True))
        if len(world.shelf.catalogs) + len(batch.items) > MAX_CATALOGS:
            raise ApiError(problem(400, "Catalogs limit exceeded"))
        models, now = [], world.portal.now()
        for name, item in batch:
            made = Catalog(
                world.portal.new_id("amocrm_catalog", 4601),
                item["name"],
                item.get("type", "regular"),
                item.get("sort", 30),
                call.user_id,
                now,
                now,
            )
            world.shelf.catalogs[made.id] = made
            if made.type == "invoices":
                define_fields(world, made.id)
            models.append({**_catalog(world, made), "request_id": name})
    return hal({"_links": world.link(PATH), "_embedded": {"catalogs": models}})


def patch_catalogs(world: World, call: Call) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if not found and item["id"] not in world.shelf.catalogs:
            return [unknown_entity("id", "catalog", item["id"])]
        return found or _check_catalog(item, is_new=False)

    with world.portal.lock:
        batch = call.items().check(rule)
        models = [{**_change(world, _known(world, item["id"]), item), "request_id": n} for n, item in batch]
    return hal({"_links": world.link(PATH), "_embedded": {"catalogs": models}})


def _change(world: World, row: Catalog, item: dict[str, Any]) -> dict[str, Any]:
    row.name, row.sort = item.get("name", row.name), item.get("sort", row.sort)
    row.updated_at = world.portal.now()
    return _catalog(world, row)


def patch_catalog(world: World, call: Call, catalog_id: int) -> Reply:
    with world.portal.lock:
        row = _known(world, catalog_id)
        item = call.item()
        Batch([item]).check(lambda body: _check_catalog(body, is_new=False))
        return hal(_change(world, row, item))


def element_model(world: World, row: Element, with_: Collection[str] = ()) -> dict[str, Any]:
    entity = f"catalogs/{row.catalog_id}"
    address = pay_address(world, row) if "invoice_link" in with_ else None
    return {
        "id": row.id,
        "name": row.name,
        "created_by": row.created_by,
        "updated_by": row.updated_by,
        "created_at": unix(row.created_at),
        "updated_at": unix(row.updated_at),
        "is_deleted": row.is_deleted or None,
        "custom_fields_values": world.codec.read(entity, row),
        "catalog_id": row.catalog_id,
        "account_id": world.account_id,
        **({"invoice_link": address} if address is not None else {}),
        "_links": world.link(f"{PATH}/{row.catalog_id}/elements/{row.id}"),
    }


def elements(world: World, call: Call, catalog_id: int) -> Reply:
    _known(world, catalog_id)
    with world.portal.lock:
        world.shelf.meet_rows()
        rows = [e for e in world.shelf.elements.values() if e.catalog_id == catalog_id]
    rows = filters.apply(rows, call.filter, {"id": filters.number(lambda e: e.id)})
    texts = partial(query_matches, call.text("query"))
    rows = sorted((e for e in rows if texts((e.name, *map(str, e.fields.values())))), key=lambda e: e.id)
    return page_reply(call, world.base_url, "elements", rows, lambda e: element_model(world, e, call.with_))


def _known_element(world: World, catalog_id: int, element_id: object) -> Element | None:
    found = world.shelf.elements.get(element_id) if isinstance(element_id, int) else None
    return found if found is not None and found.catalog_id == catalog_id else None


def element(world: World, call: Call, catalog_id: int, element_id: int) -> Reply:
    _known(world, catalog_id)
    found = _known_element(world, catalog_id, element_id)
    return no_content() if found is None else hal(element_model(world, found, call.with_))


def _check_element(world: World, catalog_id: int, item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    kinds: dict[str, Kind] = {"name": STRING, "custom_fields_values": LIST}
    found = check_types(item, kinds, required=("name",) if is_new else ())
    if not found and "name" in item and not item["name"].strip():
        found.append(blank("name"))
    return found or world.codec.check(f"catalogs/{catalog_id}", item.get("custom_fields_values"))


def _written(world: World, call: Call, row: Element, item: dict[str, Any]) -> Element:
    entity = f"catalogs/{row.catalog_id}"
    values = world.codec.changes(entity, row, item.get("custom_fields_values"))
    changed = replace(
        row,
        name=item.get("name", row.name),
        updated_by=call.user_id,
        updated_at=world.portal.now(),
        fields=values.get("fields", row.fields),
    )
    world.shelf.put(changed)
    return changed


def add_elements(world: World, call: Call, catalog_id: int) -> Reply:
    _known(world, catalog_id)
    with world.portal.lock:
        batch = call.items().check(lambda item: _check_element(world, catalog_id, item, is_new=True))
        models, now = [], world.portal.now()
        for name, item in batch:
            blank_row = Element(world.shelf.new_id(), catalog_id, "", call.user_id, call.user_id, now, now)
            made = _written(world, call, blank_row, item)
            # An index comes back as a number here (reference 4.0).
            echoed = item.get("request_id", int(name) if name.isdigit() else name)
            models.append({**element_model(world, made), "request_id": echoed})
            _tell(world, made, "add")
    return hal({"_links": world.link(call.path), "_embedded": {"elements": models}})


def patch_elements(world: World, call: Call, catalog_id: int) -> Reply:
    _known(world, catalog_id)

    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if not found and _known_element(world, catalog_id, item["id"]) is None:
            return [unknown_entity("id", "element", item["id"])]
        return found or _check_element(world, catalog_id, item, is_new=False)

    with world.portal.lock:
        batch = call.items().check(rule)
        rows = [_written(world, call, world.shelf.elements[item["id"]], item) for _, item in batch]
        for row in rows:
            _tell(world, row, "update")
    models = [element_model(world, row) for row in rows]
    return hal({"_links": world.link(call.path), "_embedded": {"elements": models}})


def patch_element(world: World, call: Call, catalog_id: int, element_id: int) -> Reply:
    _known(world, catalog_id)
    with world.portal.lock:
        row = _known_element(world, catalog_id, element_id)
        if row is None:
            raise not_found("Element not found")
        item = call.item()
        Batch([item]).check(lambda body: _check_element(world, catalog_id, body, is_new=False))
        changed = _written(world, call, row, item)
        _tell(world, changed, "update")
        return hal(element_model(world, changed))


def _tell(world: World, row: Element, action: str) -> None:
    """The hook of a list's element; its code is unverified (reference 6.2)."""
    item = {
        "id": row.id,
        "catalog_id": row.catalog_id,
        "name": row.name,
        "created_at": unix(row.created_at),
        "updated_at": unix(row.updated_at),
        "custom_fields": world.codec.read_for_hook(f"catalogs/{row.catalog_id}", row),
    }
    world.announce(f"{action}_catalog", {"catalogs": {action: [item]}})


_ELEMENTS = f"{PATH}/<int:catalog_id>/elements"

ROUTES = [
    Route("GET", PATH, catalogs),
    Route("POST", PATH, add_catalogs),
    Route("PATCH", PATH, patch_catalogs),
    Route("GET", f"{PATH}/<int:catalog_id>", catalog),
    Route("PATCH", f"{PATH}/<int:catalog_id>", patch_catalog),
    Route("GET", _ELEMENTS, elements),
    Route("POST", _ELEMENTS, add_elements),
    Route("PATCH", _ELEMENTS, patch_elements),
    Route("GET", f"{_ELEMENTS}/<int:element_id>", element),
    Route("PATCH", f"{_ELEMENTS}/<int:element_id>", patch_element),
]
