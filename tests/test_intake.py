"""What becomes of a hint when the CRM, other workers and kills come in between two lines; on both databases.

The CRM is a small fake at the protocol's seam: what is tested here happens between two of its answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select

from connector.actions.base import Tools
from connector.actions.deals import change_deal
from connector.activity_feed import APART, GATHER, GONE, ActivityFeed
from connector.backfill import Backfill, Step
from connector.cards import CardReader
from connector.clock import FixedClock
from connector.crm.base import CrmClient, EventBatch
from connector.deciding import Deciding
from connector.directory import Directories
from connector.domain import (
    CALL_KEY,
    RULE_ASKED,
    AccountInfo,
    Activity,
    CrmEvent,
    CrmInvoice,
    CrmTask,
    Deal,
    DealCard,
    DealMark,
    Deletion,
    EventKind,
    LossReason,
    Outcome,
    Pipeline,
    Stage,
    StageChange,
    User,
)
from connector.errors import CrmError, RetryLater
from connector.happenings import Happenings
from connector.intake import Intake
from connector.playbook.model import Playbook
from connector.reconcile import Reconcile
from connector.store import deal_changes, facts, inbox, outbox, runs
from connector.store.database import Database
from connector.store.jobs import BACKGROUND, Job, JobQueue
from connector.store.outbox import Effect
from connector.store.schema import inbox as inbox_table
from tests.conftest import NOON

LONG = "Согласование условий поставки и монтажа с юридическим отделом заказчика"
STAGES = ("new", "met", "paid", "long")
NAMES = {"new": "Новая", "met": "Встреча проведена", "paid": "Оплачено", "long": LONG}
LEASE = timedelta(seconds=60)

PLAYBOOK = Playbook.model_validate(
    {
        "rules": [
            {"name": "Новая", "when": {"created": True}, "do": [{"note": "создана"}]},
            {"name": "Встреча", "when": {"enters": "Встреча проведена"}, "do": [{"note": "встреча"}]},
            {
                "name": "Каждый раз",
                "when": {"enters": "Встреча проведена"},
                "repeat": "every_entry",
                "do": [{"note": "вход"}],
            },
            {
                "name": "Ушла с первого",
                "when": {"leaves": "Новая"},
                "repeat": "every_entry",
                "do": [{"note": "ушла"}],
            },
            {"name": "Длинный этап", "when": {"enters": LONG}, "do": [{"note": "длинный"}]},
        ]
    }
)


class FakeCrm:
    """One deal and its history. `before_deal` is called once, between the two readings."""

    account = "main"

    def __init__(self) -> None:
        self.history: list[StageChange] = []
        self.stands: Deal | None = None
        self.readings = 0
        self.before_deal: Callable[[], None] | None = None
        self.after_deal: Callable[[], None] | None = None
        self.on_activities: Callable[[], object] = lambda: None

    def account_info(self) -> AccountInfo:
        return AccountInfo("1", "Фирма", "Europe/Moscow", "RUB", "1", "Анна", True)

    def pipelines(self) -> list[Pipeline]:
        stages = tuple(Stage("1", key, NAMES[key], at, Outcome.OPEN) for at, key in enumerate(STAGES))
        return [Pipeline("1", "Продажи", stages, True)]

    def users(self) -> list[User]:
        return [User("1", "Анна")]

    def loss_reasons(self) -> list[LossReason]:
        return []

    def stage_changes(
        self, *, deal_id: str | None = None, since: datetime | None = None
    ) -> Iterator[StageChange]:
        self.readings += 1
        return iter(list(self.history))

    def deal(self, deal_id: str) -> Deal | None:
        self._once("before_deal")
        found = self.stands
        self._once("after_deal")
        return found

    def deals(
        self, updated_since: datetime | None = None, *, after: DealMark | None = None
    ) -> Iterator[Deal]:
        return iter([self.stands] if self.stands and after is None else [])

    def deal_count(self) -> int | None:
        return None

    def card(self, deal: Deal) -> DealCard:
        return DealCard(deal)

    def activities(
        self, *, since: datetime | None = None, deal_id: str | None = None, brief: bool = False
    ) -> Iterator[Activity]:
        self.on_activities()
        self.on_activities = lambda: None
        return iter([])

    def tasks(self, *, since: datetime | None = None, deal_id: str | None = None) -> Iterator[CrmTask]:
        return iter([])

    def invoices(self, *, since: datetime | None = None) -> Iterator[CrmInvoice]:
        return iter([])

    def told_since(self, since: datetime) -> Iterator[CrmEvent]:
        return iter([])

    def deletions(self, *, since: datetime) -> Iterator[Deletion]:
        return iter([])

    def existing(self, deal_ids: Sequence[str]) -> set[str]:
        return set(deal_ids) if self.stands else set()

    def queued_events(self) -> EventBatch | None:
        return None

    def _once(self, name: str) -> None:
        callback: Callable[[], None] | None = getattr(self, name)
        setattr(self, name, None)
        if callback is not None:
            callback()


class Desk:
    def __init__(self, db: Database, clock: FixedClock, playbook: Playbook = PLAYBOOK) -> None:
        self.db, self.clock, self.crm = db, clock, FakeCrm()
        clients = {"main": cast(CrmClient, self.crm)}
        self.queue = JobQueue(db, clock)
        directories = Directories(db, clients, {"main": "amocrm"}, clock)
        cards = CardReader(clients, clock)
        deciding = Deciding(self.queue, lambda: playbook)
        self.feed = ActivityFeed(db, self.queue, clients, clock)
        self.intake = Intake(db, self.queue, clients, directories, deciding, cards, clock, self.feed)
        self.happenings = Happenings(db, self.queue, clients, directories, deciding, cards, clock)
        self.reconcile = Reconcile(db, clients, self.intake, clock)
        self.backfill = Backfill(db, clients, directories, self.intake, clock)
        directories.refresh("main")
        clock.sleep(timedelta(minutes=1))

    def hint(self, kind: EventKind = EventKind.DEAL_CHANGED, dedup: str = "d") -> None:
        self.intake.receive("main", [CrmEvent(kind, "7", dedup)], {"said": "it"})

    def work(self) -> None:
        while jobs := self.queue.claim("w", "work", 10, 10, LEASE):
            for job in jobs:
                if job.task == "event":
                    self.intake.handle(job)
                if job.task == "happening":
                    self.happenings.handle(job)
                self.queue.finish(job)

    def said(self) -> list[str]:
        """What the rules decided to say, in their order."""
        return [effect.params["text"] for effect in self.effects()]

    def effects(self) -> list[Effect]:
        with self.db.read() as conn:
            return outbox.of_deal(conn, "main", "7")

    def moves(self) -> list[tuple[str | None, str]]:
        with self.db.read() as conn:
            return [(move.from_stage_id, move.to_stage_id) for move in facts.changes_of(conn, "main", "7")]

    def rows(self) -> list[inbox.InboxRow]:
        with self.db.read() as conn:
            return inbox.of_entity(conn, "main", "7")


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Desk:
    return Desk(db, clock)


def after(seconds: float) -> datetime:
    """A moment after the account went live."""
    return NOON + timedelta(seconds=seconds)


def deal(stage: str, at: datetime, *, created_at: datetime = NOON - timedelta(days=300), **more: Any) -> Deal:
    return Deal(
        "main", "7", "Сделка", "1", stage, Outcome.OPEN, Decimal(1), "RUB", "1", created_at, at, **more
    )


def move(event_id: str, to: str, at: datetime, origin: str | None = None) -> StageChange:
    return StageChange(event_id, "7", at, "1", to, "1" if origin else None, origin)


def test_second_change_that_looks_like_the_first_is_not_lost_between_reading_and_marking(desk: Desk) -> None:
    """Both CRMs stamp whole seconds: two hooks of one second are equal. The second came while we read."""
    desk.crm.history = [move("01", "new", after(1))]
    desk.crm.stands = deal("new", after(1), created_at=after(1))
    desk.hint()
    desk.crm.after_deal = lambda: (desk.clock.sleep(timedelta(seconds=1)), desk.hint())[1]
    (job,) = desk.queue.claim("w", "work", 1, 10, LEASE)
    desk.intake.handle(job)
    desk.queue.finish(job)
    assert [row.status for row in desk.rows()] == ["new"]
    desk.crm.history.append(move("02", "met", after(1), "new"))
    desk.crm.stands = deal("met", after(1), created_at=after(1))
    desk.work()
    assert "встреча" in desk.said()


def test_hook_that_tells_of_a_deletion_is_a_hint_like_any_other(desk: Desk) -> None:
    """Delivered late, after the deal was restored, it must change nothing."""
    desk.crm.history = [move("01", "met", after(1))]
    desk.crm.stands = deal("met", after(1), created_at=after(1))
    desk.hint(EventKind.DEAL_DELETED)
    desk.work()
    with desk.db.read() as conn:
        row = facts.deal_row(conn, "main", "7")
    assert row is not None
    assert not row.is_deleted


def test_deal_restored_while_its_deletion_was_read_is_read_again(desk: Desk) -> None:
    standing = deal("met", after(1), created_at=after(1))
    desk.crm.history = [move("01", "met", after(1))]
    desk.crm.stands = standing
    desk.hint(dedup="1")
    desk.work()
    desk.clock.sleep(timedelta(minutes=1))
    desk.crm.stands = None
    desk.hint(EventKind.DEAL_DELETED, dedup="2")

    def restore() -> None:
        desk.clock.sleep(timedelta(seconds=2))
        desk.crm.stands = standing
        desk.hint(dedup="3")
        desk.clock.sleep(timedelta(seconds=2))

    desk.crm.after_deal = restore
    desk.work()
    with desk.db.read() as conn:
        row = facts.deal_row(conn, "main", "7")
    assert row is not None
    assert not row.is_deleted


def test_reading_overtaken_by_a_newer_one_makes_no_move_back(desk: Desk) -> None:
    """The lease ran out in the middle: another worker reads the deal after us and writes before us."""
    desk.crm.history = [move("01", "new", after(-900)), move("02", "met", after(-800), "new")]
    desk.crm.history.append(move("03", "new", after(1), "met"))
    desk.crm.stands = deal("new", after(1))

    def overtake() -> None:
        desk.crm.history.append(move("04", "met", after(30), "new"))
        desk.crm.stands = deal("met", after(30))
        desk.intake.read_deal("main", "7")

    desk.crm.after_deal = overtake
    desk.intake.read_deal("main", "7")
    assert desk.moves()[-2:] == [("met", "new"), ("new", "met")]
    assert desk.said().count("вход") == 1


def test_old_deal_without_history_starts_nothing_when_it_is_edited(desk: Desk) -> None:
    """Portals older than their own history, imports: nobody says that such a deal moved."""
    desk.crm.stands = deal("met", after(5))
    desk.hint()
    desk.work()
    assert desk.said() == []
    assert desk.moves() == [(None, "met")]


def test_stage_that_the_deal_itself_dates_before_the_first_day_starts_nothing(desk: Desk) -> None:
    """Bitrix24 leaves a change of funnel out of the history, and says in the deal when it was."""
    desk.crm.history = [move("01", "new", after(-9000))]
    desk.crm.stands = deal("met", after(5), moved_at=after(-3000))
    desk.hint()
    desk.work()
    assert desk.said() == []
    desk.clock.sleep(timedelta(minutes=5))
    desk.crm.stands = deal("paid", after(200), moved_at=after(200))
    desk.hint(dedup="2")
    desk.work()
    assert desk.moves()[-1] == ("met", "paid")


def test_old_deal_that_moves_without_any_history_is_not_taken_for_a_new_one(desk: Desk) -> None:
    desk.crm.stands = deal("met", after(5), moved_at=after(5))
    desk.hint()
    desk.work()
    assert desk.said() == ["встреча", "вход"]


def test_deal_created_now_whose_history_lags_is_a_new_one_and_acts_once(desk: Desk) -> None:
    desk.crm.stands = deal("met", after(5), created_at=after(5))
    desk.hint()
    desk.work()
    assert desk.said() == ["создана", "встреча", "вход"]
    desk.crm.history = [move("01", "new", after(5)), move("02", "met", after(6), "new")]
    desk.clock.sleep(timedelta(minutes=1))
    desk.hint(dedup="2")
    desk.work()
    assert desk.said() == ["создана", "встреча", "вход", "ушла"]
    assert desk.moves() == [(None, "new"), ("new", "met")]


def test_birth_that_was_guessed_is_corrected_and_asked_about(desk: Desk) -> None:
    """amoCRM's event of a creation names no stage; the deal moved on before the event of its move showed."""
    desk.crm.history = [move("01", "paid", after(5))]
    desk.crm.stands = deal("paid", after(6), created_at=after(5))
    desk.hint()
    desk.work()
    assert desk.said() == ["создана"]
    desk.clock.sleep(timedelta(minutes=1))
    desk.crm.history = [move("01", "met", after(5)), move("02", "paid", after(6), "met")]
    desk.hint(dedup="2")
    desk.work()
    assert desk.said() == ["создана", "встреча", "вход"]
    assert desk.moves() == [(None, "met"), ("met", "paid")]


def test_rules_about_leaving_see_the_stage_that_a_lagging_history_skipped(desk: Desk) -> None:
    desk.crm.history = [move("01", "paid", after(-500))]
    desk.crm.stands = deal("met", after(5))
    desk.hint()
    desk.work()
    desk.clock.sleep(timedelta(minutes=1))
    desk.crm.history += [move("02", "new", after(4), "paid"), move("03", "met", after(5), "new")]
    desk.hint(dedup="2")
    desk.work()
    assert desk.said() == ["встреча", "вход", "ушла"]


def test_return_that_the_history_shows_is_not_taken_for_the_move_seen_before_it(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(-500))]
    desk.crm.stands = deal("met", after(5), moved_at=after(5))
    desk.hint()
    desk.work()
    desk.clock.sleep(timedelta(minutes=10))
    desk.crm.history += [move("03", "paid", after(200), "met"), move("04", "met", after(400), "paid")]
    desk.crm.stands = deal("met", after(400), moved_at=after(400))
    desk.hint(dedup="2")
    desk.work()
    assert desk.said().count("вход") == 2


def test_stage_with_a_long_name_can_be_written_down(desk: Desk) -> None:
    desk.crm.history = [move("01", "long", after(5))]
    desk.crm.stands = deal("long", after(5), created_at=after(5), channel="реклама " * 60)
    desk.hint()
    desk.work()
    assert desk.said() == ["создана", "длинный"]
    with desk.db.read() as conn:
        assert LONG.startswith(runs.of_deal(conn, "main", "7")[-1].trigger)


def test_changed_contact_puts_what_waits_back_to_work_without_a_word_to_the_crm(desk: Desk) -> None:
    desk.crm.history = [move("01", "met", after(5))]
    desk.crm.stands = deal("met", after(5), created_at=after(5), contact_ids=("9",))
    desk.hint()
    desk.work()
    with desk.db.begin() as conn:
        first, *_ = outbox.of_deal(conn, "main", "7")
        outbox.hold(
            conn, outbox.start_attempt(conn, first, desk.clock.now()), "ждёт", [], None, desk.clock.now()
        )
    readings = desk.crm.readings
    desk.intake.receive("main", [CrmEvent(EventKind.CONTACT_CHANGED, "9", "c")], {})
    (job,) = desk.queue.claim("w", "work", 1, 10, LEASE)
    desk.intake.handle(job)
    desk.queue.finish(job)
    assert [effect.status for effect in desk.effects()] == ["ready", "ready", "ready"]
    assert [j.args["effect_id"] for j in desk.queue.claim("w", "work", 9, 10, LEASE)] == [first.id]
    assert desk.crm.readings == readings


def test_effect_that_was_done_meanwhile_is_not_put_back(desk: Desk) -> None:
    """A reading of the deal takes seconds: what was held at its beginning may be done at its end."""
    desk.crm.history = [move("01", "met", after(5))]
    desk.crm.stands = deal("met", after(5), created_at=after(5))
    desk.hint()
    desk.work()

    def hold_or_finish(finish: bool) -> None:
        with desk.db.begin() as conn:
            first, *_ = outbox.of_deal(conn, "main", "7")
            now = desk.clock.now()
            running = outbox.start_attempt(conn, first, now)
            if finish:
                outbox.finish(conn, running, {}, now)
            else:
                outbox.hold(conn, running, "ждёт", [], None, now)

    hold_or_finish(False)
    desk.crm.after_deal = lambda: hold_or_finish(True)
    desk.intake.read_deal("main", "7")
    assert desk.effects()[0].status == "done"


def test_what_was_cancelled_with_a_deleted_deal_goes_on_when_it_is_restored(desk: Desk) -> None:
    """So it does after the key's owner could not see the deal for a while: both look the same."""
    standing = deal("met", after(5), created_at=after(5))
    desk.crm.history = [move("01", "met", after(5))]
    desk.crm.stands = standing
    desk.hint(dedup="1")
    desk.work()
    with desk.db.begin() as conn:
        first, *_ = outbox.of_deal(conn, "main", "7")
        now = desk.clock.now()
        outbox.hold(conn, outbox.start_attempt(conn, first, now), "ждёт", [], None, now)
    desk.clock.sleep(timedelta(minutes=1))
    desk.crm.stands = None
    desk.hint(dedup="2")
    desk.work()
    assert desk.effects()[0].status == "cancelled"
    desk.clock.sleep(timedelta(minutes=1))
    desk.crm.stands = standing
    desk.hint(dedup="3")
    (job,) = desk.queue.claim("w", "work", 1, 10, LEASE)
    desk.intake.handle(job)
    desk.queue.finish(job)
    assert desk.effects()[0].status == "ready"
    assert desk.queue.counts("main").ready == 1


def test_body_of_a_mass_change_is_kept_once(desk: Desk) -> None:
    events = [CrmEvent(EventKind.DEAL_CHANGED, str(number), f"d{number}") for number in range(50)]
    desk.intake.receive("main", events, {"leads": "…"})
    with desk.db.read() as conn:
        kept = [row.payload for row in conn.execute(select(inbox_table.c.payload))]
    assert len(kept) == 50
    assert kept.count({"leads": "…"}) == 1


def test_backfill_that_is_killed_after_the_deals_loses_no_move(desk: Desk) -> None:
    """Stored by backfill, a deal looks as if it had been read: reconcile alone would never find the move."""
    desk.crm.history = [move("01", "new", after(-900)), move("02", "met", after(5), "new")]
    desk.crm.stands = deal("met", after(5))

    class Killed(BaseException):
        pass

    def die(step: Step) -> None:
        raise Killed

    with pytest.raises(Killed):
        desk.backfill.run("main", die)
    desk.reconcile.run("main")
    desk.work()
    assert desk.said() == ["встреча", "вход", "ушла"]


def test_backfill_of_the_past_starts_nothing_and_hints_at_nothing(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(-900)), move("02", "met", after(-800), "new")]
    desk.crm.stands = deal("met", after(-800))
    desk.backfill.run("main")
    desk.work()
    assert desk.said() == []
    assert desk.rows() == []
    assert desk.moves() == [(None, "new"), ("new", "met")]


def test_crash_after_the_facts_and_before_the_mark_repeats_nothing(desk: Desk) -> None:
    desk.crm.history = [move("01", "met", after(5))]
    desk.crm.stands = deal("met", after(5), created_at=after(5))
    desk.hint()
    desk.intake.read_deal("main", "7")
    desk.clock.sleep(timedelta(seconds=90))
    desk.work()
    assert desk.said() == ["создана", "встреча", "вход"]
    assert [row.status for row in desk.rows()] == ["done"]


def test_service_deal_starts_no_rule(desk: Desk) -> None:
    desk.crm.history = [move("01", "met", after(5))]
    desk.crm.stands = replace(deal("met", after(5), created_at=after(5)), tags=("connector-service",))
    desk.hint()
    desk.work()
    assert desk.said() == []


def test_robot_of_the_crm_runs_the_rule_that_it_names_on_each_call(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(-100))]
    desk.crm.stands = deal("new", after(-100))

    def call(rule: str, dedup: str) -> None:
        event = CrmEvent(EventKind.DEAL_CHANGED, "7", dedup, note=f"{RULE_ASKED}{rule}")
        desk.intake.receive("main", [event], {})
        desk.work()

    call("каждый раз", "r1")
    call("Каждый раз", "r2")
    call("Нет такого", "r3")
    assert desk.said() == ["вход", "вход"]
    assert [row.note for row in desk.rows() if row.status == "ignored"] == [
        "робот зовёт правило, которого нет"
    ]


def test_robots_call_that_is_played_again_runs_its_rule_no_second_time(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(-100))]
    desk.crm.stands = deal("new", after(-100))

    def call(at: datetime) -> None:
        dedup = "bitrix24:" + hashlib.sha256(at.isoformat().encode()).hexdigest()
        event = CrmEvent(EventKind.DEAL_CHANGED, "7", dedup, at=at, note=f"{RULE_ASKED}каждый раз")
        desk.intake.receive("main", [event], {})
        desk.work()

    call(after(1))
    call(after(1))
    with desk.db.begin() as conn:
        inbox.prune(conn, desk.clock.now() + timedelta(days=1))
    call(after(1))
    assert desk.said() == ["вход"]
    call(after(2))
    assert desk.said() == ["вход", "вход"]


def test_robots_call_with_a_mark_of_its_own_needs_no_moment_to_be_known(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(-100))]
    desk.crm.stands = deal("new", after(-100))
    for mark in ("a", "a", "b"):
        dedup = f"{CALL_KEY}bitrix24:{hashlib.sha256(mark.encode()).hexdigest()}"
        event = CrmEvent(EventKind.DEAL_CHANGED, "7", dedup, note=f"{RULE_ASKED}каждый раз")
        desk.intake.receive("main", [event], {})
        desk.work()
    assert desk.said() == ["вход", "вход"]


def test_own_move_of_a_late_attempt_is_ours_though_its_hook_comes_before_the_answer(desk: Desk) -> None:
    """The first attempt got no answer; the second one, ten minutes later, is overtaken by its own hook."""
    desk.crm.history = [move("01", "new", after(-100))]
    desk.crm.stands = deal("new", after(-100))
    desk.hint()
    desk.work()
    with desk.db.begin() as conn:
        effect_id = outbox.add(
            conn,
            account="main",
            key="k",
            rule="Перевод",
            action="update",
            params={"pipeline_id": "1", "stage_id": "met"},
            deal_id="7",
            now=desk.clock.now(),
        )
    assert effect_id is not None

    def moved() -> bool:
        at = desk.clock.now()
        desk.crm.history.append(move("02", "met", at, "new"))
        desk.crm.stands = deal("met", at)
        with pytest.raises(RetryLater):
            desk.intake.read_deal("main", "7")
        return True

    def unanswered() -> bool:
        raise CrmError("retry", account="main", call="PATCH leads")

    for answer in (unanswered, moved):
        with desk.db.begin() as conn:
            found = outbox.find(conn, effect_id)
            assert found is not None
            effect = outbox.start_attempt(conn, found, desk.clock.now())
        client = SimpleNamespace(update_deal=lambda *_, answer=answer: answer())
        tools = cast(Tools, SimpleNamespace(db=desk.db, clock=desk.clock, client=client))
        try:
            result = change_deal(effect, tools)
        except CrmError:
            with desk.db.begin() as conn:
                outbox.put_back(conn, effect, desk.clock.now())
            desk.clock.sleep(timedelta(minutes=10))
    with desk.db.begin() as conn:
        outbox.finish(conn, effect, result, desk.clock.now())
    desk.intake.read_deal("main", "7")
    assert [one.action for one in desk.effects()] == ["update"], "no rule took our move for a person's"


def test_owner_pipeline_deletion_and_return_are_kept_with_their_moments(desk: Desk) -> None:
    desk.crm.history = [move("01", "new", after(1))]
    desk.crm.stands = deal("new", after(1), created_at=after(1))

    def happens(dedup: str, kind: EventKind = EventKind.DEAL_CHANGED, at: datetime | None = None) -> None:
        desk.intake.receive("main", [CrmEvent(kind, "7", dedup, at)], {})
        desk.clock.sleep(timedelta(seconds=5))
        desk.work()

    happens("a")
    desk.crm.stands = replace(desk.crm.stands, responsible_id="2", updated_at=after(20), changed_by="9")
    happens("b")
    happens("c")
    to_other = StageChange("02", "7", after(30), "2", "first", "1", "new", "9")
    desk.crm.history.append(to_other)
    desk.crm.stands = replace(desk.crm.stands, pipeline_id="2", stage_id="first", updated_at=after(30))
    happens("d")
    standing, desk.crm.stands = desk.crm.stands, None
    happens("e", EventKind.DEAL_DELETED, after(40))
    desk.crm.stands = replace(standing, updated_at=after(50), changed_by=None)
    happens("f")
    with desk.db.read() as conn:
        found = deal_changes.of(conn, "main", "7")
    assert [(one.kind, one.at, one.before, one.after, one.changed_by) for one in found] == [
        ("owner", after(20), "1", "2", "9"),
        ("pipeline", after(30), "1", "2", "9"),
        ("deleted", after(40), None, None, None),
        ("restored", after(50), None, None, None),
    ]


def test_hooks_of_activities_wake_one_reading_and_those_that_come_while_it_reads_another(desk: Desk) -> None:
    def hook(number: int, kind: EventKind = EventKind.ACTIVITY_CHANGED, entity_id: str = "5") -> None:
        assert desk.intake.receive("main", [CrmEvent(kind, entity_id, f"n{number}")], {"said": "it"}) == 1

    def claimed() -> list[Job]:
        return list(desk.queue.claim("w", BACKGROUND, 10, 10, LEASE))

    hook(1)
    hook(2)
    assert claimed() == [], "they come in bunches"
    desk.clock.sleep(GATHER)
    (job,) = claimed()
    desk.crm.on_activities = lambda: hook(3)
    desk.feed.read(job)
    desk.queue.finish(job)
    assert claimed() == []
    desk.clock.sleep(APART)
    (again,) = claimed()
    desk.feed.read(again)
    desk.queue.finish(again)
    desk.clock.sleep(APART)
    assert claimed() == []
    hook(4, EventKind.ACTIVITY_DELETED, "5 task:5")
    (gone,) = claimed()
    assert (gone.task, gone.args) == (GONE, {"ids": ["5", "task:5"]})
