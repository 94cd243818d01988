"""Plans of months: each change is kept, past months stay, numbers by the funnel do not move by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from connector.clock import FixedClock
from connector.errors import ConfigError
from connector.figures.base import Facts
from connector.playbook.load import parse_playbook
from connector.store import plans as kept
from connector.store.database import Database
from connector.store.schema import calls, meetings
from connector.targets import Targets
from tests.figures.past import ACCOUNT, Past, utc

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
BY_HAND = "targets: [{month: every, revenue: 1000, kpi: {calls: 44}, split: {Анна: 3, Борис: 1}}]"
BY_FUNNEL = "targets: [{month: every, revenue: 5000, kpi: funnel}]"


class Office:
    """Ten deals of 100 won in March with three calls and a meeting each; the playbook can be edited."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.playbook = parse_playbook(BY_HAND)
        self.clock = FixedClock(utc("2026-04-10 09:00:00"))
        self.targets = Targets(db, lambda: self.playbook, lambda _: None, self.clock)
        past = Past()
        ids = [past.deal((f"2026-03-0{n % 9 + 1}", "10"), ("2026-03-20", "142")) for n in range(10)]
        with db.begin() as conn:
            past.facts(conn)
            conn.execute(insert(calls), [_call(deal, number) for deal in ids for number in range(3)])
            conn.execute(insert(meetings), [_meeting(deal) for deal in ids])

    @contextmanager
    def facts(self, day: str) -> Iterator[Facts]:
        self.clock.move_to(utc(f"{day} 09:00:00"))
        with self.db.read() as conn:
            yield Facts(conn, ACCOUNT, ZoneInfo("UTC"), utc(day))

    def edit(self, text: str) -> None:
        self.playbook = parse_playbook(text)

    def record(self, day: str) -> int:
        with self.facts(day) as facts:
            return self.targets.record(facts)

    def plans(self, *months: date, day: str = "2026-04-10") -> dict[tuple[str, date, str], int]:
        with self.facts(day) as facts:
            found = self.targets.plans(facts, months)
        return {(plan.manager, plan.month, plan.metric): int(plan.value) for plan in found}

    def values(self, metric: str, month: date = APRIL) -> Sequence[tuple[str, int | None]]:
        rows = self.targets.history(ACCOUNT, month)
        return [(r.manager_id, None if r.value is None else int(r.value)) for r in rows if r.metric == metric]


@pytest.fixture
def office(db: Database) -> Office:
    return Office(db)


def test_numbers_of_the_playbook_are_split_between_people(office: Office) -> None:
    assert office.plans(APRIL) == {
        ("1", APRIL, "calls"): 33,
        ("2", APRIL, "calls"): 11,
        ("1", APRIL, "revenue"): 750,
        ("2", APRIL, "revenue"): 250,
    }


def test_a_change_is_kept_beside_what_it_changed(office: Office) -> None:
    # This month and the next, two people, two metrics.
    assert office.record("2026-04-02") == 8
    assert office.record("2026-04-03") == 0
    office.edit(BY_HAND.replace("Борис: 1", "Борис: 3"))
    assert office.record("2026-04-04") == 8
    office.edit(BY_HAND.replace(", Борис: 1", ""))
    office.record("2026-04-05")
    assert office.values("calls") == [("1", 33), ("2", 11), ("1", 22), ("2", 22), ("1", 44), ("2", None)]
    assert office.plans(APRIL) == {("1", APRIL, "calls"): 44, ("1", APRIL, "revenue"): 1000}


def test_a_month_that_is_over_keeps_its_last_plan(office: Office) -> None:
    office.record("2026-03-31")
    office.edit(BY_HAND.replace("1000", "9000"))
    assert office.plans(MARCH)["1", MARCH, "revenue"] == 750
    assert office.plans(APRIL)["1", APRIL, "revenue"] == 6750


def test_a_month_never_written_down_is_planned_by_the_playbook(office: Office) -> None:
    assert office.plans(MARCH)["1", MARCH, "revenue"] == 750


def test_numbers_by_the_funnel_follow_from_the_half_year_before(office: Office) -> None:
    office.edit(BY_FUNNEL)
    assert office.plans(APRIL) == {
        ("(none)", APRIL, "calls"): 150,
        ("(none)", APRIL, "meetings"): 50,
        ("(none)", APRIL, "won"): 50,
        ("(none)", APRIL, "revenue"): 5000,
    }


def test_numbers_by_the_funnel_stay_until_the_revenue_wanted_changes(office: Office) -> None:
    office.edit(BY_FUNNEL)
    office.record("2026-04-02")
    with office.db.begin() as conn:
        conn.execute(insert(calls), [_call("1", number) for number in range(100, 200)])
    assert office.record("2026-04-03") == 0
    assert office.plans(APRIL)["(none)", APRIL, "calls"] == 150
    office.edit(BY_FUNNEL.replace("5000", "10000"))
    assert office.plans(APRIL)["(none)", APRIL, "calls"] == 1300


def test_a_plan_set_elsewhere_wins_over_the_playbook(office: Office) -> None:
    with office.db.begin() as conn:
        kept.record(conn, ACCOUNT, APRIL, {("2", "meetings"): Decimal(12)}, "crm", utc("2026-04-01"))
    assert office.plans(APRIL) == {("2", APRIL, "meetings"): 12}
    assert office.record("2026-04-02") == 4  # May is the playbook's
    with office.facts("2026-04-10") as facts:
        month = office.targets.month(facts, APRIL)
    assert month is not None
    assert (
        sum(value for (who, metric, _), value in month.atoms.items() if (who, metric) == ("2", "meetings"))
        == 12
    )


def test_days_of_a_month_follow_its_plans(office: Office) -> None:
    office.edit(f"{BY_HAND}\nstaff: [{{user: Анна, vacation: 01.04.2026-15.04.2026}}]")
    with office.facts("2026-04-10") as facts:
        month = office.targets.month(facts, date(2026, 4, 30))
    assert month is not None
    days = sorted(day.day for (who, metric, day) in month.atoms if (who, metric) == ("1", "calls"))
    assert days[0] == 16
    assert month.due("1", "calls", date(2026, 5, 1)) == month.shares["1", "calls"]


def test_a_stranger_in_the_playbook_is_named(office: Office) -> None:
    office.edit(BY_HAND.replace("Борис", "Глеб"))
    with pytest.raises(ConfigError, match="нет пользователя «Глеб»"):
        office.plans(APRIL)


def _call(deal_id: str, number: int) -> dict[str, object]:
    return {
        "account": ACCOUNT,
        "call_id": f"{deal_id}-{number}",
        "deal_id": deal_id,
        "at": utc("2026-03-10 10:00:00"),
        "direction": "out",
        "answered": True,
        "duration_s": 60,
        "is_deleted": False,
    }


def _meeting(deal_id: str) -> dict[str, object]:
    return {
        "account": ACCOUNT,
        "meeting_id": deal_id,
        "deal_id": deal_id,
        "created_at": utc("2026-03-11"),
        "held_at": utc("2026-03-12"),
        "status": "held",
        "is_deleted": False,
    }
