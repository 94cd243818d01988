"""Bitrix24's OAuth for a local application: consent page, installation, pair exchange. Must not know how
pairs are kept, nor when they are renewed.

A notice of the portal proves nothing by itself. The pair in it is renewed at once: the OAuth server does that
for our client id and secret only, and its answer, not the notice, says whose portal it is.
Source: Bitrix24 REST docs, pages «OAuth», «Установка приложения», «ONAPPINSTALL», «ONAPPUNINSTALL».
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.bitrix24.advice import advice
from connector.crm.bitrix24.api import read_error
from connector.crm.consent import (
    AppNotice,
    BadSignature,
    ForeignAccount,
    GrantOwner,
    GrantRefused,
    NoticeKind,
)
from connector.crm.form import read_form
from connector.crm.http import ErrorRules, HttpSession, Rate, RateLimiter
from connector.crm.wild import Malformed, Wild
from connector.domain import GrantProblem, OAuthGrant
from connector.errors import BadWebhook, CrmError

#: Russian portals are served by the first, the others by the second; which one a portal has is not told.
SERVERS = ("https://oauth.bitrix24.tech", "https://oauth.bitrix.info")

#: Access tokens live an hour. The docs advise to renew when one has ended, not by the clock; the minute
#: spares a refusal.
RENEWS_AHEAD = timedelta(minutes=1)

#: What the OAuth server's refusals mean, by its own codes.
REFUSALS: Mapping[str, GrantProblem] = {
    "INVALID_GRANT": "revoked",
    "NOT_INSTALLED": "removed",
    "PAYMENT_REQUIRED": "unpaid",
    "WRONG_CLIENT": "client",
    # Wrong secret in the SDK, application not installed in the docs.
    "INVALID_CLIENT": "client",
    "INVALID_REQUEST": "client",
    "INVALID_SCOPE": "client",
}

#: Events of the application itself.
NOTICES: Mapping[str, NoticeKind] = {
    "ONAPPINSTALL": "installed",
    "ONAPPUPDATE": "installed",
    "ONAPPUNINSTALL": "removed",
    "ONAPPTEST": "test",
}

#: Of several refusals the most telling comes first: a server that is not the portal's does not know us.
_TELLING: tuple[GrantProblem, ...] = ("removed", "unpaid", "revoked", "client")

_RULES = ErrorRules(read_error, dict.fromkeys(REFUSALS, "rejected"))
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class B24OAuth:
    """The OAuth side of one portal's local application."""

    renews_ahead = RENEWS_AHEAD

    def __init__(self, account: AccountConfig, *, limiter: RateLimiter, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._servers = account.oauth_urls or SERVERS
        self._http = HttpSession(
            account.name,
            limiter=limiter,
            rate=Rate(f"bitrix24-oauth:{account.name}", 1, 5),
            clock=clock,
            rules=_RULES,
            secrets=(account.client_secret, account.hook_secret),
            timeout_s=(8, 30),
        )

    def consent_url(self, state: str) -> str:
        query = {
            "client_id": self._account.client_id,
            "state": state,
            "response_type": "code",
            "redirect_uri": self._account.redirect_url,
        }
        return f"{self._account.url}/oauth/authorize/?{urlencode(query)}"

    def exchange(self, code: str, *, at: str = "") -> OAuthGrant:
        """The code is good for 30 seconds, once."""
        self._http.hide(code)
        return self._pair(self._servers, {"grant_type": "authorization_code", "code": code})

    def refresh(self, grant: OAuthGrant) -> OAuthGrant:
        """The next pair, with the address that the portal has now.

        The server that gave the pair has the last word; another one is asked only while that one is away.
        """
        self._http.hide(grant.refresh_token)
        asked = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        known = [grant.server_url] if grant.server_url in self._servers else []
        try:
            new = self._pair(known or self._servers, asked)
        except CrmError:
            others = [server for server in self._servers if server not in known]
            if not known or not others:
                raise
            with suppress(GrantRefused):  # it is not its pair, so that says nothing
                return self._next(grant, self._pair(others, asked))
            raise
        return self._next(grant, new)

    def owner(self, grant: OAuthGrant) -> GrantOwner:
        try:
            admin = self._call(grant, "profile", {})["result"].get("ADMIN")
            return GrantOwner(grant.account_id, is_admin=admin is not None and admin.flag())
        except Malformed as error:
            raise self._unexpected("profile", error) from error

    def adopt(self, notice: AppNotice) -> OAuthGrant:
        self._http.hide(notice.refresh_token)
        asked = {"grant_type": "refresh_token", "refresh_token": notice.refresh_token}
        grant = self._pair(self._servers, asked)
        if grant.account_id != notice.account_id:
            raise ForeignAccount("уведомление называет не тот портал, которому принадлежит токен")
        return grant

    def read_notice(self, body: bytes, content_type: str) -> AppNotice:
        """An event (ONAPPINSTALL, ONAPPUPDATE, ONAPPUNINSTALL) or the page that a person opened."""
        root = read_form(body, content_type)
        try:
            event = root.get("event")
            if event is None:
                return AppNotice(
                    kind="installed",
                    account_id=root["member_id"].text(),
                    refresh_token=root["REFRESH_ID"].text(),
                    application_token=root.text_at("APPLICATION_TOKEN"),
                    by_person=True,
                )
            auth, name = root["auth"], event.text().upper()
            query = (root.get("data") or Wild({})).get("QUERY") or Wild({})
            return AppNotice(
                kind=NOTICES.get(name, "other"),
                account_id=auth["member_id"].text(),
                refresh_token=auth.text_at("refresh_token"),
                application_token=auth["application_token"].text(),
                by_person=False,
                state=query.text_at("state"),
            )
        except Malformed as error:
            raise BadWebhook(error.path, error.reason) from None

    def check_switched_off(self, query: Mapping[str, str]) -> None:
        raise BadSignature("Bitrix24 has no switch-off hook")

    def check_home(self, grant: OAuthGrant) -> None:
        told, ours = urlsplit(grant.base_url), urlsplit(self._account.url)
        if (told.scheme, told.netloc.lower()) != (ours.scheme, ours.netloc.lower()):
            raise ForeignAccount(
                f"согласие дано на портале {told.hostname}, а в CRM_URL стоит {ours.hostname}: "
                "исправьте CRM_URL или дайте согласие на своём портале"
            )

    def listen(self, grant: OAuthGrant, state: str) -> bool:
        """Bind the events of the application itself to the address where it is installed; the portal then
        answers to event.test there, with the installation's secret."""
        for event in NOTICES.keys() - {"ONAPPINSTALL"}:  # that one goes where the application's card says
            handler = {"event": event, "handler": self._account.redirect_url}
            try:
                self._call(grant, "event.bind", handler)
            except CrmError as error:
                if "already" not in error.detail.lower():
                    raise
        self._call(grant, "event.test", {"state": state})
        return True

    def advice(self, problem: GrantProblem) -> str:
        return advice(problem, self._account.name)

    @staticmethod
    def _next(grant: OAuthGrant, new: OAuthGrant) -> OAuthGrant:
        if new.account_id != grant.account_id:
            raise GrantRefused("client", "the OAuth server answered for another portal")
        return new

    def _pair(self, servers: tuple[str, ...] | list[str], asked: Mapping[str, str]) -> OAuthGrant:
        """The first server that gives a pair wins; one that is away weighs more than one that refuses."""
        away: CrmError | None = None
        refusals: list[GrantProblem] = []
        for server in servers:
            try:
                return self._ask(server, asked)
            except CrmError as error:
                problem = REFUSALS.get(error.code.upper())
                if problem is None:
                    away = away or error
                else:
                    refusals.append(problem)
        if away is not None:
            raise away
        telling = min(refusals, key=_TELLING.index)
        raise GrantRefused(telling, f"the OAuth server of Bitrix24 refused: {telling}")

    def _ask(self, server: str, asked: Mapping[str, str]) -> OAuthGrant:
        """Never repeated by itself, for a pair is spent by asking. In a body: addresses end up in logs."""
        said = {"client_id": self._account.client_id, "client_secret": self._account.client_secret, **asked}
        data = self._http.send(
            "POST",
            f"{server}/oauth/token/",
            call="POST /oauth/token/",
            repeatable=False,
            body=urlencode(said).encode(),
            headers=_FORM,
        ).data
        now = self._clock.now()
        try:
            answer = Wild(data, "answer")
            return OAuthGrant(
                access_token=answer["access_token"].text(),
                refresh_token=answer["refresh_token"].text(),
                obtained_at=now,
                expires_at=now + timedelta(seconds=answer["expires_in"].int()),
                base_url=answer["client_endpoint"].text().rstrip("/"),
                account_id=answer["member_id"].text(),
                server_url=self._server_of(answer.text_at("server_endpoint"), server),
            )
        except Malformed as error:
            raise self._unexpected("POST /oauth/token/", error) from error

    def _call(self, grant: OAuthGrant, method: str, params: Mapping[str, object]) -> Wild:
        """A call of the portal with the grant, whoever keeps it."""
        self._http.hide(grant.access_token)
        data = self._http.send(
            "POST",
            f"{grant.base_url}/{method}.json",
            call=method,
            repeatable=True,
            json_body={**params, "auth": grant.access_token},
        ).data
        return Wild(data, "answer")

    def _server_of(self, endpoint: str, asked: str) -> str:
        """The server that the answer names, if it is one of ours; else the one that answered."""
        told = urlsplit(endpoint)
        named = f"{told.scheme}://{told.netloc}"
        return named if named in self._servers else asked

    def _unexpected(self, call: str, error: Malformed) -> CrmError:
        return CrmError(
            "retry", account=self._account.name, call=call, code="UNEXPECTED_ANSWER", detail=str(error)[:300]
        )
