"""Pipelines, people and loss reasons of each account: read from the CRM, kept in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.domain import Deal, StageChange
from connector.playbook.model import StageMarks
from connector.playbook.stages import marked
from connector.store import facts
from connector.store.database import Database
from connector.store.facts import AccountRow, Directory

#: A directory younger than this is not read again for a stage that it lacks: the stage is gone for good.
FRESH = timedelta(seconds=30)


class Directories:
    """What the CRM's ids stand for; one read of the store a question, one read of the CRM a refresh."""

    def __init__(
        self,
        db: Database,
        clients: Mapping[str, CrmClient],
        crms: Mapping[str, str],
        clock: Clock,
        marks: Callable[[], Sequence[StageMarks]] = lambda: (),
    ) -> None:
        """marks: which stages today's playbook calls qualified and key."""
        self._db = db
        self._marks = marks
        self._clients = clients
        self._crms = crms
        self._clock = clock

    def refresh(self, account: str) -> None:
        """Read the account and its directories from the CRM.

        Raises CrmError or RetryLater.
        """
        client = self._clients[account]
        info = client.account_info()
        pipelines, people, reasons = client.pipelines(), client.users(), client.loss_reasons()
        now = self._clock.now()
        qualified, key = marked(pipelines, self._marks())
        with self._db.begin() as conn:
            facts.ensure_account(conn, account, self._crms[account], now)
            facts.save_account_info(conn, account, info)
            facts.save_directory(conn, account, pipelines, people, reasons, now, qualified=qualified, key=key)

    def mark_stages(self, account: str) -> None:
        """Mark the stages that we know as the playbook does now; no CRM is asked."""
        with self._db.begin() as conn:
            pipelines = facts.directory(conn, account).pipelines.values()
            qualified, key = marked(pipelines, self._marks())
            facts.mark_stages(conn, account, qualified=qualified, key=key)

    def ensure(self, account: str) -> None:
        """Make the account known without asking its CRM: from now on, moves start rules."""
        with self._db.begin() as conn:
            facts.ensure_account(conn, account, self._crms[account], self._clock.now())

    def of(self, account: str) -> tuple[Directory, AccountRow]:
        """The directory and the account's row; read from the CRM when they were never read."""
        with self._db.read() as conn:
            row = facts.account_row(conn, account)
            directory = facts.directory(conn, account)
        if row is not None and row.directory_read_at is not None:
            return directory, row
        self.refresh(account)
        return self.of(account)

    def covering(
        self, account: str, deal: Deal, history: Sequence[StageChange]
    ) -> tuple[Directory, AccountRow]:
        """Like `of`, but read anew when the deal stands in a stage, or belongs to a person, not yet known."""
        directory, row = self.of(account)
        read_at = row.directory_read_at
        is_fresh = read_at is not None and self._clock.now() - read_at < FRESH
        if is_fresh or self._covers(directory, deal, history):
            return directory, row
        self.refresh(account)
        return self.of(account)

    @staticmethod
    def _covers(directory: Directory, deal: Deal, history: Sequence[StageChange]) -> bool:
        places = [(change.to_pipeline_id, change.to_stage_id) for change in history]
        places.append((deal.pipeline_id, deal.stage_id))
        known_reason = deal.loss_reason_id is None or deal.loss_reason_id in directory.loss_reasons
        known_person = deal.responsible_id is None or deal.responsible_id in directory.users
        return known_reason and known_person and all(directory.stage(*place) for place in places)
