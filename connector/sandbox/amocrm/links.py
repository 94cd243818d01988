"""Links between entities (`/links`, `/link`, `/unlink`) and tags of entity types. Source: reference 4.12.

Written with `is_main`, read with `main_contact`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from connector.sandbox.amocrm.lists import page_reply, whole_reply
from connector.sandbox.amocrm.people import contacts_of, leads_of
from connector.sandbox.amocrm.products import PRODUCTS_ID, decimal, linked_elements, metadata, product_of
from connector.sandbox.amocrm.request import INT, OBJECT, STRING, Batch, Call, check_types, integers, strings
from connector.sandbox.amocrm.wire import Reply, Violation, blank, hal, no_content, not_a_choice, not_found
from connector.sandbox.amocrm.world import ENTITIES, Route, World, query_matches
from connector.sandbox.state import Deal, ProductRow

#: What may be linked with what.
TARGETS = {
    "leads": ("contacts", "companies", "catalog_elements"),
    "contacts": ("leads", "companies"),
    "companies": ("leads", "contacts"),
}


def links_of(world: World, collection: str, row: Any) -> list[dict[str, Any]]:
    """All links of one entity as the API lists them."""
    found: list[dict[str, Any]] = []

    def put(kind: str, entity_id: int, data: Any = None) -> None:
        found.append({"to_entity_id": entity_id, "to_entity_type": kind, "metadata": data})

    if collection == "leads":
        for element, quantity in linked_elements(world, row):
            put("catalog_elements", element.id, metadata(world, element, quantity))
        for index, contact_id in enumerate(row.contact_ids):
            put("contacts", contact_id, {"main_contact": index == 0})
    else:
        for lead_id in leads_of(world, row):
            put("leads", lead_id)
    if collection == "companies":
        for contact_id in contacts_of(world, row.id):
            put("contacts", contact_id, {"main_contact": False})
    elif row.company_id is not None:
        put("companies", row.company_id)
    return found


def _passes(call: Call, link: dict[str, Any]) -> bool:
    kinds = strings(call.filter.get("to_entity_type"))
    ids = integers(call.filter.get("to_entity_id"))
    catalogs = integers(call.filter.get("to_catalog_id"))
    data = link["metadata"] or {}
    return (
        (not kinds or link["to_entity_type"] in kinds)
        and (not ids or link["to_entity_id"] in ids)
        and (not catalogs or data.get("catalog_id") in catalogs)
    )


def listing(world: World, call: Call, entity_id: int, *, collection: str) -> Reply:
    with world.portal.lock:
        row = world.row(collection, entity_id)
        if row is None:
            return no_content()
        links = [link for link in links_of(world, collection, row) if _passes(call, link)]
    return whole_reply(world.base_url, call.path, "links", links)


def mass_listing(world: World, call: Call, *, collection: str) -> Reply:
    links: list[dict[str, Any]] = []
    with world.portal.lock:
        for entity_id in integers(call.filter.get("entity_id")):
            row = world.row(collection, entity_id)
            owner = {"entity_id": entity_id, "entity_type": collection}
            known = links_of(world, collection, row) if row is not None else []
            links += [{**owner, **link} for link in known if _passes(call, link)]
    return whole_reply(world.base_url, call.path, "links", links)


def _check(world: World, collection: str, item: dict[str, Any], *, is_mass: bool) -> list[Violation]:
    kinds = {"to_entity_id": INT, "to_entity_type": STRING, "metadata": OBJECT, "entity_id": INT}
    required = ("to_entity_id", "to_entity_type", *(("entity_id",) if is_mass else ()))
    found = check_types(item, kinds, required=required)
    if found:
        return found
    if is_mass and world.row(collection, item["entity_id"]) is None:
        found.append(not_a_choice("entity_id"))
    if item["to_entity_type"] not in TARGETS[collection]:
        return [*found, not_a_choice("to_entity_type")]
    if item["to_entity_type"] == "catalog_elements":
        known = item["to_entity_id"] in world.shelf.elements
    else:
        known = world.row(item["to_entity_type"], item["to_entity_id"]) is not None
    return found if known else [*found, not_a_choice("to_entity_id")]


def change(world: World, call: Call, entity_id: int | None = None, *, collection: str, unlink: bool) -> Reply:
    """Make or break links of one entity, or of those that the items name."""
    with world.portal.lock:
        if entity_id is not None and world.row(collection, entity_id) is None:
            raise not_found("Entity not found")
        world.shelf.meet_rows()
        batch = call.items().check(lambda item: _check(world, collection, item, is_mass=entity_id is None))
        done = []
        for _, item in batch:
            owner = entity_id if entity_id is not None else item["entity_id"]
            (_unlink if unlink else _link)(world, call, collection, owner, item)
            done.append(_answer(world, collection, owner, item))
    if unlink:
        return no_content()
    path = call.path.removesuffix("/link") + "/links"
    return whole_reply(world.base_url, path, "links", done)


def _answer(world: World, collection: str, owner: int, item: dict[str, Any]) -> dict[str, Any]:
    data = item.get("metadata")
    data = dict(data) if isinstance(data, dict) else None
    if item["to_entity_type"] == "contacts":
        linked = world.portal.deals[owner].contact_ids if collection == "leads" else []
        data = {"main_contact": linked[:1] == [item["to_entity_id"]]}
    return {
        "entity_id": owner,
        "entity_type": collection,
        "to_entity_id": item["to_entity_id"],
        "to_entity_type": item["to_entity_type"],
        "metadata": data,
    }


def _pair(collection: str, owner: int, item: dict[str, Any]) -> dict[str, int]:
    return {collection: owner, item["to_entity_type"]: item["to_entity_id"]}


def _link(world: World, call: Call, collection: str, owner: int, item: dict[str, Any]) -> None:
    pair, given = _pair(collection, owner, item), item.get("metadata")
    data = given if isinstance(given, dict) else {}
    if "catalog_elements" in pair:
        _put_row(world, call, pair["leads"], pair["catalog_elements"], data)
    elif "leads" not in pair:
        world.portal.update("contact", pair["contacts"], {"company_id": pair["companies"]}, by=call.user_id)
    elif "companies" in pair:
        # A lead has one company: the new one takes the old one's place.
        world.portal.update_deal(pair["leads"], {"company_id": pair["companies"]}, by=call.user_id)
    else:
        old = world.portal.deals[pair["leads"]].contact_ids
        rest = [i for i in old if i != pair["contacts"]]
        new = [*rest, pair["contacts"]] if pair["contacts"] not in old else old
        if data.get("is_main"):
            new = [pair["contacts"], *rest]
        world.portal.update_deal(pair["leads"], {"contact_ids": new}, by=call.user_id)


def _unlink(world: World, call: Call, collection: str, owner: int, item: dict[str, Any]) -> None:
    pair = _pair(collection, owner, item)
    if "catalog_elements" in pair:
        deal = world.portal.deals[pair["leads"]]
        world.shelf.links.get(deal.id, {}).pop(pair["catalog_elements"], None)
        rows = [row for row in deal.rows if world.shelf.element_of(row).id != pair["catalog_elements"]]
        world.portal.update_deal(deal.id, {"rows": rows}, by=call.user_id)
    elif "leads" not in pair:
        if world.portal.contacts[pair["contacts"]].company_id == pair["companies"]:
            world.portal.update("contact", pair["contacts"], {"company_id": None}, by=call.user_id)
    elif "companies" in pair:
        if world.portal.deals[pair["leads"]].company_id == pair["companies"]:
            world.portal.update_deal(pair["leads"], {"company_id": None}, by=call.user_id)
    else:
        rest = [i for i in world.portal.deals[pair["leads"]].contact_ids if i != pair["contacts"]]
        world.portal.update_deal(pair["leads"], {"contact_ids": rest}, by=call.user_id)


def _put_row(world: World, call: Call, lead_id: int, element_id: int, data: dict[str, Any]) -> None:
    """Link an element: its row gets the new quantity, or a row is added."""
    deal: Deal = world.portal.deals[lead_id]
    element = world.shelf.elements[element_id]
    quantity = decimal(data.get("quantity", 1))
    if element.catalog_id != PRODUCTS_ID:
        world.shelf.links.setdefault(deal.id, {})[element_id] = quantity
        return
    product = product_of(element)
    rows = [row for row in deal.rows if world.shelf.element_of(row).id != element_id]
    row_id = world.portal.new_id("row", 1_000_000)
    rows.append(ProductRow(row_id, product.name, product.price, quantity, product.unit, product.vat))
    world.portal.update_deal(lead_id, {"rows": rows}, by=call.user_id)


def tags(world: World, call: Call, *, collection: str) -> Reply:
    with world.portal.lock:
        for row in world.rows(collection).values():
            for name in world.tags_of(collection, row):
                world.tag(collection, name)
        rows = sorted(world.tags.get(collection, {}).values(), key=lambda t: t.id)
    wanted, ids = call.filter.get("name"), set(integers(call.filter.get("id")))
    rows = [t for t in rows if (wanted is None or t.name == wanted) and (not ids or t.id in ids)]
    rows = [t for t in rows if query_matches(call.text("query"), (t.name,))]
    return page_reply(
        call, world.base_url, "tags", rows, lambda t: {"id": t.id, "name": t.name, "color": t.color}
    )


def add_tags(world: World, call: Call, *, collection: str) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"name": STRING}, required=("name",))
        return found or ([] if item["name"].strip() else [blank("name")])

    with world.portal.lock:
        batch: Batch = call.items().check(rule)
        made = [
            (name, world.tag(collection, item["name"], item.get("color") if collection == "leads" else None))
            for name, item in batch
        ]
    models = [{"id": t.id, "name": t.name, "color": t.color, "request_id": name} for name, t in made]
    return hal({"_total_items": len(models), "_embedded": {"tags": models}})


def _routes(collection: str) -> list[Route]:
    path = f"/api/v4/{collection}"
    link = partial(change, collection=collection, unlink=False)
    unlink = partial(change, collection=collection, unlink=True)
    return [
        Route("GET", f"{path}/<int:entity_id>/links", partial(listing, collection=collection)),
        Route("GET", f"{path}/links", partial(mass_listing, collection=collection)),
        Route("POST", f"{path}/<int:entity_id>/link", link),
        Route("POST", f"{path}/<int:entity_id>/unlink", unlink),
        Route("POST", f"{path}/link", link),
        Route("POST", f"{path}/unlink", unlink),
        Route("GET", f"{path}/tags", partial(tags, collection=collection)),
        Route("POST", f"{path}/tags", partial(add_tags, collection=collection)),
    ]


ROUTES = [route for collection in ENTITIES for route in _routes(collection)]
