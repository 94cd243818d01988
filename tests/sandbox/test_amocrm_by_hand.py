"""What people do beside the API, seen from outside: chats, the digital pipeline, deletions, merges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import ACCOUNT_ID, CONTRACT, NEW, SALES, Office
from tests.sandbox.catcher import Catcher

API = "/sandbox/api/amocrm"


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    with Catcher() as made:
        yield made


def act(office: Office, name: str, **body: Any) -> Any:
    answer = office.client.post(f"{API}/{name}", json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def subscribe(office: Office, url: str, *codes: str) -> None:
    body = {"destination": url, "settings": list(codes)}
    assert office.post("/api/v4/webhooks", body).status_code == 201


def bodies(office: Office, catcher: Catcher) -> list[str]:
    """What was delivered, decoded, in order."""
    office.amo.delivery.run_due()
    return [unquote_plus(caught.body.decode()) for caught in catcher.caught]


def ids(office: Office) -> tuple[int, int]:
    deal = next(iter(office.portal.deals.values()))
    return deal.id, deal.contact_ids[0]


def events(office: Office, *types: str) -> list[dict[str, Any]]:
    answer = office.get("/api/v4/events?" + "&".join(f"filter[type][]={t}" for t in types))
    return answer.get_json(force=True)["_embedded"]["events"] if answer.status_code == 200 else []


def test_a_customers_message_opens_a_talk_and_is_told(office: Office, catcher: Catcher) -> None:
    lead, contact = ids(office)
    subscribe(office, catcher.url, "add_talk", "update_talk", "add_message", "add_outgoing_message")
    first = act(office, "messages", contact_id=contact, lead_id=lead, text="Где счёт?")
    voice = {
        "type": "voice",
        "link": "https://amojo.amocrm.ru/attachments/x/note.ogg",
        "file_name": "note.ogg",
    }
    act(office, "messages", contact_id=contact, lead_id=lead, text="", attachment=voice)
    act(office, "messages", contact_id=contact, lead_id=lead, text="Отправил", is_outgoing=True)
    told = bodies(office, catcher)
    kinds = [re.findall(r"&(\w+\[\w+\])\[0\]", body)[0] for body in told]
    assert kinds == [
        *("talk[add]", "message[add]"),
        *("talk[update]", "message[add]"),
        *("talk[update]", "outgoing_message[add]"),
    ]
    message = told[1]
    assert "message[add][0][element_type]=2" in message and f"[entity_id]={lead}" in message
    assert "[author][type]=external" in message and "[type]=incoming" in message
    assert "[message_type]=voice" in told[3] and "[attachment][file_name]=note.ogg" in told[3]
    assert "[recipient][type]=external" in told[5] and "element_id" not in told[5]
    talk = office.read(f"/api/v4/talks/{first['talk_id']}")
    assert (talk["is_in_work"], talk["is_read"], talk["entity_id"]) == (True, True, lead)
    assert [row["talk_id"] for row in office.read("/api/v4/talks")["_embedded"]["talks"]] == [talk["talk_id"]]
    seen = events(office, "incoming_chat_message", "outgoing_chat_message")
    assert [e["type"] for e in seen].count("incoming_chat_message") == 2
    assert all(e["linked_talk_contact_id"] == contact and e["entity_type"] == "lead" for e in seen)


def test_a_chat_without_a_lead_has_no_element_keys(office: Office, catcher: Catcher) -> None:
    subscribe(office, catcher.url, "add_message")
    act(office, "messages", contact_id=ids(office)[1], text="Здравствуйте")
    (body,) = bodies(office, catcher)
    assert "element" not in body and "entity" not in body


def test_a_closed_talk_cannot_be_closed_again(office: Office) -> None:
    talk = act(office, "messages", contact_id=ids(office)[1], text="?")["talk_id"]
    path = f"/api/v4/talks/{talk}/close"
    assert office.post(path, {"force_close": True}).status_code == 202
    again = office.post(path, {"force_close": True})
    assert (again.status_code, again.get_json(force=True)["title"]) == (422, "Unprocessable Entity")
    assert office.post("/api/v4/talks/5/close", {}).status_code == 404
    assert act(office, "messages", contact_id=ids(office)[1], text="!")["talk_id"] != talk


def test_chats_are_linked_to_contacts(office: Office) -> None:
    contact = ids(office)[1]
    chat = "6cbab3d5-c4c1-46ff-b710-ad59ad10805f"
    path = "/api/v4/contacts/chats"
    assert office.get(path).status_code == 204
    made = office.post(path, [{"contact_id": contact, "chat_id": chat}]).get_json(force=True)
    (row,) = office.read(f"{path}?chat_id={chat}")["_embedded"]["chats"]
    assert row == {k: v for k, v in made["_embedded"]["chats"][0].items() if k != "request_id"}
    assert office.get(f"{path}?contact_id=5").status_code == 204
    assert office.post(path, [{"contact_id": 5, "chat_id": chat}]).status_code == 400
    assert act(office, "messages", contact_id=contact, text="тот же чат")["chat_id"] == chat


def test_a_stages_trigger_sends_the_short_body_once(office: Office, catcher: Catcher) -> None:
    lead, _ = ids(office)
    catcher.status = 500
    act(office, "pipeline-hooks", url=catcher.url, pipeline_id=SALES, status_id=CONTRACT)
    office.patch(f"/api/v4/leads/{lead}", {"status_id": CONTRACT})
    assert bodies(office, catcher) == [
        f"leads[status][0][id]={lead}&leads[status][0][status_id]={CONTRACT}"
        f"&leads[status][0][pipeline_id]={SALES}&leads[status][0][old_status_id]={NEW}"
        f"&leads[status][0][old_pipeline_id]={SALES}&account[id]={ACCOUNT_ID}&account[subdomain]=sandbox"
    ]
    office.portal.time_shift += timedelta(hours=2)
    assert len(bodies(office, catcher)) == 1, "never repeated"
    assert office.get("/api/v4/webhooks").status_code == 204, "and seen in no list"


def test_triggers_of_creation_calls_letters_and_chats(office: Office, catcher: Catcher) -> None:
    lead, contact = ids(office)
    actions = ["add", "call_in", "chat", "mail_in"]
    act(office, "pipeline-hooks", url=catcher.url, pipeline_id=SALES, status_id=NEW, actions=actions)
    office.post("/api/v4/leads", [{"name": "Новая", "status_id": NEW, "pipeline_id": SALES}])
    call = {"uniq": "1", "duration": 1, "source": "АТС", "phone": "+7"}
    office.post(f"/api/v4/leads/{lead}/notes", [{"note_type": "call_in", "params": call}])
    act(office, "messages", contact_id=contact, lead_id=lead, text="?")
    told = bodies(office, catcher)
    assert [re.match(r"leads\[(\w+)\]", body)[1] for body in told] == ["add", "call_in", "chat"]  # type: ignore[index]
    assert all("old_" not in body for body in told)


def test_triggers_of_widgets_have_their_own_body(office: Office, catcher: Catcher) -> None:
    lead, _ = ids(office)
    act(office, "pipeline-hooks", url=catcher.url, pipeline_id=SALES, status_id=CONTRACT, is_widget=True)
    office.patch(f"/api/v4/leads/{lead}", {"status_id": CONTRACT})
    (body,) = bodies(office, catcher)
    assert body.startswith("event[type]=15&event[type_code]=lead_appeared_in_status")
    assert body.endswith(f"&subdomain=sandbox&account_id={ACCOUNT_ID}")


def test_kommo_repeats_triggers(catcher: Catcher) -> None:
    office = Office(switches=Switches(pipeline_hooks_retry=True))
    catcher.status = 500
    act(office, "pipeline-hooks", url=catcher.url, pipeline_id=SALES, status_id=NEW)
    office.post("/api/v4/leads", [{"name": "Новая", "status_id": NEW, "pipeline_id": SALES}])
    assert len(bodies(office, catcher)) == 1
    office.portal.time_shift += timedelta(minutes=6)
    assert len(bodies(office, catcher)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ftp://x", "pipeline_id": SALES, "status_id": NEW},
        {"url": "http://x.example", "pipeline_id": SALES, "status_id": 5},
        {"url": "http://x.example", "pipeline_id": SALES, "status_id": NEW, "actions": ["dance"]},
    ],
)
def test_wrong_triggers_are_refused(office: Office, wrong: dict[str, Any]) -> None:
    assert office.client.post(f"{API}/pipeline-hooks", json=wrong).status_code == 400


def test_deletions_restorations_and_merges_leave_their_traces(office: Office, catcher: Catcher) -> None:
    lead, contact = ids(office)
    codes = ("delete_lead", "restore_lead", "delete_contact", "delete_task", "update_lead")
    subscribe(office, catcher.url, *codes)
    act(office, "entities/delete", entity="leads", id=lead)
    assert office.get(f"/api/v4/leads/{lead}").status_code == 204
    act(office, "entities/restore", entity="leads", id=lead)
    assert office.read(f"/api/v4/leads/{lead}")["is_deleted"] is False
    task = office.post("/api/v4/tasks", [{"text": "Дело", "complete_till": 1800000000}]).get_json(force=True)
    act(office, "entities/delete", entity="tasks", id=task["_embedded"]["tasks"][0]["id"])
    other = office.post("/api/v4/contacts", [{"name": "Двойник"}]).get_json(force=True)
    double = other["_embedded"]["contacts"][0]["id"]
    act(office, "entities/merge", entity="contacts", id=double, into=contact)
    told = bodies(office, catcher)
    kinds = [re.findall(r"&(\w+\[\w+\])\[0\]", body)[0] for body in told]
    assert kinds == ["leads[delete]", "leads[restore]", "task[delete]", "contacts[delete]"]
    assert "[type]=contact" in told[3]
    seen = events(office, "lead_deleted", "lead_restored", "contact_deleted", "entity_merged")
    assert {e["type"] for e in seen} == {"lead_deleted", "lead_restored", "contact_deleted", "entity_merged"}
    merged = next(e for e in seen if e["type"] == "entity_merged")
    assert (merged["entity_id"], merged["value_after"], merged["value_before"]) == (contact, [], [])
    for wrong in ({"entity": "robots", "id": 1}, {"entity": "leads", "id": 999}, {"entity": "leads"}):
        assert office.client.post(f"{API}/entities/delete", json=wrong).status_code == 400


def test_a_deleted_note_is_an_event(office: Office) -> None:
    lead, _ = ids(office)
    note = office.post(f"/api/v4/leads/{lead}/notes", [{"note_type": "common", "params": {"text": "х"}}])
    note_id = note.get_json(force=True)["_embedded"]["notes"][0]["id"]
    act(office, "entities/delete", entity="notes", id=note_id)
    (event,) = events(office, "common_note_deleted")
    assert event["value_after"] == [{"note": {"id": note_id}}]


def test_the_account_block_may_come_last(catcher: Catcher) -> None:
    office = Office(switches=Switches(account_block_last=True))
    subscribe(office, catcher.url, "add_lead")
    office.post("/api/v4/leads", [{"name": "Новая"}])
    (body,) = bodies(office, catcher)
    assert body.startswith("leads[add][0][id]=") and "&account[subdomain]=sandbox&account[id]=" in body


@pytest.mark.parametrize("keeps", [True, False])
def test_retries_keep_their_request_id_by_switch(catcher: Catcher, keeps: bool) -> None:
    office = Office(switches=Switches(retries_keep_request_id=keeps))
    catcher.status = 500
    subscribe(office, catcher.url, "add_lead")
    office.post("/api/v4/leads", [{"name": "Новая"}])
    office.amo.delivery.run_due()
    office.portal.time_shift += timedelta(minutes=6)
    office.amo.delivery.run_due()
    first, second = (caught.headers["x-amocrm-requestid"] for caught in catcher.caught)
    assert (first == second) is keeps


#: Values as the documents word them (reference 5), of types that no change of the portal brings about.
VALUES = {
    "nps_rate_added": [{"nps": {"rate": 7}}],
    "robot_replied": [{"helpbot": {"id": 145}}],
    "intent_identified": [{"helpbot": {"id": 145}}],
    "entity_direct_message": [{"message": {"id": "1508b51c-aab0-428e-9322-611d847ae747"}}],
    "lead_linked": [{"link": {"entity": {"type": "lead", "id": 6232965}}}],
    "targeting_in_note_added": [{"note": {"id": 1}}],
    "key_action_completed": [],
}


@pytest.mark.parametrize(("kind", "after"), VALUES.items())
def test_any_event_of_the_documents_can_happen(office: Office, kind: str, after: list[Any]) -> None:
    contact = ids(office)[1]
    act(office, "events", type=kind, entity="contact", id=contact, after=after)
    (event,) = events(office, kind)
    assert (event["entity_type"], event["entity_id"], event["created_by"]) == ("contact", contact, 0)
    assert (event["value_after"], event["value_before"]) == (after, [])
    assert event["_links"]["self"]["href"].endswith(event["id"])


def test_unknown_events_are_refused(office: Office) -> None:
    for wrong in (
        {"type": "dance", "entity": "lead", "id": 1},
        {"type": "nps_rate_added", "entity": "robot", "id": 1},
        {"type": "nps_rate_added", "entity": "lead", "id": 1, "after": "x"},
    ):
        assert office.client.post(f"{API}/events", json=wrong).status_code == 400
