"""What our limits let through never overruns what the CRMs allow, however requests come and whatever delays
them: the windows are computed here from the documentation's words, not by the limiter's arithmetic.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.amocrm.api import PER_SECOND
from connector.crm.bitrix24.api import rate_of
from connector.crm.http import Rate
from connector.crm.share import BackgroundShare
from connector.store.database import Database
from connector.store.rate_limits import SharedLimiter

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
AMO = Rate("amocrm:main", PER_SECOND, 1)

#: What the network may add to what the machine does: a request that comes so much later than the next ones.
NETWORK_S = 0.06

#: Pauses between asking: none, as when many threads work, and the odd rest.
PAUSES = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.1, 0.5, 3.0, 40.0]), min_size=1, max_size=200)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('limits') / 'connector.db'}")
    database.upgrade()
    return database


def sent(database: Database, key: str, rate: Rate, pauses: list[float], background: bool) -> list[float]:
    """Seconds since the start when each request leaves."""
    clock = FixedClock(NOW)
    shared = SharedLimiter(database, clock)
    limiter = BackgroundShare(shared, clock) if background else shared
    times = []
    for pause in pauses:
        clock.sleep(timedelta(seconds=pause))
        clock.sleep(
            limiter.acquire(key, rate_per_s=rate.per_second, burst=rate.burst, max_wait=timedelta(hours=1))
        )
        times.append((clock.now() - NOW).total_seconds())
    return times


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pauses=PAUSES, background=st.booleans(), data=st.data())
def test_no_kind_of_second_of_amocrm_is_overrun(database, pauses, background, data) -> None:
    key = f"amocrm-{data.draw(st.uuids())}"
    latest = AMO.latest.total_seconds() + NETWORK_S
    late = st.sampled_from([0.0, latest / 2, latest])
    arrived = sorted(at + data.draw(late) for at in sent(database, key, AMO, pauses, background))
    assert all(after - before > 1 for before, after in zip(arrived, arrived[7:], strict=False)), "sliding"
    assert max(Counter(int(at) for at in arrived).values()) <= 7, "fixed"
    level, last = 0.0, 0.0
    for at in arrived:
        level = max(0.0, level - 7 * (at - last)) + 1
        last = at
        assert level <= 7, "bucket"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pauses=PAUSES, background=st.booleans(), data=st.data())
@pytest.mark.parametrize(("plan", "leak", "threshold"), [("usual", 2, 50), ("enterprise", 5, 250)])
def test_the_bucket_of_bitrix24_never_runs_over(
    database, plan, leak, threshold, pauses, background, data
) -> None:
    rate = rate_of(AccountConfig("main", "bitrix24", "https://portal.test", plan=plan))
    times = sent(database, f"bitrix24-{data.draw(st.uuids())}", rate, pauses * 3, background)
    smooth, smooth_at, stepped, stepped_at = 0.0, 0.0, 0.0, 0
    for at in times:
        smooth = max(0.0, smooth - leak * (at - smooth_at)) + 1
        # The documentation's words: the leak comes once a second.
        stepped = max(0.0, stepped - leak * (int(at) - stepped_at)) + 1
        smooth_at, stepped_at = at, int(at)
        assert max(smooth, stepped) <= threshold
