"""Letters through a real SMTP server, and what its refusals mean."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from connector.clock import FixedClock
from connector.config import MailConfig
from connector.delivery.base import Letter, message_id
from connector.delivery.email import MAX_ATTACHMENTS, EmailChannel, check_address
from connector.domain import CrmFile
from connector.errors import DeliveryError

LETTER = Letter(
    to="anna@romashka.example",
    subject="Счёт № 7 для ООО «Ромашка»",
    text="Здравствуйте!\n",
    html="<p>Здравствуйте!</p>",
    message_id=message_id("main", "deal:1", "office@severny-veter.example"),
    sender="Северный ветер <office@severny-veter.example>",
    attachments=(CrmFile("Счёт на оплату № 2026-0007.pdf", b"%PDF-1.7\n\x00\xff", "application/pdf"),),
)


class Mailbox:
    """Takes letters; `answer` is what it says to the end of the data, `to_recipient` to RCPT."""

    def __init__(self) -> None:
        self.letters: list[tuple[str, list[str], EmailMessage]] = []
        self.answer = "250 taken"
        self.to_recipient = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if self.to_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.to_recipient

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.letters.append((envelope.mail_from, envelope.rcpt_tos, message))
        return self.answer


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def channel(mailbox: Mailbox) -> Iterator[EmailChannel]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=0)
    # The controller cannot say which port 0 became: bind one first.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    config = MailConfig("127.0.0.1", controller.port, "office@severny-veter.example", security="none")
    yield EmailChannel(config, timeout_s=5, clock=FixedClock(datetime(2026, 11, 24, 9, tzinfo=UTC)))
    controller.stop()


def test_a_letter_arrives_as_it_was_written(channel: EmailChannel, mailbox: Mailbox) -> None:
    channel.send(LETTER)
    ((sender, recipients, message),) = mailbox.letters
    assert (sender, recipients) == ("office@severny-veter.example", ["anna@romashka.example"])
    assert message["Subject"] == LETTER.subject
    assert message["From"] == "Северный ветер <office@severny-veter.example>"
    assert message["Message-ID"] == LETTER.message_id
    assert message["Date"] == "Tue, 24 Nov 2026 09:00:00 +0000"
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n") == LETTER.text
    assert html is not None
    assert html.get_content().strip() == LETTER.html
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == "Счёт на оплату № 2026-0007.pdf"
    assert attachment.get_content() == LETTER.attachments[0].content
    assert attachment.get_content_type() == "application/pdf"


def test_the_wire_is_seven_bit(channel: EmailChannel, mailbox: Mailbox) -> None:
    channel.send(LETTER)
    assert mailbox.letters[0][2].as_bytes().isascii()


def test_nothing_in_a_value_becomes_a_header(channel: EmailChannel, mailbox: Mailbox) -> None:
    evil = "Тема\r\nBcc: evil@evil.example\r\n\r\nтело"
    channel.send(
        replace(
            LETTER,
            subject=evil,
            sender='"Имя\r\nBcc: evil@evil.example" <office@severny-veter.example>',
            attachments=(CrmFile("a\r\nBcc: evil@evil.example.pdf", b"x", "application/pdf"),),
        )
    )
    ((_, recipients, message),) = mailbox.letters
    assert recipients == ["anna@romashka.example"]
    assert message["Bcc"] is None
    assert message["Subject"] == "Тема Bcc: evil@evil.example тело"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "anna@",
        "@romashka.example",
        "anna@romashka.example, evil@evil.example",
        "anna@romashka.example\r\nRCPT TO:<evil@evil.example>",
        "anna romanova@romashka.example",
        "анна@romashka.example",
        "<anna@romashka.example>",
        "a@b@c.example",
        "anna@-romashka-.example",
        "anna@[127.0.0.1]",
        ".anna@romashka.example",
        "a" * 65 + "@romashka.example",
    ],
)
def test_a_malformed_address_is_a_permanent_failure_and_nothing_is_sent(
    channel: EmailChannel, mailbox: Mailbox, address: str
) -> None:
    with pytest.raises(DeliveryError) as failure:
        channel.send(replace(LETTER, to=address))
    assert failure.value.permanent
    assert mailbox.letters == []
    assert "evil" not in str(failure.value)


def test_an_international_domain_is_written_in_ascii() -> None:
    assert check_address(" anna@пример.рф ") == "anna@xn--e1afmkfd.xn--p1ai"


@pytest.mark.parametrize(
    ("to_recipient", "answer", "is_permanent"),
    [
        ("550 5.1.1 no such user <anna@romashka.example>", "250 taken", True),
        ("450 4.2.0 greylisted, come back", "250 taken", False),
        ("250 OK", "554 5.7.1 looks like spam", True),
        ("250 OK", "552 5.3.4 too large", True),
        ("250 OK", "451 4.3.0 try later", False),
    ],
)
def test_refusals_say_whether_a_repeat_can_help(
    channel: EmailChannel, mailbox: Mailbox, to_recipient: str, answer: str, is_permanent: bool
) -> None:
    mailbox.to_recipient, mailbox.answer = to_recipient, answer
    with pytest.raises(DeliveryError) as failure:
        channel.send(LETTER)
    assert failure.value.permanent is is_permanent
    assert "anna@" not in str(failure.value)
    assert failure.value.channel == "email"


def test_no_server_is_a_passing_trouble() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DeliveryError) as failure:
        EmailChannel(MailConfig("127.0.0.1", port, "a@b.example", security="none"), timeout_s=2).send(LETTER)
    assert not failure.value.permanent


def test_a_silent_server_is_left_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        config = MailConfig("127.0.0.1", silent.getsockname()[1], "a@b.example", security="none")
        with pytest.raises(DeliveryError) as failure:
            EmailChannel(config, timeout_s=0.2).send(LETTER)
    assert not failure.value.permanent


def test_a_server_that_hangs_up_after_taking_the_letter_is_no_failure() -> None:
    """A second copy would be worse than no farewell."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        talk = threading.Thread(target=_take_and_hang_up, args=(listener,), daemon=True)
        talk.start()
        config = MailConfig("127.0.0.1", listener.getsockname()[1], "a@b.example", security="none")
        EmailChannel(config, timeout_s=5).send(LETTER)
        talk.join(5)


def _take_and_hang_up(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb", buffering=0) as stream:
        stream.write(b"220 hello\r\n")
        while line := stream.readline():
            if line.upper().startswith(b"DATA"):
                stream.write(b"354 go\r\n")
                while stream.readline().strip() != b".":
                    pass
                stream.write(b"250 taken\r\n")
                return
            stream.write(b"250 ok\r\n")


def test_a_server_without_tls_is_not_told_the_letter_when_tls_is_asked_for(mailbox: Mailbox) -> None:
    controller = Controller(mailbox, hostname="127.0.0.1", port=0)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        controller.port = probe.getsockname()[1]
    controller.start()
    try:
        for security in ("starttls", "tls"):
            config = MailConfig("127.0.0.1", controller.port, "a@b.example", "user", "secret", security)  # type: ignore[arg-type]
            with pytest.raises(DeliveryError) as failure:
                EmailChannel(config, timeout_s=2).send(LETTER)
            assert not failure.value.permanent
            assert "secret" not in str(failure.value)
    finally:
        controller.stop()
    assert mailbox.letters == []


def test_too_large_attachments_are_refused_before_the_server_is_asked(channel: EmailChannel) -> None:
    big = CrmFile("video.mp4", b"\0" * (MAX_ATTACHMENTS + 1), "video/mp4")
    with pytest.raises(DeliveryError, match="МБ") as failure:
        channel.send(replace(LETTER, attachments=(big,)))
    assert failure.value.permanent


def test_message_id_depends_on_account_and_key_alone() -> None:
    first = message_id("main", "deal:1", "office@severny-veter.example")
    assert first == message_id("main", "deal:1", "Имя <other@severny-veter.example>")
    assert first != message_id("main", "deal:2", "office@severny-veter.example")
    assert first != message_id("other", "deal:1", "office@severny-veter.example")
    assert first.endswith("@severny-veter.example>")
    assert message_id("main", "k", "office@ромашка.рф").isascii()
