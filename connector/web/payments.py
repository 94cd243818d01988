"""Payments from outside: the page where a client pays an invoice, and the notices of payment providers.

Opening the page makes nothing: messengers and mail programs open addresses by themselves. The payment begins
with the button. A notice is stored and answered; what it says is asked back later (`connector.settling`).
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from connector.clock import Clock
from connector.config import AccountConfig
from connector.documents.russian import money
from connector.errors import BadWebhook, ConnectorError
from connector.paying import Invoice, Paying
from connector.payments.base import PaymentProvider
from connector.settling import Settling
from connector.store import inbox
from connector.store.database import Database
from connector.web.guard import refuse_foreign_forms

log = logging.getLogger(__name__)

#: A notice of YooKassa is two kilobytes.
MAX_NOTICE_BYTES = 64 * 1024


def notice_path(account: AccountConfig) -> str:
    """Where the account's payment provider must call us. Holds a secret."""
    return f"/payments/{account.payment.provider}/{account.name}/{account.payment_secret}"


def payment_pages(
    accounts: Mapping[str, AccountConfig],
    providers: Mapping[str, PaymentProvider],
    paying: Paying,
    settling: Settling,
    db: Database,
    clock: Clock,
) -> Blueprint:
    """The blueprint: /pay for clients, /payments for providers."""
    bp = Blueprint("payments", __name__, template_folder="pages")

    def refuse(status: int, account: str, reason: str) -> Response:
        with db.begin() as conn:
            inbox.count_refused(conn, account, reason, clock.now().date())
        log.warning("notice refused: %s", reason, extra={"action": "notice_refused", "account": account})
        return Response(status=status)

    @bp.post("/payments/<provider>/<account>/<secret>")
    def notice(provider: str, account: str, secret: str) -> Response:
        config, known = accounts.get(account), providers.get(account)
        if config is None or known is None or known.name != provider:
            return refuse(403, account if config else "-", "payment: no such provider")
        if not hmac.compare_digest(secret.encode("utf-8", "replace"), config.payment_secret.encode()):
            return refuse(403, account, "payment: wrong secret")
        body = request.stream.read(MAX_NOTICE_BYTES + 1)
        if len(body) > MAX_NOTICE_BYTES:
            return refuse(413, account, "payment: body too large")
        try:
            told = known.read_notice(body)
        except BadWebhook as error:
            log.warning("not a notice: %s", error, extra={"action": "notice_bad", "account": account})
            return refuse(400, account, "payment: not a notice")
        settling.take_notice(account, told)
        return Response(status=200)

    def invoice_of(account: str, document_id: int, token: str) -> Invoice:
        return paying.invoice(account, document_id, token) or abort(404)

    def page(invoice: Invoice, status: int = 200, problem: str = "") -> Response:
        newer = paying.pay_url(invoice.newer) if invoice.newer and invoice.state == "replaced" else None
        html = render_template(
            "pay.html",
            invoice=invoice,
            document=invoice.document,
            amount=money(invoice.left, invoice.currency),
            provider=paying.provider_title(invoice.document.account),
            seller=_seller(invoice),
            newer_url=newer,
            problem=problem,
        )
        return Response(html, status)

    @bp.get("/pay/<account>/<int:document_id>/<token>")
    def show(account: str, document_id: int, token: str) -> Response:
        return page(invoice_of(account, document_id, token))

    @bp.post("/pay/<account>/<int:document_id>/<token>")
    def begin(account: str, document_id: int, token: str) -> Response:
        refuse_foreign_forms()
        invoice = invoice_of(account, document_id, token)
        if invoice.state != "due":
            return page(invoice, 409)
        try:
            address = paying.begin(invoice)
        except ConnectorError as error:
            log.error(
                "a payment could not begin: %s", error, extra={"action": "no_payment", "account": account}
            )
            return page(invoice, 503, "Сейчас оплата не открывается. Попробуйте через несколько минут.")
        if address is None:
            here = url_for("payments.show", account=account, document_id=document_id, token=token)
            return redirect(here, 303)  # type: ignore[return-value]
        return redirect(address, 303)  # type: ignore[return-value]

    @bp.after_request
    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        response.headers["Cache-Control"] = "no-store"
        return response

    return bp


def _seller(invoice: Invoice) -> str:
    seller = invoice.document.context.get("продавец")
    return str(seller.get("название", "")) if isinstance(seller, Mapping) else ""
