"""The mail server of the sandbox: takes letters over real SMTP, keeps them, shows them as JSON and files.

It delivers nothing anywhere. The pages for people are in `board_pages`.
"""

from __future__ import annotations

import hashlib
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Blueprint, Response, jsonify, request

MAX_LETTERS = 1000
MAX_LETTER_BYTES = 40 * 1024 * 1024
#: The oldest letters go when all together weigh more.
MAX_TOTAL_BYTES = 256 * 1024 * 1024

_SHOWN_INLINE = frozenset(("application/pdf", "image/png", "image/jpeg", "image/gif", "text/plain"))


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    mime_type: str
    content: bytes
    content_id: str


@dataclass(frozen=True, slots=True)
class ReceivedLetter:
    """A letter as it was accepted. `headers` in their order; `sender` and `recipients` are the envelope's."""

    id: int
    received_at: datetime
    sender: str
    recipients: tuple[str, ...]
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    attachments: tuple[Attachment, ...]
    raw: bytes

    def header(self, name: str) -> str:
        """The first header of that name, decoded; empty when there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def subject(self) -> str:
        return self.header("Subject")


class Mailbox:
    """An SMTP server on 127.0.0.1 and the letters it took. Thread-safe.

    `base_url` is where `blueprint` is mounted. port 0: any free one.
    """

    def __init__(self, *, base_url: str, port: int = 0) -> None:
        self._base_url = base_url.rstrip("/")
        self._lock = threading.Lock()
        self._letters: deque[ReceivedLetter] = deque()
        self._bytes = 0
        self._next_id = 1
        self._refusals: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.smtp_host, self.smtp_port = self._socket.getsockname()
        self._server = _Server(self, self._socket, self.smtp_port)
        #: Grows with every letter that comes or goes; the pages poll it.
        self.revision = 0

    @property
    def inbox_url(self) -> str:
        """Where the letters are as JSON."""
        return f"{self._base_url}/sandbox/api/mail"

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        if self._server.loop.is_running():
            self._server.stop()
        self._socket.close()

    def letters(self) -> list[ReceivedLetter]:
        """All kept letters, the newest first."""
        with self._lock:
            return list(reversed(self._letters))

    def letter(self, letter_id: int) -> ReceivedLetter | None:
        with self._lock:
            return next((letter for letter in self._letters if letter.id == letter_id), None)

    def clear(self) -> None:
        with self._lock:
            self._letters.clear()
            self._bytes = 0
            self.revision += 1

    def refuse_next(self, n: int, reply: str) -> None:
        """Answer the next `n` letters with `reply`, such as «451 4.3.0 try later»."""
        with self._lock:
            self._refusals.extend([reply] * n)

    def receive(self, sender: str, recipients: list[str], raw: bytes) -> str:
        """Keep one letter; the SMTP reply."""
        with self._lock:
            if self._refusals:
                return self._refusals.pop(0)
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        text, html, attachments = _parts(message)
        with self._lock:
            letter = ReceivedLetter(
                self._next_id,
                datetime.now(UTC).replace(microsecond=0),
                sender,
                tuple(recipients),
                tuple((name, str(value)) for name, value in message.items()),
                text,
                html,
                attachments,
                raw,
            )
            self._next_id += 1
            self._letters.append(letter)
            self._bytes += len(raw)
            while len(self._letters) > MAX_LETTERS or self._bytes > MAX_TOTAL_BYTES:
                self._bytes -= len(self._letters.popleft().raw)
            self.revision += 1
        return f"250 2.0.0 letter {letter.id} kept"

    def as_json(self, letter: ReceivedLetter) -> dict[str, Any]:
        """What the inbox tells of a letter."""
        headers: dict[str, str] = {}
        for name, value in letter.headers:
            headers[name] = f"{headers[name]}\n{value}" if name in headers else value
        return {
            "id": letter.id,
            "received_at": letter.received_at.isoformat(),
            "envelope": {"from": letter.sender, "to": list(letter.recipients)},
            "from": letter.header("From"),
            "to": letter.header("To"),
            "subject": letter.subject,
            "message_id": letter.header("Message-ID"),
            "headers": headers,
            "text": letter.text,
            "html": letter.html,
            "size": len(letter.raw),
            "raw_url": f"{self._base_url}/sandbox/mail/{letter.id}/raw",
            "attachments": [
                {
                    "name": part.name,
                    "mime_type": part.mime_type,
                    "size": len(part.content),
                    "sha256": hashlib.sha256(part.content).hexdigest(),
                    "url": f"{self._base_url}{_file_path(letter, number)}",
                }
                for number, part in enumerate(letter.attachments)
            ],
        }

    def blueprint(self) -> Blueprint:
        """JSON at `/sandbox/api/mail`: GET all (`?to=` part of a recipient's address), GET one, DELETE to
        clear, POST …/refuse-next {n, reply}. Files and bodies under `/sandbox/mail/{id}/`."""
        bp = Blueprint("sandbox_mailbox", __name__)
        bp.get("/sandbox/api/mail")(self._list)
        bp.get("/sandbox/api/mail/<int:letter_id>")(self._show)
        bp.delete("/sandbox/api/mail")(self._delete)
        bp.post("/sandbox/api/mail/refuse-next")(self._refuse)
        bp.get("/sandbox/mail/<int:letter_id>/raw")(self._raw)
        bp.get("/sandbox/mail/<int:letter_id>/html")(self._html)
        bp.get("/sandbox/mail/<int:letter_id>/files/<int:number>")(self._file)
        return bp

    def _list(self) -> Response:
        wanted = request.args.get("to", "").lower()
        return jsonify(
            [
                self.as_json(letter)
                for letter in self.letters()
                if any(wanted in address.lower() for address in letter.recipients)
            ]
        )

    def _show(self, letter_id: int) -> tuple[Response, int]:
        letter = self.letter(letter_id)
        if letter is None:
            return jsonify(error="нет такого письма"), 404
        return jsonify(self.as_json(letter)), 200

    def _delete(self) -> tuple[str, int]:
        self.clear()
        return "", 204

    def _refuse(self) -> tuple[Response, int]:
        body = request.get_json(silent=True, force=True) or {}
        count, reply = body.get("n", 1), str(body.get("reply", "451 4.3.0 try later"))
        if not isinstance(count, int) or not 1 <= count <= 1000 or not reply[:3].isdigit():
            return jsonify(error="n is 1..1000, reply is «451 4.3.0 text»"), 400
        self.refuse_next(count, reply)
        return jsonify(n=count, reply=reply), 200

    def _raw(self, letter_id: int) -> Response:
        letter = self.letter(letter_id)
        return _not_found() if letter is None else Response(letter.raw, mimetype="text/plain")

    def _html(self, letter_id: int) -> Response:
        """The letter's HTML, harmless: no script runs and nothing is fetched but its own pictures."""
        letter = self.letter(letter_id)
        if letter is None or not letter.html:
            return _not_found()
        html = letter.html
        for number, part in enumerate(letter.attachments):
            if part.content_id:
                html = html.replace(f"cid:{part.content_id}", _file_path(letter, number))
        answer = Response(html, mimetype="text/html")
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
            "sandbox allow-popups allow-popups-to-escape-sandbox"
        )
        # As web mail does: who follows a link does not tell from where, and here the CRM is on the same host.
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer

    def _file(self, letter_id: int, number: int) -> Response:
        letter = self.letter(letter_id)
        if letter is None or number >= len(letter.attachments):
            return _not_found()
        part = letter.attachments[number]
        return file_answer(part.name, part.mime_type, part.content)


def file_answer(name: str, mime_type: str, content: bytes) -> Response:
    """A file for the browser: shown in place when that is harmless, downloaded under its name otherwise."""
    is_inline = mime_type in _SHOWN_INLINE and request.args.get("download") is None
    answer = Response(content, mimetype=mime_type if is_inline else "application/octet-stream")
    # Headers travel as Latin-1, and names of documents are Russian: RFC 6266 gives them as UTF-8 in percents.
    encoded = {"filename*": f"UTF-8''{quote(name, safe='')}"}
    answer.headers.set("Content-Disposition", "inline" if is_inline else "attachment", **encoded)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


class _Server(Controller):
    """aiosmtpd on a socket that is bound already, so that a free port is known before the start."""

    def __init__(self, mailbox: Mailbox, bound: socket.socket, port: int) -> None:
        super().__init__(
            _Handler(mailbox),
            hostname="127.0.0.1",
            port=port,
            data_size_limit=MAX_LETTER_BYTES,
            enable_SMTPUTF8=True,
            ident="sandbox mail",
        )
        self._bound = bound

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._bound)


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        return self._mailbox.receive(envelope.mail_from or "", list(envelope.rcpt_tos), content)


def _parts(message: EmailMessage) -> tuple[str, str, tuple[Attachment, ...]]:
    text = html = ""
    attachments: list[Attachment] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        name = part.get_filename()
        if name is None and part.get_content_disposition() != "attachment" and kind.startswith("text/"):
            body = _body(part)
            if kind == "text/html" and not html:
                html = body
            elif not text:
                text = body
            continue
        content = part.get_payload(decode=True)
        content_id = str(part.get("Content-ID", "")).strip("<> ")
        attachments.append(
            Attachment(name or "без имени", kind, content if isinstance(content, bytes) else b"", content_id)
        )
    return text, html, tuple(attachments)


def _body(part: EmailMessage) -> str:
    try:
        text = str(part.get_content())
    except LookupError:
        # A charset that nobody has heard of.
        content = part.get_payload(decode=True)
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
    return text.replace("\r\n", "\n")


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in message.walk():
        if not part.is_multipart() and isinstance(part, EmailMessage):
            yield part


def _file_path(letter: ReceivedLetter, number: int) -> str:
    return f"/sandbox/mail/{letter.id}/files/{number}"


def _not_found() -> Response:
    return Response("нет такого письма", status=404, mimetype="text/plain")
