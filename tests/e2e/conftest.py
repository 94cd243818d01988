"""One sandbox for the session, without limits and latency; a connector for each CRM on each database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from tests.e2e.stand import Stand


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        sandbox.faults.limits_on = False
        yield sandbox


@pytest.fixture(scope="module", params=["amocrm", "bitrix24"])
def crm(request: pytest.FixtureRequest) -> CrmName:
    name: CrmName = request.param
    return name


@pytest.fixture(scope="module")
def stand(crm: CrmName, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A connector on SQLite that all tests of a module share: each brings deals of its own."""
    file = tmp_path_factory.mktemp("e2e") / "connector.db"
    with Stand(sandbox, crm, f"sqlite:///{file}") as stand:
        yield stand
