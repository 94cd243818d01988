"""The whole way of a document's page: letter, page on a phone and a desk, note, happening, task."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from connector.store import happenings
from tests.e2e.stand import Stand

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set CHROMIUM or put it on the PATH"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


def links_of_letter(stand: Stand, email: str) -> list[str]:
    """Addresses of pages in the letter's text, in its order."""
    (letter,) = stand.wait_for(lambda: stand.letters(email), "the letter")
    return re.findall(rf"{re.escape(stand.base_url)}/d/[\w-]+", str(letter["text"]))


@pytest.mark.parametrize("width", [360, 1200])
def test_client_opens_accepts_and_asks_and_the_deal_knows_it(
    stand: Stand, browser: Browser, width: int
) -> None:
    email = f"page-{stand.crm}-{width}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Встреча проведена")
    proposal = links_of_letter(stand, email)[0]
    stand.settle()
    assert any(proposal in note.text for note in stand.notes(deal_id))
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(proposal)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Коммерческое предложение")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    stand.wait_for(
        lambda: any(note.text.startswith("Клиент открыл") for note in stand.notes(deal_id)), "the note"
    )
    page.get_by_text("Задать вопрос").click()
    page.get_by_label("Что уточнить или поправить?").fill("Можно ли в рассрочку?")
    page.get_by_text("Отправить менеджеру").click()
    expect(page.get_by_text("Вопрос отправлен")).to_be_visible()
    page.get_by_text("Принять", exact=True).click()
    page.get_by_label("Как вас зовут").fill("Анна Дубравина")
    page.get_by_text("Подтвердить").click()
    expect(page.get_by_text("Документ принят")).to_be_visible()
    expect(page.get_by_text("Принять", exact=True)).to_have_count(0)
    stand.wait_for(
        lambda: any("Можно ли в рассрочку?" in text for text in stand.task_texts(deal_id)), "the question"
    )
    # What the rule of the shipped kit makes of the acceptance.
    stand.wait_for(
        lambda: any("Клиент принял предложение" in text for text in stand.task_texts(deal_id)), "the task"
    )
    stand.settle()
    said = [note.text for note in stand.notes(deal_id) if note.text.startswith("Клиент ")]
    assert sorted(text.split(" документ")[0] for text in said) == ["Клиент открыл", "Клиент принял"]
    assert any("Анна Дубравина" in text for text in said)
    with stand.app.db.read() as conn:
        facts = [fact.what for fact in happenings.of_deal(conn, "main", str(deal_id))]
    assert facts == ["document.opened", "document.question", "document.accepted"]
    elsewhere = [url for url in asked if url.startswith("http") and not url.startswith(stand.base_url)]
    assert (faults, elsewhere) == ([], [])
    context.close()


def test_page_works_without_javascript(stand: Stand, browser: Browser) -> None:
    email = f"plain-{stand.crm}@example.ru"
    deal_id = stand.add_deal(email=email)
    stand.move(deal_id, "Счёт выставлен")
    (invoice,) = set(links_of_letter(stand, email))
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    page = context.new_page()
    page.goto(invoice)
    stand.settle()
    assert not any(note.text.startswith("Клиент") for note in stand.notes(deal_id))
    with page.expect_download() as download:
        page.get_by_text("Скачать PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF")
    stand.wait_for(
        lambda: any(note.text.startswith("Клиент открыл") for note in stand.notes(deal_id)), "the note"
    )
    context.close()
