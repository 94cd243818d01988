"""Invoices as facts: the CRM's and ours, each once. Written by backfill and the reading of activities only.

An invoice of ours and one of the CRM in the same deal are one when their numbers are equal; failing that,
when their sums are and their days differ by `SAME_DAYS` at most. It keeps the CRM's id then, and is paid as
soon as either says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from sqlalchemy import Connection, delete, or_, select

from connector.domain import CrmInvoice, InvoiceStatus
from connector.store.activities import Saved, write_changed
from connector.store.payments import Payment, of_documents
from connector.store.schema import deals, documents, invoices, payments

#: Begins the id of an invoice that we alone have.
OURS: Final = "own:"

SAME_DAYS: Final = timedelta(days=3)

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class OwnInvoice:
    """A document of ours that asks for money, in its latest version. `issued_at`: of its first version."""

    document_id: int
    deal_id: str
    number: str
    issued_at: datetime
    amount: Decimal
    currency: str
    is_void: bool


@dataclass(frozen=True, slots=True)
class _Bill:
    """An invoice of the CRM as it is stored."""

    id: str
    number: str
    issued_at: datetime
    amount: Decimal | None
    currency: str
    status: str


def save_invoices(conn: Connection, account: str, found: Sequence[CrmInvoice]) -> Saved:
    """Store the CRM's invoices and bring them together with ours in the same deals."""
    unique = list({one.id: one for one in found}.values())
    rows = [
        {
            "account": account,
            "invoice_id": one.id,
            "number": one.number[:64],
            "deal_id": one.deal_id,
            "manager_id": one.responsible_id,
            "issued_at": one.issued_at,
            "amount": one.amount.quantize(Decimal("0.01"), ROUND_HALF_UP),
            "currency": one.currency,
            "status": one.status.value,
            "paid_at": one.paid_at,
            "is_deleted": False,
        }
        for one in unique
    ]
    known = write_changed(conn, account, invoices, "invoice_id", rows)
    settle(conn, account, {one.deal_id for one in unique if one.deal_id is not None})
    return Saved(len(found), len(unique) - known, known)


def settle_since(conn: Connection, account: str, since: datetime) -> int:
    """Bring our invoices up to date that were issued, voided or paid at or after `since`; how many deals."""
    payable = (documents.c.account == account, documents.c.total.is_not(None))
    issued = select(documents.c.deal_id).where(
        *payable, or_(documents.c.created_at >= since, documents.c.voided_at >= since)
    )
    paid = select(payments.c.deal_id).where(payments.c.account == account, payments.c.paid_at >= since)
    deal_ids = set(conn.execute(issued).scalars()) | set(conn.execute(paid).scalars())
    settle(conn, account, deal_ids)
    return len(deal_ids)


def settle(conn: Connection, account: str, deal_ids: Iterable[str]) -> None:
    """Write our invoices of these deals: into the CRM's rows where those are the same, else as rows of their
    own."""
    for some in _chunks(sorted(deal_ids)):
        own = _own(conn, account, some)
        if not own:
            continue
        bills = _bills(conn, account, some)
        paid = of_documents(conn, account, [one.document_id for one in own])
        owners = _responsible(conn, account, some)
        rows = []
        for deal_id in sorted({one.deal_id for one in own}):
            mine = [one for one in own if one.deal_id == deal_id]
            twins = match(mine, bills.get(deal_id, []))
            for one in mine:
                twin = twins.get(one.document_id)
                rows.append(_row(account, one, twin, paid.get(one.document_id, ()), owners.get(deal_id)))
        # Those that a newer version, or the CRM's own row, has taken the place of.
        stale = (
            invoices.c.account == account,
            invoices.c.deal_id.in_(some),
            invoices.c.invoice_id.like(f"{OURS}%"),
            invoices.c.invoice_id.not_in([row["invoice_id"] for row in rows]),
        )
        conn.execute(delete(invoices).where(*stale))
        for row in rows:
            # Rows that the CRM has are given fewer columns: what it says of itself stays.
            write_changed(conn, account, invoices, "invoice_id", [row])


def match(own: Sequence[OwnInvoice], bills: Sequence[_Bill]) -> dict[int, _Bill]:
    """Which invoices of the CRM in one deal are ours, by document: by number first, then by sum and day."""
    found: dict[int, _Bill] = {}
    left = list(bills)

    def take(one: OwnInvoice, fitting: Sequence[_Bill]) -> None:
        if fitting:
            best = min(fitting, key=lambda bill: (abs(bill.issued_at - one.issued_at), bill.id))
            found[one.document_id] = best
            left.remove(best)

    for one in own:
        take(one, [bill for bill in left if _bare(bill.number) == _bare(one.number)])
    for one in own:
        if one.document_id not in found:
            take(one, [bill for bill in left if _is_like(one, bill)])
    return found


def _is_like(one: OwnInvoice, bill: _Bill) -> bool:
    is_same_sum = (bill.amount, bill.currency) == (one.amount, one.currency)
    return is_same_sum and abs(bill.issued_at - one.issued_at) <= SAME_DAYS


def _bare(number: str) -> str:
    """A number as people compare it: «Счёт № 2026-0007» and «2026-0007» are one."""
    words = number.casefold().replace("№", " ").replace("#", " ").split()
    return words[-1] if words else ""


def _row(
    account: str, one: OwnInvoice, twin: _Bill | None, paid: Sequence[Payment], manager_id: str | None
) -> dict[str, Any]:
    received = sum((p.received for p in paid if p.currency == one.currency), Decimal(0))
    is_paid = bool(paid) and received >= one.amount
    paid_at = max(p.paid_at or p.created_at for p in paid) if is_paid else None
    status = (
        InvoiceStatus.PAID if is_paid else InvoiceStatus.CANCELLED if one.is_void else InvoiceStatus.ISSUED
    )
    key = {"account": account, "invoice_id": twin.id if twin else f"{OURS}{one.document_id}"}
    if twin is not None and (not is_paid or twin.status == InvoiceStatus.PAID):
        paid_by_crm: dict[str, Any] = {}
    else:
        paid_by_crm = {"status": status.value, "paid_at": paid_at}
    return {
        **key,
        "number": one.number[:64],
        "deal_id": one.deal_id,
        **({} if twin else {"manager_id": manager_id}),
        "issued_at": twin.issued_at if twin else one.issued_at,
        "amount": twin.amount if twin else one.amount,
        "currency": twin.currency if twin else one.currency,
        "status": twin.status if twin else status.value,
        **paid_by_crm,
        "document_id": one.document_id,
        "is_deleted": False,
    }


def _own(conn: Connection, account: str, deal_ids: Sequence[str]) -> list[OwnInvoice]:
    """Our invoices of these deals, each in its latest version."""
    statement = (
        select(
            documents.c.id, documents.c.deal_id, documents.c.number, documents.c.created_at,
            documents.c.total, documents.c.currency, documents.c.voided_at, documents.c.series,
            documents.c.year, documents.c.ordinal, documents.c.context,
        )
        .where(documents.c.account == account, documents.c.deal_id.in_(deal_ids))
        .where(documents.c.total.is_not(None))
        .order_by(documents.c.version)
    )  # fmt: skip
    found: dict[tuple[str, int, int], OwnInvoice] = {}
    for row in conn.execute(statement):
        if not row.total or not isinstance(row.context.get("оплата"), Mapping):
            continue  # it asks for no money
        key = (row.series, row.year, row.ordinal)
        known = found.get(key)
        one = OwnInvoice(
            row.id,
            row.deal_id,
            row.number,
            row.created_at,
            row.total,
            row.currency,
            row.voided_at is not None,
        )
        found[key] = one if known is None else replace(one, issued_at=known.issued_at)
    return list(found.values())


def _bills(conn: Connection, account: str, deal_ids: Sequence[str]) -> Mapping[str, list[_Bill]]:
    statement = select(invoices).where(
        invoices.c.account == account,
        invoices.c.deal_id.in_(deal_ids),
        invoices.c.invoice_id.not_like(f"{OURS}%"),
    )
    found: dict[str, list[_Bill]] = {}
    for row in conn.execute(statement):
        bill = _Bill(row.invoice_id, row.number, row.issued_at, row.amount, row.currency, row.status)
        found.setdefault(row.deal_id, []).append(bill)
    return found


def _responsible(conn: Connection, account: str, deal_ids: Sequence[str]) -> dict[str, str | None]:
    statement = select(deals.c.deal_id, deals.c.responsible_id).where(
        deals.c.account == account, deals.c.deal_id.in_(deal_ids)
    )
    return {row.deal_id: row.responsible_id for row in conn.execute(statement)}


def _chunks(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(ids), _BATCH):
        yield ids[start : start + _BATCH]
