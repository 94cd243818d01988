"""A Bitrix24 portal as foreign clients see it: `https://sandbox.bitrix24.ru`, its OAuth hosts, a listener."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from connector.sandbox.app import Sandbox
from connector.sandbox.bitrix24 import Bitrix24
from connector.sandbox.state import Portal
from tests.clients.conftest import port_of
from tests.clients.tls_front import Authority, TlsFront, front
from tests.sandbox.catcher import Catcher

#: The portal before and after it was renamed, and both OAuth servers of the vendor.
PORTAL, RENAMED = "sandbox.bitrix24.ru", "novoe-imya.bitrix24.ru"
OAUTH_HOSTS = ("oauth.bitrix.info", "oauth.bitrix24.tech")


@dataclass(frozen=True, slots=True)
class Office:
    """What a client is given, and the sandbox's inside to look at what it did."""

    b24: Bitrix24
    portal: Portal
    sandbox: Sandbox
    tls: TlsFront
    hooks: Catcher

    @property
    def webhook_url(self) -> str:
        return self.b24.endpoints()["webhook_url"]

    def for_script(self, **more: Any) -> dict[str, Any]:
        """The same for a script in another language."""
        deals = [deal.id for deal in self.portal.deals.values() if not deal.is_deleted]
        told = self.b24.endpoints()
        return {**told, "portal": PORTAL, "hook_url": self.hooks.url, "deals": len(deals), **more}


@pytest.fixture
def office(sandbox: Sandbox, authority: Authority) -> Iterator[Office]:
    """The module's sandbox under its Bitrix24 name; tests may rename it, limit it and break it."""
    site = sandbox.bitrix24.site
    before = (site.base_url, asdict(site.switches), sandbox.clock.shift)
    site.base_url = f"https://{PORTAL}"
    with Catcher() as hooks, front(authority, (PORTAL, RENAMED, *OAUTH_HOSTS), port_of(sandbox)) as tls:
        yield Office(sandbox.bitrix24, sandbox.portals["bitrix24"], sandbox, tls, hooks)
    site.base_url, switches, sandbox.clock.shift = before
    for name, value in switches.items():
        setattr(site.switches, name, value)
    site.events.forget_application()


@pytest.fixture
def by_name(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """For clients in this process: the names lead to the sandbox, its certificate is trusted.

    As a line in the hosts file, a port redirect and an installed authority would do it.
    """
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host in office.tls.hosts:
            return real("127.0.0.1", office.tls.port, *args, **kwargs)
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(office.tls.ca_file))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return office
