"""The sandbox's mail server, spoken to by smtplib and read through its JSON."""

from __future__ import annotations

import hashlib
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from connector.sandbox import mailbox as module
from connector.sandbox.mailbox import Mailbox

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 20


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox(base_url="http://127.0.0.1:1")
    box.start()
    yield box
    box.stop()


@pytest.fixture
def inbox(mailbox: Mailbox) -> FlaskClient:
    app = Flask("mail", static_folder=None)
    app.register_blueprint(mailbox.blueprint())
    return app.test_client()


def letter(to: str = "client@example.test", subject: str = "Договор для ООО «Ромашка»") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Отдел продаж <sales@example.ru>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = "<deal-1@example.ru>"
    message.set_content("Здравствуйте!\nДоговор во вложении.")
    message.add_alternative('<p>Здравствуйте!</p><img src="cid:logo">', subtype="html")
    message.add_attachment(PDF, maintype="application", subtype="pdf", filename="Договор № 7.pdf")
    return message


def send(mailbox: Mailbox, message: EmailMessage, **options: Any) -> None:
    with smtplib.SMTP(mailbox.smtp_host, mailbox.smtp_port, timeout=5) as server:
        server.send_message(message, **options)


def test_a_letter_is_kept_with_all_its_parts(mailbox: Mailbox, inbox: FlaskClient) -> None:
    send(
        mailbox,
        letter(),
        from_addr="bounce@example.ru",
        to_addrs=["client@example.test", "boss@example.test"],
    )
    [got] = inbox.get("/sandbox/api/mail").get_json()
    assert got["envelope"] == {
        "from": "bounce@example.ru",
        "to": ["client@example.test", "boss@example.test"],
    }
    assert got["subject"] == "Договор для ООО «Ромашка»"
    assert got["headers"]["Message-ID"] == got["message_id"] == "<deal-1@example.ru>"
    assert got["from"] == "Отдел продаж <sales@example.ru>"
    assert got["text"] == "Здравствуйте!\nДоговор во вложении.\n"
    assert "<p>Здравствуйте!</p>" in got["html"]
    [file] = got["attachments"]
    assert (file["name"], file["mime_type"], file["size"]) == ("Договор № 7.pdf", "application/pdf", len(PDF))
    assert file["sha256"] == hashlib.sha256(PDF).hexdigest()


def test_an_attachment_downloads_byte_for_byte(mailbox: Mailbox, inbox: FlaskClient) -> None:
    send(mailbox, letter())
    [file] = inbox.get("/sandbox/api/mail").get_json()[0]["attachments"]
    path = file["url"].removeprefix("http://127.0.0.1:1")
    shown, saved = inbox.get(path), inbox.get(path + "?download")
    assert shown.data == saved.data == PDF
    assert shown.mimetype == "application/pdf"
    assert shown.headers["Content-Disposition"].startswith("inline")
    assert saved.headers["Content-Disposition"].startswith("attachment")


def test_a_letters_html_is_shown_without_its_power(mailbox: Mailbox, inbox: FlaskClient) -> None:
    message = EmailMessage()
    message["To"] = "client@example.test"
    message.set_content("text")
    message.add_alternative('<script>alert(1)</script><img src="cid:logo">', subtype="html")
    message.add_attachment(
        b"\x89PNG", maintype="image", subtype="png", filename="logo.png", cid="<logo>", disposition="inline"
    )
    send(mailbox, message, from_addr="a@example.ru")
    answer = inbox.get("/sandbox/mail/1/html")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert 'src="/sandbox/mail/1/files/0"' in answer.text


def test_an_attached_page_is_downloaded_and_never_shown(mailbox: Mailbox, inbox: FlaskClient) -> None:
    message = EmailMessage()
    message["To"] = "client@example.test"
    message.set_content("text")
    message.add_attachment("<script>alert(1)</script>", subtype="html", filename="page.html")
    send(mailbox, message, from_addr="a@example.ru")
    answer = inbox.get("/sandbox/mail/1/files/0")
    assert answer.mimetype == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_file_with_a_russian_name_opens_and_keeps_the_name(mailbox: Mailbox, inbox: FlaskClient) -> None:
    message = EmailMessage()
    message["To"] = "client@example.test"
    message.set_content("text")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="Счёт № 2026-0001.pdf")
    send(mailbox, message, from_addr="a@example.ru")
    for address, kind in (("files/0", "inline"), ("files/0?download", "attachment")):
        answer = inbox.get(f"/sandbox/mail/1/{address}")
        header = answer.headers["Content-Disposition"]
        header.encode("latin-1")  # as a real server must; the test client does not
        assert parse_options_header(header) == (kind, {"filename": "Счёт № 2026-0001.pdf"})


def test_letters_come_newest_first_and_by_recipient(mailbox: Mailbox, inbox: FlaskClient) -> None:
    for number in range(3):
        send(mailbox, letter(f"client{number}@example.test", f"Письмо {number}"))
    assert [one["subject"] for one in inbox.get("/sandbox/api/mail").get_json()] == [
        "Письмо 2", "Письмо 1", "Письмо 0",
    ]  # fmt: skip
    [found] = inbox.get("/sandbox/api/mail?to=CLIENT1@").get_json()
    assert found["subject"] == "Письмо 1"


def test_the_box_is_emptied(mailbox: Mailbox, inbox: FlaskClient) -> None:
    send(mailbox, letter())
    before = mailbox.revision
    assert inbox.delete("/sandbox/api/mail").status_code == 204
    assert inbox.get("/sandbox/api/mail").get_json() == []
    assert mailbox.revision > before
    assert inbox.get("/sandbox/api/mail/1").status_code == 404


def test_old_letters_make_room(mailbox: Mailbox, inbox: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LETTERS", 2)
    for number in range(4):
        mailbox.receive("a@example.ru", ["b@example.test"], f"Subject: {number}\r\n\r\nx".encode())
    assert [one.subject for one in mailbox.letters()] == ["3", "2"]
    monkeypatch.setattr(module, "MAX_TOTAL_BYTES", 100)
    mailbox.receive("a@example.ru", ["b@example.test"], b"Subject: big\r\n\r\n" + b"x" * 80)
    assert [one.subject for one in mailbox.letters()] == ["big"]


def test_letters_are_refused_on_demand(mailbox: Mailbox, inbox: FlaskClient) -> None:
    prepared = inbox.post("/sandbox/api/mail/refuse-next", json={"n": 1, "reply": "451 4.3.0 later"})
    assert prepared.status_code == 200
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(mailbox, letter())
    assert caught.value.smtp_code == 451
    send(mailbox, letter())
    assert len(mailbox.letters()) == 1
    assert inbox.post("/sandbox/api/mail/refuse-next", json={"n": 0}).status_code == 400


def test_bytes_that_are_no_letter_are_kept_too(mailbox: Mailbox) -> None:
    mailbox.receive("a@example.ru", ["b@example.test"], b"\xff\xfe\x00 no headers")
    mailbox.receive("a@example.ru", ["b@example.test"], b"Content-Type: text/plain; charset=none\r\n\r\n\xff")
    assert len(mailbox.letters()) == 2


def test_the_port_is_free_again_after_a_stop() -> None:
    first = Mailbox(base_url="http://127.0.0.1:1")
    first.start()
    first.stop()
    second = Mailbox(base_url="http://127.0.0.1:1", port=first.smtp_port)
    second.start()
    send(second, letter())
    second.stop()
    assert len(second.letters()) == 1
