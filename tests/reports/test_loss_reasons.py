"""The weekly report on lost deals."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

from connector.domain import Outcome, Stage
from connector.reports import REPORTS, ReportInput
from connector.reports.loss_reasons import LossReport, _stage_name, loss_report
from connector.reports.render import read_templates, render
from tests.figures.past import Past
from tests.reports.sales_past import AS_OF, ZONE, november

TEMPLATES = Path(__file__).parents[2] / "templates"


def report_of(conn: Connection, past: Past) -> LossReport:
    return loss_report(ReportInput(past.facts(conn, AS_OF, ZONE)))


def text_of(data: LossReport) -> str:
    return render(REPORTS["loss_reasons"], data, read_templates(TEMPLATES)).text.replace("\u00a0", " ")


def test_the_week_before_this_one_is_reported_whole(conn: Connection) -> None:
    past = november()
    data = report_of(conn, past)
    assert data.title.replace("\u00a0", " ") == "Причины отказов за 16–22 ноября 2026 г."
    assert (
        text_of(data)
        == """\
ЗА НЕДЕЛЮ 16–22 ноября проиграно 1 на 30 000 ₽
Неделей раньше отказов не было: разница может быть случайной
• Причина не указана — 1 (100 %), 30 000 ₽; было 0

ПО МЕНЕДЖЕРАМ
• Вера — 1, 30 000 ₽

С КАКИХ ЭТАПОВ УХОДЯТ
• Новая (Воронка 1) — 1, 30 000 ₽

1–23 НОЯБРЯ: проиграно 2 на 100 000 ₽
• Дорого — 1 (50 %), 70 000 ₽
• Причина не указана — 1 (50 %), 30 000 ₽

КТО ДЕЙСТВУЕТ
• Вера: указать причину отказа в проигранной сделке «ООО „Заря“»
"""
    )


def test_a_week_without_losses_says_so(conn: Connection) -> None:
    text = text_of(report_of(conn, Past()))
    assert "За неделю 16–22 ноября не проиграно ни одной сделки." in text
    assert "С начала ноября отказов нет." in text


def test_lines_add_up_to_the_whole_whatever_is_left_unnamed(conn: Connection) -> None:
    past = Past()
    for number in range(60):
        past.deal(
            ("2026-11-16 06:00:00", ("10", "20", "30")[number % 3]),
            ("2026-11-17 06:00:00", "143"),
            price=str(number),
            manager=str(number % 9 + 20),
            reason=f"причина {number % 11}" if number % 11 else "",
        )
        if number % 4 == 0:
            past.deal(
                ("2026-11-09 06:00:00", "10"), ("2026-11-10 06:00:00", "143"), reason=f"причина {number % 13}"
            )
    data = report_of(conn, past)
    assert sum(line.deals for line in data.week.reasons) == data.week.deals == 60
    assert sum(line.amount for line in data.week.reasons) == data.week.amount == sum(range(60))
    assert sum(line.before or 0 for line in data.week.reasons) == data.before.deals == 15
    assert [line.reason for line in data.week.reasons][-2:] == ["Остальные причины", "Причина не указана"]
    named = sum(line.deals for line in data.managers.lines)
    assert named + data.managers.more_deals == 60
    assert len(text_of(data)) <= 1500


def test_stage_ids_with_colons_find_their_stage(conn: Connection) -> None:
    past = november()
    facts = past.facts(conn, AS_OF, ZONE)
    facts.stages["5", "C5:NEW"] = Stage("5", "C5:NEW", "Новая заявка", 10, Outcome.OPEN)
    facts.__dict__["ladders"] = {"5": ()}
    assert _stage_name(facts, "5:C5:NEW") == "Новая заявка"
