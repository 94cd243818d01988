"""A tab of ours inside the CRM's deal card: prove who opens it, show the story of that deal.

The CRM opens it with a POST into a frame, without our password; what proves the opener is the application's
token. Buttons and files are not shown there: they ask for the password.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from flask import Blueprint, Response, request

from connector.config import AccountConfig, Config
from connector.crm.registry import CRMS
from connector.effects import Effects
from connector.errors import BadWebhook
from connector.store.database import Database
from connector.web.story import story_page

log = logging.getLogger(__name__)

#: What a CRM sends when it opens a tab is a few hundred bytes.
MAX_BODY_BYTES = 64 * 1024


def tab_path(account: AccountConfig) -> str:
    """What the CRM opens in a deal. Contains a secret, as the hook's path does."""
    return f"/tabs/{account.crm}/{account.name}/{account.hook_secret}"


def tabs(config: Config, db: Database, effects: Effects, learnt_token: Callable[[str], str]) -> Blueprint:
    """The blueprint with one route for all CRMs that have tabs.

    learnt_token: the secret of an account's installed application, "" while it is not known.
    """
    bp = Blueprint("tabs", __name__)
    known: dict[tuple[str, str], AccountConfig] = {
        (account.crm, account.name): account for account in config.accounts
    }

    @bp.post("/tabs/<crm>/<account>/<secret>")
    def show(crm: str, account: str, secret: str) -> Response:
        config_row = known.get((crm, account))
        read_opened = CRMS[crm].read_opened if crm in CRMS else None
        if config_row is None or read_opened is None or not _equal(secret, config_row.hook_secret):
            return _refuse(account, "wrong address")
        body = request.stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            return Response(status=413)
        try:
            opened = read_opened(body, request.content_type or "")
        except BadWebhook as error:
            log.warning("not an opened tab: %s", error, extra={"action": "tab_bad", "account": account})
            return Response(status=400)
        expected = config_row.application_token or learnt_token(account)
        if not expected or not _equal(opened.token, expected):
            return _refuse(account, "wrong application_token")
        return _framed(story_page(db, effects, account, opened.deal_id, in_tab=True), config_row)

    return bp


def _framed(page: str, account: AccountConfig) -> Response:
    """The page with leave to stand in a frame of that portal, and in no other."""
    scheme, _, rest = account.url.partition("://")
    portal = f"{scheme}://{rest.partition('/')[0]}"
    response = Response(page)
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors {portal}"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _refuse(account: str, reason: str) -> Response:
    log.warning("tab refused: %s", reason, extra={"action": "tab_refused", "account": account})
    return Response("Откройте вкладку из карточки сделки.", 403)


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
