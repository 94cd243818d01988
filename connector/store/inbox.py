"""Raw events as received. The receiver commits a row here and its job in one transaction, then answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, select, update

from connector.domain import CrmEvent, EventKind
from connector.store.schema import inbox, refused_hooks
from connector.store.upsert import insert_new

InboxStatus = Literal["new", "done", "ignored"]
Source = Literal["webhook", "reconcile", "queue", "backfill", "hand"]

#: See `settled`.
LOST_AFTER = timedelta(days=1)
OFTEN_ENOUGH = 3


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One event. `received_at` is its latest delivery, `deliveries` how often it came; `event_at` is the
    CRM's word on when it happened or was sent."""

    id: int
    account: str
    kind: EventKind
    entity_id: str
    source: str
    status: InboxStatus
    note: str
    deliveries: int
    received_at: datetime
    processed_at: datetime | None
    event_at: datetime | None
    dedup: str


def receive(
    conn: Connection,
    account: str,
    event: CrmEvent,
    *,
    source: Source,
    payload: Mapping[str, Any],
    now: datetime,
    status: InboxStatus = "new",
) -> int:
    """Store an event; its row id. A repeat of one that is known opens the same row again and is counted.

    A repeat is not thrown away: with one-second time stamps two real changes can look the same, and reading
    a deal once too often costs less than missing a move.
    """
    row_id = insert_new(
        conn,
        inbox,
        {
            "account": account,
            "dedup": event.dedup,
            "kind": event.kind.value,
            "entity_id": event.entity_id,
            "source": source,
            "status": status,
            "note": event.note,
            "payload": dict(payload),
            "received_at": now,
            "event_at": event.at,
        },
    )
    if row_id is not None:
        return int(row_id)
    known = (inbox.c.account == account) & (inbox.c.dedup == event.dedup)
    conn.execute(
        update(inbox)
        .where(known)
        .values(status=status, deliveries=inbox.c.deliveries + 1, received_at=now, processed_at=None)
    )
    return int(conn.execute(select(inbox.c.id).where(known)).scalar_one())


def find(conn: Connection, row_id: int) -> InboxRow | None:
    """The event with that id, None when it was pruned."""
    row = conn.execute(select(inbox).where(inbox.c.id == row_id)).one_or_none()
    return _read(row) if row else None


def of_entity(conn: Connection, account: str, entity_id: str, limit: int = 50) -> list[InboxRow]:
    """The latest events about a deal, newest first."""
    statement = (
        select(inbox)
        .where(inbox.c.account == account, inbox.c.entity_id == entity_id, inbox.c.kind.like("deal.%"))
        .order_by(inbox.c.id.desc())
        .limit(limit)
    )
    return [_read(row) for row in conn.execute(statement)]


def settled(conn: Connection, account: str, dedups: Sequence[str], now: datetime) -> set[str]:
    """Those of `dedups` that need not be taken in again: they wait, or were worked off often enough.

    A CRM may show an old state right after a change, so a hint that cured nothing is given again; a few
    times, for its lists and its single answers may differ for good. One that waits for a day lost its job.
    """
    waits = (inbox.c.status == "new") & (inbox.c.received_at >= now - LOST_AFTER)
    statement = select(inbox.c.dedup).where(
        inbox.c.account == account,
        inbox.c.dedup.in_(dedups),
        waits | (inbox.c.deliveries >= OFTEN_ENOUGH),
    )
    return set(conn.execute(statement).scalars())


def waiting(conn: Connection, account: str, source: Source) -> int:
    """How many events of a source wait to be worked off."""
    statement = select(func.count()).where(
        inbox.c.account == account, inbox.c.status == "new", inbox.c.source == source
    )
    return int(conn.execute(statement).scalar_one())


def mark(conn: Connection, row: InboxRow, status: InboxStatus, now: datetime, note: str = "") -> None:
    """Say what became of an event, unless it was delivered again since `row` was read: then it is new."""
    values: dict[str, Any] = {"status": status, "processed_at": now}
    if note:
        values["note"] = note
    same = (inbox.c.id == row.id, inbox.c.deliveries == row.deliveries)
    conn.execute(update(inbox).where(*same).values(**values))


def count_refused(conn: Connection, account: str, reason: str, day: date) -> None:
    """Count a hook that was answered 400 or 403; nothing else of it is kept."""
    key = {"account": account, "day": day, "reason": reason}
    if insert_new(conn, refused_hooks, {**key, "count": 1}, returning="count") is None:
        same = [refused_hooks.c[name] == value for name, value in key.items()]
        conn.execute(update(refused_hooks).where(*same).values(count=refused_hooks.c.count + 1))


def counts(conn: Connection, account: str) -> dict[str, int]:
    """Number of events by status."""
    statement = (
        select(inbox.c.status, func.count().label("number"))
        .where(inbox.c.account == account)
        .group_by(inbox.c.status)
    )
    return {row.status: row.number for row in conn.execute(statement)}


def prune(conn: Connection, before: datetime) -> int:
    """Forget events that were worked off before a moment, with what they carried; how many."""
    over = inbox.c.status.in_(("done", "ignored")) & (inbox.c.received_at < before)
    return conn.execute(delete(inbox).where(over)).rowcount


def last_received_at(conn: Connection, account: str) -> datetime | None:
    """When the account's CRM last called us; None when it never did."""
    statement = (
        select(inbox.c.received_at)
        .where(inbox.c.account == account, inbox.c.source == "webhook")
        .order_by(inbox.c.received_at.desc())
        .limit(1)
    )
    return conn.execute(statement).scalar_one_or_none()


def refused(conn: Connection, since: date) -> list[tuple[str, str, int]]:
    """(account, reason, count) of refused hooks since a day."""
    statement = (
        select(refused_hooks.c.account, refused_hooks.c.reason, func.sum(refused_hooks.c.count))
        .where(refused_hooks.c.day >= since)
        .group_by(refused_hooks.c.account, refused_hooks.c.reason)
        .order_by(refused_hooks.c.account, refused_hooks.c.reason)
    )
    return [(account, reason, int(count)) for account, reason, count in conn.execute(statement)]


def _read(row: Any) -> InboxRow:
    return InboxRow(
        row.id,
        row.account,
        EventKind(row.kind),
        row.entity_id,
        row.source,
        row.status,
        row.note,
        row.deliveries,
        row.received_at,
        row.processed_at,
        row.event_at,
        row.dedup,
    )
