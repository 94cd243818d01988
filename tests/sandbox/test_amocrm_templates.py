"""Chat templates, customers' tags and segments, duplicate control, what hooks tell of enquiries."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

from connector.sandbox.amocrm import Switches
from connector.sandbox.amocrm.hook_bodies import Notice, form
from connector.sandbox.state import Change
from tests.sandbox.amocrm_office import ADMIN, Office

A = "/api/v4"


def heard(office: Office) -> list[dict[str, str]]:
    """Forms of all that is announced from now on, as they fill."""
    forms: list[dict[str, str]] = []

    def hear(code: str, body: object) -> None:
        sent = form(office.amo.world, Notice(code, body=body))  # type: ignore[arg-type]
        forms.append(dict(parse_qsl(sent.decode(), keep_blank_values=True)))

    office.amo.world.announce = hear
    return forms


def with_phone(name: str, phone: str) -> dict[str, object]:
    return {"name": name, "custom_fields_values": [{"field_code": "PHONE", "values": [{"value": phone}]}]}


def twin(office: Office, phone: str) -> tuple[int, bool]:
    """A deal with a contact of that phone; the contact it got and whether it was merged."""
    body = [{"name": "Заявка", "_embedded": {"contacts": [with_phone("П.", phone)]}}]
    row = office.post(f"{A}/leads/complex", body).get_json(force=True)[0]
    return row["contact_id"], row["merged"]


def test_a_chat_template_lives_and_its_review_is_told() -> None:
    office = Office()
    assert office.get(f"{A}/chats/templates").status_code == 204
    body = {"name": "Привет", "content": "Здравствуйте", "type": "waba"}
    answer = office.post(f"{A}/chats/templates", [body])
    row = answer.get_json(force=True)["_embedded"]["chat_templates"][0]
    forms = heard(office)
    assert office.post(f"{A}/chats/templates/{row['id']}/review", {"source_id": 7}).status_code == 200
    told = [forms[0][f"add[0][{name}]"] for name in ("id", "reviews][0][status", "is_on_review")]
    assert told == [str(row["id"]), "review", "1"]
    review = f"{A}/chats/templates/{row['id']}/review/{forms[0]['add[0][reviews][0][id]']}"
    assert office.post(review, {"status": "approved"}).get_json(force=True)["status"] == "approved"
    assert office.read(f"{A}/chats/templates/{row['id']}")["is_on_review"] is False
    assert office.post(review, {"status": "perhaps"}).status_code == 400
    changed = office.patch(f"{A}/chats/templates/{row['id']}", {"content": "Добрый день"})
    assert changed.get_json(force=True)["content"] == "Добрый день"
    assert office.call("DELETE", f"{A}/chats/templates/{row['id']}").status_code == 204
    assert office.get(f"{A}/chats/templates/{row['id']}").status_code == 404
    gone = office.call("DELETE", f"{A}/chats/templates", json=[{"id": row["id"]}])
    assert gone.status_code == 400
    assert office.post(f"{A}/chats/templates", [{"name": "x"}]).status_code == 400


def test_customers_have_tags_and_segments() -> None:
    office = Office()
    office.patch(f"{A}/customers/mode", {"mode": "segments", "is_enabled": True})
    segment = office.post(f"{A}/customers/segments", [{"name": "Оптовики"}])
    number = segment.get_json(force=True)["_embedded"]["segments"][-1]["id"]
    body = {"name": "Пекарня", "tags_to_add": [{"name": "хлеб"}], "_embedded": {"segments": [{"id": number}]}}
    made = office.post(f"{A}/customers", [body]).get_json(force=True)["_embedded"]["customers"][0]["id"]
    embedded = office.read(f"{A}/customers/{made}")["_embedded"]
    assert [tag["name"] for tag in embedded["tags"]] == ["хлеб"]
    assert [row["id"] for row in embedded["segments"]] == [number]
    assert office.read(f"{A}/customers/tags")["_embedded"]["tags"][0]["name"] == "хлеб"
    assert office.patch(f"{A}/customers/segments/{number}", {"name": "Розница"}).status_code == 200
    assert office.read(f"{A}/customers/segments/{number}")["name"] == "Розница"
    assert office.get(f"{A}/customers/custom_fields").status_code == 204
    strange = {"_embedded": {"segments": [{"id": 9999}]}}
    assert office.patch(f"{A}/customers/{made}", strange).status_code == 400


def test_duplicate_control_takes_the_known_contact_for_the_new_one_when_it_is_on() -> None:
    assert twin(Office(), "8 (916) 000-00-01") == (2, False)
    office = Office(switches=Switches(duplicate_control=True))
    assert twin(office, "8 (916) 000-00-01") == (1, True)
    assert twin(office, "+7 916 999-99-99") == (2, False)
    for _ in range(3):
        office.post(f"{A}/contacts", [with_phone("Т", "+79160000001")])
    assert twin(office, "+79160000001")[1] is False


def test_the_account_declines_its_word_for_leads() -> None:
    names = Office().read(f"{A}/account?with=entity_names")["entity_names"]["leads"]
    assert names["ru"]["plural_form"]["genitive"] == "сделок"
    assert names["en"]["singular_form"] == {"default": "lead"}


def test_an_enquiry_from_a_chat_is_told_as_captured() -> None:
    office = Office()
    forms = heard(office)
    office.post("/sandbox/api/amocrm/enquiries", {"text": "Есть кофе?", "name": "Гость"})
    chat = next(f for f in forms if f.get("unsorted[add][0][category]") == "chats")
    assert chat["unsorted[add][0][source_data][data][0][text]"] == "Есть кофе?"
    assert chat["unsorted[add][0][source]"] == "telegram:bot"
    assert "unsorted[add][0][data][leads][0][id]" not in chat


def test_an_enquiry_from_a_form_is_told_as_documented() -> None:
    office = Office()
    forms = heard(office)
    metadata = {
        "form_id": "f1",
        "form_name": "Сайт",
        "form_page": "https://e.example",
        "form_sent_at": 1590830520,
        "ip": "10.0.0.1",
        "referer": "https://g.example",
    }
    item = {"source_name": "Сайт", "source_uid": "s", "created_at": 1590830520, "metadata": metadata}
    office.post(f"{A}/leads/unsorted/forms", [{**item, "_embedded": {"leads": [{"name": "Заявка"}]}}])
    (sent,) = [f for f in forms if f.get("unsorted[add][0][category]") == "forms"]
    told = [sent[f"unsorted[add][0][source_data][{name}]"] for name in ("form_type", "origin][ip")]
    assert told == ["1", "10.0.0.1"]
    assert sent["unsorted[add][0][data][leads][0][created_user_id]"] == "0"


def test_a_note_tells_who_made_it() -> None:
    office, changes = Office(), list[Change]()
    office.portal.listen(changes.append)
    office.post(f"{A}/leads/notes", [{"entity_id": 1, "note_type": "common", "params": {"text": "x"}}])
    sent = form(office.amo.world, Notice("note_lead", changes[-1])).decode()
    metadata = json.loads(dict(parse_qsl(sent))["leads[note][0][note][metadata]"])
    assert metadata["event_source"] == {"id": ADMIN, "author_name": "Анна Админова", "type": "user"}


def test_a_refused_address_of_a_webhook_has_no_type() -> None:
    answer = Office().post(f"{A}/webhooks", {"destination": "nonsense", "settings": ["add_lead"]})
    body = answer.get_json(force=True)
    assert "type" not in body and body["status"] == 400
