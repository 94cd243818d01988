"""Links to documents for clients: made, opened, taken back.

The secret word of a link (160 bits) is derived from the account's own secret and the document, so the same
link can be written again into a note or a letter although the store keeps only its digest. A link whose
account got another secret is replaced at its next use; what clients have goes on working.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from connector.clock import Clock
from connector.documents.kit import DocumentTemplate, Kit
from connector.store import archive, document_links, facts
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.document_links import DocumentLink

#: For how long a link to a document without a term of its own holds.
DEFAULT_DAYS = 30

_WORD_BYTES = 20
#: Longer than any secret word of ours: no digest is made of a megabyte.
LONGEST_WORD = 64


@dataclass(frozen=True, slots=True)
class NewLink:
    """What a person is told of a link that he ordered. `url` is a secret."""

    url: str
    expires_at: datetime


class Links:
    """The links of all accounts of one store. secrets: account -> its key for links."""

    def __init__(
        self,
        db: Database,
        secrets: Mapping[str, str],
        base_url: str,
        kit: Callable[[], Kit],
        clock: Clock,
    ) -> None:
        self._db = db
        self._secrets = secrets
        self._base_url = base_url.rstrip("/")
        self._kit = kit
        self._clock = clock

    def url(self, document: ArchivedDocument) -> str:
        """The address of the document's page; a link that ran out is made anew.

        "" when a person took the link back: a letter must not bring it back behind his back.
        """
        with self._db.read() as conn:
            link = document_links.latest(conn, document.account, document.id)
        if link is not None and link.withdrawn_at is not None:
            return ""
        return self._fresh(document, link).url

    def renew(self, account: str, document_id: int) -> NewLink | None:
        """A link that holds from today on, even where one was taken back; None for no such document."""
        with self._db.read() as conn:
            document = archive.by_id(conn, account, document_id)
            link = document_links.latest(conn, account, document_id)
        return self._fresh(document, link) if document is not None else None

    def withdraw(self, account: str, document_id: int) -> int:
        """Take every link of a document back; how many there were."""
        with self._db.begin() as conn:
            return document_links.withdraw(conn, account, document_id, self._clock.now())

    def find(self, word: str) -> tuple[DocumentLink, ArchivedDocument] | None:
        """What a secret word opens, whether the link still holds or not."""
        if len(word) > LONGEST_WORD:
            return None
        with self._db.read() as conn:
            link = document_links.by_digest(conn, digest_of(word))
            document = archive.by_id(conn, link.account, link.document_id) if link else None
        return (link, document) if link is not None and document is not None else None

    def _fresh(self, document: ArchivedDocument, link: DocumentLink | None) -> NewLink:
        """The newest link if it holds and we know its word, else the next one."""
        now, serial = self._clock.now(), link.serial if link else 0
        while (
            link is None or not link.holds_at(now) or link.digest != digest_of(self._word(document, serial))
        ):
            serial += 1
            with self._db.begin() as conn:
                document_links.add(
                    conn,
                    account=document.account,
                    document_id=document.id,
                    serial=serial,
                    digest=digest_of(self._word(document, serial)),
                    expires_at=self._expiry(document, now),
                    now=now,
                )
                # Another process may have been quicker: then its link is ours, too.
                link = document_links.latest(conn, document.account, document.id)
        return NewLink(f"{self._base_url}/d/{self._word(document, serial)}", link.expires_at)

    def _word(self, document: ArchivedDocument, serial: int) -> str:
        return secret_word(self._secrets[document.account], f"{document.account}:{document.id}:{serial}")

    def _expiry(self, document: ArchivedDocument, now: datetime) -> datetime:
        """The end of the last day, on the account's clocks."""
        with self._db.read() as conn:
            row = facts.account_row(conn, document.account)
        zone = ZoneInfo(row.timezone if row else "Europe/Moscow")
        days = link_days(self._kit().documents.get(document.kind))
        last = now.astimezone(zone).date() + timedelta(days=days)
        return datetime.combine(last + timedelta(days=1), time(), zone)


def link_days(template: DocumentTemplate | None) -> int:
    """For how many days a link to a document of this kind holds."""
    if template is None:
        return DEFAULT_DAYS
    return template.link_days or template.valid_days or DEFAULT_DAYS


def secret_word(key: str, text: str) -> str:
    """160 bits that nobody can guess without the key, the same for the same text."""
    made = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()[:_WORD_BYTES]
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def digest_of(word: str) -> str:
    """What the store keeps of a secret word."""
    return hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()
