"""The leaky bucket and the operating time, on a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from connector.sandbox.bitrix24.limits import LeakyBucket, OperatingBook
from tests.sandbox.b24 import B24, SECRET

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = ("webhook", "abc", "crm.item.list")


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def test_fifty_requests_fit_and_two_a_second_leak_out() -> None:
    bucket = LeakyBucket()
    assert [bucket.admit("ip", NOW) for _ in range(51)] == [True] * 50 + [False]
    assert bucket.admit("other", NOW)
    assert [bucket.admit("ip", NOW + seconds(2)) for _ in range(4)] == [True] * 3 + [False]


def test_refused_requests_need_not_count() -> None:
    bucket = LeakyBucket()
    for _ in range(60):
        bucket.admit("ip", NOW, refused_count=False)
    assert [bucket.admit("ip", NOW + seconds(1), refused_count=False) for _ in range(3)] == [
        True,
        True,
        False,
    ]


def test_client_at_two_a_second_is_never_refused() -> None:
    bucket = LeakyBucket()
    assert all(bucket.admit("ip", NOW + seconds(n / 2)) for n in range(500))


def test_over_the_rate_the_answer_is_503_until_it_has_leaked() -> None:
    b24 = B24()
    url = f"/rest/1/{SECRET}/profile"
    statuses = [b24.http.get(url).status_code for _ in range(51)]
    assert statuses == [200] * 50 + [503]
    assert b24.http.get(url).json == {
        "error": "QUERY_LIMIT_EXCEEDED",
        "error_description": "Too many requests",
    }
    assert "Retry-After" not in b24.http.get(url).headers
    b24.clock.sleep(seconds(3))
    assert b24.http.get(url).status_code == 200
    b24.faults.limits_on = False
    assert {b24.http.get(url).status_code for _ in range(60)} == {200}


def test_batch_costs_one_request() -> None:
    b24 = B24()
    for _ in range(50):
        assert b24.post("batch", cmd={"a": "profile", "b": "profile"})[0] == 200
    assert b24.post("batch", cmd={"a": "profile"})[0] == 503


def test_operating_time_drops_out_ten_minutes_after_its_minute_began() -> None:
    book = OperatingBook(limit_s=10)
    book.add(KEY, NOW, 6)
    book.add(KEY, NOW + seconds(70), 5)
    used, reset_at = book.state(KEY, NOW + seconds(80))
    assert (used, reset_at) == (11, int((NOW + seconds(600)).timestamp()))
    assert book.is_blocked(KEY, NOW + seconds(599))
    assert not book.is_blocked(KEY, NOW + seconds(600))
    assert book.state(KEY, NOW + seconds(601)) == (5, int((NOW + seconds(670)).timestamp()))


def test_method_over_its_time_is_blocked_alone() -> None:
    b24 = B24()
    b24.switches.method_cost_s = {"crm.item.list": 241}
    for expected in (241, 482):
        status, body = b24.post("crm.item.list", entityTypeId=2)
        assert (status, body["time"]["operating"]) == (200, expected)
    status, body = b24.post("crm.item.list", entityTypeId=2)
    assert (status, body) == (
        429,
        {
            "error": "OPERATION_TIME_LIMIT",
            "error_description": "Method is blocked due to operation time limit.",
        },
    )
    assert b24.post("profile")[0] == 200
    assert b24.app_post("crm.item.list", entityTypeId=2)[0] == 200
    b24.clock.sleep(seconds(600))
    assert b24.post("crm.item.list", entityTypeId=2)[0] == 200


@pytest.mark.parametrize(
    ("billing", "batch_costs", "method_costs"), [("documents", 0, 14), ("measured", 10, 0)]
)
def test_who_pays_for_a_batch_is_a_switch(billing: str, batch_costs: int, method_costs: int) -> None:
    b24 = B24()
    b24.switches.batch_billing = billing  # type: ignore[assignment]
    b24.switches.method_cost_s = {"profile": 7, "batch": 20}
    b24.post("batch", cmd={"a": "profile", "b": "profile"})
    now = b24.clock.now()
    assert b24.server.site.operating.state(("webhook", SECRET, "batch"), now)[0] == batch_costs
    assert b24.server.site.operating.state(("webhook", SECRET, "profile"), now)[0] == method_costs
