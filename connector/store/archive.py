"""Issued documents, kept to the byte: what the client received, from which data, by which template.

A document is never changed. One that was corrected is void and a later version stands in its place, with the
same number where the seller is the same. Knows nothing of how documents are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Connection, LargeBinary, RowMapping, func, insert, literal, select, update

from connector.store.schema import document_files, documents

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
    version: int
    replaces_id: int | None
    void_reason: str | None
    voided_at: datetime | None
    kit_sha256: str
    engine: str
    variant: str
    files: tuple[ArchivedFile, ...]

    @property
    def is_void(self) -> bool:
        return self.voided_at is not None


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
    version: int = 1,
    replaces_id: int | None = None,
    void_reason: str = "",
    kit_sha256: str = "",
    engine: str = "",
    variant: str = "",
) -> int:
    """Keep a document; its id. One that was kept under the same `outbox_key` stays as it is.

    context: made of what JSON has. replaces_id: the document that is void from now on, for `void_reason`.
    Errors: IntegrityError for a number and version that another document bears.
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
        "version": version,
        "replaces_id": replaces_id,
        "kit_sha256": kit_sha256,
        "engine": engine,
        "variant": variant,
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
    if replaces_id is not None:
        void(conn, account, replaces_id, void_reason, now)
    return int(document_id)


def void(conn: Connection, account: str, document_id: int, reason: str, now: datetime) -> bool:
    """Mark a document void; False when there is none, or it is void already. Its bytes stay."""
    statement = (
        update(documents)
        .where(documents.c.account == account, documents.c.id == document_id, documents.c.voided_at.is_(None))
        .values(voided_at=now, void_reason=reason)
    )
    return conn.execute(statement).rowcount == 1


def by_id(conn: Connection, account: str, document_id: int) -> ArchivedDocument | None:
    """A document with its files; None when this account has none of that id."""
    found = _documents(conn, documents.c.account == account, documents.c.id == document_id)
    return found[0] if found else None


def successor(conn: Connection, document: ArchivedDocument) -> ArchivedDocument | None:
    """The correction in force that stands in the place of a void document; None when there is none."""
    current = document
    while current.is_void:
        found = _documents(
            conn, documents.c.account == current.account, documents.c.replaces_id == current.id
        )
        if not found:
            return None
        current = found[-1]
    return current if current.id != document.id else None


def in_force(conn: Connection, account: str, deal_id: str, kind: str) -> ArchivedDocument | None:
    """The deal's latest document of that kind that is not void; None when there is none."""
    same = (documents.c.account == account, documents.c.deal_id == deal_id, documents.c.kind == kind)
    found = _documents(conn, *same, documents.c.voided_at.is_(None))
    return found[-1] if found else None


def last_variant(conn: Connection, account: str, deal_id: str, kind: str) -> str | None:
    """The variant of the deal's latest document of that kind, void ones too; None when there is none."""
    same = (documents.c.account == account, documents.c.deal_id == deal_id, documents.c.kind == kind)
    latest = select(documents.c.variant).where(*same).order_by(documents.c.id.desc()).limit(1)
    return conn.execute(latest).scalar_one_or_none()


def issued_between(conn: Connection, account: str, since: date, until: date) -> list[ArchivedDocument]:
    """Documents dated in [since, until), without the content of their files: theirs is b""; oldest first."""
    days = (documents.c.issued_on >= since, documents.c.issued_on < until)
    return _documents(conn, documents.c.account == account, *days, with_content=False)


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


def _documents(conn: Connection, *where: Any, with_content: bool = True) -> list[ArchivedDocument]:
    rows = conn.execute(select(documents).where(*where).order_by(documents.c.id)).mappings().all()
    if not rows:
        return []
    content = document_files.c.content if with_content else literal(b"", LargeBinary).label("content")
    columns = [*(column for column in document_files.c if column.name != "content"), content]
    # The Word file comes after the PDF, as in the kit.
    order = (document_files.c.document_id, func.length(document_files.c.format), document_files.c.format)
    kept: dict[int, list[ArchivedFile]] = {}
    of_these = document_files.c.document_id.in_(select(documents.c.id).where(*where))
    query = select(*columns).where(of_these).order_by(*order)
    for row in conn.execute(query).mappings():
        file_ = ArchivedFile(row["format"], row["name"], row["sha256"], bytes(row["content"]))
        kept.setdefault(row["document_id"], []).append(file_)
    return [_document(row, kept.get(row["id"], [])) for row in rows]


def _document(row: RowMapping, files: Sequence[ArchivedFile]) -> ArchivedDocument:
    return ArchivedDocument(**dict(row), files=tuple(files))
