"""HTTP itself: verbs, slashes, packed and chunked bodies, kept connections."""

from __future__ import annotations

import gzip
import http.client
import json
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.sandbox.amocrm.transport import MAX_BODY
from connector.sandbox.app import Sandbox, Secrets
from connector.sandbox.history_files import write_history
from tests.sandbox.amocrm_office import TOKEN, Office
from tests.sandbox.office import past

LEADS = "/api/v4/leads"


@pytest.fixture
def office() -> Office:
    return Office()


def test_head_answers_as_get_without_a_body(office: Office) -> None:
    answer = office.call("HEAD", LEADS)
    assert (answer.status_code, answer.data) == (200, b"")
    assert office.call("HEAD", f"{LEADS}/999").status_code == 204
    assert office.client.head(LEADS).status_code == 401


def test_options_names_the_methods(office: Office) -> None:
    answer = office.client.options(LEADS)
    assert answer.status_code == 200
    assert {"GET", "POST", "PATCH"} <= {verb.strip() for verb in answer.headers["Allow"].split(",")}


def test_a_slash_at_the_end_makes_no_difference(office: Office) -> None:
    assert office.read(f"{LEADS}/") == office.read(LEADS)
    assert office.post(f"{LEADS}/", [{"name": "А"}]).status_code == 200


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_packed_bodies_are_read(office: Office, packing: str) -> None:
    raw = json.dumps([{"name": "Упаковано"}]).encode()
    body = gzip.compress(raw) if packing == "gzip" else zlib.compress(raw)
    headers = {"Content-Encoding": packing, "Content-Type": "application/json"}
    assert office.call("POST", LEADS, data=body, headers=headers).status_code == 200
    assert [d.name for d in office.portal.deals.values()].count("Упаковано") == 1


def test_broken_and_overblown_packing_is_refused(office: Office) -> None:
    def send(body: bytes, packing: str) -> int:
        return office.call("POST", LEADS, data=body, headers={"Content-Encoding": packing}).status_code

    assert send(b"not packed", "gzip") == 400
    assert send(gzip.compress(b"[]")[:-4], "gzip") == 400
    assert send(gzip.compress(b" " * (MAX_BODY + 1)), "gzip") == 413
    assert send(b"[]", "br") == 415


def test_answers_are_packed_by_switch_for_those_who_take_it(office: Office) -> None:
    assert "Content-Encoding" not in office.get(LEADS, headers={"Accept-Encoding": "gzip"}).headers
    office.amo.world.switches.packs_answers = True
    plain = office.get(LEADS)
    packed = office.get(LEADS, headers={"Accept-Encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    account = office.get("/api/v4/webhooks", headers={"Accept-Encoding": "gzip"})
    assert (account.status_code, account.data) == (204, b"")


@contextmanager
def connection() -> Iterator[http.client.HTTPConnection]:
    """A kept connection to a real server."""

    with tempfile.TemporaryDirectory() as folder:
        write_history(past().history, Path(folder))
        with Sandbox(history=Path(folder), keys=Secrets(amocrm_token=TOKEN)) as sandbox:
            sandbox.faults.limits_on = False
            made = http.client.HTTPConnection("127.0.0.1", urlsplit(sandbox.base_url).port, timeout=10)
            yield made
            made.close()


def ask(made: http.client.HTTPConnection, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    made.request(method, path, body, {**headers, **kwargs.pop("headers", {})}, **kwargs)
    answer = made.getresponse()
    raw = answer.read()
    return answer.status, json.loads(raw) if raw else None


def test_a_kept_connection_survives_chunks_and_errors() -> None:
    whole = json.dumps([{"name": "По частям"}]).encode()
    with connection() as made:
        assert ask(made, "GET", "/api/v4/account")[0] == 200
        socket = made.sock
        chunks = iter([whole[:7], whole[7:]])
        status, body = ask(made, "POST", LEADS, chunks, encode_chunked=True)
        assert (status, len(body["_embedded"]["leads"])) == (200, 1)
        assert ask(made, "POST", LEADS, iter([b"{", b"x"]), encode_chunked=True)[0] == 400
        assert ask(made, "DELETE", LEADS, b"[]")[0] == 405
        lead_id = body["_embedded"]["leads"][0]["id"]
        assert ask(made, "GET", f"{LEADS}/{lead_id}")[1]["name"] == "По частям"
        assert made.sock is socket, "one connection served all of it"
        assert ask(made, "GET", "/api/v4/webhooks") == (204, None)
