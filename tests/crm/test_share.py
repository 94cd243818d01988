"""Background work beside what people wait for, over the real limiter and a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crm.share import GIVES_WAY, SHARE, BackgroundShare
from connector.errors import RetryLater
from connector.store.database import Database
from connector.store.rate_limits import SharedLimiter

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
RATE = 6.0
TURN = timedelta(seconds=1 / RATE)
HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def limiter(sqlite_url: str, clock: FixedClock) -> Iterator[SharedLimiter]:
    database = Database(sqlite_url)
    database.upgrade()
    yield SharedLimiter(database, clock)
    database.close()


@pytest.fixture
def share(limiter: SharedLimiter, clock: FixedClock) -> BackgroundShare:
    return BackgroundShare(limiter, clock)


def ask(
    limiter: SharedLimiter | BackgroundShare, burst: int = 1, max_wait: timedelta = HALF_AN_HOUR
) -> timedelta:
    return limiter.acquire("crm", rate_per_s=RATE, burst=burst, max_wait=max_wait)


def test_background_alone_takes_its_share_and_saves_up_no_burst(share, clock) -> None:
    for _ in range(31):
        clock.sleep(ask(share, burst=45))
    assert clock.now() - NOW == pytest.approx(TURN * 30 / SHARE, abs=timedelta(milliseconds=1))


def test_what_people_wait_for_waits_for_one_turn_of_the_background_at_most(share, limiter, clock) -> None:
    for _ in range(10):
        clock.sleep(ask(share))
        assert ask(limiter) <= TURN
        clock.sleep(TURN * 3)


def test_background_gives_way_to_whoever_is_waiting_already(share, limiter, clock) -> None:
    waits = [ask(limiter) for _ in range(7)]
    clock.sleep(ask(share))
    assert clock.now() - NOW == pytest.approx(waits[-1] + TURN, abs=timedelta(milliseconds=1))


def test_an_account_that_is_never_at_rest_does_not_stop_the_background(limiter, clock) -> None:
    class Busy:
        """Somebody else takes each place just as it becomes free, for ever."""

        def acquire(self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta) -> timedelta:
            if key == "crm" and not max_wait:
                raise RetryLater(TURN)
            return limiter.acquire(key, rate_per_s=rate_per_s, burst=burst, max_wait=max_wait)

        def push_back(self, key: str, until: datetime) -> None:
            limiter.push_back(key, until)

    assert BackgroundShare(Busy(), clock).acquire("crm", rate_per_s=RATE, burst=1, max_wait=HALF_AN_HOUR) >= (
        timedelta()
    )
    assert clock.now() - NOW == pytest.approx(GIVES_WAY, abs=TURN)


def test_a_long_pause_is_waited_out_by_the_patient_and_told_to_the_others(share, limiter, clock) -> None:
    share.push_back("crm", NOW + timedelta(minutes=15))
    with pytest.raises(RetryLater) as caught:
        ask(share, max_wait=timedelta(seconds=30))
    assert caught.value.wait > timedelta(minutes=14)
    assert clock.now() - NOW < timedelta(seconds=1)
    clock.sleep(ask(share))
    assert clock.now() >= NOW + timedelta(minutes=15)
    assert ask(limiter) <= TURN
