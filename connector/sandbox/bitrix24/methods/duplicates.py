"""`crm.duplicate.*`, `crm.entity.mergeBatch`: who has this phone, and two cards made one.

Source: reference sections 4.3 and 4.21.
"""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.call import PAGE_SIZE, Call, MethodTable
from connector.sandbox.bitrix24.entities import Entity
from connector.sandbox.bitrix24.kinds import CLASSIC
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, parse_int

TABLE = MethodTable()


@TABLE.add("crm.duplicate.findbycomm", scope="crm")
def duplicate_find(call: Call) -> dict[str, list[int]]:
    """Ids by kind of object that have one of the phones or e-mails; at most 20 values."""
    type_ = str(call.require("type")).upper()
    if type_ not in {"PHONE", "EMAIL"}:
        raise RestError(400, "", "Communication type is not defined or not supported")
    values = call.params.get("values")
    wanted = {normal(type_, value) for value in (values if isinstance(values, list) else [values]) if value}
    if len(wanted) > 20:
        raise RestError(400, "", "Too many values, the limit is 20")
    only = str(call.params.get("entity_type") or "").upper()
    found: dict[str, list[int]] = {}
    for entity in CLASSIC.values():
        field_ = entity.fields(call.site).get(type_)
        if field_ is None or (only and entity.code.upper() != only):
            continue
        ids = [
            obj.id
            for obj in entity.all(call.site)
            if wanted & {normal(type_, entry["value"]) for entry in field_.value(call.site, obj)}
        ]
        if ids:
            found[entity.code.upper()] = ids[:PAGE_SIZE]
    return found


def normal(type_: str, value: Any) -> str:
    text = str(value).strip().lower()
    if type_ == "EMAIL":
        return text
    digits = "".join(char for char in text if char.isdigit())
    return "7" + digits[1:] if len(digits) == 11 and digits[0] == "8" else digits


@TABLE.add("crm.entity.mergebatch", scope="crm")
def merge_batch(call: Call) -> dict[str, Any]:
    """The first object takes over what it lacks from the others, which are deleted.

    Two different values of one field are a CONFLICT: then nothing is merged.
    """
    params = call.require_map("params")
    entity = CLASSIC.get(parse_int(params.get("entityTypeId")) or 0)
    ids = [number for number in map(parse_int, as_list(params.get("entityIds"))) if number]
    if entity is None or len(ids) < 2:
        raise RestError(400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type is not supported")
    objects = [entity.find(call.site, number) for number in ids]
    if any(obj is None for obj in objects):
        return {"STATUS": "ERROR", "ENTITY_IDS": []}
    values, is_clear = _merged(call, entity, objects)
    if not is_clear:
        return {"STATUS": "CONFLICT", "ENTITY_IDS": []}
    entity.save(call.site, objects[0], values, call.user_id)
    for obj in objects[1:]:
        _drop(call, entity, obj.id)
    return {"STATUS": "SUCCESS", "ENTITY_IDS": ids[1:]}


_COMPARED: Final = ("string", "double", "date", "crm_status", "crm_company")
_FREE: Final = frozenset({"TITLE", "SOURCE_DESCRIPTION", "COMMENTS", "STAGE_ID", "STATUS_ID"})


def _merged(call: Call, entity: Entity, objects: list[Any]) -> tuple[dict[str, Any], bool]:
    """What the first object gets, and whether no field stood in the way."""
    values: dict[str, Any] = {}
    for name, known in entity.fields(call.site).items():
        if known.read_only or not known.classic:
            continue
        found = [known.value(call.site, obj) for obj in objects]
        if known.type == "crm_multifield":
            have = {entry["value"] for entry in found[0]}
            more = [entry for other in found[1:] for entry in other if entry["value"] not in have]
            if more:
                values[name] = [{"value": e["value"], "valueType": e["valueType"]} for e in more]
            continue
        filled = [value for value in found if value not in (None, "", [], 0)]
        if filled and found[0] in (None, "", [], 0):
            values[name] = filled[0]
        if known.type in _COMPARED and name not in _FREE and len({str(value) for value in filled}) > 1:
            return {}, False
    return values, True


def _drop(call: Call, entity: Entity, number: int) -> None:
    with call.site.events.silent(not call.site.switches.merged_raise_delete):
        entity.delete(call.site, number, call.user_id)


@TABLE.add("crm.duplicate.volatiletype.list", scope="crm")
def volatile_list(call: Call) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in call.site.volatile_types.items()]


@TABLE.add("crm.duplicate.volatiletype.register", scope="crm")
def volatile_register(call: Call) -> dict[str, int]:
    """A field of one's own as a sign of duplicates; seven at most."""
    call.require_admin()
    row = {
        "entityTypeId": parse_int(call.require("entityTypeId")) or 0,
        "fieldCode": str(call.require("fieldCode")),
    }
    known = call.site.volatile_types
    for number, found in known.items():
        if found == row:
            return {"id": number}
    if len(known) >= 7:
        raise RestError(400, "MAX_TYPES_COUNT_EXCEEDED", "Too many types")
    number = call.site.portal.new_id("volatile_type")
    known[number] = row
    return {"id": number}


@TABLE.add("crm.duplicate.volatiletype.unregister", scope="crm")
def volatile_unregister(call: Call) -> None:
    call.require_admin()
    call.site.volatile_types.pop(call.id(), None)
