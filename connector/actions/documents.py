"""Documents: made once, numbered, kept to the byte, and put into the deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.actions.base import Tools, search_from
from connector.documents import context as contexts
from connector.documents.context import Issued
from connector.domain import CrmFile, DealCard
from connector.store import archive
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


def context_of(
    card: DealCard,
    tools: Tools,
    *,
    kind: str | None,
    number: str | None,
    attachments: Sequence[Issued] = (),
) -> dict[str, Any]:
    """What a template of this account sees of a deal today."""
    pipeline_name, stage_name = tools.names_of(card)
    return contexts.build(
        card,
        kit=tools.kit,
        kind=kind,
        responsible=tools.responsible(card),
        stage_name=stage_name,
        pipeline_name=pipeline_name,
        number=number,
        issued_on=tools.today,
        attachments=attachments,
    )


def issued(document: ArchivedDocument) -> Issued:
    """A kept document as letters and later documents speak of it."""
    return Issued(document.kind, document.title, document.number, document.issued_on, document.total)
