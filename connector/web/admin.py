"""The connector's own pages: how it is doing, the story of a deal, what it made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from connector import explain
from connector.crm.registry import CRMS
from connector.effects import Effects
from connector.explain import status_text
from connector.reporting import Reporting
from connector.status import Status
from connector.store import archive
from connector.store.database import Database
from connector.web.files import file_response
from connector.web.guard import guard, refuse_foreign_forms
from connector.web.story import local_time, story_page


def admin(
    db: Database,
    status: Callable[[], Status],
    effects: Effects,
    reporting: Reporting,
    password: str,
    now: Callable[[], datetime],
) -> Blueprint:
    """The blueprint of all pages; its templates lie in `web/pages/`."""
    bp = Blueprint(
        "admin", __name__, template_folder="pages", static_folder="static", static_url_path="/static"
    )

    guard(bp, password)

    @bp.get("/")
    def overview() -> str:
        return render_template(
            "overview.html",
            status=status(),
            titles={name: adapter.title for name, adapter in CRMS.items()},
            statuses=explain.STATUSES,
            local=local_time,
            describe=effects.describe,
            status_text=status_text,
        )

    @bp.get("/deals/<account>/<deal_id>")
    def deal(account: str, deal_id: str) -> str:
        return story_page(db, effects, account, deal_id)

    @bp.post("/effects/<int:effect_id>/repeat")
    def repeat(effect_id: int) -> Response:
        refuse_foreign_forms()
        if not effects.repeat(effect_id):
            abort(409)
        deal_id = request.form.get("deal_id")
        if not deal_id:
            return redirect(url_for("admin.overview"), 303)  # type: ignore[return-value]
        back = url_for("admin.deal", account=request.form["account"], deal_id=deal_id)
        return redirect(back, 303)  # type: ignore[return-value]

    @bp.get("/documents/<account>/<int:document_id>/<fmt>")
    def document(account: str, document_id: int, fmt: str) -> Response:
        with db.read() as conn:
            found = archive.file(conn, account, document_id, fmt)
        if found is None:
            abort(404)
        return file_response(found.content, found.mime_type, found.name, inline=fmt == "pdf")

    @bp.get("/reports/<account>/<name>")
    def report(account: str, name: str) -> str:
        rendered = reporting.preview(account, name, now())
        return render_template("report.html", report=rendered)

    return bp
