"""Drafts on the connector's own pages: how a document or letter of a deal would look now."""

from __future__ import annotations

from collections.abc import Callable, Collection

from flask import Blueprint, Response, abort, render_template

from connector import preview
from connector.actions.base import Tools
from connector.documents.kit import Kit
from connector.errors import ConnectorError
from connector.preview import Draft
from connector.web.files import file_response
from connector.web.guard import guard


def preview_pages(
    tools: Callable[[str], Tools], kit: Callable[[], Kit], accounts: Collection[str], password: str
) -> Blueprint:
    """The blueprint; guarded like all of the connector's own pages."""
    bp = Blueprint("preview", __name__, url_prefix="/preview", template_folder="pages")
    guard(bp, password)

    def draft_of(account: str, deal_id: str, name: str) -> Draft:
        if account not in accounts or name not in preview.names(kit()):
            abort(404)
        return preview.of_deal(tools(account), name, deal_id)

    @bp.app_context_processor
    def drafts() -> dict[str, Callable[[], dict[str, str]]]:
        return {"draft_names": lambda: preview.names(kit())}

    @bp.errorhandler(ConnectorError)
    def failed(error: ConnectorError) -> tuple[str, int]:
        return render_template("draft.html", draft=None, error=str(error)), 502

    @bp.get("/<account>/<deal_id>/<name>")
    def page(account: str, deal_id: str, name: str) -> str:
        draft = draft_of(account, deal_id, name)
        return render_template("draft.html", draft=draft, account=account, deal_id=deal_id, name=name)

    @bp.get("/<account>/<deal_id>/<name>/<fmt>")
    def file(account: str, deal_id: str, name: str, fmt: str) -> Response:
        draft = draft_of(account, deal_id, name)
        found = next((made for made in draft.files if made.format == fmt), None)
        if found is None:
            abort(404)
        return file_response(found.content, found.mime_type, found.name, inline=fmt == "pdf")

    return bp
