"""The receiver: prove who calls, store what he says, answer. No CRM call, rule or letter happens here.

amoCRM waits 2 s and switches a slow hook off; Bitrix24 never sends twice.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from flask import Blueprint, Response, request

from connector.clock import Clock
from connector.config import AccountConfig, Config
from connector.crm.registry import CRMS
from connector.errors import BadWebhook
from connector.intake import Intake
from connector.store import facts, inbox
from connector.store.database import Database

log = logging.getLogger(__name__)

#: amoCRM's and Bitrix24's bodies are a few kilobytes; a mass move of 50 deals stays far below this.
MAX_BODY_BYTES = 1024 * 1024


def hook_path(account: AccountConfig) -> str:
    """Where the CRM must call us. Contains a secret: show it only to who sets the hook up."""
    return f"/hooks/{account.crm}/{account.name}/{account.hook_secret}"


def webhooks(
    config: Config,
    intake: Intake,
    db: Database,
    clock: Clock,
    learnt_token: Callable[[str], str],
) -> Blueprint:
    """The blueprint with one route for all CRMs of `CRMS`.

    learnt_token: the secret in the events of an account's installed application, "" while it is not known.
    """
    bp = Blueprint("webhooks", __name__)
    learnt: dict[str, str] = {}
    known: dict[tuple[str, str], AccountConfig] = {
        (account.crm, account.name): account for account in config.accounts
    }

    def refuse(status: int, account: str, reason: str) -> Response:
        with db.begin() as conn:
            inbox.count_refused(conn, account, reason, clock.now().date())
        log.warning("hook refused: %s", reason, extra={"action": "hook_refused", "account": account})
        return Response(status=status)

    def is_foreign(account: str, sender_id: str) -> bool:
        with db.read() as conn:
            row = facts.account_row(conn, account)
        return row is not None and row.crm_account_id not in ("", sender_id) and sender_id != ""

    def is_of_our_application(account: str, token: str) -> bool:
        """Whether the event carries the installation's secret; a new installation has a new one."""
        if not learnt.get(account) or not _equal(token, learnt[account]):
            learnt[account] = learnt_token(account)
        return bool(learnt[account]) and _equal(token, learnt[account])

    @bp.post("/hooks/<crm>/<account>/<secret>")
    def receive(crm: str, account: str, secret: str) -> Response:
        config_row = known.get((crm, account))
        if config_row is None or not _equal(secret, config_row.hook_secret):
            return refuse(403, account if config_row else "-", "wrong secret")
        if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            # No CRM packs its hooks, and a packed kilobyte may unpack to a gigabyte.
            return refuse(415, account, "compressed body")
        # A chunked body has no length of its own: read no more than the limit, whatever the header says.
        body = request.stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            return refuse(413, account, "body too large")
        try:
            delivery = CRMS[crm].parse_webhook(body, request.content_type or "")
        except BadWebhook as error:
            log.warning("not a CRM's body: %s", error, extra={"action": "hook_bad", "account": account})
            return refuse(400, account, "not a CRM's body")
        if config_row.application_token:
            if not _equal(delivery.token, config_row.application_token):
                return refuse(403, account, "wrong application_token")
        elif crm == "bitrix24" and config_row.uses_oauth:
            if not is_of_our_application(account, delivery.token):
                return refuse(403, account, "wrong application_token")
        elif is_foreign(account, delivery.account_id):
            return refuse(403, account, "another CRM account")
        intake.receive(account, delivery.events, delivery.payload)
        return Response(status=200)

    return bp


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
