"""From the letter with the invoice over the client's browser to the money in the deal, on both CRMs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from connector.register import Entry
from tests.e2e.stand import Stand

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


def pay_url(stand: Stand, email: str) -> str:
    """The address in the letter with the invoice."""
    (letter,) = stand.wait_for(lambda: stand.letters(email), "the letter")
    found = re.search(r"https?://\S+/pay/\S+/[0-9a-f]{32}", str(letter["text"]))
    assert found is not None, letter["text"]
    return found[0]


def line(stand: Stand, deal_id: int) -> Entry:
    today = date.today()
    found = stand.app.register.entries("main", today - timedelta(days=1), today + timedelta(days=2))
    (entry,) = [entry for entry in found if entry.deal_id == str(deal_id)]
    return entry


@pytest.mark.browser
def test_invoice_is_paid_from_the_letter_on_a_phone(stand: Stand, browser: Browser) -> None:
    email = f"pay-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Счёт выставлен")
    address = pay_url(stand, email)
    page = browser.new_page(viewport={"width": 360, "height": 640})
    page.goto(address)
    expect(page.get_by_role("heading", name=re.compile("Счёт на оплату"))).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Оплатить").click()
    expect(page.get_by_text("122000.00 RUB")).to_be_visible()
    page.get_by_role("button", name="Оплатить").click()
    stand.wait_for(
        lambda: any("оплачен: 122\u00a0000,00\u00a0₽ (ЮKassa)" in note.text for note in stand.notes(deal_id)),
        "the note about the money",
    )
    stand.settle()
    assert sum("Счёт оплачен: поблагодарить" in text for text in stand.task_texts(deal_id)) == 1
    page.reload()
    expect(page.get_by_text("Счёт оплачен. Спасибо!")).to_be_visible()
    page.close()
    assert (line(stand, deal_id).status, line(stand, deal_id).total) == ("оплачен", Decimal("122000.00"))


def test_less_money_than_asked_for_is_one_task_in_the_crm(stand: Stand) -> None:
    email = f"less-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Счёт выставлен")
    parts = pay_url(stand, email).rsplit("/", 2)
    invoice = stand.app.paying.invoice("main", int(parts[1]), parts[2])
    assert invoice is not None
    stand.app.paying.begin(invoice)
    made = next(
        one
        for one in reversed(stand.sandbox.yookassa.payments())
        if one["metadata"]["deal"] == str(deal_id) and one["metadata"]["connector_document"] == parts[1]
    )
    stand.sandbox.yookassa.knobs.copies = 3
    stand.sandbox.yookassa.pay(made["id"], Decimal("1000.00"))
    stand.sandbox.yookassa.knobs.copies = 1
    told = "Пришло 1\u00a0000,00\u00a0₽ вместо 122\u00a0000,00\u00a0₽"
    stand.wait_for(lambda: any(told in text for text in stand.task_texts(deal_id)), "the task")
    stand.settle()
    assert sum(told in text for text in stand.task_texts(deal_id)) == 1
    assert not any("Счёт оплачен" in text for text in stand.task_texts(deal_id))
    assert line(stand, deal_id).status == "оплачен частично"
