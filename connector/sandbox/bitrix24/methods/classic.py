"""`crm.deal.*`, `crm.contact.*`, `crm.company.*`, `crm.lead.*`: UPPER_SNAKE and strings.

Source: reference section 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from connector.sandbox.bitrix24 import user_fields
from connector.sandbox.bitrix24.call import Call, MethodTable, Page, page_of, selected
from connector.sandbox.bitrix24.deals import DEAL
from connector.sandbox.bitrix24.entities import (
    Entity,
    Field,
    classic_columns,
    classic_value,
    describe_classic,
    parse_value,
)
from connector.sandbox.bitrix24.methods.items import ENTITIES
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, is_yes, not_found

TABLE = MethodTable()


def _found(call: Call, entity: Entity) -> Any:
    number = call.id()
    if number == 0:
        raise RestError(400, "", "ID is not defined or invalid")
    obj = entity.find(call.site, number)
    if obj is None:
        raise not_found()
    return obj


def _values(call: Call, fields: Mapping[str, Field], *, adding: bool) -> dict[str, Any]:
    """Parsed values by name. Unknown and read-only names are left out, on a change immutable ones too."""
    values: dict[str, Any] = {}
    for name, value in call.require_map("fields").items():
        known = fields.get(name)
        if known is None or not known.classic or known.read_only or (known.immutable and not adding):
            continue
        if known.type == "crm_multifield":
            values[name] = [_universal_entry(entry) for entry in as_list(value) if isinstance(entry, Mapping)]
        else:
            values[name] = parse_value(call.site, known, value)
    return values


def _universal_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    names = {"ID": "id", "VALUE": "value", "VALUE_TYPE": "valueType", "DELETE": "delete"}
    return {names[name]: value for name, value in entry.items() if name in names}


def _present(call: Call, fields: Mapping[str, Field], obj: Any, names: set[str] | None) -> dict[str, Any]:
    """The object as an answer; `names` None means all of `get`, where empty multifields are absent."""
    row: dict[str, Any] = {}
    for name, known in fields.items():
        if not known.classic or not _is_shown(known, names):
            continue
        value = known.value(call.site, obj)
        if known.type == "crm_multifield" and not value:
            continue
        row[name] = classic_value(call.site, known, value)
    return row


def _is_shown(known: Field, names: set[str] | None) -> bool:
    """`get` leaves out links to many objects (they have methods of their own), a list what is not named."""
    if names is not None:
        return known.name in names and known.name != "CONTACT_IDS"
    return not known.multiple or known.is_user_field or known.type == "crm_multifield"


def _selection(fields: Mapping[str, Field], wanted: list[str]) -> set[str]:
    """Names to answer with: `*` and `UF_*` leave multiple fields out; those must be named."""
    names = set(wanted) or {"*", "UF_*"}
    result = {"ID", *names}
    for name, known in fields.items():
        if not known.multiple and ("UF_*" if known.is_user_field else "*") in names:
            result.add(name)
    return result


def _add(entity: Entity, call: Call) -> int:
    values = _values(call, entity.fields(call.site), adding=True)
    number: int = entity.save(call.site, None, values, call.user_id).id
    return number


def _get(entity: Entity, call: Call) -> dict[str, Any]:
    return _present(call, entity.fields(call.site), _found(call, entity), None)


def _list(entity: Entity, call: Call) -> Page:
    fields = entity.fields(call.site)
    names = _selection(fields, selected(call))
    return page_of(
        call,
        list(entity.all(call.site)),
        classic_columns(call.site, entity),
        lambda rows: [_present(call, fields, obj, names) for obj in rows],
        ascending_by="ID",
    )


def _update(entity: Entity, call: Call) -> bool:
    """A stage of another pipeline is silently ignored; `crm.item.update` moves between pipelines."""
    obj = _found(call, entity)
    entity.save(call.site, obj, _values(call, entity.fields(call.site), adding=False), call.user_id)
    return True


def _delete(entity: Entity, call: Call) -> bool:
    entity.delete(call.site, _found(call, entity).id, call.user_id)
    return True


def _fields(entity: Entity, call: Call) -> dict[str, Any]:
    return {name: describe_classic(f) for name, f in entity.fields(call.site).items() if f.classic}


def _userfield_list(entity: Entity, call: Call) -> Page:
    rows = [
        user_fields.describe(call.site, f, call.site.number_of("userfield", entity.code, f.name), entity.code)
        for f in user_fields.of(call.site, entity.code)
    ]
    wanted = {str(k).lstrip("="): str(v) for k, v in dict(call.params.get("filter") or {}).items()}
    rows = [row for row in rows if all(str(row.get(name)) == value for name, value in wanted.items())]
    return Page(rows, total=len(rows))


def _userfield_add(entity: Entity, call: Call) -> int:
    call.require_admin()
    wanted = call.require_map("fields")
    code = str(wanted.get("FIELD_NAME", "")).removeprefix("UF_CRM_").upper()
    if not code:
        raise RestError(400, "ERROR_CORE", "The field FIELD_NAME is not filled")
    name = f"UF_CRM_{code}"
    if any(f.name == name for f in user_fields.of(call.site, entity.code)):
        raise RestError(
            400, "ERROR_CORE", f"Field {name} for object CRM_{entity.code.upper()} already exists."
        )
    label = wanted.get("EDIT_FORM_LABEL") or wanted.get("LABEL") or name
    values = [item for item in as_list(wanted.get("LIST")) if isinstance(item, Mapping)]
    call.site.own_user_fields[name] = {
        "ENTITY": entity.code,
        "USER_TYPE_ID": str(wanted.get("USER_TYPE_ID", "string")),
        "MULTIPLE": "Y" if is_yes(wanted.get("MULTIPLE", "N")) else "N",
        "LABEL": str(label.get("ru", name) if isinstance(label, Mapping) else label),
        "LIST": [{"ID": call.site.portal.new_id("enum", 1001), "VALUE": str(v.get("VALUE"))} for v in values],
    }
    return call.site.number_of("userfield", entity.code, name)


_FAMILY = {
    "add": _add,
    "get": _get,
    "list": _list,
    "update": _update,
    "delete": _delete,
    "fields": _fields,
    "userfield.list": _userfield_list,
    "userfield.add": _userfield_add,
}

for _entity in ENTITIES.values():
    for _verb, _handler in _FAMILY.items():
        TABLE.add(f"crm.{_entity.code}.{_verb}", scope="crm")(partial(_handler, _entity))


@TABLE.add("crm.deal.contact.items.get", scope="crm")
def deal_contacts_get(call: Call) -> list[dict[str, Any]]:
    deal = _found(call, DEAL)
    return [
        {
            "CONTACT_ID": contact_id,
            "SORT": (place + 1) * 10,
            "ROLE_ID": 0,
            "IS_PRIMARY": "N" if place else "Y",
        }
        for place, contact_id in enumerate(deal.contact_ids)
    ]


@TABLE.add("crm.deal.contact.items.set", scope="crm")
def deal_contacts_set(call: Call) -> bool:
    """Replace all contacts; the primary one comes first, the rest by SORT."""
    deal = _found(call, DEAL)
    items = [item for item in as_list(call.require("items")) if isinstance(item, Mapping)]
    items.sort(key=lambda item: (not is_yes(item.get("IS_PRIMARY", "N")), int(item.get("SORT") or 0)))
    _set_contacts(call, deal, [int(item["CONTACT_ID"]) for item in items if item.get("CONTACT_ID")])
    return True


@TABLE.add("crm.deal.contact.add", scope="crm")
def deal_contact_add(call: Call) -> bool:
    deal = _found(call, DEAL)
    item = call.require_map("fields")
    contact_id = int(item.get("CONTACT_ID") or 0)
    others = [number for number in deal.contact_ids if number != contact_id]
    is_primary = is_yes(item.get("IS_PRIMARY", "N"))
    _set_contacts(call, deal, [contact_id, *others] if is_primary else [*others, contact_id])
    return True


@TABLE.add("crm.deal.contact.delete", scope="crm")
def deal_contact_delete(call: Call) -> bool:
    deal = _found(call, DEAL)
    contact_id = int(call.require_map("fields").get("CONTACT_ID") or 0)
    _set_contacts(call, deal, [number for number in deal.contact_ids if number != contact_id])
    return True


def _set_contacts(call: Call, deal: Any, contact_ids: list[int]) -> None:
    missing = [number for number in contact_ids if number not in call.site.portal.contacts]
    if missing:
        raise RestError(400, "", f"Contact with ID '{missing[0]}' is not found")
    call.site.portal.update_deal(deal.id, {"contact_ids": contact_ids}, by=call.user_id)
