"""Links between contacts and leads, companies, quotes: the twins of `crm.deal.contact.*`.

Source: reference section 4.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from connector.sandbox.bitrix24.call import Call, MethodTable
from connector.sandbox.bitrix24.clients import COMPANY, CONTACT
from connector.sandbox.bitrix24.entities import Entity
from connector.sandbox.bitrix24.kinds import entity_by_code
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.wire import RestError, is_yes, not_found, parse_int

TABLE = MethodTable()


def _owner(call: Call, entity: Entity) -> Any:
    owner = entity.find(call.site, call.id())
    if owner is None:
        raise not_found()
    return owner


def _rows(ids: list[int], name: str) -> list[dict[str, Any]]:
    return [
        {name: number, "SORT": (place + 1) * 10, "ROLE_ID": 0, "IS_PRIMARY": "N" if place else "Y"}
        for place, number in enumerate(ids)
    ]


def _wanted(call: Call, name: str) -> list[int]:
    """Ids of `items`; the primary one first, the rest by SORT."""
    items = [item for item in as_list(call.require("items")) if isinstance(item, Mapping)]
    items.sort(
        key=lambda item: (not is_yes(item.get("IS_PRIMARY", "N")), parse_int(item.get("SORT", 0)) or 0)
    )
    return [number for item in items if (number := parse_int(item.get(name)))]


def _check_contacts(call: Call, ids: list[int]) -> None:
    missing = [number for number in ids if number not in call.site.portal.contacts]
    if missing:
        raise RestError(400, "", f"Contact with ID '{missing[0]}' is not found")


def _ids_of(call: Call, entity: Entity, owner: Any) -> list[int]:
    """Contacts of a lead or a quote, the primary one first."""
    found = owner.fields.get("CONTACT_IDS") or []
    first = owner.fields.get("CONTACT_ID")
    return [first, *(n for n in found if n != first)] if first else list(found)


def _save(call: Call, entity: Entity, owner: Any, ids: list[int]) -> None:
    _check_contacts(call, ids)
    values = {"CONTACT_IDS": ids, "CONTACT_ID": ids[0] if ids else None}
    entity.save(call.site, owner, values, call.user_id)


def _get(code: str, call: Call) -> list[dict[str, Any]]:
    entity = _entity(call, code)
    return _rows(_ids_of(call, entity, _owner(call, entity)), "CONTACT_ID")


def _set(code: str, call: Call) -> bool:
    entity = _entity(call, code)
    _save(call, entity, _owner(call, entity), _wanted(call, "CONTACT_ID"))
    return True


def _add(code: str, call: Call) -> bool:
    entity = _entity(call, code)
    owner, item = _owner(call, entity), call.require_map("fields")
    number = parse_int(item.get("CONTACT_ID")) or 0
    others = [n for n in _ids_of(call, entity, owner) if n != number]
    ids = [number, *others] if is_yes(item.get("IS_PRIMARY", "N")) else [*others, number]
    _save(call, entity, owner, ids)
    return True


def _delete(code: str, call: Call) -> bool:
    entity = _entity(call, code)
    owner = _owner(call, entity)
    number = parse_int(call.require_map("fields").get("CONTACT_ID"))
    _save(call, entity, owner, [n for n in _ids_of(call, entity, owner) if n != number])
    return True


def _entity(call: Call, code: str) -> Entity:
    found = entity_by_code(call.site, code)
    assert found is not None
    return found


for _code in (LEAD.code, "quote"):
    TABLE.add(f"crm.{_code}.contact.items.get", scope="crm")(partial(_get, _code))
    TABLE.add(f"crm.{_code}.contact.items.set", scope="crm")(partial(_set, _code))
    TABLE.add(f"crm.{_code}.contact.add", scope="crm")(partial(_add, _code))
    TABLE.add(f"crm.{_code}.contact.delete", scope="crm")(partial(_delete, _code))


@TABLE.add("crm.company.contact.items.get", scope="crm")
def company_contacts(call: Call) -> list[dict[str, Any]]:
    company = _owner(call, COMPANY)
    return _rows(
        [c.id for c in call.site.portal.contacts.values() if c.company_id == company.id], "CONTACT_ID"
    )


@TABLE.add("crm.company.contact.items.set", scope="crm")
def company_contacts_set(call: Call) -> bool:
    """A contact of this portal belongs to one company: those named move here, the others leave it."""
    company, wanted = _owner(call, COMPANY), _wanted(call, "CONTACT_ID")
    _check_contacts(call, wanted)
    for contact in list(call.site.portal.contacts.values()):
        if contact.id in wanted or contact.company_id == company.id:
            target = company.id if contact.id in wanted else None
            call.site.portal.update("contact", contact.id, {"company_id": target}, by=call.user_id)
    return True


@TABLE.add("crm.company.contact.add", scope="crm")
def company_contact_add(call: Call) -> bool:
    company = _owner(call, COMPANY)
    number = parse_int(call.require_map("fields").get("CONTACT_ID")) or 0
    _check_contacts(call, [number])
    call.site.portal.update("contact", number, {"company_id": company.id}, by=call.user_id)
    return True


@TABLE.add("crm.company.contact.delete", scope="crm")
def company_contact_delete(call: Call) -> bool:
    company = _owner(call, COMPANY)
    number = parse_int(call.require_map("fields").get("CONTACT_ID")) or 0
    _check_contacts(call, [number])
    if call.site.portal.contacts[number].company_id == company.id:
        call.site.portal.update("contact", number, {"company_id": None}, by=call.user_id)
    return True


@TABLE.add("crm.contact.company.items.get", scope="crm")
def contact_companies(call: Call) -> list[dict[str, Any]]:
    contact = _owner(call, CONTACT)
    return _rows([contact.company_id] if contact.company_id else [], "COMPANY_ID")


@TABLE.add("crm.contact.company.items.set", scope="crm")
def contact_companies_set(call: Call) -> bool:
    contact, wanted = _owner(call, CONTACT), _wanted(call, "COMPANY_ID")
    missing = [number for number in wanted if number not in call.site.portal.companies]
    if missing:
        raise RestError(400, "", f"Company with ID '{missing[0]}' is not found")
    target = wanted[0] if wanted else None
    call.site.portal.update("contact", contact.id, {"company_id": target}, by=call.user_id)
    return True
