"""Issued documents, kept to the byte: what the client received, from which data, by which template.

Numbers are counted here: a series of an account counts from 1 each year, and no number is given twice. Knows
nothing of how documents are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Connection, RowMapping, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from connector.store.schema import document_files, documents, number_series

MIME_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


class File(Protocol):
    """A file to keep; `format` is pdf or docx, `name` is what people see."""

    @property
    def format(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def content(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One kept file; `sha256` was computed when it was put in."""

    format: str
    name: str
    sha256: str
    content: bytes

    @property
    def mime_type(self) -> str:
        return MIME_TYPES.get(self.format, "application/octet-stream")

    @property
    def is_intact(self) -> bool:
        """False when the store has changed the bytes since."""
        return hashlib.sha256(self.content).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class ArchivedDocument:
    """An issued document. `context` is the frozen data it was made from."""

    id: int
    account: str
    outbox_key: str
    deal_id: str
    kind: str
    title: str
    series: str
    year: int
    ordinal: int
    number: str
    issued_on: date
    total: Decimal | None
    currency: str
    template_sha256: str
    context: Mapping[str, Any]
    created_at: datetime
    files: tuple[ArchivedFile, ...]


def reserve_number(conn: Connection, account: str, series: str, year: int) -> int:
    """The next number of the series, from 1; given back to the series if the transaction is rolled back.

    Call it when the document is sure to be issued, and keep the transaction short: others who want a number
    of the same series wait for its end.
    """
    make = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = make(number_series).values(account=account, series=series, year=year, last=1)
    key = [number_series.c.account, number_series.c.series, number_series.c.year]
    counted = statement.on_conflict_do_update(index_elements=key, set_={"last": number_series.c.last + 1})
    return int(conn.execute(counted.returning(number_series.c.last)).scalar_one())


def save(
    conn: Connection,
    *,
    account: str,
    outbox_key: str,
    deal_id: str,
    kind: str,
    title: str,
    series: str,
    ordinal: int,
    number: str,
    issued_on: date,
    total: Decimal | None,
    currency: str,
    template_sha256: str,
    context: Mapping[str, Any],
    files: Sequence[File],
    now: datetime,
) -> int:
    """Keep a document; its id. One that was kept under the same `outbox_key` stays as it is.

    context: made of what JSON has. Errors: IntegrityError for a number that another document bears.
    """
    document = {
        "account": account,
        "outbox_key": outbox_key,
        "deal_id": deal_id,
        "kind": kind,
        "title": title,
        "series": series,
        "year": issued_on.year,
        "ordinal": ordinal,
        "number": number,
        "issued_on": issued_on,
        "total": total,
        "currency": currency,
        "template_sha256": template_sha256,
        "context": context,
        "created_at": now,
    }
    same = select(documents.c.id).where(documents.c.account == account, documents.c.outbox_key == outbox_key)
    kept = conn.execute(same).scalar_one_or_none()
    if kept is not None:
        return int(kept)
    document_id = conn.execute(insert(documents).values(**document).returning(documents.c.id)).scalar_one()
    rows = [
        {
            "document_id": document_id,
            "format": file.format,
            "name": file.name,
            "sha256": hashlib.sha256(file.content).hexdigest(),
            "content": file.content,
        }
        for file in files
    ]
    if rows:
        conn.execute(insert(document_files), rows)
    return int(document_id)


def find(conn: Connection, account: str, outbox_key: str) -> ArchivedDocument | None:
    """The document that the effect `outbox_key` made, with its files; None when it made none yet."""
    found = _documents(conn, documents.c.account == account, documents.c.outbox_key == outbox_key)
    return found[0] if found else None


def of_deal(conn: Connection, account: str, deal_id: str) -> list[ArchivedDocument]:
    """All documents of a deal with their files, oldest first."""
    return _documents(conn, documents.c.account == account, documents.c.deal_id == deal_id)


def file(conn: Connection, account: str, document_id: int, format_: str) -> ArchivedFile | None:
    """One file of a document of this account; None when there is none."""
    found = _documents(conn, documents.c.account == account, documents.c.id == document_id)
    return next((kept for document in found for kept in document.files if kept.format == format_), None)


def last_number(conn: Connection, account: str, series: str, year: int) -> int:
    """The number given last in the series, 0 when none was."""
    query = select(number_series.c.last).where(
        number_series.c.account == account, number_series.c.series == series, number_series.c.year == year
    )
    return conn.execute(query).scalar_one_or_none() or 0


def gaps(conn: Connection, account: str, series: str, year: int) -> list[int]:
    """Numbers that were given and that no document bears: of work under way, or of a failed one."""
    query = select(documents.c.ordinal).where(
        documents.c.account == account, documents.c.series == series, documents.c.year == year
    )
    used = set(conn.execute(query).scalars())
    return [number for number in range(1, last_number(conn, account, series, year) + 1) if number not in used]


def _documents(conn: Connection, *where: Any) -> list[ArchivedDocument]:
    rows = conn.execute(select(documents).where(*where).order_by(documents.c.id)).mappings().all()
    if not rows:
        return []
    ids = [row["id"] for row in rows]
    # The Word file comes after the PDF, as in the kit.
    order = (document_files.c.document_id, func.length(document_files.c.format), document_files.c.format)
    kept: dict[int, list[ArchivedFile]] = {}
    query = select(document_files).where(document_files.c.document_id.in_(ids)).order_by(*order)
    for row in conn.execute(query).mappings():
        file_ = ArchivedFile(row["format"], row["name"], row["sha256"], bytes(row["content"]))
        kept.setdefault(row["document_id"], []).append(file_)
    return [_document(row, kept.get(row["id"], [])) for row in rows]


def _document(row: RowMapping, files: Sequence[ArchivedFile]) -> ArchivedDocument:
    return ArchivedDocument(**dict(row), files=tuple(files))
