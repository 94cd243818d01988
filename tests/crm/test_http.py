from __future__ import annotations

import http.server
import logging
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
import responses

from connector.clock import FixedClock
from connector.crm.http import BLOCKED_PAUSE, LONGEST_DELAY, Answer, ErrorRules, Fault, HttpSession, Rate
from connector.errors import CrmError, RetryLater
from tests.crm.limiter import Turnstile

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
URL = "https://romashka.bitrix24.test/rest/1/hush-hush/crm.item.get.json"
SECRET = "hush-hush"


def read_error(status: int, body: object) -> Fault | None:
    if isinstance(body, dict) and "error" in body:
        code = str(body["error"])
        return Fault(code, str(body.get("text", "")), refused=code == "SLOW_DOWN")
    return None


RULES = ErrorRules(read_error, {"SLOW_DOWN": "retry", "NO_SUCH": "not_found", "TOKEN_DEAD": "reauth"})


class Answering(http.server.ThreadingHTTPServer):
    """A server that keeps connections open and counts them."""

    daemon_threads = True

    def __init__(self) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.server.connections.add(self.client_address)  # type: ignore[attr-defined]
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)
        self.connections: set[object] = set()
        self.url = f"http://127.0.0.1:{self.server_port}/crm"

    def __enter__(self) -> Answering:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def limiter() -> Turnstile:
    return Turnstile()


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def session(clock: FixedClock, limiter: Turnstile) -> HttpSession:
    return HttpSession(
        "main",
        limiter=limiter,
        rate=Rate("crm:main", 2, 50),
        clock=clock,
        rules=RULES,
        secrets=(SECRET,),
        follow_moves=True,
        rng=random.Random(7),
    )


def call(session: HttpSession, *, repeatable: bool = True, url: str = URL) -> Answer:
    return session.send("POST", url, call="crm.item.get", repeatable=repeatable, json_body={"id": 1})


def failed_call(session: HttpSession, *, repeatable: bool = True) -> CrmError:
    with pytest.raises(CrmError) as caught:
        call(session, repeatable=repeatable)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(vars(caught.value))
    return caught.value


def test_an_answer_is_parsed_with_exact_fractions(session, web) -> None:
    web.post(URL, body=b'{"result": 0.1}')
    assert str(call(session).data["result"]) == "0.1"


@pytest.mark.parametrize("status", [201, 202, 204])
def test_an_empty_body_is_a_legal_answer_where_the_status_says_so(session, web, status) -> None:
    web.post(URL, status=status)
    assert call(session).data is None


def test_each_request_takes_its_turn_first(session, web, limiter, clock) -> None:
    limiter.wait = timedelta(seconds=1.5)
    web.post(URL, json={})
    call(session)
    assert limiter.asked == ["crm:main"]
    assert clock.waits == [timedelta(seconds=1.5)]


def test_a_used_up_limit_sends_nothing(session, web, limiter) -> None:
    limiter.wait = RetryLater(timedelta(seconds=40))
    with pytest.raises(RetryLater):
        call(session)
    assert not web.calls


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_refused_call_is_repeated_and_everybody_waits(session, web, limiter, clock, repeatable) -> None:
    web.post(URL, status=503, json={"error": "SLOW_DOWN"})
    web.post(URL, json={"ok": 1})
    assert call(session, repeatable=repeatable).data == {"ok": 1}
    assert limiter.pushed == [("crm:main", NOW + timedelta(seconds=1))]


def test_a_429_in_html_is_a_refusal_and_its_own_delay_wins(session, web, limiter, clock) -> None:
    web.post(URL, status=429, body="<h1>Too Many Requests</h1>", headers={"Retry-After": "3"})
    web.post(URL, json={"ok": 1})
    assert call(session, repeatable=False).data == {"ok": 1}
    assert timedelta(seconds=3) in clock.waits
    assert limiter.pushed == [("crm:main", NOW + timedelta(seconds=3))]


def test_a_delay_as_a_date_is_understood(session, web, clock) -> None:
    web.post(URL, status=429, body="", headers={"Retry-After": "Mon, 02 Mar 2026 09:00:04 GMT"})
    web.post(URL, json={})
    call(session)
    assert timedelta(seconds=4) in clock.waits


def test_a_long_delay_goes_to_the_caller_instead_of_blocking_a_worker(session, web, clock) -> None:
    web.post(URL, status=429, body="", headers={"Retry-After": "600"})
    error = failed_call(session)
    assert (error.kind, error.retry_after) == ("retry", timedelta(minutes=10))
    assert sum(clock.waits, timedelta()) == timedelta()


@pytest.mark.parametrize(
    "told",
    ["3601", "999999", "999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 02 May 2026 09:00:00 GMT"],
)
def test_a_delay_beyond_belief_silences_nobody_for_days(session, web, limiter, told: str) -> None:
    web.post(URL, status=429, body="", headers={"Retry-After": told})
    assert failed_call(session).retry_after == LONGEST_DELAY
    assert limiter.pushed == [("crm:main", NOW + LONGEST_DELAY)]


@pytest.mark.parametrize("told", ["soon", "-5", "1e3", "Mon, 02 Mar 99999999999 09:00:00 GMT", "٣"])
def test_a_delay_that_nobody_can_read_is_as_none(session, web, limiter, told: str) -> None:
    web.post(URL, status=429, body="", headers={"Retry-After": told.encode("utf-8").decode("latin-1")})
    web.post(URL, json={"ok": 1})
    assert call(session).data == {"ok": 1}
    assert limiter.pushed == [("crm:main", NOW + timedelta(seconds=1))]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_an_unreadable_answer(session, web, word: str) -> None:
    for _ in range(4):
        web.post(URL, body=f'{{"price": {word}}}')
    error = failed_call(session)
    assert (error.kind, error.detail) == ("retry", "the answer is not JSON")


def test_a_block_in_html_stops_the_whole_account_for_a_while(session, web, limiter) -> None:
    web.post(URL, status=403, body="<html>403 Forbidden nginx</html>")
    error = failed_call(session)
    assert (error.kind, error.retry_after) == ("retry", BLOCKED_PAUSE)
    assert limiter.pushed == [("crm:main", NOW + BLOCKED_PAUSE)]


@pytest.mark.parametrize("answer", [{"body": "<html>maintenance</html>"}, {"body": ""}, {"body": "{"}])
def test_html_or_nothing_with_success_is_temporary(session, web, answer) -> None:
    web.post(URL, status=200, **answer)
    web.post(URL, json={"ok": 1})
    assert call(session).data == {"ok": 1}


def test_a_write_that_may_have_worked_is_not_repeated(session, web) -> None:
    web.post(URL, status=502, body="<html>bad gateway</html>")
    assert failed_call(session, repeatable=False).kind == "retry"
    assert len(web.calls) == 1


@pytest.mark.parametrize("error", [requests.ReadTimeout(f"at {URL}"), requests.ConnectionError(f"at {URL}")])
def test_a_write_whose_answer_got_lost_is_not_repeated(session, web, error) -> None:
    web.post(URL, body=error)
    caught = failed_call(session, repeatable=False)
    assert caught.kind == "retry"
    assert caught.detail == f"no answer: {type(error).__name__}"
    assert caught.__cause__ is None
    assert len(web.calls) == 1


def test_a_write_that_was_never_sent_is_repeated(session, web) -> None:
    web.post(URL, body=requests.ConnectTimeout(f"at {URL}"))
    web.post(URL, json={"ok": 1})
    assert call(session, repeatable=False).data == {"ok": 1}


def test_no_connection_at_all_counts_as_never_sent(session, limiter) -> None:
    with pytest.raises(CrmError) as caught:
        call(session, repeatable=False, url="http://127.0.0.1:9/rest/1/hush-hush/profile")
    assert len(limiter.asked) > 1
    assert SECRET not in str(caught.value)


def test_the_budget_of_repeats_ends(session, web, limiter, clock) -> None:
    web.post(URL, status=500, body="{}")
    assert failed_call(session).kind == "retry"
    assert len(web.calls) == 4
    assert sum(clock.waits, timedelta()) < timedelta(seconds=10)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"error": "NO_SUCH"}, "not_found"),
        (400, {"error": "no_such"}, "not_found"),
        (200, {"error": "WHATEVER"}, "rejected"),
        (500, {"error": "TOKEN_DEAD"}, "reauth"),
        (401, {"error": "?"}, "reauth"),
        (402, {}, "config"),
        (403, {"error": "?"}, "config"),
        (404, {}, "not_found"),
        (405, {}, "rejected"),
        (422, {"error": "?"}, "rejected"),
    ],
)
def test_the_crms_own_code_is_asked_before_the_status(session, web, status, body, kind) -> None:
    web.post(URL, status=status, json=body)
    error = failed_call(session)
    assert (error.kind, error.status, error.call) == (kind, status, "crm.item.get")


def test_what_the_crm_says_is_masked(session, web) -> None:
    web.post(
        URL, status=400, json={"error": "BAD", "text": f"no /rest/1/other-secret/x for {SECRET} auth=abc123"}
    )
    error = failed_call(session)
    assert "other-secret" not in str(error)
    assert "abc123" not in str(error)


def test_a_post_is_repeated_at_the_new_host_with_its_body_and_the_host_is_kept(session, web, caplog) -> None:
    moved = URL.replace("romashka", "vasilek")
    web.post(URL, status=302, headers={"Location": moved})
    web.post(moved, json={"ok": 1})
    web.post(moved, json={"ok": 2})
    assert call(session, repeatable=False).data == {"ok": 1}
    assert call(session, repeatable=False).data == {"ok": 2}
    assert [request.request.method for request in web.calls] == ["POST", "POST", "POST"]
    assert web.calls[1].request.body == b'{"id": 1}'
    assert "vasilek.bitrix24.test" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "location",
    [
        "https://romashka.bitrix24.test/auth/",
        "https://stranger.test/login",
        "http://vasilek.bitrix24.test/rest/1/hush-hush/crm.item.get.json",
        "",
    ],
)
def test_a_redirect_that_is_no_move_is_not_followed(session, web, location) -> None:
    web.post(URL, status=302, headers={"Location": location} if location else {})
    with pytest.raises(CrmError):
        call(session)
    assert {request.request.url for request in web.calls} == {URL}


def test_a_redirect_is_not_followed_unless_allowed(clock, limiter, web) -> None:
    session = HttpSession("main", limiter=limiter, rate=Rate("k", 1, 1), clock=clock, rules=RULES)
    web.post(URL, status=302, headers={"Location": URL.replace("romashka", "vasilek")})
    assert failed_call(session).kind == "config"


def test_hosts_that_redirect_to_each_other_end(session, web) -> None:
    other = URL.replace("romashka", "vasilek")
    web.post(URL, status=302, headers={"Location": other})
    web.post(other, status=302, headers={"Location": URL})
    assert failed_call(session).kind == "config"


def test_a_retry_is_logged_without_the_address(session, web, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    web.post(URL, status=502, body="")
    web.post(URL, json={})
    call(session)
    assert "crm.item.get failed, trying again" in caplog.text
    assert SECRET not in caplog.text


def test_the_librarys_own_log_shows_no_secret(session, caplog) -> None:
    caplog.set_level(logging.DEBUG, logger="urllib3")
    logging.getLogger("urllib3.connectionpool").debug(
        'https://x:443 "POST %s HTTP/1.1" 200', "/rest/1/secretword/a"
    )
    assert "secretword" not in caplog.text
    assert "/rest/1/***/a" in caplog.text


class LateClock(FixedClock):
    """A machine that is too busy: some of its waits end late."""

    def __init__(self, now: datetime, late_s: list[float]) -> None:
        super().__init__(now)
        self._late_s = late_s

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        if self._late_s:
            super().sleep(timedelta(seconds=self._late_s.pop(0)))


@pytest.mark.parametrize(
    ("burst", "late_s", "turns"), [(1, [0.1], 2), (1, [0.04], 1), (45, [0.9], 1), (1, [9.0] * 50, 5)]
)
def test_a_turn_that_passed_unused_is_given_up_where_requests_may_not_come_close(
    web, limiter, burst: int, late_s: list[float], turns: int
) -> None:
    web.post(URL, json={})
    clock = LateClock(NOW, late_s)
    session = HttpSession("main", limiter=limiter, rate=Rate("crm", 6.25, burst), clock=clock, rules=RULES)
    call(session)
    assert len(limiter.asked) == turns


def test_threads_share_the_connections_that_are_kept_open(limiter) -> None:
    with Answering() as server:
        session = HttpSession(
            "main", limiter=limiter, rate=Rate("crm", 2, 50), clock=FixedClock(NOW), rules=RULES
        )
        for _ in range(3):
            thread = threading.Thread(target=call, args=(session,), kwargs={"url": server.url})
            thread.start()
            thread.join()
        assert len(server.connections) == 1


class Kept(Turnstile):
    """A limiter that is not a test's, as far as the session knows."""

    is_kept = True


@pytest.mark.parametrize(("limiter", "waits"), [(Kept(), True), (Turnstile(), False)])
def test_one_more_than_a_second_takes_waits_where_the_limit_is_kept(web, clock, limiter, waits: bool) -> None:
    web.post(URL, json={})
    rate = Rate("crm", 6.25, 1, most=7)
    session = HttpSession("main", limiter=limiter, rate=rate, clock=clock, rules=RULES)
    for _ in range(8):
        call(session)
    assert (clock.now() - NOW == timedelta(seconds=1)) is waits
