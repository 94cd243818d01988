"""The board in a real browser: a card is dragged, chosen in the menu, and what comes is seen at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from connector.sandbox.app import Sandbox
from connector.sandbox.generate import FIRST_CLIENT, HOSTILE_CLIENT
from connector.sandbox.history_files import write_history
from connector.sandbox.state import Deal, Note, StoredFile
from tests.sandbox.office import past

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set CHROMIUM or put it on the PATH"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    write_history(past().history, tmp_path)
    with Sandbox(history=tmp_path) as made:
        yield made


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(15_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert not errors


def find(sandbox: Sandbox, client: str, crm: str = "amocrm") -> Deal:
    return next(deal for deal in sandbox.portals[crm].deals.values() if deal.name.startswith(client))


@pytest.mark.parametrize(
    ("crm", "before", "after"), [("amocrm", "23", "24"), ("bitrix24", "PREPAYMENT_INVOICE", "EXECUTING")]
)
def test_a_dragged_card_moves_in_the_portal(
    sandbox: Sandbox, page: Page, crm: str, before: str, after: str
) -> None:
    deal = find(sandbox, FIRST_CLIENT, crm)
    assert deal.stage == before
    page.goto(f"{sandbox.base_url}/board/{crm}")
    page.locator(f'.card[data-id="{deal.id}"]').drag_to(page.locator(f'.column[data-stage="{after}"]'))
    expect(page.locator(f'.column[data-stage="{after}"] .card[data-id="{deal.id}"]')).to_be_visible()
    assert sandbox.portals[crm].deals[deal.id].stage == after
    assert sandbox.portals[crm].history[-1].by == deal.responsible_id


def test_a_deal_is_lost_by_the_menu_and_no_reason_is_given(sandbox: Sandbox, page: Page) -> None:
    deal = find(sandbox, FIRST_CLIENT)
    page.goto(f"{sandbox.base_url}/board/amocrm")
    page.locator(f'.card[data-id="{deal.id}"]').press("m")
    page.get_by_role("button", name="Закрыто и не реализовано", exact=True).first.click()
    page.get_by_role("button", name="Не указывать").click()
    expect(page.locator(f'.column--lost .card[data-id="{deal.id}"]')).to_contain_text("Причина не указана")
    stored = sandbox.portals["amocrm"].deals[deal.id]
    assert (stored.stage, stored.loss_reason_id) == ("143", None)


def test_an_open_deal_shows_what_arrives_and_saves_what_is_typed(sandbox: Sandbox, page: Page) -> None:
    portal, deal = sandbox.portals["amocrm"], find(sandbox, FIRST_CLIENT)
    page.goto(f"{sandbox.base_url}/board/amocrm")
    page.locator(f'.card[data-id="{deal.id}"] .card__name').click()
    panel = page.locator("#panel")
    expect(panel.get_by_role("heading", name=deal.name)).to_be_visible()
    email = panel.get_by_label("Почта").first
    email.fill("new@example.test")
    now = portal.now()
    file = portal.add_file(StoredFile(0, "u-1", "Договор № 1.pdf", "application/pdf", b"%PDF-1.7"))
    portal.add("note", Note(0, "deal", deal.id, "attachment", "", 1, now, now, file_ids=[file.id]), by=1)
    expect(panel.locator(".entry.is-fresh .file__name")).to_have_text("Договор № 1.pdf")
    expect(email).to_have_value("new@example.test")
    email.press("Enter")
    expect(panel.locator(".is-saved")).to_have_value("new@example.test")
    assert portal.contacts[deal.contact_ids[0]].emails[0] == "new@example.test"


def test_a_hostile_name_is_drawn_as_text_on_a_phone(sandbox: Sandbox, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    deal = find(sandbox, HOSTILE_CLIENT)
    page.goto(f"{sandbox.base_url}/board/amocrm/deals/{deal.id}")
    expect(page.locator("#panel h2")).to_have_text(deal.name)
    expect(page.locator(f'.card[data-id="{deal.id}"] .card__name')).to_have_text(HOSTILE_CLIENT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_a_fault_is_ordered_and_the_clock_moved_by_clicks(sandbox: Sandbox, page: Page) -> None:
    before = sandbox.clock.now()
    page.goto(f"{sandbox.base_url}/board")
    page.get_by_role("link", name="Сбои и время").click()
    page.get_by_role("button", name="+1 день").click()
    expect(page.locator("#shift")).to_contain_text("впереди машины на 1 день")
    assert (sandbox.clock.now() - before).days == 1

    page.get_by_label("Что сломать").select_option(label="Ответ с кодом ошибки")
    page.get_by_label("Код ответа").select_option("502")
    page.get_by_label("Адрес").fill("/api/v4/leads")
    page.get_by_label("Сколько раз").fill("3")
    page.get_by_role("button", name="Сломать").click()
    rule = page.locator("#active .fault")
    expect(rule).to_contain_text("код 502 · везде · /api/v4/leads · осталось 3")
    (order,) = sandbox.faults.values()["active"]
    assert (order["what"], order["status"], order["times"]) == ("status", 502, 3)

    page.get_by_label("Что сломать").select_option(label="Хук опаздывает")
    expect(page.get_by_label("Метод")).to_be_hidden()
    page.get_by_label("Секунд задержки").fill("7")
    page.get_by_role("button", name="Сломать").click()
    expect(rule).to_have_count(2)
    rule.first.get_by_role("button", name="Снять").click()
    expect(rule).to_have_count(1)
    assert [found["what"] for found in sandbox.faults.values()["active"]] == ["delay"]
    page.get_by_role("button", name="Снять всё").click()
    expect(page.locator("#active")).to_contain_text("отвечают как обычно")
