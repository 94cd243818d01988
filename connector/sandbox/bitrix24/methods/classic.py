"""`crm.deal.*`, `crm.contact.*`, `crm.company.*`, `crm.lead.*`, `crm.quote.*`: UPPER_SNAKE and strings.

Source: reference section 4.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

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
from connector.sandbox.bitrix24.kinds import CLASSIC
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.smart_fields import classic_quote
from connector.sandbox.bitrix24.wire import RestError, is_yes, not_found, parse_int

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


def _selection(fields: Mapping[str, Field], wanted: list[str], default: set[str]) -> set[str]:
    """Names to answer with: `*` and `UF_*` leave multiple fields out; those must be named."""
    names = set(wanted) or default
    result = {"ID", *names}
    for name, known in fields.items():
        if not known.multiple and ("UF_*" if known.is_user_field else "*") in names:
            result.add(name)
    return result


def _add(entity: Entity, call: Call) -> int:
    if entity is LEAD and call.site.switches.simple_crm:
        return _converted_lead(call)
    values = _values(call, entity.fields(call.site), adding=True)
    number: int = entity.save(call.site, None, values, call.user_id).id
    return number


def _converted_lead(call: Call) -> int:
    """Without leads a new one is a deal at once; the id given back finds nothing."""
    fields = call.require_map("fields")
    values = {"TITLE": str(fields.get("TITLE") or "Сделка"), "COMMENTS": fields.get("COMMENTS")}
    DEAL.save(call.site, None, {k: v for k, v in values.items() if v}, call.user_id)
    return call.site.portal.new_id("lead")


def _get(entity: Entity, call: Call) -> dict[str, Any]:
    return _present(call, entity.fields(call.site), _found(call, entity), None)


def _list(entity: Entity, call: Call) -> Page:
    fields = entity.fields(call.site)
    default = {"*"} if call.site.switches.user_fields_must_be_named else {"*", "UF_*"}
    names = _selection(fields, selected(call), default)
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


_FAMILY = {
    "add": _add,
    "get": _get,
    "list": _list,
    "update": _update,
    "delete": _delete,
    "fields": _fields,
}

for _entity in (*CLASSIC.values(), classic_quote()):
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
    items.sort(key=lambda item: (not is_yes(item.get("IS_PRIMARY", "N")), parse_int(item.get("SORT")) or 0))
    _set_contacts(call, deal, [number for item in items if (number := parse_int(item.get("CONTACT_ID")))])
    return True


@TABLE.add("crm.deal.contact.add", scope="crm")
def deal_contact_add(call: Call) -> bool:
    deal = _found(call, DEAL)
    item = call.require_map("fields")
    contact_id = parse_int(item.get("CONTACT_ID")) or 0
    others = [number for number in deal.contact_ids if number != contact_id]
    is_primary = is_yes(item.get("IS_PRIMARY", "N"))
    _set_contacts(call, deal, [contact_id, *others] if is_primary else [*others, contact_id])
    return True


@TABLE.add("crm.deal.contact.delete", scope="crm")
def deal_contact_delete(call: Call) -> bool:
    deal = _found(call, DEAL)
    contact_id = parse_int(call.require_map("fields").get("CONTACT_ID")) or 0
    _set_contacts(call, deal, [number for number in deal.contact_ids if number != contact_id])
    return True


def _set_contacts(call: Call, deal: Any, contact_ids: list[int]) -> None:
    missing = [number for number in contact_ids if number not in call.site.portal.contacts]
    if missing:
        raise RestError(400, "", f"Contact with ID '{missing[0]}' is not found")
    call.site.portal.update_deal(deal.id, {"contact_ids": contact_ids}, by=call.user_id)
