"""Custom fields of an account: which there are, and where in the portal each one's value lives.

A value lives in the portal's own attribute (phones, channel, requisites) or in `fields` under the field's
name. Knows no JSON shape: `field_values.py` reads and writes those. Source: reference 4.5, 4.6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connector.sandbox.state import Portal, Requisites
from connector.sandbox.table import Table

#: Tags of contacts and companies are kept in `fields` under this name; deals have an attribute.
TAGS_KEY = "Теги"

ENUM_TYPES = frozenset({"select", "multiselect", "radiobutton", "category", "multitext"})
STRUCTURED_TYPES = frozenset(
    {"legal_entity", "items", "linked_entity", "file", "payer", "supplier", "chained_list"}
)
FIELD_TYPES = frozenset(
    {"text", "textarea", "streetaddress", "tracking_data", "url", "numeric", "price", "monetary", "checkbox"}
    | {"date", "birthday", "date_time", "smart_address"}
    | ENUM_TYPES
    | STRUCTURED_TYPES
)
PHONE_ENUMS = ("WORK", "WORKDD", "MOB", "FAX", "HOME", "OTHER")
EMAIL_ENUMS = ("WORK", "PRIV", "OTHER")
UTM_MARKS = ("source", "medium", "campaign", "content", "term")
VAT_CHOICES = ("Без НДС", "0%", "5%", "7%", "10%", "18%", "20%", "22%")

#: Current values of a field in an entity, and the changes that put new ones there.
Getter = Callable[[Any], list[Any]]
Setter = Callable[[Any, list[Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Enum:
    id: int
    value: str
    sort: int
    code: str | None = None


@dataclass(slots=True)
class Field:
    """One custom field of one entity type («leads», «contacts», «companies», «catalogs/1»)."""

    id: int
    entity: str
    name: str
    type: str
    code: str | None
    sort: int
    enums: list[Enum] = field(default_factory=list)
    is_predefined: bool = False
    is_api_only: bool = False
    get: Getter = field(default=lambda _: [], repr=False)
    set: Setter = field(default=lambda _, __: {}, repr=False)

    def enum_by_id(self, enum_id: object) -> Enum | None:
        return next((e for e in self.enums if e.id == enum_id), None)

    def enum_by_value(self, value: object) -> Enum | None:
        return next((e for e in self.enums if e.value == value), None)

    def enum_by_code(self, code: object) -> Enum | None:
        return next((e for e in self.enums if code is not None and e.code == code), None)


class FieldBook:
    """All custom fields of the account. Methods that may make a field take the portal's lock."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._fields: dict[str, dict[int, Field]] = {}
        #: Which kind of phone or e-mail a value is; the portal keeps bare strings. Absent: WORK.
        self.multitext_kinds: dict[tuple[str, str], str] = {}
        self._define_predefined()

    def of(self, entity: str, *rows: Any) -> list[Field]:
        """The fields of `entity` by sort: all of them, or (quicker) those that `rows` may have filled."""
        with self._portal.lock:
            self._refresh_channels()
            self._meet_names(entity, rows or self._rows(entity))
            return sorted(self._fields.get(entity, {}).values(), key=lambda f: (f.sort, f.id))

    def get(self, entity: str, field_id: object) -> Field | None:
        if not isinstance(field_id, int):
            return None
        known = self._fields.get(entity, {}).get(field_id)
        return known or next((f for f in self.of(entity) if f.id == field_id), None)

    def by_code(self, entity: str, code: object) -> Field | None:
        """The field with that code; fields with codes are never met by chance, so nothing is searched."""
        with self._portal.lock:
            self._refresh_channels()
            return next((f for f in self._fields.get(entity, {}).values() if code and f.code == code), None)

    def find(self, entity: str, item: Mapping[str, Any]) -> Field | None:
        """The field that a written value names by `field_id` or `field_code`."""
        if item.get("field_id") is not None:
            return self.get(entity, item["field_id"])
        return self.by_code(entity, item.get("field_code"))

    def add(
        self,
        entity: str,
        name: str,
        type: str,
        *,
        code: str | None = None,
        enums: Sequence[str] = (),
        enum_codes: bool = False,
        sort: int | None = None,
        getter: Getter | None = None,
        setter: Setter | None = None,
        is_predefined: bool = False,
    ) -> Field:
        """A new field; without getter and setter its value lives in the entity's `fields`."""
        with self._portal.lock:
            table = self._fields.setdefault(entity, {})
            made = Field(
                id=self._portal.new_id("amocrm_field", 700_001),
                entity=entity,
                name=name,
                type=type,
                code=code,
                sort=sort if sort is not None else 500 + len(table),
                enums=[
                    Enum(self.new_enum_id(), text, (index + 1) * 2, text if enum_codes else None)
                    for index, text in enumerate(enums)
                ],
                is_predefined=is_predefined,
                get=getter or _stored_getter(name),
                set=setter or _stored_setter(name),
            )
            table[made.id] = made
            return made

    def rename(self, found: Field, name: str) -> None:
        """Give a field another name; values kept under the old one follow."""
        with self._portal.lock:
            old, found.name = found.name, name
            if found.is_predefined or old == name:
                return
            found.get, found.set = _stored_getter(name), _stored_setter(name)
            for row in self._rows(found.entity):
                if old in row.fields:
                    row.fields[name] = row.fields.pop(old)
                    self._tables()[found.entity].touch(row.id)

    def remove(self, found: Field) -> None:
        with self._portal.lock:
            del self._fields[found.entity][found.id]
            for row in self._rows(found.entity):
                if row.fields.pop(found.name, None) is not None:
                    self._tables()[found.entity].touch(row.id)

    def kept_state(self) -> dict[str, Any]:
        """For a journal: the definitions without the functions that read and write their values."""
        names = [item.name for item in dataclass_fields(Field) if item.name not in ("get", "set")]
        rows = [
            {name: getattr(found, name) for name in names}
            for table in self._fields.values()
            for found in table.values()
        ]
        return {"fields": rows, "multitext_kinds": self.multitext_kinds}

    def put_back(self, state: dict[str, Any]) -> None:
        """What `kept_state` gave. The functions of predefined fields are those of this book's own ones."""
        own = {(f.entity, f.name): f for table in self._fields.values() for f in table.values()}
        self.multitext_kinds = state["multitext_kinds"]
        self._fields = {}
        for row in state["fields"]:
            known = own.get((row["entity"], row["name"])) if row["is_predefined"] else None
            get = known.get if known else _stored_getter(row["name"])
            put = known.set if known else _stored_setter(row["name"])
            self._fields.setdefault(row["entity"], {})[row["id"]] = Field(**row, get=get, set=put)

    def new_enum_id(self) -> int:
        return self._portal.new_id("amocrm_enum", 900_001)

    def _rows(self, entity: str) -> list[Any]:
        return list(self._tables().get(entity, {}).values())

    def _tables(self) -> dict[str, Table[Any]]:
        return {
            "leads": self._portal.deals,
            "contacts": self._portal.contacts,
            "companies": self._portal.companies,
        }

    def _refresh_channels(self) -> None:
        table = self._fields["leads"]
        source = next(f for f in table.values() if f.code == "SOURCE")
        for text in self._portal.channels.values():
            if source.enum_by_value(text) is None:
                source.enums.append(Enum(self.new_enum_id(), text, (len(source.enums) + 1) * 2))

    def _meet_names(self, entity: str, rows: Iterable[Any]) -> None:
        """Fields that the history or the board filled get a definition when they are first seen."""
        known = {f.name for f in self._fields.get(entity, {}).values()} | {TAGS_KEY}
        for row in rows:
            for name in row.fields.keys() - known:
                known.add(name)
                value = row.fields[name]
                choices = value if isinstance(value, list) else ()
                self.add(entity, name, _type_of(value), enums=[str(choice) for choice in choices])

    def _define_predefined(self) -> None:
        lead = self._portal.channels
        self.add(
            "leads",
            "Источник",
            "select",
            code="SOURCE",
            sort=1,
            getter=lambda deal: [lead.get(deal.channel, deal.channel)] if deal.channel else [],
            setter=lambda _, values: {"channel": _channel_code(lead, values)},
            is_predefined=True,
        )
        for mark in UTM_MARKS:
            name = f"utm_{mark}"
            self.add(
                "leads",
                name,
                "tracking_data",
                code=name.upper(),
                getter=lambda deal, mark=mark: [deal.utm[mark]] if deal.utm.get(mark) else [],  # type: ignore[misc]
                setter=lambda deal, values, mark=mark: {"utm": _with(deal.utm if deal else {}, mark, values)},  # type: ignore[misc]
                is_predefined=True,
            )
        for entity in ("contacts", "companies"):
            self._define_multitext(entity)
        self.add(
            "contacts",
            "Должность",
            "text",
            code="POSITION",
            sort=2,
            getter=lambda contact: [contact.post] if contact.post else [],
            setter=lambda _, values: {"post": str(values[0]) if values else ""},
            is_predefined=True,
        )
        self.add("companies", "Web", "url", code="WEB", sort=6, is_predefined=True)
        self.add("companies", "Адрес", "textarea", code="ADDRESS", sort=8, is_predefined=True)
        self._define_requisites()

    def _define_multitext(self, entity: str) -> None:
        for name, code, attribute, enums, sort in (
            ("Телефон", "PHONE", "phones", PHONE_ENUMS, 4),
            ("Email", "EMAIL", "emails", EMAIL_ENUMS, 5),
        ):
            self.add(
                entity,
                name,
                "multitext",
                code=code,
                enums=enums,
                enum_codes=True,
                sort=sort,
                getter=lambda row, attribute=attribute: list(getattr(row, attribute)),  # type: ignore[misc]
                setter=lambda _, values, attribute=attribute: {attribute: [str(v) for v in values]},  # type: ignore[misc]
                is_predefined=True,
            )

    def _define_requisites(self) -> None:
        self.add(
            "companies",
            "Реквизиты",
            "legal_entity",
            sort=10,
            getter=lambda company: [legal_entity(company.requisites)] if company.requisites else [],
            setter=lambda company, values: {"requisites": _from_legal_entity(company, values)},
            is_predefined=True,
        )
        for name, attribute in (
            ("ОГРН", "ogrn"),
            ("Банк", "bank_name"),
            ("Корреспондентский счёт", "corr_account"),
            ("Должность руководителя", "director_post"),
            ("Действует на основании", "basis"),
        ):
            self.add(
                "companies",
                name,
                "text",
                getter=lambda company, attribute=attribute: _requisite(company, attribute),  # type: ignore[misc]
                setter=lambda company, values, attribute=attribute: {  # type: ignore[misc]
                    "requisites": _with_requisite(company, attribute, values)
                },
                is_predefined=True,
            )


def legal_entity(requisites: Requisites) -> dict[str, Any]:
    """A company's requisites as a `legal_entity` value; what is not filled in is null.

    ОГРН travels in `tax_registration_reason_code` (unverified) and in a text field of its own.
    """
    return {
        "name": requisites.full_name,
        "entity_type": 1 if len(requisites.inn) == 12 else 2,
        "vat_id": requisites.inn or None,
        "tax_registration_reason_code": requisites.ogrn or None,
        "address": requisites.address or None,
        "real_address": None,
        "kpp": requisites.kpp or None,
        "bank_code": requisites.bik or None,
        "bank_account_number": requisites.account or None,
        "director": requisites.director_name or None,
        "external_uid": None,
    }


def _from_legal_entity(company: Any, values: list[Any]) -> Requisites | None:
    if not values:
        return None
    value = values[0]

    def text(key: str) -> str:
        return str(value.get(key) or "")

    return replace(
        _requisites_of(company),
        full_name=text("name"),
        inn=text("vat_id"),
        kpp=text("kpp"),
        ogrn=text("tax_registration_reason_code"),
        address=text("address"),
        bik=text("bank_code"),
        account=text("bank_account_number"),
        director_name=text("director"),
    )


def _requisites_of(company: Any) -> Requisites:
    present = company.requisites if company is not None else None
    return present if present is not None else Requisites(company.id if company is not None else 0)


def _with_requisite(company: Any, attribute: str, values: list[Any]) -> Requisites:
    changed: dict[str, Any] = {attribute: str(values[0]) if values else ""}
    return replace(_requisites_of(company), **changed)


def _requisite(company: Any, attribute: str) -> list[Any]:
    text = getattr(company.requisites, attribute) if company.requisites else ""
    return [text] if text else []


def _channel_code(channels: Mapping[str, str], values: list[Any]) -> str | None:
    if not values:
        return None
    return next((code for code, name in channels.items() if name == values[0]), str(values[0]))


def _with(old: Mapping[str, str], key: str, values: list[Any]) -> dict[str, str]:
    rest = {name: text for name, text in old.items() if name != key}
    return {**rest, key: str(values[0])} if values else rest


def _stored_getter(name: str) -> Getter:
    def read(row: Any) -> list[Any]:
        value = row.fields.get(name)
        if value is None or value == "" or value == []:
            return []
        return list(value) if isinstance(value, list) else [value]

    return read


def _stored_setter(name: str) -> Setter:
    def write(row: Any, values: list[Any]) -> dict[str, Any]:
        rest = {key: value for key, value in (row.fields if row else {}).items() if key != name}
        if not values:
            return {"fields": rest}
        return {"fields": {**rest, name: values[0] if len(values) == 1 else values}}

    return write


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "checkbox"
    if isinstance(value, (int, float, Decimal)):
        return "numeric"
    if isinstance(value, datetime):
        return "date_time"
    if isinstance(value, date):
        return "date"
    if isinstance(value, list):
        return "multiselect"
    return "legal_entity" if isinstance(value, dict) else "text"
