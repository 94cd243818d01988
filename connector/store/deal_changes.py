"""What befell deals besides stage changes: another owner or pipeline, deletion, return, merge. Own history.

Written by intake and backfill only; a row is never changed once it is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, select

from connector.domain import Deal, StageChange
from connector.store.facts import DealRow
from connector.store.schema import deal_changes
from connector.store.upsert import upsert

ChangeKind = Literal["owner", "pipeline", "deleted", "restored", "merged"]

#: Start of the note of a hint that says which deal the one that it names took in.
TOOK_IN = "объединена со сделкой "


@dataclass(frozen=True, slots=True)
class DealChange:
    """`before`, `after`: ids of users or pipelines; `after` of a merged deal is the one that took it in.

    `event_id` is equal for the same change however often it is seen.
    """

    event_id: str
    deal_id: str
    at: datetime
    kind: ChangeKind
    before: str | None = None
    after: str | None = None
    changed_by: str | None = None


def of_deal(known: DealRow | None, deal: Deal) -> list[DealChange]:
    """What a deal, read now, shows beside what we knew: its moment is that of the deal's last change."""
    if known is None:
        return []
    found: list[DealChange] = []
    at, by = deal.updated_at, deal.changed_by
    if known.is_deleted:
        found.append(DealChange(_id("restored", deal.id, at), deal.id, at, "restored", changed_by=by))
    if known.responsible_id != deal.responsible_id:
        own_id = _id("owner", deal.id, at)
        owners = known.responsible_id, deal.responsible_id
        found.append(DealChange(own_id, deal.id, at, "owner", *owners, changed_by=by))
    return found


def of_moves(moves: Iterable[StageChange]) -> list[DealChange]:
    """Moves that led to another pipeline."""
    return [
        DealChange(
            _pipeline_id(move),
            move.deal_id,
            move.at,
            "pipeline",
            move.from_pipeline_id,
            move.to_pipeline_id,
            move.changed_by,
        )
        for move in moves
        if move.from_pipeline_id and move.from_pipeline_id != move.to_pipeline_id
    ]


def of_deletion(deal_id: str, at: datetime) -> DealChange:
    return DealChange(_id("deleted", deal_id, at), deal_id, at, "deleted")


def of_merge(deal_id: str, at: datetime, into: str) -> DealChange:
    """The deal was swallowed by another one; that it is gone is a change of its own."""
    return DealChange(_id("merged", deal_id, at), deal_id, at, "merged", after=into)


def save(conn: Connection, account: str, changes: Sequence[DealChange]) -> None:
    """Store changes; known ones stay as they are."""
    rows = [
        {
            "account": account,
            "event_id": one.event_id,
            "deal_id": one.deal_id,
            "at": one.at,
            "kind": one.kind,
            "from_value": one.before,
            "to_value": one.after,
            "changed_by": one.changed_by,
        }
        for one in changes
    ]
    upsert(conn, deal_changes, rows, keep=[column.name for column in deal_changes.c])


def forget_move(conn: Connection, account: str, move: StageChange) -> None:
    """A move that was seen turned out to be another one."""
    mine = (deal_changes.c.account == account, deal_changes.c.event_id == _pipeline_id(move))
    conn.execute(delete(deal_changes).where(*mine))


def of(conn: Connection, account: str, deal_id: str) -> list[DealChange]:
    """What befell a deal, oldest first."""
    statement = (
        select(deal_changes)
        .where(deal_changes.c.account == account, deal_changes.c.deal_id == deal_id)
        .order_by(deal_changes.c.at, deal_changes.c.event_id)
    )
    return [
        DealChange(row.event_id, row.deal_id, row.at, row.kind, row.from_value, row.to_value, row.changed_by)
        for row in conn.execute(statement)
    ]


def _id(what: str, deal_id: str, at: datetime) -> str:
    return f"{what}:{deal_id}:{at:%Y%m%d%H%M%S}"[:80]


def _pipeline_id(move: StageChange) -> str:
    return f"pipeline:{move.event_id}"[:80]
