"""Alarms of a week: opened once, closed once, put off by a person, with the answer to «почему»."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import Connection, select, update

from connector.store.schema import alarms
from connector.store.upsert import insert_new

CloseReason = Literal["recovered", "week_over"]


@dataclass(frozen=True, slots=True)
class Alarm:
    """One row. `person` is a user's id or `all`; `detail` holds the numbers as they stood last."""

    id: int
    account: str
    week: date
    kind: str
    person: str
    metric: str
    detail: Mapping[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    snoozed_until: date | None
    ask_key: str
    answer: str | None
    answered_at: datetime | None


def open_or_update(
    conn: Connection,
    *,
    account: str,
    week: date,
    kind: str,
    person: str,
    metric: str,
    detail: Mapping[str, Any],
    now: datetime,
) -> Alarm | None:
    """The alarm when it is new; None for one that is there, whose numbers are brought up to date.

    One that was closed is open again: its reason was asked for already.
    """
    key = {"account": account, "week": week, "kind": kind, "person": person, "metric": metric}
    ask_key = f"alarm:{week}:{kind}:{person}:{metric}"
    found = insert_new(conn, alarms, {**key, "detail": dict(detail), "opened_at": now, "ask_key": ask_key})
    if found is not None:
        return by_id(conn, account, found)
    mine = [alarms.c[name] == value for name, value in key.items()]
    conn.execute(update(alarms).where(*mine).values(detail=dict(detail), closed_at=None, close_reason=None))
    return None


def by_id(conn: Connection, account: str, alarm_id: int) -> Alarm | None:
    """The alarm of that number; None when the account has none."""
    row = conn.execute(
        select(alarms).where(alarms.c.account == account, alarms.c.id == alarm_id)
    ).one_or_none()
    return None if row is None else Alarm(**row._mapping)


def still_open(conn: Connection, account: str) -> list[Alarm]:
    """Alarms that are not closed, snoozed ones too, the oldest first."""
    rows = conn.execute(
        select(alarms).where(alarms.c.account == account, alarms.c.closed_at.is_(None)).order_by(alarms.c.id)
    )
    return [Alarm(**row._mapping) for row in rows]


def since(conn: Connection, account: str, week: date) -> list[Alarm]:
    """Alarms of that week and later, the oldest first."""
    rows = conn.execute(
        select(alarms).where(alarms.c.account == account, alarms.c.week >= week).order_by(alarms.c.id)
    )
    return [Alarm(**row._mapping) for row in rows]


def unanswered(conn: Connection, account: str, week: date) -> list[Alarm]:
    """Alarms of that week and later whose question has no answer yet."""
    return [alarm for alarm in since(conn, account, week) if alarm.answered_at is None]


def close(conn: Connection, alarm: Alarm, reason: CloseReason, now: datetime) -> None:
    _change(conn, alarm, closed_at=now, close_reason=reason)


def snooze(conn: Connection, alarm: Alarm, until: date | None) -> None:
    """Nobody is told of it before that day; None: told again."""
    _change(conn, alarm, snoozed_until=until)


def answer(conn: Connection, alarm: Alarm, text: str, at: datetime) -> None:
    """What the person wrote, "" for a question that was closed without a word."""
    _change(conn, alarm, answer=text, answered_at=at)


def _change(conn: Connection, alarm: Alarm, **values: Any) -> None:
    conn.execute(update(alarms).where(alarms.c.id == alarm.id).values(**values))
