"""A month ahead: what a revenue asks for, what is missing, and the requests that go out once."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import insert

from connector.clock import FixedClock
from connector.errors import ConfigError
from connector.figures.snapshot import Snapshots
from connector.outlook import Outlook
from connector.planning.forecast import Forecast, NoForecast
from connector.playbook.load import parse_playbook
from connector.store import outbox
from connector.store.database import Database
from connector.store.jobs import JobQueue
from connector.store.schema import calls
from connector.targets import Targets
from tests.figures.past import ACCOUNT, Past, utc

PLAYBOOK = """
targets: [{month: 2026-07, revenue: 6000}]
people: {head_of_sales: {user: Вера}, marketing: {user: Анна}}
"""
JULY = date(2026, 7, 1)


class Office:
    """Every month of half a year: 20 leads, 4 of them won at 100 each; two people make 30 calls each."""

    def __init__(self, db: Database, months: int = 6, wins: int = 4) -> None:
        self.db = db
        self.clock = FixedClock(utc("2026-06-25 09:00:00"))
        playbook = parse_playbook(PLAYBOOK)
        targets = Targets(db, lambda: playbook, lambda _: None, self.clock)
        queue = JobQueue(db, self.clock)
        self.folder = TemporaryDirectory()
        snapshots = Snapshots(Path(self.folder.name))
        self.outlook = Outlook(db, queue, targets, lambda: playbook, lambda _: None, snapshots, self.clock)
        past = Past()
        for month in range(7 - months, 7):
            for number in range(20):
                born = (f"2026-{month:02}-{number + 1:02} 10:00:00", "10")
                won = (f"2026-{month:02}-{number + 3:02} 10:00:00", "142")
                past.deal(born, *([won] if number < wins else []), channel=("site", "Авито")[number % 2])
        with db.begin() as conn:
            past.facts(conn, as_of="2026-06-25")
            for month in range(7 - months, 7):
                for number in range(60):
                    conn.execute(insert(calls).values(**_call(month, number)))

    def posted(self) -> list[tuple[str, str]]:
        with self.db.read() as conn:
            effects = outbox.latest(conn, ACCOUNT, 10)
        return [(e.params["role"], e.params["text"]) for e in reversed(effects)]


def _call(month: int, number: int) -> dict[str, Any]:
    return {
        "account": ACCOUNT,
        "call_id": f"{month}-{number}",
        # One call for each deal of the month, and two more.
        "deal_id": str((month - 1) * 20 + number % 20 + 1),
        "manager_id": ("1", "2")[number % 2],
        "at": utc(f"2026-{month:02}-{number % 20 + 1:02} 12:00:00"),
        "direction": "out",
        "answered": True,
        "duration_s": 60,
        "is_deleted": False,
    }


def test_the_plan_of_the_month_leads_back_to_leads_and_calls(db: Database) -> None:
    ahead = Office(db).outlook.look(ACCOUNT)
    assert (ahead.month, ahead.goal, ahead.plan) == (JULY, 6000, 6000)
    assert ahead.needed is not None and ahead.needed.avg_cheque == 100
    assert {step.step: step.whole for step in ahead.needed.steps} == {
        "won": 60,
        "with_call": 300,
        "leads": 300,
    }
    assert ahead.feasible is not None
    gaps = {gap.what: (gap.needed, gap.usual, gap.missing, gap.heads) for gap in ahead.feasible.gaps}
    assert gaps == {"leads": (300, 20, 280, None), "calls": (900, 60, 840, 28)}
    assert [(c.name, c.usual, c.more) for c in ahead.feasible.channels] == [
        ("site", 10, 140),
        ("Авито", 10, 140),
    ]
    assert ahead.forecast is None


def test_a_goal_within_reach_lacks_nothing_and_asks_nobody(db: Database) -> None:
    office = Office(db)
    ahead = office.outlook.look(ACCOUNT, JULY, Decimal(400))
    assert ahead.feasible is not None and ahead.feasible.is_feasible
    assert office.outlook.post(ACCOUNT, ahead) == []


def test_what_is_within_the_interval_of_the_need_asks_nobody(db: Database) -> None:
    office = Office(db)
    # 21 leads are needed where 20 come: so near nobody knows the ratio.
    ahead = office.outlook.look(ACCOUNT, JULY, Decimal(420))
    assert ahead.feasible is not None
    assert [(gap.needed, gap.usual, gap.missing) for gap in ahead.feasible.gaps] == [(21, 20, 0), (63, 60, 0)]
    assert office.outlook.post(ACCOUNT, ahead) == []


def test_requests_carry_their_arithmetic_and_go_out_once(db: Database) -> None:
    office = Office(db)
    ahead = office.outlook.look(ACCOUNT)
    assert len(office.outlook.post(ACCOUNT, ahead)) == 2
    assert office.outlook.post(ACCOUNT, ahead) == []
    (marketing, leads), (hr, people) = office.posted()
    # There is no role for people in this playbook: the head of sales passes it on.
    assert (marketing, hr) == ("marketing", "head_of_sales")
    assert leads.splitlines() == [
        "Заявки на июль 2026: не хватает 280",
        "План продаж — 6\xa0000\xa0₽. При среднем чеке 100\xa0₽ это 60 выигранных сделок.",
        "Из ста заявок выигрываем 20,0, значит нужно заявок: 300. Сейчас в месяц приходит 20.",
        "Если прибавлять в той же пропорции, в которой заявки приходят сейчас:",
        "• site: сейчас 10, нужно ещё 140",
        "• Авито: сейчас 10, нужно ещё 140",
        "Ответьте, сколько и из каких каналов сможете дать.",
    ]
    assert "• звонков: 900; нынешние люди делают 60, один менеджер — 30. Не хватает 840" in people


def test_the_month_under_way_has_a_forecast_as_soon_as_the_past_allows(db: Database) -> None:
    office = Office(db, wins=8)
    ahead = office.outlook.look(ACCOUNT, date(2026, 6, 1), Decimal(800))
    assert isinstance(ahead.forecast, Forecast)
    assert ahead.forecast.won == 800 and ahead.forecast.probability == 1


def test_a_short_past_is_told_instead_of_a_number(db: Database) -> None:
    office = Office(db, months=2)
    ahead = office.outlook.look(ACCOUNT, date(2026, 6, 1), Decimal(1000))
    assert isinstance(ahead.forecast, NoForecast)
    assert ahead.needed is not None and not ahead.needed.is_known and ahead.feasible is None
    assert office.outlook.post(ACCOUNT, ahead) == []


def test_without_a_plan_and_a_goal_there_is_nothing_to_look_at(db: Database) -> None:
    with pytest.raises(ConfigError, match=r"на 08\.2026 нет плана"):
        Office(db, months=2).outlook.look(ACCOUNT, date(2026, 8, 1))
