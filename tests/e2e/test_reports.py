"""Reports reach their people inside the CRM and by mail, once a slot, whoever ticks; tables come as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from connector.config import CrmName
from connector.domain import SERVICE_TAG
from connector.sandbox.app import Sandbox
from connector.store import facts, outbox, runs
from connector.store.schema import report_runs, schedules
from tests.commands.typed import Said, typed
from tests.e2e.programs import crm_settings, kit_with_daily_reports, mail_settings
from tests.e2e.stand import NO_GRACE, Stand

#: Section 4 of the definitions.
SALES_COLUMNS = [
    *("dim", "key", "won", "lost", "win_rate", "revenue", "avg_cheque", "avg_cheque_nonzero"),
    *("cycle_median_s", "cycle_p90_s", "cycle_mean_s", "lost_cycle_median_s"),
    *("created", "created_won", "created_lost", "created_open", "created_win_rate"),
]


@pytest.fixture(scope="module")
def stand(crm: CrmName, past: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A connector that has read two months of history and sends its reports on any day."""
    folder = tmp_path_factory.mktemp("reports")
    with Sandbox(history=past) as sandbox:  # type: ignore[arg-type]
        sandbox.faults.limits_on = False
        kit = kit_with_daily_reports(folder)
        with Stand(sandbox, crm, f"sqlite:///{folder / 'connector.db'}", templates=kit) as stand:
            stand.app.backfill.run("main")
            yield stand


def connector(stand: Stand, *words: str) -> Said:
    """A command of the same installation."""
    env = {
        **crm_settings(stand.sandbox, stand.crm),
        **mail_settings(stand.sandbox),
        "DATABASE_URL": stand.config.database_url,
        "TEMPLATES_DIR": str(stand.config.templates_dir),
        "LOG_LEVEL": "WARNING",
    }
    return typed(*words, env=env)


def in_crm(stand: Stand, user_id: int, title: str) -> tuple[int, int]:
    """How often the report itself and the call to read it are there for that user."""
    if stand.crm == "bitrix24":
        texts = [n.text for n in stand.notices(user_id, "message")]
        calls = [n.text for n in stand.notices(user_id, "notify")]
    else:
        texts = [n.text for n in list(stand.portal.notes.values())]
        calls = [t.text for t in list(stand.portal.tasks.values()) if t.responsible_id == user_id]
    return sum(title in plain(text) for text in texts), sum(title in plain(text) for text in calls)


def plain(text: str) -> str:
    """With usual spaces: a letter's subject has no others."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_slot_brings_the_owner_his_report_once_with_two_schedulers_ticking(stand: Stand) -> None:
    owner = next(user for user in stand.portal.users.values() if user.is_admin and user.is_active)
    tickers = [stand.app.scheduler(), stand.app.scheduler()]
    for ticker in tickers:
        ticker.start()
    try:
        slot = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)
        with stand.app.db.begin() as conn:
            due = update(schedules).where(schedules.c.name == "report:owner_daily")
            conn.execute(due.values(next_run_at=slot))
        stand.wait_for(lambda: sent_slots(stand) == [slot], "the report of the slot")
        stand.settle()
    finally:
        for ticker in tickers:
            ticker.stop()
    (letter,) = [one for one in stand.letters(owner.email) if str(one["subject"]).startswith("Продажи за")]
    title = str(letter["subject"])
    assert in_crm(stand, owner.id, title) == (1, 1)
    posted = connector(stand, "report", "owner_daily")
    assert posted.code == 0
    assert title in plain(posted.out)
    assert "None" not in posted.out + str(letter["text"])


def test_service_deal_counts_in_no_figure_and_starts_no_rule(stand: Stand) -> None:
    sent = connector(stand, "report", "loss_reasons", "--send")
    assert sent.code == 0, sent.err
    assert "Отправлено" in sent.out
    stand.settle()
    assert stand.app.reconcile.run("main", grace=NO_GRACE).differing == 0
    service = [deal for deal in stand.portal.deals.values() if SERVICE_TAG in deal.tags]
    assert len(service) == (1 if stand.crm == "amocrm" else 0)
    with stand.app.db.read() as conn:
        for deal in service:
            assert facts.deal_row(conn, "main", str(deal.id)) is not None
            assert runs.of_deal(conn, "main", str(deal.id)) == []
            assert outbox.of_deal(conn, "main", str(deal.id)) == []
    (counts,) = json.loads(connector(stand, "report", "counts", "--format", "json").out)
    kept = [deal for deal in stand.portal.deals.values() if not deal.is_deleted and deal not in service]
    assert counts["deals"] == len(kept)


def test_sales_of_a_period_are_what_the_crm_holds(stand: Stand) -> None:
    last = datetime.now(ZoneInfo(stand.portal.timezone)).date()
    first = last - timedelta(days=30)
    words = ("report", "sales", "--from", first.isoformat(), "--to", last.isoformat())
    table = connector(stand, *words, "--format", "csv")
    assert table.code == 0, table.err
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert list(rows[0]) == SALES_COLUMNS
    listed = json.loads(connector(stand, *words, "--format", "json").out)
    assert [list(row) for row in listed] == [SALES_COLUMNS] * len(rows)
    assert [(row["dim"], row["key"]) for row in listed] == [(row["dim"], row["key"]) for row in rows]

    zone = ZoneInfo(stand.portal.timezone)
    closed = [
        (stand.portal.stage(deal.pipeline_id, deal.stage).kind, told(stand, deal.amount))
        for deal in stand.portal.deals.values()
        if not deal.is_deleted
        and SERVICE_TAG not in deal.tags
        and deal.closed_at
        and first <= deal.closed_at.astimezone(zone).date() < last
    ]
    whole = next(row for row in rows if row["dim"] == "all")
    won = [amount for kind, amount in closed if kind == "won"]
    assert (int(whole["won"]), int(whole["lost"])) == (len(won), sum(kind == "lost" for kind, _ in closed))
    assert whole["revenue"] == f"{sum(won):.2f}"
    assert len(won) > 0


def test_report_that_nobody_defined_is_named_with_those_there_are(stand: Stand) -> None:
    said = connector(stand, "report", "weather")
    assert said.code == 2
    assert "owner_daily" in said.err


def told(stand: Stand, amount: Decimal | None) -> Decimal:
    """An amount as the CRM's API gives it: amoCRM knows whole roubles only."""
    if stand.crm == "amocrm":
        return (amount or Decimal(0)).quantize(Decimal(1))
    return amount or Decimal(0)


def sent_slots(stand: Stand) -> list[datetime]:
    with stand.app.db.read() as conn:
        sent = select(report_runs.c.slot).where(
            report_runs.c.report == "owner_daily", report_runs.c.status == "sent"
        )
        return list(conn.execute(sent).scalars())
