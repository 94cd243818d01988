"""All kinds of CRM objects by their `entityTypeId`. Source: reference section 4.1."""

from __future__ import annotations

from typing import Any, Final

from connector.sandbox.bitrix24.clients import COMPANY, CONTACT
from connector.sandbox.bitrix24.deals import DEAL
from connector.sandbox.bitrix24.entities import Entity
from connector.sandbox.bitrix24.leads import LEAD
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.smart import INVOICE, QUOTE
from connector.sandbox.bitrix24.smart_fields import entity_for

#: Kinds with classic methods of their own.
CLASSIC: Final[dict[int, Entity]] = {entity.type_id: entity for entity in (LEAD, DEAL, CONTACT, COMPANY)}
_ALWAYS: Final = {**CLASSIC, QUOTE: entity_for(QUOTE), INVOICE: entity_for(INVOICE)}


def find_entity(site: Site, type_id: int) -> Entity | None:
    """The kind; a smart process only while it exists."""
    if type_id in site.smart.types:
        return entity_for(type_id)
    return _ALWAYS.get(type_id)


def entity_by_code(site: Site, code: str) -> Entity | None:
    """The kind by the name that timelines use: `deal`, `quote`, `dynamic_183`."""
    name = code.strip().lower()
    if name.startswith("dynamic_") and name[8:].isdigit():
        return find_entity(site, int(name[8:]))
    return next((entity for entity in _ALWAYS.values() if entity.code == name), None)


def entity_by_short(site: Site, short: str) -> Entity | None:
    """The kind by its short code: `D`, `SI`, `T80` (hexadecimal)."""
    wanted = short.strip().upper()
    found = next((entity for entity in _ALWAYS.values() if entity.short == wanted), None)
    if found is None and wanted.startswith("T"):
        try:
            return find_entity(site, int(wanted[1:], 16))
        except ValueError:
            return None
    return found


def find_object(site: Site, type_id: int, number: int) -> Any:
    """The object, or None."""
    entity = find_entity(site, type_id)
    return None if entity is None else entity.find(site, number)
