"""Connections and transactions, and what the two databases have in common."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from connector.errors import ConfigError
from connector.store.database import Database, after_commit
from connector.store.schema import rate_limits


def keys(db: Database) -> list[str]:
    with db.read() as conn:
        return list(conn.execute(select(rate_limits.c.key).order_by(rate_limits.c.key)).scalars())


def test_an_exception_rolls_the_block_back(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.begin() as conn:
        conn.execute(insert(rate_limits).values(key="a", tat_us=1))
        raise ZeroDivisionError
    with db.begin() as conn:
        conn.execute(insert(rate_limits).values(key="b", tat_us=1))
    assert keys(db) == ["b"]


def test_a_read_connection_cannot_write(db: Database) -> None:
    with pytest.raises(DBAPIError), db.read() as conn:
        conn.execute(insert(rate_limits).values(key="a", tat_us=1))
    # The same pooled connection may write again afterwards.
    with db.begin() as conn:
        conn.execute(insert(rate_limits).values(key="b", tat_us=1))
    assert keys(db) == ["b"]


def test_a_second_transaction_inside_the_first_is_refused(db: Database) -> None:
    with db.begin() as conn:
        conn.execute(insert(rate_limits).values(key="a", tat_us=1))
        with pytest.raises(RuntimeError, match="pass its connection on"), db.begin():
            pass
    assert keys(db) == ["a"]
    with db.begin():
        pass


def test_callbacks_run_after_the_commit_and_only_then(db: Database) -> None:
    seen: list[list[str]] = []
    with db.begin() as conn:
        after_commit(conn, lambda: seen.append(keys(db)))
        conn.execute(insert(rate_limits).values(key="a", tat_us=1))
        assert seen == []
    assert seen == [["a"]]
    with pytest.raises(ZeroDivisionError), db.begin() as conn:
        after_commit(conn, lambda: seen.append(["rolled back"]))
        raise ZeroDivisionError
    with db.begin():
        pass
    assert seen == [["a"]]


def test_writers_of_many_threads_wait_for_each_other(db: Database) -> None:
    with db.begin() as conn:
        conn.execute(insert(rate_limits).values(key="n", tat_us=0))

    def add() -> None:
        for _ in range(10):
            with db.begin() as conn:
                # Read, then write: on SQLite only a transaction begun as a writer survives this.
                row = select(rate_limits.c.tat_us).with_for_update()
                number = conn.execute(row).scalar_one()
                conn.execute(rate_limits.update().values(tat_us=number + 1))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as conn:
        assert conn.execute(select(rate_limits.c.tat_us)).scalar_one() == 60


def test_sqlite_makes_its_folder_and_survives_a_power_cut(tmp_path: Path, untrusted_machine: None) -> None:
    db = Database(f"sqlite:///{tmp_path}/var/deep/connector.db")
    with db.begin() as conn:
        pragmas = {
            name: conn.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    db.close()
    # synchronous 2 is FULL: a committed transaction is on the disk.
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000}


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("postgres://user:hidden@db.example/connector", "postgresql"),
        ("postgresql://user:hidden@db.example/connector", "postgresql"),
        ("postgresql+psycopg://user:hidden@db.example/connector", "postgresql"),
    ],
)
def test_usual_addresses_of_postgresql_are_taken_and_the_password_is_not_shown(
    url: str, dialect: str
) -> None:
    db = Database(url)
    assert db.dialect == dialect
    assert "hidden" not in repr(db)
    assert "postgresql+psycopg://user" in repr(db)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite://", "в файле"),
        ("sqlite:///:memory:", "в файле"),
        ("mysql://user:hidden@db.example/connector", "mysql"),
        ("not an address: hidden", "не адрес"),
    ],
)
def test_other_addresses_are_refused_by_name_of_the_variable(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert [problem.place for problem in caught.value.problems] == ["DATABASE_URL"]
    assert message in str(caught.value)
    assert "hidden" not in str(caught.value)
