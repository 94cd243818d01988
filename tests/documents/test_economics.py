"""The client's own case in a proposal: exact, named when wrong, silent where data are missing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from connector.documents.economics import FILE, read_rows
from connector.documents.kit import Kit
from connector.documents.places import FAULTS
from connector.documents.render import RenderPool
from connector.errors import ConfigError
from tests.documents.reading import pdf_text
from tests.documents.samples import CARD, DEAL, build, kit

CASE = """
экономика:
  - {имя: чашек, подпись: Чашек в день, поле: Чашек в день, единица: шт.}
  - {имя: цена, подпись: Цена чашки, поле: Цена чашки, единица: руб.}
  - {имя: в_месяц, подпись: Выручка за месяц, формула: чашек * цена * 30, единица: руб., знаков: 2}
  - {имя: треть, подпись: Треть суммы, формула: сумма / 3, единица: руб., знаков: 2}
  - {имя: срок, подпись: Вернётся за, формула: сумма / (в_месяц - 0.1 * 3), единица: мес., знаков: 1}
"""
NUMBERS = {"Чашек в день": "1 20", "Цена чашки": "149,90"}


def offering(text: str = CASE) -> Kit:
    return Kit.from_files({**kit().files, FILE: text.encode()})


def context(fields: dict[str, str], text: str = CASE) -> dict[str, Any]:
    card = replace(CARD, deal=replace(DEAL, fields=fields))
    return build(card, kind="proposal", kit=offering(text))


def test_the_case_is_counted_exactly() -> None:
    values = {row["подпись"]: row["значение"] for row in context(NUMBERS)["экономика"]}
    assert values == {
        "Чашек в день": Decimal(120),
        "Цена чашки": Decimal("149.90"),
        "Выручка за месяц": Decimal("539640.00"),
        "Треть суммы": Decimal("138383.67"),
        "Вернётся за": Decimal("0.8"),
    }


def test_without_one_of_its_numbers_there_is_no_case() -> None:
    found = context({"Чашек в день": "120"})
    assert "экономика" not in found
    assert found[FAULTS] == {}


def test_a_field_that_is_no_number_is_named() -> None:
    found = context({**NUMBERS, "Цена чашки": "дорого"})
    assert "экономика" not in found
    assert found[FAULTS] == {"экономика": "Сделка → поле «Цена чашки» («дорого» — не число)"}


def test_a_division_by_zero_is_named() -> None:
    text = CASE.replace("в_месяц - 0.1 * 3", "чашек - 120")
    assert "не сосчитать" in context(NUMBERS, text)[FAULTS]["экономика"]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("чашик * 2", "может быть, «чашек»?"),
        ("чашек ** 9", "можно только числа"),
        ("__import__('os')", "можно только числа"),
        ("чашек.real", "можно только числа"),
        ("чашек * (2", "не разобрать"),
        ("чашек * 1e9", "дробь пишется с точкой"),
        ("1 + " * 60 + "1", "длиннее 200"),
    ],
)
def test_a_wrong_formula_is_a_mistake_with_its_line(formula: str, message: str) -> None:
    text = f'экономика:\n  - {{имя: чашек, поле: Чашек}}\n  - имя: итог\n    формула: "{formula}"\n'
    with pytest.raises(ConfigError, match=r"economics\.yml:4") as caught:
        read_rows(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("экономка: []", "может быть, «экономика»"),
        ("экономика: [{имя: а б, поле: А}]", "одно слово"),
        ("экономика: [{имя: а, поле: А, формула: сумма}]", "либо «поле»"),
    ],
)
def test_a_wrong_offer_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_rows(text)
    assert message in str(caught.value)


def test_a_proposal_prints_the_case() -> None:
    own = offering()
    card = replace(CARD, deal=replace(DEAL, fields=NUMBERS))
    with RenderPool(own, 1) as pool:
        text = pdf_text(pool.render("proposal", build(card, kind="proposal", kit=own))[0].content)
    for shown in ("Расчёт на ваших числах", "120 шт.", "539 640,00 ₽", "0,8 мес."):
        assert shown in text
