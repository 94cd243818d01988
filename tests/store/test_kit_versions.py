"""Kits that documents were made with, on both databases."""

from __future__ import annotations

from sqlalchemy import func, select

from connector.store import kit_versions
from connector.store.database import Database
from connector.store.schema import kit_files
from tests.store.test_archive import NOW

FONT = bytes(range(256)) * 100


def test_a_kit_comes_back_and_a_file_of_two_kits_is_kept_once(db: Database) -> None:
    old = {"fonts/a.ttf": FONT, "documents/invoice.html": b"<p>old"}
    new = {"fonts/a.ttf": FONT, "documents/invoice.html": b"<p>new", "documents/copy.ttf": FONT}
    with db.begin() as conn:
        assert not kit_versions.is_kept(conn, "main", "1" * 64)
        kit_versions.keep(conn, "main", "1" * 64, old, NOW)
        kit_versions.keep(conn, "main", "2" * 64, new, NOW)
        kit_versions.keep(conn, "main", "2" * 64, new, NOW)
    with db.read() as conn:
        assert kit_versions.is_kept(conn, "main", "1" * 64)
        assert kit_versions.files_of(conn, "main", "1" * 64) == old
        assert kit_versions.files_of(conn, "main", "2" * 64) == new
        assert kit_versions.files_of(conn, "other", "2" * 64) is None
        assert conn.execute(select(func.count()).select_from(kit_files)).scalar_one() == 3
