"""The copy that figures are computed over: brought up to date, it equals one that is made anew."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, delete, insert, update

from connector.domain import Period
from connector.errors import ConfigError
from connector.figures.base import Facts
from connector.figures.snapshot import Snapshot, Snapshots
from connector.figures.tables import FIGURES, Question
from connector.store import change_log
from connector.store.database import Database
from connector.store.schema import calls, deals, invoices, meetings, messages, stage_changes, tasks
from tests.figures.past import ACCOUNT, Past, utc
from tests.figures.test_against_reference import random_past

AS_OF = datetime(2026, 6, 1)
QUESTION = Question(Period(AS_OF.date() - timedelta(days=40), AS_OF.date()))


def contents(snapshot: Snapshot) -> dict[str, list[tuple[Any, ...]]]:
    names = ("deals", "moves", "calls", "meetings", "messages", "tasks", "invoices")
    return {name: snapshot.con.execute(f"SELECT * FROM f.{name} ORDER BY ALL").fetchall() for name in names}


@pytest.fixture
def filled(db: Database) -> Past:
    past = random_past(random.Random(3), AS_OF)
    with db.begin() as conn:
        past.facts(conn)
    return past


def change(conn: Connection, rng: random.Random, number: int) -> None:
    """One thing that a CRM does to its facts."""
    deal = str(rng.randrange(1, 61))
    own = {"account": ACCOUNT, "deal_id": deal, "manager_id": "1", "is_deleted": False}
    at = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=number)
    move = {
        "account": ACCOUNT,
        "event_id": f"77{number:06}",
        "deal_id": deal,
        "at": at,
        "from_stage_id": "10",
    }
    changes = (
        update(deals).where(deals.c.deal_id == deal).values(amount=Decimal(number), utm_source=" ВК\t"),
        update(deals).where(deals.c.deal_id == deal).values(is_deleted=True),
        delete(deals).where(deals.c.deal_id == deal),
        insert(stage_changes).values(to_pipeline_id="1", to_stage_id="20", **move),
        update(stage_changes).where(stage_changes.c.deal_id == deal).values(changed_by="7", to_stage_id="30"),
        delete(stage_changes).where(stage_changes.c.deal_id == deal),
        insert(calls).values(
            call_id=f"c{number}", at=at, direction="out", answered=True, duration_s=1, **own
        ),
        update(calls).where(calls.c.deal_id == deal).values(answered=False),
        insert(meetings).values(meeting_id=f"m{number}", created_at=at, status="held", held_at=at, **own),
        insert(messages).values(message_id=f"s{number}", at=at, direction="in", **own),
        delete(tasks).where(tasks.c.deal_id == deal),
        update(invoices).where(invoices.c.deal_id == deal).values(status="paid", paid_at=at),
    )
    conn.execute(rng.choice(changes))


def test_a_copy_brought_up_to_date_equals_one_made_anew(db: Database, filled: Past, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    rng = random.Random(1)
    with db.read() as conn, snapshots.opened(conn, ACCOUNT):
        pass
    counted = 0
    for step in range(6):
        with db.begin() as conn:
            for number in range(8):
                change(conn, rng, step * 8 + number)
        with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
            assert contents(snapshot) == contents(Snapshot.in_memory(conn, ACCOUNT))
            facts = Facts(conn, ACCOUNT, ZoneInfo("UTC"), utc("2026-06-01"))
            counted += FIGURES["counts"].compute(facts, QUESTION)[0].deals
    assert counted


def test_only_what_changed_is_read(db: Database, filled: Past, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
        assert snapshot.sync(conn, ACCOUNT) == 0
    with db.begin() as conn:
        conn.execute(update(deals).where(deals.c.deal_id == "5").values(name="другое имя"))
    with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
        found = snapshot.con.execute("SELECT name FROM f.deals WHERE deal_id = '5'").fetchall()
        assert found == [("другое имя",)]
        # On PostgreSQL a change is listed again until every older transaction has ended.
        assert snapshot.sync(conn, ACCOUNT) in (0, 1)


def test_a_change_rolled_back_is_not_in_the_copy(db: Database, filled: Past, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    with pytest.raises(RuntimeError, match="no"), db.begin() as conn:
        conn.execute(delete(deals))
        raise RuntimeError("no")
    with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
        assert snapshot.con.execute("SELECT count(*) FROM f.deals").fetchall() == [(60,)]


def test_a_bulk_load_makes_the_copy_anew(db: Database, filled: Past, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    with db.read() as conn, snapshots.opened(conn, ACCOUNT):
        pass
    with db.begin() as conn, change_log.silenced(conn):
        conn.execute(delete(calls))
        change_log.note_everything(conn, ACCOUNT, utc("2026-06-01"))
    with db.begin() as conn:
        conn.execute(update(deals).where(deals.c.deal_id == "5").values(name="позже"))
    with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
        assert contents(snapshot) == contents(Snapshot.in_memory(conn, ACCOUNT))
        assert contents(snapshot)["calls"] == []


def test_a_broken_copy_is_made_anew(db: Database, filled: Past, tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    (tmp_path / f"{ACCOUNT}.duckdb").write_bytes(b"not a database" * 1000)
    with db.read() as conn, snapshots.opened(conn, ACCOUNT) as snapshot:
        assert len(contents(snapshot)["deals"]) == 60


def test_a_folder_that_is_none_is_named(db: Database, filled: Past, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with (
        db.read() as conn,
        pytest.raises(ConfigError) as caught,
        Snapshots(file).opened(conn, ACCOUNT),
    ):
        pass
    assert caught.value.problems[0].place == "FIGURES_DIR"
