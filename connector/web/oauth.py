"""Where CRMs lead people back to after consent, and where they tell that it was taken back.

Nobody can plant foreign tokens here: a code counts only with a `state` of ours, a notice of a portal only if
its pair is renewed with our client secret, a switch-off only with its signature. Answers are Russian pages.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from flask import Blueprint, Response, render_template, request

from connector.clock import Clock
from connector.config import AccountConfig, Config
from connector.consent import Consent, NotAdministrator
from connector.crm.consent import BadSignature, ForeignAccount, GrantRefused, OAuthServer
from connector.crm.registry import CRMS
from connector.errors import BadWebhook, ConfigError, CrmError, RetryLater
from connector.store import inbox
from connector.store.database import Database

log = logging.getLogger(__name__)

#: A notice is a kilobyte or two.
MAX_BODY_BYTES = 64 * 1024

#: What a portal or a person reads when a notice was taken.
_WORDS = {
    "connected": "Готово: Коннектор подключён. Страницу можно закрыть.",
    "known": "Коннектор подключён и работает.",
    "removed": "Принято.",
    "answered": "Принято.",
    "ignored": "Принято.",
}


def oauth_pages(
    config: Config,
    consent: Consent,
    servers: Callable[[str], OAuthServer],
    db: Database,
    clock: Clock,
) -> Blueprint:
    """The blueprint for accounts that have a client id. `servers` gives an account's OAuth side."""
    bp = Blueprint("oauth", __name__, template_folder="pages")
    known: dict[tuple[str, str], AccountConfig] = {
        (account.crm, account.name): account for account in config.accounts if account.client_id
    }

    @bp.after_request
    def harden(response: Response) -> Response:
        # The address holds a code or a secret; the page itself is shown within the portal.
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    def refuse(account: str, reason: str, text: str, status: int = 403) -> Response:
        with db.begin() as conn:
            inbox.count_refused(conn, account, reason, clock.now().date())
        log.warning("consent refused: %s", reason, extra={"action": "consent_refused", "account": account})
        return _page(account, text, status)

    def find(crm: str, account: str, secret: str) -> AccountConfig | None:
        found = known.get((crm, account))
        if found is None or _equal(secret, found.install_secret if crm == "bitrix24" else ""):
            return found
        return None

    def nowhere() -> Response:
        return refuse("-", "wrong consent address", "Нет такой страницы.", 404)

    def attempt(account: AccountConfig, work: Callable[[], str]) -> Response:
        """The page that `work` words, or the one for what went wrong."""
        name, title = account.name, CRMS[account.crm].title
        try:
            return _page(name, work(), 200)
        except BadSignature as error:
            text = "Эта страница открывается только по ссылке Коннектора. Начните с connector connect."
            return refuse(name, str(error), text)
        except (ForeignAccount, NotAdministrator) as error:
            return refuse(name, type(error).__name__, f"Не подключено: {error}.")
        except GrantRefused as error:
            text = f"{title} не принимает этот код: он действует недолго и один раз. Дайте согласие ещё раз."
            if error.problem == "client":
                text = f"{title} не узнаёт интеграцию: сверьте CLIENT_ID и CLIENT_SECRET с её карточкой."
            return refuse(name, f"grant refused: {error.problem}", text, 400)
        except (CrmError, RetryLater) as error:
            log.warning("consent is not finished: %s", error, extra={"account": name})
            return _page(name, f"{title} сейчас не отвечает как должна. Попробуйте ещё раз.", 502)
        except ConfigError as error:
            log.error("consent is not stored: %s", error, extra={"account": name})
            return _page(name, f"Не сохранено. {error}", 500)

    @bp.get("/oauth/<crm>/<account>", defaults={"secret": ""})
    @bp.get("/oauth/<crm>/<account>/<secret>")
    def come_back(crm: str, account: str, secret: str) -> Response:
        """A browser comes back from the consent page with a code, or with a refusal."""
        found = find(crm, account, secret)
        if found is None:
            return nowhere()
        if request.args.get("error"):
            return _page(account, "Согласие не дано. Чтобы начать снова: connector connect.", 200)

        def finish() -> str:
            state, code = request.args.get("state", ""), request.args.get("code", "")
            if not state or not code:
                raise BadSignature("no code or no state")
            consent.finish(account, state, code)
            return _WORDS["connected"]

        return attempt(found, finish)

    @bp.get("/oauth/<crm>/<account>/off")
    def switched_off(crm: str, account: str) -> Response:
        """amoCRM tells that the integration was switched off."""
        found = known.get((crm, account))
        if found is None:
            return nowhere()

        def take() -> str:
            consent.switched_off(account, request.args)
            return _WORDS["removed"]

        return attempt(found, take)

    @bp.post("/oauth/<crm>/<account>/<secret>")
    def notice(crm: str, account: str, secret: str) -> Response:
        """A portal tells of its application: installed, opened by a person, removed."""
        found = find(crm, account, secret)
        if found is None:
            return nowhere()
        body = request.stream.read(MAX_BODY_BYTES + 1)
        if len(body) > MAX_BODY_BYTES:
            return refuse(account, "body too large", "Слишком длинное сообщение.", 413)
        try:
            told = servers(account).read_notice(body, request.content_type or "")
        except BadWebhook as error:
            return refuse(account, "not a CRM's body", f"Непонятное сообщение: {error.path}.", 400)
        return attempt(found, lambda: _WORDS[consent.take_notice(account, told)])

    return bp


def _page(account: str, text: str, status: int) -> Response:
    return Response(render_template("consent.html", account=account, text=text), status)


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
