"""User fields: the reason of a loss, fields made over REST, and those the portal's data brings along.

Values lie in the `fields` of the portal's objects. A key there that is no code («Потребность») is a field
with that label: its code is made from the label and stays the same. Source: reference section 4.9.
"""

from __future__ import annotations

import re
import zlib
from typing import Any, Final

from connector.sandbox.bitrix24.entities import Field
from connector.sandbox.bitrix24.site import Site

LOSS_REASON: Final = "UF_CRM_LOSS_REASON"
LOSS_REASON_LABEL: Final = "Причина отказа"

#: What a field of that type is set to when nobody said otherwise.
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "string": {"SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": ""},
    "enumeration": {"DISPLAY": "LIST", "LIST_HEIGHT": 1, "CAPTION_NO_VALUE": "", "SHOW_NO_VALUE": "Y"},
}

_CODE = re.compile(r"[A-Z][A-Z0-9_]*")


def code_of(site: Site, key: str) -> str:
    """The field's code: the key itself when it is one, else made from the label."""
    if _CODE.fullmatch(key) or ":" in key:
        return key
    code = f"UF_CRM_{1_600_000_000 + zlib.crc32(key.encode()) % 100_000_000}"
    site.user_field_labels[code] = key
    return code


def stored_name(site: Site, code: str) -> str:
    """Under which key a value with that code lies in `fields`."""
    return site.user_field_labels.get(code, code)


def of(site: Site, entity: str) -> list[Field]:
    """All user fields of deals, contacts or companies."""
    found = {LOSS_REASON: loss_reason(site)} if entity == "deal" else {}
    for code, made in site.own_user_fields.items():
        if made["ENTITY"] == entity:
            found[code] = Field(
                code,
                made["USER_TYPE_ID"],
                made["LABEL"],
                multiple=made["MULTIPLE"] == "Y",
                settings=_SETTINGS.get(made["USER_TYPE_ID"], {}),
                items=tuple((item["ID"], item["VALUE"]) for item in made["LIST"]),
            )
    for key in _keys(site, entity):
        code = code_of(site, key)
        if code.startswith("UF_") and code not in found:
            found[code] = Field(
                code, "string", stored_name(site, code), read=_reader(key), settings=_SETTINGS["string"]
            )
    return list(found.values())


def loss_reason(site: Site) -> Field:
    items = tuple(sorted(site.portal.loss_reasons.items()))
    return Field(
        LOSS_REASON,
        "enumeration",
        LOSS_REASON_LABEL,
        attr="loss_reason_id",
        items=items,
        settings=_SETTINGS["enumeration"],
    )


def describe(site: Site, field_: Field, number: int, entity: str) -> dict[str, Any]:
    """A row of `crm.*.userfield.list`."""
    row: dict[str, Any] = {
        "ID": str(number),
        "ENTITY_ID": f"CRM_{entity.upper()}",
        "FIELD_NAME": field_.name,
        "USER_TYPE_ID": field_.type,
        "XML_ID": None,
        "SORT": "100",
        "MULTIPLE": "Y" if field_.multiple else "N",
        "MANDATORY": "N",
        "SHOW_FILTER": "E",
        "SHOW_IN_LIST": "Y",
        "EDIT_IN_LIST": "Y",
        "IS_SEARCHABLE": "N",
        "SETTINGS": dict(field_.settings),
        "EDIT_FORM_LABEL": field_.title,
        "LIST_COLUMN_LABEL": field_.title,
        "LIST_FILTER_LABEL": field_.title,
        "ERROR_MESSAGE": None,
        "HELP_MESSAGE": None,
    }
    if field_.type == "enumeration":
        row["LIST"] = [
            {"ID": str(item), "SORT": str(place * 10), "VALUE": text, "DEF": "N", "XML_ID": f"reason_{item}"}
            for place, (item, text) in enumerate(field_.items, 1)
        ]
    return row


def _reader(key: str) -> Any:
    return lambda site, obj: obj.fields.get(key)


def _keys(site: Site, entity: str) -> list[str]:
    """Keys in use in the objects' `fields`; looked through again only when something changed."""
    tables: dict[str, dict[int, Any]] = {
        "deal": site.portal.deals,
        "contact": site.portal.contacts,
        "company": site.portal.companies,
    }
    with site.portal.lock:
        known = site.user_field_keys.get(entity)
        stamp = (site.portal.revision, len(tables.get(entity, {})))
        if known is None or known[0] != stamp:
            keys = sorted({key for obj in tables.get(entity, {}).values() for key in obj.fields})
            known = site.user_field_keys[entity] = (stamp, keys)
        return known[1]
