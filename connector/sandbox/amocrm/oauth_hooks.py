"""What amoCRM itself calls at an integration's addresses: install hook, switch-off hook, exchanged API key.

Each is one GET that is never repeated. Source: reference 1.3, 1.7, 1.9.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import requests

from connector.sandbox.amocrm import tokens
from connector.sandbox.amocrm.oauth import Oauth, refusal, with_query
from connector.sandbox.amocrm.request import Call
from connector.sandbox.amocrm.wire import ApiError, Reply, problem
from connector.sandbox.amocrm.world import Route, World

ANSWER_WITHIN_S = 3.0
#: How many API keys may be exchanged in an hour before the answer is 429; the real number is unknown.
EXCHANGES_AN_HOUR = 10


class OauthHooks:
    """The calls of one integration. Methods that call out answer the status they got, 0 for none."""

    def __init__(self, oauth: Oauth) -> None:
        self._oauth = oauth
        self._exchanged_at: deque[int] = deque()
        self._session = requests.Session()
        self._session.trust_env = False

    def install(self) -> int:
        """A user installs the integration's widget: a code comes by itself."""
        query = {**self._oauth.redirect_query(), "from_widget": "1"}
        return self._get(self._oauth.redirect_uri, query)

    def switch_off(self, revoke_uri: str) -> int:
        """An admin switches the integration off: its tokens die, then it is told (if it can be)."""
        with self._oauth.world.portal.lock:
            self._oauth.revoke_all()
        oauth, account_id = self._oauth, self._oauth.world.account_id
        signature = tokens.switch_off_signature(oauth.client_id, account_id, oauth.client_secret)
        query = {"account_id": str(account_id), "client_uuid": oauth.client_id, "signature": signature}
        return self._get(revoke_uri, query)

    def disposable_token(self, user_id: int, extra: Mapping[str, Any] | None = None) -> str:
        """The X-Auth-Token of a widget in the browser of that user; `extra` claims make it a Salesbot's."""
        oauth, world = self._oauth, self._oauth.world
        user = world.user(user_id)
        if user is None:
            raise LookupError(f"пользователя {user_id} нет")
        claims = tokens.disposable_claims(
            issuer=world.base_url,
            audience="/".join(oauth.redirect_uri.split("/")[:3]),
            account_id=world.account_id,
            user_id=user_id,
            subdomain=world.subdomain,
            client_id=oauth.client_id,
            now=world.portal.now(),
        )
        if extra is None:
            return tokens.sign({**claims, "is_admin": user.is_admin}, oauth.client_secret)
        return tokens.sign({**claims, **extra}, oauth.client_secret, "HS512")

    def exchange_api_key(self, world: World, call: Call) -> Reply:
        """202 now, and the code on the redirect URI; any API key of an active user's e-mail will do."""
        body, now = call.item(), world.now()
        if body.get("client_uuid") != self._oauth.client_id:
            raise refusal(401, "Client authentication failed")
        if body.get("client_secret") != self._oauth.client_secret:
            raise refusal(401, "Client authentication failed")
        users = [u for u in world.portal.users.values() if u.email == body.get("login") and u.is_active]
        if not users or not body.get("api_key"):
            raise ApiError(problem(401, "Неверный логин или пароль"))
        with world.portal.lock:
            while self._exchanged_at and self._exchanged_at[0] <= now - 3600:
                self._exchanged_at.popleft()
            if len(self._exchanged_at) >= EXCHANGES_AN_HOUR:
                raise ApiError(problem(429, "Too many requests"))
            self._exchanged_at.append(now)
        self._get(self._oauth.redirect_uri, {**self._oauth.redirect_query(), "from_exchange": "1"})
        return Reply(202)

    def routes(self) -> list[Route]:
        return [Route("POST", "/oauth2/exchange_api_key", self.exchange_api_key)]

    def _get(self, address: str, query: dict[str, str]) -> int:
        if not address:
            return 0
        try:
            with self._session.get(
                with_query(address, query), timeout=ANSWER_WITHIN_S, allow_redirects=False, stream=True
            ) as answer:
                return answer.status_code
        except requests.RequestException:
            return 0
