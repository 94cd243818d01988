"""`connector backfill` killed as by a power cut: the next one goes on and reads nothing twice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from connector.backfill import BACKFILL
from connector.config import CrmName
from connector.sandbox.app import Sandbox
from connector.store import cursors
from connector.store.schema import deals, stage_changes
from tests.e2e.programs import Installation, Program, child_env

#: One CRM a database: the two ways are the same above the client, whose part the contract suite checks.
CRM_OF: dict[str, CrmName] = {"sqlite": "amocrm", "postgresql": "bitrix24"}


def start(here: Installation, account: str) -> Program:
    command = [sys.executable, "-m", "tests.e2e.unlimited", "backfill", "--account", account]
    return Program(command, child_env(here.settings), here.folder)


def place(here: Installation, account: str) -> dict[str, Any]:
    with here.app.db.read() as conn:
        return cursors.find(conn, account, BACKFILL) or {}


def test_killed_backfill_goes_on_where_it_was_and_ends_with_everything(
    own_sandbox: Sandbox, database_url: str, tmp_path: Path
) -> None:
    with Installation(own_sandbox, database_url, tmp_path) as here:
        crm = CRM_OF[here.app.db.dialect]
        own_sandbox.faults.latency_s = 0.2
        for _ in range(2):
            before = place(here, crm)
            program = start(here, crm)
            program.wait_for(lambda before=before: place(here, crm) != before, "a page more")  # type: ignore[misc]
            program.kill()
        assert place(here, crm)["part"] is not None
        own_sandbox.faults.latency_s = 0.0
        program = start(here, crm)
        assert program.stop_by_itself() == 0, program.stderr
        assert "Продолжаю чтение" in program.stderr
        portal = own_sandbox.portals[crm]
        kept = [deal for deal in portal.deals.values() if not deal.is_deleted]
        with here.app.db.read() as conn:
            of_account = deals.c.account == crm
            known = conn.execute(select(func.count()).select_from(deals).where(of_account)).scalar_one()
            moved = select(stage_changes.c.deal_id).where(stage_changes.c.account == crm).distinct()
            with_moves = set(conn.execute(moved).scalars())
        assert known == len(kept)
        assert {str(deal.id) for deal in kept} <= with_moves
        read = place(here, crm)["counts"]["deals"]["read"]
        assert read <= len(kept) + 2 * 200, "what was kept before a kill is not read again"
