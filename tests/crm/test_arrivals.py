"""Requests that may have come late keep the next ones waiting; punctual ones keep nobody waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crm.arrivals import MOST_LATE, Arrivals, Passage

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STEP = timedelta(milliseconds=160)
USUAL = timedelta(milliseconds=100)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def arrivals(clock: FixedClock) -> Arrivals:
    return Arrivals(7, SECOND, clock)


def request(arrivals: Arrivals, clock: FixedClock, takes: timedelta = USUAL) -> timedelta:
    """Make one request at the usual pace; how long it had to wait."""
    waited = timedelta()
    while isinstance(entered := arrivals.enter("GET leads"), timedelta):
        waited += entered
        clock.sleep(entered)
    clock.sleep(takes)
    arrivals.leave(entered)
    clock.sleep(max(STEP - takes, timedelta()))
    return waited


def test_requests_at_the_usual_pace_wait_for_nothing(arrivals, clock) -> None:
    assert sum((request(arrivals, clock) for _ in range(50)), timedelta()) == timedelta()


def test_a_call_that_always_takes_long_waits_for_nothing_either(arrivals, clock) -> None:
    slow = timedelta(milliseconds=900)
    assert sum((request(arrivals, clock, slow) for _ in range(20)), timedelta()) == timedelta()


def test_the_eighth_waits_for_a_first_that_may_have_come_late(arrivals, clock) -> None:
    for _ in range(8):
        request(arrivals, clock)
    late = arrivals.enter("GET leads")
    assert isinstance(late, Passage)
    clock.sleep(STEP)
    for _ in range(6):
        request(arrivals, clock)
    # Its answer took 150 ms more than usual, so that it may have arrived as much later.
    late.answered_at = late.sent_at + USUAL + timedelta(milliseconds=150)
    assert arrivals.enter("GET leads") == late.sent_at + timedelta(milliseconds=150) + SECOND - clock.now()


def test_what_is_still_on_its_way_may_come_any_moment(arrivals, clock) -> None:
    request(arrivals, clock)
    for _ in range(7):
        assert isinstance(arrivals.enter("GET leads"), Passage)
        clock.sleep(STEP)
    assert arrivals.enter("GET leads") == MOST_LATE + SECOND - 7 * STEP


def test_eight_at_once_are_seven_and_one_that_waits(arrivals) -> None:
    entered = [arrivals.enter("GET leads") for _ in range(8)]
    assert all(isinstance(one, Passage) for one in entered[:7])
    assert entered[7] == SECOND
