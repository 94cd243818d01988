"""Incoming leads: what each category may do, how they end, and what subscribers hear."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.sandbox.amocrm_office import ADMIN, CONTRACT, MANAGER, NEW, SALES, Office
from tests.sandbox.catcher import Catcher

PATH = "/api/v4/leads/unsorted"
FORM = {
    "form_id": "f1",
    "form_name": "Заявка",
    "form_page": "https://romashka.example/form",
    "ip": "192.0.2.1",
    "form_sent_at": 1_767_000_000,
    "referer": "https://search.example",
}


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    with Catcher() as made:
        yield made


def add(office: Office, category: str = "forms", **more: Any) -> dict[str, Any]:
    item = {
        "source_uid": "site-1",
        "source_name": "Сайт",
        "metadata": FORM,
        "_embedded": {"leads": [{"name": "С сайта", "price": 100}], "contacts": [{"first_name": "Гость"}]},
        **more,
    }
    answer = office.post(f"{PATH}/{category}", [item])
    assert answer.status_code == 200, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json(force=True)["_embedded"]["unsorted"][0]
    return found


def told(office: Office, catcher: Catcher) -> list[str]:
    office.amo.delivery.run_due()
    return [unquote_plus(caught.body.decode()) for caught in catcher.caught]


def subscribe(office: Office, url: str) -> None:
    codes = ["add_unsorted", "delete_unsorted"]
    assert office.post("/api/v4/webhooks", {"destination": url, "settings": codes}).status_code == 201


def test_an_enquiry_waits_with_its_contact_hidden(office: Office, catcher: Catcher) -> None:
    subscribe(office, catcher.url)
    made = add(office, pipeline_id=SALES)
    lead = office.read(f"/api/v4/leads/{made['_embedded']['leads'][0]['id']}?with=contacts")
    contact_id = lead["_embedded"]["contacts"][0]["id"]
    assert (lead["name"], lead["responsible_user_id"], lead["created_by"]) == ("С сайта", 0, 0)
    assert office.read(f"/api/v4/contacts/{contact_id}")["is_unsorted"] is True
    one = office.read(f"{PATH}/{made['uid']}")
    assert (one["category"], one["metadata"]["form_id"], one["source_uid"]) == ("forms", "f1", "site-1")
    (body,) = told(office, catcher)
    assert f"unsorted[add][0][uid]={made['uid']}" in body and f"[lead_id]={lead['id']}" in body
    assert f"[data][contacts][0][id]={contact_id}" in body and "[source_data][form_id]=f1" in body


def test_accepting_names_the_stage_and_reveals_the_contact(office: Office, catcher: Catcher) -> None:
    subscribe(office, catcher.url)
    made = add(office)
    answer = office.post(f"{PATH}/{made['uid']}/accept", {"user_id": MANAGER, "status_id": CONTRACT})
    lead_id = answer.get_json(force=True)["_embedded"]["leads"][0]["id"]
    lead = office.read(f"/api/v4/leads/{lead_id}?with=contacts")
    assert (lead["status_id"], lead["responsible_user_id"]) == (CONTRACT, MANAGER)
    contact_id = lead["_embedded"]["contacts"][0]["id"]
    assert office.read(f"/api/v4/contacts/{contact_id}")["is_unsorted"] is False
    body = told(office, catcher)[1]
    assert "unsorted[delete][0][action]=accept" in body
    assert f"[accept_result][leads][0]={lead_id}" in body
    assert f"[accept_result][contacts][0]={contact_id}" in body
    assert office.post(f"{PATH}/{made['uid']}/accept", {}).status_code == 404, "once only"


def test_declining_puts_the_lead_into_the_trash(office: Office, catcher: Catcher) -> None:
    subscribe(office, catcher.url)
    made = add(office)
    lead_id = made["_embedded"]["leads"][0]["id"]
    assert office.call("DELETE", f"{PATH}/{made['uid']}/decline", json={"user_id": ADMIN}).status_code == 200
    assert office.get(f"/api/v4/leads/{lead_id}").status_code == 204
    trash = office.read("/api/v4/leads?with=only_deleted")["_embedded"]["leads"]
    assert [row["id"] for row in trash] == [lead_id]
    body = told(office, catcher)[1]
    assert "[action]=decline" in body and f"[decline_result][leads][0]={lead_id}" in body
    assert "accept_result" not in body and "contacts" not in body


def test_a_strange_stage_is_refused(office: Office) -> None:
    made = add(office)
    assert office.post(f"{PATH}/{made['uid']}/accept", {"status_id": 5}).status_code == 400
    assert office.get(f"{PATH}/{made['uid']}").status_code == 200


def test_a_chat_is_linked_to_a_lead_that_there_is(office: Office) -> None:
    lead = next(iter(office.portal.deals.values()))
    chat = office.client.post(
        "/sandbox/api/amocrm/enquiries", json={"name": "Олег", "text": "Цена?"}
    ).get_json()
    one = office.read(f"{PATH}/{chat['uid']}")
    assert (one["category"], one["metadata"]["last_message_text"]) == ("chats", "Цена?")
    link = {"entity_id": lead.id, "entity_type": "leads", "metadata": {"contact_id": chat["contact_id"]}}
    answer = office.post(f"{PATH}/{chat['uid']}/link", {"user_id": ADMIN, "link": link})
    assert answer.get_json(force=True)["_embedded"]["leads"][0]["id"] == lead.id
    assert chat["contact_id"] in office.portal.deals[lead.id].contact_ids
    assert office.get(f"/api/v4/leads/{chat['lead_id']}").status_code == 204
    form = add(office)
    assert office.post(f"{PATH}/{form['uid']}/link", {"link": link}).status_code == 400, "chats only"
    other = office.client.post("/sandbox/api/amocrm/enquiries", json={}).get_json()
    wrong = {"link": {"entity_id": 999, "entity_type": "leads"}}
    assert office.post(f"{PATH}/{other['uid']}/link", wrong).status_code == 400


def test_the_list_is_filtered_and_the_summary_counts(office: Office) -> None:
    first, second = add(office), add(office, "sip", metadata={"phone": "+7", "duration": 5})
    rows = office.read(f"{PATH}?filter[category][]=sip&order[created_at]=desc")["_embedded"]["unsorted"]
    assert [row["uid"] for row in rows] == [second["uid"]]
    office.portal.time_shift += timedelta(seconds=100)
    office.post(f"{PATH}/{first['uid']}/accept", {})
    summary = office.read(f"{PATH}/summary")
    assert (summary["total"], summary["accepted"], summary["declined"]) == (2, 1, 0)
    assert 100 <= summary["average_sort_time"] <= 160
    assert summary["categories"]["sip"] == {"total": 1} and summary["categories"]["mail"] == {"total": 0}
    assert office.read(f"{PATH}/summary?filter[uid]={second['uid']}")["total"] == 1


def test_complex_with_metadata_is_an_enquiry_whatever_its_stage(office: Office) -> None:
    item = {
        "name": "Форма",
        "status_id": NEW,
        "pipeline_id": SALES,
        "_embedded": {"metadata": {**FORM, "category": "forms"}, "contacts": [{"first_name": "Ян"}]},
    }
    (made,) = office.post("/api/v4/leads/complex", [item]).get_json(force=True)
    lead = office.read(f"/api/v4/leads/{made['id']}")
    assert lead["status_id"] not in (NEW, CONTRACT)
    (row,) = office.read(PATH)["_embedded"]["unsorted"]
    assert row["_embedded"]["leads"][0]["id"] == made["id"] and "category" not in row["metadata"]
    item["_embedded"]["metadata"] = {"category": "mail"}  # type: ignore[index]
    assert office.post("/api/v4/leads/complex", [item]).status_code == 400
    values = [{"field_id": 1, "values": [{"value": "x"}]}] * 41
    assert office.post("/api/v4/leads/complex", [{"custom_fields_values": values}]).status_code == 400


def test_form_may_name_its_contact_with_numbers(office: Office) -> None:
    contact = {"name": 310, "first_name": "77", "last_name": 310}
    item = {
        "source_uid": "s1",
        "source_name": "Сайт",
        "metadata": FORM,
        "_embedded": {"leads": [{"name": "Окна"}], "contacts": [contact]},
    }
    made = office.post(f"{PATH}/forms", [item])
    assert made.status_code == 200, made.get_data(as_text=True)
    assert office.portal.contacts[max(office.portal.contacts)].last_name == "310"
    # Elsewhere a name is a text.
    assert office.post("/api/v4/contacts", [contact]).status_code == 400
