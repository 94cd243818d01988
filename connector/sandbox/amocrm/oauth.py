"""OAuth of one integration: codes, rotating single-use refresh tokens, access tokens, long-lived tokens.

Times are the sandbox's own. What the service itself calls (install and switch-off hooks) is `oauth_hooks.py`.
Source: reference 1.2-1.6, 1.9.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from connector.sandbox.amocrm import tokens
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import PROBLEM, ApiError, Reply, hal, problem
from connector.sandbox.amocrm.world import Route, World

CODE_TTL = timedelta(minutes=20)
REFRESH_TTL = timedelta(days=90)
#: Digits and letters of a refresh token; the length is of the live service's order.
_REFRESH_BYTES = 320


@dataclass(slots=True)
class _Grant:
    """A code or a token: whose it is and until when; `used` ones stay known for the right hint."""

    user_id: int
    until: datetime
    used: bool = False
    #: Of a used refresh token: the pair that its use gave.
    gave: tuple[str, str] | None = None


@dataclass(slots=True)
class Oauth:
    """One integration of the account. `token` is the long-lived token that the sandbox starts with."""

    world: World
    token: str = field(repr=False)
    client_id: str = field(default_factory=lambda: str(uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    redirect_uri: str = ""
    #: Hosts that the account had before it moved; there it is found no more (1.6).
    old_hosts: set[str] = field(default_factory=set)
    _codes: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _access: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _refresh: dict[str, _Grant] = field(default_factory=dict, repr=False)
    #: Refresh token -> the access token that came with it.
    _pairs: dict[str, str] = field(default_factory=dict, repr=False)
    _first_is_revoked: bool = False

    def issue_code(self) -> str:
        """An authorization code, as the consent page hands out; 20 minutes, single use."""
        code = secrets.token_hex(64)
        self._codes[code] = _Grant(self.world.api_user_id, self.world.portal.now() + CODE_TTL)
        return code

    def issue_tokens(self) -> dict[str, Any]:
        """A pair as the code exchange answers it, without the exchange."""
        with self.world.portal.lock:
            return self._new_pair(self.world.api_user_id)

    def issue_long_lived(self, lives: timedelta) -> str:
        """Another long-lived token. ValueError for a time that the «Keys» tab does not offer, or a kind of
        integration that has none."""
        if self.world.switches.integration_kind == "public":
            raise ValueError("у публичной интеграции долгосрочных токенов нет")
        if not timedelta(days=1) <= lives <= tokens.LONG_LIVED_TTL:
            raise ValueError("долгосрочный токен живёт от 1 дня до 5 лет")
        now = self.world.portal.now()
        token = self._jwt(self.world.api_user_id, now, lives)
        self._access[token] = _Grant(self.world.api_user_id, now + lives)
        return token

    def revoke_all(self) -> None:
        """The integration is switched off: no code or token that it has works any more."""
        self._first_is_revoked = True
        for grant in (*self._codes.values(), *self._access.values(), *self._refresh.values()):
            grant.used = True

    def user_of(self, token: str) -> int | None:
        """Whose valid access token this is; None for an unknown, expired or revoked one."""
        if hmac.compare_digest(token.encode(), self.token.encode()):
            return None if self._first_is_revoked else self.world.api_user_id
        grant = self._access.get(token)
        if grant is None or grant.used or grant.until <= self.world.portal.now():
            return None
        return grant.user_id

    def access_token(self, world: World, call: Call) -> Reply:
        """Exchange a code or a refresh token for a new pair; JSON and form bodies."""
        body = _read(call)
        with world.portal.lock:
            self._check_client(body.get("client_id"), body.get("client_secret"))
            if self.redirect_uri and body.get("redirect_uri") != self.redirect_uri:
                raise refusal(400, None)
            kind = body.get("grant_type")
            if kind == "authorization_code":
                grant = self._spend(self._codes, body.get("code"), "Authorization code")
                return hal(self._new_pair(grant.user_id))
            if kind == "refresh_token":
                return hal(self._rotate(body.get("refresh_token")))
            raise refusal(400, None)

    def _check_client(self, client_id: object, client_secret: object) -> None:
        if client_id != self.client_id or not _equal(client_secret, self.client_secret):
            raise refusal(401, "Client authentication failed")

    def _rotate(self, refresh: object) -> dict[str, Any]:
        old = self._refresh.get(refresh) if isinstance(refresh, str) else None
        if old is not None and old.gave is not None and self.world.switches.reuse_kills_pair:
            access, newer = old.gave
            self._access[access].used = self._refresh[newer].used = True
        grant = self._spend(self._refresh, refresh, "Token")
        if self.world.switches.refresh_kills_access:
            self._access.pop(self._pairs.get(str(refresh), ""), None)
        pair = self._new_pair(grant.user_id)
        grant.gave = (pair["access_token"], pair["refresh_token"])
        return pair

    def _spend(self, table: dict[str, _Grant], key: object, what: str) -> _Grant:
        grant = table.get(key) if isinstance(key, str) else None
        if grant is None:
            name = "refresh token" if what == "Token" else "authorization code"
            raise refusal(401 if key else 400, f"Cannot decrypt the {name}" if key else None)
        if grant.used:
            raise refusal(401, f"{what} has been revoked")
        if grant.until <= self.world.portal.now():
            raise refusal(401, f"{what} has expired")
        grant.used = True
        return grant

    def _new_pair(self, user_id: int) -> dict[str, Any]:
        now = self.world.portal.now()
        access, refresh = self._jwt(user_id, now), "def50200" + secrets.token_hex(_REFRESH_BYTES)
        self._access[access] = _Grant(user_id, now + tokens.ACCESS_TTL)
        self._refresh[refresh] = _Grant(user_id, now + REFRESH_TTL)
        self._pairs[refresh] = access
        return {
            "token_type": "Bearer",
            "expires_in": int(tokens.ACCESS_TTL.total_seconds()),
            "server_time": int(now.timestamp()),
            "access_token": access,
            "refresh_token": refresh,
        }

    def _jwt(self, user_id: int, now: datetime, lives: timedelta = tokens.ACCESS_TTL) -> str:
        claims = tokens.access_claims(
            client_id=self.client_id,
            user_id=user_id,
            account_id=self.world.account_id,
            api_domain=self.world.shard_host,
            now=now,
            lives=lives,
        )
        return tokens.sign(claims, self.client_secret)

    def consent(self, world: World, call: Call) -> Reply:
        """The consent page of an account whose admin always agrees, or refuses by switch: straight back."""
        if call.text("client_id") != self.client_id or not self.redirect_uri:
            raise ApiError(problem(400, "Unknown client_id or no redirect_uri configured"))
        query = {"error": "access_denied"} if world.switches.consent_refused else self.redirect_query()
        if call.text("state"):
            query["state"] = call.text("state")
        return Reply(302, b"", "text/html", {"Location": with_query(self.redirect_uri, query)})

    def redirect_query(self) -> dict[str, str]:
        """What comes to the redirect URI with a fresh code."""
        return {
            "code": self.issue_code(),
            "referer": self.world.host,
            "platform": "1",
            "client_id": self.client_id,
        }

    def move(self, base_url: str, subdomain: str) -> None:
        """The account was renamed: it lives at `base_url` now and is not found at its old host."""
        self.old_hosts.add(self.world.host)
        self.world.base_url, self.world.subdomain = base_url.rstrip("/"), subdomain
        self.old_hosts.discard(self.world.host)

    def current_subdomain(self, world: World, call: Call) -> Reply:
        """Where the account lives now, for a client whose refresh failed. Source: reference 1.6."""
        grant = self._refresh.get(call.headers.get("X-Refresh-Token", ""))
        if grant is None:
            raise refusal(401, "Cannot decrypt the refresh token")
        if grant.used:
            raise refusal(401, "Token has been revoked")
        return self._home(world)

    def subdomain(self, world: World, call: Call) -> Reply:
        """The same by a Bearer token: the older address, deprecated since September 2024."""
        token = call.headers.get("Authorization", "").partition(" ")[2].strip()
        if not token or self.user_of(token) is None:
            raise refusal(401, "Token has been revoked")
        return self._home(world)

    def _home(self, world: World) -> Reply:
        top = (urlsplit(world.base_url).hostname or "").rsplit(".", 1)[-1]
        body = {"id": world.account_id, "subdomain": world.subdomain, "domain": world.host}
        return hal({**body, "top_level_domain": top})

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/oauth2/access_token", self.access_token),
            Route("GET", "/oauth2/account/current/subdomain", self.current_subdomain),
            Route("GET", "/oauth2/account/subdomain", self.subdomain),
            Route("GET", "/oauth", self.consent),
        ]


def with_query(address: str, query: dict[str, str]) -> str:
    """`address` with `query` after whatever it had."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"


def _read(call: Call) -> dict[str, Any]:
    if "json" in call.content_type:
        return call.item()
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _equal(given: object, known: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), known.encode())


def refusal(status: int, hint: str | None) -> ApiError:
    """The body seen on the live service; `hint` is sometimes absent."""
    body: dict[str, Any] = {} if hint is None else {"hint": hint}
    body |= {
        "title": "Некорректный запрос",
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": status,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    return ApiError(Reply(status, json.dumps(body, ensure_ascii=False).encode(), PROBLEM))
