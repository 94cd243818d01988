"""The acts of people round an integration, for tests: configure, install, switch off, rename the account.

Each action takes and answers a JSON object, see `admin`. Knows nothing of HTTP.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from connector.sandbox.amocrm.admin import Action
from connector.sandbox.amocrm.oauth import Oauth
from connector.sandbox.amocrm.oauth_hooks import OauthHooks


def oauth_actions(oauth: Oauth, hooks: OauthHooks) -> dict[str, Action]:
    """Actions by the last part of their address."""

    def configure(body: dict[str, Any]) -> dict[str, str]:
        oauth.redirect_uri = _address(body, "redirect_uri")
        return {
            "client_id": oauth.client_id,
            "client_secret": oauth.client_secret,
            "redirect_uri": oauth.redirect_uri,
        }

    def move(body: dict[str, Any]) -> dict[str, str]:
        oauth.move(_address(body, "base_url"), str(body.get("subdomain") or oauth.world.subdomain))
        return {"base_url": oauth.world.base_url, "subdomain": oauth.world.subdomain}

    def long_lived(body: dict[str, Any]) -> dict[str, str]:
        days = body.get("days")
        if not isinstance(days, int):
            raise ValueError("days: нужно целое число дней")
        return {"token": oauth.issue_long_lived(timedelta(days=days))}

    def disposable(body: dict[str, Any]) -> dict[str, str]:
        return {"token": hooks.disposable_token(int(body.get("user_id") or oauth.world.api_user_id))}

    return {
        "oauth/configure": configure,
        "oauth/code": lambda _: oauth.redirect_query(),
        "oauth/tokens": lambda _: oauth.issue_tokens(),
        "oauth/long-lived": long_lived,
        "oauth/disposable-token": disposable,
        "oauth/install": lambda _: {"status": hooks.install()},
        "oauth/switch-off": lambda body: {"status": hooks.switch_off(str(body.get("revoke_uri") or ""))},
        "oauth/move": move,
    }


def _address(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or urlsplit(value).scheme not in ("http", "https"):
        raise ValueError(f"{key}: нужен адрес http(s)")
    return value
