"""One sandbox for the session, without limits and latency; a connector for each CRM on each database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.sandbox.generate import generate
from connector.sandbox.history_files import write_history
from tests.e2e.stand import Stand


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of a sales department, as a history folder."""
    folder = tmp_path_factory.mktemp("past")
    write_history(generate(date.today(), days=60), folder)
    return folder


@pytest.fixture(scope="session")
def sandbox(past: Path) -> Iterator[Sandbox]:
    with Sandbox(history=past) as sandbox:
        sandbox.faults.limits_on = False
        yield sandbox


@pytest.fixture
def own_sandbox(past: Path) -> Iterator[Sandbox]:
    """A sandbox that no other test has touched."""
    with Sandbox(history=past) as sandbox:
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
