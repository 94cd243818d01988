"""The register of documents as a page and as files, with its two buttons: issue anew, void."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from connector.documents.russian import money
from connector.register import Register, month_of
from connector.register_files import to_csv, to_xlsx
from connector.web.files import file_response
from connector.web.guard import guard, refuse_foreign_forms

FORMATS = {
    "csv": (to_csv, "text/csv; charset=utf-8"),
    "xlsx": (to_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
}
MAX_REASON = 200


def register_pages(
    register: Register, accounts: Collection[str], password: str, now: Callable[[], datetime]
) -> Blueprint:
    """The blueprint below /documents. `accounts`: names that exist."""
    bp = Blueprint("register", __name__, template_folder="pages")
    guard(bp, password)

    def known(account: str) -> str:
        return account if account in accounts else abort(404)

    @bp.get("/documents/<account>")
    def table(account: str) -> str:
        first, last = _period(now().date())
        return render_template(
            "documents.html",
            account=known(account),
            entries=register.entries(account, first, last + timedelta(days=1)),
            first=first,
            last=last,
            period={"from": first.isoformat(), "to": last.isoformat()},
            money=money,
        )

    @bp.get("/documents/<account>/register.<fmt>")
    def file(account: str, fmt: str) -> Response:
        write, mime_type = FORMATS.get(fmt) or abort(404)
        first, last = _period(now().date())
        content = write(register.entries(known(account), first, last + timedelta(days=1)))
        name = f"Реестр документов {first:%d.%m.%Y}-{last:%d.%m.%Y}.{fmt}"
        return file_response(content, mime_type, name)

    @bp.post("/documents/<account>/<int:document_id>/change")
    def change(account: str, document_id: int) -> Response:
        refuse_foreign_forms()
        reason = " ".join(request.form.get("reason", "").split())[:MAX_REASON]
        if not reason:
            abort(400)
        if request.form.get("do") == "void":
            done = bool(register.void(known(account), document_id, reason))
        else:
            done = register.reissue(known(account), document_id, reason) is not None
        if not done:
            abort(409)
        days = urlencode({name: request.form.get(name, "") for name in ("from", "to")})
        back = url_for("register.table", account=account)
        return redirect(f"{back}?{days}", 303)  # type: ignore[return-value]

    return bp


def _period(today: date) -> tuple[date, date]:
    """The first and the last day that the address names; without them the present month."""
    start, end = month_of(today)
    try:
        first = date.fromisoformat(request.args.get("from") or start.isoformat())
        last = date.fromisoformat(request.args.get("to") or (end - timedelta(days=1)).isoformat())
    except ValueError:
        abort(400)
    return (first, last) if first <= last else (last, first)
