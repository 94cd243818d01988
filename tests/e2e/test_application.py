"""Bitrix24 with a local application, process by process: installed by the portal's own notice, told by its
events, its queue and our robot, shown in its tab, and removed."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from connector.app import App
from connector.config import Config
from connector.crm.bitrix24.api import CONNECTOR
from connector.crm.bitrix24.placements import DEAL_TAB
from connector.crm.bitrix24.webhook import ROBOT
from connector.sandbox.app import Sandbox
from connector.store.schema import inbox
from tests.e2e.office import Office
from tests.e2e.programs import PATIENCE_S, Program, answers, child_env, free_port
from tests.e2e.stand import TEMPLATES
from tests.e2e.unlimited import NoLimit
from tests.oauth.stand import settings

PLAYBOOK = """
people:
  head_of_sales: {user: admin}
rules:
  - name: Вход
    when: {pipeline: Продажи, enters: Встреча проведена}
    repeat: every_entry
    do: [{note: вошла}]
  - name: По просьбе робота
    when: {pipeline: Продажи, enters: Договор отправлен}
    repeat: every_entry
    do: [{note: позвал робот}]
"""


class Portal(Office):
    """A portal with our application, and the one process that serves it."""

    def __init__(self, sandbox: Sandbox, env: dict[str, str], folder: Path) -> None:
        super().__init__(sandbox, "bitrix24")
        self._env = env
        self._folder = folder
        self.app = App(Config.from_env(env), limiter=NoLimit())
        self.app.prepare()
        self.serve = self.start("serve")

    def start(self, *words: str) -> Program:
        command = [sys.executable, "-m", "tests.e2e.unlimited", *words]
        return Program(command, child_env(self._env), self._folder)

    def start_again(self) -> None:
        """A power cut, and the machine comes back."""
        self.serve.kill()
        self.serve = self.start("serve")
        self.is_up()

    def is_up(self) -> None:
        self.serve.wait_for(lambda: answers(f"{self._env['BASE_URL']}/health"), "the web role")

    def act(self, action: str, **body: object) -> dict[str, object]:
        """What a person does in the portal."""
        told = requests.post(f"{self.sandbox.base_url}/sandbox/bitrix24/{action}", json=body, timeout=30)
        told.raise_for_status()
        found: dict[str, object] = told.json()
        return found

    def said(self, deal_id: int) -> list[str]:
        return [note.text for note in self.notes(deal_id)]

    def events(self, source: str) -> set[tuple[str, str]]:
        """(kind, id) of what came that way."""
        with self.app.db.read() as conn:
            rows = conn.execute(select(inbox.c.kind, inbox.c.entity_id).where(inbox.c.source == source))
            return {(row.kind, row.entity_id) for row in rows}

    def queued(self) -> set[tuple[str, str]]:
        """(event, id) of what the portal still keeps for us."""
        records = self.sandbox.bitrix24.site.offline.records(CONNECTOR)
        return {(one.event, str(one.data["FIELDS"]["ID"])) for one in records}

    def wait_for(self, question: Callable[[], object], what: str) -> None:
        self.serve.wait_for(question, what)

    def settle(self) -> None:
        """Wait until there is nothing to do for a second: a hook comes 0.3 s after its change."""
        quiet_since = time.monotonic()

        def is_quiet() -> bool:
            nonlocal quiet_since
            counts = self.app.queue.counts()
            if counts.ready or counts.running:
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > 1.0

        self.wait_for(is_quiet, "quiet")

    def close(self) -> None:
        self.serve.close()
        self.app.close()


@pytest.fixture(scope="module")
def portal(past: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portal]:
    """Installed by ONAPPINSTALL, then connected by the command, as its README tells to do."""
    folder = tmp_path_factory.mktemp("application")
    kit = folder / "templates"
    shutil.copytree(TEMPLATES, kit)
    shutil.rmtree(kit / "playbook")
    (kit / "playbook").mkdir()
    (kit / "playbook" / "rules.yml").write_text(PLAYBOOK, "utf-8")
    with Sandbox(history=past) as sandbox:
        sandbox.faults.limits_on = False
        port = free_port()
        env = settings(sandbox, "bitrix24", f"sqlite:///{folder}/connector.db") | {
            "BASE_URL": f"http://127.0.0.1:{port}",
            "WEB_PORT": str(port),
            "TEMPLATES_DIR": str(kit),
        }
        portal = Portal(sandbox, env, folder)
        try:
            portal.is_up()
            door = portal.app.config.account("main").redirect_url
            portal.act("app/register", handler_url=door, install_url=door)
            portal.wait_for(lambda: portal.app.grants.state("main"), "the consent")
            connect = portal.start("connect", "bitrix24")
            assert connect.stop_by_itself() == 0, connect.stderr
            assert "События приложения приходят и проверяются" in connect.stdout
            portal.settle()
            yield portal
        finally:
            portal.close()


def test_a_move_is_told_by_an_event_of_the_application(portal: Portal) -> None:
    deal_id = portal.add_deal()
    portal.move(deal_id, "Встреча проведена")
    portal.wait_for(lambda: portal.said(deal_id), "the note")
    portal.settle()
    assert portal.said(deal_id) == ["вошла"]
    assert ("deal.changed", str(deal_id)) in portal.events("webhook")


def test_what_no_hook_told_comes_out_of_the_portals_queue_after_a_power_cut(portal: Portal) -> None:
    portal.sandbox.faults.drop_share = 1.0
    try:
        deal_id = portal.add_deal()
        portal.move(deal_id, "Встреча проведена")
        portal.start_again()
        portal.wait_for(lambda: portal.said(deal_id), "the note")
        portal.settle()
    finally:
        portal.sandbox.faults.drop_share = 0.0
    assert portal.said(deal_id) == ["вошла"]
    # Comparing would have found the deal as well; of contacts nothing but the queue tells.
    [contact_id] = portal.portal.deals[deal_id].contact_ids
    told = {("deal.added", str(deal_id)), ("contact.changed", str(contact_id))}
    assert told <= portal.events("queue")
    assert not told & portal.events("webhook")
    assert ("ONCRMDEALADD", str(deal_id)) not in portal.queued(), "what is stored here is dropped there"


def test_our_robot_in_the_funnel_runs_its_rule_once_though_its_call_comes_twice(portal: Portal) -> None:
    pipeline_id, stage = portal.stage("Квалификация")
    assert pipeline_id == 0
    portal.act("robots/put", stage=stage, code=ROBOT, properties={"rule": "По просьбе робота"})
    deal_id = portal.add_deal()
    portal.sandbox.faults.duplicate = True
    try:
        portal.move(deal_id, "Квалификация")
        portal.wait_for(lambda: portal.said(deal_id), "the note")
        portal.settle()
    finally:
        portal.sandbox.faults.duplicate = False
    assert portal.said(deal_id) == ["позвал робот"]
    portal.move(deal_id, "Встреча назначена")
    portal.settle()
    portal.move(deal_id, "Квалификация")
    portal.wait_for(lambda: len(portal.said(deal_id)) == 2, "the second call")


def test_the_tab_in_a_deal_tells_its_story_to_the_portal_alone(portal: Portal) -> None:
    deal_id = portal.add_deal()
    portal.move(deal_id, "Встреча проведена")
    portal.wait_for(lambda: portal.said(deal_id), "the note")
    portal.settle()
    frame = portal.act("app/frame", placement=DEAL_TAB, options={"ID": str(deal_id)})["result"]
    assert isinstance(frame, dict)
    page = requests.post(frame["url"], data=frame["form"], timeout=PATIENCE_S)
    assert page.status_code == 200
    assert "Вход" in page.text
    forged = requests.post(
        frame["url"], data={**frame["form"], "APPLICATION_TOKEN": "another"}, timeout=PATIENCE_S
    )
    assert forged.status_code == 403


def test_a_removed_application_is_told_by_its_last_notice(portal: Portal) -> None:
    portal.act("app/uninstall")
    portal.wait_for(
        lambda: "удалено" in portal.app.status().accounts[0].access_problem, "the end of the application"
    )
