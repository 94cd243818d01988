"""The report to marketing: channels beside each other, small ones marked, verdicts only where they hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection

from connector.reports import REPORTS, ReportInput
from connector.reports.lead_quality import LeadQuality, duration, lead_quality
from connector.reports.render import read_templates, render
from tests.figures.past import Past

TEMPLATES = Path(__file__).parents[2] / "templates"
AS_OF = "2026-04-01"


def channel(past: Past, name: str, leads: int, *, qualified: int, won: int = 0, touched: bool = True) -> None:
    """Deals of March; the first `qualified` of them met, the first `won` of those bought for 1 000."""
    for number in range(leads):
        born = f"2026-03-{number % 28 + 3:02} 07:00:00"
        moves = [(born, "10")]
        if number < qualified:
            moves.append((f"2026-03-{number % 28 + 3:02} 09:00:00", "20"))
        if number < won:
            moves.append((f"2026-03-{number % 28 + 3:02} 11:00:00", "142"))
        deal_id = past.deal(*moves, channel=name, price="1000")
        if touched:
            past.activities["calls"].append(
                {
                    "call_id": f"{name}{number}",
                    "deal_id": deal_id,
                    "manager_id": "1",
                    "at": born.replace("07:00", "09:12"),
                    "direction": "out",
                    "answered": "0",
                    "duration_s": "0",
                }
            )


def report_of(conn: Connection, past: Past) -> LeadQuality:
    return lead_quality(ReportInput(past.facts(conn, AS_OF)))


def text_of(data: LeadQuality) -> str:
    return render(REPORTS["lead_quality"], data, read_templates(TEMPLATES)).text.replace("\u00a0", " ")


def test_channels_stand_beside_each_other_with_what_came_of_them(conn: Connection) -> None:
    past = Past()
    channel(past, "Сайт", 28, qualified=20, won=3)
    channel(past, "ВКонтакте", 28, qualified=2)
    channel(past, "Выставка", 3, qualified=3)
    channel(past, "", 1, qualified=0, touched=False)
    data = report_of(conn, past)
    assert [(c.name, c.leads, c.verdict) for c in data.channels] == [
        ("ВКонтакте", 28, "хуже остальных"),
        ("Сайт", 28, "лучше остальных"),
        ("Выставка", 3, "мало данных"),
        ("Канал не указан", 1, "мало данных"),
    ]
    text = text_of(data)
    assert "60 заявок, за 31 января – 1 марта — 0" in text
    assert "Подошли 42 %, дошли до ключевого этапа 5 %" in text
    assert "Выиграно 3 на 3 000 ₽, без ответа 1" in text
    assert "• Маркетинг: разобраться с каналом «ВКонтакте»: подходящих заявок в нём мало" in text
    assert "• Маркетинг: прибавить канал «Сайт»" in text
    assert "• Руководитель отдела продаж: разобрать заявки, которым никто не ответил: 1" in text


def test_channels_that_differ_by_chance_only_are_not_judged(conn: Connection) -> None:
    past = Past()
    channel(past, "Сайт", 25, qualified=11)
    channel(past, "Авито", 25, qualified=13)
    data = report_of(conn, past)
    assert {c.verdict for c in data.channels} == {""}
    assert "Каналы не отличаются друг от друга больше, чем бывает случайно." in text_of(data)


def test_a_month_without_enquiries_says_so(conn: Connection) -> None:
    assert "не пришло ни одной заявки" in text_of(report_of(conn, Past()))


def test_channels_that_are_not_named_add_up(conn: Connection) -> None:
    past = Past()
    for number in range(9):
        channel(past, f"Канал {number}", 2 + number, qualified=1)
    data = report_of(conn, past)
    assert (len(data.channels), data.more, data.more_leads) == (6, 3, 2 + 3 + 4)
    assert sum(c.leads for c in data.channels) + data.more_leads == data.leads


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (20.0, "меньше минуты"), (720.0, "12 мин"), (13_200.0, "3 ч 40 мин"), (7200.0, "2 ч")],
)
def test_times_are_said_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_working_day_has_nine_hours() -> None:
    assert (duration(9 * 3600), duration(12 * 3600)) == ("1 раб. дн", "1,3 раб. дн")
