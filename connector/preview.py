"""Drafts of documents and letters, of a real deal or of an invented one: nothing is numbered, kept or sent.

What is missing is printed by its name and listed with the place in the CRM where to fill it in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.actions.base import Tools
from connector.actions.documents import context_of, issued, variant_of
from connector.actions.letters import letter_of
from connector.documents.context import Issued
from connector.documents.kit import Kit
from connector.documents.messages import Message, render_message
from connector.documents.places import missing_fields
from connector.documents.render import RenderedFile, RenderPool
from connector.documents.sample_deals import SAMPLES
from connector.documents.trial import SAMPLE_PAGE, sample_context
from connector.errors import ConfigError, ConnectorError, MissingField, Problem
from connector.playbook.words import unknown
from connector.store import archive

#: Stands where the number will.
NO_NUMBER = "черновик"


@dataclass(frozen=True, slots=True)
class Draft:
    """`files` of a document, or the `letter`. `missing`: what would hold it, and where to fill that in."""

    title: str
    files: tuple[RenderedFile, ...]
    letter: Message | None
    missing: tuple[MissingField, ...]


def names(kit: Kit) -> dict[str, str]:
    """What can be looked at: names of documents and letters, with their titles for people."""
    letters = {name: f"Письмо «{name}»" for name in kit.messages}
    return {**letters, **kit.titles}


def of_deal(tools: Tools, name: str, deal_id: str) -> Draft:
    """A draft out of the deal as the CRM shows it now.

    Raises ConfigError for a name that the kit has not, ConnectorError when the deal is not there, CrmError,
    RetryLater, and RenderError for a mistake in the template.
    """
    _check(tools.kit, name)
    deal = tools.client.deal(deal_id)
    if deal is None or deal.is_deleted:
        raise ConnectorError(f"в CRM нет сделки {deal_id}")
    card = tools.client.card(deal)
    if name in tools.kit.documents:
        variant = variant_of(tools, name, deal_id)
        context = context_of(card, tools, kind=name, number=NO_NUMBER, variant=variant)
        return _document(tools.kit, tools.render_pool, name, context)
    with tools.db.read() as conn:
        kept = [one for one in archive.of_deal(conn, tools.account_row.account, deal_id) if not one.is_void]
    made = {one.kind: issued(one, SAMPLE_PAGE) for one in kept}
    name = letter_of(tools, name, deal_id)
    for kind in tools.kit.messages[name].attachments:
        title = tools.kit.documents[kind].title
        made.setdefault(kind, Issued(kind, title, NO_NUMBER, tools.today, deal.amount, SAMPLE_PAGE))
    context = context_of(card, tools, kind=None, number=None, attachments=list(made.values()))
    return _letter(tools.kit, name, context)


def of_sample(kit: Kit, pool: Callable[[], RenderPool], name: str, sample: str) -> Draft:
    """A draft out of one of the invented deals; no CRM is asked. Raises ConfigError for an unknown name."""
    _check(kit, name)
    if sample not in SAMPLES:
        raise ConfigError([Problem("--sample", unknown("нет примера", sample, SAMPLES))])
    if name in kit.documents:
        return _document(kit, pool(), name, sample_context(kit, SAMPLES[sample], name))
    return _letter(kit, name, sample_context(kit, SAMPLES[sample], None))


def _check(kit: Kit, name: str) -> None:
    if name not in kit.documents and name not in kit.messages:
        raise ConfigError([Problem("preview", unknown("нет документа или письма", name, names(kit)))])


def _document(kit: Kit, pool: RenderPool, kind: str, context: dict[str, Any]) -> Draft:
    files, missing = pool.draft(kind, context)
    return Draft(kit.documents[kind].title, tuple(files), None, _fields(missing, context))


def _letter(kit: Kit, name: str, context: dict[str, Any]) -> Draft:
    letter = render_message(kit, name, context, draft=True)
    return Draft(names(kit)[name], (), letter, _fields(letter.missing, context))


def _fields(missing: Sequence[str], context: dict[str, Any]) -> tuple[MissingField, ...]:
    """Each place once; a name that no datum can fill in is told as it stands in the template."""
    found: dict[str, MissingField] = {}
    for name in missing:
        for field in missing_fields(name, context) or [MissingField(name, f"{name}: такого имени нет")]:
            found.setdefault(field.where, field)
    return tuple(found.values())
