"""Addresses of requisites and the links of requisites to deals. Source: reference section 4.8."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from connector.sandbox.bitrix24.call import Call, MethodTable, Page, ids_in_filter
from connector.sandbox.bitrix24.methods.requisites import (
    COMPANY_TYPE,
    REQUISITE_TYPE,
    companies_with,
    company_by_id,
    listed,
)
from connector.sandbox.bitrix24.wire import classic_error, not_found, parse_int
from connector.sandbox.state import Company

TABLE = MethodTable()

_LEGAL_ADDRESS: Final = 6


def _address(call: Call, company: Company) -> dict[str, Any]:
    held = company.requisites
    assert held is not None
    extras = call.site.requisite_extras.get(held.id, {}).get("ADDRESS", {})
    names = (
        "ADDRESS_2",
        "CITY",
        "POSTAL_CODE",
        "REGION",
        "PROVINCE",
        "COUNTRY",
        "COUNTRY_CODE",
        "LOC_ADDR_ID",
    )
    return {
        "TYPE_ID": str(_LEGAL_ADDRESS),
        "ENTITY_TYPE_ID": str(REQUISITE_TYPE),
        "ENTITY_ID": str(held.id),
        "ADDRESS_1": held.address,
        **{name: extras.get(name) for name in names},
        "ANCHOR_TYPE_ID": str(COMPANY_TYPE),
        "ANCHOR_ID": str(company.id),
    }


@TABLE.add("crm.address.list", scope="crm")
def address_list(call: Call) -> Page:
    owners = ids_in_filter(call, "ENTITY_ID")
    found = companies_with(call, lambda held: bool(held.address) and (owners is None or held.id in owners))
    rows = [_address(call, company) for company in found]
    return listed(call, rows, key="ENTITY_ID")


def _addressed(call: Call) -> tuple[Company, dict[str, Any]]:
    wanted = call.require_map("fields")
    if parse_int(wanted.get("ENTITY_TYPE_ID")) != REQUISITE_TYPE:
        raise classic_error("ENTITY_TYPE_ID is not defined or invalid.")
    return company_by_id(call, parse_int(wanted.get("ENTITY_ID")) or 0), wanted


@TABLE.add("crm.address.add", scope="crm")
def address_add(call: Call) -> bool:
    company, wanted = _addressed(call)
    if company.requisites and company.requisites.address:
        raise classic_error("TypeAddress exists")
    _set_address(call, company, wanted)
    return True


@TABLE.add("crm.address.update", scope="crm")
def address_update(call: Call) -> bool:
    company, wanted = _addressed(call)
    _set_address(call, company, wanted)
    return True


@TABLE.add("crm.address.delete", scope="crm")
def address_delete(call: Call) -> bool:
    company, _ = _addressed(call)
    _set_address(call, company, {})
    return True


def _set_address(call: Call, company: Company, wanted: dict[str, Any]) -> None:
    held = company.requisites
    assert held is not None
    call.site.requisite_extras.setdefault(held.id, {})["ADDRESS"] = wanted
    changed = replace(held, address=str(wanted.get("ADDRESS_1") or ""))
    call.site.portal.update("company", company.id, {"requisites": changed}, by=call.user_id)


_LINK_FIELDS: Final = ("REQUISITE_ID", "BANK_DETAIL_ID", "MC_REQUISITE_ID", "MC_BANK_DETAIL_ID")


@TABLE.add("crm.requisite.link.register", scope="crm")
def link_register(call: Call) -> bool:
    """Bind requisites to a deal; they must belong to the deal's company."""
    wanted = call.require_map("fields")
    type_id, entity_id = parse_int(wanted.get("ENTITY_TYPE_ID")) or 0, parse_int(wanted.get("ENTITY_ID")) or 0
    link = {name: parse_int(wanted.get(name)) or 0 for name in _LINK_FIELDS}
    if type_id == 2 and link["REQUISITE_ID"]:
        deal = call.site.portal.deals.get(entity_id)
        if deal is None or deal.is_deleted:
            raise not_found()
        owner = company_by_id(call, link["REQUISITE_ID"])
        if owner.id != deal.company_id:
            raise classic_error(
                f"The Requisite with ID '{link['REQUISITE_ID']}' is not assigned "
                f"to Company with ID '{deal.company_id or 0}'"
            )
    call.site.requisite_links[type_id, entity_id] = link
    return True


@TABLE.add("crm.requisite.link.list", scope="crm")
def link_list(call: Call) -> Page:
    rows = [_link(key, link) for key, link in sorted(call.site.requisite_links.items())]
    return listed(call, rows, key="ENTITY_ID")


@TABLE.add("crm.requisite.link.get", scope="crm")
def link_get(call: Call) -> dict[str, str]:
    key = _link_key(call)
    if key not in call.site.requisite_links:
        raise not_found()
    return _link(key, call.site.requisite_links[key])


@TABLE.add("crm.requisite.link.unregister", scope="crm")
def link_unregister(call: Call) -> bool:
    return call.site.requisite_links.pop(_link_key(call), None) is not None


def _link_key(call: Call) -> tuple[int, int]:
    return parse_int(call.params.get("entityTypeId")) or 0, parse_int(call.params.get("entityId")) or 0


def _link(key: tuple[int, int], link: dict[str, int]) -> dict[str, str]:
    row = {"ENTITY_TYPE_ID": str(key[0]), "ENTITY_ID": str(key[1])}
    return row | {name: str(link[name]) for name in _LINK_FIELDS}
