"""A fresh sandbox a test, for tokens are its state; its past is a week, so that it is there at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connector.config import CrmName
from connector.sandbox.generate import generate
from connector.sandbox.history_files import write_history
from tests.oauth.stand import Stand, Watched, make_stand


@pytest.fixture(scope="session")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of a sales department, as a history folder."""
    folder = tmp_path_factory.mktemp("week")
    write_history(generate(date.today(), days=7), folder)
    return folder


@pytest.fixture
def sandbox(week: Path) -> Iterator[Watched]:
    with Watched(history=week) as running:
        yield running


@pytest.fixture(params=["amocrm", "bitrix24"])
def crm(request: pytest.FixtureRequest) -> CrmName:
    name: CrmName = request.param
    return name


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database: SQLite, but where a test asks for both (see `stand.BOTH`)."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


@pytest.fixture
def stand(sandbox: Watched, crm: CrmName, database: str) -> Iterator[Stand]:
    """An installation by consent that was given, of each CRM."""
    made = make_stand(sandbox, crm, database)
    made.consent()
    sandbox.asked.clear()
    yield made
    made.app.close()


@pytest.fixture
def lone(sandbox: Watched, crm: CrmName, database: str) -> Iterator[Stand]:
    """An installation without consent yet, of each CRM."""
    made = make_stand(sandbox, crm, database)
    yield made
    made.app.close()
