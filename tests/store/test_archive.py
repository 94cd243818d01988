"""Numbers and kept documents, on both databases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from connector.store import archive
from connector.store.database import Database

NOW = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)


@dataclass
class File:
    format: str
    name: str
    content: bytes


def save(db: Database, key: str = "deal:1:invoice", *, ordinal: int = 1, content: bytes = b"%PDF") -> int:
    with db.begin() as conn:
        return archive.save(
            conn,
            account="main",
            outbox_key=key,
            deal_id="1",
            kind="invoice",
            title="Счёт на оплату",
            series="invoice/main",
            ordinal=ordinal,
            number=f"2026-{ordinal:04}",
            issued_on=date(2026, 11, 24),
            total=Decimal("123.45"),
            currency="RUB",
            template_sha256="a" * 64,
            context={"итого": {"сумма": {"$decimal": "123.45"}}},
            files=[File("pdf", "Счёт № 1.pdf", content), File("docx", "Счёт № 1.docx", b"PK")],
            now=NOW,
        )


def test_a_document_comes_back_to_the_byte(db: Database) -> None:
    content = bytes(range(256)) * 400
    document_id = save(db, content=content)
    with db.read() as conn:
        found = archive.find(conn, "main", "deal:1:invoice")
        assert found is not None
        assert archive.of_deal(conn, "main", "1") == [found]
        assert archive.file(conn, "main", document_id, "pdf") == found.files[0]
    assert [file.content for file in found.files] == [content, b"PK"]
    assert all(file.is_intact for file in found.files)
    assert (found.title, found.number, found.year) == ("Счёт на оплату", "2026-0001", 2026)
    assert (found.total, found.created_at) == (Decimal("123.45"), NOW)
    assert found.context == {"итого": {"сумма": {"$decimal": "123.45"}}}
    assert found.files[0].mime_type == "application/pdf"


def test_a_repeated_save_keeps_the_first_document(db: Database) -> None:
    first = save(db, content=b"first")
    assert save(db, content=b"second") == first
    with db.read() as conn:
        found = archive.find(conn, "main", "deal:1:invoice")
    assert found is not None
    assert found.files[0].content == b"first"


def test_another_account_sees_nothing(db: Database) -> None:
    document_id = save(db)
    with db.read() as conn:
        assert archive.find(conn, "other", "deal:1:invoice") is None
        assert archive.of_deal(conn, "other", "1") == []
        assert archive.file(conn, "other", document_id, "pdf") is None


def test_two_documents_cannot_bear_one_number(db: Database) -> None:
    save(db)
    with pytest.raises(IntegrityError):
        save(db, "deal:2:invoice", ordinal=1)


def test_a_correction_bears_the_same_number_and_voids_the_one_before(db: Database) -> None:
    first = save(db)
    with db.begin() as conn:
        old = archive.by_id(conn, "main", first)
        assert old is not None and not old.is_void
        second = archive.save(
            conn,
            account="main",
            outbox_key="reissue:1",
            deal_id="1",
            kind="invoice",
            title=old.title,
            series=old.series,
            ordinal=old.ordinal,
            number=old.number,
            issued_on=old.issued_on,
            total=old.total,
            currency="RUB",
            template_sha256=old.template_sha256,
            context={},
            files=[File("pdf", "Счёт № 1.pdf", b"%PDF new")],
            now=NOW,
            version=2,
            replaces_id=first,
            void_reason="Изменилась цена",
        )
        assert archive.in_force(conn, "main", "1", "invoice") == archive.by_id(conn, "main", second)
        gone = archive.by_id(conn, "main", first)
    assert gone is not None
    assert (gone.is_void, gone.void_reason, gone.voided_at) == (True, "Изменилась цена", NOW)
    assert gone.files == old.files


def test_a_void_document_stays_as_it_was_voided(db: Database) -> None:
    document_id = save(db)
    with db.begin() as conn:
        assert not archive.void(conn, "other", document_id, "чужой", NOW)
        assert archive.void(conn, "main", document_id, "первая причина", NOW)
        assert not archive.void(conn, "main", document_id, "вторая причина", NOW)
        found = archive.by_id(conn, "main", document_id)
        assert archive.in_force(conn, "main", "1", "invoice") is None
    assert found is not None and found.void_reason == "первая причина"


def test_a_list_of_documents_does_not_carry_their_bytes(db: Database) -> None:
    save(db, content=b"a" * 1000)
    with db.read() as conn:
        (found,) = archive.issued_between(conn, "main", date(2026, 11, 24), date(2026, 11, 25))
        assert archive.issued_between(conn, "main", date(2026, 11, 25), date(2026, 12, 1)) == []
    assert [(file.format, file.content) for file in found.files] == [("pdf", b""), ("docx", b"")]
