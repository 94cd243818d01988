"""Letters to the client, the responsible user or a role of the playbook, with their rule's documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.actions.base import Tools, search_from
from connector.actions.documents import context_of, issued
from connector.delivery.base import Letter, message_id
from connector.documents.freeze import thaw
from connector.documents.messages import render_message
from connector.documents.russian import inner_quotes
from connector.documents.variants import choose
from connector.domain import CrmFile, DealCard
from connector.errors import DeliveryError, HeldError, MissingField
from connector.playbook.model import CLIENT, MATERIALS, RESPONSIBLE
from connector.store import archive, deliveries, outbox
from connector.store.archive import ArchivedDocument
from connector.store.deliveries import Delivery
from connector.store.outbox import Effect

CHANNEL = "email"

_NO_ADDRESS = {
    CLIENT: MissingField("контакт.email", "Сделка → Контакт → E-mail"),
    RESPONSIBLE: MissingField("менеджер.email", "Настройки CRM → Пользователи → E-mail ответственного"),
}


@dataclass(frozen=True, slots=True)
class _Attached:
    """What goes with a letter: documents of ours and plain files of the kit."""

    documents: tuple[ArchivedDocument, ...]
    files: tuple[CrmFile, ...]


def send_letter(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Render a letter and send it, then say so in the deal. params: message, attach, to.

    A letter that the mail server accepted is never sent again, even if the client has another address by
    now: a repeated attempt only adds the note.
    """
    attached = _attached(effect, tools)
    sent = _sent(effect, tools)
    if sent is None:
        name = letter_of(tools, effect.params["message"], effect.deal_id or "")
        _deliver(effect, tools, _letter(effect, tools, attached, name), name)
        sent = _sent(effect, tools)
        assert sent is not None
    note_id = tools.client.add_note(
        effect.deal_id or "",
        _note(sent, attached.files),
        may_exist=effect.may_exist,
        since=search_from(effect),
    )
    result = {
        "to": sent.recipient,
        "subject": sent.subject,
        "message_id": sent.message_id,
        "note_id": note_id,
    }
    return {**result, "variant": sent.variant} if sent.variant else result


def letter_of(tools: Tools, message: str, deal_id: str) -> str:
    """The letter that this deal gets: the one named, or one of its variants, the same as it got before."""
    letter = tools.kit.messages.get(message)
    if letter is None or not letter.variants:
        return message
    account = tools.account_row.account
    with tools.db.read() as conn:
        before = [
            str(effect.result["variant"])
            for effect in outbox.of_deal(conn, account, deal_id)
            if effect.action == "send" and effect.params["message"] == message and "variant" in effect.result
        ]
    return choose(letter.variants, account, deal_id, message, before[-1] if before else None)


def _sent(effect: Effect, tools: Tools) -> Delivery | None:
    with tools.db.read() as conn:
        return deliveries.accepted(conn, effect.account, effect.key, CHANNEL)


def _letter(effect: Effect, tools: Tools, attached: _Attached, name: str) -> Letter:
    """The letter made of the deal as it is now. Raises HeldError with what is missing."""
    card = tools.card(effect)
    recipient = _recipient(effect.params["to"], card, tools)
    documents = [issued(document, tools.document_url(document)) for document in attached.documents]
    context = context_of(card, tools, kind=None, number=None, attachments=documents)
    pay_urls = [url for url in map(tools.pay_url, attached.documents) if url]
    if len(pay_urls) == 1:
        # Two invoices in one letter: nobody could tell which of them the link pays.
        context["оплата"] = {"ссылка": pay_urls[0]}
    message = render_message(tools.kit, name, context)
    return Letter(
        to=recipient,
        subject=message.subject,
        text=message.text,
        html=message.html,
        attachments=attached.files,
        message_id=message_id(effect.account, effect.key, tools.sender),
        sender=tools.sender,
    )


def _deliver(effect: Effect, tools: Tools, letter: Letter, name: str) -> None:
    """Send, between the «sending» mark and the word about how it ended."""
    key = {"account": effect.account, "outbox_key": effect.key, "channel": CHANNEL, "recipient": letter.to}
    with tools.db.begin() as conn:
        may_go = deliveries.begin(
            conn,
            **key,
            message_id=letter.message_id,
            subject=letter.subject,
            now=tools.clock.now(),
            variant=name if tools.kit.messages[effect.params["message"]].variants else "",
            template_sha256=tools.kit.letter_sha256(name),
        )
    if not may_go:
        return
    try:
        tools.email.send(letter)
    except DeliveryError as error:
        with tools.db.begin() as conn:
            deliveries.conclude(conn, **key, error=str(error), now=tools.clock.now())
        raise
    with tools.db.begin() as conn:
        deliveries.conclude(conn, **key, error=None, now=tools.clock.now())


def _recipient(to: str, card: DealCard, tools: Tools) -> str:
    """The one address this letter goes to. Raises HeldError that says where to fill it in."""
    if to == CLIENT:
        contact = card.main_contact
        emails: Sequence[str] = contact.emails if contact else ()
    elif to == RESPONSIBLE:
        user = tools.responsible(card)
        emails = (user.email,) if user else ()
    else:
        emails = (tools.recipient(to).email,)
    address = next((email.strip() for email in emails if email.strip()), "")
    if not address:
        missing = _NO_ADDRESS.get(to, MissingField(f"{to}.email", f"правила, раздел people, {to}"))
        raise HeldError("некуда отправить письмо", [missing], what="письмо")
    return address


def _attached(effect: Effect, tools: Tools) -> _Attached:
    """The files that the rule names, in its order. Raises HeldError while a document of it is not made."""
    documents: list[ArchivedDocument] = []
    files: list[CrmFile] = []
    with tools.db.read() as conn:
        of_run = outbox.of_run(conn, effect.run_id) if effect.run_id is not None else []
        made = {other.params["id"]: other for other in of_run if other.action == "document"}
        for name in effect.params["attach"]:
            if name.startswith(MATERIALS):
                files.append(tools.material(name))
                continue
            document = archive.find(conn, effect.account, made[name].key) if name in made else None
            if document is not None and document.is_void:  # corrected while the letter waited
                document = archive.in_force(conn, effect.account, document.deal_id, document.kind)
            if document is None:
                title = tools.kit.titles.get(made[name].params["kind"] if name in made else name, name)
                raise HeldError(f"письмо ждёт документ «{title}»")
            _check_is_valid(document, tools)
            documents.append(document)
            files += [CrmFile(file.name, file.content, file.mime_type) for file in document.files]
    return _Attached(tuple(documents), tuple(files))


def _check_is_valid(document: ArchivedDocument, tools: Tools) -> None:
    """An offer or an invoice that waited longer than it is valid must not leave: HeldError."""
    until = thaw(document.context).get("документ", {}).get("действует_до")
    if until is None or until >= tools.today:
        return
    what = f"{document.title} № {document.number}"
    where = f"Коннектор → Документы → «{what}» → «Выпустить заново» (действует только по {until:%d.%m.%Y})"
    field = f"документы.{document.kind}.действует_до"
    raise HeldError(f"письмо ждёт новую редакцию: {what}", [MissingField(field, where)], what="письмо")


def _note(sent: Delivery, files: Sequence[CrmFile]) -> str:
    text = f"Письмо «{inner_quotes(sent.subject)}» отправлено на {sent.recipient}."
    if files:
        text += " Вложения: " + ", ".join(file.name for file in files) + "."
    return text
