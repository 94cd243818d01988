"""The outbox at work: what is held, asked for, tried again and given up, on both databases.

Actions are scripted here: what matters is what becomes of the rows, whatever happens around them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from connector.actions.base import Tools
from connector.actions.table import ACTIONS
from connector.clock import FixedClock
from connector.effects import Effects
from connector.errors import CrmError, HeldError, MissingField
from connector.store import outbox
from connector.store.database import Database
from connector.store.jobs import Job, JobQueue
from connector.store.outbox import Effect

INN = MissingField("клиент.инн", "Компания → Реквизиты → ИНН")
EMAIL = MissingField("контакт.email", "Контакт → E-mail")
LEASE = timedelta(seconds=60)


class Desk:
    """Effects of one deal; `does[key]` is called in place of the action."""

    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db = db
        self.clock = clock
        self.queue = JobQueue(db, clock)
        self.effects = Effects(
            db, self.queue, lambda account: cast(Tools, None), clock, "http://connector.test"
        )
        self.does: dict[str, Callable[[Effect], dict[str, Any]]] = {}
        self.ran: list[str] = []

    def act(self, effect: Effect, _: Tools) -> dict[str, Any]:
        self.ran.append(effect.key)
        return self.does.get(effect.key, lambda effect: {})(effect)

    def decide(self, key: str, *, run_id: int = 1, position: int = 0) -> int:
        with self.db.begin() as conn:
            effect_id = outbox.add(
                conn,
                account="main",
                key=key,
                rule="Правило",
                action="document",
                params={"kind": "contract"},
                deal_id="7",
                run_id=run_id,
                position=position,
                now=self.clock.now(),
            )
            assert effect_id is not None
            self.queue.enqueue(
                conn, "effect", {"effect_id": effect_id}, account="main", order_key=f"main:run:{run_id}"
            )
        return effect_id

    def work(self) -> None:
        """Run all that is due, as a worker would, until nothing is."""
        while jobs := self.queue.claim("w", "work", 10, 10, LEASE):
            for job in jobs:
                self.effects.handle(job)
                self.queue.finish(job)

    def row(self, key: str) -> Effect:
        with self.db.read() as conn:
            found = outbox.by_key(conn, "main", key)
        assert found is not None
        return found

    def rows(self, action: str) -> list[Effect]:
        with self.db.read() as conn:
            return [effect for effect in outbox.of_deal(conn, "main", "7") if effect.action == action]


def held_by(*missing: MissingField) -> Callable[[Effect], dict[str, Any]]:
    def hold(_: Effect) -> dict[str, Any]:
        raise HeldError("не хватает данных", missing)

    return hold


@pytest.fixture
def desk(db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk(db, clock)
    for action in ("document", "ask", "close_ask", "alarm"):
        monkeypatch.setitem(ACTIONS, action, desk.act)
    return desk


def job_of(effect_id: int, attempts: int = 1) -> Job:
    return Job(
        1, "work", "effect", {"effect_id": effect_id}, "main", None, attempts, 12, "w", cast(Any, None)
    )


def test_documents_that_lack_different_data_are_asked_for_once_each_however_often_they_are_tried(
    desk: Desk,
) -> None:
    desk.does = {"a": held_by(INN), "b": held_by(EMAIL)}
    desk.decide("a", run_id=1)
    desk.decide("b", run_id=2)
    desk.work()
    for _ in range(3):
        assert desk.effects.recheck_held("main") == 2
        desk.work()
    assert len(desk.rows("ask")) == 2
    assert desk.rows("close_ask") == []


def test_ask_is_closed_when_the_last_document_that_waits_for_it_is_made(desk: Desk) -> None:
    desk.does = {"a": held_by(INN), "b": held_by(INN)}
    desk.decide("a", run_id=1)
    desk.decide("b", run_id=2)
    desk.work()
    (ask,) = desk.rows("ask")
    del desk.does["a"]
    desk.effects.recheck_held("main")
    desk.work()
    assert desk.rows("close_ask") == []
    del desk.does["b"]
    desk.effects.recheck_held("main")
    desk.work()
    (close,) = desk.rows("close_ask")
    assert close.params == {"ask_key": ask.key}


def test_datum_that_is_missing_again_is_asked_for_again(desk: Desk) -> None:
    desk.does = {"a": held_by(INN)}
    desk.decide("a", run_id=1)
    desk.work()
    desk.does = {}
    desk.effects.recheck_held("main")
    desk.work()
    desk.does = {"b": held_by(INN)}
    desk.decide("b", run_id=2)
    desk.work()
    assert [ask.key[-1] for ask in desk.rows("ask")] == ["1", "2"]
    assert len(desk.rows("close_ask")) == 1


def test_ask_of_an_effect_that_fails_for_good_is_closed(desk: Desk) -> None:
    desk.does = {"a": held_by(INN)}
    effect_id = desk.decide("a")
    desk.work()
    assert desk.effects.repeat(effect_id)
    desk.effects.on_dead(job_of(effect_id), "RenderError: шаблон сломан")
    assert desk.row("a").status == "dead"
    assert len(desk.rows("close_ask")) == 1
    assert len(desk.rows("alarm")) == 1


def test_what_was_remembered_survives_a_hold(desk: Desk) -> None:
    """A number that was taken and not used yet must not be lost: the series would have a hole."""

    def number_then_hold(effect: Effect) -> dict[str, Any]:
        with desk.db.begin() as conn:
            outbox.remember(conn, effect.id, {"ordinal": 5})
        raise HeldError("не хватает данных", [INN])

    desk.does = {"a": number_then_hold}
    desk.decide("a")
    desk.work()
    seen: list[Any] = []
    desk.does = {"a": lambda effect: seen.append(effect.result["ordinal"]) or {}}
    desk.effects.recheck_held("main")
    desk.work()
    assert seen == [5]


@pytest.mark.parametrize("outcome", ["fails", "holds"])
def test_worker_that_lost_its_job_does_not_undo_what_its_successor_did(desk: Desk, outcome: str) -> None:
    """Paused for longer than its lease, it wakes up in an attempt that is no longer the last."""
    effect_id = desk.decide("a")

    def overtaken(_: Effect) -> dict[str, Any]:
        desk.does = {}
        desk.effects.handle(job_of(effect_id, attempts=2))
        if outcome == "holds":
            raise HeldError("не хватает данных", [INN])
        raise CrmError("retry", account="main", call="POST notes")

    desk.does = {"a": overtaken}
    if outcome == "fails":
        with pytest.raises(CrmError):
            desk.effects.handle(job_of(effect_id))
    else:
        desk.effects.handle(job_of(effect_id))
    assert desk.row("a").status == "done"


def test_attempt_after_a_crash_is_told_that_traces_may_exist(desk: Desk) -> None:
    seen: list[bool] = []

    def killed(effect: Effect) -> dict[str, Any]:
        seen.append(effect.may_exist)
        if len(seen) == 1:
            raise KeyboardInterrupt  # no handler of ours sees it, as none sees SIGKILL
        return {}

    desk.does = {"a": killed}
    effect_id = desk.decide("a")
    with pytest.raises(KeyboardInterrupt):
        desk.effects.handle(job_of(effect_id))
    assert desk.row("a").status == "sending"
    desk.effects.handle(job_of(effect_id, attempts=2))
    assert seen == [False, True]


def test_held_attempt_needs_no_search_for_traces_later(desk: Desk) -> None:
    desk.does = {"a": held_by(INN)}
    desk.decide("a")
    desk.work()
    seen: list[bool] = []
    desk.does = {"a": lambda effect: seen.append(effect.may_exist) or {}}
    desk.effects.recheck_held("main")
    desk.work()
    assert seen == [False]


def test_letter_held_for_its_document_follows_it(desk: Desk) -> None:
    made: list[bool] = []

    def letter(_: Effect) -> dict[str, Any]:
        if not made:
            raise HeldError("письмо ждёт документ")
        return {}

    desk.does = {"doc": held_by(INN), "letter": letter}
    desk.decide("doc", position=0)
    desk.decide("letter", position=1)
    desk.work()
    assert [desk.row(key).status for key in ("doc", "letter")] == ["held", "held"]
    desk.does["doc"] = lambda effect: made.append(True) or {}
    with desk.db.read() as conn:
        (doc, _) = outbox.held_of(conn, "main", ["7"])
    assert desk.effects.repeat(doc.id)
    desk.work()
    assert [desk.row(key).status for key in ("doc", "letter")] == ["done", "done"]


def test_error_that_is_not_ours_is_shown_by_its_kind_only(desk: Desk) -> None:
    def surprise(_: Effect) -> dict[str, Any]:
        raise ValueError("password=hunter2")

    desk.does = {"a": surprise}
    effect_id = desk.decide("a")
    with pytest.raises(ValueError, match="hunter2"):
        desk.effects.handle(job_of(effect_id))
    desk.effects.on_dead(job_of(effect_id), "ValueError: password=hunter2")
    assert desk.row("a").error == "ValueError"
    (alarm,) = desk.rows("alarm")
    assert "hunter2" not in alarm.params["text"]


def test_dead_effect_is_repeated_once_however_often_the_button_is_pressed(desk: Desk) -> None:
    effect_id = desk.decide("a")
    desk.effects.on_dead(job_of(effect_id), "CrmError: rejected")
    assert desk.effects.repeat(effect_id)
    assert not desk.effects.repeat(effect_id)
    desk.work()
    assert desk.ran.count("a") == 1
    assert desk.row("a").status == "done"


def test_death_of_a_job_does_not_touch_an_effect_that_is_done_or_cancelled(desk: Desk) -> None:
    effect_id = desk.decide("a")
    with desk.db.begin() as conn:
        outbox.cancel(conn, desk.row("a"), "сделка удалена", desk.clock.now())
    desk.effects.on_dead(job_of(effect_id), "late")
    assert desk.row("a").status == "cancelled"
    assert desk.rows("alarm") == []
