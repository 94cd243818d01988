"""Payments of invoices: one row an attempt, and the notices that came about them.

Knows nothing of providers: what they say is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select, update

from connector.store.schema import documents, payment_notices, payments
from connector.store.upsert import insert_new

#: Told by a person: the money came to the bank account.
MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Payment:
    """One attempt to pay. `status`: new (its provider has not answered), pending, succeeded or canceled."""

    id: int
    account: str
    document_id: int
    deal_id: str
    provider: str
    provider_id: str | None
    key: str
    status: str
    amount: Decimal
    currency: str
    refunded: Decimal
    link: str
    created_at: datetime
    paid_at: datetime | None
    ask_at: datetime | None
    asked: int

    @property
    def received(self) -> Decimal:
        """What came and stayed."""
        return self.amount - self.refunded if self.status == "succeeded" else Decimal(0)


def lock_invoice(conn: Connection, document_id: int) -> None:
    """Let nobody else settle this invoice before the transaction ends.

    Two payments of one invoice must see each other. SQLite has one writer anyway.
    """
    conn.execute(select(documents.c.id).where(documents.c.id == document_id).with_for_update())


def add(
    conn: Connection,
    *,
    account: str,
    document_id: int,
    deal_id: str,
    provider: str,
    key: str,
    amount: Decimal,
    currency: str,
    now: datetime,
    ask_at: datetime | None = None,
) -> int | None:
    """A new attempt; its id, or None when one of that key is known."""
    row = {
        "account": account,
        "document_id": document_id,
        "deal_id": deal_id,
        "provider": provider,
        "key": key,
        "status": "new",
        "amount": amount,
        "currency": currency,
        "refunded": Decimal(0),
        "link": "",
        "created_at": now,
        "ask_at": ask_at,
        "asked": 0,
    }
    row_id = insert_new(conn, payments, row)
    return None if row_id is None else int(row_id)


def change(conn: Connection, payment_id: int, **values: Any) -> None:
    """Write what is known by now."""
    conn.execute(update(payments).where(payments.c.id == payment_id).values(**values))


def find(conn: Connection, account: str, payment_id: int) -> Payment | None:
    return _one(conn, payments.c.account == account, payments.c.id == payment_id)


def by_key(conn: Connection, account: str, key: str) -> Payment | None:
    return _one(conn, payments.c.account == account, payments.c.key == key)


def by_provider_id(conn: Connection, account: str, provider: str, provider_id: str) -> Payment | None:
    of_it = (payments.c.provider == provider, payments.c.provider_id == provider_id)
    return _one(conn, payments.c.account == account, *of_it)


def of_document(conn: Connection, account: str, document_id: int) -> list[Payment]:
    """All attempts to pay an invoice, oldest first."""
    return _all(conn, payments.c.account == account, payments.c.document_id == document_id)


def of_documents(
    conn: Connection, account: str, document_ids: Sequence[int]
) -> Mapping[int, Sequence[Payment]]:
    """Attempts that brought money, by document."""
    found: dict[int, list[Payment]] = {}
    for start in range(0, len(document_ids), 500):
        some = payments.c.document_id.in_(document_ids[start : start + 500])
        paid = payments.c.status == "succeeded"
        for payment in _all(conn, payments.c.account == account, some, paid):
            found.setdefault(payment.document_id, []).append(payment)
    return found


def to_ask(conn: Connection, now: datetime, limit: int = 100) -> list[Payment]:
    """Attempts that nobody told the end of, those that wait longest first."""
    due = select(payments).where(payments.c.ask_at <= now).order_by(payments.c.ask_at).limit(limit)
    return [Payment(**row) for row in conn.execute(due).mappings()]


def note_notice(
    conn: Connection,
    *,
    account: str,
    provider: str,
    event: str,
    object_id: str,
    payment_id: str,
    now: datetime,
) -> int:
    """Keep a notice, or count it once more; its id."""
    row = {
        "account": account,
        "provider": provider,
        "event": event,
        "object_id": object_id,
        "payment_id": payment_id,
        "deliveries": 1,
        "note": "",
        "received_at": now,
    }
    new = insert_new(conn, payment_notices, row)
    if new is not None:
        return int(new)
    same = (
        payment_notices.c.account == account,
        payment_notices.c.provider == provider,
        payment_notices.c.event == event,
        payment_notices.c.object_id == object_id,
    )
    again = update(payment_notices).where(*same).values(deliveries=payment_notices.c.deliveries + 1)
    return int(conn.execute(again.returning(payment_notices.c.id)).scalar_one())


def conclude_notices(conn: Connection, account: str, provider: str, payment_id: str, note: str) -> None:
    """Write down what became of the notices about one payment."""
    conn.execute(
        update(payment_notices)
        .where(
            payment_notices.c.account == account,
            payment_notices.c.provider == provider,
            payment_notices.c.payment_id == payment_id,
        )
        .values(note=note)
    )


def notices_of(conn: Connection, account: str, payment_id: str) -> list[tuple[str, int, str]]:
    """(event, deliveries, what became of it) of a provider's payment, oldest first."""
    found = select(payment_notices).where(
        payment_notices.c.account == account, payment_notices.c.payment_id == payment_id
    )
    rows = conn.execute(found.order_by(payment_notices.c.id))
    return [(row.event, row.deliveries, row.note) for row in rows]


def _one(conn: Connection, *where: Any) -> Payment | None:
    row = conn.execute(select(payments).where(*where)).mappings().one_or_none()
    return Payment(**row) if row else None


def _all(conn: Connection, *where: Any) -> list[Payment]:
    found = conn.execute(select(payments).where(*where).order_by(payments.c.id)).mappings()
    return [Payment(**row) for row in found]
