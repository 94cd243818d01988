"""What else a timeline has: log messages, notes, pins, further owners of an entry.

Source: reference section 4.10.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of
from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.kinds import entity_by_code, find_entity
from connector.sandbox.bitrix24.methods.timeline import KINDS, owner_code, owner_of, owners_of, timeline_note
from connector.sandbox.bitrix24.params import as_map
from connector.sandbox.bitrix24.wire import RestError, missing_parameter, moment, parse_int
from connector.sandbox.state import Note

TABLE = MethodTable()

_LOG: Final = "log"


def _entry(call: Call, name: str = "id", *, kinds: frozenset[str] | None = None) -> Note:
    note = call.site.portal.notes.get(parse_int(call.params.get(name)) or 0)
    if note is None or (kinds is not None and note.kind not in kinds):
        raise RestError(400, "NOT_FOUND", "Item not found")
    return note


def _owner_by_type(call: Call, given: dict[str, Any]) -> tuple[str, int]:
    """Owner by `entityTypeId` and `entityId`, as the newer methods name it."""
    entity = find_entity(call.site, parse_int(given.get("entityTypeId")) or 0)
    number = parse_int(given.get("entityId")) or 0
    if entity is None or entity.find(call.site, number) is None:
        raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")
    return entity.code, number


@TABLE.add("crm.timeline.logmessage.add", scope="crm", any_case=False)
def log_add(call: Call) -> dict[str, Any]:
    wanted = call.require_map("fields")
    for name in ("title", "text", "iconCode"):
        if not wanted.get(name):
            raise missing_parameter(name)
    note = timeline_note(
        call, _owner_by_type(call, wanted), _LOG, f"{wanted['title']}\n{wanted['text']}", call.user_id, []
    )
    note.params["icon"] = str(wanted["iconCode"])
    return {"logMessage": _log(call, note)}


def _log(call: Call, note: Note) -> dict[str, Any]:
    title, _, text = note.text.partition("\n")
    return {
        "id": note.id,
        "created": moment(note.created_at, call.site.zone),
        "authorId": note.created_by,
        "title": title,
        "text": text,
        "iconCode": note.params.get("icon", ""),
    }


@TABLE.add("crm.timeline.logmessage.get", scope="crm", any_case=False)
def log_get(call: Call) -> dict[str, Any]:
    return {"logMessage": _log(call, _entry(call, kinds=frozenset({_LOG})))}


@TABLE.add("crm.timeline.logmessage.list", scope="crm", any_case=False)
def log_list(call: Call) -> Page:
    code, number = _owner_by_type(call, call.params.as_dict())
    with call.site.portal.lock:
        notes = [n for n in call.site.portal.notes.values() if n.kind == _LOG and n.entity_id == number]
    rows = [_log(call, note) for note in notes if owner_code(note) == code]

    def find(name: str) -> Column:
        return Column("integer" if name == "id" else "string", lambda row: row.get(name))

    columns = Columns(find, strict=False, zone=call.site.zone)
    return page_of(call, rows, columns, lambda page: {"logMessages": page}, ascending_by="id")


@TABLE.add("crm.timeline.logmessage.delete", scope="crm", any_case=False)
def log_delete(call: Call) -> None:
    call.site.portal.delete("note", _entry(call, kinds=frozenset({_LOG})).id, by=call.user_id)


@TABLE.add("crm.timeline.item.pin", scope="crm", any_case=False)
def pin(call: Call) -> bool:
    """At most three entries of one owner are pinned."""
    note = _entry(call)
    owner = _owner_by_type_or_code(call, note)
    same = [n for n in call.site.pinned if (other := call.site.portal.notes.get(n)) and _of(other) == owner]
    if len(same) >= 3 and note.id not in same:
        raise RestError(400, "PIN_LIMIT_EXCEEDED", "Too many pinned items")
    call.site.pinned.add(note.id)
    return True


@TABLE.add("crm.timeline.item.unpin", scope="crm", any_case=False)
def unpin(call: Call) -> bool:
    note = _entry(call)
    _owner_by_type_or_code(call, note)
    call.site.pinned.discard(note.id)
    return True


def _of(note: Note) -> tuple[str, int]:
    return owner_code(note), note.entity_id


def _owner_by_type_or_code(call: Call, note: Note) -> tuple[str, int]:
    given = call.params.as_dict()
    named = {"entityTypeId": given.get("ownerTypeId"), "entityId": given.get("ownerId")}
    if _owner_by_type(call, named) != _of(note):
        raise RestError(400, "OWNER_NOT_FOUND", "Owner was not found")
    return _of(note)


@TABLE.add("crm.timeline.note.save", scope="crm", any_case=False)
def note_save(call: Call) -> dict[str, Any]:
    """The note in the margin of an entry; there is one."""
    key, text = _note_key(call), str(call.require("text"))
    call.site.timeline_notes[key] = (text, call.user_id)
    return {"text": text, "createdById": call.user_id}


@TABLE.add("crm.timeline.note.get", scope="crm", any_case=False)
def note_get(call: Call) -> dict[str, Any]:
    found = call.site.timeline_notes.get(_note_key(call))
    if found is None:
        raise RestError(400, "NOT_FOUND", "Item not found")
    return {"text": found[0], "createdById": found[1]}


@TABLE.add("crm.timeline.note.delete", scope="crm", any_case=False)
def note_delete(call: Call) -> None:
    if call.site.timeline_notes.pop(_note_key(call), None) is None:
        raise RestError(400, "NOT_FOUND", "Item not found")


def _note_key(call: Call) -> tuple[str, int]:
    """`itemType` 1 is an entry of history, 2 an activity."""
    return str(call.require("itemType")), parse_int(call.require("itemId")) or 0


@TABLE.add("crm.timeline.bindings.list", scope="crm", any_case=False)
def bindings_list(call: Call) -> list[dict[str, Any]]:
    number = parse_int(as_map(call.require("filter")).get("OWNER_ID")) or 0
    note = call.site.portal.notes.get(number)
    if note is None:
        raise RestError(400, "NOT_FOUND", "Item not found")
    return [
        {"OWNER_ID": number, "ENTITY_ID": entity_id, "ENTITY_TYPE": code}
        for code, entity_id in owners_of(note)
    ]


def _bound(call: Call) -> tuple[Note, tuple[str, int]]:
    wanted = call.require_map("fields")
    note = call.site.portal.notes.get(parse_int(wanted.get("OWNER_ID")) or 0)
    if note is None or note.kind not in KINDS:
        raise RestError(400, "NOT_FOUND", "Item not found")
    entity = entity_by_code(call.site, str(wanted.get("ENTITY_TYPE") or ""))
    return note, owner_of(call, entity.code if entity else "", wanted.get("ENTITY_ID"))


@TABLE.add("crm.timeline.bindings.bind", scope="crm", any_case=False)
def bind(call: Call) -> bool:
    note, owner = _bound(call)
    if owner in owners_of(note):
        raise RestError(400, "", "The binding already exists")
    note.params["bindings"] = [*note.params.get("bindings", ()), owner]
    call.site.bound_notes.add(note.id)
    return True


@TABLE.add("crm.timeline.bindings.unbind", scope="crm", any_case=False)
def unbind(call: Call) -> bool:
    note, owner = _bound(call)
    extra = [tuple(pair) for pair in note.params.get("bindings", ())]
    if owner not in extra:
        raise RestError(400, "", "The binding does not exist or is the last one")
    note.params["bindings"] = [pair for pair in extra if pair != owner]
    return True
