"""Revisions and metadata say the same, on both databases, however many processes upgrade at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from connector.store.database import Database
from connector.store.schema import metadata

UPGRADE = "import sys; from connector.store.database import Database; Database(sys.argv[1]).upgrade()"


def normalised(sql: str) -> str:
    return " ".join(sql.replace('"', "").split()).replace("( ", "(").replace(" )", ")").replace(" ,", ",")


def shape(db: Database) -> set[str]:
    """Every table, column, index and constraint as the database itself describes it."""
    if db.dialect == "sqlite":
        queries = [
            """SELECT sql FROM sqlite_master
                WHERE sql IS NOT NULL AND name <> 'alembic_version' AND type <> 'trigger'"""
        ]
    else:
        own = "<> 'alembic_version'"
        queries = [
            f"""SELECT concat_ws(' ', table_name, column_name, ordinal_position, data_type, is_nullable,
                    character_maximum_length, coalesce(column_default, '-'))
                FROM information_schema.columns WHERE table_schema = 'public' AND table_name {own}""",
            f"SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename {own}",
            f"""SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
                FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text {own}""",
        ]
    with db.read() as conn:
        return {normalised(row) for query in queries for row in conn.execute(text(query)).scalars()}


def check_agreement(migrated: Database, made: Database) -> None:
    with made.begin() as conn:
        metadata.create_all(conn)
    # The database's own description also holds what autogenerate does not compare: conditions of partial
    # indexes, server defaults, AUTOINCREMENT.
    assert shape(migrated) == shape(made)
    with migrated.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_revisions_make_the_tables_of_the_metadata_on_sqlite(tmp_path: Path) -> None:
    migrated = Database(f"sqlite:///{tmp_path}/migrated.db")
    made = Database(f"sqlite:///{tmp_path}/made.db")
    migrated.upgrade()
    check_agreement(migrated, made)
    migrated.close()
    made.close()


@pytest.mark.postgres
def test_revisions_make_the_tables_of_the_metadata_on_postgresql(
    postgres_url: str, empty_postgres_url: str
) -> None:
    migrated, made = Database(postgres_url), Database(empty_postgres_url)
    check_agreement(migrated, made)
    migrated.close()
    made.close()


def check_race(url: str) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, url], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    db = Database(url)
    db.upgrade()
    with db.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM alembic_version")).scalar_one() == 1
    db.close()


def test_several_processes_upgrade_sqlite_at_once(tmp_path: Path) -> None:
    check_race(f"sqlite:///{tmp_path}/connector.db")


@pytest.mark.postgres
def test_several_processes_upgrade_postgresql_at_once(empty_postgres_url: str) -> None:
    check_race(empty_postgres_url)


FACTS = ("deals", "stage_changes", "calls", "meetings", "messages", "tasks", "invoices")


def test_every_change_of_a_fact_is_listed(db: Database) -> None:
    """A revision that makes one of these tables anew loses its triggers on SQLite: it must make them too."""
    if db.dialect == "sqlite":
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    with db.read() as conn:
        found = set(conn.execute(text(query)).scalars())
    assert found == {f"note_{table}_{event}" for table in FACTS for event in ("insert", "update", "delete")}
