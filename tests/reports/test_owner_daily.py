"""What the owner reads in the morning, number by number."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from connector.domain import Period
from connector.reports import REPORTS, RenderedReport, ReportInput
from connector.reports.owner_daily import OwnerDaily, owner_daily, same_days_before
from connector.reports.render import read_templates, render
from connector.store.missed import Missed, add
from connector.store.schema import accounts
from tests.figures.past import Past, utc
from tests.reports.sales_past import AS_OF, PLANS, ZONE, november

TEMPLATES = Path(__file__).parents[2] / "templates"


def report_of(conn: Connection, past: Past, as_of: str = AS_OF, plans: object = PLANS) -> OwnerDaily:
    return owner_daily(ReportInput(past.facts(conn, as_of, ZONE), plans))  # type: ignore[arg-type]


def shown(data: OwnerDaily) -> RenderedReport:
    return render(REPORTS["owner_daily"], data, read_templates(TEMPLATES))


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_the_screen_reads_as_it_was_worked_out_by_hand(conn: Connection) -> None:
    rendered = shown(report_of(conn, november()))
    assert plain(rendered.title) == "Продажи за 23 ноября 2026 г."
    assert (
        plain(rendered.text)
        == """\
НОЯБРЬ: 16 из 21 рабочего дня
План: 2 100 000 ₽
Факт: 700 000 ₽ (33 % плана)
Отстаём от графика на 900 000 ₽
Прогноз при этом темпе: 918 750 ₽ (44 % плана)
Чтобы выполнить план: по 280 000 ₽ в рабочий день

ВЧЕРА, 23 ноября
Выиграно 1 на 200 000 ₽
• «Северный ветер» — 200 000 ₽ (Борис)
Проиграно 1 на 70 000 ₽
• ООО «Лютик» — 70 000 ₽: дорого (Борис)
Новых 1
• Заявка с сайта (без ответственного)

ПОЧЕМУ ОТКАЗЫВАЮТ В НОЯБРЕ: проиграно 2 на 100 000 ₽
• Дорого — 1 (50 %)
• Причина не указана — 1 (50 %)

1–23 НОЯБРЯ ПРОТИВ 1–23 ОКТЯБРЯ
• выручка 700 000 ₽, была 0 ₽
• выиграно 6, было 0: заметно больше
• проиграно 2, было 1: разница может быть случайной
• новых 3, было 1: разница может быть случайной

КТО ДЕЙСТВУЕТ
• Анна: догнать свой план: отставание 460 000 ₽, нужно по 152 000 ₽ в рабочий день
• Руководитель отдела продаж: назначить ответственных за новые сделки: 1
• Вера: указать причину отказа в проигранной сделке «ООО „Заря“»
"""
    )


def test_letter_and_message_say_the_same_numbers(conn: Connection) -> None:
    rendered = shown(report_of(conn, november()))
    html = plain(rendered.html)
    for number in (
        "2 100 000 ₽",
        "700 000 ₽",
        "900 000 ₽",
        "918 750 ₽",
        "280 000 ₽",
        "200 000 ₽",
        "70 000 ₽",
    ):
        assert number in html and number in plain(rendered.text)
    assert "ООО «Лютик»" in html and "Вера" in html


def test_monday_tells_of_the_days_since_friday(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-11-20 08:00:00", "10"), name="Пятница")
    past.deal(("2026-11-22 08:00:00", "10"), name="Воскресенье")
    past.deal(("2026-11-19 08:00:00", "10"), name="Четверг")
    data = report_of(conn, past, as_of="2026-11-22 21:00:00")
    assert plain(data.title) == "Продажи за 20–22 ноября 2026 г."
    assert {line.name for line in data.created.lines} == {"Пятница", "Воскресенье"}
    assert "ЗА 20–22 ноября" in plain(shown(data).text)


def test_a_day_without_events_says_so(conn: Connection) -> None:
    text = shown(report_of(conn, Past(), plans=())).text
    assert "Ничего не произошло: ни выигранных, ни проигранных, ни новых сделок." in text
    assert "План на ноябрь не задан, сравнивать не с чем." in text
    assert "Отказов в ноябре нет." in text
    assert "Срочных дел по этим цифрам нет." in text


def test_what_hooks_missed_is_a_footnote_and_only_when_there_was_any(conn: Connection) -> None:
    past = november()
    facts = past.facts(conn, AS_OF, ZONE)
    rendered = shown(owner_daily(ReportInput(facts, PLANS)))
    assert "вебхук" not in rendered.text + rendered.html
    for day in (22, 23, 23, 24):
        moment = utc(f"2026-11-{day} 08:00:00")
        add(conn, facts.account, Missed("1", "moved", date(2026, 11, day), moment, moment))
    rendered = shown(owner_daily(ReportInput(facts, PLANS)))
    line = "Пропущено вебхуками, найдено сверкой: 2"
    assert line in rendered.text
    assert line in rendered.html


@pytest.mark.parametrize(
    ("reconciled", "warned"),
    [("2026-11-23 15:05:00", True), ("2026-11-23 21:00:00", False), (None, False)],
)
def test_facts_that_end_too_early_are_not_shown_as_complete(
    conn: Connection, reconciled: str | None, warned: bool
) -> None:
    facts = november().facts(conn, AS_OF, ZONE)
    conn.execute(update(accounts).values(reconciled_until=utc(reconciled) if reconciled else None))
    rendered = shown(owner_daily(ReportInput(facts, PLANS)))
    assert ("ДАННЫЕ НЕПОЛНЫЕ: сверены с CRM по 23.11, 18:05" in rendered.text) is warned
    assert ("сверены с CRM по 23.11, 18:05" in rendered.html) is warned


def test_few_deals_carry_no_forecast(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-11-02 08:00:00", "10"), ("2026-11-03 08:00:00", "142"), price="5000000")
    data = report_of(conn, past)
    assert data.month.forecast is None and data.month.fact == 5_000_000
    assert "Прогноз: пока рано, мало данных (выиграно сделок: 1)." in shown(data).text


def test_a_month_that_is_over_is_not_forecast(conn: Connection) -> None:
    data = report_of(conn, november(), as_of="2026-11-30 21:00:00")
    assert data.month.is_over
    text = plain(shown(data).text)
    assert "Рабочие дни месяца закончились." in text and "Прогноз" not in text and "графика" not in text


def test_another_currency_is_named_and_not_summed(conn: Connection) -> None:
    past = november()
    past.deal(
        ("2026-11-20 08:00:00", "10"),
        ("2026-11-23 08:00:00", "142"),
        price="10",
        currency="USD",
        name="Импорт",
    )
    data = report_of(conn, past)
    assert (data.won.count, data.won.amount, data.foreign) == (2, 200_000, 1)
    assert "Сделок в другой валюте: 1." in shown(data).text


def test_a_stranger_s_name_is_text_and_not_markup(conn: Connection) -> None:
    past = Past()
    past.deal(("2026-11-23 08:00:00", "10"), name='<img src="x"> {{ 7*7 }}')
    rendered = shown(report_of(conn, past))
    assert '<img src="x"' not in rendered.html and "{{ 7*7 }}" in rendered.html
    assert "<img" in rendered.text


def test_the_busiest_month_fits_one_screen(conn: Connection) -> None:
    past = Past()
    for number in range(80):
        stage = ("142", "143", "10")[number % 3]
        past.deal(
            ("2026-11-23 06:00:00", "20"),
            (f"2026-11-23 1{number % 5}:00:00", stage),
            price="123456789",
            manager=("1", "2", "10", "")[number % 4],
            reason=f"Очень длинная причина отказа номер {number % 7}" if number % 5 else "",
            name=f"Очень длинное название сделки с обществом номер {number}",
        )
    text = shown(report_of(conn, past)).text
    assert 1000 < len(text) <= 1500


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2026, 11, 1), date(2026, 11, 24), (date(2026, 10, 1), date(2026, 10, 24))),
        (date(2026, 3, 1), date(2026, 3, 31), (date(2026, 2, 1), date(2026, 3, 1))),
        (date(2026, 2, 1), date(2026, 3, 1), (date(2026, 1, 1), date(2026, 2, 1))),
        (date(2024, 3, 1), date(2024, 3, 30), (date(2024, 2, 1), date(2024, 3, 1))),
        (date(2026, 1, 1), date(2026, 1, 2), (date(2025, 12, 1), date(2025, 12, 2))),
    ],
)
def test_same_days_of_the_month_before(start: date, end: date, expected: tuple[date, date]) -> None:
    assert same_days_before(Period(start, end)) == Period(*expected)
