"""What we learnt of deals by ourselves, not from the CRM: a document opened, an invoice paid. Each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, func, select

from connector.store.schema import happenings
from connector.store.upsert import insert_new


class ArchivedRef(Protocol):
    """A document that a fact is about."""

    @property
    def id(self) -> int: ...

    @property
    def deal_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Happening:
    """One fact. `document` is the kind of the document that it is about, "" for none; `data` is JSON."""

    id: int
    account: str
    key: str
    deal_id: str
    what: str
    document_id: int | None
    document: str
    data: Mapping[str, Any]
    at: datetime


def add(
    conn: Connection,
    *,
    account: str,
    key: str,
    deal_id: str,
    what: str,
    at: datetime,
    document_id: int | None = None,
    document: str = "",
    data: Mapping[str, Any] | None = None,
) -> int | None:
    """Keep a fact; its id, or None when one of that key is known."""
    row = {
        "account": account,
        "key": key,
        "deal_id": deal_id,
        "what": what,
        "document_id": document_id,
        "document": document,
        "data": dict(data or {}),
        "at": at,
    }
    row_id = insert_new(conn, happenings, row)
    return None if row_id is None else int(row_id)


def find(conn: Connection, happening_id: int) -> Happening | None:
    row = conn.execute(select(happenings).where(happenings.c.id == happening_id)).one_or_none()
    return Happening(**row._mapping) if row else None


def by_key(conn: Connection, account: str, key: str) -> Happening | None:
    of_it = (happenings.c.account == account, happenings.c.key == key)
    row = conn.execute(select(happenings).where(*of_it)).one_or_none()
    return Happening(**row._mapping) if row else None


def count_since(conn: Connection, account: str, document: ArchivedRef, what: str, since: datetime) -> int:
    """How often something happened with one document of a deal from `since` on."""
    of_it = (happenings.c.account == account, happenings.c.deal_id == document.deal_id)
    same = (happenings.c.document_id == document.id, happenings.c.what == what, happenings.c.at >= since)
    return conn.execute(select(func.count()).select_from(happenings).where(*of_it, *same)).scalar_one()


def of_deal(conn: Connection, account: str, deal_id: str) -> list[Happening]:
    """All that is known of a deal, oldest first."""
    of_it = (happenings.c.account == account, happenings.c.deal_id == deal_id)
    rows = conn.execute(select(happenings).where(*of_it).order_by(happenings.c.id))
    return [Happening(**row._mapping) for row in rows]
