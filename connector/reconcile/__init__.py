"""Compare the CRM with what we have and hint at every difference: a lost webhook makes no difference.

Only hints are made here. What follows from a difference is intake's business, the same as for a webhook.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.intake import Intake
from connector.reconcile.differences import Difference, Kind, Plan, in_order
from connector.reconcile.reading import Looked, Reading
from connector.store import cursors, facts, inbox
from connector.store.database import Database
from connector.store.facts import AccountRow, Which

__all__ = ["LAST", "OVERLAP", "Difference", "Kind", "Plan", "Reconcile", "Reconciled"]

log = logging.getLogger(__name__)

#: A change may show in a list a little after it was made, and clocks differ.
OVERLAP = timedelta(minutes=10)

#: Changes as young as this are left to their webhooks, which are on their way, and to the next run.
GRACE = timedelta(seconds=15)

#: A run by schedule takes in so many differences at most, those that still wait included; the rest is the
#: next run's. By hand as many may change, or a part of the deals that we know, whichever is more.
AT_MOST = 500
SHARE = 0.3

#: The name under which the last run's outcome is kept.
LAST = "reconcile"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """`checked` deals were compared, `differing` of them were taken in. `has_more`: there was more than one
    run may take, and the next one goes on."""

    checked: int
    differing: int
    has_more: bool = False


@dataclass(slots=True)
class _Run:
    """What a run under way has compared and taken in."""

    checked: int = 0
    taken: int = 0


class Reconcile:
    """Repairs what webhooks missed."""

    def __init__(self, db: Database, clients: Mapping[str, CrmClient], intake: Intake, clock: Clock) -> None:
        self._db = db
        self._clients = clients
        self._intake = intake
        self._clock = clock

    def run(self, account: str, *, grace: timedelta = GRACE) -> Reconciled:
        """Compare what changed since the last run and take in what differs, in bounded portions.

        Raises CrmError or RetryLater; what was taken in by then stays, and the next run begins where this one
        did, so nothing is lost.
        """
        started = self._clock.now()
        row = self._row(account)
        if row is None:
            return Reconciled(0, 0)
        self._empty_queue(account)
        with self._db.read() as conn:
            room = max(0, AT_MOST - inbox.waiting(conn, account, "reconcile"))
        run = _Run()
        reading = self._reading(row, started - grace)
        # Half of the room is kept for what is gone until that is looked for: a long import without hooks
        # would otherwise keep deletions waiting as long as it lasts. What is left goes to changes again.
        changes = self._take_some(account, run, reading.changes(), room - room // 2)
        absences = self._take_some(account, run, reading.absences(), room)
        changes = self._take_some(account, run, changes, room) if changes else None
        has_more = changes is not None or absences is not None
        outcome = Reconciled(run.checked, run.taken, has_more)
        self._conclude(account, outcome, started, until=None if has_more else started - grace)
        return outcome

    def plan(self, account: str) -> Plan:
        """Everything that differs now; nothing is changed. Raises CrmError or RetryLater."""
        row = self._row(account)
        looked: list[Looked] = []
        if row is not None:
            reading = self._reading(row, self._clock.now())
            looked = [*reading.changes(), *reading.absences()]
        with self._db.read() as conn:
            known = facts.count_deals(conn, account)
        return Plan(
            account,
            checked=sum(page.checked for page in looked),
            known=known,
            differences=in_order([one for page in looked for one in page.found]),
        )

    def apply(self, plan: Plan, *, force: bool = False) -> int:
        """Take in what a plan shows; how many deals. Raises PlanTooLarge unless `force`."""
        if not force:
            plan.check_size(least=AT_MOST, share=SHARE)
        self._empty_queue(plan.account)
        self._take(plan.account, plan.differences)
        return len(plan.differences)

    def _row(self, account: str) -> AccountRow | None:
        with self._db.read() as conn:
            return facts.account_row(conn, account)

    def _reading(self, row: AccountRow, until: datetime) -> Reading:
        since = (row.reconciled_until or row.live_since) - OVERLAP
        client, now = self._clients[row.account], self._clock.now()
        return Reading(self._db, client, row, since=since, until=until, now=now)

    def _empty_queue(self, account: str) -> None:
        """Take over events that the CRM kept for us, at most `AT_MOST` beside those that wait here already;
        it may drop them once they are stored. What it keeps after that, a later run takes."""
        client = self._clients[account]
        with self._db.read() as conn:
            room = AT_MOST - inbox.waiting(conn, account, "queue")
        while room > 0 and (batch := client.queued_events()) is not None:
            self._intake.take_hints(account, batch.events, "queue")
            client.confirm_events(batch)
            room -= len(batch.events)

    def _take_some(
        self, account: str, run: _Run, pages: Iterator[Looked], limit: int
    ) -> Iterator[Looked] | None:
        """Take in pages until the run has `limit` differences; the pages that are left, None when none is."""
        for looked in pages:
            portion = looked.found[: max(0, limit - run.taken)]
            self._take(account, portion)
            run.checked += looked.checked
            run.taken += len(portion)
            if len(portion) < len(looked.found):
                return chain([Looked(0, looked.found[len(portion) :], looked.sweep)], pages)
            self._swept(account, looked.sweep)
        return None

    def _take(self, account: str, differences: Sequence[Difference]) -> None:
        self._intake.take_hints(account, [one.hint for one in differences], "reconcile")

    def _swept(self, account: str, sweep: tuple[Which, str] | None) -> None:
        if sweep is None:
            return
        which, after = sweep
        with self._db.begin() as conn:
            cursors.save(conn, account, f"sweep:{which}", {"after": after}, self._clock.now())

    def _conclude(self, account: str, outcome: Reconciled, started: datetime, until: datetime | None) -> None:
        last = {
            "at": started.isoformat(),
            "checked": outcome.checked,
            "differing": outcome.differing,
            "has_more": outcome.has_more,
        }
        with self._db.begin() as conn:
            if until is not None:
                facts.set_reconciled(conn, account, until)
            cursors.save(conn, account, LAST, last, self._clock.now())
        extra = {"account": account, "checked": outcome.checked, "differing": outcome.differing}
        if outcome.has_more:
            log.warning(
                "reconcile found more than one run may take; it goes on with the next one",
                extra={"action": "reconcile_bounded", **extra},
            )
        elif outcome.differing:
            log.info("reconcile found what no webhook told", extra={"action": "reconcile", **extra})
