"""What an action does when an earlier attempt of it ended in the middle, and whom it reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connector.actions import documents, letters
from connector.actions.base import Tools
from connector.actions.letters import send_letter
from connector.actions.tasks import give_task
from connector.clock import FixedClock
from connector.delivery.base import Letter
from connector.documents.freeze import freeze
from connector.documents.messages import Message
from connector.documents.render import RenderedFile
from connector.domain import Contact, CrmFile, Deal, DealCard, Outcome
from connector.errors import CrmError, DeliveryError, HeldError
from connector.reports.recipients import Recipient
from connector.store import archive, numbers, outbox
from connector.store.database import Database
from connector.store.outbox import Effect
from tests.conftest import NOON


class Crm:
    """Keeps what is written into the deal; `fails` refuses the next writings."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tasks: list[str | None] = []
        self.fails = 0

    def add_note(self, deal_id: str, text: str, *, files: Sequence[CrmFile] = (), **_: Any) -> str:
        if self.fails:
            self.fails -= 1
            raise CrmError("retry", account="main", call="POST notes")
        self.notes.append(text)
        return str(len(self.notes))

    def add_task(self, deal_id: str, text: str, *, responsible_id: str | None, **_: Any) -> str:
        self.tasks.append(responsible_id)
        return str(len(self.tasks))


class Mail:
    def __init__(self) -> None:
        self.sent: list[str] = []
        self.refuses = False

    def send(self, letter: Letter) -> None:
        if self.refuses:
            raise DeliveryError("email", "550", permanent=True)
        self.sent.append(letter.to)


class Desk:
    def __init__(self, db: Database, clock: FixedClock) -> None:
        self.db, self.clock, self.crm, self.mail = db, clock, Crm(), Mail()
        self.email = "old@example.ru"
        self.head = Recipient("head_of_sales", None, "head@example.ru")
        self.tools = cast(
            Tools,
            SimpleNamespace(
                db=db,
                clock=clock,
                client=self.crm,
                email=self.mail,
                kit=SimpleNamespace(
                    messages={"m": SimpleNamespace(variants=())}, letter_sha256=lambda name: "5" * 64
                ),
                sender="sales@example.ru",
                today=date(2026, 11, 24),
                card=lambda effect: self.card(),
                pay_url=lambda _: None,
                recipient=lambda role: self.head,
            ),
        )

    def card(self) -> DealCard:
        deal = Deal("main", "7", "Сделка", "1", "1", Outcome.OPEN, Decimal(1), "RUB", "5", NOON, NOON)
        contact = Contact("9", "Пётр", emails=(self.email,) if self.email else ())
        return DealCard(deal, (contact,))

    def effect(self, action: str, **params: Any) -> Effect:
        with self.db.begin() as conn:
            effect_id = outbox.add(
                conn,
                account="main",
                key="deal:7:rule:deal:0",
                rule="Правило",
                action=action,
                params=params,
                deal_id="7",
                now=self.clock.now(),
            )
            found = outbox.find(conn, effect_id or 0)
        assert found is not None
        return found


@pytest.fixture
def desk(db: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(letters, "context_of", lambda *_, **__: {})
    monkeypatch.setattr(letters, "render_message", lambda *_: Message("Договор", "текст", "<p>текст</p>"))
    return Desk(db, clock)


@pytest.mark.parametrize("email", ["new@example.ru", ""])
def test_letter_that_was_accepted_goes_to_no_second_address(desk: Desk, email: str) -> None:
    """The note about it failed; until the next attempt somebody changes or clears the client's address."""
    effect = desk.effect("send", message="m", attach=[], to="client")
    desk.crm.fails = 1
    with pytest.raises(CrmError):
        send_letter(effect, desk.tools)
    desk.email = email
    result = send_letter(replace(effect, attempts=2), desk.tools)
    assert desk.mail.sent == ["old@example.ru"]
    assert desk.crm.notes == ["Письмо «Договор» отправлено на old@example.ru."]
    assert result["to"] == "old@example.ru"


def test_letter_that_was_refused_goes_to_the_corrected_address(desk: Desk) -> None:
    effect = desk.effect("send", message="m", attach=[], to="client")
    desk.mail.refuses = True
    with pytest.raises(DeliveryError):
        send_letter(effect, desk.tools)
    desk.mail.refuses = False
    desk.email = "new@example.ru"
    send_letter(replace(effect, attempts=2), desk.tools)
    assert desk.mail.sent == ["new@example.ru"]


def test_letter_whose_acceptance_was_not_written_down_goes_again_under_the_same_id(desk: Desk) -> None:
    """Killed between the server's 250 and our mark: repeated rather than lost, and recognisable."""
    effect = desk.effect("send", message="m", attach=[], to="client")
    seen: list[str] = []

    def killed(letter: Letter) -> None:
        seen.append(letter.message_id)
        if len(seen) == 1:
            raise KeyboardInterrupt

    desk.mail.send = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        send_letter(effect, desk.tools)
    send_letter(replace(effect, attempts=2), desk.tools)
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_task_for_a_role_that_is_no_user_of_the_crm_goes_to_nobody_else(desk: Desk) -> None:
    effect = desk.effect("task", text="Разобрать", due_at=NOON.isoformat(), to="head_of_sales")
    with pytest.raises(HeldError) as held:
        give_task(effect, desk.tools)
    assert held.value.missing[0].where.startswith("правила, раздел people")
    desk.head = replace(desk.head, user_id="3")
    give_task(effect, desk.tools)
    assert desk.crm.tasks == ["3"]


def test_number_is_kept_by_the_next_attempt_and_not_carried_into_another_series(desk: Desk) -> None:
    effect = desk.effect("document", kind="invoice")

    def number(series: str) -> tuple[date, int]:
        with desk.db.read() as conn:
            now = outbox.find(conn, effect.id)
        assert now is not None
        given = documents._number(now, desk.tools, series, None)
        return given.issued_on, given.ordinal

    with desk.db.begin() as conn:
        numbers.reserve(conn, "main", "first", 2026, "other", NOON)
    assert number("first") == (date(2026, 11, 24), 2)
    assert number("first") == (date(2026, 11, 24), 2)
    assert number("second") == (date(2026, 11, 24), 1)
    with desk.db.read() as conn:
        assert numbers.last(conn, "main", "first", 2026) == 2


def kept(desk: Desk, key: str, *, until: date, replaces: int | None = None) -> int:
    """A proposal in the archive, valid until that day."""
    with desk.db.begin() as conn:
        return archive.save(
            conn,
            account="main",
            outbox_key=key,
            deal_id="7",
            kind="proposal",
            title="Предложение",
            series="proposal/main",
            ordinal=1,
            number="КП-1",
            issued_on=date(2026, 11, 1),
            total=Decimal(1),
            currency="RUB",
            template_sha256="a" * 64,
            context=freeze({"документ": {"действует_до": until}}),
            files=[RenderedFile("pdf", f"КП до {until}.pdf", "application/pdf", b"%PDF")],
            now=NOON,
            version=2 if replaces else 1,
            replaces_id=replaces,
            void_reason="заменён",
        )


def test_an_offer_that_is_over_does_not_leave_and_its_new_edition_does(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The letter waited for an address longer than the offer is valid."""
    made = desk.effect("document", kind="proposal", id="offer")
    monkeypatch.setattr(outbox, "of_run", lambda *_: [made])
    desk.tools.__dict__["document_url"] = lambda _: ""
    effect = replace(
        made, action="send", params={"message": "m", "attach": ["offer"], "to": "client"}, run_id=1
    )
    first = kept(desk, made.key, until=date(2026, 11, 23))
    with pytest.raises(HeldError) as held:
        send_letter(effect, desk.tools)
    assert desk.mail.sent == []
    (field,) = held.value.missing
    assert "«Предложение № КП-1» → «Выпустить заново» (действует только по 23.11.2026)" in field.where

    kept(desk, "reissue", until=date(2026, 11, 24), replaces=first)
    send_letter(effect, desk.tools)
    assert desk.mail.sent == ["old@example.ru"]
    assert "КП до 2026-11-24.pdf" in desk.crm.notes[0]


def test_a_void_document_does_not_leave(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    made = desk.effect("document", kind="proposal", id="offer")
    monkeypatch.setattr(outbox, "of_run", lambda *_: [made])
    desk.tools.__dict__["kit"].titles = {"proposal": "Предложение"}
    effect = replace(
        made, action="send", params={"message": "m", "attach": ["offer"], "to": "client"}, run_id=1
    )
    document_id = kept(desk, made.key, until=date(2026, 12, 1))
    with desk.db.begin() as conn:
        archive.void(conn, "main", document_id, "ошибка", NOON)
    with pytest.raises(HeldError, match="ждёт документ «Предложение»"):
        send_letter(effect, desk.tools)
    assert desk.mail.sent == []
