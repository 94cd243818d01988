"""An amoCRM account as foreign clients see it: `https://sandbox.amocrm.ru`, its integration, and hooks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from connector.sandbox.amocrm import AmoCrm
from connector.sandbox.app import Sandbox
from connector.sandbox.state import Portal
from tests.clients.conftest import port_of
from tests.clients.tls_front import Authority, TlsFront, front
from tests.sandbox.catcher import Catcher

#: The account's names: before and after it moves, the shard, the file service.
SUBDOMAIN, MOVED = "sandbox", "novoe-imya"
HOSTS = tuple(f"{name}.amocrm.ru" for name in (SUBDOMAIN, MOVED, "api-a"))
REDIRECT = "https://connector.example/oauth"


@dataclass(frozen=True, slots=True)
class Account:
    """What a client is given, and the sandbox's inside to look at what it did."""

    amo: AmoCrm
    portal: Portal
    sandbox: Sandbox
    tls: TlsFront
    hooks: Catcher

    @property
    def url(self) -> str:
        return f"https://{HOSTS[0]}"

    @property
    def token(self) -> str:
        return self.amo.oauth.token

    def some_deal(self) -> int:
        """An open deal of the past."""
        return next(d.id for d in self.portal.deals.values() if d.closed_at is None and not d.is_deleted)

    def for_script(self, **more: Any) -> dict[str, Any]:
        """The same for a script in another language."""
        oauth = self.amo.oauth
        return {
            "host": HOSTS[0],
            "token": self.token,
            "client_id": oauth.client_id,
            "client_secret": oauth.client_secret,
            "redirect_uri": oauth.redirect_uri,
            "hook_url": self.hooks.url,
            "deal_id": self.some_deal(),
            "pipeline_id": self.amo.world.main_pipeline().id,
            **more,
        }


@pytest.fixture
def account(sandbox: Sandbox, authority: Authority) -> Iterator[Account]:
    """The module's sandbox under its amoCRM name; tests may move it, limit it and break it."""
    world = sandbox.amocrm.world
    before = (world.base_url, world.subdomain, asdict(world.switches), sandbox.clock.shift)
    world.base_url, world.subdomain = f"https://{HOSTS[0]}", SUBDOMAIN
    sandbox.amocrm.oauth.redirect_uri = REDIRECT
    with Catcher() as hooks, front(authority, HOSTS, port_of(sandbox)) as tls:
        yield Account(sandbox.amocrm, sandbox.portals["amocrm"], sandbox, tls, hooks)
    world.base_url, world.subdomain, switches, sandbox.clock.shift = before
    for name, value in switches.items():
        setattr(world.switches, name, value)
    sandbox.amocrm.oauth.old_hosts.clear()
    sandbox.amocrm.gate.unblock()
    sandbox.amocrm.delivery.hooks.clear()


@pytest.fixture
def by_name(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """For clients built on `requests`: amoCRM's names lead to the sandbox, its certificate is trusted.

    As a line in the hosts file, a port redirect and an installed authority would do it.
    """
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host in account.tls.hosts:
            return real("127.0.0.1", account.tls.port, *args, **kwargs)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(account.tls.ca_file))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return account
