"""Invoices that people made in amoCRM itself: elements of the account's list of invoices. Must not know ours.

An element does not say to which deal it belongs: deals name their elements, and the log says what was linked.
Source: amoCRM developers' docs, pages «Списки», «Счета», «Связи сущностей».
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from connector.crm.amocrm.api import AmoApi
from connector.crm.amocrm.directory import SetUp
from connector.crm.amocrm.event_log import EventLog
from connector.crm.amocrm.wire import CustomField, custom_fields, elements
from connector.crm.wild import Malformed, Wild
from connector.domain import CrmInvoice, InvoiceStatus

#: Codes of an invoice's status. One that is paid in part is still to be paid.
STATUSES = {
    "created": InvoiceStatus.ISSUED,
    "partially_paid": InvoiceStatus.ISSUED,
    "paid": InvoiceStatus.PAID,
    "paid_in_advance": InvoiceStatus.PAID,
}

#: A deal changes when an invoice is put on it, if at all, about when the invoice does.
LINKED_AROUND = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice with the address where it can be paid, "" without one."""

    invoice: CrmInvoice
    link: str


class Invoices:
    """Reads the invoices of one account; `currency` is the account's."""

    def __init__(self, api: AmoApi, set_up: SetUp, log: EventLog, currency: str) -> None:
        self._api = api
        self._set_up = set_up
        self._log = log
        self._currency = currency

    def changed(self, since: datetime | None) -> Iterator[CrmInvoice]:
        """Invoices made or changed at or after `since`, or all of them, oldest change first.

        A list's elements can be neither filtered nor ordered by time, so all are read; the deals of those
        that changed are found afterwards.
        """
        for catalog in self._set_up.catalogs("invoices"):
            path = f"catalogs/{catalog.id}/elements"
            found = [
                bill.invoice
                for bill in self._api.pages(path, "elements", self._bill)
                if since is None or bill.invoice.updated_at >= since
            ]
            deals = self._deals_of(catalog.id, found, since) if found else {}
            for invoice in sorted(found, key=lambda one: (one.updated_at, int(one.id))):
                yield replace(invoice, deal_id=invoice.deal_id or deals.get(invoice.id))

    def payment_link(self, deal_id: str, amount: Decimal) -> str | None:
        """Where the client can pay the deal's newest open invoice for that sum; None without one."""
        lead = self._api.one(f"leads/{deal_id}", lambda item: item, [("with", "catalog_elements")])
        linked = elements(lead) if lead is not None else []
        if not linked:
            return None
        catalogs = {catalog.id for catalog in self._set_up.catalogs("invoices")}
        own = [element for element in linked if element.catalog_id in catalogs]
        for element in sorted(own, key=lambda one: int(one.id), reverse=True):
            path = f"catalogs/{element.catalog_id}/elements/{element.id}"
            bill = self._api.one(path, self._bill, [("with", "invoice_link")])
            if bill is None or bill.invoice.status is not InvoiceStatus.ISSUED:
                continue
            if bill.link and bill.invoice.amount == amount:
                return bill.link
        return None

    def _bill(self, item: Wild) -> Bill:
        custom = {field.code: field for field in custom_fields(item) if field.code}
        status = _status(item, custom)
        updated_at = item["updated_at"].unix()
        paid_at = _paid_at(custom) or updated_at if status is InvoiceStatus.PAID else None
        invoice = CrmInvoice(
            id=item["id"].id(),
            deal_id=_linked_lead(custom),
            number=item.text_at("name"),
            amount=_amount(custom),
            currency=self._currency,
            status=status,
            issued_at=item["created_at"].unix(),
            updated_at=updated_at,
            paid_at=paid_at,
            responsible_id=item.id_at("created_by"),
        )
        return Bill(invoice, item.text_at("invoice_link"))

    def _deals_of(
        self, catalog_id: str, invoices: list[CrmInvoice], since: datetime | None
    ) -> dict[str, str]:
        """The deal of each invoice that names none itself, as far as deals or the log tell."""
        wanted = {invoice.id for invoice in invoices if invoice.deal_id is None}
        found: dict[str, str] = {}
        for deal_id, linked in self._deals_with_elements(since):
            found.update({one: deal_id for catalog, one in linked if catalog == catalog_id and one in wanted})
            if found.keys() == wanted:
                break
        left = sorted(wanted - found.keys(), key=int)
        for entry in self._log.of(f"catalog_{catalog_id}", left, ["entity_linked"]):
            for value in entry.after.each():
                entity = (value.get("link") or Wild({})).get("entity") or Wild({})
                if entity.text_at("type") in ("lead", "leads"):
                    found[entry.entity_id] = entity["id"].id()
        return found

    def _deals_with_elements(self, since: datetime | None) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Deals with their elements, the latest change first: a fresh invoice stands in a fresh deal."""
        params: list[tuple[str, object]] = [("with", "catalog_elements"), ("order[updated_at]", "desc")]
        earliest = since - LINKED_AROUND if since is not None else None
        for deal_id, updated_at, linked in self._api.pages("leads", "leads", _elements_of, params):
            if earliest is not None and updated_at < earliest:
                return
            yield deal_id, linked


def _elements_of(item: Wild) -> tuple[str, datetime, list[tuple[str, str]]]:
    linked = [(one.catalog_id, one.id) for one in elements(item)]
    return item["id"].id(), item["updated_at"].unix(), linked


def _status(item: Wild, custom: dict[str, CustomField]) -> InvoiceStatus:
    """By the status field's code; a deleted invoice is a cancelled one."""
    deleted = item.get("is_deleted")
    if deleted is not None and deleted.flag():
        return InvoiceStatus.CANCELLED
    field = custom.get("BILL_STATUS")
    codes = [value.text_at("enum_code") for value in field.values] if field is not None else []
    return STATUSES.get(codes[0] if codes else "", InvoiceStatus.ISSUED)


def _amount(custom: dict[str, CustomField]) -> Decimal:
    """The invoice's sum; where it is not written, that of its lines."""
    price = custom.get("BILL_PRICE")
    for value in price.values if price is not None else ():
        return value["value"].decimal()
    lines = custom.get("ITEMS")
    total = sum((_line(value["value"]) for value in (lines.values if lines else ())), Decimal(0))
    return total.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _line(item: Wild) -> Decimal:
    """A line's sum as amoCRM counted it, else quantity times price less its discount."""
    total = item.get("total_sum")
    if total is not None:
        return total.decimal()
    sum_ = item["unit_price"].decimal() * item["quantity"].decimal()
    discount = item.get("discount") or Wild({})
    value = discount.get("value")
    off = value.decimal() if value is not None else Decimal(0)
    return sum_ * (1 - off / 100) if discount.text_at("type") == "percentage" else sum_ - off


def _paid_at(custom: dict[str, CustomField]) -> datetime | None:
    field = custom.get("BILL_PAYMENT_DATE")
    for value in field.values if field is not None else ():
        inner = value["value"]
        try:
            return inner.unix()
        except Malformed:
            moment = datetime.fromisoformat(inner.text())
            return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return None


def _linked_lead(custom: dict[str, CustomField]) -> str | None:
    """The deal that the invoice names itself; integrators' code reads such a field in webhooks."""
    field = custom.get("LINK_TO_LEAD")
    for value in field.values if field is not None else ():
        inner = value["value"]
        return inner.id_at("entity_id") if inner.is_map else inner.id()
    return None
