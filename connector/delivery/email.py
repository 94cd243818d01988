"""Letters by SMTP. The only module that talks to a mail server.

A refusal that a repeat cannot change (5xx about this letter) is permanent; a network failure, a 4xx answer,
or a server that does not let us in is not. Addresses of people are left out of errors and logs.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from connector.clock import Clock, SystemClock
from connector.config import MailConfig
from connector.delivery.base import Letter
from connector.errors import DeliveryError

CHANNEL = "email"
TIMEOUT_S = 30.0
#: Servers commonly refuse more than 25 MB, and base64 adds a third.
MAX_ATTACHMENTS = 18_000_000

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}")
# Seven-bit bodies: no server needs an extension for them.
_POLICY = SMTP.clone(cte_type="7bit")


class EmailChannel:
    """Sends letters through one server; a connection a letter, so a broken one harms no other."""

    def __init__(
        self, config: MailConfig, *, timeout_s: float = TIMEOUT_S, clock: Clock | None = None
    ) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()

    def send(self, letter: Letter) -> None:
        """Return once the server has taken the letter over.

        Errors: DeliveryError, permanent for a malformed or refused recipient, a refused or too large letter.
        """
        recipient = check_address(letter.to)
        message = self._message(letter, recipient)
        sender = check_address(parseaddr(letter.sender)[1])
        server = self._connect(sender)
        try:
            server.send_message(message, from_addr=sender, to_addrs=[recipient])
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()), (450, b""))
            raise _refused(code, text) from None
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code, error.smtp_error) from None
        except (smtplib.SMTPException, OSError) as error:
            raise _unreachable(error) from None
        finally:
            # The letter is accepted or not by now: how the farewell goes changes nothing.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    def look_in(self) -> None:
        """Return once the server has let us in; nothing is sent. Errors: DeliveryError."""
        server = self._connect(check_address(parseaddr(self._config.sender)[1]))
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()
        server.close()

    def _connect(self, sender: str) -> smtplib.SMTP:
        config = self._config
        server: smtplib.SMTP | None = None
        name = sender.rpartition("@")[2]
        try:
            if config.security == "tls":
                context = ssl.create_default_context()
                server = smtplib.SMTP_SSL(
                    config.host, config.port, local_hostname=name, timeout=self._timeout_s, context=context
                )
            else:
                server = smtplib.SMTP(config.host, config.port, local_hostname=name, timeout=self._timeout_s)
            if config.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if config.user:
                server.login(config.user, config.password)
        except (smtplib.SMTPException, OSError) as error:
            if server is not None:
                server.close()
            raise _unreachable(error) from None
        return server

    def _message(self, letter: Letter, recipient: str) -> EmailMessage:
        if sum(len(file.content) for file in (*letter.attachments, *letter.pictures)) > MAX_ATTACHMENTS:
            raise DeliveryError(CHANNEL, f"вложения больше {MAX_ATTACHMENTS // 1_000_000} МБ", permanent=True)
        name, address = parseaddr(letter.sender)
        message = EmailMessage(policy=_POLICY)
        message["From"] = Address(_one_line(name), addr_spec=check_address(address))
        message["To"] = Address(addr_spec=recipient)
        message["Subject"] = _one_line(letter.subject)
        message["Message-ID"] = _one_line(letter.message_id)
        message["Date"] = format_datetime(self._clock.now())
        message.set_content(letter.text, charset="utf-8", cte="base64")
        message.add_alternative(letter.html, subtype="html", charset="utf-8", cte="base64")
        for picture in letter.pictures:
            html = message.get_body(("html",))
            assert isinstance(html, EmailMessage), "the letter has just got one"
            sub = picture.mime_type.partition("/")[2]
            html.add_related(picture.content, "image", sub, cid=f"<{picture.name}>", filename=picture.name)
        for file in letter.attachments:
            main, _, sub = file.mime_type.partition("/")
            message.add_attachment(file.content, maintype=main, subtype=sub, filename=_one_line(file.name))
        return message


def check_address(address: str) -> str:
    """`address` as SMTP takes it, an international domain in its ASCII form.

    Errors: DeliveryError, permanent, for what is no address of one person; the address is not repeated in it.
    """
    local, at, domain = address.strip().rpartition("@")
    try:
        # A domain in Cyrillic letters is written in ASCII on the wire.
        wire = domain.encode("idna").decode("ascii") if domain else ""
    except UnicodeError:
        wire = ""
    if not at or len(local) > 64 or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(wire):
        raise DeliveryError(CHANNEL, "адрес получателя или отправителя записан неверно", permanent=True)
    return f"{local}@{wire}"


def _refused(code: int, text: bytes | str) -> DeliveryError:
    return DeliveryError(CHANNEL, f"сервер ответил {code} {_masked(text)}".strip(), permanent=code >= 500)


def _unreachable(error: Exception) -> DeliveryError:
    """The server could not be spoken with, or does not let us in: another time it may."""
    if isinstance(error, smtplib.SMTPResponseException):
        detail = f"{error.smtp_code} {_masked(error.smtp_error)}".strip()
    else:
        detail = _masked(str(error))
    return DeliveryError(CHANNEL, f"{type(error).__name__}: {detail}", permanent=False)


def _masked(text: bytes | str) -> str:
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return re.sub(r"[^\s<>\"':;,]+@", "…@", _one_line(shown))[:200]


def _one_line(text: str) -> str:
    """A value for a header: whatever would begin a new line becomes a space."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]", " ", text).split())
