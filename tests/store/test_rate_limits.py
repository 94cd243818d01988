"""The limiter hands out places in time; a clock that stands makes them exact."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.clock import FixedClock, SystemClock
from connector.errors import RetryLater
from connector.store.database import Database
from connector.store.rate_limits import SharedLimiter

SECOND = timedelta(seconds=1)


@pytest.fixture
def limiter(db: Database, clock: FixedClock) -> SharedLimiter:
    return SharedLimiter(db, clock)


def acquire(
    limiter: SharedLimiter, key: str = "alpha", *, rate: float = 2, burst: int = 1, wait: float = 10
) -> float:
    wait_for = limiter.acquire(key, rate_per_s=rate, burst=burst, max_wait=timedelta(seconds=wait))
    return wait_for.total_seconds()


def test_without_a_burst_requests_leave_one_by_one(limiter: SharedLimiter) -> None:
    assert [acquire(limiter) for _ in range(4)] == [0, 0.5, 1, 1.5]


def test_a_burst_leaves_at_once_and_is_earned_again_by_waiting(
    limiter: SharedLimiter, clock: FixedClock
) -> None:
    assert [acquire(limiter, burst=3) for _ in range(5)] == [0, 0, 0, 0.5, 1]
    clock.sleep(timedelta(seconds=2))
    assert [acquire(limiter, burst=3) for _ in range(3)] == [0, 0, 0.5]
    clock.sleep(timedelta(hours=1))
    assert [acquire(limiter, burst=3) for _ in range(4)] == [0, 0, 0, 0.5], "a long pause earns no more"


def test_keys_do_not_share_a_limit(limiter: SharedLimiter) -> None:
    assert [acquire(limiter, key) for key in ("alpha", "beta", "alpha", "beta")] == [0, 0, 0.5, 0.5]


def test_a_wait_that_is_too_long_is_refused_and_reserves_nothing(
    limiter: SharedLimiter, clock: FixedClock
) -> None:
    assert [acquire(limiter, wait=1) for _ in range(3)] == [0, 0.5, 1]
    for _ in range(5):
        with pytest.raises(RetryLater) as refused:
            acquire(limiter, wait=1)
        assert refused.value.wait == timedelta(seconds=1.5)
    clock.sleep(refused.value.wait)
    assert acquire(limiter, wait=1) == 0


def test_push_back_lets_nobody_send_before_that_moment_and_gives_no_burst_after_it(
    db: Database, limiter: SharedLimiter, clock: FixedClock
) -> None:
    acquire(limiter, burst=5)
    limiter.push_back("alpha", clock.now() + 30 * SECOND)
    other_process = SharedLimiter(db, clock)
    with pytest.raises(RetryLater) as refused:
        acquire(other_process, burst=5)
    assert refused.value.wait == 30 * SECOND
    clock.sleep(30 * SECOND)
    assert [acquire(other_process, burst=5) for _ in range(3)] == [0, 0.5, 1]


def test_push_back_never_shortens_a_wait(limiter: SharedLimiter, clock: FixedClock) -> None:
    limiter.push_back("alpha", clock.now() + 60 * SECOND)
    limiter.push_back("alpha", clock.now() + 5 * SECOND)
    assert acquire(limiter, wait=100) == 60


@pytest.mark.postgres
def test_a_machine_whose_clock_is_ahead_does_not_slow_the_others(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(postgres_url)
    skewed = SystemClock()
    ahead = skewed.now() + timedelta(hours=2)
    monkeypatch.setattr(skewed, "now", lambda: ahead, raising=False)
    acquire(SharedLimiter(db, skewed))
    assert acquire(SharedLimiter(db, SystemClock())) <= 0.5
    db.close()
