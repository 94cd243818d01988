"""`connector demo` as a newcomer starts it: one line of addresses, a deal that moves, a clean end."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from connector.sandbox.generate import FIRST_CLIENT
from tests.e2e.programs import Program, child_env, is_alive
from tests.e2e.stand import ROOT

KEYS = {
    "amocrm": {"base_url", "token", "account_id"},
    "bitrix24": {"webhook_url", "oauth_token", "member_id", "application_token"},
    "oauth": {"amocrm", "bitrix24"},
    "yookassa": {"api_url", "shop_id", "secret_key"},
    "mail": {"smtp_host", "smtp_port", "inbox_url"},
    "connector": {"base_url", "hooks"},
}
MEETING_DONE = "Встреча проведена"
PATIENCE_S = 60.0
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Demo:
    """A running demonstration and what it printed."""

    def __init__(self, folder: Path, history: Path) -> None:
        self.temp = folder / "temp"
        self.temp.mkdir()
        words = ["demo", "--port", "0", "--no-browser", "--json", "--history", str(history)]
        env = child_env({"TMPDIR": str(self.temp)})
        self.program = Program([sys.executable, "-m", "connector", *words], env, folder, cwd=ROOT)
        self.line = self.program.wait_for(lambda: self.program.stdout.partition("\n")[0], "the line of JSON")
        self.doors: dict[str, Any] = json.loads(self.line)
        self.api = self.doors["board_url"].removesuffix("/board") + "/sandbox/api"

    def get(self, path: str) -> Any:
        return requests.get(f"{self.api}/{path}", timeout=10).json()

    def first_deal(self, crm: str) -> int:
        """The deal that every newcomer drags: that of ООО «Ромашка»."""
        pipeline = self.get(f"{crm}/pipelines")["pipelines"][0]
        stages = self.get(f"{crm}/board?pipeline={pipeline['id']}")["stages"]
        cards = [card for stage in stages for card in stage["deals"]]
        return next(card["id"] for card in cards if card["name"].startswith(FIRST_CLIENT))

    def stage(self, crm: str, name: str) -> tuple[int, str]:
        pipeline = self.get(f"{crm}/pipelines")["pipelines"][0]
        return pipeline["id"], next(stage["code"] for stage in pipeline["stages"] if stage["name"] == name)

    def move(self, crm: str, deal_id: int, stage_name: str) -> None:
        pipeline, stage = self.stage(crm, stage_name)
        body = {"pipeline_id": pipeline, "stage": stage}
        requests.post(f"{self.api}/{crm}/deals/{deal_id}/move", json=body, timeout=10).raise_for_status()

    def file_names(self, crm: str, deal_id: int) -> list[str]:
        """Files in the deal itself; those of letters stand in its timeline too and are left out."""
        timeline = self.get(f"{crm}/deals/{deal_id}")["timeline"]
        entries = [entry for entry in timeline if entry["kind"] != "letter"]
        return sorted(file["name"] for entry in entries for file in entry.get("files", []))

    def letters(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(self.doors["mail"]["inbox_url"], timeout=10).json()
        return found

    def wait_for(self, question: Any, what: str) -> Any:
        return self.program.wait_for(question, what)


@pytest.fixture(scope="module")
def demo(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"), past)
    yield demo
    demo.program.close()


def test_one_line_tells_every_door(demo: Demo) -> None:
    assert set(demo.doors) == {*KEYS, "board_url"}
    assert {name: set(demo.doors[name]) for name in KEYS} == KEYS
    assert set(demo.doors["connector"]["hooks"]) == {"amocrm", "bitrix24"}
    assert requests.get(demo.doors["board_url"], timeout=10).ok
    assert requests.get(demo.doors["connector"]["base_url"], timeout=10).ok
    assert demo.letters() == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set CHROMIUM or put it on the PATH")
@pytest.mark.parametrize("crm", ["amocrm", "bitrix24"])
def test_dragged_deal_shows_its_files_and_its_letter(demo: Demo, page: Page, crm: str) -> None:
    deal_id = demo.first_deal(crm)
    _, stage = demo.stage(crm, MEETING_DONE)
    before = len(demo.letters())
    page.goto(demo.doors["board_url"])
    page.goto(f"{demo.doors['board_url']}/{crm}")
    page.locator(f'.card[data-id="{deal_id}"]').drag_to(page.locator(f'.column[data-stage="{stage}"]'))
    expect(page.locator(f'.column[data-stage="{stage}"] .card[data-id="{deal_id}"]')).to_be_visible()
    picture(page, f"{crm}-board")
    page.goto(f"{demo.doors['board_url']}/{crm}/deals/{deal_id}")
    for name in ("Договор", "Коммерческое предложение"):
        expect(page.get_by_role("link", name=name).first).to_be_visible()
    demo.wait_for(lambda: len(demo.file_names(crm, deal_id)) >= 3, "three files")
    demo.wait_for(lambda: len(demo.letters()) > before, "the letter")
    for name in demo.file_names(crm, deal_id):
        expect(page.get_by_role("link", name=name).first).to_be_visible()
    picture(page, f"{crm}-deal")
    page.goto(demo.doors["board_url"].removesuffix("/board") + "/mail")
    subject = demo.letters()[0]["subject"]
    expect(page.get_by_text(subject).first).to_be_visible()
    page.get_by_text(subject).first.click()
    picture(page, f"{crm}-mail")


@pytest.mark.parametrize("crm", ["amocrm", "bitrix24"])
def test_move_through_the_board_brings_the_invoice(demo: Demo, crm: str) -> None:
    deal_id = demo.first_deal(crm)
    before = len(demo.letters())
    demo.move(crm, deal_id, "Счёт выставлен")
    demo.wait_for(
        lambda: any(name.startswith("Счёт") for name in demo.file_names(crm, deal_id)), "the invoice"
    )
    demo.wait_for(lambda: len(demo.letters()) > before, "the letter")
    newest = demo.letters()[0]
    assert [file["name"] for file in newest["attachments"]] == [
        name for name in demo.file_names(crm, deal_id) if name.startswith("Счёт")
    ]


def test_end_leaves_nothing_behind(demo: Demo) -> None:
    """The last test of the module: it ends the demonstration that the others share."""
    children = demo.program.children()
    assert any(demo.temp.iterdir())
    assert demo.program.stop() == 0, demo.program.stderr
    assert "Traceback" not in demo.program.stderr
    assert demo.program.stdout == demo.line + "\n"
    assert list(demo.temp.iterdir()) == []
    deadline = time.monotonic() + 5
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, children))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.set_default_timeout(PATIENCE_S * 1000)
    expect.set_options(timeout=PATIENCE_S * 1000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert not errors


def picture(page: Page, name: str) -> None:
    """Keep what the person sees where E2E_PICTURES says, for whoever wants to look."""
    if folder := os.environ.get("E2E_PICTURES"):
        page.wait_for_timeout(700)
        page.screenshot(path=Path(folder) / f"{name}.png")
