"""The OAuth server of the portal's one local application: codes, access tokens, rotating refresh tokens.

Source: reference section 1.2.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connector.sandbox.bitrix24.call import Caller
from connector.sandbox.bitrix24.methods.common import ALL_SCOPES
from connector.sandbox.bitrix24.site import Site
from connector.sandbox.bitrix24.wire import RestError

CODE_LIFE: Final = timedelta(seconds=30)
ACCESS_LIFE: Final = timedelta(hours=1)
REFRESH_LIFE: Final = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class _Grant:
    user_id: int
    expires_at: datetime | None
    is_used: bool = False


class OAuth:
    """Tokens of the application. The token handed in at the start has no end; those issued here have."""

    def __init__(self, site: Site, first_token: str, user_id: int) -> None:
        digest = hashlib.sha256(f"{site.member_id}:{site.application.token}".encode()).hexdigest()
        self.client_id = f"local.{digest[:14]}.{digest[14:22]}"
        self.client_secret = digest[22:62]
        self.first_token = first_token
        self.scopes = ALL_SCOPES
        self._site = site
        self._lock = threading.Lock()
        self._codes: dict[str, _Grant] = {}
        self._access: dict[str, _Grant] = {first_token: _Grant(user_id, None)}
        self._refresh: dict[str, _Grant] = {}
        self._event_tokens: dict[int, tuple[str, datetime]] = {}
        self.first_refresh_token = self.new_refresh_token(user_id)

    def caller(self, params: Mapping[str, Any]) -> Caller:
        """The application's caller behind the parameter `auth`, which is taken out of the parameters."""
        token = str(params.get("auth") or params.get("access_token") or "")
        if not token:
            raise RestError(401, "NO_AUTH_FOUND", "Wrong authorization data")
        with self._lock:
            grant = self._access.get(token)
        if self._site.application.is_removed:
            raise RestError(401, "ERROR_OAUTH", "Application not installed")
        if grant is None:
            raise RestError(401, "invalid_token", "Unable to get application by token")
        if self._is_over(grant):
            raise RestError(401, "expired_token", "The access token provided has expired.")
        return Caller("app", self.client_id, grant.user_id, frozenset(self.scopes))

    def issue_code(self, user_id: int) -> str:
        """A code for the exchange; good for 30 seconds, once."""
        return self._new(self._codes, user_id, CODE_LIFE)

    def expire_access_tokens(self) -> None:
        """Every access token, the first one too, answers `expired_token` from now on."""
        now = self._site.clock.now()
        with self._lock:
            self._access = {token: _Grant(grant.user_id, now) for token, grant in self._access.items()}
            self._event_tokens.clear()

    def event_token(self, user_id: int) -> tuple[str, datetime]:
        """An access token that goes out with events of that user, and when it ends."""
        now = self._site.clock.now()
        known = self._event_tokens.get(user_id)
        if known is None or known[1] - now < timedelta(minutes=5):
            known = (self._new(self._access, user_id, ACCESS_LIFE), now + ACCESS_LIFE)
            self._event_tokens[user_id] = known
        return known

    def auth_block(self, user_id: int, *, with_refresh: bool) -> dict[str, str]:
        """`auth[…]` of an event or a robot's call: tokens of that user, then where the portal is."""
        token, expires_at = self.event_token(user_id)
        block = {"access_token": token, "expires_in": "3600", "scope": ",".join(self.scopes), "status": "L"}
        if self._site.switches.events_carry_user:
            block |= {"expires": str(int(expires_at.timestamp())), "user_id": str(user_id)}
        if with_refresh:
            block["refresh_token"] = self.new_refresh_token(user_id)
        return {**block, **self._site.address_block()}

    def new_refresh_token(self, user_id: int) -> str:
        """A refresh token of that user, good for 180 days and for one use."""
        return self._new(self._refresh, user_id, REFRESH_LIFE)

    def token(self, params: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """HTTP status and body of `/oauth/token/`."""
        grant_type = str(params.get("grant_type", ""))
        name = {"authorization_code": "code", "refresh_token": "refresh_token"}.get(grant_type)
        if name is None:
            return 400, {"error": "invalid_request", "error_description": "Unsupported grant type"}
        for needed in ("client_id", "client_secret", name):
            if not params.get(needed):
                text = f'No "{needed}" parameter found'
                return 400, {"error": "invalid_request", "error_description": text}
        if params["client_id"] != self.client_id:
            return 200, {"error": "wrong_client"}
        if params["client_secret"] != self.client_secret:
            return 400, {"error": "invalid_client"}
        if self._site.application.is_removed:
            return 401, {"error": "NOT_INSTALLED", "error_description": "Application not installed"}
        if self._site.switches.refuse_with == "PAYMENT_REQUIRED":
            return 401, {"error": "PAYMENT_REQUIRED", "error_description": "Payment required"}
        if not set(str(params.get("scope") or "").split(",")) <= {"", *self.scopes}:
            text = "Given scope exceeds permissions associated with given grant"
            return 403, {"error": "INVALID_SCOPE", "error_description": text}
        grant = self._use(str(params[name]), is_code=name == "code")
        if grant is None:
            return 400, {"error": "invalid_grant"}
        return 200, self._answer(grant.user_id, is_terse=name == "code" and self._is_terse)

    @property
    def _is_terse(self) -> bool:
        return self._site.switches.exchange_is_terse

    def _use(self, token: str, *, is_code: bool) -> _Grant | None:
        """The grant behind a code or a refresh token, used up; a refresh token may have a grace period."""
        table = self._codes if is_code else self._refresh
        with self._lock:
            grant = table.pop(token, None)
            if grant is None or self._is_over(grant):
                return None
            if not is_code and self._site.switches.refresh_grace_s > 0 and not grant.is_used:
                over = self._site.clock.now() + timedelta(seconds=self._site.switches.refresh_grace_s)
                table[token] = _Grant(grant.user_id, over, is_used=True)
            elif grant.is_used:
                table[token] = grant
        return grant

    def _answer(self, user_id: int, *, is_terse: bool) -> dict[str, Any]:
        """`domain` is the OAuth server's host, not the portal's, as it is nowadays."""
        expires_at = self._site.clock.now() + ACCESS_LIFE
        answer = {
            "access_token": self._new(self._access, user_id, ACCESS_LIFE),
            "client_endpoint": self._site.rest_url,
            "domain": self._site.oauth_host,
            "expires": int(expires_at.timestamp()),
            "expires_in": int(ACCESS_LIFE.total_seconds()),
            "member_id": self._site.member_id,
            "refresh_token": self.new_refresh_token(user_id),
            "scope": ",".join(self.scopes),
            "server_endpoint": self._site.oauth_url,
            "status": "L",
            "user_id": user_id,
        }
        if is_terse:
            del answer["expires"], answer["user_id"]
        return answer

    def app_info(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """`app.info` of the OAuth server: whose token it is and where the application stands.

        Shape seen in b24pysdk (`B24AppInfoResult`); not that of the portal's own `app.info`.
        """
        caller = self.caller(params)
        token = str(params.get("auth") or params.get("access_token"))
        expires_at = self._access[token].expires_at or self._site.clock.now() + ACCESS_LIFE
        site = self._site
        return {
            "client_id": self.client_id,
            "scope": ",".join(self.scopes),
            "expires": expires_at.astimezone(site.zone).isoformat(timespec="seconds"),
            "install": {
                "installed": site.application.is_installed,
                "version": str(site.application.version),
                "status": "L",
                "scope": ",".join(self.scopes),
                "domain": site.host.partition(":")[0],
                "uri": site.base_url,
                "client_endpoint": site.rest_url,
                "member_id": site.member_id,
                "member_type": "oauth",
            },
            "user_id": caller.user_id,
        }

    def forget(self) -> None:
        """The application was removed: its tokens are good for nothing."""
        with self._lock:
            for table in (self._codes, self._access, self._refresh):
                table.clear()
            self._event_tokens.clear()

    def _new(self, table: dict[str, _Grant], user_id: int, life: timedelta) -> str:
        token = secrets.token_hex(35)
        with self._lock:
            table[token] = _Grant(user_id, self._site.clock.now() + life)
        return token

    def _is_over(self, grant: _Grant) -> bool:
        return grant.expires_at is not None and grant.expires_at <= self._site.clock.now()
