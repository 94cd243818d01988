"""From a hint to decisions: read the deal back, keep what changed as facts, ask the rules, fill the outbox.

Everything that one event leads to is written in one transaction. Rules start nothing on moves that happened
before the account went live, nor on the connector's own service deal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connector.activity_feed import ActivityFeed
from connector.cards import CardReader
from connector.clock import Clock
from connector.crm.base import CrmClient
from connector.deciding import Asked, Deciding
from connector.directory import Directories
from connector.domain import CALL_KEY, RULE_ASKED, SERVICE_TAG, CrmEvent, Deal, EventKind, StageChange
from connector.moves import Merge, entry_ordinal, merge
from connector.own_moves import OwnMoves
from connector.playbook.evaluate import Called, Move
from connector.store import activities, deal_changes, facts, inbox, missed, outbox
from connector.store.database import Database
from connector.store.deal_changes import TOOK_IN, DealChange
from connector.store.facts import AccountRow, DealRow, Directory
from connector.store.inbox import InboxRow, InboxStatus, Source
from connector.store.jobs import Job, JobQueue
from connector.store.outbox import Effect

#: CRMs tell of one change in several hooks within milliseconds: a deal is read this long after its hint at
#: the earliest, so that one reading covers them all.
SETTLE = timedelta(seconds=0.3)

#: What the clocks of two machines may differ by: a deal read this much after a hint arrived covers that hint.
CLOCK_SKEW = timedelta(seconds=0.2)

#: A mass change names hundreds of deals in one delivery, and the CRM waits two seconds for the answer: more
#: events than this are put aside in one piece and sorted out by a worker, this many a transaction.
AT_ONCE = 50

#: Sources of hints that come from comparing with the CRM: what they bring was missed by webhooks.
FINDERS = ("reconcile", "queue")

News = Literal["new", "moved", "changed", "deleted", "restored"]

#: What these tell of is read by `ActivityFeed`, all of it at once.
_ACTIVITY_EVENTS = (EventKind.ACTIVITY_CHANGED, EventKind.ACTIVITY_DELETED)

_PARTY_EVENTS = {EventKind.CONTACT_CHANGED: "contact", EventKind.COMPANY_CHANGED: "company"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What came of a hint: `note` says in Russian why nothing was done, `news` what we had not known."""

    note: str = ""
    news: News | None = None


class Intake:
    """Takes events in (`receive`) and works them off (`handle`, a job handler)."""

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        clients: Mapping[str, CrmClient],
        directories: Directories,
        deciding: Deciding,
        cards: CardReader,
        clock: Clock,
        feed: ActivityFeed,
    ) -> None:
        self._db = db
        self._queue = queue
        self._clients = clients
        self._directories = directories
        self._deciding = deciding
        self._cards = cards
        self._clock = clock
        self._feed = feed
        self._own_moves = OwnMoves(db, clock)

    def receive(
        self, account: str, events: Sequence[CrmEvent], payload: Mapping[str, Any], source: Source = "webhook"
    ) -> int:
        """Store events and their jobs in one transaction; how many of them will be worked on.

        A delivery of more than `AT_ONCE` events is stored as one job, which brings them here in portions.
        """
        now = self._clock.now()
        if len(events) > AT_ONCE:
            return self._put_aside(account, events, payload, source, now)
        return self._keep(account, events, payload, source, now)

    def _keep(
        self,
        account: str,
        events: Sequence[CrmEvent],
        payload: Mapping[str, Any],
        source: Source,
        received_at: datetime,
    ) -> int:
        used = 0
        with self._db.begin(urgent=True) as conn:
            self._feed.wake(conn, account, events)
            for event in events:
                is_read_together = event.kind in _ACTIVITY_EVENTS
                used += event.kind is not EventKind.OTHER
                status: InboxStatus = "new"
                if event.kind is EventKind.OTHER or is_read_together:
                    status = "done" if is_read_together else "ignored"
                row_id = inbox.receive(
                    conn, account, event, source=source, payload=payload, now=received_at, status=status
                )
                # Kept once a delivery: one of a mass change names hundreds of deals.
                payload = {}
                if status != "new":
                    continue
                self._queue.enqueue(
                    conn,
                    "event",
                    {"inbox_id": row_id},
                    account=account,
                    order_key=f"{account}:{_subject(event.kind)}:{event.entity_id}",
                )
        return used

    def take_hints(self, account: str, hints: Sequence[CrmEvent], source: Source) -> None:
        """Store what our own reading of the CRM has found, in portions: nobody waits for an answer."""
        for start in range(0, len(hints), AT_ONCE):
            self.receive(account, hints[start : start + AT_ONCE], {"found_by": source}, source)

    def sort_out(self, job: Job) -> None:
        """Job handler: take in the events of a large delivery, as of the moment when it came. A repeat reads
        the deals once more."""
        payload, source = job.args["payload"], job.args["source"]
        received_at = datetime.fromisoformat(job.args["received_at"])
        events = [_event_of(row) for row in job.args["events"]]
        for start in range(0, len(events), AT_ONCE):
            self._keep(job.account, events[start : start + AT_ONCE], payload, source, received_at)
            payload = {}

    def _put_aside(
        self,
        account: str,
        events: Sequence[CrmEvent],
        payload: Mapping[str, Any],
        source: Source,
        received_at: datetime,
    ) -> int:
        rows = [_event_row(event) for event in {event.dedup: event for event in events}.values()]
        with self._db.begin(urgent=True) as conn:
            args = {
                "events": rows,
                "payload": payload,
                "source": source,
                "received_at": received_at.isoformat(),
            }
            self._queue.enqueue(conn, "delivery", args, account=account)
        return len(rows)

    def handle(self, job: Job) -> None:
        """Work off one event. Raises CrmError or RetryLater when the CRM cannot be read now."""
        with self._db.read() as conn:
            row = inbox.find(conn, job.args["inbox_id"])
        if row is None or row.status != "new":
            return
        is_party = row.kind in _PARTY_EVENTS
        reading = self._party_changed(row) if is_party else self._deal_changed(row)
        with self._db.begin() as conn:
            if row.source == "webhook" and reading.news is None:
                missed.forgive(
                    conn, row.account, row.entity_id, received_at=row.received_at, event_at=row.event_at
                )
            inbox.mark(conn, row, "ignored" if reading.note else "done", self._clock.now(), reading.note)

    def _deal_changed(self, row: InboxRow) -> Reading:
        if row.source == "webhook":
            early = row.received_at + SETTLE - self._clock.now()
            if early > timedelta(0):
                self._clock.sleep(min(early, SETTLE))
        with self._db.read() as conn:
            known = facts.deal_row(conn, row.account, row.entity_id)
        call = _call(row)
        if known is not None and known.read_at > row.received_at + CLOCK_SKEW and call is None:
            return Reading("сделка уже прочитана после этого сигнала")
        return self.read_deal(
            row.account,
            row.entity_id,
            found=row.source in FINDERS,
            call=call,
            told_at=row.event_at,
            took_in=row.note.removeprefix(TOOK_IN) if row.note.startswith(TOOK_IN) else None,
        )

    def read_deal(
        self,
        account: str,
        deal_id: str,
        *,
        found: bool = False,
        call: Asked | None = None,
        told_at: datetime | None = None,
        took_in: str | None = None,
    ) -> Reading:
        """Read a deal back and act on what changed. found: what is new was found by comparing, not told;
        call: a robot's call for one rule; told_at: when it happened, by the CRM's word; took_in: the deal
        that was merged into it.
        """
        started = self._clock.now()
        client = self._clients[account]
        with self._db.read() as conn:
            stored = facts.changes_of(conn, account, deal_id)
        history = list(client.stage_changes(deal_id=deal_id))
        deal = client.deal(deal_id)
        if deal is None or deal.is_deleted:
            gone = deal_changes.of_deletion(deal_id, told_at or started)
            return self._deal_gone(account, gone, started, found)
        if SERVICE_TAG in deal.tags:
            with self._db.begin() as conn:
                facts.save_deals(conn, [deal], read_at=started)
            return Reading("служебная сделка Коннектора")
        directory, account_row = self._directories.covering(account, deal, history)
        merged = merge(stored, history, deal)
        ours = self._own_moves.among(account_row, deal_id, merged)
        moves = [
            move for move in merged.to_ask if move.at >= account_row.live_since and ours.may_start_rules(move)
        ]
        occasions = [_asked(move, merged.history, directory) for move in moves]
        occasions += [call] if call else []
        card, decisions = self._deciding.ask(occasions, lambda: client.card(deal), directory, account_row)
        decided_at = self._clock.now()
        if card is not None:
            # What was decided on these data is made of these data.
            self._cards.keep(card, decided_at)
        with self._db.begin() as conn:
            known = facts.deal_row(conn, account, deal_id)
            news = _news(known, deal, merged, account_row)
            facts.save_deals(conn, [deal], read_at=started)
            if known is None and deal.created_at < account_row.live_since:
                # Out of the recycle bin: what people did in it had been taken for deleted with it.
                activities.mark_deals_gone(conn, account, [deal_id], gone=False)
            facts.save_links(conn, deal)
            for as_stored, real in merged.corrected:
                facts.correct_change(conn, account, as_stored, real)
                deal_changes.forget_move(conn, account, as_stored)
            facts.save_changes(conn, account, merged.new)
            befallen = deal_changes.of_deal(known, deal)
            befallen += deal_changes.of_moves([*merged.new, *(real for _, real in merged.corrected)])
            if took_in is not None:
                befallen.append(deal_changes.of_merge(took_in, told_at or started, deal_id))
            deal_changes.save(conn, account, befallen)
            for event_id, own in ours.new.items():
                facts.mark_own(conn, account, event_id, own.effect_id)
            for decision in decisions:
                self._deciding.decide(conn, deal, decision, account_row, directory, decided_at)
            self._try_again(conn, outbox.stopped_of(conn, account, deal_id), decided_at)
            if news and found:
                self._count_missed(conn, account_row, deal_id, news, deal.updated_at)
        if call is not None and not any(decision.asked is call for decision in decisions):
            return Reading("робот зовёт правило, которого нет", news)
        return Reading(news=news)

    def _party_changed(self, row: InboxRow) -> Reading:
        """A contact or company changed: whatever waits for its data is tried again."""
        with self._db.begin() as conn:
            deal_ids = facts.linked_deals(conn, row.account, _PARTY_EVENTS[row.kind], row.entity_id)
            waiting = outbox.held_of(conn, row.account, deal_ids)
            self._try_again(conn, waiting, self._clock.now())
        return Reading("" if waiting else "ни один документ не ждёт этих данных")

    def _try_again(self, conn: Connection, effects: Sequence[Effect], now: datetime) -> None:
        for effect in effects:
            if outbox.put_back(conn, effect, now):
                self._deciding.enqueue_effect(conn, effect.account, effect.id, effect.run_id)

    def _deal_gone(self, account: str, gone: DealChange, read_at: datetime, found: bool) -> Reading:
        deal_id = gone.deal_id
        with self._db.begin() as conn:
            known = facts.deal_row(conn, account, deal_id)
            news: News | None = "deleted" if known is not None and not known.is_deleted else None
            facts.mark_deleted(conn, account, deal_id, read_at)
            if news is not None:
                deal_changes.save(conn, account, [gone])
            for effect in outbox.held_of(conn, account, [deal_id]):
                outbox.cancel(conn, effect, "сделка удалена", self._clock.now())
            row = facts.account_row(conn, account)
            if news and found and row is not None:
                self._count_missed(conn, row, deal_id, news, read_at)
        return Reading(news=news)

    def _count_missed(
        self, conn: Connection, row: AccountRow, deal_id: str, news: News, changed_at: datetime
    ) -> None:
        now = self._clock.now()
        day = now.astimezone(ZoneInfo(row.timezone)).date()
        missed.add(conn, row.account, missed.Missed(deal_id, news, day, changed_at, now))


def _news(known: DealRow | None, deal: Deal, merged: Merge, account_row: AccountRow) -> News | None:
    """What the reading told us that we did not know; None when that is nothing of what is compared.

    What happened before the account went live is past, not news.
    """
    live_since = account_row.live_since
    if known is None:
        if deal.updated_at < live_since:
            return None
        return "new" if deal.created_at >= live_since else "changed"
    if known.is_deleted:
        return "restored"
    if any(move.at >= live_since for move in merged.to_ask):
        return "moved"
    is_other = known.fingerprint is not None and known.fingerprint != facts.fingerprint(deal)
    return "changed" if is_other else None


def _event_row(event: CrmEvent) -> dict[str, Any]:
    """An event as JSON."""
    return {**asdict(event), "at": event.at.isoformat() if event.at else None}


def _event_of(row: Mapping[str, Any]) -> CrmEvent:
    at = datetime.fromisoformat(row["at"]) if row["at"] else None
    return CrmEvent(**{**row, "kind": EventKind(row["kind"]), "at": at})


def _subject(kind: EventKind) -> str:
    return _PARTY_EVENTS.get(kind, "deal")


def _call(row: InboxRow) -> Asked | None:
    """The robot's call for a rule that this event is, if it is one.

    Calls of one key are one call where the key has a moment in it, or is the sender's own: a delivery that
    came twice, or was recorded and is played again weeks later, acts no second time. Where it has neither,
    nothing tells two calls apart but that they came, and each of them acts.
    """
    if not row.note.startswith(RULE_ASKED):
        return None
    rule = row.note.removeprefix(RULE_ASKED)
    is_known = row.event_at is not None or row.dedup.startswith(CALL_KEY)
    event_id = f"robot:{row.dedup[-32:]}" if is_known else f"robot:{row.id}:{row.deliveries}"
    return Asked(Called(rule), event_id, title="робот CRM", occurrence=event_id, at=row.received_at)


def _asked(move: StageChange, history: Sequence[StageChange], directory: Directory) -> Asked:
    stage = directory.stage(move.to_pipeline_id, move.to_stage_id)
    return Asked(
        _named(move, directory),
        event_id=move.event_id,
        title=stage.name if stage else move.to_stage_id,
        # With its stage: a rule may name several, and the first entry into each is another one.
        occurrence=f"{move.to_pipeline_id}/{move.to_stage_id}:{entry_ordinal(history, move)}",
        at=move.at,
        move=move,
    )


def _named(move: StageChange, directory: Directory) -> Move:
    target = directory.stage(move.to_pipeline_id, move.to_stage_id)
    origin = (
        directory.stage(move.from_pipeline_id, move.from_stage_id)
        if move.from_pipeline_id and move.from_stage_id
        else None
    )
    pipeline = directory.pipelines.get(move.to_pipeline_id)
    left = directory.pipelines.get(move.from_pipeline_id or "")
    return Move(
        pipeline_name=pipeline.name if pipeline else "",
        stage_name=target.name if target else "",
        outcome=target.outcome if target else None,
        from_stage_name=origin.name if origin else None,
        is_creation=move.from_stage_id is None,
        from_pipeline_name=left.name if left else None,
        from_outcome=origin.outcome if origin else None,
    )
