"""amoCRM's OAuth: code and pair exchange, an account that moved, the hook that tells of a switched-off
integration. Must not know how pairs are kept, nor when they are renewed.

An access token is a JWT. Its claims are read without checking the signature, so they prove nothing: the only
one used is `api_domain`, and that only if it is a host of amoCRM's.
Source: amoCRM developers' docs, pages «OAuth 2.0», «Получение поддомена аккаунта»; PHP SDK 1.16, AmoCRMOAuth.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm.amocrm.advice import advice
from connector.crm.consent import AppNotice, BadSignature, GrantOwner, GrantRefused
from connector.crm.http import ErrorRules, Fault, HttpSession, Rate, RateLimiter
from connector.crm.wild import Malformed, Wild
from connector.domain import GrantProblem, OAuthGrant
from connector.errors import BadWebhook, CrmError

#: Where a person says yes.
CONSENT_URL = "https://www.amocrm.ru/oauth"

#: Hosts of one service: an account may move from one to another.
AMO_DOMAINS = frozenset({"amocrm.ru", "amocrm.com", "kommo.com"})

#: Access tokens live a day. Renewed after half of it, a pair that got lost is noticed half a day before the
#: access token ends.
RENEWS_AHEAD = timedelta(hours=12)

#: The texts of hints that concern the integration's own id and secret (recalled, unverified).
_CLIENT_HINTS = ("client authentication failed", "client_id", "client_secret")


def _read_error(status: int, body: object) -> Fault | None:
    """An OAuth problem; its hint is sometimes absent. The code never is: HTML has none."""
    if status < 400 or not isinstance(body, dict):
        return None
    wild = Wild(body)
    return Fault("OAUTH_PROBLEM", wild.text_at("hint", "title", "detail"))


_RULES = ErrorRules(_read_error, {})


class AmoOAuth:
    """The OAuth side of one amoCRM account."""

    renews_ahead = RENEWS_AHEAD

    def __init__(self, account: AccountConfig, *, limiter: RateLimiter, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._consent_url = account.oauth_urls[0] if account.oauth_urls else CONSENT_URL
        self._http = HttpSession(
            account.name,
            limiter=limiter,
            rate=Rate(f"amocrm-oauth:{account.name}", 1, 3),
            clock=clock,
            rules=_RULES,
            secrets=(account.client_secret, account.hook_secret),
            timeout_s=(5, 20),
        )

    def consent_url(self, state: str) -> str:
        query = {"client_id": self._account.client_id, "state": state, "mode": "popup"}
        return f"{self._consent_url}?{urlencode(query)}"

    def exchange(self, code: str, *, at: str = "") -> OAuthGrant:
        """The code is good for 20 minutes, once, and only at the account that gave it."""
        self._http.hide(code)
        try:
            return self._pair(at or self._account.url, {"grant_type": "authorization_code", "code": code})
        except CrmError as error:
            if _is_refusal(error):
                raise self._refused(error) from None
            raise

    def refresh(self, grant: OAuthGrant) -> OAuthGrant:
        """The next pair, asked for at the account's new host when the old one does not know it."""
        self._http.hide(grant.refresh_token)
        asked = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        try:
            return self._pair(grant.base_url, asked, grant)
        except CrmError as error:
            if not (_is_refusal(error) or _may_have_moved(error)):
                raise
            refusal = error
        moved_to = self._moved_to(grant)
        if moved_to is None:
            raise self._refused(refusal) if _is_refusal(refusal) else refusal
        try:
            return self._pair(moved_to, asked, grant)
        except CrmError as error:
            raise self._refused(error) if _is_refusal(error) else error from None

    def owner(self, grant: OAuthGrant) -> GrantOwner:
        """The account; whether the person is an administrator is left to the first call that needs one."""
        data = self._http.send(
            "GET",
            f"{grant.base_url}/api/v4/account",
            call="GET /api/v4/account",
            repeatable=True,
            headers={"Authorization": f"Bearer {grant.access_token}"},
        ).data
        try:
            return GrantOwner(Wild(data, "answer")["id"].id(), is_admin=True)
        except Malformed as error:
            raise self._unexpected("GET /api/v4/account", error) from error

    def adopt(self, notice: AppNotice) -> OAuthGrant:
        raise GrantRefused("client", "amoCRM sends no pairs")

    def read_notice(self, body: bytes, content_type: str) -> AppNotice:
        raise BadWebhook("body", "amoCRM sends no notices of an application")

    def check_switched_off(self, query: Mapping[str, str]) -> None:
        """amoCRM signs «client id|account id» with the integration's secret; there is no time in it, so the
        same call can come again at any time."""
        said = f"{self._account.client_id}|{query.get('account_id', '')}"
        expected = hmac.new(self._account.client_secret.encode(), said.encode(), hashlib.sha256).hexdigest()
        same_client = query.get("client_uuid", "") == self._account.client_id
        given = query.get("signature", "").encode("utf-8", "replace")
        if not same_client or not hmac.compare_digest(given, expected.encode()):
            raise BadSignature("the switch-off hook is not signed by amoCRM")

    def check_home(self, grant: OAuthGrant) -> None:
        """Codes are good at the account that gave them, and asked for at the one of the settings."""

    def listen(self, grant: OAuthGrant, state: str) -> bool:
        """The switch-off hook is written into the integration's card by a person."""
        return False

    def advice(self, problem: GrantProblem) -> str:
        return advice(problem, self._account.name)

    def _pair(self, home: str, asked: Mapping[str, str], known: OAuthGrant | None = None) -> OAuthGrant:
        """Ask the account's host; never repeated by itself, for a pair is spent by asking."""
        call = "POST /oauth2/access_token"
        said = {
            "client_id": self._account.client_id,
            "client_secret": self._account.client_secret,
            "redirect_uri": self._account.redirect_url,
            **asked,
        }
        url = f"{home}/oauth2/access_token"
        data = self._http.send("POST", url, call=call, repeatable=False, json_body=said).data
        now = self._clock.now()
        try:
            answer = Wild(data, "answer")
            return OAuthGrant(
                access_token=answer["access_token"].text(),
                refresh_token=answer["refresh_token"].text(),
                obtained_at=now,
                expires_at=now + timedelta(seconds=answer["expires_in"].int()),
                base_url=home,
                account_id=known.account_id if known else "",
            )
        except Malformed as error:
            raise self._unexpected(call, error) from error

    def _moved_to(self, grant: OAuthGrant) -> str | None:
        """The account's new address; None when it has not moved, or nobody tells."""
        home = urlsplit(grant.base_url)
        shard = _claim(grant.access_token, "api_domain")
        if not _is_of_amo(shard, home.netloc):
            return None
        try:
            data = self._http.send(
                "GET",
                f"{home.scheme}://{shard}/oauth2/account/current/subdomain",
                call="GET /oauth2/account/current/subdomain",
                repeatable=True,
                headers={"X-Refresh-Token": grant.refresh_token},
            ).data
        except CrmError:
            return None
        told = Wild(data, "answer").text_at("domain")
        if told == home.netloc or not _is_of_amo(told, home.netloc):
            return None
        return f"{home.scheme}://{told}"

    def _refused(self, error: CrmError) -> GrantRefused:
        is_ours = any(hint in error.detail.lower() for hint in _CLIENT_HINTS)
        return GrantRefused("client" if is_ours else "revoked", f"amoCRM: {error.detail or error.code}")

    def _unexpected(self, call: str, error: Malformed) -> CrmError:
        return CrmError(
            "retry", account=self._account.name, call=call, code="UNEXPECTED_ANSWER", detail=str(error)[:300]
        )


def _is_refusal(error: CrmError) -> bool:
    """Whether amoCRM itself said no; HTML with the same status comes from a front and passes."""
    return error.status in (400, 401) and error.code == "OAUTH_PROBLEM"


def _may_have_moved(error: CrmError) -> bool:
    """Whether the host may no longer be the account's: it answers 401 or 404 in any form, or points away."""
    return error.status in (401, 404) or (error.status is not None and 300 <= error.status < 400)


def _claim(token: str, name: str) -> str:
    """A claim of a JWT, believed by nobody; "" when it cannot be read."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        value = claims.get(name, "")
    except (IndexError, ValueError, AttributeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _is_of_amo(host: str, home: str) -> bool:
    """Whether tokens may be sent to `host`: the account's own, or another host of the same service."""
    if host == home:
        return bool(host)
    name, known = _name(host), _name(home)
    if name is None or known is None:
        return False
    if _is_loopback(known):
        return _is_loopback(name)
    domain, home_domain = (".".join(one.split(".")[-2:]) for one in (name, known))
    if host != name or _is_address(name) or "." not in name:
        return False
    return domain == home_domain or {domain, home_domain} <= AMO_DOMAINS


def _name(host: str) -> str | None:
    """The host's name without its port; None for what is no plain host."""
    try:
        parts = urlsplit(f"//{host}")
        plain = parts.netloc == host and not parts.username and parts.port is not False
    except ValueError:
        return None
    return parts.hostname if plain and parts.hostname else None


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
