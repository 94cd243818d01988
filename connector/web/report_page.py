"""The page of a report, `/r/<secret word>`: no login, open to all who have the link, in no index."""

from __future__ import annotations

from flask import Blueprint, Response, abort, request
from werkzeug.exceptions import HTTPException

from connector.clock import Clock
from connector.report_pages import ReportPages
from connector.web.files import file_response
from connector.web.throttle import Throttle, visitor

_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_SAID = {
    404: "Такой страницы нет. Возьмите ссылку из последнего отчёта.",
    410: "Ссылка больше не действует: вышел срок или её отозвали. Возьмите ссылку из последнего отчёта.",
    429: "Слишком много обращений подряд. Подождите минуту и откройте ссылку ещё раз.",
}


def report_pages(pages: ReportPages, clock: Clock) -> Blueprint:
    """The blueprint below /r."""
    bp = Blueprint("report", __name__, url_prefix="/r")
    knocks = Throttle(clock.now, burst=60, per_minute=60)
    misses = Throttle(clock.now, burst=10, per_minute=5)

    @bp.before_request
    def limit() -> None:
        if not knocks.admits(visitor(request)):
            abort(429)

    @bp.after_request
    def harden(response: Response) -> Response:
        response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Cache-Control"] = "no-store"
        return response

    @bp.errorhandler(HTTPException)
    def in_words(error: HTTPException) -> Response:
        said = _SAID.get(error.code or 404, _SAID[404])
        answer = Response(_PLAIN.format(said=said), error.code or 404)
        if error.code == 429:
            answer.headers["Retry-After"] = "60"
        return answer

    @bp.get("/<word>")
    def page(word: str) -> Response:
        view = pages.look(word)
        if view.state == "unknown" and not misses.admits(visitor(request)):
            abort(429)
        if view.state != "open":
            abort(404 if view.state == "unknown" else 410)
        html: str | None = view.html
        if "deals" in request.args:
            html = pages.deals(view, word, request.args["deals"])
        if html is None:
            abort(404)
        return Response(html)

    @bp.get("/<word>/<name>")
    def file(word: str, name: str) -> Response:
        view = pages.look(word)
        if view.state != "open":
            abort(404 if view.state == "unknown" else 410)
        found = pages.file(view, name)
        if found is None:
            abort(404)
        return file_response(found.content, found.mime_type, found.name, inline=True)

    return bp


_PLAIN = """<!doctype html>
<html lang="ru"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Отчёт</title></head>
<body style="margin:0;padding:32px 16px;font:16px/1.5 system-ui,sans-serif;color:#1d2733">
<p style="max-width:560px;margin:0 auto">{said}</p></body></html>
"""
