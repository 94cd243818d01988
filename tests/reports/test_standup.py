"""The digest of the morning meeting."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection

from connector.figures.plan import weekdays
from connector.reports import REPORTS, ReportInput
from connector.reports.render import read_templates, render
from connector.reports.standup import standup
from tests.figures.past import Past

TEMPLATES = Path(__file__).parents[2] / "templates"


def text_of(conn: Connection, past: Past, as_of: str = "2026-04-01", **given: object) -> str:
    data = standup(ReportInput(past.facts(conn, as_of), (), weekdays, **given))  # type: ignore[arg-type]
    return render(REPORTS["standup"], data, read_templates(TEMPLATES)).text.replace("\u00a0", " ")


def call(past: Past, manager: str, at: str) -> None:
    number = len(past.activities["calls"])
    past.activities["calls"].append(
        {
            "call_id": str(number),
            "deal_id": "",
            "manager_id": manager,
            "at": at,
            "direction": "out",
            "answered": "1",
            "duration_s": "60",
        }
    )


def test_wins_what_was_done_and_what_today_asks_of_each(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-03-30 10:00:00", "10"), ("2026-03-31 10:00:00", "142"), price="150000", manager="2")
    for _ in range(3):
        call(past, "1", "2026-03-31 09:00:00")
    today = {("1", "calls"): Decimal(9), ("1", "meetings"): Decimal(2), ("10", "invoices"): Decimal(1)}
    lagging = ("Встречи — Анна: 3 из 12 к этому дню, план недели 20",)
    assert (
        text_of(conn, past, today=today, lagging=lagging)
        == """\
ПОБЕДЫ, 31 марта: 1 на 150 000 ₽
• Борис — Сделка 1, 150 000 ₽

СДЕЛАНО И НА СЕГОДНЯ
• Анна: 3 звонка
  сегодня: 9 звонков, 2 встречи
• Борис: 1 сделка
• Вера: ничего не отмечено
  сегодня: 1 счёт

ОТСТАЁТ
• Встречи — Анна: 3 из 12 к этому дню, план недели 20
"""
    )


def test_monday_tells_of_friday_to_sunday(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-03-01", "10"), ("2026-03-28 12:00:00", "142"), price="100")
    assert "ПОБЕДЫ, 27–29 марта: 1 на 100 ₽" in text_of(conn, past, as_of="2026-03-30")


def test_a_day_without_anything_says_so(conn: Connection) -> None:
    text = text_of(conn, Past())
    assert "31 марта: выигранных сделок нет." in text
    assert "Ни звонков, ни встреч, ни счетов в CRM не отмечено." in text
    assert "Чисел на сегодня нет" in text
