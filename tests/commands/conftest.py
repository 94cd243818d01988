"""A sandbox without limits, and the settings that connect an installation to each of its CRMs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.sandbox.generate import generate
from connector.sandbox.history_files import write_history
from tests.e2e.programs import TEMPLATES, crm_settings, mail_settings


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of a sales department, as a history folder."""
    folder = tmp_path_factory.mktemp("past")
    write_history(generate(date.today(), days=30), folder)
    return folder


@pytest.fixture(scope="session")
def sandbox(past: Path) -> Iterator[Sandbox]:
    with Sandbox(history=past) as sandbox:
        sandbox.faults.limits_on = False
        yield sandbox


@pytest.fixture(params=["amocrm", "bitrix24"])
def crm(request: pytest.FixtureRequest) -> CrmName:
    name: CrmName = request.param
    return name


@pytest.fixture
def env(sandbox: Sandbox, crm: CrmName, sqlite_url: str) -> dict[str, str]:
    """All settings of a fresh installation."""
    return {
        **crm_settings(sandbox, crm),
        **mail_settings(sandbox),
        "DATABASE_URL": sqlite_url,
        "TEMPLATES_DIR": str(TEMPLATES),
        "BASE_URL": "http://127.0.0.1:9",
        "LOG_LEVEL": "DEBUG",
    }


@pytest.fixture
def kit(tmp_path: Path, env: dict[str, str]) -> Path:
    """A copy of the kit to make mistakes in; the settings point at it."""
    import shutil

    folder = tmp_path / "kit"
    shutil.copytree(TEMPLATES, folder)
    env["TEMPLATES_DIR"] = str(folder)
    return folder
