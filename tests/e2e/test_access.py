"""A key that the CRM no longer takes is told at once; the work waits, and goes on when a key is taken."""

from __future__ import annotations

from pathlib import Path

import requests

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from tests.e2e.stand import Stand


def test_refused_key_is_told_and_the_work_waits_and_goes_on(
    crm: CrmName, own_sandbox: Sandbox, tmp_path: Path
) -> None:
    with Stand(own_sandbox, crm, f"sqlite:///{tmp_path}/connector.db") as stand:
        stand.settle()
        assert stand.app.status().is_well
        faults = f"{own_sandbox.base_url}/sandbox/api/faults"
        order = {"crm": crm, "what": "status", "status": 401}
        assert requests.post(faults, json=order, timeout=10).ok
        deal_id = stand.add_deal(email=f"access-{crm}@example.ru")
        stand.move(deal_id, "Счёт выставлен")
        told = stand.wait_for(lambda: stand.app.status().accounts[0].access_problem, "the alarm")
        assert told.startswith("CRM не принимает ключ с ")
        assert ("CRM_TOKEN" if crm == "amocrm" else "CRM_URL") in told
        assert not stand.app.status().is_well
        assert stand.app.queue.dead() == []
        assert requests.delete(faults, timeout=10).ok
        with stand.app.db.begin() as conn:
            stand.app.queue.enqueue(conn, "directory", {}, account="main", queue="background")
        stand.wait_for(lambda: stand.file_names(deal_id), "the invoice")
        stand.wait_for(lambda: not stand.app.status().accounts[0].access_problem, "the end of the alarm")
