"""What a client may do with a document: look, take its files, accept it, ask about it.

Everything is told to the manager in the deal, and to the rules as a happening, once. Of the client only what
he typed is kept: no address, no browser; a name and a moment are all that an acceptance needs. Knows nothing
of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connector.clock import Clock
from connector.documents.clean import TooLongError, clean, clean_line
from connector.documents.freeze import thaw
from connector.documents.kit import Kit
from connector.documents.russian import inner_quotes
from connector.happenings import Happenings
from connector.links import Links
from connector.store import archive, facts, happenings, outbox
from connector.store.archive import ArchivedDocument
from connector.store.database import Database
from connector.store.happenings import Happening
from connector.store.jobs import JobQueue

#: The rule's name of what a client's deed brings into the deal.
RULE = "Страница документа"

#: Longest texts that a client may send, in characters.
MAX_NAME = 100
MAX_QUESTION = 2000

#: A document gets no more questions than this a day: whoever has more to say writes or calls.
QUESTIONS_A_DAY = 10

#: The manager's answer is due then.
ANSWER_DUE = timedelta(hours=2)

#: «open» can be read; «void» with a correction in force leads to it.
State = Literal["open", "unknown", "expired", "withdrawn", "void"]

_PRESS = re.compile(r"[A-Za-z0-9_-]{8,64}")


class BadRequestError(ValueError):
    """What the client sent cannot be taken; says why, in Russian, and nothing was done."""


class TooManyError(Exception):
    """The document got enough questions today."""


@dataclass(frozen=True, slots=True)
class View:
    """What a secret word shows now. `accepted` is the acceptance, if there was one; `newer` the address of
    the correction in force; `today` is the day on the account's clocks."""

    state: State
    document: ArchivedDocument | None = None
    accepted: Happening | None = None
    accepted_at: datetime | None = None
    newer: str = ""
    today: date | None = None
    may_accept: bool = False
    may_ask: bool = False
    pay_url: str | None = None


class ClientPage:
    """The pages of all documents of one store.

    pay_url: where this document can be paid, None where it cannot.
    """

    def __init__(
        self,
        db: Database,
        queue: JobQueue,
        links: Links,
        facts_: Happenings,
        kit: Callable[[], Kit],
        clock: Clock,
        pay_url: Callable[[ArchivedDocument], str | None],
    ) -> None:
        self._db = db
        self._queue = queue
        self._links = links
        self._happenings = facts_
        self._kit = kit
        self._clock = clock
        self._pay_url = pay_url

    def look(self, word: str) -> View:
        """What the link shows. Reading it is not «opening»: robots read, too."""
        found = self._links.find(word)
        if found is None:
            return View("unknown")
        link, document = found
        now = self._clock.now()
        if document.is_void:
            return View("void", document, newer=self._newer(document))
        if link.withdrawn_at is not None:
            return View("withdrawn", document)
        if not link.holds_at(now):
            return View("expired", document)
        with self._db.read() as conn:
            accepted = happenings.by_key(conn, document.account, f"accepted:{document.id}")
            row = facts.account_row(conn, document.account)
        zone = ZoneInfo(row.timezone if row else "Europe/Moscow")
        template = self._kit().documents.get(document.kind)
        buttons = template.buttons if template else ()
        today = now.astimezone(zone).date()
        is_valid = today <= (valid_until(document) or today)
        return View(
            "open",
            document,
            accepted=accepted,
            accepted_at=accepted.at.astimezone(zone) if accepted else None,
            today=today,
            may_accept=is_valid and accepted is None and "принять" in buttons,
            may_ask="спросить" in buttons,
            pay_url=self._pay_url(document) if is_valid and "оплатить" in buttons else None,
        )

    def opened(self, document: ArchivedDocument) -> bool:
        """The client really sees it: told once a document; False when it was told before."""
        with self._db.begin() as conn:
            return self._opened(conn, document)

    def accept(self, document: ArchivedDocument, name: str) -> bool:
        """The client accepts it; False when he had accepted it before. name: as typed, may be empty."""
        try:
            name = clean_line(name, MAX_NAME)
        except TooLongError as error:
            raise BadRequestError(f"Имя: {error}.") from None
        with self._db.begin() as conn:
            self._opened(conn, document)
            key = f"accepted:{document.id}"
            if not self._record(conn, document, "document.accepted", key, {"name": name}):
                return False
            who = f" Назвал себя: {name}." if name else ""
            self._add(conn, document, key, "note", {"text": f"Клиент принял {_called(document)}.{who}"})
        return True

    def ask(self, document: ArchivedDocument, question: str, press: str) -> bool:
        """The client's question becomes a task; False when this very press has come before.

        press: made anew with each page, so that a doubled click asks once. Raises BadRequestError or
        TooManyError; then nothing is kept.
        """
        try:
            question = clean(question, MAX_QUESTION)
        except TooLongError as error:
            raise BadRequestError(f"Вопрос: {error}. Сократите его, пожалуйста.") from None
        if not question:
            raise BadRequestError("Напишите, пожалуйста, вопрос.")
        if not _PRESS.fullmatch(press):
            raise BadRequestError("Форма устарела. Отправьте её, пожалуйста, ещё раз.")
        now = self._clock.now()
        with self._db.begin() as conn:
            key = f"question:{document.id}:{press}"
            if happenings.by_key(conn, document.account, key) is not None:
                return False
            since = now - timedelta(days=1)
            asked = happenings.count_since(conn, document.account, document, "document.question", since)
            if asked >= QUESTIONS_A_DAY:
                raise TooManyError
            self._opened(conn, document)
            self._record(conn, document, "document.question", key, {})
            text = f"Ответить на вопрос клиента: {_title(document)}\n{question}"
            task = {"text": text, "due_at": (now + ANSWER_DUE).isoformat()}
            self._add(conn, document, key, "task", task)
        return True

    def _newer(self, document: ArchivedDocument) -> str:
        with self._db.read() as conn:
            newer = archive.successor(conn, document)
        return self._links.url(newer) if newer is not None else ""

    def _opened(self, conn: Connection, document: ArchivedDocument) -> bool:
        key = f"opened:{document.id}"
        if not self._record(conn, document, "document.opened", key, {}):
            return False
        self._add(conn, document, key, "note", {"text": f"Клиент открыл {_called(document)}."})
        return True

    def _record(
        self, conn: Connection, document: ArchivedDocument, what: str, key: str, data: dict[str, str]
    ) -> bool:
        return self._happenings.record(
            conn,
            account=document.account,
            deal_id=document.deal_id,
            what=what,
            key=key,
            at=self._clock.now(),
            document=document,
            data=data,
        )

    def _add(
        self, conn: Connection, document: ArchivedDocument, key: str, action: str, params: dict[str, str]
    ) -> None:
        effect_id = outbox.add(
            conn,
            account=document.account,
            key=f"page:{key}",
            rule=RULE,
            action=action,
            params=params,
            deal_id=document.deal_id,
            now=self._clock.now(),
        )
        if effect_id is not None:
            order_key = f"{document.account}:page:{document.id}"
            args = {"effect_id": effect_id}
            self._queue.enqueue(conn, "effect", args, account=document.account, order_key=order_key)


def valid_until(document: ArchivedDocument) -> date | None:
    """The last day that the document itself names."""
    said = thaw(document.context).get("документ", {})
    found = said.get("действует_до")
    return found if isinstance(found, date) else None


def _title(document: ArchivedDocument) -> str:
    return f"{document.title} № {document.number} от {document.issued_on:%d.%m.%Y}"


def _called(document: ArchivedDocument) -> str:
    return f"документ «{inner_quotes(_title(document))}»"
