"""Calls, meetings, messages, tasks and invoices as facts: each is one row, overwritten when it is seen anew.

What has no deal of its own belongs to the deal that its client had at that moment; what belongs to no deal is
kept without one. Written by backfill and by the reading of activities only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Table, select, update

from connector.domain import Activity, ActivityKind, CrmTask, Direction
from connector.store.schema import calls, deal_links, deals, invoices, meetings, messages, tasks
from connector.store.upsert import upsert

#: A deal that was made from a call or a letter is younger than that by so much at most.
MADE_FROM: Final = timedelta(minutes=5)

#: Tables of what may vanish from the CRM, by the name of their key.
TABLES: Final[Mapping[str, Table]] = {
    "call_id": calls,
    "meeting_id": meetings,
    "message_id": messages,
    "task_id": tasks,
}

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of a page: `read` = `new` + `known` + what is no fact (notes, plans to call)."""

    read: int
    new: int
    known: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A fact that may have vanished from the CRM. `key` names its table in `TABLES`."""

    key: str
    id: str


def save_activities(conn: Connection, account: str, found: Sequence[Activity]) -> Saved:
    """Store what counts of `found`; what no longer counts (a call that is planned anew) is taken back."""
    owners = _deals_of_clients(conn, account, [one for one in found if not one.deal_ids])
    rows: dict[str, list[dict[str, Any]]] = {key: [] for key in TABLES}
    undone: dict[str, list[str]] = {key: [] for key in TABLES}
    for one in found:
        key, row = _row_of(one)
        if not key:
            continue
        if row is None:
            undone[key].append(one.id)
            continue
        deal_id = one.deal_ids[0] if one.deal_ids else owners.get(one.id)
        own = {"account": account, key: one.id, "deal_id": deal_id, "manager_id": one.responsible_id}
        rows[key].append({**own, **row, "is_deleted": False})
    new = known = 0
    for key, some in rows.items():
        saved = _save(conn, account, key, some)
        new, known = new + saved.new, known + saved.known
    for key, ids in undone.items():
        mark_gone(conn, account, [Kept(key, one) for one in ids])
    return Saved(len(found), new, known)


def save_tasks(conn: Connection, account: str, found: Sequence[CrmTask]) -> Saved:
    """Store tasks; those that are meetings are activities and left out."""
    rows = [
        {
            "account": account,
            "task_id": one.id,
            "deal_id": one.deal_id,
            "manager_id": one.responsible_id,
            "created_at": one.created_at,
            "due_at": one.due_at,
            "completed_at": one.completed_at,
            "is_deleted": False,
        }
        for one in found
        if not one.is_meeting
    ]
    saved = _save(conn, account, "task_id", rows)
    return Saved(len(found), saved.new, saved.known)


def mark_gone(conn: Connection, account: str, gone: Sequence[Kept]) -> int:
    """Mark what the CRM no longer has; how many of it we had."""
    changed = 0
    for key, table in TABLES.items():
        ids = [one.id for one in gone if one.key == key]
        for start in range(0, len(ids), _BATCH):
            mine = (table.c.account == account, table.c[key].in_(ids[start : start + _BATCH]))
            statement = update(table).where(*mine, table.c.is_deleted.is_(False)).values(is_deleted=True)
            changed += conn.execute(statement).rowcount
    return changed


def find(conn: Connection, account: str, ids: Sequence[str]) -> list[Kept]:
    """The living facts among these ids."""
    return [
        Kept(key, row_id)
        for key, table in TABLES.items()
        for row_id in conn.execute(
            select(table.c[key]).where(
                table.c.account == account, table.c[key].in_(ids), table.c.is_deleted.is_(False)
            )
        ).scalars()
    ]


def portion(
    conn: Connection, account: str, key: str, *, after: str, limit: int, since: datetime
) -> list[Kept]:
    """The next `limit` living facts of a table by id above `after`, made at or after `since`."""
    table = TABLES[key]
    at = table.c.at if "at" in table.c else table.c.created_at
    statement = (
        select(table.c[key])
        .where(table.c.account == account, table.c[key] > after, at >= since, table.c.is_deleted.is_(False))
        .order_by(table.c[key])
        .limit(limit)
    )
    return [Kept(key, row_id) for row_id in conn.execute(statement).scalars()]


def orphans(conn: Connection, account: str, limit: int) -> list[str]:
    """Ids of up to `limit` deals that living facts name and that we do not know."""
    found: dict[str, None] = {}
    for table in (*TABLES.values(), invoices):
        is_known = (deals.c.account == table.c.account) & (deals.c.deal_id == table.c.deal_id)
        statement = (
            select(table.c.deal_id)
            .outerjoin(deals, is_known)
            .where(table.c.account == account, table.c.is_deleted.is_(False))
            .where(table.c.deal_id.is_not(None), deals.c.deal_id.is_(None))
            .distinct()
            .limit(limit - len(found))
        )
        found.update(dict.fromkeys(conn.execute(statement).scalars()))
        if len(found) >= limit:
            break
    return list(found)


def mark_deals_gone(conn: Connection, account: str, deal_ids: Sequence[str], *, gone: bool = True) -> None:
    """Mark all facts of deals that the CRM does not have, or take the mark back."""
    for table in (*TABLES.values(), invoices):
        for start in range(0, len(deal_ids), _BATCH):
            mine = (table.c.account == account, table.c.deal_id.in_(deal_ids[start : start + _BATCH]))
            other = table.c.is_deleted.is_not(gone)
            conn.execute(update(table).where(*mine, other).values(is_deleted=gone))


def _row_of(one: Activity) -> tuple[str, dict[str, Any] | None]:
    """(key of its table, its own columns); ("", None) for what is never a fact, columns None for what is none
    as it stands."""
    if one.kind is ActivityKind.CALL:
        return "call_id", None if one.happened_at is None else _call(one, one.happened_at)
    if one.kind is ActivityKind.MEETING:
        status = "cancelled" if one.is_cancelled else "planned" if one.happened_at is None else "held"
        return "meeting_id", {
            "created_at": one.created_at,
            "planned_at": one.planned_at,
            "held_at": one.happened_at,
            "status": status,
        }
    if one.kind in (ActivityKind.MESSAGE, ActivityKind.EMAIL):
        is_fact = one.happened_at is not None and one.direction is not None
        return "message_id", {"at": one.happened_at, "direction": one.direction} if is_fact else None
    return "", None


def _call(one: Activity, at: datetime) -> dict[str, Any]:
    """Where nobody says whether a call was answered it was a talk: a person wrote it down as one."""
    answered = one.answered if one.answered is not None else True
    direction = one.direction or Direction.OUT
    return {"at": at, "direction": direction, "answered": answered, "duration_s": one.duration_s or 0}


def _save(conn: Connection, account: str, key: str, rows: Sequence[dict[str, Any]]) -> Saved:
    """Insert or overwrite rows of one table; of several of one id the last."""
    unique = list({row[key]: row for row in rows}.values())
    known = write_changed(conn, account, TABLES[key], key, unique)
    return Saved(len(rows), len(unique) - known, known)


def write_changed(
    conn: Connection, account: str, table: Table, key: str, rows: Sequence[Mapping[str, Any]]
) -> int:
    """Write those rows that are not stored as they are; how many ids were known.

    Readings overlap, and whoever follows the facts hears of every row that is written.
    """
    known = 0
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        mine = (table.c.account == account, table.c[key].in_([row[key] for row in some]))
        stored = {row[key]: row for row in conn.execute(select(table).where(*mine)).mappings()}
        known += len(stored)
        changed = [
            row
            for row in some
            if (found := stored.get(row[key])) is None
            or any(found[name] != value for name, value in row.items())
        ]
        upsert(conn, table, changed)
    return known


def _deals_of_clients(conn: Connection, account: str, found: Sequence[Activity]) -> dict[str, str]:
    """For activities of clients alone: which of their deals each belongs to, by activity.

    A contact's deals come before its company's. It is the newest deal that was there, or was made within
    `MADE_FROM` after it, and had not been closed by then; where all had, the newest.
    """
    clients = {("contact", one) for activity in found for one in activity.contact_ids}
    clients |= {("company", one) for activity in found for one in activity.company_ids}
    known = _client_deals(conn, account, clients)
    result = {}
    for activity in found:
        at = activity.happened_at or activity.created_at
        of_contacts = [row for one in activity.contact_ids for row in known.get(("contact", one), ())]
        of_companies = [row for one in activity.company_ids for row in known.get(("company", one), ())]
        for rows in (of_contacts, of_companies):
            there = [row for row in rows if row.created_at <= at + MADE_FROM]
            living = [row for row in there if row.closed_at is None or row.closed_at > at]
            if living or there:
                best = max(living or there, key=lambda row: (row.created_at, row.deal_id))
                result[activity.id] = best.deal_id
                break
    return result


def _client_deals(
    conn: Connection, account: str, clients: set[tuple[str, str]]
) -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], list[Any]] = {}
    for entity in ("contact", "company"):
        ids = sorted(one for kind, one in clients if kind == entity)
        for start in range(0, len(ids), _BATCH):
            statement = (
                select(deal_links.c.entity_id, deals.c.deal_id, deals.c.created_at, deals.c.closed_at)
                .join(
                    deals,
                    (deals.c.account == deal_links.c.account) & (deals.c.deal_id == deal_links.c.deal_id),
                )
                .where(deal_links.c.account == account, deal_links.c.entity == entity)
                .where(deal_links.c.entity_id.in_(ids[start : start + _BATCH]))
                .where(deals.c.is_deleted.is_(False), deals.c.is_service.is_(False))
            )
            for row in conn.execute(statement):
                found.setdefault((entity, row.entity_id), []).append(row)
    return found
