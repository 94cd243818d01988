"""Numbers of documents: each once, in order, and every hole explained; on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from connector.store import numbers, outbox
from connector.store.database import Database
from tests.store.test_archive import NOW, save


def test_every_series_year_and_account_counts_by_itself(db: Database) -> None:
    with db.begin() as conn:
        given = [
            numbers.reserve(conn, *key, "deal:1:rule", NOW)
            for key in (
                ("main", "invoice", 2026),
                ("main", "invoice", 2026),
                ("main", "contract", 2026),
                ("main", "invoice", 2027),
                ("other", "invoice", 2026),
            )
        ]
    assert given == [1, 2, 1, 1, 1]


def test_a_rolled_back_number_is_given_again(db: Database) -> None:
    with pytest.raises(RuntimeError), db.begin() as conn:
        assert numbers.reserve(conn, "main", "invoice", 2026, "deal:1:rule", NOW) == 1
        raise RuntimeError("crash before commit")
    with db.begin() as conn:
        assert numbers.reserve(conn, "main", "invoice", 2026, "deal:1:rule", NOW) == 1


def test_a_thousand_concurrent_numbers_have_no_doubles_and_no_holes(db: Database) -> None:
    def take(_: int) -> int:
        with db.begin() as conn:
            return numbers.reserve(conn, "main", "invoice", 2026, "deal:1:rule", NOW)

    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(take, range(1000)))
    assert sorted(given) == list(range(1, 1001))


def test_a_number_that_no_document_bears_is_explained_by_its_effect(db: Database) -> None:
    with db.begin() as conn:
        for key in ("a", "b", "c", "d"):
            numbers.reserve(conn, "main", "invoice/main", 2026, key, NOW)
            if key != "d":
                outbox.add(
                    conn,
                    account="main",
                    key=key,
                    rule="Счёт",
                    action="document",
                    params={"kind": "invoice"},
                    deal_id="7",
                    now=NOW,
                )
        effect = outbox.by_key(conn, "main", "b")
        assert effect is not None
        outbox.bury(conn, effect, "шаблон не нарисовался", NOW)
    save(db, "a", ordinal=1)
    save(db, "c", ordinal=3)
    with db.read() as conn:
        found = numbers.gaps(conn, "main", NOW, NOW + timedelta(seconds=1))
        assert numbers.gaps(conn, "main", NOW + timedelta(seconds=1), NOW + timedelta(days=1)) == []
        assert numbers.gaps(conn, "other", NOW, NOW + timedelta(seconds=1)) == []
        assert numbers.last(conn, "main", "invoice/main", 2026) == 4
    assert [(gap.ordinal, gap.deal_id, gap.kind, gap.status, gap.error) for gap in found] == [
        (2, "7", "invoice", "dead", "шаблон не нарисовался"),
        (4, None, "invoice", None, None),
    ]
