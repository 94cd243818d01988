"""Whatever a stranger puts on the wire, the receiver answers soon, with the right status, and is unharmed.

The real server, real sockets: what a test client would tidy up (chunks, lengths, broken heads) arrives as is.
"""

from __future__ import annotations

import gc
import gzip
import logging
import socket
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from connector.app import App
from connector.clock import FixedClock
from connector.config import Config
from connector.store.jobs import DEFAULT_QUEUE, JobQueue
from connector.store.schema import inbox, jobs
from connector.web.server import WebServer
from tests.web.test_webhooks import FORM, ROOT, SECRET

PATH = f"/hooks/amocrm/amo/{SECRET}"
JSON = "application/json"
HEAD = b"account[subdomain]=example&account[id]=30000001&"


@dataclass(frozen=True, slots=True)
class Receiver:
    app: App
    port: int

    def raw(self, *parts: bytes) -> int:
        """The status that these bytes get; 0 when the server just closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            try:
                for part in parts:
                    line.sendall(part)
            except OSError:
                pass  # refused before all was sent: the answer is there all the same
            try:
                answer = line.recv(65536)
            except OSError:
                return 0
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0

    def post(self, body: bytes, content_type: str = FORM, *, path: str = PATH, more: str = "") -> int:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n{more}\r\n"
        )
        return self.raw(head.encode(), body)

    def chunked(self, *chunks: bytes, content_type: str = FORM) -> int:
        head = (
            f"POST {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        )
        return self.raw(head.encode(), *(b"%x\r\n%s\r\n" % (len(part), part) for part in (*chunks, b"")))

    def count(self, table: type[object] | object) -> int:
        with self.app.db.read() as conn:
            return conn.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]


@pytest.fixture
def receiver(database_url: str, clock: FixedClock) -> Iterator[Receiver]:
    config = Config.from_env(
        {
            "ACCOUNT": "amo",
            "CRM": "amocrm",
            "CRM_URL": "https://example.amocrm.example",
            "CRM_TOKEN": "long-lived",
            "HOOK_SECRET": SECRET,
            "DATABASE_URL": database_url,
            "TEMPLATES_DIR": str(ROOT / "templates"),
        }
    )
    app = App(config, clock)
    app.prepare()
    server = WebServer("127.0.0.1", 0)
    server.start(app.web())
    yield Receiver(app, server.port)
    server.stop()
    app.close()


def lead(number: int, at: int = 0) -> bytes:
    return b"leads[add][%d][id]=%d" % (at, number)


def leads(count: int) -> bytes:
    return HEAD + b"&".join(lead(at + 1, at) for at in range(count))


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (HEAD + b"leads[add][7][id]=5&leads[add][90000][id]=6", FORM, 200),  # holes in the list
        (HEAD + b"leads[add][][id]=5", FORM, 200),
        (HEAD + lead(5) + b"&leads[add][0][name]=%CF%F0%E8", f"{FORM}; charset=windows-1251", 200),
        (HEAD + lead(5) + b"&leads[add][0][name]=%CF%F0%E8%FF", FORM, 200),  # damaged UTF-8 in a name
        (HEAD + lead(5) + b"&leads[add][0][name]=%00", FORM, 200),
        (b"\xef\xbb\xbf" + HEAD + lead(5), FORM, 400),  # a byte order mark makes «account» another word
        (HEAD + b"leads[add][0][id]=%00", FORM, 400),
        (HEAD + b"leads[add][0][id]=" + b"9" * 5000, FORM, 400),
        (HEAD + b"leads[add][0][id]=-5", FORM, 400),
        (HEAD + b"leads[add][0][id]=5.0", FORM, 400),
        (HEAD + b"leads[add][0][id]=%D9%A5", FORM, 400),  # an Arabic five is no id
        (HEAD + b"leads=5", FORM, 400),
        (HEAD + b"leads[add]=5", FORM, 400),
        (HEAD + b"x" + b"[a]" * 1000 + b"=1", FORM, 400),
        (HEAD + b"x" + b"[" * 100_000, FORM, 400),
        (HEAD + b"__class__[add][0][id]=5", FORM, 400),
        (b"&" * 500_000, FORM, 400),
        (HEAD + lead(5), JSON, 400),
        (b'{"event":' * 100_000, JSON, 400),
        (b'{"event": {"type_code": "lead_added", "data": {"id": 1e999}}, "account_id": 1}', JSON, 400),
        (b'{"event": {"type_code": "x", "data": {"id": NaN}}, "account_id": 1}', JSON, 400),
        (b"[" * 200_000, JSON, 400),
        ((HEAD + lead(5)).decode().encode("utf-16"), f"{FORM}; charset=utf-16", 400),
        (b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--", "multipart/form-data", 400),
        (b"<?xml version='1.0'?><a/>", "text/xml", 400),
        (b"", FORM, 400),
        (b"\0" * 1000, FORM, 400),
        (HEAD + b"x=" + b"a" * 1_500_000, FORM, 413),
        (b"a" * 30_000_000, FORM, 413),
    ],
    ids=range(29),
)  # fmt: skip
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_each_body_gets_its_status_and_no_traceback(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, body: bytes, content_type: str, status: int
) -> None:
    with caplog.at_level(logging.ERROR):
        assert receiver.post(body, content_type) == status
    assert caplog.records == []
    assert (receiver.count(inbox) > 0) == (status == 200)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_packed_bodies_are_refused_unread(receiver: Receiver) -> None:
    bomb = zlib.compress(b"a" * 10_000_000)
    assert receiver.post(gzip.compress(HEAD + lead(5)), more="Content-Encoding: gzip\r\n") == 415
    assert receiver.post(bomb, more="Content-Encoding: deflate\r\n") == 415
    assert receiver.post(HEAD + lead(5), more="Content-Encoding: identity\r\n") == 200
    assert receiver.count(inbox) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_chunked_bodies_are_read_within_the_same_bounds(receiver: Receiver) -> None:
    whole = HEAD + lead(5)
    assert receiver.chunked(*(whole[at : at + 7] for at in range(0, len(whole), 7))) == 200
    assert receiver.count(inbox) == 1
    assert receiver.chunked(*[b"a" * 1_000_000] * 30) == 413
    start = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n".encode()
    assert receiver.raw(start + b"\r\nzz\r\n" + whole) == 400
    assert receiver.raw(start + b"Content-Length: 5\r\n\r\n0\r\n\r\n") == 400
    assert receiver.count(inbox) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "head",
    [
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n".encode(),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 50\r\n\r\nabcde".encode(),
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{'X: ' + 'a' * 300_000}\r\n\r\n".encode(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET " + b"/" * 300_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["negative length", "two lengths", "endless header", "TLS to a plain port", "endless address"],
)
def test_a_broken_head_is_refused_and_the_next_caller_is_served(receiver: Receiver, head: bytes) -> None:
    assert receiver.raw(head) in (0, 400, 431)
    assert receiver.post(HEAD + lead(5)) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_only_a_post_is_a_hook(receiver: Receiver, method: str) -> None:
    assert receiver.raw(f"{method} {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == 405


def test_a_mass_change_is_answered_in_one_piece_and_none_of_its_deals_is_lost(receiver: Receiver) -> None:
    """Thousands of rows in the hook's own transaction would outlast the two seconds that amoCRM waits."""
    assert receiver.post(leads(500)) == 200
    assert (receiver.count(inbox), receiver.count(jobs)) == (0, 1)
    app = receiver.app
    queue = JobQueue(app.db, app.clock)
    (job,) = queue.claim("test", DEFAULT_QUEUE, 1, 1, timedelta(minutes=1))
    assert job.task == "delivery"
    app.intake.sort_out(job)
    assert (receiver.count(inbox), receiver.count(jobs)) == (500, 501)
    app.intake.sort_out(job)  # a crash before the mark: the events are the same rows again
    assert receiver.count(inbox) == 500


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_flood_of_rubbish_leaves_no_memory_behind(receiver: Receiver) -> None:
    logging.disable()  # the test runner keeps every line
    rubbish = [leads(60), b"%" * 100_000, b"a[" * 50_000, b'{"a":' * 20_000, b"a" * 1_500_000]

    def flood(rounds: int) -> int:
        for _ in range(rounds):
            for body in rubbish:
                receiver.post(body, JSON if body.startswith(b"{") else FORM)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        warm = flood(2)
        assert flood(5) - warm < 400_000  # bytes; any body kept a round would be more
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)


_bytes = st.binary(max_size=60)
_pairs = st.lists(
    st.tuples(
        st.sampled_from(
            b"account[subdomain] account[id] leads[add][0][id] leads[status][1][id] leads[] [ %00 account_id"
            b" contacts[update][0][id] event[type_code] event[data][id]".split()
        ),
        st.sampled_from([b"1", b"0", b"", b"%FF", b"9" * 30, b"[]", b"<script>"]) | _bytes,
    ),
    max_size=8,
)
_bodies = _bytes | _pairs.map(lambda pairs: b"&".join(key + b"=" + value for key, value in pairs))
_types = st.sampled_from([FORM, JSON, "text/plain", f"{FORM}; charset=cp1251", "", "\x01"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=_bodies, content_type=_types, encoding=st.sampled_from(["", "gzip", "identity", "x"]))
def test_no_request_is_answered_with_a_fault_of_ours(
    receiver: Receiver, body: bytes, content_type: str, encoding: str
) -> None:
    more = f"Content-Encoding: {encoding}\r\n" if encoding else ""
    assert receiver.post(body, content_type, more=more) in (200, 400, 413, 415)
