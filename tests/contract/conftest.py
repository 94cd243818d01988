"""One sandbox a module, and each CRM in turn as an `office`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connector.clock import Clock
from connector.config import AccountConfig
from connector.crm import CRMS
from connector.crm.base import CrmClient
from connector.crm.http import RateLimiter
from connector.sandbox.app import Sandbox
from tests.contract.office import SECRET, Office, PatientClock
from tests.crm.limiter import Turnstile


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        running.faults.limits_on = False
        yield running


@pytest.fixture(params=["amocrm", "bitrix24"])
def office(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Office]:
    crm = request.param
    told = sandbox.describe()[crm]
    account = AccountConfig(
        name=f"{crm}-account",
        crm=crm,
        url=told.get("base_url", told.get("webhook_url", "")).rstrip("/"),
        token=told.get("token", ""),
        hook_secret=SECRET,
        application_token=told.get("application_token", ""),
    )
    limiter = Turnstile()

    def make(limiter: RateLimiter, clock: Clock) -> CrmClient:
        return CRMS[crm].make_client(account, limiter=limiter, clock=clock)

    office = Office(crm, make(limiter, PatientClock()), sandbox.portals[crm], sandbox, limiter, make)
    yield office
    sandbox.faults.reset()
    sandbox.faults.limits_on = False


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC)
