"""The playbook's words about a month become people's numbers, or mistakes with their places."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from connector.errors import ConfigError
from connector.figures.stats import NONE
from connector.planning.decompose import Decomposition
from connector.planning.month import month_plan
from connector.playbook.load import parse_playbook
from tests.playbook.samples import USERS

DECEMBER = date(2026, 12, 1)


def plan(text: str, needed: dict[str, int] | None = None) -> Decomposition | None:
    playbook = parse_playbook(text, "a.yml")
    numbers = None if needed is None else {metric: Decimal(value) for metric, value in needed.items()}
    return month_plan(playbook, DECEMBER, USERS, playbook.working_calendar.is_working_day, numbers)


def test_numbers_of_the_playbook_fall_on_the_people_of_split() -> None:
    found = plan(
        """
        targets:
          - {month: 2026-12, revenue: 100, kpi: {meetings: 40}, split: {Анна Азарова: 3, Борис Буров: 1}}
        staff: [{user: анна азарова, vacation: [01.12.2026 - 31.12.2026]}]
        """
    )
    assert found is not None
    assert found.shares == {
        ("11", "meetings"): Decimal(0),
        ("12", "meetings"): Decimal(40),
        ("11", "revenue"): Decimal(0),
        ("12", "revenue"): Decimal(100),
    }


def test_numbers_by_the_funnel_join_as_soon_as_it_tells() -> None:
    text = "targets: [{month: every, revenue: 100, kpi: funnel}]"
    without, found = plan(text), plan(text, {"won": 5, "calls": 90})
    assert without is not None and found is not None
    assert without.shares == {(NONE, "revenue"): Decimal(100)}
    assert found.shares == {
        (NONE, "calls"): Decimal(90),
        (NONE, "won"): Decimal(5),
        (NONE, "revenue"): Decimal(100),
    }


def test_a_month_without_a_target_has_no_plan() -> None:
    assert plan("targets: [{month: 2026-11, revenue: 100}]") is None


def test_every_unknown_person_is_named_with_the_place() -> None:
    with pytest.raises(ConfigError) as raised:
        plan("""
targets: [{month: every, revenue: 1, split: {Ана Азарова: 1}}]
staff: [{user: Борис Буровв, until: 01.12.2026}]
""")
    assert [(p.place, p.message) for p in raised.value.problems] == [
        ("a.yml:3:16", "сотрудники: в CRM нет пользователя «Борис Буровв»; может быть, «Борис Буров»?"),
        ("a.yml:2:59", "план: в CRM нет пользователя «Ана Азарова»; может быть, «Анна Азарова»?"),
    ]
