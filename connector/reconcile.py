"""Compare the CRM's deals with ours and hint at every difference: a lost webhook makes no difference.

Only hints are made here. What follows from a difference is intake's business, the same as for a webhook.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.domain import SERVICE_TAG, CrmEvent, Deal, EventKind
from connector.intake import Intake
from connector.store import facts
from connector.store.database import Database

log = logging.getLogger(__name__)

#: A change may show in a list a little after it was made, and clocks differ.
OVERLAP = timedelta(minutes=10)

PAGE = 200


@dataclass(frozen=True, slots=True)
class Reconciled:
    """`checked` deals were compared, `differing` of them were news to us."""

    checked: int
    differing: int


class Reconcile:
    """Repairs what webhooks missed."""

    def __init__(self, db: Database, clients: Mapping[str, CrmClient], intake: Intake, clock: Clock) -> None:
        self._db = db
        self._clients = clients
        self._intake = intake
        self._clock = clock

    def run(self, account: str) -> Reconciled:
        """Compare the deals changed since the last run. Raises CrmError or RetryLater, and loses nothing."""
        started = self._clock.now()
        with self._db.read() as conn:
            row = facts.account_row(conn, account)
        if row is None:
            return Reconciled(0, 0)
        since = (row.reconciled_until or row.live_since) - OVERLAP
        checked = differing = 0
        for page in pages(self._clients[account].deals(updated_since=since)):
            hints = self._differing(account, page)
            self._intake.receive(account, hints, {"found_by": "reconcile"}, source="reconcile")
            checked += len(page)
            differing += len(hints)
        with self._db.begin() as conn:
            facts.set_reconciled(conn, account, started)
        if differing:
            log.info(
                "reconcile found what no webhook told",
                extra={"action": "reconcile", "account": account, "checked": checked, "differing": differing},
            )
        return Reconciled(checked, differing)

    def _differing(self, account: str, page: list[Deal]) -> list[CrmEvent]:
        with self._db.read() as conn:
            known = facts.deal_rows(conn, account, [deal.id for deal in page])
        return [
            hint(deal)
            for deal in page
            if SERVICE_TAG not in deal.tags
            and (deal.id not in known or _shown(deal) != _shown_by_row(known[deal.id]))
        ]


def pages(deals: Iterable[Deal]) -> Iterator[list[Deal]]:
    """`deals` in lists of at most `PAGE`."""
    iterator = iter(deals)
    while page := list(islice(iterator, PAGE)):
        yield page


def hint(deal: Deal) -> CrmEvent:
    """«Look at this deal»; the same for the same state of it."""
    moment = deal.updated_at
    return CrmEvent(
        EventKind.DEAL_CHANGED,
        deal.id,
        dedup=f"reconcile:{deal.id}:{moment:%Y%m%d%H%M%S}:{deal.stage_id}"[:80],
        at=moment,
    )


def _shown(deal: Deal) -> tuple[object, ...]:
    return (deal.pipeline_id, deal.stage_id, deal.updated_at, deal.is_deleted)


def _shown_by_row(row: facts.DealRow) -> tuple[object, ...]:
    return (row.pipeline_id, row.stage_id, row.updated_at, row.is_deleted)
