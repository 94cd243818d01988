"""Other people's clients against the sandbox: a real server a module, node with its packages, TLS if wanted.

The clients' own code is never changed; what stands between is what a hosts file, a certificate store and a
port redirect would do.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from connector.sandbox.app import Sandbox
from tests.clients.javascript import Node, NoJavaScript, prepare
from tests.clients.tls_front import Authority


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    """Both CRMs with the generated year behind them, over HTTP, for all tests of one module."""
    with Sandbox() as made:
        yield made


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The module's sandbox with its limits off and no fault prepared."""
    running_sandbox.faults.limits_on = False
    yield running_sandbox
    running_sandbox.faults.reset()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with the packages of `js/package-lock.json`; skips, with the reason, where they cannot be had."""
    try:
        return prepare()
    except NoJavaScript as error:
        pytest.skip(str(error))


def port_of(sandbox: Sandbox) -> int:
    port = urlsplit(sandbox.base_url).port
    assert port is not None
    return port
