"""What we learn of a deal by ourselves (a document opened, an invoice paid): kept, and rules are asked.

`record` is for edges: it stores and answers. `handle` reads the deal back and asks the rules, as for a move.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from connector.cards import CardReader
from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.deciding import Asked, Deciding
from connector.directory import Directories
from connector.playbook.evaluate import Happened
from connector.playbook.model import HAPPENINGS
from connector.store import happenings
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue


class Happenings:
    """Takes facts in, each once, and works off what rules make of them (a job handler)."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        clients: Mapping[str, CrmClient],
        directories: Directories,
        deciding: Deciding,
        cards: CardReader,
        clock: Clock,
    ) -> None:
        self._db = db
        self._queue = queue
        self._clients = clients
        self._directories = directories
        self._deciding = deciding
        self._cards = cards
        self._clock = clock

    def record(
        self,
        conn: Connection,
        *,
        account: str,
        deal_id: str,
        what: str,
        key: str,
        at: datetime,
        document: ArchivedDocument | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> bool:
        """Keep a fact and put it to work in the caller's transaction; False when one of that key is known.

        what: one of `HAPPENINGS`.
        """
        if what not in HAPPENINGS:
            raise ValueError(f"unknown happening: {what}")
        happening_id = happenings.add(
            conn,
            account=account,
            key=key,
            deal_id=deal_id,
            what=what,
            at=at,
            document_id=document.id if document else None,
            document=document.kind if document else "",
            data=data,
        )
        if happening_id is None:
            return False
        self._queue.enqueue(
            conn,
            "happening",
            {"happening_id": happening_id},
            account=account,
            order_key=f"{account}:deal:{deal_id}",
        )
        return True

    def handle(self, job: Job) -> None:
        """Ask the rules about one fact. Raises CrmError or RetryLater when the CRM cannot be read now."""
        with self._db.read() as conn:
            fact = happenings.find(conn, job.args["happening_id"])
        if fact is None:
            return
        client = self._clients[fact.account]
        deal = client.deal(fact.deal_id)
        if deal is None or deal.is_deleted:
            return
        directory, account_row = self._directories.covering(fact.account, deal, [])
        pipeline = directory.pipelines.get(deal.pipeline_id)
        asked = Asked(
            Happened(fact.what, pipeline.name if pipeline else "", fact.document),
            event_id=f"happening:{fact.id}",
            title=HAPPENINGS[fact.what],
            occurrence=f"happening:{fact.id}",
            at=fact.at,
        )
        card, decisions = self._deciding.ask([asked], lambda: client.card(deal), directory, account_row)
        decided_at = self._clock.now()
        if card is not None:
            self._cards.keep(card, decided_at)
        with self._db.begin() as conn:
            for decision in decisions:
                self._deciding.decide(conn, deal, decision, account_row, directory, decided_at)
