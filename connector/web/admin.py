"""The connector's own pages: how it is doing, the story of a deal, what it made.

With `ADMIN_PASSWORD` set the pages ask for it; without it they open only on the machine itself.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from connector import explain
from connector.crm.registry import CRMS
from connector.effects import Effects
from connector.explain import status_text, trace_text
from connector.reporting import Reporting
from connector.status import Status
from connector.store import archive, facts
from connector.store.database import Database
from connector.store.facts import AccountRow

_LOOPBACK = ("127.0.0.1", "::1")


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

    @bp.before_request
    def ask_for_password() -> Response | None:
        if not password:
            # A reverse proxy on this machine also calls from the loopback address: it is told by its header.
            here = request.remote_addr in _LOOPBACK and "X-Forwarded-For" not in request.headers
            return None if here else Response("Задайте ADMIN_PASSWORD, чтобы открыть страницы снаружи.", 403)
        given = request.authorization.password if request.authorization else None
        if given and hmac.compare_digest(given.encode(), password.encode()):
            return None
        return Response("Нужен пароль.", 401, {"WWW-Authenticate": 'Basic realm="Connector"'})

    @bp.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; style-src 'self' 'unsafe-inline'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @bp.get("/")
    def overview() -> str:
        return render_template(
            "overview.html",
            status=status(),
            titles={name: adapter.title for name, adapter in CRMS.items()},
            statuses=explain.STATUSES,
            local=_local,
            describe=effects.describe,
            status_text=status_text,
        )

    @bp.get("/deals/<account>/<deal_id>")
    def deal(account: str, deal_id: str) -> str:
        with db.read() as conn:
            row = facts.account_row(conn, account)
            documents = archive.of_deal(conn, account, deal_id)
        return render_template(
            "deal.html",
            story=explain.tell(db, account, deal_id),
            documents=documents,
            local=lambda moment: _local(moment, row),
            amount_text=explain.amount_text,
            event_text=explain.event_text,
            describe=effects.describe,
            status_text=status_text,
            trace_text=trace_text,
        )

    @bp.post("/effects/<int:effect_id>/repeat")
    def repeat(effect_id: int) -> Response:
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            abort(403)
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
        disposition = "inline" if fmt == "pdf" else "attachment"
        response = Response(found.content, mimetype=found.mime_type)
        response.headers.set("Content-Disposition", disposition, filename=found.name)
        return response

    @bp.get("/reports/<account>/<name>")
    def report(account: str, name: str) -> str:
        rendered = reporting.preview(account, name, now())
        return render_template("report.html", report=rendered)

    return bp


def _local(moment: datetime, row: AccountRow | None) -> datetime:
    return moment.astimezone(ZoneInfo(row.timezone)) if row else moment
