"""fast_bitrix24, unmodified: its ways to all rows, batches, tokens renewed at 401, 503 answers borne."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from fast_bitrix24 import BitrixAsync

from tests.clients.bitrix24.conftest import Office

Ask = Callable[[BitrixAsync], Coroutine[Any, Any, Any]]


def run(office: Office, ask: Ask, *, url: str = "", **options: Any) -> Any:
    """What `ask` came to, over a session that trusts the portal's certificate."""

    async def go() -> Any:
        connector = aiohttp.TCPConnector(ssl=office.tls.client_context)
        async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:
            quick = {"requests_per_second": 1000.0, "request_pool_size": 1000, "verbose": False, **options}
            bitrix = BitrixAsync(url or office.webhook_url, client=session, **quick)
            return await ask(bitrix)

    return asyncio.run(go())


def test_all_deals_of_both_spellings_are_found_once(by_name: Office) -> None:
    there = {deal.id for deal in by_name.portal.deals.values() if not deal.is_deleted}
    assert len(there) > 1000
    rows = run(by_name, lambda b: b.get_all("crm.deal.list", {"select": ["ID"]}))
    assert sorted(int(row["ID"]) for row in rows) == sorted(there)
    items = run(by_name, lambda b: b.get_all("crm.item.list", {"entityTypeId": 2, "select": ["id"]}))
    assert sorted(row["id"] for row in items) == sorted(there)


def test_directories_and_history_are_read(by_name: Office) -> None:
    stages = run(by_name, lambda b: b.get_all("crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}}))
    assert {stage["STATUS_ID"] for stage in stages} >= {"NEW", "WON"}
    moves = run(by_name, lambda b: b.get_all("crm.stagehistory.list", {"entityTypeId": 2}))
    assert len({move["ID"] for move in moves}) == len(moves) > 1000


def test_rows_are_made_read_by_id_and_their_errors_raised(by_name: Office) -> None:
    titles = [f"Сделка & {number}" for number in range(60)]
    made = run(by_name, lambda b: b.call("crm.deal.add", [{"fields": {"TITLE": t}} for t in titles]))
    assert len(set(made)) == 60
    found = run(by_name, lambda b: b.get_by_ID("crm.deal.get", list(made)))
    assert {row["TITLE"] for row in found.values()} == set(titles)
    contacts = run(by_name, lambda b: b.get_by_ID("crm.deal.contact.items.get", list(made)[:3]))
    assert list(contacts.values()) == [[], [], []]
    with pytest.raises(Exception, match="Not found"):
        run(by_name, lambda b: b.call("crm.deal.get", {"id": 999_999_999}))


def test_batch_refers_back(by_name: Office) -> None:
    commands = {"deal": "crm.deal.add?fields[TITLE]=x", "read": "crm.deal.get?id=$result[deal]"}
    result = run(by_name, lambda b: b.call_batch({"halt": 1, "cmd": commands}))
    assert result["read"]["ID"] == str(result["deal"])


def test_token_is_asked_for_again_when_it_ran_out(by_name: Office) -> None:
    oauth = by_name.b24.oauth
    given: list[str] = []

    async def new_token() -> str:
        given.append(oauth.event_token(1)[0])
        return given[-1]

    async def ask(bitrix: BitrixAsync) -> Any:
        await bitrix.call("profile", raw=True)
        oauth.expire_access_tokens()
        return await bitrix.call("profile", raw=True)

    answer = run(by_name, ask, url=by_name.b24.site.rest_url, token_func=new_token)
    assert answer["result"]["ID"] == "1" and len(set(given)) == 2


def test_full_bucket_and_html_are_borne(by_name: Office) -> None:
    by_name.sandbox.faults.limits_on = True
    site = by_name.b24.site
    while site.bucket.admit("127.0.0.1", site.clock.now()):
        pass
    answer = run(by_name, lambda b: b.call("profile", raw=True))
    assert answer["result"]["ID"]
    by_name.sandbox.faults.limits_on = False
    by_name.sandbox.faults.fail_next(1, 502, "<html>Bad gateway</html>", path_part="crm.deal.fields")
    assert run(by_name, lambda b: b.call("crm.deal.fields", raw=True))["result"]["ID"]
