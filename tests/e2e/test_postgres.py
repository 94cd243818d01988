"""The main job on PostgreSQL with every role a process of its own: two workers, a scheduler, a receiver."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from connector.sandbox.app import Sandbox
from connector.store.schema import outbox, report_runs, schedules
from tests.e2e.programs import Installation, kit_with_daily_reports

pytestmark = pytest.mark.postgres


def test_roles_apart_do_the_main_job_and_lose_nothing_when_told_to_stop(
    own_sandbox: Sandbox, postgres_url: str, tmp_path: Path
) -> None:
    kit = kit_with_daily_reports(tmp_path)
    with Installation(own_sandbox, postgres_url, tmp_path, templates=kit) as here:
        web, scheduler = here.start_web(), here.start("scheduler")
        workers = [here.start("worker"), here.start("worker")]
        clients = {
            f"client-{number}@{crm}.example": (
                office,
                office.add_deal(email=f"client-{number}@{crm}.example"),
            )
            for number in range(3)
            for crm, office in here.offices.items()
        }
        for office, deal_id in clients.values():
            office.move(deal_id, "Встреча проведена")
        here.wait_for(lambda: here.effects_done() >= 4, "the first effects")
        assert workers[0].stop() == 0, workers[0].stderr
        here.wait_for(lambda: len(own_sandbox.mailbox.letters()) >= len(clients), "all letters")
        make_reports_due(here)
        here.wait_for(lambda: len(reports_sent(here)) == len(here.offices), "the owner's reports")
        here.settle()

        letters = Counter(to for letter in own_sandbox.mailbox.letters() for to in letter.recipients)
        for email, (office, deal_id) in clients.items():
            assert letters[email] == 1
            kinds = sorted(name.rpartition(".")[2] for name in office.file_names(deal_id))
            assert kinds == ["docx", "pdf", "pdf"]
            assert sum("Обсудить договор" in text for text in office.task_texts(deal_id)) == 1
        with here.app.db.read() as conn:
            assert set(conn.execute(select(outbox.c.status)).scalars()) == {"done"}
        for program in (web, scheduler, workers[1]):
            assert program.stop() == 0, program.stderr
            assert "Traceback" not in program.stderr
        assert here.app.queue.counts().running == 0
        assert all("Traceback" not in worker.stderr for worker in workers)


def test_event_that_comes_while_no_worker_runs_waits_for_one(
    own_sandbox: Sandbox, postgres_url: str, tmp_path: Path
) -> None:
    with Installation(own_sandbox, postgres_url, tmp_path) as here:
        here.start_web()
        for crm, office in here.offices.items():
            deal_id = office.add_deal(email=f"patient@{crm}.example")
            office.move(deal_id, "Счёт выставлен")
        here.wait_for(lambda: here.app.queue.counts().ready >= 4, "both hooks of both CRMs")
        assert own_sandbox.mailbox.letters() == []
        worker = here.start("worker")
        here.wait_for(lambda: len(own_sandbox.mailbox.letters()) == 2, "both letters")
        here.settle()
        assert len(own_sandbox.mailbox.letters()) == 2
        assert worker.stop() == 0, worker.stderr


def make_reports_due(here: Installation) -> None:
    """Let the slot of the owner's report be a moment ago."""
    with here.app.db.begin() as conn:
        due = update(schedules).where(schedules.c.name == "report:owner_daily")
        moment_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        assert conn.execute(due.values(next_run_at=moment_ago)).rowcount == len(here.offices)


def reports_sent(here: Installation) -> list[str]:
    with here.app.db.read() as conn:
        sent = select(report_runs.c.account).where(report_runs.c.status == "sent")
        return list(conn.execute(sent).scalars())
