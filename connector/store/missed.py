"""What webhooks did not tell in time: one row a change that comparing with the CRM has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from connector.store.schema import missed_hooks

#: A hook that comes so soon after the find was only slower than the comparison: nothing was missed.
IN_TIME = timedelta(minutes=2)

#: Bitrix24 says when it sent a hook, not when the change was made; both are whole seconds.
SENT_WITHIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Missed:
    """One find. kind: new | moved | changed | deleted | restored. `day`: of the find, in the account's zone;
    `changed_at` is by the CRM's clock."""

    deal_id: str
    kind: str
    day: date
    changed_at: datetime
    found_at: datetime


def add(conn: Connection, account: str, find: Missed) -> None:
    """Count a change as missed."""
    conn.execute(missed_hooks.insert().values(account=account, **asdict(find)))


def forgive(
    conn: Connection, account: str, deal_id: str, *, received_at: datetime, event_at: datetime | None
) -> int:
    """A hook told what was found already: take back what was counted just before it.

    A hook about something later, such as the echo of what we ourselves did after the find, takes nothing
    back; `event_at` is the hook's own word on when that was.
    """
    statement = delete(missed_hooks).where(
        missed_hooks.c.account == account,
        missed_hooks.c.deal_id == deal_id,
        missed_hooks.c.found_at >= received_at - IN_TIME,
        missed_hooks.c.changed_at >= (event_at or received_at) - SENT_WITHIN,
    )
    return conn.execute(statement).rowcount


def by_day(conn: Connection, account: str, since: date) -> dict[date, int]:
    """How many a local day since `since`; days without any are left out."""
    statement = (
        select(missed_hooks.c.day, func.count().label("number"))
        .where(missed_hooks.c.account == account, missed_hooks.c.day >= since)
        .group_by(missed_hooks.c.day)
    )
    return {row.day: int(row.number) for row in conn.execute(statement)}


def of_deal(conn: Connection, account: str, deal_id: str) -> list[Missed]:
    """What was missed about a deal, oldest first."""
    statement = (
        select(missed_hooks)
        .where(missed_hooks.c.account == account, missed_hooks.c.deal_id == deal_id)
        .order_by(missed_hooks.c.id)
    )
    return [
        Missed(row.deal_id, row.kind, row.day, row.changed_at, row.found_at)
        for row in conn.execute(statement)
    ]


def prune(conn: Connection, before: date) -> int:
    """Forget days before `before`; how many changes went."""
    return conn.execute(delete(missed_hooks).where(missed_hooks.c.day < before)).rowcount
