"""The state of both CRMs on the disk: what was acknowledged outlives `kill -9`; a bad file is told of."""

from __future__ import annotations

import json
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.errors import ConfigError
from connector.sandbox.app import Sandbox
from connector.sandbox.history_files import write_history
from connector.sandbox.journal import FILE
from tests.sandbox.office import past

DEAL = 1001


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    write_history(past().history, folder)
    return folder


class Doors:
    """Both APIs of a sandbox as clients with their first keys."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.base = found["board_url"].removesuffix("/board")
        self.token = found["amocrm"]["token"]
        self.webhook = found["bitrix24"]["webhook_url"].rstrip("/")
        self.board("PATCH", "faults", {"limits_on": False})

    def amo(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = requests.request(
            method, f"{self.base}/api/v4/{path}", json=body, headers=headers, timeout=10
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def b24(self, method: str, **params: Any) -> Any:
        answer = requests.post(f"{self.webhook}/{method}", json=params, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def board(self, method: str, path: str, body: Any = None) -> Any:
        return requests.request(method, f"{self.base}/sandbox/api/{path}", json=body, timeout=10).json()


@contextmanager
def process(state: Path, history: Path) -> Iterator[tuple[Doors, subprocess.Popen[str]]]:
    """A sandbox as a process of its own, killed at the end if it still lives."""
    command = [sys.executable, "-m", "connector.sandbox", "--port", "0", "--json", "--latency", "0"]
    command += ["--state", str(state), "--history", str(history)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        try:
            assert run.stdout is not None
            yield Doors(json.loads(run.stdout.readline())), run
        finally:
            run.kill()


def everything(doors: Doors, ids: dict[str, Any]) -> dict[str, Any]:
    """What both APIs tell of all that `live` has done; addresses hold the port and are left out."""
    told = {
        "lead": doors.amo("GET", f"leads/{ids['lead']}?with=contacts,catalog_elements"),
        "old lead": doors.amo("GET", f"leads/{DEAL}"),
        "fields": doors.amo("GET", "leads/custom_fields?limit=250"),
        "notes": doors.amo("GET", f"leads/{ids['lead']}/notes"),
        "tasks": doors.amo("GET", f"tasks?filter[id]={ids['task']}"),
        "hooks": doors.amo("GET", "webhooks"),
        "tags": doors.amo("GET", "leads/tags"),
        "events": doors.amo("GET", "events?limit=20"),
        "deal": doors.b24("crm.deal.get", id=ids["deal"]),
        "moves": doors.b24("crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": ids["deal"]}),
        "comments": doors.b24(
            "crm.timeline.comment.list", filter={"ENTITY_ID": ids["deal"], "ENTITY_TYPE": "deal"}
        ),
        "activity": doors.b24("crm.activity.get", id=ids["activity"]),
        "user field": doors.b24("crm.deal.userfield.list", filter={"FIELD_NAME": "UF_CRM_KEPT"}),
        "b24 task": doors.b24("tasks.task.get", taskId=ids["b24 task"], select=["*"]),
        "board": {**doors.board("GET", f"bitrix24/deals/{ids['deal']}"), "revision": None},
    }
    text = json.dumps(told, ensure_ascii=False, sort_keys=True)
    return json.loads(text.replace(doors.base, "http://sandbox"))  # type: ignore[no-any-return]


def live(doors: Doors) -> dict[str, Any]:
    """A bit of everything through both APIs and the board."""
    ids: dict[str, Any] = {}
    field = doors.amo("POST", "leads/custom_fields", [{"name": "Срок поставки", "type": "numeric"}])
    field_id = field["_embedded"]["custom_fields"][0]["id"]
    lead = {
        "name": "Переживёт",
        "price": 150,
        "custom_fields_values": [{"field_id": field_id, "values": [{"value": 14}]}],
        "_embedded": {"tags": [{"name": "важное"}]},
    }
    ids["lead"] = doors.amo("POST", "leads", [lead])["_embedded"]["leads"][0]["id"]
    note = [{"note_type": "common", "params": {"text": "Записано"}}]
    doors.amo("POST", f"leads/{ids['lead']}/notes", note)
    task = [{"text": "Позвонить", "complete_till": 1_800_000_000, "entity_id": DEAL, "entity_type": "leads"}]
    ids["task"] = doors.amo("POST", "tasks", task)["_embedded"]["tasks"][0]["id"]
    doors.amo("PATCH", f"leads/{DEAL}", {"price": 777})
    doors.amo("POST", "webhooks", {"destination": "http://127.0.0.1:9/hook", "settings": ["add_task"]})

    ids["deal"] = doors.b24("crm.deal.add", fields={"TITLE": "Сделка", "OPPORTUNITY": 10})
    doors.b24("crm.deal.userfield.add", fields={"FIELD_NAME": "KEPT", "USER_TYPE_ID": "string"})
    doors.b24("crm.deal.update", id=ids["deal"], fields={"UF_CRM_KEPT": "да", "STAGE_ID": "EXECUTING"})
    comment = {"ENTITY_ID": ids["deal"], "ENTITY_TYPE": "deal", "COMMENT": "Слова"}
    doors.b24("crm.timeline.comment.add", fields=comment)
    todo = {"ownerTypeId": 2, "ownerId": ids["deal"], "deadline": "2027-01-01T00:00:00", "title": "Дело"}
    ids["activity"] = doors.b24("crm.activity.todo.add", **todo, description="")["id"]
    added = doors.b24("tasks.task.add", fields={"TITLE": "Задача", "RESPONSIBLE_ID": 1})
    ids["b24 task"] = added["task"]["id"]
    doors.board("POST", f"bitrix24/deals/{ids['deal']}/notes", {"text": "С доски"})
    doors.board("POST", "time", {"forward_s": 86400})
    return ids


def test_all_that_was_acknowledged_outlives_a_kill(tmp_path: Path, history: Path) -> None:
    state = tmp_path / "state"
    with process(state, history) as (doors, run):
        keys = (doors.token, doors.webhook.rpartition("/rest/")[2])
        ids = live(doors)
        before = everything(doors, ids)
        shift = doors.board("GET", "time")["shift_s"]
        last = doors.b24("crm.deal.add", fields={"TITLE": "Последняя перед гибелью"})
        run.send_signal(signal.SIGKILL)
        run.wait(10)
    with process(state, history) as (doors, _):
        assert (doors.token, doors.webhook.rpartition("/rest/")[2]) == keys
        assert everything(doors, ids) == before
        assert doors.b24("crm.deal.get", id=last)["TITLE"] == "Последняя перед гибелью"
        assert abs(doors.board("GET", "time")["shift_s"] - shift) <= 1
        assert doors.b24("crm.deal.add", fields={"TITLE": "Новая"}) == last + 1


def test_tokens_bindings_and_waiting_hooks_outlive_a_restart(tmp_path: Path, history: Path) -> None:
    with Sandbox(history=history, state=tmp_path, latency_s=0) as first:
        first.amocrm.stop()  # its hooks wait
        first.bitrix24.events.bind("ONCRMDEALADD", "http://127.0.0.1:9/b24", 0)
        doors = Doors(first.describe())
        doors.amo("POST", "webhooks", {"destination": "http://127.0.0.1:9/hook", "settings": ["add_lead"]})
        doors.amo("POST", "leads", [{"name": "Ждёт хука"}])
        ends = first.bitrix24.endpoints()
        pair = requests.post(ends["oauth_url"], data=refresh(ends, ends["refresh_token"]), timeout=5).json()
        waiting = first.amocrm.delivery.pending()
        assert waiting == 1
    second = Sandbox(history=history, state=tmp_path, latency_s=0)
    try:
        assert second.amocrm.delivery.pending() == waiting
        assert [b.url for b in second.bitrix24.events.online()] == ["http://127.0.0.1:9/b24"]
        client = second.flask.test_client()
        ends = second.bitrix24.endpoints()
        used = client.post("/oauth/token/", data=refresh(ends, ends["refresh_token"]))
        assert used.get_json() == {"error": "invalid_grant"}, "a refresh token is good for one use"
        assert client.get("/rest/profile", query_string={"auth": pair["access_token"]}).status_code == 200
        assert client.post("/oauth/token/", data=refresh(ends, pair["refresh_token"])).status_code == 200
    finally:
        second.stop()


def refresh(ends: dict[str, str], token: str) -> dict[str, str]:
    client = {name: ends[name] for name in ("client_id", "client_secret")}
    return {"grant_type": "refresh_token", "refresh_token": token, **client}


def test_a_deleted_row_stays_deleted_and_shared_rows_stay_shared(tmp_path: Path, history: Path) -> None:
    with Sandbox(history=history, state=tmp_path) as first:
        portal = first.portals["amocrm"]
        note, task = next(iter(portal.notes)), next(iter(portal.tasks))
        portal.delete("note", note, by=1)
        portal.update("task", task, {"text": "Другое"}, by=1)
        counts = {name: len(p.notes) for name, p in first.portals.items()}
    with Sandbox(history=history, state=tmp_path) as second:
        amo, b24 = second.portals["amocrm"], second.portals["bitrix24"]
        assert {name: len(p.notes) for name, p in second.portals.items()} == counts
        assert note not in amo.notes and note in b24.notes
        assert (amo.tasks[task].text, b24.tasks[task].text) == ("Другое", "Связаться с клиентом")
        other = list(b24.notes)[-1]
        assert amo.notes[other] is b24.notes[other]
        assert [row.id for row in amo.history] == sorted(row.id for row in amo.history)
        assert amo.now() - b24.now() < timedelta(seconds=2)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, history: Path) -> bytes:
    folder = tmp_path_factory.mktemp("kept")
    Sandbox(history=history, state=folder).stop()
    return (folder / FILE).read_bytes()


def refused(folder: Path) -> str:
    with pytest.raises(ConfigError) as error:
        Sandbox(state=folder)
    assert str(folder / FILE) in str(error.value)
    return str(error.value)


def test_a_damaged_file_is_told_of_and_left_alone(tmp_path: Path, kept: bytes) -> None:
    middle = len(kept) // 2
    for number, content in enumerate(
        (b"no database at all, only text" * 100, kept[:100] + b"\0" * 4000 + kept[4100:], kept[:middle])
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / FILE).write_bytes(content)
        assert "повреждён" in refused(folder)
        assert (folder / FILE).stat().st_size >= len(content) // 2


def edited(folder: Path, kept: bytes, sql: str, *values: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / FILE).write_bytes(kept)
    with sqlite3.connect(folder / FILE) as db:
        db.execute(sql, values)
    db.close()
    return folder


def test_a_file_of_another_format_and_foreign_objects_are_refused(tmp_path: Path, kept: bytes) -> None:
    newer = edited(tmp_path / "newer", kept, "UPDATE meta SET value = '99'")
    assert "формат состояния 99" in refused(newer)
    attack = pickle.dumps((pickle.loads, b"whatever"))
    foreign = edited(tmp_path / "foreign", kept, "UPDATE parts SET state = ? WHERE name = 'clock'", attack)
    assert "is not of the sandbox" in refused(foreign)
    cut = edited(tmp_path / "cut", kept, "UPDATE blobs SET data = substr(data, 1, 50) WHERE id = 1")
    assert "повреждён" in refused(cut)


def test_a_folder_in_use_is_refused(tmp_path: Path, history: Path) -> None:
    with Sandbox(history=history, state=tmp_path):
        assert "занята" in refused(tmp_path)


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "папку состояния не открыть" in refused(tmp_path / "file")
