"""Numbers and kept documents, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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


def test_every_series_year_and_account_counts_by_itself(db: Database) -> None:
    with db.begin() as conn:
        numbers = [
            archive.reserve_number(conn, *key)
            for key in (
                ("main", "invoice", 2026),
                ("main", "invoice", 2026),
                ("main", "contract", 2026),
                ("main", "invoice", 2027),
                ("other", "invoice", 2026),
            )
        ]
    assert numbers == [1, 2, 1, 1, 1]


def test_a_rolled_back_number_is_given_again(db: Database) -> None:
    with pytest.raises(RuntimeError), db.begin() as conn:
        assert archive.reserve_number(conn, "main", "invoice", 2026) == 1
        raise RuntimeError("crash before commit")
    with db.begin() as conn:
        assert archive.reserve_number(conn, "main", "invoice", 2026) == 1


def test_a_thousand_concurrent_numbers_have_no_doubles_and_no_holes(db: Database) -> None:
    def take(_: int) -> int:
        with db.begin() as conn:
            return archive.reserve_number(conn, "main", "invoice", 2026)

    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(take, range(1000)))
    assert sorted(numbers) == list(range(1, 1001))


def test_a_number_that_no_document_bears_is_known(db: Database) -> None:
    with db.begin() as conn:
        for _ in range(3):
            archive.reserve_number(conn, "main", "invoice/main", 2026)
    save(db, "a", ordinal=1)
    save(db, "c", ordinal=3)
    with db.read() as conn:
        assert archive.gaps(conn, "main", "invoice/main", 2026) == [2]
        assert archive.last_number(conn, "main", "invoice/main", 2026) == 3
