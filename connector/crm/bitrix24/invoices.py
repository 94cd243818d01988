"""The portal's own invoices: smart invoices, entity type 31. Must not know of ours.

How an invoice stands is told by the semantics of its stage, as with deals. Source: Bitrix24 REST docs, pages
«crm.item.list», «Счета», «crm.status.list».
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from connector.crm.bitrix24.api import B24Api, Params
from connector.crm.bitrix24.changes import ChangeList, Names
from connector.crm.wild import Wild
from connector.domain import CrmInvoice, InvoiceStatus
from connector.errors import CrmError

INVOICE: Final = 31

_NAMES: Final = Names(("items",), "id", "updatedTime", "id", "updatedTime")
_STATUSES: Final = {"S": InvoiceStatus.PAID, "F": InvoiceStatus.CANCELLED}

#: What a portal says that has no smart invoices: an old one, or one where they are switched off.
_ABSENT: Final = frozenset({"ENTITY_TYPE_NOT_SUPPORTED", "NOT_FOUND"})


def read_invoices(api: B24Api, since: datetime | None) -> Iterator[CrmInvoice]:
    """Invoices made or changed at or after `since`, oldest change first; none where there are none."""
    semantics = _stages(api)
    params: Params = {"entityTypeId": INVOICE, "select": ["*"]}

    def read(item: Wild) -> CrmInvoice:
        return _invoice(item, semantics)

    try:
        for _, invoice in ChangeList(api, "crm.item.list", params, _NAMES, read).since(since):
            yield invoice
    except CrmError as error:
        if error.code not in _ABSENT:
            raise


def _stages(api: B24Api) -> dict[str, str]:
    """The semantics of the stages of all invoice pipelines by their codes."""
    rows = api.call("crm.status.list", {"order": {"SORT": "ASC"}}, lambda result: list(result.each()))
    return {
        row["STATUS_ID"].text(): row.text_at("SEMANTICS")
        for row in rows
        if row.text_at("ENTITY_ID").startswith("SMART_INVOICE_STAGE")
    }


def _invoice(item: Wild, semantics: Mapping[str, str]) -> CrmInvoice:
    status = _STATUSES.get(semantics.get(item.text_at("stageId"), ""), InvoiceStatus.ISSUED)
    moved = item.get("movedTime")
    updated_at = item["updatedTime"].iso()
    amount = item.get("opportunity")
    return CrmInvoice(
        id=item["id"].id(),
        deal_id=item.id_at("parentId2"),
        number=item.text_at("accountNumber") or item["id"].id(),
        amount=amount.decimal() if amount is not None else Decimal(0),
        currency=item.text_at("currencyId") or "RUB",
        status=status,
        issued_at=item["createdTime"].iso(),
        updated_at=updated_at,
        paid_at=(moved.iso() if moved is not None else updated_at) if status is InvoiceStatus.PAID else None,
        responsible_id=item.id_at("assignedById"),
    )
