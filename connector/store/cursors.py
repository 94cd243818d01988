"""Where long readings go on after a stop: one small JSON value a name, written with what was read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from connector.store.schema import cursors
from connector.store.upsert import insert_new, upsert


def find(conn: Connection, account: str, name: str) -> dict[str, Any] | None:
    """What was kept last under that name; None before the first time."""
    statement = select(cursors.c.value).where(cursors.c.account == account, cursors.c.name == name)
    value: dict[str, Any] | None = conn.execute(statement).scalar_one_or_none()
    return value


def save(conn: Connection, account: str, name: str, value: Mapping[str, Any], now: datetime) -> None:
    upsert(conn, cursors, [{"account": account, "name": name, "value": dict(value), "updated_at": now}])


def begin(conn: Connection, account: str, name: str, value: Mapping[str, Any], now: datetime) -> bool:
    """Keep a value where there is none; False when there is: of several processes one gets True."""
    row = {"account": account, "name": name, "value": dict(value), "updated_at": now}
    return insert_new(conn, cursors, row, returning="account") is not None


def take(conn: Connection, account: str, name: str) -> dict[str, Any] | None:
    """Drop what was kept and give it to this caller alone; None when there is nothing (any more)."""
    mine = delete(cursors).where(cursors.c.account == account, cursors.c.name == name)
    value: dict[str, Any] | None = conn.execute(mine.returning(cursors.c.value)).scalar_one_or_none()
    return value


def drop(conn: Connection, account: str, name: str) -> None:
    conn.execute(delete(cursors).where(cursors.c.account == account, cursors.c.name == name))
