"""Notes of leads, contacts and companies, and calls, which become notes. Source: reference 4.11."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from connector.sandbox.amocrm import filters
from connector.sandbox.amocrm.lists import ordered, page_reply
from connector.sandbox.amocrm.people import leads_of
from connector.sandbox.amocrm.request import (
    BOOL,
    INT,
    OBJECT,
    STRING,
    UNIX,
    Batch,
    Call,
    Kind,
    check_types,
)
from connector.sandbox.amocrm.wire import (
    Reply,
    Violation,
    from_unix,
    hal,
    missing,
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
    updated,
)
from connector.sandbox.state import EntityType, Note, StoredFile

#: Writable types and the params that each needs.
REQUIRED_PARAMS: dict[str, tuple[str, ...]] = {
    "common": ("text",),
    "call_in": ("uniq", "duration", "source", "phone"),
    "call_out": ("uniq", "duration", "source", "phone"),
    "service_message": ("service", "text"),
    "extended_service_message": ("service", "text"),
    "message_cashier": ("status", "text"),
    "geolocation": ("text", "address", "longitude", "latitude"),
    "sms_in": ("text", "phone"),
    "sms_out": ("text", "phone"),
    "attachment": ("file_uuid", "version_uuid", "file_name"),
    "invoice_paid": ("service", "text", "icon_url"),
}
#: The portal's word for a letter in the timeline.
KINDS_FROM_PORTAL = {"mail": "amomail_message"}

FIELDS: dict[str, Kind] = {
    "entity_id": INT,
    "note_type": STRING,
    "params": OBJECT,
    "created_by": INT,
    "updated_by": INT,
    "responsible_user_id": INT,
    "created_at": UNIX,
    "is_need_to_trigger_digital_pipeline": BOOL,
}


def note_type(note: Note) -> str:
    if note.kind == "common" and note.file_ids:
        return "attachment"
    return KINDS_FROM_PORTAL.get(note.kind, note.kind)


def params(world: World, note: Note) -> dict[str, Any]:
    """Params as read back: an attachment gets the keys that the drive adds."""
    result = {**({"text": note.text} if note.text else {}), **note.params}
    file = world.portal.files.get(note.file_ids[0]) if note.file_ids else None
    if file is not None:
        result = {
            "is_drive_attachment": True,
            "original_name": file.name,
            "file_uuid": file.uuid,
            "version_uuid": file_version(file),
            "file_name": file.name,
            **result,
        }
        result.setdefault("text", file.name)
    return result


def file_version(file: StoredFile) -> str:
    """The version's uuid; a file of the sandbox has one version, so it follows from the file's."""
    return file.uuid[:-4] + ("0001" if not file.uuid.endswith("0001") else "0002")


def model(world: World, collection: str, note: Note, with_: set[str]) -> dict[str, Any]:
    _, updated_by = world.authors.get(("note", note.id), (note.created_by, note.created_by))
    body = {
        "id": note.id,
        "entity_id": note.entity_id,
        "created_by": note.created_by,
        "updated_by": updated_by,
        "created_at": unix(note.created_at),
        "updated_at": unix(note.updated_at),
        "responsible_user_id": world.note_responsible.get(note.id, note.created_by),
        "group_id": 0,
        "note_type": note_type(note),
        "params": params(world, note),
        "account_id": world.account_id,
        "_links": world.link(f"/api/v4/{collection}/{note.entity_id}/notes/{note.id}"),
    }
    if "is_pinned" in with_:
        body["is_pinned"] = note.id in world.pinned_notes
    return body


MAKERS: dict[str, filters.Maker] = {
    "id": filters.number(lambda n: n.id),
    "entity_id": filters.number(lambda n: n.entity_id),
    "note_type": filters.word(note_type),
    "updated_at": filters.moment(lambda n: unix(n.updated_at), scalar_is_since=True),
}


def listing(world: World, call: Call, entity_id: int | None = None, *, collection: str) -> Reply:
    rows = world.found(call, lambda: _search(world, call, ENTITIES[collection], entity_id))
    return page_reply(call, world.base_url, "notes", rows, lambda n: model(world, collection, n, call.with_))


def _search(world: World, call: Call, entity: EntityType, entity_id: int | None) -> list[Note]:
    if entity_id is None:
        rows = [n for n in world.portal.notes.rows() if n.entity == entity]
    else:
        rows = [world.portal.notes[i] for i in world.portal.index.notes.of(entity, entity_id)]
    rows = filters.apply(rows, call.filter, MAKERS)
    return ordered(call, rows, {"id": lambda n: n.id, "updated_at": lambda n: n.updated_at})


def _find(world: World, collection: str, note_id: object, entity_id: int | None) -> Note | None:
    note = world.portal.notes.get(note_id) if isinstance(note_id, int) else None
    if note is None or note.entity != ENTITIES[collection]:
        return None
    return note if entity_id in (None, note.entity_id) else None


def one(world: World, call: Call, note_id: int, entity_id: int | None = None, *, collection: str) -> Reply:
    note = _find(world, collection, note_id, entity_id)
    return no_content() if note is None else hal(model(world, collection, note, call.with_))


def check(world: World, collection: str, item: dict[str, Any], *, is_new: bool) -> list[Violation]:
    found = check_types(item, FIELDS, required=("entity_id", "note_type", "params") if is_new else ())
    if found:
        return found
    if is_new and world.row(collection, item["entity_id"]) is None:
        found.append(not_a_choice("entity_id"))
    kind = item.get("note_type", "common")
    if kind not in REQUIRED_PARAMS:
        return [*found, not_a_choice("note_type")]
    given = item.get("params") if isinstance(item.get("params"), dict) else {}
    if is_new:
        found += [missing(f"params.{key}") for key in REQUIRED_PARAMS[kind] if given.get(key) is None]  # type: ignore[union-attr]
        if kind == "attachment" and _file(world, given) is None:
            found.append(not_a_choice("params.file_uuid"))
    for key in ("created_by", "responsible_user_id"):
        found += world.check_user(item, key)
    return found


def _file(world: World, given: Any) -> StoredFile | None:
    uuid = given.get("file_uuid") if isinstance(given, dict) else None
    return next((f for f in world.portal.files.values() if f.uuid == uuid), None)


def create(world: World, call: Call, collection: str, item: dict[str, Any]) -> Note:
    """Store a checked new note."""
    by, now = author_of(call, item), world.portal.now()
    given = dict(item["params"])
    file = _file(world, given) if item["note_type"] == "attachment" else None
    made = Note(
        id=0,
        entity=ENTITIES[collection],
        entity_id=item["entity_id"],
        kind=item["note_type"],
        text=str(given.pop("text", "") or ""),
        created_by=by,
        created_at=from_unix(item.get("created_at")) or now,
        updated_at=now,
        file_ids=[file.id] if file else [],
        params=given,
    )
    stored: Note = world.portal.add("note", made, by=by)
    if item.get("responsible_user_id"):
        world.note_responsible[stored.id] = item["responsible_user_id"]
    return stored


def add(world: World, call: Call, entity_id: int | None = None, *, collection: str) -> Reply:
    with world.portal.lock:
        batch = call.items()
        if entity_id is not None:
            batch = Batch([{**item, "entity_id": entity_id} for item in batch.items])
        batch.check(lambda item: check(world, collection, item, is_new=True))
        made = [(name, create(world, call, collection, item)) for name, item in batch]
    rows = [
        {
            "id": note.id,
            "entity_id": note.entity_id,
            "request_id": name,
            "_links": world.link(f"/api/v4/{collection}/{note.entity_id}/notes/{note.id}"),
        }
        for name, note in made
    ]
    return hal({"_links": world.link(call.path), "_embedded": {"notes": rows}})


def _patch(world: World, call: Call, note: Note, item: dict[str, Any]) -> Note:
    wanted: dict[str, Any] = {}
    if isinstance(item.get("params"), dict):
        given = {**note.params, **item["params"]}
        wanted["text"] = str(given.pop("text", note.text) or "")
        wanted["params"] = given
    changed: Note = world.portal.update("note", note.id, wanted, by=author_of(call, item, "updated_by"))
    return changed


def _changed(world: World, collection: str, note: Note) -> dict[str, Any]:
    return {
        "id": note.id,
        "entity_id": note.entity_id,
        "updated_at": updated(note),
        "_links": world.link(f"/api/v4/{collection}/{note.entity_id}/notes/{note.id}"),
    }


def patch_many(world: World, call: Call, entity_id: int | None = None, *, collection: str) -> Reply:
    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, {"id": INT}, required=("id",))
        if not found and _find(world, collection, item["id"], entity_id) is None:
            return [unknown_entity("id", "note", item["id"])]
        return found or check(world, collection, item, is_new=False)

    with world.portal.lock:
        batch = call.items().check(rule)
        notes = [_patch(world, call, world.portal.notes[item["id"]], item) for _, item in batch]
    rows = [_changed(world, collection, note) for note in notes]
    return hal({"_links": world.link(call.path), "_embedded": {"notes": rows}})


def patch_one(
    world: World, call: Call, note_id: int, entity_id: int | None = None, *, collection: str
) -> Reply:
    with world.portal.lock:
        note = _find(world, collection, note_id, entity_id)
        if note is None:
            raise not_found("Note not found")
        item = call.item()
        Batch([item]).check(lambda body: check(world, collection, body, is_new=False))
        return hal(_changed(world, collection, _patch(world, call, note, item)))


def pin(world: World, call: Call, note_id: int, *, collection: str, is_pinned: bool) -> Reply:
    with world.portal.lock:
        if _find(world, collection, note_id, None) is None:
            raise not_found("Note not found")
        (world.pinned_notes.add if is_pinned else world.pinned_notes.discard)(note_id)
    return no_content()


CALL_FIELDS: dict[str, Kind] = {
    "direction": STRING,
    "duration": INT,
    "source": STRING,
    "phone": STRING,
    "call_status": INT,
    "created_by": INT,
    "responsible_user_id": INT,
    "created_at": UNIX,
}


def calls(world: World, call: Call) -> Reply:
    """Put each call on the only open lead of the person with that phone, else on the person.

    Unknown numbers are answered as errors of their own, with 200.
    """

    def rule(item: dict[str, Any]) -> list[Violation]:
        found = check_types(item, CALL_FIELDS, required=("direction", "duration", "source", "phone"))
        if not found and item["direction"] not in ("inbound", "outbound"):
            found.append(not_a_choice("direction"))
        return found

    made, errors = [], []
    with world.portal.lock:
        for name, item in call.items().check(rule):
            target = _call_target(world, item["phone"])
            if target is None:
                error = {"status": 263, "title": "Entity not found", "detail": "Entity not found by phone"}
                errors.append({**error, "request_id": name})
                continue
            collection, entity_id = target
            kind = "call_in" if item["direction"] == "inbound" else "call_out"
            keys = ("uniq", "duration", "source", "link", "phone", "call_result", "call_status")
            given = {key: item.get(key) for key in (*keys, "call_responsible")}
            body = {**item, "entity_id": entity_id, "note_type": kind, "params": given}
            made.append((name, collection, create(world, call, collection, body)))
    return hal(
        {
            "_total_items": len(made),
            "errors": errors,
            "_embedded": {"calls": [_call_model(world, *row) for row in made]},
        }
    )


def _call_model(world: World, name: str, collection: str, note: Note) -> dict[str, Any]:
    entity = {"id": note.entity_id, "_links": world.link(f"/api/v4/{collection}/{note.entity_id}")}
    return {
        "id": note.id,
        "entity_id": note.entity_id,
        "entity_type": SINGULAR[collection],
        "account_id": world.account_id,
        "request_id": name,
        "_embedded": {"entity": entity},
    }


def _call_target(world: World, phone: str) -> tuple[str, int] | None:
    digits = re.sub(r"\D", "", phone)[-10:]
    if not digits:
        return None
    for collection in ("contacts", "companies"):
        for row in world.rows(collection).values():
            if any(re.sub(r"\D", "", known).endswith(digits) for known in row.phones):
                active = [i for i in leads_of(world, row) if world.portal.deals[i].closed_at is None]
                return ("leads", active[0]) if len(active) == 1 else (collection, row.id)
    return None


def _routes(collection: str) -> list[Route]:
    path = f"/api/v4/{collection}"
    routes = []
    for prefix in (f"{path}/notes", f"{path}/<int:entity_id>/notes"):
        routes += [
            Route("GET", prefix, partial(listing, collection=collection)),
            Route("POST", prefix, partial(add, collection=collection)),
            Route("PATCH", prefix, partial(patch_many, collection=collection)),
            Route("GET", f"{prefix}/<int:note_id>", partial(one, collection=collection)),
            Route("PATCH", f"{prefix}/<int:note_id>", partial(patch_one, collection=collection)),
        ]
    for verb, is_pinned in (("pin", True), ("unpin", False)):
        handler = partial(pin, collection=collection, is_pinned=is_pinned)
        routes.append(Route("POST", f"{path}/notes/<int:note_id>/{verb}", handler))
    return routes


ROUTES = [
    *(route for collection in ENTITIES for route in _routes(collection)),
    Route("POST", "/api/v4/calls", calls),
]
