"""`…/custom_fields` of leads, contacts, companies and lists: list, one, add, change, delete.

Writes answer whole models with 201. Source: reference 2.3, 4.6.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from connector.sandbox.amocrm.fields import ENUM_TYPES, FIELD_TYPES, Enum, Field
from connector.sandbox.amocrm.lists import ordered, page_reply, whole_reply
from connector.sandbox.amocrm.request import (
    INT,
    LIST,
    OPTIONAL_STRING,
    STRING,
    Batch,
    Call,
    Kind,
    check_types,
    strings,
)
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    blank,
    hal,
    no_content,
    not_a_choice,
    not_found,
    unknown_entity,
)
from connector.sandbox.amocrm.world import ENTITIES, Route, World

KINDS: dict[str, Kind] = {
    "name": STRING,
    "type": STRING,
    "code": OPTIONAL_STRING,
    "sort": INT,
    "enums": LIST,
}


def model(world: World, field: Field) -> dict[str, Any]:
    enums = [{"id": e.id, "value": e.value, "sort": e.sort, "code": e.code} for e in field.enums]
    return {
        "id": field.id,
        "name": field.name,
        "type": field.type,
        "account_id": world.account_id,
        "code": field.code,
        "sort": field.sort,
        "is_api_only": field.is_api_only,
        "enums": enums or None,
        "group_id": None,
        "required_statuses": [],
        "is_deletable": not field.is_predefined,
        "is_predefined": field.is_predefined,
        "entity_type": field.entity.partition("/")[0],
        "remind": None,
        "settings": None,
        "_links": world.link(f"/api/v4/{field.entity}/custom_fields/{field.id}"),
    }


def _entity(world: World, collection: str, catalog_id: int | None) -> str:
    if catalog_id is None:
        return collection
    if catalog_id not in world.shelf.catalogs:
        raise not_found("Catalog not found")
    return f"catalogs/{catalog_id}"


def listing(world: World, call: Call, catalog_id: int | None = None, *, collection: str) -> Reply:
    rows = world.fields.of(_entity(world, collection, catalog_id))
    types = set(strings(call.filter.get("type")))
    rows = ordered(
        call,
        [f for f in rows if not types or f.type in types],
        {"sort": lambda f: f.sort, "id": lambda f: f.id},
    )
    return page_reply(call, world.base_url, "custom_fields", rows, lambda f: model(world, f), totals=True)


def _known(world: World, entity: str, field_id: int) -> Field:
    found = world.fields.get(entity, field_id)
    if found is None:
        raise not_found("Custom field not found")
    return found


def one(world: World, call: Call, field_id: int, catalog_id: int | None = None, *, collection: str) -> Reply:
    return hal(model(world, _known(world, _entity(world, collection, catalog_id), field_id)))


def _check(item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, KINDS, required=("name", "type") if is_new else ())
    if found:
        return found
    if "name" in item and not item["name"].strip():
        found.append(blank("name"))
    if is_new and item["type"] not in FIELD_TYPES:
        found.append(not_a_choice("type"))
    for index, enum in enumerate(item.get("enums") or ()):
        if not isinstance(enum, dict) or not isinstance(enum.get("value"), str):
            found.append(blank(f"enums.{index}.value"))
    return found


def add(world: World, call: Call, catalog_id: int | None = None, *, collection: str) -> Reply:
    with world.portal.lock:
        entity = _entity(world, collection, catalog_id)
        batch = call.items().check(lambda item: _check(item, is_new=True))
        models = []
        for name, item in batch:
            made = world.fields.add(
                entity, item["name"], item["type"], code=item.get("code"), sort=item.get("sort")
            )
            _set_enums(world, made, item)
            models.append({**model(world, made), "request_id": name})
    return _created(world, call, models)


def _created(world: World, call: Call, models: list[dict[str, Any]]) -> Reply:
    reply = whole_reply(world.base_url, call.path, "custom_fields", models)
    return Reply(201, reply.body, reply.content_type)


def _set_enums(world: World, field: Field, item: dict[str, Any]) -> None:
    """Replace the choices; one that comes without its id is a new one (reference 4.6)."""
    if item.get("enums") is None or field.type not in ENUM_TYPES:
        return
    known = {enum.id for enum in field.enums}
    field.enums = [
        Enum(
            enum["id"] if enum.get("id") in known else world.fields.new_enum_id(),
            enum["value"],
            enum["sort"] if isinstance(enum.get("sort"), int) else (index + 1) * 2,
            enum.get("code"),
        )
        for index, enum in enumerate(item["enums"])
    ]


def _apply(world: World, field: Field, item: dict[str, Any]) -> dict[str, Any]:
    if "name" in item:
        world.fields.rename(field, item["name"])
    field.sort = item.get("sort", field.sort)
    if "code" in item and not field.is_predefined:
        field.code = item["code"]
    _set_enums(world, field, item)
    return model(world, field)


def patch_many(world: World, call: Call, catalog_id: int | None = None, *, collection: str) -> Reply:
    with world.portal.lock:
        entity = _entity(world, collection, catalog_id)

        def rule(item: dict[str, Any]) -> list[Violation]:
            found = check_types(item, {"id": INT}, required=("id",))
            if not found and world.fields.get(entity, item["id"]) is None:
                return [unknown_entity("id", "custom field", item["id"])]
            return found or _check(item, is_new=False)

        batch = call.items().check(rule)
        models = [_apply(world, _known(world, entity, item["id"]), item) for _, item in batch]
    return _created(world, call, models)


def patch_one(
    world: World, call: Call, field_id: int, catalog_id: int | None = None, *, collection: str
) -> Reply:
    with world.portal.lock:
        field = _known(world, _entity(world, collection, catalog_id), field_id)
        item = call.item()
        Batch([item]).check(lambda body: _check(body, is_new=False))
        return hal(_apply(world, field, item), 201)


def delete(
    world: World, call: Call, field_id: int, catalog_id: int | None = None, *, collection: str
) -> Reply:
    with world.portal.lock:
        field = _known(world, _entity(world, collection, catalog_id), field_id)
        if not field.is_predefined:
            world.fields.remove(field)
    return no_content()


def _routes(prefix: str, collection: str) -> list[Route]:
    path = f"{prefix}/custom_fields"
    one_path = f"{path}/<int:field_id>"
    return [
        Route("GET", path, partial(listing, collection=collection)),
        Route("POST", path, partial(add, collection=collection)),
        Route("PATCH", path, partial(patch_many, collection=collection)),
        Route("GET", one_path, partial(one, collection=collection)),
        Route("PATCH", one_path, partial(patch_one, collection=collection)),
        Route("DELETE", one_path, partial(delete, collection=collection)),
    ]


ROUTES = [
    *(route for collection in ENTITIES for route in _routes(f"/api/v4/{collection}", collection)),
    *_routes("/api/v4/catalogs/<int:catalog_id>", "catalogs"),
]
