"""The rate limit in all readings of the reference; the switches, turned over HTTP."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import Office

SWITCHES = "/sandbox/api/amocrm/switches"


def statuses(office: Office, count: int, at: float | None = None) -> list[int]:
    if at is not None:
        office.clock.seconds = at
    return [office.get("/api/v4/account").status_code for _ in range(count)]


def test_a_bucket_refills_all_the_time() -> None:
    office = Office(limits_on=True)
    assert statuses(office, 8, at=1000.9) == [200] * 7 + [429]
    assert statuses(office, 3, at=1001.2) == [200, 200, 429]
    assert statuses(office, 8, at=1010) == [200] * 7 + [429]


def test_a_sliding_second_looks_back_from_each_request() -> None:
    office = Office(limits_on=True, switches=Switches(rate_window="sliding"))
    assert statuses(office, 4, at=1000.5) == [200] * 4
    assert statuses(office, 4, at=1001.2) == [200] * 3 + [429]
    assert statuses(office, 5, at=1001.5) == [200] * 4 + [429]


def test_a_fixed_second_starts_anew() -> None:
    office = Office(limits_on=True, switches=Switches(rate_window="fixed"))
    assert statuses(office, 8, at=1000.9) == [200] * 7 + [429]
    assert statuses(office, 8, at=1001.0) == [200] * 7 + [429]


@pytest.mark.parametrize("window", ["bucket", "sliding"])
def test_refusals_may_count_too(window: Any) -> None:
    office = Office(limits_on=True, switches=Switches(rate_window=window, refused_requests_count=True))
    assert statuses(office, 14, at=1000) == [200] * 7 + [429] * 7
    assert statuses(office, 1, at=1000.9) == [429]
    assert statuses(office, 1, at=1003) == [200]


def test_tokens_of_one_integration_share_its_limit() -> None:
    office = Office(limits_on=True)
    token = office.amo.oauth.issue_tokens()["access_token"]
    seen = [office.get("/api/v4/account", token=token).status_code for _ in range(4)]
    assert seen + statuses(office, 4) == [200] * 7 + [429]


def test_the_account_has_a_limit_over_all() -> None:
    office = Office(limits_on=True, switches=Switches(rate_per_s=100))
    assert statuses(office, 51) == [200] * 50 + [429]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [("html", "text/html"), ("plain", "text/plain; charset=utf-8"), ("json", "application/problem+json")],
)
def test_the_429_may_be_html_text_or_json(body: Any, content_type: str) -> None:
    office = Office(limits_on=True, switches=Switches(too_many_body=body, retry_after_s=2))
    statuses(office, 7)
    answer = office.get("/api/v4/account")
    assert (answer.status_code, answer.content_type) == (429, content_type)
    assert answer.headers["Retry-After"] == "2"


def test_no_retry_after_is_sent_unless_switched_on() -> None:
    office = Office(limits_on=True)
    statuses(office, 7)
    assert "Retry-After" not in office.get("/api/v4/account").headers


def test_support_lifts_the_block() -> None:
    office = Office(limits_on=True, switches=Switches(block_after=3))
    assert statuses(office, 11) == [200] * 7 + [429, 429, 403, 403]
    assert office.client.post("/sandbox/api/amocrm/unblock").status_code == 200
    assert statuses(office, 1, at=1001) == [200]
    assert (office.amo.gate.let_in, office.amo.gate.refused) == (8, 4)


def test_switches_are_turned_over_http_all_or_none() -> None:
    office = Office()
    assert office.client.get(SWITCHES).get_json()["rate_window"] == "bucket"
    turned = office.client.patch(SWITCHES, json={"rate_window": "sliding", "retry_after_s": 1})
    assert (turned.get_json()["rate_window"], office.amo.world.switches.retry_after_s) == ("sliding", 1)
    for wrong in (
        {"rate_window": "leaky"},
        {"rate_per_s": "7"},
        {"rate_per_s": -1},
        {"filters_paid": 1},
        {"nothing": True},
        [1],
    ):
        body = {"filters_paid": False, **wrong} if isinstance(wrong, dict) else wrong
        assert office.client.patch(SWITCHES, json=body).status_code == 400
    assert office.amo.world.switches.filters_paid
    assert office.client.patch(SWITCHES, json={"retry_after_s": None}).status_code == 200
    assert set(office.client.get(SWITCHES).get_json()) == {f.name for f in fields(Switches)}
