"""Links to documents for clients: until when each holds, and whether it was taken back.

A link's secret word is not here, only its digest: who reads the store cannot open a document by it. Knows
nothing of addresses, nor of how a secret word is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from connector.store.schema import document_links
from connector.store.upsert import insert_new


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """One link. `serial` counts the links of one document, from 1; `digest` is SHA-256 of the secret word."""

    account: str
    document_id: int
    serial: int
    digest: str
    created_at: datetime
    expires_at: datetime
    withdrawn_at: datetime | None

    def holds_at(self, moment: datetime) -> bool:
        return self.withdrawn_at is None and moment < self.expires_at


def add(
    conn: Connection,
    *,
    account: str,
    document_id: int,
    serial: int,
    digest: str,
    expires_at: datetime,
    now: datetime,
) -> bool:
    """Keep a link; False when the document has one of that serial already."""
    row = {
        "account": account,
        "document_id": document_id,
        "serial": serial,
        "digest": digest,
        "created_at": now,
        "expires_at": expires_at,
    }
    return insert_new(conn, document_links, row, returning="serial") is not None


def by_digest(conn: Connection, digest: str) -> DocumentLink | None:
    row = conn.execute(select(document_links).where(document_links.c.digest == digest)).one_or_none()
    return DocumentLink(**row._mapping) if row else None


def latest(conn: Connection, account: str, document_id: int) -> DocumentLink | None:
    """The document's newest link, whether it still holds or not; None when it never had one."""
    query = (
        select(document_links)
        .where(document_links.c.account == account, document_links.c.document_id == document_id)
        .order_by(document_links.c.serial.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    return DocumentLink(**row._mapping) if row else None


def withdraw(conn: Connection, account: str, document_id: int, now: datetime) -> int:
    """Take back every link of a document; how many held until now."""
    statement = (
        update(document_links)
        .where(document_links.c.account == account, document_links.c.document_id == document_id)
        .where(document_links.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )
    return conn.execute(statement).rowcount
