"""Terms of payment: what a manager types, the clauses that follow, the same in PDF and Word."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from connector.documents.places import FAULTS
from connector.documents.prepayment import parse, parts
from connector.documents.render import RenderPool
from connector.errors import HeldError
from tests.documents.reading import docx_text, pdf_text
from tests.documents.samples import CARD, COMPANY, DEAL, build


@pytest.mark.parametrize(
    ("text", "share"),
    [
        *(("100", 100), ("100 %", 100), ("Предоплата", 100), ("предоплата 30 %", 30), ("50% предоплата", 50)),
        *(("0", 0), ("Постоплата", 0), ("без предоплаты", 0), ("постоплата 30 %", 70)),
    ],
)
def test_terms_as_people_type_them(text: str, share: int) -> None:
    assert parse(text) == share


@pytest.mark.parametrize("text", ["130 %", "как договоримся", "50/50", "-5", "30 дней"])
def test_unclear_terms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="не понять"):
        parse(text)


def test_the_parts_are_the_total() -> None:
    assert parts(Decimal("100.01"), 50) == (Decimal("50.01"), Decimal("50.00"))


@pytest.mark.parametrize(
    ("terms", "says", "never"),
    [
        (
            "100 %",
            "оплачивает 100 % цены договора в течение 7 (семи) календарных дней с даты выставления",
            "остаток",
        ),
        ("30 %", "предоплату 30 % цены договора (124 545,30 ₽)", "даты поступления оплаты"),
        ("постоплата", "с даты передачи товаров и оказания услуг", "317.1"),
    ],
)
def test_a_contract_follows_the_terms_in_both_formats(
    pool: RenderPool, terms: str, says: str, never: str
) -> None:
    card = replace(CARD, deal=replace(DEAL, fields={"Предоплата": terms}))
    files = pool.render("contract", build(card, kind="contract"))
    pdf, docx = pdf_text(files[0].content), docx_text(files[1].content)
    assert Counter(re.findall(r"\S+", pdf)) == Counter(re.findall(r"\S+", docx))
    assert says in " ".join(docx.split())
    assert never not in docx


def test_unclear_terms_hold_the_contract(pool: RenderPool) -> None:
    card = replace(CARD, deal=replace(DEAL, fields={"Условия оплаты": "как обычно"}))
    context = build(card, kind="contract")
    assert "Условия оплаты" in context[FAULTS]["сделка.предоплата"]
    with pytest.raises(HeldError) as caught:
        pool.check("contract", context)
    assert [field.name for field in caught.value.missing] == ["сделка.предоплата"]
    assert "как обычно" in caught.value.missing[0].where


def test_a_genitive_written_in_the_crm_wins_and_the_deal_over_the_company() -> None:
    fields = {"Подписант (род. падеж)": "Лесного Ивана", "Должность (род. падеж)": "директора"}
    company = replace(COMPANY, fields=fields)
    client = build(replace(CARD, company=company), kind="contract")["клиент"]
    assert (client["директор_родительный"], client["должность_родительный"]) == ("Лесного Ивана", "директора")
    deal = replace(DEAL, fields={"подписант (род. падеж)": "Лесного И. П."})
    client = build(replace(CARD, company=company, deal=deal), kind="contract")["клиент"]
    assert client["директор_родительный"] == "Лесного И. П."
