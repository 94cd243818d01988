"""Comparing with the CRM: what it shows, what it takes in at once, what a broken run leaves behind."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crm.base import EventBatch
from connector.domain import CrmEvent, Deletion, EventKind
from connector.errors import CrmError, PlanTooLarge
from connector.intake import AT_ONCE
from connector.reconcile import GRACE, Kind
from connector.store import missed
from connector.store.database import Database
from tests.conftest import NOON
from tests.many_deals import Desk

LONG_AGO = NOON - timedelta(days=300)
AT_MOST = 20


@pytest.fixture(autouse=True)
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.reconcile.AT_MOST", AT_MOST)


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Desk:
    """Twenty old deals that both sides know, and nothing to compare."""
    desk = Desk(db, clock)
    for number in range(1, 21):
        desk.crm.add(number, LONG_AGO + timedelta(minutes=number))
    desk.backfill.run("main")
    desk.reconcile.run("main")
    desk.clock.sleep(timedelta(minutes=5))
    return desk


def now(desk: Desk, later: float = 0.0) -> datetime:
    return desk.clock.now().replace(microsecond=0) + timedelta(seconds=later)


def compare(desk: Desk) -> int:
    """One run by schedule after everything has settled, worked off; how many differences it took in."""
    desk.clock.sleep(timedelta(minutes=4))
    found = desk.reconcile.run("main").differing
    desk.work()
    return found


def hook(deal_id: str, at: datetime, dedup: str = "h") -> CrmEvent:
    return CrmEvent(EventKind.DEAL_CHANGED, deal_id, dedup, at)


def make_differences(desk: Desk) -> None:
    at = now(desk)
    desk.crm.add(21, at)
    desk.crm.move("000001", "met", at)
    desk.crm.change("000002", at, responsible_id="2")
    desk.crm.move("000003", "met", at)
    desk.crm.move("000003", "new", at)
    del desk.crm.all["000004"]


def test_plan_shows_each_kind_in_a_fixed_order_and_changes_nothing(desk: Desk) -> None:
    make_differences(desk)
    desk.clock.sleep(timedelta(seconds=1))
    plan = desk.reconcile.plan("main")
    shown = [(one.kind, one.deal_id) for one in plan.differences]
    assert shown == [
        (Kind.NEW, "000021"),
        (Kind.MOVED, "000001"),
        (Kind.CHANGED, "000002"),
        (Kind.CHANGED, "000003"),
        (Kind.DELETED, "000004"),
    ]
    assert [(one.kind, one.deal_id) for one in desk.reconcile.plan("main").differences] == shown
    assert desk.work() == 0
    assert desk.row("000021") is None
    assert desk.reconcile.apply(plan) == 5
    desk.work()
    assert desk.moves("000003") == ["new", "met", "new"]
    row = desk.row("000004")
    assert row is not None
    assert row.is_deleted
    assert desk.reconcile.plan("main").differences == ()


def test_plan_that_is_too_large_changes_nothing_unless_forced(desk: Desk) -> None:
    for number in range(100, 101 + AT_MOST):
        desk.crm.add(number, now(desk))
    desk.clock.sleep(timedelta(seconds=1))
    plan = desk.reconcile.plan("main")
    with pytest.raises(PlanTooLarge, match="--force"):
        desk.reconcile.apply(plan)
    assert desk.work() == 0
    assert desk.reconcile.apply(plan, force=True) == AT_MOST + 1


def test_run_by_schedule_takes_bounded_portions_and_goes_on_to_the_end(desk: Desk) -> None:
    for number in range(100, 100 + 2 * AT_MOST + 7):
        desk.crm.add(number, now(desk))
    desk.clock.sleep(timedelta(minutes=4))
    first = desk.reconcile.run("main")
    assert (first.differing, first.has_more) == (AT_MOST, True)
    nobody_worked = desk.reconcile.run("main")
    assert (nobody_worked.differing, nobody_worked.has_more) == (0, True), "what waits counts too"
    portions = []
    for _ in range(4):
        desk.work()
        desk.clock.sleep(timedelta(minutes=4))
        portions.append(desk.reconcile.run("main").differing)
    assert portions == [AT_MOST, 7, 0, 0]
    assert desk.known() == 20 + 2 * AT_MOST + 7
    assert not desk.reconcile.run("main").has_more


def test_deletion_is_found_while_a_long_import_keeps_each_run_full(desk: Desk) -> None:
    for number in range(100, 100 + 5 * AT_MOST):
        desk.crm.add(number, now(desk))
    del desk.crm.all["000001"]
    desk.clock.sleep(timedelta(minutes=4))
    first = desk.reconcile.run("main")
    desk.work()
    assert (first.differing, first.has_more) == (AT_MOST, True)
    gone = desk.row("000001")
    assert gone is not None
    assert gone.is_deleted


class Killed(BaseException):
    """What kill -9 is to the code that runs."""


@pytest.mark.parametrize("broken", ["deals", "stage_changes", "deletions", "existing"])
@pytest.mark.parametrize("end", [CrmError("retry", account="main", call="x", status=503), Killed()], ids=type)
def test_outage_or_kill_in_the_middle_loses_nothing(desk: Desk, broken: str, end: BaseException) -> None:
    make_differences(desk)
    desk.clock.sleep(timedelta(minutes=4))

    def fail(name: str) -> None:
        if name == broken:
            raise end

    desk.crm.on_call = fail
    with pytest.raises(type(end)):
        desk.reconcile.run("main")
    desk.crm.on_call = lambda name: None
    desk.work()
    desk.clock.sleep(timedelta(hours=9))
    compare(desk)
    assert desk.row("000021") is not None
    assert desk.moves("000001") == ["new", "met"]
    assert desk.moves("000003") == ["new", "met", "new"]
    gone = desk.row("000004")
    assert gone is not None
    assert gone.is_deleted
    assert desk.missed() == 5
    assert compare(desk) == 0


def test_two_changes_within_the_second_of_the_reading_are_both_seen(desk: Desk) -> None:
    at = now(desk)
    desk.crm.change("000001", at, responsible_id="2")
    desk.hook(hook("000001", at))
    desk.work()
    desk.crm.change("000001", at, responsible_id="3")
    assert compare(desk) == 1
    row = desk.row("000001")
    assert row is not None
    assert row.responsible_id == "3"


def test_change_as_young_as_its_hook_is_left_to_the_hook(desk: Desk) -> None:
    desk.crm.move("000001", "met", now(desk))
    desk.clock.sleep(GRACE / 2)
    assert desk.reconcile.run("main").differing == 0
    assert compare(desk) == 1


def test_hook_in_time_takes_the_count_back_and_a_late_one_is_not_counted_twice(desk: Desk) -> None:
    at = now(desk)
    desk.crm.move("000001", "met", at)
    desk.crm.move("000002", "met", at)
    compare(desk)
    assert desk.missed() == 2
    desk.hook(hook("000001", at, "in time"))
    desk.work()
    assert desk.missed() == 1
    desk.clock.sleep(missed.IN_TIME * 2)
    desk.hook(hook("000002", at, "late"))
    desk.work()
    assert desk.missed() == 1
    assert compare(desk) == 0


def test_mass_change_that_waited_to_be_sorted_out_came_when_it_came(desk: Desk) -> None:
    at = now(desk)
    desk.crm.move("000001", "met", at)
    desk.intake.receive("main", [hook("000001", at, f"m{place}") for place in range(AT_ONCE + 1)], {})
    [job] = desk.queue.claim("busy", "work", 1, 1000, timedelta(hours=1))
    compare(desk)
    assert desk.missed() == 1
    desk.intake.sort_out(job)
    desk.work()
    assert desk.missed() == 0


def test_hook_about_what_we_did_after_the_find_takes_nothing_back(desk: Desk) -> None:
    desk.crm.move("000001", "met", now(desk))
    compare(desk)
    desk.clock.sleep(timedelta(seconds=5))
    at = now(desk)
    desk.crm.change("000001", at)  # a note of ours: the time of change and nothing else
    desk.hook(hook("000001", at))
    desk.work()
    assert desk.missed() == 1


def test_what_the_crm_kept_is_stored_before_it_may_drop_it(desk: Desk) -> None:
    desk.crm.move("000001", "met", now(desk))
    desk.crm.batches = [EventBatch("b1", (hook("000001", now(desk), "q"),))]

    def fail(name: str) -> None:
        if name == "confirm":
            raise CrmError("retry", account="main", call=name)

    desk.crm.on_call = fail
    with pytest.raises(CrmError):
        desk.reconcile.run("main")
    desk.work()
    assert desk.moves("000001") == ["new", "met"]
    assert desk.missed() == 1
    desk.crm.on_call = lambda name: None
    compare(desk)
    assert (desk.crm.confirmed, desk.crm.batches) == (["b1"], [])
    assert desk.missed() == 1


def test_long_queue_is_taken_in_portions(desk: Desk) -> None:
    size = AT_MOST // 4
    desk.crm.batches = [
        EventBatch(
            f"b{number}", tuple(hook("000001", now(desk), f"q{number}:{place}") for place in range(size))
        )
        for number in range(6)
    ]
    desk.reconcile.run("main")
    assert desk.crm.confirmed == ["b0", "b1", "b2", "b3"]
    desk.reconcile.run("main")
    assert len(desk.crm.confirmed) == 4, "what waits here counts too"
    desk.work()
    desk.reconcile.run("main")
    assert (len(desk.crm.confirmed), desk.crm.batches) == (6, [])


def test_deal_that_was_merged_away_is_gone_and_its_heir_is_read_again(desk: Desk) -> None:
    at = now(desk)
    del desk.crm.all["000001"]
    desk.crm.log = [Deletion("000001", at, merged_into="000002")]
    desk.crm.all["000002"] = desk.crm.change("000002", LONG_AGO, tags=("vip",)) or desk.crm.all["000002"]
    before = desk.row("000002")
    compare(desk)
    gone, heir = desk.row("000001"), desk.row("000002")
    assert gone is not None
    assert gone.is_deleted
    assert before is not None
    assert heir is not None
    assert heir.fingerprint != before.fingerprint


def test_deal_out_of_the_recycle_bin_is_found_by_the_rotation(desk: Desk) -> None:
    kept = desk.crm.all.pop("000001")
    compare(desk)
    gone = desk.row("000001")
    assert gone is not None
    assert gone.is_deleted
    desk.crm.all["000001"] = kept
    assert compare(desk) == 1
    back = desk.row("000001")
    assert back is not None
    assert not back.is_deleted
