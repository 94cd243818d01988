"""CRM objects as catalogues of fields: one store, two spellings.

Classic methods write UPPER_SNAKE and strings, universal ones camelCase and numbers; both are made here from
the same `Field`s. Knows nothing of calls. Source: reference sections 4.2 to 4.4 and 7.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connector.sandbox.bitrix24.filters import Column, Columns
from connector.sandbox.bitrix24.params import as_list
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import (
    RestError,
    day,
    is_yes,
    moment,
    number,
    parse_day,
    parse_decimal,
    parse_int,
    parse_moment,
)

Read = Callable[[Site, Any], Any]

_INTEGERS = frozenset(
    {
        *("integer", "user", "employee", "enumeration", "crm_category"),
        *("crm_company", "crm_contact", "crm_lead", "crm_deal", "crm_quote", "crm_entity"),
    }
)
_COLUMN_TYPES = {"double": "double", "datetime": "datetime", "date": "date"}
_UF_PREFIX = "UF_CRM_"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object. `read` gives a Python value: int, Decimal, datetime, date, str or a list.

    attr: attribute of the portal's object that a write goes to; without it the value lies in its `fields`.
    classic, universal: whether that family of methods knows the field. zero: a universal link is 0 if empty.
    deprecated, settings: only told in descriptions.
    """

    name: str
    type: str = "string"
    title: str = ""
    camel: str = ""
    attr: str = ""
    read: Read | None = None
    read_only: bool = False
    immutable: bool = False
    multiple: bool = False
    required: bool = False
    status_type: str = ""
    classic: bool = True
    universal: bool = True
    zero: bool = False
    items: tuple[tuple[int, str], ...] = ()
    deprecated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_user_field(self) -> bool:
        return self.name.startswith("UF_")

    @property
    def universal_name(self) -> str:
        return self.camel or camel_name(self.name)

    def value(self, site: Site, obj: Any) -> Any:
        if self.read is not None:
            return self.read(site, obj)
        if self.attr:
            return getattr(obj, self.attr)
        return obj.fields.get(self.name)

    @property
    def column_type(self) -> str:
        return "integer" if self.type in _INTEGERS else _COLUMN_TYPES.get(self.type, "string")


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of CRM object: its numbers, its fields, and how to find, make, change and delete one.

    save(site, obj or None, values, by): `values` are parsed, by classic name; gives the stored object.
    """

    type_id: int
    code: str
    short: str
    fields: Callable[[Site], dict[str, Field]]
    all: Callable[[Site], Iterable[Any]]
    find: Callable[[Site, int], Any]
    save: Callable[[Site, Any, dict[str, Any], int], Any]
    delete: Callable[[Site, int, int], None]


def parent(type_id: int, **more: Any) -> dict[str, Any]:
    """`settings` of a field that links to an object of that type."""
    return {**more, "parentEntityTypeId": type_id}


def nothing(camel: str) -> Field:
    """A universal field that portals of today always answer with null."""
    return Field(camel, camel=camel, read=lambda site, obj: None, read_only=True, classic=False)


def camel_name(name: str) -> str:
    """`STAGE_ID` → `stageId`; user fields by their own rule, with digits apart."""
    if name.startswith(_UF_PREFIX):
        return _camel_user_field(name[len(_UF_PREFIX) :])
    head, *tail = name.lower().split("_")
    return head + "".join(part.capitalize() for part in tail)


def _camel_user_field(rest: str) -> str:
    parts = rest.split("_")
    if any(re.search(r"\d", part) and re.search(r"\D", part) for part in parts):
        return f"ufCrm_{rest}"
    result = "ufCrm"
    for place, part in enumerate(parts):
        if not part.isdigit():
            result += part.capitalize()
        else:
            result += part if place == 0 and len(parts) > 1 else f"_{part}"
    return result


def classic_columns(site: Site, entity: Entity) -> Columns:
    """Columns under the classic names; a filter on any other name is ignored."""
    fields = entity.fields(site)

    def find(name: str) -> Column | None:
        found = fields.get(name)
        return _column(site, found) if found and found.classic else None

    return Columns(find, strict=False, zone=site.zone)


def universal_columns(site: Site, entity: Entity, *, original_user_fields: bool) -> Columns:
    """Columns under the camelCase names; the original ones pass too, any other name is an error.

    Source for the original names: fast_bitrix24 orders every list by `ID`, `crm.item.list` included.
    """
    fields = universal_fields(site, entity, original_user_fields=original_user_fields)
    originals = {f.name: f for f in fields.values()}

    def find(name: str) -> Column | None:
        found = fields.get(name) or originals.get(name)
        return _column(site, found) if found else None

    return Columns(find, strict=True, zone=site.zone)


def universal_fields(site: Site, entity: Entity, *, original_user_fields: bool) -> dict[str, Field]:
    """Fields by the name under which the universal methods know them."""
    return {
        f.name if f.is_user_field and original_user_fields else f.universal_name: f
        for f in entity.fields(site).values()
        if f.universal
    }


def _column(site: Site, field_: Field) -> Column:
    if field_.type == "crm_multifield":
        return Column("string", lambda obj: [item["value"] for item in field_.value(site, obj)])
    return Column(field_.column_type, lambda obj: field_.value(site, obj))


def classic_value(site: Site, field_: Field, value: Any) -> Any:
    """What a classic method writes: everything a string, empty user fields an empty one."""
    if field_.type == "crm_multifield":
        return [
            {"ID": str(v["id"]), "VALUE_TYPE": v["valueType"], "VALUE": v["value"], "TYPE_ID": v["typeId"]}
            for v in value
        ]
    if isinstance(value, list):
        return [classic_value(site, field_, item) for item in value]
    if value is None:
        return [] if field_.multiple else "" if field_.is_user_field else None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return f"{value:.2f}" if not field_.is_user_field else str(number(value))
    if isinstance(value, datetime):
        return moment(value, site.zone)
    if isinstance(value, date):
        return day(value, site.zone)
    return str(value)


def universal_value(site: Site, field_: Field, value: Any) -> Any:
    """What a universal method writes: numbers stay numbers."""
    if isinstance(value, list):
        return [universal_value(site, field_, item) for item in value]
    if value is None:
        return [] if field_.multiple else 0 if field_.zero else None
    if isinstance(value, bool):
        return "Y" if value else "N"
    if isinstance(value, datetime):
        return moment(value, site.zone)
    if isinstance(value, date):
        return day(value, site.zone)
    return value


def parse_value(site: Site, field_: Field, value: Any) -> Any:
    """What a client wrote, as a Python value; empty is None. A scalar for a multiple field is an error."""
    if field_.multiple:
        if value is not None and value != "" and not isinstance(value, list | dict | tuple):
            kind = type(value).__name__
            raise RestError(400, "100", f"Expected iterable value for multiple field, but got {kind} instead")
        return [v for v in (_parse_scalar(site, field_, item) for item in as_list(value)) if v is not None]
    return _parse_scalar(site, field_, value)


def _parse_scalar(site: Site, field_: Field, value: Any) -> Any:
    if value is None or value == "" or (value is False and field_.type != "boolean"):
        return None if field_.type != "char" else "N"
    parse: dict[str, Callable[[Any], Any]] = {
        "double": parse_decimal,
        "datetime": lambda v: parse_moment(v, site.zone),
        "date": parse_day,
        "char": lambda v: "Y" if is_yes(v) else "N",
        "boolean": is_yes,
    }
    if field_.type in _INTEGERS:
        parsed = parse_int(value)
        return parsed if parsed or field_.type == "crm_category" else None
    return parse.get(field_.type, str)(value)


def describe_classic(field_: Field) -> dict[str, Any]:
    """The entry of a field in `crm.*.fields`."""
    entry = _describe(field_)
    if field_.is_user_field:
        label = field_.title
        entry |= {"title": field_.name, "listLabel": label, "formLabel": label, "filterLabel": label}
    return entry


def describe_universal(field_: Field) -> dict[str, Any]:
    """The entry of a field in `crm.item.fields`."""
    universal_type = {"char": "boolean"}.get(field_.type, field_.type)
    return {**_describe(field_), "type": universal_type, "upperName": field_.name}


def _describe(field_: Field) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "type": field_.type,
        "isRequired": field_.required,
        "isReadOnly": field_.read_only,
        "isImmutable": field_.immutable,
        "isMultiple": field_.multiple,
        "isDynamic": field_.is_user_field,
        "title": field_.title or field_.name,
    }
    if field_.status_type:
        entry["statusType"] = field_.status_type
    if field_.deprecated:
        entry["isDeprecated"] = True
    if field_.settings:
        entry["settings"] = dict(field_.settings)
    if field_.items:
        entry["items"] = [{"ID": str(number_), "VALUE": text} for number_, text in field_.items]
    return entry


def read_multifield(entity_code: str, type_: str) -> Read:
    """Reader of PHONE, EMAIL …: entries with ids that stay the same for the same value."""

    def read(site: Site, obj: Any) -> list[dict[str, Any]]:
        values = _values_of(obj, type_)
        seen: dict[str, int] = {}
        entries = []
        for value in values:
            seen[value] = seen.get(value, 0) + 1
            key = (entity_code, obj.id, type_, value, seen[value])
            entry_id = site.number_of("multifield", *key, start=101)
            kind = obj.fields.get(_value_type_key(type_, value), "WORK")
            entries.append({"id": entry_id, "valueType": kind, "value": value, "typeId": type_})
        return entries

    return read


def _values_of(obj: Any, type_: str) -> list[str]:
    attr = {"PHONE": "phones", "EMAIL": "emails"}.get(type_)
    if attr and hasattr(obj, attr):
        return list(getattr(obj, attr))
    return list(obj.fields.get(f"{type_}_VALUES", []))


def _value_type_key(type_: str, value: str) -> str:
    return f"{type_}_TYPE:{value}"


def apply_multifield(
    current: list[dict[str, Any]], entries: Any, type_: str
) -> tuple[list[str], dict[str, str]]:
    """New values and their types after a write of `entries` (already in universal spelling, keys as sent).

    An entry without an id adds; with one it changes; an empty value or DELETE removes.
    """
    kept = {entry["id"]: (entry["value"], entry["valueType"]) for entry in current}
    added: list[tuple[str, str]] = []
    for entry in entries:
        entry_id = parse_int(entry.get("id")) or 0
        value = str(entry.get("value") or "")
        kind = str(entry.get("valueType") or "")
        if entry_id in kept:
            if is_yes(entry.get("delete")) or not value:
                del kept[entry_id]
            else:
                kept[entry_id] = (value, kind or kept[entry_id][1])
        elif value:
            added.append((value, kind or "WORK"))
    pairs = [*kept.values(), *added]
    return [value for value, _ in pairs], {_value_type_key(type_, value): kind for value, kind in pairs}
