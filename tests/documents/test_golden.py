"""The text of every document of the kit, word for word. UPDATE_GOLDEN=1 writes it anew: read the diff."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connector.documents.context import Issued
from connector.documents.render import RenderPool
from connector.domain import ProductRow
from tests.documents.reading import docx_text, pdf_pages, pdf_text, squeezed
from tests.documents.samples import CARD, CONTACT, DEAL, build, with_requisites

GOLDEN = Path(__file__).parent / "golden"
CONTRACT = Issued("contract", "Договор поставки", "2026-0003", date(2026, 11, 20))
PAGES = {"proposal": 2, "contract": 4, "invoice": 1, "act": 1}


@pytest.mark.parametrize("kind", PAGES)
def test_document_reads_as_agreed(pool: RenderPool, kind: str) -> None:
    attachments = (CONTRACT,) if kind in ("invoice", "act") else ()
    files = pool.render(kind, build(kind=kind, attachments=attachments))
    text, golden = pdf_text(files[0].content), GOLDEN / f"{kind}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text + "\n", encoding="utf-8")
    assert squeezed(text) == squeezed(golden.read_text(encoding="utf-8"))
    assert len(pdf_pages(files[0].content)) == PAGES[kind]
    assert "None" not in text
    assert "{{" not in text


TRADER = with_requisites(
    full_name="Индивидуальный предприниматель Лесной Иван Петрович",
    inn="500100732259",
    kpp="",
    ogrn="304500116000157",
)
PERSON = replace(
    CARD,
    company=None,
    contacts=(replace(CONTACT, fields={"Паспорт": "9999 000001", "Адрес регистрации": "г. Примерово"}),),
)


@pytest.mark.parametrize(
    ("card", "sentence"),
    [
        (CARD, "в лице генерального директора Лесного Ивана Петровича, действующего на основании Устава"),
        (
            with_requisites(director_name="Снегова Ирина Олеговна", director_post="Директор"),
            "в лице директора Снеговой Ирины Олеговны, действующей на основании Устава",
        ),
        (
            replace(TRADER, company=replace(TRADER.company, name="ИП Лесной Иван Петрович")),  # type: ignore[type-var]
            "ОГРНИП 304500116000157, именуемый в дальнейшем «Покупатель», с другой стороны",
        ),
        (PERSON, "Дубравина Анна Олеговна, паспорт 9999 000001, именуемая в дальнейшем «Покупатель»"),
    ],
)
def test_contract_as_pdf_and_as_word_have_the_same_text(
    pool: RenderPool, card: object, sentence: str
) -> None:
    pdf, docx = pool.render("contract", build(card, kind="contract"))  # type: ignore[arg-type]
    assert (pdf.format, docx.format) == ("pdf", "docx")
    pdf_words, docx_words = (
        re.findall(r"\S+", text) for text in (pdf_text(pdf.content), docx_text(docx.content))
    )
    # The columns of the signatures are read row by row here and cell by cell there: compare words.
    assert Counter(pdf_words) == Counter(docx_words)
    start = docx_words.index("1.1.")
    assert (
        pdf_words[start : docx_words.index("Реквизиты")] == docx_words[start : docx_words.index("Реквизиты")]
    )
    assert squeezed(sentence) in squeezed(docx_text(docx.content))


def test_a_long_invoice_repeats_its_head_and_loses_no_row(pool: RenderPool) -> None:
    rows = tuple(
        ProductRow(f"Позиция-{n:03}", Decimal(1), Decimal(n) / 4) for n in range(1, 121) if n % 1 == 0
    )
    amount = sum((row.price for row in rows), Decimal(0))
    card = replace(CARD, rows=rows, deal=replace(DEAL, amount=amount))
    pages = pdf_pages(pool.render("invoice", build(card))[0].content)
    assert len(pages) > 2
    text = "\n".join(pages)
    assert re.findall(r"Позиция-(\d+)", text) == [f"{n:03}" for n in range(1, 121)]
    assert all("Наименование" in page for page in pages if "Позиция-" in page)
    assert "1 815,00 ₽" in text.replace("\u00a0", " ")


@pytest.mark.parametrize(("kind", "count"), [("invoice", 13), ("invoice", 15), ("act", 26), ("contract", 33)])
def test_sums_and_signatures_take_the_last_rows_with_them(pool: RenderPool, kind: str, count: int) -> None:
    rows = tuple(ProductRow(f"Позиция-{n:03}", Decimal(1), Decimal(n)) for n in range(1, count + 1))
    card = replace(CARD, rows=rows, deal=replace(DEAL, amount=Decimal(sum(range(count + 1)))))
    *before, last = pdf_pages(pool.render(kind, build(card, kind=kind))[0].content)
    assert f"Позиция-{count:03}" in last  # never a page of signatures alone
    assert "Наименование" in last
    assert "Итого:" in last
    assert "Ветров А. П." in last.replace("\u00a0", " ")
    assert "Позиция-001" in before[-1]


def test_a_proposal_of_one_row_is_one_page(pool: RenderPool) -> None:
    card = replace(CARD, rows=CARD.rows[:1], deal=replace(DEAL, amount=Decimal("366001.00")))
    assert len(pdf_pages(pool.render("proposal", build(card, kind="proposal"))[0].content)) == 1


def test_one_input_gives_one_output_to_the_byte(pool: RenderPool) -> None:
    first = pool.render("contract", build(kind="contract"))
    pool._all[0].end()
    pool._all[0]._closed = False
    assert pool.render("contract", build(kind="contract")) == first


def test_a_long_name_stays_on_the_page(pool: RenderPool) -> None:
    name = "ООО «" + "Сверхдлинноеназваниебезпробелов" * 6 + "»"
    card = replace(CARD, company=replace(CARD.company, name=name))  # type: ignore[type-var]
    for kind in PAGES:
        text = pdf_text(pool.render(kind, build(card, kind=kind))[0].content)
        if kind in ("proposal", "act"):
            assert squeezed(name) in squeezed(text)
