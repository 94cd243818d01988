"""A deal's card in one request: contacts, company, requisites with bank and address, product rows.

The portal itself fills in which requisite the bank account and the address belong to
(`$result[requisites][0][ID]`). Must not know what a card is for. Source: Bitrix24 REST docs, pages «Пакетные
запросы», «Реквизиты», «crm.item.productrow.list».
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from connector.crm.bitrix24 import wire
from connector.crm.bitrix24.api import PAGE, B24Api, Batch, Params, Reader
from connector.crm.bitrix24.directory import FieldInfo
from connector.crm.bitrix24.wire import COMPANY, CONTACT, REQUISITE
from connector.crm.wild import Wild
from connector.domain import Company, Contact, Deal, DealCard, ProductRow, Requisites

T = TypeVar("T")

#: A batch takes 50 commands; a deal with more contacts than this is somebody's import.
CONTACTS: Final = 40

#: The first requisite of the batch; an empty text when the company has none.
_FIRST: Final = "$result[requisites][0][ID]"


def read_card(
    api: B24Api, deal: Deal, contact_fields: Mapping[str, FieldInfo], company_fields: Mapping[str, FieldInfo]
) -> DealCard:
    """The deal with what hangs on it; contacts and companies that are gone are left out."""
    contact_ids = deal.contact_ids[:CONTACTS]
    commands: dict[str, tuple[str, Params]] = {
        f"contact{one}": ("crm.item.get", _item(CONTACT, one)) for one in contact_ids
    }
    commands["rows"] = ("crm.item.productrow.list", _rows_of(deal.id))
    if deal.company_id is not None:
        commands |= _company_commands(deal.company_id)
    answers = api.batch(commands)
    contacts = [
        found
        for one in contact_ids
        if (found := answers.find(f"contact{one}", lambda r: wire.contact(r["item"], contact_fields)))
    ]
    company = _company(answers, company_fields) if deal.company_id is not None else None
    rows = answers.read("rows", _read_rows)
    if len(rows) == PAGE:
        method, params = commands["rows"]
        rows = list(api.offset(method, params, lambda result: result["productRows"], _read_row))
    ordered = [row for _, row in sorted(rows, key=lambda row: row[0])]
    # A deal's contact ids come with the main one first.
    people = tuple(replace(contact, is_main=place == 0) for place, contact in enumerate(contacts))
    return DealCard(deal, people, company, tuple(ordered))


def read_contacts(api: B24Api, ids: Sequence[str], fields: Mapping[str, FieldInfo]) -> list[Contact]:
    """The contacts with these ids, at most 2,500, as far as they exist; one request."""
    pages = {f"page{start}": ids[start : start + PAGE] for start in range(0, len(ids), PAGE)}
    answers = api.batch({key: ("crm.item.list", _chosen(some)) for key, some in pages.items()})
    found: list[Contact] = []
    for key in pages:
        found += answers.take(key, lambda r: [wire.contact(item, fields) for item in r["items"].each()])
    return found


def _chosen(contact_ids: Sequence[str]) -> Params:
    """The list of these contacts; multifields come with «*» only."""
    return {
        "entityTypeId": CONTACT,
        "select": ["*"],
        "filter": {"@id": [int(one) for one in contact_ids]},
        "useOriginalUfNames": "Y",
        "start": -1,
    }


def _company_commands(company_id: str) -> dict[str, tuple[str, Params]]:
    return {
        "company": ("crm.item.get", _item(COMPANY, company_id)),
        "requisites": (
            "crm.requisite.list",
            {
                "filter": {"ENTITY_TYPE_ID": COMPANY, "ENTITY_ID": int(company_id), "ACTIVE": "Y"},
                "order": {"SORT": "ASC", "ID": "ASC"},
                "select": ["*"],
            },
        ),
        "banks": (
            "crm.requisite.bankdetail.list",
            {"filter": {"ENTITY_ID": _FIRST}, "order": {"SORT": "ASC", "ID": "ASC"}},
        ),
        "addresses": (
            "crm.address.list",
            {"filter": {"ENTITY_TYPE_ID": REQUISITE, "ENTITY_ID": _FIRST}},
        ),
    }


def _company(answers: Batch, fields: Mapping[str, FieldInfo]) -> Company | None:
    found = answers.read("requisites", lambda rows: next(filter(_is_active, rows.each()), None))
    details = Requisites()
    if found is not None:
        requisite_id = found["ID"].id()
        details = replace(
            wire.requisites(found), address=answers.read("addresses", _of(requisite_id, wire.address))
        )
        bank = answers.read(
            "banks", _of(requisite_id, lambda rows: next(filter(_is_active, rows.each()), None))
        )
        details = wire.with_bank(details, bank) if bank is not None else details
    return answers.find("company", lambda result: wire.company(result["item"], fields, details))


def _of(requisite_id: str, read: Reader[T]) -> Reader[T]:
    """`read` on the rows of that requisite: what a reference to nothing becomes is not promised, nor that a
    filter with it finds nothing."""

    def read_own(rows: Wild) -> T:
        own = [row.value for row in rows.each() if row.text_at("ENTITY_ID") in ("", requisite_id)]
        return read(Wild(own, rows.path))

    return read_own


def _item(entity_type: int, item_id: str) -> Params:
    return {"entityTypeId": entity_type, "id": int(item_id), "useOriginalUfNames": "Y"}


def _is_active(row: Wild) -> bool:
    active = row.get("ACTIVE")
    return active is None or active.flag()


def _rows_of(deal_id: str) -> Params:
    """Nothing but the filter: an unknown parameter breaks this method (fast_bitrix24 issue 234)."""
    return {"filter": {"=ownerType": "D", "=ownerId": int(deal_id)}}


def _read_rows(result: Wild) -> list[tuple[int, ProductRow]]:
    return [_read_row(item) for item in result["productRows"].each()]


def _read_row(item: Wild) -> tuple[int, ProductRow]:
    """A row and its place in the deal."""
    place = item.get("sort")
    return (place.int() if place is not None else 0), wire.product_row(item)
