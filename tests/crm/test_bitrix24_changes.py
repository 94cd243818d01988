"""Lists in the order of change, on portals that behave as no portal should."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses
from requests import PreparedRequest

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.bitrix24.api import PAGE, B24Api
from connector.crm.bitrix24.changes import ChangeList, Names
from connector.errors import CrmError
from tests.crm.limiter import Turnstile

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BASE = "https://romashka.bitrix24.test/rest/1/hush0hush0hush"
NAMES = Names((), "ID", "LAST_UPDATED", "ID", "LAST_UPDATED")

Row = tuple[int, datetime]


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def read(
    web: responses.RequestsMock, answer: Callable[[dict[str, Any]], list[Row]], since: datetime
) -> list[int]:
    """Ids in the order in which they come; `answer` plays the portal on the call's parameters."""

    def play(request: PreparedRequest) -> tuple[int, dict[str, str], str]:
        rows = answer(json.loads(request.body or "{}"))
        found = [{"ID": str(number), "LAST_UPDATED": at.isoformat()} for number, at in rows]
        return 200, {}, json.dumps({"result": found})

    web.add_callback(responses.POST, f"{BASE}/crm.activity.list.json", play)
    api = B24Api(AccountConfig("main", "bitrix24", BASE), limiter=Turnstile(), clock=FixedClock(NOW))
    listed = ChangeList(api, "crm.activity.list", {}, NAMES, lambda item: item["ID"].int())
    return [number for _, number in listed.since(since)]


def test_a_filter_that_is_ignored_is_an_error_and_no_endless_walk(web: responses.RequestsMock) -> None:
    old = [(number, NOW - timedelta(days=9)) for number in range(1, PAGE + 1)]
    with pytest.raises(CrmError, match="UNEXPECTED_ANSWER"):
        read(web, lambda _: old, NOW)


def test_one_page_over_and_over_is_an_error_too(web: responses.RequestsMock) -> None:
    same = [(number, NOW) for number in range(1, PAGE + 1)]
    with pytest.raises(CrmError, match="UNEXPECTED_ANSWER"):
        read(web, lambda _: same, NOW)


def test_a_row_that_changes_while_the_list_is_read_comes_again_and_none_is_left_out(
    web: responses.RequestsMock,
) -> None:
    rows = {number: NOW + timedelta(seconds=number) for number in range(1, 3 * PAGE)}

    def answer(params: dict[str, Any]) -> list[Row]:
        since = datetime.fromisoformat(params["filter"][">=LAST_UPDATED"])
        found = sorted((item for item in rows.items() if item[1] >= since), key=lambda item: item[1])[:PAGE]
        # Somebody changes what was on this page, and what comes later, behind our back.
        rows[found[0][0]] = rows[max(rows)] + timedelta(hours=1)
        return found

    read_ids = read(web, answer, NOW)
    assert set(read_ids) == set(rows)
    assert read_ids.count(1) == 2


def test_a_row_that_a_filter_on_bindings_repeats_comes_once(web: responses.RequestsMock) -> None:
    assert read(web, lambda _: [(1, NOW), (1, NOW), (2, NOW)], NOW) == [1, 2]
