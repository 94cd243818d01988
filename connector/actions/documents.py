"""Documents: made once, numbered, kept to the byte, and put into the deal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from connector.actions.base import Tools, search_from
from connector.documents import context as contexts
from connector.documents.context import Issued
from connector.documents.freeze import freeze
from connector.documents.render import ENGINE
from connector.documents.variants import choose
from connector.domain import CrmFile, DealCard
from connector.store import archive, kit_versions, numbers, outbox
from connector.store.archive import ArchivedDocument
from connector.store.outbox import Effect


def make_document(effect: Effect, tools: Tools) -> Mapping[str, Any]:
    """Make a document, keep it, put its files into the deal. params: kind; replaces and reason for a
    correction; renew, which makes it a correction of the deal's document of that kind, if there is one.

    The archive is asked first: a document that an earlier attempt made is not made, nor numbered, again.
    """
    with tools.db.read() as conn:
        document = archive.find(conn, effect.account, effect.key)
    if document is None:
        document = _make(effect, tools)
    note_id = tools.client.add_note(
        effect.deal_id or "",
        _note(document, tools.document_url(document)),
        files=[CrmFile(file.name, file.content, file.mime_type) for file in document.files],
        may_exist=effect.may_exist,
        since=search_from(effect),
    )
    result = {"document_id": document.id, "number": document.number, "note_id": note_id}
    return {**result, "variant": document.variant} if document.variant else result


def _note(document: ArchivedDocument, url: str) -> str:
    text = f"{document.title} № {document.number} от {document.issued_on:%d.%m.%Y}"
    if document.version > 1:
        text += f", редакция {document.version}. Прежняя редакция аннулирована"
    return f"{text}\nСтраница для клиента: {url}" if url else text


@dataclass(frozen=True, slots=True)
class _Number:
    """What a document bears: its place in the series, and which correction of it this is."""

    issued_on: date
    ordinal: int
    version: int = 1


def _make(effect: Effect, tools: Tools) -> ArchivedDocument:
    """Give the document its number, typeset it and keep it.

    Data are checked before a number is given. The number is remembered in the outbox row in the transaction
    that takes it, so an attempt after a crash goes on with the same one and the series has no hole.
    """
    kind = effect.params["kind"]
    card = tools.card(effect)
    pipeline_name, _ = tools.names_of(card)
    template = tools.kit.documents[kind]
    variant = variant_of(tools, kind, effect.deal_id or "")
    earlier = _earlier(effect, tools, kind)
    tools.render_pool.check(
        kind, context_of(card, tools, kind=kind, number=None, variant=variant, attachments=earlier)
    )
    series = template.series(tools.kit.seller(pipeline_name, card.deal.fields).key)
    before = _before(effect, tools)
    given = _number(effect, tools, series, before)
    number = template.number(given.ordinal, given.issued_on)
    context = context_of(
        card,
        tools,
        kind=kind,
        number=number,
        issued_on=given.issued_on,
        version=given.version,
        variant=variant,
        attachments=earlier,
    )
    files = tools.render_pool.render(kind, context)
    now = tools.clock.now()
    kit_sha256 = tools.kit.version()
    with tools.db.begin() as conn:
        if not kit_versions.is_kept(conn, effect.account, kit_sha256):
            kit_versions.keep(conn, effect.account, kit_sha256, tools.kit.for_render(), now)
        archive.save(
            conn,
            account=effect.account,
            outbox_key=effect.key,
            deal_id=card.deal.id,
            kind=kind,
            title=template.title,
            series=series,
            ordinal=given.ordinal,
            number=number,
            issued_on=given.issued_on,
            total=context.get("итого", {}).get("сумма"),
            currency=card.deal.currency,
            template_sha256=tools.kit.fingerprint(kind, variant),
            context=freeze(context),
            files=files,
            now=now,
            version=given.version,
            replaces_id=before.id if before else None,
            void_reason=str(effect.params.get("reason") or "заменён новой редакцией"),
            kit_sha256=kit_sha256,
            engine=ENGINE,
            variant=variant,
        )
    with tools.db.read() as conn:
        document = archive.find(conn, effect.account, effect.key)
    assert document is not None
    return document


def _earlier(effect: Effect, tools: Tools, kind: str) -> list[Issued]:
    """The deal's documents of other kinds that are in force: an invoice names its contract."""
    with tools.db.read() as conn:
        kept = archive.of_deal(conn, effect.account, effect.deal_id or "")
    return [issued(document, "") for document in kept if document.kind != kind and not document.is_void]


def variant_of(tools: Tools, kind: str, deal_id: str) -> str:
    """Which template of the kind this deal gets, the same in corrections; "" where there is only one."""
    variants = tools.kit.documents[kind].variants
    if not variants:
        return ""
    account = tools.account_row.account
    with tools.db.read() as conn:
        kept = archive.last_variant(conn, account, deal_id, kind)
    return choose(variants, account, deal_id, kind, kept)


def _before(effect: Effect, tools: Tools) -> ArchivedDocument | None:
    """The document that this one corrects; None for a document of its own."""
    with tools.db.read() as conn:
        if effect.params.get("replaces") is not None:
            return archive.by_id(conn, effect.account, int(effect.params["replaces"]))
        if effect.params.get("renew"):
            return archive.in_force(conn, effect.account, effect.deal_id or "", effect.params["kind"])
    return None


def _number(effect: Effect, tools: Tools, series: str, before: ArchivedDocument | None) -> _Number:
    """What this document bears: what an earlier attempt took, else what the one before it bore, else today
    and the next number.

    A number is its series' own: a deal that has another seller by now needs one of that seller's.
    """
    if before is not None and before.series == series:
        return _Number(before.issued_on, before.ordinal, before.version + 1)
    if effect.result.get("series") == series:
        return _Number(date.fromisoformat(effect.result["issued_on"]), effect.result["ordinal"])
    today = tools.today
    with tools.db.begin() as conn:
        ordinal = numbers.reserve(conn, effect.account, series, today.year, effect.key, tools.clock.now())
        taken = {"series": series, "issued_on": today.isoformat(), "ordinal": ordinal}
        outbox.remember(conn, effect.id, taken)
    return _Number(today, ordinal)


def context_of(
    card: DealCard,
    tools: Tools,
    *,
    kind: str | None,
    number: str | None,
    issued_on: date | None = None,
    version: int = 1,
    variant: str = "",
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
        made_on=tools.today,
        version=version,
        variant=variant,
        attachments=attachments,
    )


def issued(document: ArchivedDocument, url: str) -> Issued:
    """A kept document as letters and later documents speak of it. url: its page for the client."""
    return Issued(
        kind=document.kind,
        title=document.title,
        number=document.number,
        issued_on=document.issued_on,
        total=document.total,
        url=url,
    )
