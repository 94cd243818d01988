"""Faults on demand and the clock that moves: orders, counters, what a client sees on the wire."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from flask import Flask, Response, request
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from connector.sandbox.admin import Admin
from connector.sandbox.app import Sandbox
from connector.sandbox.fault_rules import HOOK_FAULTS, REQUEST_FAULTS, BadOrder
from connector.sandbox.faults import MAX_HELD, Faults
from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.sent_hooks import SentHook
from tests.sandbox.catcher import Catcher

FAULTS = "/sandbox/api/faults"
TIME = "/sandbox/api/time"
HOOKS = "/sandbox/api/hooks"


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock(datetime(2026, 11, 25, 9, 0, tzinfo=UTC))


@pytest.fixture
def faults(clock: MovingClock) -> Faults:
    return Faults(clock=clock)


@pytest.fixture
def admin(faults: Faults, clock: MovingClock) -> FlaskClient:
    flask = Flask("admin")
    flask.register_blueprint(Admin(faults, clock).blueprint())
    return flask.test_client()


def ask(
    faults: Faults,
    path: str = "/api/v4/leads",
    *,
    crm: str = "amocrm",
    account: str = "7",
    method: str = "GET",
) -> Response:
    with Flask("dialect").test_request_context():
        return faults.around(crm, account, method, path, lambda: Response('{"id": 12345678}', 200))


def statuses(faults: Faults, n: int, **kwargs: Any) -> list[int]:
    return [ask(faults, **kwargs).status_code for _ in range(n)]


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "нужен объект JSON"),
        ({}, "what: что должно сломаться? Есть status"),
        ({"what": "explode"}, "what: 'explode' не подходит; есть status"),
        ({"what": ["status"]}, "what: "),
        ({"what": "status"}, "status: нужен код ответа"),
        ({"what": "status", "status": 99}, "status: нужно целое число от 200 до 599, а не 99"),
        ({"what": "status", "status": "503"}, "status: нужно целое число"),
        ({"what": "status", "status": 503.5}, "status: нужно целое число"),
        ({"what": "html", "times": 0}, "times: нужно целое число от 1"),
        ({"what": "html", "times": True}, "times: нужно целое число"),
        ({"what": "html", "share": 1.5}, "share: нужно число от 0 до 1"),
        ({"what": "html", "for_s": -1}, "for_s: нужно число"),
        ({"what": "slow", "delay_s": float("nan")}, "delay_s: нужно число"),
        ({"what": "slow", "delay_s": 1e9}, "delay_s: нужно число"),
        ({"what": "html", "crm": "sap"}, "crm: 'sap' не подходит; есть amocrm, bitrix24, yookassa"),
        ({"what": "html", "method": "get"}, "method: 'get' не подходит"),
        ({"what": "html", "path": 5}, "path: нужен текст"),
        ({"what": "html", "path": "x" * 501}, "path: нужен текст не длиннее 500"),
        ({"what": "html", "content_type": "a\r\nSet-Cookie: b"}, "content_type: нужен текст"),
        ({"what": "html", "after_commit": 1}, "after_commit: нужно true или false"),
        ({"what": "html", "tiems": 3}, "tiems: такого ключа у «html» нет"),
        ({"what": "drop", "status": 500}, "status: такого ключа у «drop» нет"),
    ],
)
def test_a_wrong_order_is_refused_with_its_key(faults: Faults, order: object, message: str) -> None:
    with pytest.raises(BadOrder) as refused:
        faults.add(order)
    assert str(refused.value).startswith(message)
    assert faults.values()["active"] == []


def test_wrong_input_is_answered_400_and_changes_nothing(admin: FlaskClient, faults: Faults) -> None:
    for method, url, body in (
        ("POST", FAULTS, b"{"),
        ("POST", FAULTS, b'"status"'),
        ("POST", FAULTS, b'{"what": "status", "status": 5}'),
        ("PATCH", FAULTS, b'{"speed": 1}'),
        ("PATCH", FAULTS, b'{"drop_share": 2}'),
        ("POST", TIME, b"{}"),
        ("POST", TIME, b'{"forward_s": -5}'),
        ("POST", TIME, b'{"forward_s": "5"}'),
        ("POST", TIME, b'{"forward_s": 1e99}'),
        ("POST", TIME, b'{"forward_s": NaN}'),
        ("POST", TIME, b'{"forward_s": 5, "to": "2027-01-01T00:00:00Z"}'),
        ("POST", TIME, b'{"to": "tomorrow"}'),
        ("POST", TIME, b'{"to": "2027-01-01T00:00:00"}'),
        ("POST", TIME, b'{"to": "2020-01-01T00:00:00Z"}'),
        ("POST", TIME, b'{"to": "9999-12-31T23:59:59Z"}'),
        ("POST", f"{HOOKS}/replay", b"{}"),
        ("POST", f"{HOOKS}/replay", b'{"last": 0}'),
        ("POST", f"{HOOKS}/replay", b'{"id": "1"}'),
        ("POST", f"{HOOKS}/replay", b'{"last": 1, "crm": "sap"}'),
    ):
        before = admin.get(TIME).get_json()["shift_s"]
        answer = admin.open(url, method=method, data=body)
        assert answer.status_code == 400, (url, body)
        assert answer.get_json()["error"]
        assert abs(admin.get(TIME).get_json()["shift_s"] - before) <= 1
    assert admin.delete(f"{FAULTS}/77").status_code == 404
    assert admin.post(f"{HOOKS}/replay", json={"id": 77}).status_code == 404
    assert faults.values()["active"] == []


def test_a_fault_strikes_so_many_calls_and_its_counters_stay(admin: FlaskClient, faults: Faults) -> None:
    made = admin.post(FAULTS, json={"what": "status", "status": 503, "times": 2, "path": "/leads"})
    assert made.status_code == 201
    assert statuses(faults, 1, path="/api/v4/tasks") == [200]
    assert statuses(faults, 4) == [503, 503, 200, 200]
    found = admin.get(FAULTS).get_json()
    assert found["active"] == []
    assert (found["over"][0]["id"], found["over"][0]["struck"]) == (made.get_json()["id"], 2)
    assert found["struck"] == {"status": 2}


def test_a_fault_strikes_a_share_of_calls(faults: Faults) -> None:
    faults.add({"what": "status", "status": 500, "share": 0.3})
    struck = statuses(faults, 400).count(500)
    assert 80 <= struck <= 160
    (rule,) = faults.values()["active"]
    assert (rule["seen"], rule["struck"]) == (400, struck)


def test_a_fault_ends_with_its_time_by_the_sandbox_clock(faults: Faults, clock: MovingClock) -> None:
    faults.add({"what": "status", "status": 502, "for_s": 600})
    assert statuses(faults, 1) == [502]
    clock.forward(timedelta(seconds=590))
    assert statuses(faults, 1) == [502]
    clock.forward(timedelta(seconds=11))
    assert statuses(faults, 1) == [200]
    assert faults.values()["active"] == []


@pytest.mark.parametrize(
    ("limit", "met", "passed"),
    [
        ({"crm": "bitrix24"}, {"crm": "bitrix24"}, {"crm": "amocrm"}),
        ({"account": "7"}, {"account": "7"}, {"account": "8"}),
        ({"method": "POST"}, {"method": "POST"}, {"method": "GET"}),
        ({"path": "/LEADS"}, {"path": "/api/v4/leads/5"}, {"path": "/api/v4/contacts"}),
        ({"path": "*.crm.deal.list"}, {"path": "/rest/1/x/y.crm.deal.list"}, {"path": "/x.crm.deal.list/2"}),
        ({"path": "/api/v4/leads/*/notes"}, {"path": "/api/v4/leads/5/notes"}, {"path": "/api/v4/leads/5"}),
    ],
)
def test_a_fault_may_be_for_one_crm_account_method_or_address(
    faults: Faults, limit: dict[str, str], met: dict[str, str], passed: dict[str, str]
) -> None:
    faults.add({"what": "html", **limit})
    assert ask(faults, **passed).mimetype == "text/html" and ask(faults, **passed).data[:1] == b"{"
    assert ask(faults, **met).data.startswith(b"<html>")


def test_errors_are_worded_as_the_crm_words_them(faults: Faults) -> None:
    faults.add({"what": "status", "status": 503})
    assert json.loads(ask(faults, crm="bitrix24").data)["error"] == "QUERY_LIMIT_EXCEEDED"
    assert b"<center>nginx</center>" in ask(faults, crm="amocrm").data
    faults.reset()
    faults.add({"what": "status", "status": 429, "body": "тише", "content_type": "text/plain"})
    answer = ask(faults)
    assert (answer.status_code, answer.get_data(as_text=True), answer.mimetype) == (429, "тише", "text/plain")


def test_one_fault_is_ended_and_all_are_cleared(admin: FlaskClient, faults: Faults) -> None:
    first, second = (
        admin.post(FAULTS, json={"what": "status", "status": code}).get_json()["id"] for code in (500, 502)
    )
    assert statuses(faults, 1) == [500]
    assert [rule["id"] for rule in admin.delete(f"{FAULTS}/{first}").get_json()["active"]] == [second]
    assert statuses(faults, 1) == [502]
    admin.patch(FAULTS, json={"duplicate": True})
    cleared = admin.delete(FAULTS).get_json()
    assert (cleared["active"], cleared["duplicate"]) == ([], False)
    assert statuses(faults, 1) == [200]


def test_every_kind_is_offered_by_name_and_can_be_ordered(admin: FlaskClient) -> None:
    kinds = admin.get(f"{FAULTS}/kinds").get_json()
    offered = {group: {kind["what"]: kind["title"] for kind in found} for group, found in kinds.items()}
    assert offered == {"requests": REQUEST_FAULTS, "hooks": HOOK_FAULTS}
    for what in {**REQUEST_FAULTS, **HOOK_FAULTS}:
        order = {"what": what, "status": 500} if what == "status" else {"what": what}
        assert admin.post(FAULTS, json=order).status_code == 201


def test_hooks_are_lost_doubled_shuffled_and_late_by_rule(faults: Faults) -> None:
    def sent(event: str = "update_lead", crm: str = "amocrm") -> list[float]:
        return faults.deliveries(crm, "7", event)

    assert sent() == [0.0]
    faults.add({"what": "drop", "times": 1, "path": "update"})
    assert (sent("add_lead"), sent(), sent()) == ([0.0], [], [0.0])
    faults.add({"what": "double", "times": 1, "crm": "bitrix24"})
    assert (sent(), sent(crm="bitrix24"), sent(crm="bitrix24")) == ([0.0], [0.0, 0.0], [0.0])
    faults.add({"what": "delay", "delay_s": 5, "times": 1})
    assert (sent(), sent()) == ([5.0], [0.0])
    faults.add({"what": "reorder", "delay_s": 30})
    waits = [sent()[0] for _ in range(20)]
    assert waits != sorted(waits) and 0 <= min(waits) <= max(waits) <= 30
    assert faults.values()["struck"] == {"drop": 1, "double": 1, "delay": 1, "reorder": 20}


def test_a_sleeper_wakes_when_the_clock_moves(clock: MovingClock) -> None:
    over = threading.Event()

    def sleep() -> None:
        clock.sleep(timedelta(days=30))
        over.set()

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    clock.forward(timedelta(days=29))
    assert not over.is_set()
    clock.forward(timedelta(days=2))
    assert over.wait(10)
    thread.join()


def test_the_clock_goes_only_forward_and_not_beyond_the_calendar(clock: MovingClock) -> None:
    for by in (timedelta(), timedelta(seconds=-1), timedelta(days=365 * 11)):
        with pytest.raises(ValueError, match="вперёд"):
            clock.forward(by)
    before = clock.monotonic()
    clock.forward(timedelta(hours=1))
    assert 3600 <= clock.monotonic() - before < 3660


def test_answers_held_back_leave_room_for_clearing_the_fault(faults: Faults, clock: MovingClock) -> None:
    faults.add({"what": "timeout", "delay_s": 3600})
    threads = [threading.Thread(target=ask, args=(faults,), daemon=True) for _ in range(MAX_HELD)]
    for thread in threads:
        thread.start()
    for _ in range(2000):
        if faults.values()["held"] == MAX_HELD:
            break
        time.sleep(0.005)
    assert ask(faults).status_code == 504, "one more is answered at once"
    clock.forward(timedelta(hours=2))
    for thread in threads:
        thread.join(10)
    assert faults.values()["held"] == 0


# On the wire


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(start_now=datetime(2026, 11, 25, 9, 0, tzinfo=UTC)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Iterator[Sandbox]:
    running.faults.reset()
    running.faults.limits_on = False
    yield running
    running.faults.reset()


def account(sandbox: Sandbox, timeout: float = 10) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.describe()['amocrm']['token']}"}
    return requests.get(f"{sandbox.base_url}/api/v4/account", headers=headers, timeout=timeout)


def order(sandbox: Sandbox, **body: Any) -> None:
    assert requests.post(sandbox.base_url + FAULTS, json=body, timeout=5).status_code == 201


def test_a_connection_is_cut_in_the_middle_of_an_answer(sandbox: Sandbox) -> None:
    order(sandbox, what="cut", times=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        account(sandbox)
    assert account(sandbox).status_code == 200


def test_a_spoilt_answer_is_whole_on_the_wire_but_no_json(sandbox: Sandbox) -> None:
    order(sandbox, what="bad_json", times=1)
    answer = account(sandbox)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"."):
        answer.json()


def test_a_client_times_out_on_an_answer_that_does_not_come(sandbox: Sandbox) -> None:
    order(sandbox, what="timeout", times=1, delay_s=3600)
    with pytest.raises(requests.Timeout):
        account(sandbox, timeout=0.2)
    requests.post(sandbox.base_url + TIME, json={"forward_s": 3601}, timeout=5)
    assert account(sandbox).status_code == 200


def test_a_slow_answer_comes_when_the_time_is_moved(sandbox: Sandbox) -> None:
    order(sandbox, what="slow", times=1, delay_s=3600)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(account(sandbox, 30).status_code))
    thread.start()
    for _ in range(2000):
        if sandbox.faults.values()["held"]:
            break
        time.sleep(0.005)
    requests.post(sandbox.base_url + TIME, json={"forward_s": 3601}, timeout=5)
    thread.join(10)
    assert answers == [200]


def test_moved_time_is_the_same_in_both_crms_and_ends_tokens_and_limits(sandbox: Sandbox) -> None:
    before = {name: portal.now() for name, portal in sandbox.portals.items()}
    code = sandbox.bitrix24.oauth.issue_code(sandbox.bitrix24.webhook_user_id)
    amo_code = sandbox.amocrm.oauth.issue_code()
    sandbox.faults.limits_on = True
    while account(sandbox).status_code == 200:
        pass
    moved = requests.post(sandbox.base_url + TIME, json={"forward_s": 86400}, timeout=5).json()
    assert account(sandbox).status_code == 200, "the limit has filled up again"
    for name, portal in sandbox.portals.items():
        assert timedelta(days=1) <= portal.now() - before[name] < timedelta(days=1, minutes=1)
        assert abs((portal.now() - datetime.fromisoformat(moved["now"])).total_seconds()) < 60
    bitrix, amo = sandbox.bitrix24.endpoints(), sandbox.amocrm.endpoints()
    refused = requests.get(
        bitrix["oauth_url"],
        params={"grant_type": "authorization_code", "code": code, **_client(bitrix)},
        timeout=5,
    )
    assert refused.json() == {"error": "invalid_grant"}
    body = {"grant_type": "authorization_code", "code": amo_code, **_client(amo)}
    refused = requests.post(f"{sandbox.base_url}/oauth2/access_token", json=body, timeout=5)
    assert refused.json()["hint"] == "Authorization code has expired"


def _client(endpoints: dict[str, Any]) -> dict[str, Any]:
    return {name: endpoints[name] for name in ("client_id", "client_secret")}


def test_an_old_hook_is_sent_once_more_byte_for_byte(sandbox: Sandbox) -> None:
    got: list[bytes] = []
    arrived = threading.Semaphore(0)
    flask = Flask("receiver")

    @flask.post("/hook")
    def hook() -> str:
        got.append(request.get_data())
        arrived.release()
        return ""

    server = make_server("127.0.0.1", 0, flask, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook"
        sandbox.bitrix24.add_outgoing_webhook(url, ["ONCRMDEALADD"])
        amo = {"destination": url, "settings": ["add_lead"]}
        headers = {"Authorization": f"Bearer {sandbox.describe()['amocrm']['token']}"}
        requests.post(f"{sandbox.base_url}/api/v4/webhooks", json=amo, headers=headers, timeout=5)
        for crm in ("amocrm", "bitrix24"):
            deals = f"{sandbox.base_url}/sandbox/api/{crm}/deals"
            assert requests.post(deals, json={"amount": 7}, timeout=5).status_code == 201
            assert arrived.acquire(timeout=10)
            body = {"last": 1, "crm": crm}
            for _ in range(2000):  # the answer is written down a moment after the receiver has it
                if sandbox.faults.sent.newest(1, crm):
                    break
                time.sleep(0.005)
            answer = requests.post(f"{sandbox.base_url}{HOOKS}/replay", json=body, timeout=5).json()
            assert (answer["hooks"][0]["status"], answer["hooks"][0]["repeats"]) == (200, 1)
            assert got[-1] == got[-2]
        found = requests.get(f"{sandbox.base_url}{HOOKS}", params={"crm": "bitrix24"}, timeout=5).json()
        assert [hook["event"] for hook in found["hooks"]] == ["ONCRMDEALADD"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_hook_to_nobody_is_said_to_have_got_no_answer(faults: Faults, clock: MovingClock) -> None:
    faults.sent.add("amocrm", "add_lead", "http://127.0.0.1:1/hook?token=abc", b"a=1", {}, 200)
    (hook,) = faults.sent.newest(5)
    assert isinstance(hook, SentHook)
    assert faults.sent.repeat(hook) == 0
    assert hook.describe()["url"] == "http://127.0.0.1:1/hook"


def test_clearing_all_faults_leaves_the_usual_latency(faults: Faults) -> None:
    faults.set(latency_s=0.25, drop_share=0.5, limits_on=False)
    faults.add({"what": "html"})
    faults.reset()
    found = faults.values()
    assert (found["latency_s"], found["drop_share"], found["limits_on"], found["active"]) == (
        0.25,
        0,
        True,
        [],
    )


class TestTheShop:
    """YooKassa's API and notices go wrong by the same orders as the CRMs'."""

    def test_its_errors_are_in_its_own_words(self, sandbox: Sandbox) -> None:
        order(sandbox, what="status", status=500, crm="yookassa", path="/me", times=1)
        keys = sandbox.describe()["yookassa"]
        auth = (keys["shop_id"], keys["secret_key"])
        wrong = requests.get(f"{keys['api_url']}/me", auth=auth, timeout=10)
        assert (wrong.status_code, wrong.json()["code"]) == (500, "internal_server_error")
        right = requests.get(f"{keys['api_url']}/me", auth=auth, timeout=10)
        assert right.json()["account_id"] == keys["shop_id"]
        assert requests.get(f"{keys['api_url']}/me", auth=("1", "x"), timeout=10).status_code == 401

    def test_a_notice_may_be_lost_or_come_twice_and_again(self, sandbox: Sandbox) -> None:
        shop = sandbox.yookassa
        with Catcher() as caught:
            url = f"{sandbox.base_url}/sandbox/api/yookassa/notify"
            assert requests.post(url, json={"url": caught.url}, timeout=10).json() == {"urls": [caught.url]}
            order(sandbox, what="drop", crm="yookassa", times=1)
            order(sandbox, what="double", crm="yookassa", path="payment.succeeded", times=1)
            for _ in range(2):
                shop.pay(payment(sandbox))
            caught.wait_for(2)
            events = [json.loads(one.body)["event"] for one in caught.caught]
            assert events == ["payment.succeeded"] * 2
            kept = requests.get(f"{sandbox.base_url}{HOOKS}?crm=yookassa", timeout=10).json()["hooks"]
            assert kept[0]["event"] == "payment.succeeded"
            assert requests.delete(url, json={"url": caught.url}, timeout=10).json() == {"urls": []}
        assert requests.post(url, json={}, timeout=10).status_code == 400


def payment(sandbox: Sandbox) -> str:
    """A new payment; its id."""
    keys = sandbox.describe()["yookassa"]
    body = {
        "amount": {"value": "10.00", "currency": "RUB"},
        "confirmation": {"type": "redirect", "return_url": "https://shop.example/"},
    }
    answer = requests.post(
        f"{keys['api_url']}/payments",
        json=body,
        auth=(keys["shop_id"], keys["secret_key"]),
        headers={"Idempotence-Key": secrets.token_hex(8)},
        timeout=10,
    )
    return str(answer.json()["id"])
