"""`/api/v4/contacts` and `/api/v4/companies`: model, list, one, add, change.

Source: reference 4.0, 4.3, 4.4.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.fields import TAGS_KEY
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.request import (
    INT,
    LIST,
    OBJECT,
    OPTIONAL_STRING,
    UNIX,
    Batch,
    Call,
    Kind,
    check_embedded,
    check_types,
)
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    blank,
    from_unix,
    hal,
    no_content,
    not_a_choice,
    not_found,
    unix,
    unknown_entity,
)
from connector.sandbox.amocrm.world import (
    ENTITIES,
    SINGULAR,
    Route,
    World,
    author_of,
    minimal,
    query_matches,
    updated,
)
from connector.sandbox.state import Company, Contact

KINDS: dict[str, Kind] = {
    "name": OPTIONAL_STRING,
    "first_name": OPTIONAL_STRING,
    "last_name": OPTIONAL_STRING,
    "responsible_user_id": INT,
    "created_by": INT,
    "updated_by": INT,
    "created_at": UNIX,
    "updated_at": UNIX,
    "custom_fields_values": LIST,
    "tags_to_add": LIST,
    "tags_to_delete": LIST,
    "_embedded": OBJECT,
}


def first_name(contact: Contact) -> str:
    """The given name; amoCRM has no field for the middle name, people write it here."""
    return " ".join(part for part in (contact.name, contact.second_name) if part)


def full_name(row: Contact | Company) -> str:
    if isinstance(row, Company):
        return row.name
    return " ".join(part for part in (first_name(row), row.last_name) if part)


def model(
    world: World,
    collection: str,
    row: Any,
    with_: set[str],
) -> dict[str, Any]:
    """A contact or company as lists and single reads answer it."""
    entity = ENTITIES[collection]
    created_by, updated_by = world.author(entity, row)
    body: dict[str, Any] = {"id": row.id, "name": full_name(row)}
    if isinstance(row, Contact):
        body |= {"first_name": first_name(row), "last_name": row.last_name}
    body |= {
        "responsible_user_id": row.responsible_id,
        "group_id": 0,
        "created_by": created_by,
        "updated_by": updated_by,
        "created_at": unix(row.created_at),
        "updated_at": unix(row.updated_at),
        "closest_task_at": unix(world.closest_task(entity, row.id)),
        "is_deleted": False,
        "custom_fields_values": world.codec.read(collection, row),
        "account_id": world.account_id,
        "_links": world.link(f"/api/v4/{collection}/{row.id}"),
    }
    if isinstance(row, Contact):
        body["is_unsorted"] = row.id in world.hidden_contacts
    body["_embedded"] = _embedded(world, row, with_, world.tag_models(collection, row))
    return body


def _embedded(world: World, row: Any, with_: set[str], tags: list[dict[str, Any]]) -> dict[str, Any]:
    def shown(collection: str, ids: list[int]) -> list[dict[str, Any]]:
        return [{"id": i, "_links": world.link(f"/api/v4/{collection}/{i}")} for i in ids]

    embedded: dict[str, Any] = {"tags": tags}
    if "leads" in with_:
        embedded["leads"] = shown("leads", leads_of(world, row))
    if "customers" in with_:
        embedded["customers"] = []
    if "catalog_elements" in with_:
        embedded["catalog_elements"] = []
    if isinstance(row, Contact):
        embedded["companies"] = shown("companies", [row.company_id] if row.company_id is not None else [])
    elif "contacts" in with_:
        embedded["contacts"] = shown("contacts", contacts_of(world, row.id))
    return embedded


def leads_of(world: World, row: Any) -> list[int]:
    """Ids of the live leads that `row` is linked with."""
    index = world.portal.index
    return (index.deals_of_contact if isinstance(row, Contact) else index.deals_of_company).of(row.id)


def contacts_of(world: World, company_id: int) -> list[int]:
    return world.portal.index.contacts_of_company.of(company_id)


def _makers(world: World, collection: str) -> dict[str, filters.Maker]:
    entity = ENTITIES[collection]
    return {
        "id": filters.number(lambda r: r.id),
        "name": filters.text(full_name),
        "created_by": filters.number(lambda r: world.author(entity, r)[0]),
        "updated_by": filters.number(lambda r: world.author(entity, r)[1]),
        "responsible_user_id": filters.number(lambda r: r.responsible_id),
        "created_at": filters.moment(lambda r: unix(r.created_at)),
        "updated_at": filters.moment(lambda r: unix(r.updated_at)),
        "closest_task_at": filters.moment(lambda r: unix(world.closest_task(entity, r.id))),
        "custom_fields_values": filters.custom_fields(world, collection),
    }


def listing(world: World, call: Call, *, collection: str) -> Reply:
    rows = world.found(call, lambda: _search(world, call, collection))
    return page_reply(
        call, world.base_url, collection, rows, lambda r: model(world, collection, r, call.with_)
    )


def _search(world: World, call: Call, collection: str) -> list[Any]:
    rows = [] if "only_deleted" in call.with_ else world.portal.table(ENTITIES[collection]).rows()
    if world.switches.filters_paid:
        rows = filters.apply(rows, call.filter, _makers(world, collection))
    if call.text("query"):
        rows = [r for r in rows if query_matches(call.text("query"), (full_name(r), *r.phones, *r.emails))]
    return ordered(call, rows, {"id": lambda r: r.id, "updated_at": lambda r: r.updated_at})


def one(world: World, call: Call, row_id: int, *, collection: str) -> Reply:
    row = world.row(collection, row_id)
    if row is None:
        return no_content()
    return hal(model(world, collection, row, call.with_))


def check(world: World, collection: str, item: dict[str, Any], row: Any = None) -> list[Violation]:
    """What is wrong with a written contact or company; `row` is the one that a PATCH changes."""
    found = check_types(item, KINDS) + check_embedded(item, "tags", "companies")
    if found:
        return found
    names = ("name", "first_name", "last_name") if collection == "contacts" else ("name",)
    if row is None and not any(item.get(name) for name in names):
        found.append(blank("name"))
    found += world.codec.check(collection, item.get("custom_fields_values"))
    found += world.check_tags(collection, item)
    for key in ("responsible_user_id", "created_by", "updated_by"):
        found += world.check_user(item, key)
    embedded = item.get("_embedded")
    for index, linked in enumerate(embedded.get("companies") or () if isinstance(embedded, dict) else ()):
        if not isinstance(linked, dict) or world.row("companies", linked.get("id")) is None:
            found.append(not_a_choice(f"_embedded.companies.{index}.id"))
    return found


def changes(world: World, collection: str, item: dict[str, Any], row: Any) -> dict[str, Any]:
    """Portal attributes that a checked write sets."""
    result: dict[str, Any] = {}
    if collection == "companies":
        if item.get("name") is not None:
            result["name"] = item["name"]
    else:
        result |= _names(item)
    if item.get("responsible_user_id") is not None:
        result["responsible_id"] = item["responsible_user_id"]
    moment = from_unix(item.get("updated_at"))
    if row is not None and (moment is not None or world.switches.empty_patch_touches):
        result["updated_at"] = moment or world.portal.now()
    result |= world.codec.changes(collection, row, item.get("custom_fields_values"))
    tags = world.new_tags(collection, row, item)
    if tags is not None:
        fields = result.get("fields", row.fields if row is not None else {})
        rest = {key: value for key, value in fields.items() if key != TAGS_KEY}
        result["fields"] = {**rest, TAGS_KEY: tags} if tags else rest
    return result


def _names(item: dict[str, Any]) -> dict[str, str]:
    if item.get("first_name") is not None or item.get("last_name") is not None:
        result = {}
        if item.get("first_name") is not None:
            result = {"name": item["first_name"], "second_name": ""}
        if item.get("last_name") is not None:
            result["last_name"] = item["last_name"]
        return result
    if item.get("name") is not None:
        return {"name": item["name"], "second_name": "", "last_name": ""}
    return {}


def create(world: World, call: Call, collection: str, item: dict[str, Any]) -> Any:
    """Store a checked new contact or company."""
    values = changes(world, collection, item, None)
    values.setdefault("responsible_id", call.user_id)
    now = world.portal.now()
    created_at = from_unix(item.get("created_at")) or now
    made: Any
    if collection == "contacts":
        values.setdefault("name", "")
        embedded = item.get("_embedded")
        companies = embedded.get("companies") if isinstance(embedded, dict) else None
        company_id = companies[0]["id"] if companies else None
        made = Contact(id=0, company_id=company_id, created_at=created_at, updated_at=now, **values)
    else:
        made = Company(id=0, created_at=created_at, updated_at=now, **values)
    return world.portal.add(ENTITIES[collection], made, by=author_of(call, item))


def add(world: World, call: Call, *, collection: str) -> Reply:
    with world.portal.lock:
        batch = call.items().check(lambda item: check(world, collection, item))
        made = [(name, create(world, call, collection, item)) for name, item in batch]
    path = f"/api/v4/{collection}"
    rows = [minimal(world, path, row.id, request_id=name) for name, row in made]
    return hal({"_links": world.link(path), "_embedded": {collection: rows}})


def _patch(world: World, call: Call, collection: str, item: dict[str, Any]) -> Any:
    row = world.row(collection, item["id"])
    wanted = changes(world, collection, item, row)
    return world.portal.update(ENTITIES[collection], row.id, wanted, by=author_of(call, item, "updated_by"))


def patch_many(world: World, call: Call, *, collection: str) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if found:
            return found
        row = world.row(collection, item["id"])
        if row is None:
            return [unknown_entity("id", SINGULAR[collection], item["id"])]
        return check(world, collection, item, row)

    with world.portal.lock:
        changed = [_patch(world, call, collection, item) for _, item in call.items().check(rule)]
    path = f"/api/v4/{collection}"
    rows = [
        {"id": r.id, "name": full_name(r), "updated_at": updated(r), "_links": world.link(f"{path}/{r.id}")}
        for r in changed
    ]
    return hal({"_links": world.link(path), "_embedded": {collection: rows}})


def patch_one(world: World, call: Call, row_id: int, *, collection: str) -> Reply:
    with world.portal.lock:
        row = world.row(collection, row_id)
        if row is None:
            raise not_found(f"{SINGULAR[collection].capitalize()} not found")
        item = {**call.item(), "id": row_id}
        Batch([item]).check(lambda body: check(world, collection, body, row))
        changed = _patch(world, call, collection, item)
    path = f"/api/v4/{collection}"
    return hal(minimal(world, path, row_id, name=full_name(changed), updated_at=updated(changed)))


def _routes(collection: str) -> list[Route]:
    path = f"/api/v4/{collection}"
    return [
        Route("GET", path, partial(listing, collection=collection)),
        Route("POST", path, partial(add, collection=collection)),
        Route("PATCH", path, partial(patch_many, collection=collection)),
        Route("GET", f"{path}/<int:row_id>", partial(one, collection=collection)),
        Route("PATCH", f"{path}/<int:row_id>", partial(patch_one, collection=collection)),
    ]


ROUTES = [*_routes("contacts"), *_routes("companies")]
