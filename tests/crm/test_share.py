"""Background work beside what people wait for, over the real limiter and a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connector.clock import FixedClock
from connector.crm.share import GIVES_WAY, LEAD, BackgroundShare
from connector.errors import RetryLater
from connector.store.database import Database
from connector.store.rate_limits import SharedLimiter

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
RATE = 6.25
TURN = timedelta(seconds=1 / RATE)
ABOUT_ONE_TURN = TURN * (1 + LEAD) + timedelta(milliseconds=1)
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
    limiter: SharedLimiter | BackgroundShare,
    burst: int = 1,
    max_wait: timedelta = HALF_AN_HOUR,
    rate: float = RATE,
) -> timedelta:
    return limiter.acquire("crm", rate_per_s=rate, burst=burst, max_wait=max_wait)


@pytest.mark.parametrize(("rate", "burst"), [(6.25, 1), (1.96, 45)])
def test_background_alone_takes_the_whole_rate(share, clock, rate: float, burst: int) -> None:
    for _ in range(burst):
        clock.sleep(ask(share, burst, rate=rate))
    began = clock.now()
    for _ in range(200):
        clock.sleep(ask(share, burst, rate=rate))
    assert clock.now() - began <= timedelta(seconds=200 / rate) * 1.01


def test_what_people_wait_for_waits_for_one_turn_of_the_background_at_most(share, limiter, clock) -> None:
    for number in range(40):
        clock.sleep(ask(share))
        clock.sleep(TURN * (number % 10) / 10)
        assert ask(limiter, max_wait=timedelta(seconds=5)) <= ABOUT_ONE_TURN
        clock.sleep(TURN * 3)


def test_call_after_call_people_wait_for_one_turn_each_while_background_takes_what_is_left(
    share, limiter, clock
) -> None:
    background = urgent = 0
    for _ in range(60):
        clock.sleep(wait := ask(limiter, max_wait=timedelta(seconds=5)))
        assert wait <= ABOUT_ONE_TURN
        urgent += 1
        clock.sleep(TURN / 2)  # the answer
        clock.sleep(ask(share))
        background += 1
    assert clock.now() - NOW <= TURN * (urgent + background) * 1.05, "no place was left unused"


def test_a_burst_is_left_to_what_people_wait_for_however_long_the_background_has_worked(
    share, limiter, clock
) -> None:
    for _ in range(300):
        clock.sleep(ask(share, 45, rate=1.96))
    assert [ask(limiter, 45, rate=1.96) for _ in range(14)] == [timedelta()] * 14
    assert ask(limiter, 45, max_wait=timedelta(seconds=5), rate=1.96) <= timedelta(seconds=1)


def test_background_pays_back_the_burst_before_it_goes_on(share, limiter, clock) -> None:
    for _ in range(100):
        clock.sleep(ask(share, 45, rate=1.96))
    for _ in range(10):
        ask(limiter, 45, rate=1.96)
    began = clock.now()
    clock.sleep(ask(share, 45, rate=1.96))
    assert clock.now() - began >= GIVES_WAY


def test_background_gives_way_to_whoever_is_waiting_already(share, limiter, clock) -> None:
    waits = [ask(limiter) for _ in range(7)]
    clock.sleep(ask(share))
    assert clock.now() - NOW == pytest.approx(waits[-1] + TURN, abs=timedelta(milliseconds=1))


def test_an_account_that_is_never_at_rest_does_not_stop_the_background(limiter, clock) -> None:
    class Busy:
        """Somebody else takes each place just as it becomes free, for ever."""

        is_kept = True

        def acquire(
            self, key: str, *, rate_per_s: float, burst: int, max_wait: timedelta, spare: int = 0
        ) -> timedelta:
            if max_wait < TURN:
                raise RetryLater(TURN)
            return limiter.acquire(key, rate_per_s=rate_per_s, burst=burst, max_wait=max_wait)

        def push_back(self, key: str, until: datetime) -> None:
            limiter.push_back(key, until)

    assert ask(BackgroundShare(Busy(), clock)) >= timedelta()
    assert clock.now() - NOW == pytest.approx(GIVES_WAY, abs=TURN)


def test_a_long_pause_is_waited_out_by_the_patient_and_told_to_the_others(share, limiter, clock) -> None:
    share.push_back("crm", NOW + timedelta(minutes=15))
    with pytest.raises(RetryLater) as caught:
        ask(share, max_wait=timedelta(seconds=30))
    assert caught.value.wait > timedelta(minutes=14)
    assert clock.now() - NOW < timedelta(seconds=1)
    clock.sleep(ask(share))
    assert clock.now() >= NOW + timedelta(minutes=15)
    assert ask(limiter) <= ABOUT_ONE_TURN


def test_a_push_back_told_by_the_background_holds_for_bursts_too(share, limiter, clock) -> None:
    ask(share, 45, rate=1.96)
    share.push_back("crm", NOW + timedelta(seconds=30))
    with pytest.raises(RetryLater) as caught:
        ask(limiter, 45, max_wait=timedelta(seconds=5), rate=1.96)
    assert caught.value.wait == timedelta(seconds=30)
