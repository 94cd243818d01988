"""Reading the past goes on where it was broken off, whatever broke it off; on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.backfill import Progress, Step
from connector.clock import FixedClock
from connector.store.database import Database
from tests.conftest import NOON
from tests.many_deals import Desk

LONG_AGO = NOON - timedelta(days=300)
DEALS = 1000


class Killed(BaseException):
    """What kill -9 is to the code that runs: it ends, and nothing is tidied up."""


@pytest.fixture
def desk(db: Database, clock: FixedClock) -> Desk:
    desk = Desk(db, clock)
    for number in range(1, DEALS + 1):
        deal = desk.crm.add(number, LONG_AGO + timedelta(minutes=number))
        desk.crm.move(deal.id, "met", LONG_AGO + timedelta(days=2, minutes=number))
    return desk


def kill_after(pages: int) -> Progress:
    left = pages

    def progress(step: Step) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    return progress


def test_killed_again_and_again_it_reads_each_page_once_and_misses_nothing(desk: Desk) -> None:
    runs = 0
    while True:
        runs += 1
        try:
            done = desk.backfill.run("main", kill_after(2))
        except Killed:
            assert runs < 50
            desk.clock.sleep(timedelta(days=1))
            continue
        break
    assert runs > 4
    assert desk.known() == DEALS
    assert all(desk.moves(deal_id) == ["new", "met"] for deal_id in desk.crm.all)
    # A page that was being put together when the kill came is read again; no other is.
    assert len(desk.crm.given) <= DEALS + 200
    assert done.counts["deals"].new == DEALS
    assert done.counts["moves"].new == 2 * DEALS
    assert desk.backfill.broken_off_at("main") is None


def test_what_happened_between_the_stop_and_days_later_is_not_missed(desk: Desk) -> None:
    with pytest.raises(Killed):
        desk.backfill.run("main", kill_after(2))
    began = desk.backfill.broken_off_at("main")
    assert began == desk.clock.now()
    desk.clock.sleep(timedelta(days=3))
    at = desk.clock.now().replace(microsecond=0)
    desk.crm.change("000001", at, responsible_id="2")  # read before the stop
    desk.crm.move("000900", "paid", at)  # not read before it
    desk.crm.add(DEALS + 1, at)
    done = desk.backfill.run("main")
    assert done.went_on_from == began
    desk.work()
    first, late = desk.row("000001"), desk.row("000900")
    assert first is not None
    assert late is not None
    assert (first.responsible_id, late.stage_id) == ("2", "paid")
    assert desk.known() == DEALS + 1
    assert desk.moves("000900") == ["new", "met", "paid"]
    assert desk.missed() == 0, "reading the past is no comparison"


def test_summary_tells_new_changed_and_known_ones_apart(desk: Desk) -> None:
    first = desk.backfill.run("main").counts["deals"]
    assert (first.read, first.new, first.changed, first.skipped) == (DEALS, DEALS, 0, 0)
    at = desk.clock.now().replace(microsecond=0)
    desk.crm.change("000005", at, name="Другое имя")
    desk.crm.add(DEALS + 1, at)
    again = desk.backfill.run("main").counts["deals"]
    assert (again.read, again.new, again.changed, again.skipped) == (DEALS + 1, 1, 1, DEALS - 1)


def test_share_grows_to_the_whole_and_goes_on_after_a_stop(desk: Desk) -> None:
    shares: list[tuple[str, float | None]] = []

    def watch(step: Step) -> None:
        shares.append((step.part, step.share))
        if len(shares) == 2:
            raise Killed

    with pytest.raises(Killed):
        desk.backfill.run("main", watch)
    desk.backfill.run("main", lambda step: shares.append((step.part, step.share)))
    deals = [share for part, share in shares if part == "deals"]
    assert deals == [0.2, 0.4, 0.6, 0.8, 1.0]
    moves = [share for part, share in shares if part == "moves"]
    assert moves == sorted(moves)  # type: ignore[type-var]


def test_anew_reads_from_the_beginning(desk: Desk) -> None:
    with pytest.raises(Killed):
        desk.backfill.run("main", kill_after(3))
    desk.crm.given.clear()
    assert desk.backfill.run("main", anew=True).went_on_from is None
    assert len(desk.crm.given) == DEALS
