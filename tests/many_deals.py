"""A CRM with many deals at the protocol's seam, for tests of what happens between two of its answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from connector.activity_feed import ActivityFeed
from connector.backfill import Backfill
from connector.cards import CardReader
from connector.clock import FixedClock
from connector.crm.base import CrmClient, EventBatch
from connector.deciding import Deciding
from connector.directory import Directories
from connector.domain import (
    AccountInfo,
    Activity,
    CrmEvent,
    CrmInvoice,
    CrmTask,
    Deal,
    DealCard,
    DealMark,
    Deletion,
    LossReason,
    Outcome,
    Pipeline,
    Stage,
    StageChange,
    User,
)
from connector.intake import Intake
from connector.playbook.model import Playbook
from connector.reconcile import Reconcile
from connector.store import facts, inbox, missed
from connector.store.database import Database
from connector.store.jobs import JobQueue
from tests.conftest import NOON

STAGES = ("new", "met", "paid")
LEASE = timedelta(seconds=60)
PLAYBOOK = Playbook.model_validate(
    {"rules": [{"name": "Встреча", "when": {"enters": "met"}, "do": [{"note": "встреча"}]}]}
)


class ManyDeals:
    """Deals by ascending id with their moves. `given`: ids of all deals that walks have given, in order.
    `on_call`: told the name of each call before it is answered; what it raises, the CRM raises."""

    account = "main"

    def __init__(self) -> None:
        self.all: dict[str, Deal] = {}
        self.history: list[StageChange] = []
        self.log: list[Deletion] = []
        self.batches: list[EventBatch] = []
        self.confirmed: list[str] = []
        self.given: list[str] = []
        self.on_call: Callable[[str], None] = lambda name: None

    # What happens there

    def add(self, number: int, at: datetime, stage: str = "new") -> Deal:
        deal_id = f"{number:06d}"
        deal = Deal(
            "main", deal_id, f"Сделка {number}", "1", stage, Outcome.OPEN, Decimal(1), "RUB", "1", at, at
        )
        self.all[deal_id] = deal
        self.history.append(StageChange(f"e{len(self.history):06d}", deal_id, at, "1", stage))
        return deal

    def move(self, deal_id: str, stage: str, at: datetime) -> None:
        before = self.all[deal_id]
        self.all[deal_id] = replace(before, stage_id=stage, updated_at=at)
        event_id = f"e{len(self.history):06d}"
        self.history.append(StageChange(event_id, deal_id, at, "1", stage, "1", before.stage_id))

    def change(self, deal_id: str, at: datetime, **fields: object) -> None:
        self.all[deal_id] = replace(self.all[deal_id], updated_at=at, **fields)  # type: ignore[arg-type]

    # What it answers

    def account_info(self) -> AccountInfo:
        return AccountInfo("1", "Фирма", "Europe/Moscow", "RUB", "1", "Анна", True)

    def pipelines(self) -> list[Pipeline]:
        stages = tuple(Stage("1", key, key, at, Outcome.OPEN) for at, key in enumerate(STAGES))
        return [Pipeline("1", "Продажи", stages, True)]

    def users(self) -> list[User]:
        return [User("1", "Анна")]

    def loss_reasons(self) -> list[LossReason]:
        return []

    def deal(self, deal_id: str) -> Deal | None:
        self.on_call("deal")
        return self.all.get(deal_id)

    def card(self, deal: Deal) -> DealCard:
        return DealCard(deal)

    def deals(
        self, updated_since: datetime | None = None, *, after: DealMark | None = None
    ) -> Iterator[Deal]:
        for deal_id in sorted(self.all):
            if after is not None and deal_id <= after.deal_id:
                continue
            if updated_since is None or self.all[deal_id].updated_at >= updated_since:
                self.on_call("deals")
                self.given.append(deal_id)
                yield self.all[deal_id]

    def deal_count(self) -> int | None:
        return len(self.all)

    def stage_changes(
        self, *, deal_id: str | None = None, since: datetime | None = None
    ) -> Iterator[StageChange]:
        self.on_call("stage_changes")
        for move in sorted(self.history, key=lambda move: (move.at, move.event_id)):
            if deal_id in (None, move.deal_id) and (since is None or move.at >= since):
                yield move

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        return iter([])

    def deletions(self, *, since: datetime) -> Iterator[Deletion]:
        self.on_call("deletions")
        return iter([one for one in self.log if one.at >= since])

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        self.on_call("existing")
        return set(deal_ids) & self.all.keys()

    def activities(
        self, *, since: datetime | None = None, deal_id: str | None = None, brief: bool = False
    ) -> Iterator[Activity]:
        return iter([])

    def tasks(self, *, since: datetime | None = None, deal_id: str | None = None) -> Iterator[CrmTask]:
        return iter([])

    def invoices(self, *, since: datetime | None = None) -> Iterator[CrmInvoice]:
        return iter([])

    def existing_activities(self, ids: Sequence[str]) -> set[str]:
        return set(ids)

    def queued_events(self) -> EventBatch | None:
        return self.batches[0] if self.batches else None

    def confirm_events(self, batch: EventBatch) -> None:
        self.on_call("confirm")
        self.confirmed.append(batch.id)
        self.batches.remove(batch)


class Desk:
    """A connector without processes: jobs are worked off when the test says so."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db, self.clock, self.crm = db, clock, ManyDeals()
        clients = {"main": cast(CrmClient, self.crm)}
        self.queue = JobQueue(db, clock)
        directories = Directories(db, clients, {"main": "amocrm"}, clock)
        deciding = Deciding(self.queue, lambda: PLAYBOOK)
        self.intake = Intake(
            db,
            self.queue,
            clients,
            directories,
            deciding,
            CardReader(clients, clock),
            clock,
            ActivityFeed(db, self.queue, clients, clock),
        )
        self.reconcile = Reconcile(db, clients, self.intake, clock)
        self.backfill = Backfill(db, clients, directories, self.intake, clock)
        directories.refresh("main")
        clock.sleep(timedelta(minutes=1))

    def hook(self, event: CrmEvent) -> None:
        self.intake.receive("main", [event], {"said": "it"})

    def work(self) -> int:
        """Work off all events; how many."""
        done = 0
        while jobs := self.queue.claim("w", "work", 50, 1000, LEASE):
            for job in jobs:
                if job.task == "event":
                    self.intake.handle(job)
                    done += 1
                self.queue.finish(job)
        return done

    def row(self, deal_id: str) -> facts.DealRow | None:
        with self.db.read() as conn:
            return facts.deal_row(conn, "main", deal_id)

    def known(self) -> int:
        with self.db.read() as conn:
            return facts.count_deals(conn, "main")

    def moves(self, deal_id: str) -> list[str]:
        with self.db.read() as conn:
            return [move.to_stage_id for move in facts.changes_of(conn, "main", deal_id)]

    def missed(self) -> int:
        with self.db.read() as conn:
            return sum(missed.by_day(conn, "main", NOON.date()).values())

    def waiting(self) -> int:
        with self.db.read() as conn:
            return inbox.waiting(conn, "main", "reconcile")
