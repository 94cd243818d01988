"""Keeps the facts of calls, meetings, messages, tasks and invoices up with the CRM.

Each reading takes everything that changed since the one before, so a hook only says that it is time for one,
and a hook that was lost costs nothing but time. No rule is asked about any of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from connector.batches import pages
from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.domain import CrmEvent, EventKind
from connector.store import activities, cursors, facts, invoices
from connector.store.activities import TABLES, Kept
from connector.store.database import Database
from connector.store.jobs import BACKGROUND, Job, JobQueue

#: The job, and the name of the cursor: {"until": ISO moment, "began": ISO moment}.
ACTIVITIES: Final = "activities"

#: What was deleted, as hooks tell it: the CRM is asked whether it is.
GONE: Final = "activities_gone"

#: A change may show in a list a little after it was made, and clocks differ.
OVERLAP: Final = timedelta(minutes=10)

#: Hooks of one call or one robot come in bunches: one reading covers them all, and no two begin within less.
GATHER: Final = timedelta(seconds=1)
APART: Final = timedelta(seconds=10)

#: Facts of each table that one reading asks after, by turns; older ones are taken for there.
PORTION: Final = 100
MAY_VANISH: Final = timedelta(days=60)

_KINDS: Final = (EventKind.ACTIVITY_CHANGED, EventKind.ACTIVITY_DELETED)


class ActivityFeed:
    """Reads what is new (`read`, `check_gone`: job handlers); `wake` is told of hooks."""

    def __init__(self, db: Database, queue: JobQueue, clients: Mapping[str, CrmClient], clock: Clock) -> None:
        self._db = db
        self._queue = queue
        self._clients = clients
        self._clock = clock

    def wake(self, conn: Connection, account: str, events: Sequence[CrmEvent]) -> None:
        """Have read what these events hint at, in the transaction that stores them; other events are none of
        ours."""
        kinds = {event.kind for event in events}
        if kinds.isdisjoint(_KINDS):
            return
        gone = [
            one
            for event in events
            if event.kind is EventKind.ACTIVITY_DELETED
            for one in event.entity_id.split()
        ]
        if gone:
            self._queue.enqueue(conn, GONE, {"ids": gone}, account=account, queue=BACKGROUND)
        if EventKind.ACTIVITY_CHANGED not in kinds:
            return
        now = self._clock.now()
        began = (cursors.find(conn, account, ACTIVITIES) or {}).get("began")
        last = datetime.fromisoformat(began) if began else None
        run_at = now + GATHER if last is None else max(now + GATHER, last + APART)
        # One job for all hooks since a reading began: those that come while it reads are the next one's.
        self._queue.enqueue(
            conn,
            ACTIVITIES,
            {},
            account=account,
            queue=BACKGROUND,
            order_key=f"{account}:{ACTIVITIES}",
            run_at=run_at,
            dedup=f"{ACTIVITIES}:{account}:{began}",
        )

    def read(self, job: Job) -> None:
        """Job handler: `catch_up`; with invoices unless a hook woke it, for no hook tells of those."""
        self.catch_up(job.account, with_invoices=bool(job.args.get("invoices")))

    def catch_up(self, account: str, *, with_invoices: bool = True) -> int:
        """Read what changed since the last time; how many things were looked at.

        Raises CrmError or RetryLater; what was read by then stays, and the next reading begins where this
        one did.
        """
        started = self._clock.now()
        with self._db.begin() as conn:
            row = facts.account_row(conn, account)
            if row is None:
                return 0
            known = cursors.find(conn, account, ACTIVITIES) or {}
            cursors.save(conn, account, ACTIVITIES, {**known, "began": started.isoformat()}, started)
        number = self._read_since(account, _moment(known, "until", row.live_since) - OVERLAP)
        marks: dict[str, Any] = {"until": started.isoformat()}
        if with_invoices:
            since = _moment(known, "invoices_until", row.live_since) - OVERLAP
            number += self._read_invoices(account, since)
            marks["invoices_until"] = started.isoformat()
            self._sweep(account, started)
            self._sweep_orphans(account)
        with self._db.begin() as conn:
            now_known = cursors.find(conn, account, ACTIVITIES) or {}
            cursors.save(conn, account, ACTIVITIES, {**now_known, **marks}, self._clock.now())
        return number

    def check_gone(self, job: Job) -> None:
        """Job handler: mark as deleted what a hook called deleted and the CRM no longer has."""
        with self._db.read() as conn:
            known = activities.find(conn, job.account, job.args["ids"])
        self._mark_missing(job.account, known)

    def _read_since(self, account: str, since: datetime) -> int:
        client, number = self._clients[account], 0
        for page in pages(client.activities(since=since, brief=True)):
            with self._db.begin() as conn:
                number += activities.save_activities(conn, account, page).read
        for some in pages(client.tasks(since=since)):
            with self._db.begin() as conn:
                number += activities.save_tasks(conn, account, some).read
        return number

    def _read_invoices(self, account: str, since: datetime) -> int:
        number = 0
        for page in pages(self._clients[account].invoices(since=since)):
            with self._db.begin() as conn:
                number += invoices.save_invoices(conn, account, page).read
        with self._db.begin() as conn:
            invoices.settle_since(conn, account, since)
        return number

    def _sweep(self, account: str, now: datetime) -> None:
        """Ask whether a portion of what we know is still there: hooks of deletions get lost, and some things
        are deleted without any."""
        for key in TABLES:
            name = f"sweep:{key}"
            with self._db.read() as conn:
                cursor = cursors.find(conn, account, name) or {"after": ""}
                some = activities.portion(
                    conn, account, key, after=cursor["after"], limit=PORTION, since=now - MAY_VANISH
                )
            self._mark_missing(account, some)
            # A short portion is the end: the next one begins anew.
            after = some[-1].id if len(some) == PORTION else ""
            with self._db.begin() as conn:
                cursors.save(conn, account, name, {"after": after}, now)

    def _sweep_orphans(self, account: str) -> None:
        """Deals that facts name and we do not know: those that the CRM has not either were deleted with
        them; others are on their way."""
        with self._db.read() as conn:
            deal_ids = activities.orphans(conn, account, PORTION)
        if deal_ids:
            there = self._clients[account].existing(deal_ids)
            with self._db.begin() as conn:
                gone = [deal_id for deal_id in deal_ids if deal_id not in there]
                activities.mark_deals_gone(conn, account, gone)

    def _mark_missing(self, account: str, known: Sequence[Kept]) -> None:
        if not known:
            return
        there = self._clients[account].existing_activities([one.id for one in known])
        with self._db.begin() as conn:
            activities.mark_gone(conn, account, [one for one in known if one.id not in there])


def _moment(known: Mapping[str, Any], name: str, default: datetime) -> datetime:
    return datetime.fromisoformat(known[name]) if name in known else default
