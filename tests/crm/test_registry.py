from __future__ import annotations

from typing import get_args

import pytest

from connector.clock import SystemClock
from connector.config import CRM_NAMES, AccountConfig, CrmName
from connector.crm import CRMS
from tests.crm.limiter import Turnstile


def test_the_settings_and_the_table_name_the_same_crms() -> None:
    assert tuple(CRMS) == CRM_NAMES == get_args(CrmName)


@pytest.mark.parametrize("name", sorted(CRMS))
def test_a_client_is_built_without_a_call(name: str) -> None:
    account = AccountConfig("main", name, "https://crm.test/rest/1/secret", "token")  # type: ignore[arg-type]
    client = CRMS[name].make_client(account, limiter=Turnstile(), clock=SystemClock())
    assert client.account == "main"
