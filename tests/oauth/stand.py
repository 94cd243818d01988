"""An installation that is connected to a sandbox by consent, and what the sandbox was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.app import App
from connector.clock import SystemClock
from connector.config import Config, CrmName
from connector.crm.tokens import TokenSource
from connector.domain import StoredGrant
from connector.sandbox.app import Sandbox
from connector.store.sealing import new_key
from connector.web.server import WebServer
from tests.crm.limiter import Turnstile

ROOT = Path(__file__).resolve().parents[2]
HOOK_SECRET = "0123456789abcdefghij"
TOKEN_PATHS = {"amocrm": "/oauth2/access_token", "bitrix24": "/oauth/token/"}


#: Tests of what is written in SQL run on both databases, the others on one.
BOTH = pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
of_amocrm = pytest.mark.parametrize("crm", ["amocrm"], indirect=True)
of_bitrix24 = pytest.mark.parametrize("crm", ["bitrix24"], indirect=True)


class Watched(Sandbox):
    """A sandbox that counts what it is asked, by path."""

    def __init__(self, **options: Any) -> None:
        self.asked: Counter[str] = Counter()
        super().__init__(**options)
        self.faults.limits_on = False

    def _make_flask(self) -> Any:
        from flask import request

        flask = super()._make_flask()

        @flask.before_request
        def count() -> None:
            self.asked[request.path] += 1

        return flask


@dataclass
class Stand:
    """One account by consent. `env` are its settings."""

    crm: CrmName
    sandbox: Watched
    env: dict[str, str]
    app: App

    @property
    def tokens(self) -> TokenSource:
        return self.app.tokens["main"]

    @property
    def token_calls(self) -> int:
        """How many codes and pairs the sandbox was asked to exchange."""
        return self.sandbox.asked[TOKEN_PATHS[self.crm]]

    @property
    def side(self) -> Any:
        return getattr(self.sandbox, self.crm)

    def code(self) -> str:
        """A fresh code, as the consent page gives one."""
        if self.crm == "amocrm":
            return str(self.sandbox.amocrm.oauth.issue_code())
        return str(self.sandbox.bitrix24.oauth.issue_code(self.sandbox.bitrix24.webhook_user_id))

    def consent(self) -> None:
        """Let a person say yes."""
        self.app.consent.take_code("main", self.code())

    def stored(self) -> StoredGrant:
        found = self.app.grants.find("main")
        assert found is not None
        return found

    def change(self, **changes: Any) -> None:
        """Make the stored grant another one, as time or an accident would."""
        with self.app.db.begin() as conn:
            self.app.grants.store(conn, "main", replace(self.stored().grant, **changes))
        self.forget()

    def forget(self) -> None:
        """Know no more of the pair than a process that has just begun."""
        for part in ("tokens", "clients"):
            vars(self.app).pop(part, None)

    def age(self, *, is_over: bool = True) -> None:
        """Let the access token be over, or so old that it is to be renewed though it works."""
        now = self.app.clock.now()
        until = -timedelta(minutes=5) if is_over else timedelta(seconds=30)
        self.change(obtained_at=now - timedelta(days=1), expires_at=now + until)

    def spoil(self) -> None:
        """Let the CRM not know the access token, which by its time should work."""
        self.change(access_token="stale", obtained_at=self.app.clock.now() - timedelta(minutes=30))

    def name(self) -> str:
        """A call of the API that proves that we are let in."""
        return self.app.clients["main"].account_info().name

    def another(self, **settings: str) -> App:
        """The same installation in another process, so to speak; the caller closes it."""
        return App(Config.from_env({**self.env, **settings}), SystemClock(), Turnstile())


def settings(sandbox: Sandbox, crm: CrmName, database_url: str) -> dict[str, str]:
    """All settings of an installation that is connected by consent."""
    door = getattr(sandbox, crm).endpoints()
    url = door["base_url"] if crm == "amocrm" else sandbox.base_url
    oauth_url = f"{sandbox.base_url}/oauth" if crm == "amocrm" else sandbox.base_url
    return {
        "CRM": crm,
        "CRM_URL": url,
        "CLIENT_ID": door["client_id"],
        "CLIENT_SECRET": door["client_secret"],
        "OAUTH_URL": oauth_url,
        "SECRET_KEY": new_key(),
        "HOOK_SECRET": HOOK_SECRET,
        "DATABASE_URL": database_url,
        "TEMPLATES_DIR": str(ROOT / "templates"),
        "BASE_URL": "http://127.0.0.1:9",
    }


def make_stand(sandbox: Watched, crm: CrmName, database_url: str) -> Stand:
    """A prepared installation without consent."""
    env = settings(sandbox, crm, database_url)
    app = App(Config.from_env(env), SystemClock(), Turnstile())
    app.prepare()
    if crm == "amocrm":
        sandbox.amocrm.oauth.redirect_uri = app.config.account("main").redirect_url
    sandbox.asked.clear()
    return Stand(crm, sandbox, env, app)


def get(url: str) -> requests.Response:
    """What a browser gets that follows no redirect."""
    return requests.get(url, allow_redirects=False, timeout=30)


@contextmanager
def served(app: App) -> Iterator[str]:
    """The installation's web role on a free port; its address."""
    server = WebServer("127.0.0.1", 0)
    server.start(app.web())
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()
