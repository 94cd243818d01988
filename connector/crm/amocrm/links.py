"""Links of a deal with contacts and a company. Must not know why they belong together.

They can be set in the deal itself at its creation only; afterwards they are made and broken here. A link that
is there already stays one link, so every call may be repeated.
Source: amoCRM developers' docs, page «Связи сущностей».
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connector.crm.amocrm.api import IDS_PER_ADDRESS, AmoApi
from connector.crm.amocrm.walks import chunks
from connector.crm.wild import Wild


@dataclass(frozen=True, slots=True)
class Link:
    """What a deal is linked with. `kind`: contacts, companies or catalog_elements."""

    deal_id: str
    kind: str
    id: str
    is_main: bool = False
    catalog_id: str | None = None


class Links:
    """The links of one account's deals."""

    def __init__(self, api: AmoApi) -> None:
        self._api = api

    def of(self, deal_ids: Sequence[str]) -> Iterator[Link]:
        """All links of these deals, those of 200 deals in one request."""
        for some in chunks(deal_ids, IDS_PER_ADDRESS):
            chosen: list[tuple[str, object]] = [("filter[entity_id][]", one) for one in some]
            yield from self._api.pages("leads/links", "links", _read, chosen)

    def contact(self, deal_id: str, contact_id: str, *, is_main: bool = False) -> None:
        """Put the contact on the deal; as its main one where asked for."""
        item: dict[str, object] = {"to_entity_id": int(contact_id), "to_entity_type": "contacts"}
        if is_main:
            # Written as is_main, read as main_contact.
            item["metadata"] = {"is_main": True}
        self._api.put("POST", f"leads/{deal_id}/link", [item])

    def company(self, deal_id: str, company_id: str) -> None:
        """Make it the deal's company; a deal has one, so another one loses its place."""
        item = {"to_entity_id": int(company_id), "to_entity_type": "companies"}
        self._api.put("POST", f"leads/{deal_id}/link", [item])

    def cut(self, link: Link) -> None:
        """Break a link; one that is broken already is no error."""
        item: dict[str, object] = {"to_entity_id": int(link.id), "to_entity_type": link.kind}
        if link.catalog_id is not None:
            item["metadata"] = {"catalog_id": int(link.catalog_id)}
        self._api.put("POST", f"leads/{link.deal_id}/unlink", [item])


def _read(item: Wild) -> Link:
    metadata = item.get("metadata") or Wild({})
    main = metadata.get("main_contact")
    return Link(
        deal_id=item["entity_id"].id(),
        kind=item["to_entity_type"].text(),
        id=item["to_entity_id"].id(),
        is_main=main is not None and main.flag(),
        catalog_id=metadata.id_at("catalog_id"),
    )
