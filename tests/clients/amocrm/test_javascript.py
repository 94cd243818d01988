"""amocrm-js and @shevernitskiy/amo, unmodified, in node: names and certificate lead to the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from connector.sandbox.app import Sandbox
from tests.clients.amocrm.conftest import Account
from tests.clients.javascript import Node
from tests.sandbox.catcher import Catcher

pytestmark = pytest.mark.node


def run(node: Node, account: Account, script: str, **more: Any) -> Any:
    given = account.for_script(**more)
    return node.run(script, given, hosts=account.tls.hosts, ca_file=account.tls.ca_file)


def live_ids(account: Account) -> list[int]:
    return sorted(d.id for d in account.portal.deals.values() if not d.is_deleted)


@pytest.fixture
def caught_url(account: Account) -> Iterator[str]:
    """An address at which a script reads what the hooks brought so far."""
    catcher: Catcher = account.hooks

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps([caught.body.decode() for caught in catcher.caught]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_amocrm_js_works_end_to_end(node: Node, account: Account) -> None:
    before = live_ids(account)
    found = run(node, account, "amocrm_js.mjs")
    assert found["account"] == account.amo.world.account_id and found["task_types"] >= 2
    assert found["pipelines"] == [p.id for p in account.amo.world.pipelines()]
    assert {142, 143} <= set(found["statuses"])
    assert found["leads"] == before and len(before) > 1000
    assert found["filtered"] == [account.some_deal()] and found["empty"] == 0
    lead = found["lead"]
    assert (lead["name"], lead["price"], lead["status_id"]) == ("Мебель", 45000, 142)
    assert account.portal.deals[lead["id"]].name == "Мебель"
    assert found["links"] == [[True, {"main_contact": True}]]
    assert (found["batch"], found["note"], found["task"]) == (3, True, "Замер")
    assert found["event"][0]["lead_status"]["id"] == 142
    assert found["wrong"][0]["errors"][0]["path"] == "status_id"
    assert found["missing"] == [204, {}] and found["method"] == 405
    codes = {caught.body.split(b"%5B0%5D")[0].split(b"&")[-1] for caught in account.hooks.wait_for(5)}
    assert {b"leads%5Badd%5D", b"leads%5Bstatus%5D", b"leads%5Bupdate%5D"} <= codes


def test_amocrm_js_signs_in_and_meets_the_limits(node: Node, account: Account, sandbox: Sandbox) -> None:
    sandbox.faults.limits_on = True
    account.amo.world.switches.block_after = 2
    account.amo.world.switches.rate_per_s = 4
    found = run(node, account, "amocrm_js_trouble.mjs", code=account.amo.oauth.issue_code())
    assert found["account"] == account.amo.world.account_id and found["rotated"]
    assert found["spent"] == "Token has been revoked"
    assert found["code"] == "Cannot decrypt the authorization code"
    assert set(found["seen"]) == {200, 429, 403}
    assert found["message"] == "JSON_PARSE_ERROR", "HTML came where it waits for JSON"


def test_shevernitskiy_amo_works_end_to_end(node: Node, account: Account, caught_url: str) -> None:
    before = live_ids(account)
    faults = f"{account.sandbox.base_url}/sandbox/api/faults"
    found = run(node, account, "shevernitskiy_amo.mjs", caught_url=caught_url, faults_url=faults)
    assert found["account"] == account.amo.world.account_id
    assert found["pipelines"] == [p.id for p in account.amo.world.pipelines()]
    assert {142, 143} <= set(found["statuses"]) and found["users"] == len(account.portal.users)
    assert found["leads"] == before and found["won"] == [142]
    assert found["empty"].startswith("204 ") and found["missing"].startswith("204 ")
    assert found["hook"] == [False, 5]
    assert found["made"] == ["0", "z"] and found["lead"] == ["Ворота", 80000, 142, ["дача"]]
    assert found["tree"] == [[False, True, True]] and found["links"] == [{"main_contact": True}]
    assert (found["note"], found["task"]) == (1, {"text": "Были"})
    assert {"lead_added", "lead_status_changed", "entity_tag_added"} <= set(found["events"])
    assert found["types"] > 40 and found["fields"] > 3 and found["tags"] is True
    assert found["accepted"] == 1 and found["part"] == 524288
    assert found["wrong"] == "status_id"
    heard = found["heard"]
    assert heard["leads:add"]["name"] and heard["leads:status"]["status_id"] == "142"
    assert heard["note:leads"]["note"]["text"] == "Высота 2 м" and heard["contacts:add"]["type"] == "contact"
    assert heard["task:add"]["text"] == "Выезд"
    assert all(message.startswith("<html>") for message in found["html"])


def test_shevernitskiy_amo_signs_in_and_keeps_the_limit(node: Node, account: Account) -> None:
    account.sandbox.faults.limits_on = True
    refused = account.amo.gate.refused
    found = run(node, account, "shevernitskiy_amo_oauth.mjs", code=account.amo.oauth.issue_code())
    assert found["account"] == found["renewed"] == account.amo.world.account_id and found["rotated"]
    assert found["spent"] == "Token has been revoked"
    assert found["kept"] == 10 and account.amo.gate.refused == refused
