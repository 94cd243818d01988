"""Long lists of Bitrix24 against a portal that answers as its documentation says, page by page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.bitrix24 import listing as listing_module
from connector.crm.bitrix24.api import PAGE, B24Api
from connector.crm.bitrix24.listing import FIRST_CHAIN, LONGEST_CHAIN, QUICK, SLOW, LongList
from connector.errors import CrmError
from tests.crm.limiter import Turnstile

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
BASE = "https://romashka.bitrix24.test/rest/1/hush0hush0hush"
METHOD = "crm.item.list"
REFERENCE = re.compile(r"\$result\[(\w+)\]\[items\]\[(\d+)\]\[id\]")

Trouble = Callable[[str], dict[str, Any] | None]


class Portal:
    """Items 3, 6, 9 … in pages of 50. A reference to nothing becomes an empty text, which filters nothing."""

    def __init__(self, clock: FixedClock, count: int) -> None:
        self.clock = clock
        self.ids = [3 * number for number in range(1, count + 1)]
        self.lengths: list[int] = []
        self.takes = timedelta()
        self.trouble: Trouble = lambda name: None

    def one(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        asked = json.loads(request.body or "{}")
        self.lengths.append(1)
        if asked["order"] == {"id": "DESC"}:
            return self._answer({"result": {"items": [{"id": one} for one in self.ids[-1:]]}})
        return self._answer({"result": {"items": self._page(asked["filter"][">id"], asked["filter"])}})

    def batch(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        body = json.loads(request.body or "{}")
        assert body["halt"] == 1
        self.lengths.append(len(body["cmd"]))
        results: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, command in body["cmd"].items():
            fault = self.trouble(name)
            if fault is not None:
                errors[name] = fault
                break
            query = parse_qs(command.partition("?")[2])
            last = query["filter[>id]"][0]
            reference = REFERENCE.fullmatch(last)
            if reference:
                items = results[reference[1]]["items"]
                index = int(reference[2])
                last = str(items[index]["id"]) if index < len(items) else "0"
            bound = {"<=id": int(query["filter[<=id]"][0])} if "filter[<=id]" in query else {}
            results[name] = {"items": self._page(int(last), bound)}
        return self._answer({"result": {"result": results, "result_error": errors or []}})

    def _page(self, after: int, filters: dict[str, Any]) -> list[dict[str, int]]:
        last = filters.get("<=id", 10**9)
        return [{"id": one} for one in self.ids if after < one <= last][:PAGE]

    def _answer(self, body: object) -> tuple[int, dict[str, str], str]:
        self.clock.sleep(self.takes)
        return 200, {}, json.dumps(body)


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def opened(web: responses.RequestsMock, clock: FixedClock, count: int) -> tuple[Portal, LongList[int]]:
    portal = Portal(clock, count)
    web.add_callback("POST", f"{BASE}/{METHOD}.json", portal.one)
    web.add_callback("POST", f"{BASE}/batch.json", portal.batch)
    api = B24Api(AccountConfig("main", "bitrix24", BASE), limiter=Turnstile(), clock=clock)
    listing = LongList(api, clock, METHOD, {"filter": {"x": 1}}, lambda item: item["id"].int(), key="id")
    return portal, listing


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 99, 100, 300, 301, 1000, 2149])
def test_every_row_comes_once_and_in_order_wherever_the_list_ends(web, clock, count) -> None:
    portal, listing = opened(web, clock, count)
    assert list(listing.rows()) == portal.ids


def test_a_short_list_is_one_plain_call(web, clock) -> None:
    portal, listing = opened(web, clock, PAGE - 1)
    list(listing.rows())
    assert portal.lengths == [1]
    sent = json.loads(web.calls[0].request.body or "{}")
    assert sent == {"filter": {"x": 1, ">id": 0}, "order": {"id": "ASC"}, "start": -1}


def test_a_long_list_takes_few_requests(web, clock) -> None:
    portal, listing = opened(web, clock, 10_000)
    assert len(list(listing.rows())) == 10_000
    assert portal.lengths[:3] == [1, FIRST_CHAIN, 1]
    assert max(portal.lengths) == LONGEST_CHAIN
    assert len(portal.lengths) <= 17
    assert sum(portal.lengths) * PAGE <= 10_000 * 1.15


def test_rows_that_lie_thick_in_one_place_and_thin_in_another_come_all(web, clock) -> None:
    portal, listing = opened(web, clock, 0)
    portal.ids = [*range(1, 2_000), *range(50_000, 900_000, 700), *range(900_000, 903_000)]
    assert list(listing.rows()) == portal.ids


def test_what_comes_in_and_goes_away_meanwhile_hides_nothing(web, clock) -> None:
    portal, listing = opened(web, clock, 3_000)
    kept = set(portal.ids[::2])
    found = []
    for row in listing.rows():
        found.append(row)
        if len(found) % 97 == 0:
            gone = next((one for one in portal.ids if one not in kept), None)
            portal.ids = [*(one for one in portal.ids if one != gone), portal.ids[-1] + 3]
    assert found == sorted(set(found))
    assert kept <= set(found)
    assert set(portal.ids[-20:-1]) <= set(found), "what came in while it was read is read too"


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are measured on a clock that all calls move."""
    monkeypatch.setattr(listing_module, "AHEAD", 1)


def test_a_slow_portal_is_asked_for_less_at_once(web, clock, one_by_one) -> None:
    portal, listing = opened(web, clock, 12_000)
    rows = listing.rows()
    found = []
    while LONGEST_CHAIN not in portal.lengths:
        found.append(next(rows))
    portal.takes = SLOW + timedelta(seconds=1)
    found += rows
    assert found == portal.ids
    last = len(portal.lengths) - portal.lengths[::-1].index(LONGEST_CHAIN)
    slow = [length for length in portal.lengths[last:] if length > 1]
    assert slow[:4] == [LONGEST_CHAIN // part for part in (2, 4, 8, 16)]


def test_a_portal_that_is_not_quick_is_asked_for_no_more(web, clock, one_by_one) -> None:
    portal, listing = opened(web, clock, 2_000)
    rows = listing.rows()
    next(rows)
    portal.takes = QUICK + timedelta(seconds=1)
    list(rows)
    assert max(portal.lengths) == FIRST_CHAIN


def test_a_page_that_failed_for_the_moment_is_asked_for_alone(web, clock) -> None:
    portal, listing = opened(web, clock, 1_000)
    failures = iter([{"error": "INTERNAL_SERVER_ERROR", "error_description": "x"}])
    portal.trouble = lambda name: next(failures, None) if name == "page2" else None
    assert list(listing.rows()) == portal.ids
    assert portal.lengths[:3] == [1, FIRST_CHAIN, 1]


@pytest.mark.parametrize(("code", "kind"), [("ACCESS_DENIED", "config"), ("INVALID_ARG_VALUE", "rejected")])
def test_an_error_within_a_chain_keeps_its_kind(web, clock, code, kind) -> None:
    portal, listing = opened(web, clock, 1_000)
    portal.trouble = lambda name: {"error": code, "error_description": "x"} if name == "page1" else None
    with pytest.raises(CrmError) as caught:
        list(listing.rows())
    assert (caught.value.kind, caught.value.code, caught.value.call) == (kind, code, METHOD)


def test_an_error_behind_the_end_of_the_list_means_nothing(web, clock) -> None:
    portal, listing = opened(web, clock, 120)
    portal.trouble = lambda name: {"error": "INVALID_ARG_VALUE"} if name == "page2" else None
    assert list(listing.rows()) == portal.ids


def test_ids_that_do_not_ascend_are_an_error_and_no_endless_loop(web, clock) -> None:
    portal, listing = opened(web, clock, 1_000)
    portal._page = lambda after, filters: [{"id": one} for one in portal.ids[:PAGE]]  # type: ignore[method-assign]
    with pytest.raises(CrmError) as caught:
        list(listing.rows())
    assert caught.value.code == "UNEXPECTED_ANSWER"
