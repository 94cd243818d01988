"""Who may open the connector's own pages, and what browsers are told about all of them.

With `ADMIN_PASSWORD` set the pages ask for it; without it they open only on the machine itself.
"""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, abort, request

_LOOPBACK = ("127.0.0.1", "::1")


def guard(bp: Blueprint, password: str) -> None:
    """Ask for the password before every page of the blueprint, and send safe headers with it."""

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


def refuse_foreign_forms() -> None:
    """End a POST that another site's page sent with this person's password: 403."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)
