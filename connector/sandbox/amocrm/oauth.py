"""OAuth: codes, rotating single-use refresh tokens, access tokens, the long-lived token.

Times are the sandbox's own. Source: reference 1.3-1.6. Claim names of the tokens are unverified.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import PROBLEM, ApiError, Reply, hal, problem
from connector.sandbox.amocrm.world import Route, World

CODE_TTL = timedelta(minutes=20)
ACCESS_TTL = timedelta(hours=24)
REFRESH_TTL = timedelta(days=90)


@dataclass(slots=True)
class _Grant:
    """A code or a token: whose it is and until when; `used` ones stay known for the right hint."""

    user_id: int
    until: datetime
    used: bool = False


@dataclass(slots=True)
class Oauth:
    """One integration of the account. `token` is its long-lived token."""

    world: World
    token: str = field(repr=False)
    client_id: str = field(default_factory=lambda: str(uuid4()))
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)
    redirect_uri: str = ""
    _codes: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _access: dict[str, _Grant] = field(default_factory=dict, repr=False)
    _refresh: dict[str, _Grant] = field(default_factory=dict, repr=False)
    #: Refresh token -> the access token that came with it.
    _pairs: dict[str, str] = field(default_factory=dict, repr=False)

    def issue_code(self) -> str:
        """An authorization code, as the consent page hands out; 20 minutes, single use."""
        code = secrets.token_hex(64)
        self._codes[code] = _Grant(self.world.api_user_id, self.world.portal.now() + CODE_TTL)
        return code

    def user_of(self, token: str) -> int | None:
        """Whose valid access token this is; None for an unknown or expired one."""
        if hmac.compare_digest(token.encode(), self.token.encode()):
            return self.world.api_user_id
        grant = self._access.get(token)
        if grant is None or grant.used or grant.until <= self.world.portal.now():
            return None
        return grant.user_id

    def access_token(self, world: World, call: Call) -> Reply:
        """Exchange a code or a refresh token for a new pair; JSON and form bodies."""
        body = _read(call)
        with world.portal.lock:
            same_client = body.get("client_id") == self.client_id
            if not same_client or not _equal(body.get("client_secret"), self.client_secret):
                raise _refusal(401, "Client authentication failed")
            if self.redirect_uri and body.get("redirect_uri") != self.redirect_uri:
                raise _refusal(400, None)
            kind = body.get("grant_type")
            if kind == "authorization_code":
                grant = self._spend(self._codes, body.get("code"), "Authorization code")
            elif kind == "refresh_token":
                grant = self._spend(self._refresh, body.get("refresh_token"), "Token")
                if world.switches.refresh_kills_access:
                    self._access.pop(self._pairs.get(str(body["refresh_token"]), ""), None)
            else:
                raise _refusal(400, None)
            return hal(self._new_pair(grant.user_id))

    def _spend(self, table: dict[str, _Grant], key: object, what: str) -> _Grant:
        grant = table.get(key) if isinstance(key, str) else None
        if grant is None:
            missing = (
                "Cannot decrypt the refresh token"
                if what == "Token"
                else "Cannot decrypt the authorization code"
            )
            raise _refusal(401 if key else 400, missing if key else None)
        if grant.used:
            raise _refusal(401, f"{what} has been revoked")
        if grant.until <= self.world.portal.now():
            raise _refusal(401, f"{what} has expired")
        grant.used = True
        return grant

    def _new_pair(self, user_id: int) -> dict[str, Any]:
        now = self.world.portal.now()
        access, refresh = self._jwt(user_id, now), "def50200" + secrets.token_hex(320)
        self._access[access] = _Grant(user_id, now + ACCESS_TTL)
        self._refresh[refresh] = _Grant(user_id, now + REFRESH_TTL)
        self._pairs[refresh] = access
        return {
            "token_type": "Bearer",
            "expires_in": int(ACCESS_TTL.total_seconds()),
            "server_time": int(now.timestamp()),
            "access_token": access,
            "refresh_token": refresh,
        }

    def _jwt(self, user_id: int, now: datetime) -> str:
        issued = int(now.timestamp())
        claims = {
            "aud": self.client_id,
            "jti": secrets.token_hex(32),
            "iat": issued,
            "nbf": issued,
            "exp": issued + int(ACCESS_TTL.total_seconds()),
            "sub": str(user_id),
            "grant_type": "",
            "account_id": self.world.account_id,
            "base_domain": "amocrm.ru",
            "version": 2,
            "scopes": ["crm", "files", "files_delete", "notifications"],
            "api_domain": urlsplit(self.world.base_url).netloc,
        }
        head = _b64(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
        signed = f"{head}.{_b64(json.dumps(claims).encode())}"
        signature = hmac.new(self.client_secret.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_b64(signature)}"

    def consent(self, world: World, call: Call) -> Reply:
        """The consent page of an account whose admin always agrees: straight back with a code."""
        if call.text("client_id") != self.client_id or not self.redirect_uri:
            raise ApiError(problem(400, "Unknown client_id or no redirect_uri configured"))
        query = {
            "code": self.issue_code(),
            "referer": urlsplit(world.base_url).netloc,
            "platform": "1",
            "client_id": self.client_id,
        }
        if call.text("state"):
            query["state"] = call.text("state")
        joint = "&" if "?" in self.redirect_uri else "?"
        return Reply(302, b"", "text/html", {"Location": f"{self.redirect_uri}{joint}{urlencode(query)}"})

    def subdomain(self, world: World, call: Call) -> Reply:
        """Where the account lives now, for a client whose refresh failed. Source: reference 1.6."""
        grant = self._refresh.get(call.headers.get("X-Refresh-Token", ""))
        if grant is None:
            raise _refusal(401, "Cannot decrypt the refresh token")
        host = urlsplit(world.base_url).netloc
        return hal(
            {
                "id": world.account_id,
                "subdomain": world.subdomain,
                "domain": host,
                "top_level_domain": host.rsplit(".", 1)[-1],
            }
        )

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/oauth2/access_token", self.access_token),
            Route("GET", "/oauth2/account/current/subdomain", self.subdomain),
            Route("GET", "/oauth", self.consent),
        ]


def _read(call: Call) -> dict[str, Any]:
    if "json" in call.content_type:
        return call.item()
    return dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True))


def _equal(given: object, known: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode(), known.encode())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _refusal(status: int, hint: str | None) -> ApiError:
    """The body seen on the live service; `hint` is sometimes absent."""
    body: dict[str, Any] = {} if hint is None else {"hint": hint}
    body |= {
        "title": "Некорректный запрос",
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": status,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    return ApiError(Reply(status, json.dumps(body, ensure_ascii=False).encode(), PROBLEM))
