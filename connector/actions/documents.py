"""Documents: made once, numbered, kept to the byte, and put into the deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from connector.actions.base import Tools, search_from
from connector.documents import context as contexts
from connector.documents.context import Issued
from connector.documents.freeze import freeze
from connector.domain import CrmFile, DealCard
from connector.store import archive, outbox
from connector.store.archive import ArchivedDocument
from connector.store.outbox import Effect


def make_document(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Make a document, keep it, put its files into the deal. params: kind.

    The archive is asked first: a document that an earlier attempt made is not made, nor numbered, again.
    """
    with tools.db.read() as conn:
        document = archive.find(conn, effect.account, effect.key)
    if document is None:
        document = _make(effect, tools)
    note_id = tools.client.add_note(
        effect.deal_id or "",
        f"{document.title} № {document.number} от {document.issued_on:%d.%m.%Y}",
        files=[CrmFile(file.name, file.content, file.mime_type) for file in document.files],
        may_exist=effect.may_exist,
        since=search_from(effect),
    )
    return {"document_id": document.id, "number": document.number, "note_id": note_id}


def _make(effect: Effect, tools: Tools) -> ArchivedDocument:
    """Give the document its number, typeset it and keep it.

    Data are checked before a number is given. The number is remembered in the outbox row in the transaction
    that takes it, so an attempt after a crash goes on with the same one and the series has no hole.
    """
    kind = effect.params["kind"]
    card = tools.card(effect)
    pipeline_name, _ = tools.names_of(card)
    template = tools.kit.documents[kind]
    tools.render_pool.check(kind, context_of(card, tools, kind=kind, number=None))
    series = template.series(tools.kit.seller(pipeline_name).key)
    issued_on, ordinal = _number(effect, tools, series)
    number = template.number(ordinal, issued_on)
    context = context_of(card, tools, kind=kind, number=number, issued_on=issued_on)
    files = tools.render_pool.render(kind, context)
    with tools.db.begin() as conn:
        archive.save(
            conn,
            account=effect.account,
            outbox_key=effect.key,
            deal_id=card.deal.id,
            kind=kind,
            title=template.title,
            series=series,
            ordinal=ordinal,
            number=number,
            issued_on=issued_on,
            total=context.get("итого", {}).get("сумма"),
            currency=card.deal.currency,
            template_sha256=tools.kit.fingerprint(kind),
            context=freeze(context),
            files=files,
            now=tools.clock.now(),
        )
    with tools.db.read() as conn:
        document = archive.find(conn, effect.account, effect.key)
    assert document is not None
    return document


def _number(effect: Effect, tools: Tools, series: str) -> tuple[date, int]:
    """The day and the ordinal of this document: those of an earlier attempt, else today and the next one.

    A number is its series' own: a deal that has another seller by now needs one of that seller's.
    """
    if effect.result.get("series") == series:
        return date.fromisoformat(effect.result["issued_on"]), effect.result["ordinal"]
    today = tools.today
    with tools.db.begin() as conn:
        ordinal = archive.reserve_number(conn, effect.account, series, today.year)
        taken = {"series": series, "issued_on": today.isoformat(), "ordinal": ordinal}
        outbox.remember(conn, effect.id, taken)
    return today, ordinal


def context_of(
    card: DealCard,
    tools: Tools,
    *,
    kind: str | None,
    number: str | None,
    issued_on: date | None = None,
    attachments: Sequence[Issued] = (),
) -> dict[str, Any]:
    """What a template of this account sees of a deal; without `issued_on`, today."""
    pipeline_name, stage_name = tools.names_of(card)
    return contexts.build(
        card,
        kit=tools.kit,
        kind=kind,
        responsible=tools.responsible(card),
        stage_name=stage_name,
        pipeline_name=pipeline_name,
        number=number,
        issued_on=issued_on or tools.today,
        attachments=attachments,
    )


def issued(document: ArchivedDocument) -> Issued:
    """A kept document as letters and later documents speak of it."""
    return Issued(document.kind, document.title, document.number, document.issued_on, document.total)
