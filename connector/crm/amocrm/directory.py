"""What an account's people have set up: custom fields, lists, products, sources. Must not know who asks.

Source: amoCRM developers' docs, pages «Поля и группы полей», «Списки», «Товары», «Источники».
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.clock import Clock
from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.field_values import KINDS, FieldDefinition
from connector.crm.amocrm.wire import catalog_product
from connector.crm.wild import Wild
from connector.domain import CustomField, Product

#: Our words for the entities that people add fields to, and amoCRM's.
COLLECTIONS: Mapping[str, str] = {"deal": "leads", "contact": "contacts", "company": "companies"}

#: How long definitions of fields are believed before a write; an unknown name is looked up at once.
DEFINITIONS_AGE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A list («Список»). `type`: regular, products, invoices or suppliers."""

    id: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where deals come from; an integration sees its own sources only."""

    id: str
    name: str
    external_id: str
    pipeline_id: str | None


class SetUp:
    """Reads one account's set-up. Safe to share between threads."""

    def __init__(self, api: AmoApi, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[datetime, list[FieldDefinition]]] = {}

    def custom_fields(self, entity: str) -> list[CustomField]:
        """Fields of a deal, contact or company that the company added."""
        return [
            CustomField(
                entity=entity,
                id=one.id,
                name=one.name,
                kind=KINDS.get(one.type, "other"),
                options=one.options,
                is_required=one.is_required,
            )
            for one in self.definitions(entity, fresh=True)
            if not one.is_predefined
        ]

    def definitions(self, entity: str, *, fresh: bool = False) -> list[FieldDefinition]:
        """All fields of the entity with amoCRM's own types; ValueError for an entity without fields."""
        if entity not in COLLECTIONS:
            raise ValueError(f"{entity!r} is none of {', '.join(COLLECTIONS)}")
        now = self._clock.now()
        with self._lock:
            known = self._known.get(entity)
        if not fresh and known is not None and now - known[0] < DEFINITIONS_AGE:
            return known[1]
        path = f"{COLLECTIONS[entity]}/custom_fields"
        found = list(self._api.pages(path, "custom_fields", read_definition, [("order[sort]", "asc")]))
        with self._lock:
            self._known[entity] = (now, found)
        return found

    def definition(self, entity: str, name_or_id: str) -> FieldDefinition | None:
        """The field with that id or that name; of two with one name the first in their order."""
        return _find(self.definitions(entity), name_or_id) or _find(
            self.definitions(entity, fresh=True), name_or_id
        )

    def catalogs(self, kind: str) -> list[Catalog]:
        """The account's lists of that type."""
        return [one for one in self._api.pages("catalogs", "catalogs", _read_catalog) if one.type == kind]

    def products(self, currency: str) -> Iterator[Product]:
        """Elements of the lists of products, a page at a time; `currency` is the account's."""
        for catalog in self.catalogs("products"):
            path = f"catalogs/{catalog.id}/elements"
            for product in self._api.pages(path, "elements", lambda item: catalog_product(item, currency)):
                if product is not None:
                    yield product

    def sources(self) -> list[Source]:
        """The integration's own sources. An external integration may not read them: CrmError kind config."""
        return list(self._api.pages("sources", "sources", _read_source))


def read_definition(item: Wild) -> FieldDefinition:
    required = item.get("is_required")
    statuses = list((item.get("required_statuses") or Wild(None)).each())
    return FieldDefinition(
        id=item["id"].id(),
        name=item.text_at("name"),
        code=item.text_at("code").upper(),
        type=item["type"].text(),
        options=_options(item),
        is_required=bool(statuses) or (required is not None and required.flag()),
        is_computed=_flag(item, "is_computed"),
        is_predefined=_flag(item, "is_predefined"),
    )


def _options(item: Wild) -> dict[str, str]:
    """The choices by id: `enums`, or `nested` of a category."""
    found = item.get("enums") or item.get("nested") or Wild(None)
    return {one["id"].id(): one.text_at("value") for one in found.each()}


def _flag(item: Wild, name: str) -> bool:
    part = item.get(name)
    return part is not None and part.flag()


def _find(definitions: list[FieldDefinition], name_or_id: str) -> FieldDefinition | None:
    wanted = " ".join(name_or_id.split()).casefold()
    by_id = next((one for one in definitions if one.id == wanted), None)
    return by_id or next(
        (one for one in definitions if " ".join(one.name.split()).casefold() == wanted), None
    )


def _read_catalog(item: Wild) -> Catalog:
    return Catalog(item["id"].id(), item.text_at("name"), item.text_at("type"))


def _read_source(item: Wild) -> Source:
    return Source(
        id=item["id"].id(),
        name=item.text_at("name"),
        external_id=item.text_at("external_id"),
        pipeline_id=item.id_at("pipeline_id"),
    )
