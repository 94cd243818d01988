"""Notes, calls, tasks, events and files of the sandbox's amoCRM."""

from __future__ import annotations

import http.client
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from waitress.server import create_server

from connector.sandbox.amocrm.events import ulid
from connector.sandbox.state import HistoryRow
from tests.sandbox.amocrm_office import (
    ADMIN,
    BASE,
    CONTRACT,
    LOST,
    MANAGER,
    NEW,
    SALES,
    TOKEN,
    WON,
    Office,
)

EVENT_KEYS = {
    *("id", "type", "entity_id", "entity_type", "created_by", "created_at", "value_after"),
    *("value_before", "account_id", "_links", "_embedded"),
}
NO_SUCH_FILE = {"file_uuid": "a", "version_uuid": "b", "file_name": "c"}
TASK = {"text": "Позвонить", "complete_till": 1800000000}


@pytest.fixture
def office() -> Office:
    return Office()


def events(office: Office, query: str = "") -> list[dict[str, Any]]:
    answer = office.get(f"/api/v4/events?{query}")
    if answer.status_code == 204:
        return []
    assert answer.status_code == 200, answer.data
    rows: list[dict[str, Any]] = answer.get_json(force=True)["_embedded"]["events"]
    return rows


def upload(office: Office, content: bytes, name: str = "Счёт №1.pdf", part: int = 400_000) -> dict[str, Any]:
    session = office.post(
        "/v1.0/sessions", {"file_name": name, "file_size": len(content), "content_type": "application/pdf"}
    ).get_json(force=True)
    url, body = session["upload_url"], {}
    for start in range(0, len(content), part):
        path = url.removeprefix(BASE)
        body = office.client.post(path, data=content[start : start + part]).get_json(force=True)
        url = body.get("next_url", "")
    return body


def test_note_is_read_back_where_it_was_written(office: Office) -> None:
    answer = office.post("/api/v4/leads/1/notes", [{"note_type": "common", "params": {"text": "привет"}}])
    row = answer.get_json(force=True)["_embedded"]["notes"][0]
    assert row.keys() == {"id", "entity_id", "request_id", "_links"}
    note = office.read(f"/api/v4/leads/notes/{row['id']}")
    assert note == office.read(f"/api/v4/leads/1/notes/{row['id']}")
    assert note.keys() == {
        *("id", "entity_id", "created_by", "updated_by", "created_at", "updated_at", "responsible_user_id"),
        *("group_id", "note_type", "params", "account_id", "_links"),
    }
    assert note["params"] == {"text": "привет"}
    assert office.get(f"/api/v4/contacts/notes/{row['id']}").status_code == 204


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("call_in", {"uniq": "u", "duration": 60, "source": "АТС", "phone": "+79160000001"}),
        ("service_message", {"service": "Коннектор", "text": "готово"}),
        ("geolocation", {"text": "тут", "address": "Москва", "longitude": "1", "latitude": "2"}),
        ("sms_out", {"text": "привет", "phone": "+79160000001"}),
    ],
)
def test_every_kind_of_note_keeps_its_params(office: Office, kind: str, params: dict[str, Any]) -> None:
    item = {"entity_id": 1, "note_type": kind, "params": params}
    assert office.post("/api/v4/leads/notes", [item]).status_code == 200
    rows = office.read(f"/api/v4/leads/notes?filter[note_type]={kind}")["_embedded"]["notes"]
    assert rows[0]["params"] == params


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"note_type": "amomail_message", "params": {"text": "x"}}, "note_type"),
        ({"note_type": "common", "params": {}}, "params.text"),
        ({"note_type": "common"}, "params"),
        ({"note_type": "attachment", "params": NO_SUCH_FILE}, "params.file_uuid"),
    ],
)
def test_bad_notes_are_refused(office: Office, item: dict[str, Any], path: str) -> None:
    answer = office.post("/api/v4/leads/1/notes", [item])
    errors = answer.get_json(force=True)["validation-errors"][0]["errors"]
    assert answer.status_code == 400 and path in [error["path"] for error in errors]


def test_note_for_an_unknown_lead_is_refused(office: Office) -> None:
    body = [{"note_type": "common", "params": {"text": "x"}}]
    assert office.post("/api/v4/leads/77/notes", body).status_code == 400


def test_call_finds_the_only_open_lead_and_unknown_numbers_are_errors(office: Office) -> None:
    base = {"direction": "inbound", "duration": 5, "source": "АТС", "uniq": "1"}
    body = office.post(
        "/api/v4/calls", [{**base, "phone": "8 (916) 000-00-01"}, {**base, "phone": "+70000000000"}]
    ).get_json(force=True)
    assert body["_total_items"] == 1 and [e["request_id"] for e in body["errors"]] == ["1"]
    assert (body["_embedded"]["calls"][0]["entity_type"], body["_embedded"]["calls"][0]["entity_id"]) == (
        "lead",
        1,
    )
    assert [e["type"] for e in events(office, "filter[type]=incoming_call")] == ["incoming_call"]


def test_task_is_given_and_completed(office: Office) -> None:
    item = {**TASK, "entity_id": 1, "entity_type": "leads", "request_id": "r"}
    answer = office.post("/api/v4/tasks", [item])
    row = answer.get_json(force=True)["_embedded"]["tasks"][0]
    assert row.keys() == {"id", "request_id", "_links"} and row["request_id"] == "r"
    task = office.read(f"/api/v4/tasks/{row['id']}")
    assert (task["result"], task["is_completed"], task["task_type_id"]) == ([], False, 1)
    done = office.patch(f"/api/v4/tasks/{row['id']}", {"is_completed": True, "result": {"text": "да"}})
    assert done.get_json(force=True).keys() == {"id", "updated_at", "request_id", "_links"}
    task = office.read(f"/api/v4/tasks/{row['id']}")
    assert (task["result"], task["is_completed"]) == ({"text": "да"}, True)
    assert {e["type"] for e in events(office, "filter[entity]=task")} == {
        *("task_added", "task_completed", "task_result_added"),
    }


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"text": "x"},
        {**TASK, "text": " "},
        {**TASK, "complete_till": "1"},
        {**TASK, "entity_type": "customers"},
        {**TASK, "entity_type": "leads", "entity_id": 9},
    ],
)
def test_bad_tasks_are_refused(office: Office, item: dict[str, Any]) -> None:
    assert office.post("/api/v4/tasks", [item]).status_code == 400
    assert office.patch("/api/v4/tasks/99", {"text": "x"}).status_code == 404


def test_moves_are_events_newest_first_with_both_sides(office: Office) -> None:
    office.patch("/api/v4/leads/1", {"status_id": CONTRACT})
    office.portal.time_shift += timedelta(minutes=5)
    office.portal.update_deal(1, {"stage": str(WON)}, by=MANAGER)
    rows = events(office, "filter[type][]=lead_status_changed&filter[type][]=lead_added")
    assert [row["type"] for row in rows] == ["lead_status_changed", "lead_status_changed", "lead_added"]
    assert rows[0].keys() == EVENT_KEYS
    assert rows[0]["value_before"] == [{"lead_status": {"id": CONTRACT, "pipeline_id": SALES}}]
    assert rows[0]["value_after"] == [{"lead_status": {"id": WON, "pipeline_id": SALES}}]
    assert [row["created_by"] for row in rows] == [MANAGER, ADMIN, MANAGER]
    assert all(len(row["id"]) == 26 and row["id"] == row["id"].lower() for row in rows)
    assert office.read(f"/api/v4/events/{rows[0]['id']}") == rows[0]


def test_imported_history_is_in_the_log_with_stable_ids(office: Office) -> None:
    at = datetime(2025, 3, 1, 9, 0, tzinfo=UTC)
    first = events(office)
    next_id = office.portal.history[-1].id + 1
    office.portal.load_history([HistoryRow(next_id, 1, at, SALES, str(NEW), SALES, str(LOST), 0)])
    rows = events(office)
    assert rows[:-1] == first
    assert (rows[-1]["created_at"], rows[-1]["created_by"]) == (int(at.timestamp()), 0)
    assert rows == events(office)


def test_ulid_sorts_by_time_then_tail() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert ulid(at, 1) < ulid(at, 2) < ulid(at + timedelta(seconds=1), 0)


def test_event_filters_in_both_styles(office: Office) -> None:
    office.patch("/api/v4/leads/1", {"status_id": CONTRACT, "price": 5, "tags_to_add": [{"name": "опт"}]})
    assert {e["type"] for e in events(office, "filter[entity]=lead&filter[entity_id]=1")} == {
        *("lead_added", "lead_status_changed", "sale_field_changed", "entity_tag_added"),
    }
    assert len(events(office, "filter[type]=lead_added,sale_field_changed")) == 2

    def moved(side: str, status: int) -> int:
        pair = f"filter[{side}][leads_statuses][0]"
        query = f"{pair}[pipeline_id]={SALES}&{pair}[status_id]={status}&filter[type]=lead_status_changed"
        return len(events(office, query))

    assert (moved("value_after", CONTRACT), moved("value_before", NEW)) == (1, 1)
    assert (moved("value_after", NEW), moved("value_before", CONTRACT)) == (0, 0)
    assert events(office, f"filter[created_by][]={ADMIN}&filter[type]=lead_added") == []
    assert events(office, "filter[created_at][from]=99999999999") == []
    assert events(office, "filter[created_at]=99999999999") == []
    assert len(events(office, "filter[created_at][from]=1&filter[created_at][to]=99999999999")) > 3


@pytest.mark.parametrize(
    "query",
    [
        "filter[entity_id]=1",
        "filter[entity]=lead,contact&filter[entity_id]=1",
        "filter[created_by]=" + ",".join(map(str, range(11))),
        "filter[type]=lead_added,custom_field_5_value_changed",
    ],
)
def test_event_filters_that_the_service_refuses(office: Office, query: str) -> None:
    assert office.get(f"/api/v4/events?{query}").status_code == 400


def test_field_change_is_typed_with_the_field_id(office: Office) -> None:
    item = {"field_code": "UTM_SOURCE", "values": [{"value": "vk"}]}
    office.patch("/api/v4/leads/1", {"custom_fields_values": [item]})
    row = events(office)[0]
    value = row["value_after"][0]["custom_field_value"]
    assert row["type"] == f"custom_field_{value['field_id']}_value_changed"
    assert value["text"] == "vk" and value.keys() == {"field_id", "field_type", "enum_id", "text"}
    assert [e["id"] for e in events(office, "filter[type]=custom_field_value_changed")] == [row["id"]]


def test_asking_over_a_hundred_events_gives_fifty(office: Office) -> None:
    for number in range(60):
        office.portal.update_deal(1, {"name": f"№{number}"}, by=MANAGER)
    assert len(events(office, "limit=250")) == 50
    assert len(events(office, "limit=100")) > 60


def test_file_travels_in_parts_and_comes_back(office: Office) -> None:
    content = bytes(range(256)) * 4000
    model = upload(office, content)
    assert model.keys() >= {"uuid", "version_uuid", "name", "size", "metadata", "_links", "created_by"}
    assert (model["size"], model["name"], model["metadata"]["extension"]) == (len(content), "Счёт №1", "pdf")
    answer = office.client.get(model["_links"]["download"]["href"].removeprefix(BASE))
    assert (answer.data, answer.content_type) == (content, "application/pdf")
    assert office.read(f"/v1.0/files/{model['uuid']}") == model


def test_attached_file_is_linked_and_noted(office: Office) -> None:
    model = upload(office, b"%PDF-1.7")
    path = "/api/v4/leads/1/files"
    assert office.call("PUT", path, json=[{"file_uuid": model["uuid"]}]).status_code == 202
    assert [f["file_uuid"] for f in office.read(path)["_embedded"]["files"]] == [model["uuid"]]
    params = {"file_uuid": model["uuid"], "version_uuid": model["version_uuid"], "file_name": "Счёт.pdf"}
    assert (
        office.post("/api/v4/leads/1/notes", [{"note_type": "attachment", "params": params}]).status_code
        == 200
    )
    shown = office.read("/api/v4/leads/1/notes")["_embedded"]["notes"][0]["params"]
    assert shown["file_uuid"] == model["uuid"] and shown["is_drive_attachment"] is True
    assert office.portal.files[next(iter(office.portal.notes.values())).file_ids[0]].content == b"%PDF-1.7"
    assert office.call("DELETE", path, json=[{"file_uuid": model["uuid"]}]).status_code == 202
    assert office.get(path).status_code == 204


def test_wrong_uploads_are_refused(office: Office) -> None:
    assert office.client.post("/v1.0/sessions", json={"file_name": "a", "file_size": 1}).status_code == 401
    for size in (0, -1, 314572801, "5"):
        assert office.post("/v1.0/sessions", {"file_name": "a", "file_size": size}).status_code == 400
    assert office.client.post("/v1.0/sessions/upload/unknown", data=b"x").status_code == 404
    session = office.post("/v1.0/sessions", {"file_name": "a", "file_size": 600_000}).get_json(force=True)
    path = session["upload_url"].removeprefix(BASE)
    assert office.client.post(path, data=b"x" * (524_288 + 1)).status_code == 413
    assert office.client.post(path, data=b"x" * 524_288).status_code == 200
    assert office.client.post(path, data=b"x").status_code == 404
    assert office.call("PUT", "/api/v4/leads/1/files", json=[{"file_uuid": "x"}]).status_code == 400


def test_chunked_body_over_a_real_server(office: Office) -> None:
    app = Flask("chunked")
    app.register_blueprint(office.amo.blueprint())
    server = create_server(app, host="127.0.0.1", port=0, threads=2)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.effective_port, timeout=5)
        chunks = iter([b'[{"name": ', '"По частям"}]'.encode()])
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v4/leads", body=chunks, headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/hal+json")
        answer.read()
        assert office.portal.deals[2].name == "По частям"
        connection.request("GET", "/api/v4/leads/77", headers=headers)
        empty = connection.getresponse()
        assert (empty.status, empty.read()) == (204, b"")
        connection.close()
    finally:
        server.close()
        thread.join(5)
