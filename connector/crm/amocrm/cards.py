"""A deal's card: its contacts, company, requisites and product rows. Must not know what is made of it.

Source: amoCRM developers' docs, pages «Сделки», «Контакты», «Компании», «Списки».
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.wire import Wire, elements, product_row
from connector.crm.requisites import from_fields, merged
from connector.crm.wild import Wild
from connector.domain import Company, Contact, Deal, DealCard, ProductRow


class Cards:
    """Cards of one account. `filterable` says whether contacts may be read in bulk, a paid option."""

    def __init__(self, api: AmoApi, wire: Wire, *, filterable: bool) -> None:
        self._api = api
        self._wire = wire
        self._filterable = filterable

    def card(self, deal: Deal, lead: Wild) -> DealCard:
        """The card of `deal`, which was read from `lead`. Requisites come from the company; what it lacks is
        taken from fields of the deal and of the main contact, where small firms write it."""
        contacts = self._contacts(deal, lead)
        company = self._company(deal.company_id)
        if company is not None:
            others = [from_fields(deal.fields), *(from_fields(contact.fields) for contact in contacts[:1])]
            company = replace(company, requisites=merged(company.requisites, *others))
        return DealCard(deal, tuple(contacts), company, tuple(self._rows(lead)))

    def _contacts(self, deal: Deal, lead: Wild) -> list[Contact]:
        """The deal's contacts, the main one first."""
        main = {
            link["id"].id()
            for link in ((lead.get("_embedded") or Wild({})).get("contacts") or Wild(None)).each()
            if (flag := link.get("is_main")) is not None and flag.flag()
        }
        found = self._api.by_ids(
            "contacts", "contacts", deal.contact_ids, self._wire.contact, filterable=self._filterable
        )
        marked = [replace(contact, is_main=contact.id in main) for contact in found]
        return sorted(marked, key=lambda contact: not contact.is_main)

    def _company(self, company_id: str | None) -> Company | None:
        return self._api.one(f"companies/{company_id}", self._wire.company) if company_id else None

    def _rows(self, lead: Wild) -> Iterator[ProductRow]:
        """Rows of the linked catalog elements that have a price, in the order of the deal."""
        linked = elements(lead)
        for catalog_id in dict.fromkeys(element.catalog_id for element in linked):
            chosen = [element for element in linked if element.catalog_id == catalog_id]
            items = dict(
                self._api.by_ids(
                    f"catalogs/{catalog_id}/elements",
                    "elements",
                    [element.id for element in chosen],
                    lambda item: (item["id"].id(), item),
                    filterable=True,
                )
            )
            for element in chosen:
                row = product_row(element, items[element.id]) if element.id in items else None
                if row is not None:
                    yield row
