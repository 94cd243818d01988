"""The document's page for the client, `/d/<secret word>`: open to all who have the link, and to nobody else.

When is a document opened? Not when its page is fetched: messengers, mail filters and prefetching browsers do
that. It is opened when our script on the page reports that a person sees it (`static/page.js`), when a file
is fetched by a click (`Sec-Fetch-User`), or when a button is pressed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, redirect, request
from werkzeug.exceptions import HTTPException

from connector.client_context import page_context
from connector.client_page import BadRequestError, ClientPage, TooManyError, View
from connector.clock import Clock
from connector.documents.kit import Kit
from connector.documents.page import render_page
from connector.store.archive import ArchivedDocument
from connector.web.files import file_response
from connector.web.guard import refuse_foreign_forms
from connector.web.throttle import Throttle, visitor

#: A form with the longest question, percent-encoded.
MAX_FORM_BYTES = 32 * 1024

_SCRIPT = Path(__file__).parent / "static" / "page.js"
_STATUS = {"unknown": 404, "expired": 410, "withdrawn": 410, "void": 410}
_DONE = ("accepted", "question")
_BUSY = "Слишком много обращений подряд. Подождите минуту и откройте ссылку ещё раз."


def client_pages(
    page: ClientPage, kit: Callable[[], Kit], clock: Clock, crm_hosts: Collection[str]
) -> Blueprint:
    """The blueprint below /d. crm_hosts: who comes from there is one of ours, not the client."""
    bp = Blueprint("client", __name__, url_prefix="/d")
    script = _SCRIPT.read_bytes()
    knocks = Throttle(clock.now, burst=60, per_minute=60)
    misses = Throttle(clock.now, burst=10, per_minute=5)

    @bp.before_request
    def limit() -> None:
        request.max_content_length = MAX_FORM_BYTES
        if not knocks.admits(visitor(request)):
            abort(429)

    @bp.after_request
    def harden(response: Response) -> Response:
        response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers.setdefault("Cache-Control", "no-store")
        # A file shown in a frame of our own page; browsers' PDF viewers bear no stricter policy.
        response.headers.setdefault("Content-Security-Policy", "frame-ancestors 'self'")
        return response

    @bp.errorhandler(HTTPException)
    def in_words(error: HTTPException) -> Response:
        if error.code == 429:
            answer = show(View("unknown"), "", 429, ошибка=_BUSY)
            answer.headers["Retry-After"] = "60"
            return answer
        return show(View("unknown"), "", error.code or 400)

    @bp.get("/page.js")
    def script_file() -> Response:
        response = Response(script, mimetype="text/javascript")
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    @bp.get("/<word>")
    def document(word: str) -> Response:
        done = request.args.get("done", "")
        view = page.look(word)
        if view.state == "unknown" and not misses.admits(visitor(request)):
            abort(429)
        return show(view, word, сделано=done if done in _DONE else "")

    @bp.get("/<word>/<fmt>")
    def file(word: str, fmt: str) -> Response:
        view = page.look(word)
        if view.state != "open" or view.document is None:
            return show(view, word)
        found = next((kept for kept in view.document.files if kept.format == fmt), None)
        if found is None:
            abort(404)
        if by_a_click() and not request.args.get("own"):
            page.opened(view.document)
        inline = fmt == "pdf" and not request.args.get("download")
        return file_response(found.content, found.mime_type, found.name, inline=inline)

    @bp.post("/<word>/opened")
    def opened(word: str) -> Response:
        page.opened(of_form(word))
        return Response(status=204)

    @bp.post("/<word>/accept")
    def accept(word: str) -> Response:
        found = of_form(word)
        view = page.look(word)
        if not view.may_accept and view.accepted is None:
            return show(view, word, 409, ошибка="Этот документ уже нельзя принять.")
        try:
            page.accept(found, request.form.get("name", ""))
        except BadRequestError as error:
            return show(view, word, 400, ошибка=str(error))
        return redirect(f"../{word}?done=accepted", 303)  # type: ignore[return-value]

    @bp.post("/<word>/question")
    def question(word: str) -> Response:
        found = of_form(word)
        view = page.look(word)
        text = request.form.get("question", "")
        if not view.may_ask:
            abort(404)
        try:
            page.ask(found, text, request.form.get("press", ""))
        except BadRequestError as error:
            return show(view, word, 400, ошибка=str(error), вопрос=text)
        except TooManyError:
            said = "На сегодня вопросов достаточно: позвоните нам или напишите письмо, ответим быстрее."
            return show(view, word, 429, ошибка=said, вопрос=text)
        return redirect(f"../{word}?done=question", 303)  # type: ignore[return-value]

    def of_form(word: str) -> ArchivedDocument:
        """The document that a form or the script means; ends the request where there is none to act on."""
        refuse_foreign_forms()
        view = page.look(word)
        if view.state != "open" or view.document is None:
            abort(show(view, word))
        return view.document

    def show(view: View, word: str, status: int = 0, **said: str) -> Response:
        context = page_context(
            view,
            kit(),
            home="../" * max(0, request.path.rstrip("/").count("/") - 2),
            word=word,
            press=secrets.token_urlsafe(12),
            own=comes_from_crm(),
            **said,
        )
        made = render_page(kit(), "document" if view.state == "open" else "closed", context)
        response = Response(made.html, status or _STATUS.get(view.state, 200))
        response.headers["Content-Security-Policy"] = made.policy
        return response

    def comes_from_crm() -> bool:
        return urlsplit(request.headers.get("Referer", "")).netloc in crm_hosts

    return bp


def by_a_click() -> bool:
    """Whether a person's click brought this request, and no prefetch did."""
    headers = request.headers
    return headers.get("Sec-Fetch-User") == "?1" and "prefetch" not in headers.get("Sec-Purpose", "")
