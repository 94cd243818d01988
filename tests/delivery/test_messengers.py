"""Messengers: cut where a reader would pause, never lost, and their addresses told to nobody."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.messengers import AppriseMessenger, messengers
from connector.delivery.split import length, split
from connector.domain import CrmFile
from connector.errors import ConfigError, DeliveryError


class Service(HTTPServer):
    """A real HTTP server in the place of a messenger's."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.bodies: list[dict[str, Any]] = []
        self.status = 200


class Taking(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            self.server.bodies.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_message_reaches_the_service_with_its_picture(service: Service) -> None:
    channel = AppriseMessenger("hook", f"json://127.0.0.1:{service.server_port}/?format=text")
    (part,) = channel.parts("Продажи за 23 ноября", "План: 10\n\nФакт: 6 < 7 & *звёздочка*\n")
    channel.send(part, [CrmFile("chart-1.png", b"\x89PNG", "image/png")])
    (body,) = service.bodies
    assert body["message"] == "Продажи за 23 ноября\n\nПлан: 10\n\nФакт: 6 < 7 & *звёздочка*"
    assert body["attachments"][0]["filename"] == "chart-1.png"


def test_a_long_message_comes_whole_in_numbered_parts_under_the_limit_of_telegram() -> None:
    channel = AppriseMessenger("telegram", "tgram://123456789:abcdefg_hijklmnop/12315544/")
    blocks = [f"Блок {number}\n" + "• строка отчёта 🙂\n" * 12 for number in range(60)]
    parts = channel.parts("Отчёт", "\n".join(blocks))
    assert len(parts) > 1 and all(length(part) <= 4096 for part in parts)
    assert [part.split("\n")[0] for part in parts[1:]] == [
        f"({n}/{len(parts)})" for n in range(2, len(parts) + 1)
    ]
    # No block is torn: every part begins with a block's first line, and all the blocks are there in order.
    assert all(part.split("\n")[1].startswith("Блок ") for part in parts[1:])
    assert [line for part in parts for line in part.split("\n") if line.startswith("Блок")] == [
        f"Блок {number}" for number in range(60)
    ]


@given(st.text(alphabet="абв🙂 \n", max_size=400), st.integers(2, 60))
def test_nothing_but_space_is_lost_and_no_part_is_too_long(text: str, limit: int) -> None:
    parts = split(text, limit)
    assert all(part.strip() and length(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_refusal_is_worth_a_repeat_and_tells_no_address(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "connector")
    service.status = 500
    channel = AppriseMessenger("hook", f"json://secret-user:secret-word@127.0.0.1:{service.server_port}/")
    with pytest.raises(DeliveryError) as refused:
        channel.send("текст")
    assert not refused.value.permanent
    assert "secret" not in str(refused.value) + caplog.text + repr(refused.value)


def test_every_wrong_address_is_named_by_its_variable_alone() -> None:
    with pytest.raises(ConfigError) as wrong:
        messengers({"one": "bogus://secret", "two": "tgram://", "good": "json://localhost"})
    said = str(wrong.value)
    assert (
        "NOTIFY_ONE" in said and "NOTIFY_TWO" in said and "NOTIFY_GOOD" not in said and "secret" not in said
    )
