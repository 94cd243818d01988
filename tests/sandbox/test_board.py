"""The board's JSON: what it shows, what it changes, what it refuses."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any

import pytest
from flask.testing import FlaskClient

from connector.sandbox.generate import FIRST_CLIENT, HOSTILE_CLIENT
from connector.sandbox.state import Change, Deal, Note, StoredFile, Task
from tests.sandbox.office import Office

#: pipeline, «Встреча назначена», «Встреча проведена», lost, in each CRM's codes
CODES = {
    "amocrm": (1, "23", "24", "143"),
    "bitrix24": (0, "PREPAYMENT_INVOICE", "EXECUTING", "LOSE"),
}


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.close()


@pytest.fixture
def client(office: Office) -> FlaskClient:
    return office.flask.test_client()


def first_deal(office: Office, crm: str = "amocrm") -> Deal:
    return next(deal for deal in office.portals[crm].deals.values() if deal.name.startswith(FIRST_CLIENT))


def heard(office: Office, crm: str = "amocrm") -> list[Change]:
    changes: list[Change] = []
    office.portals[crm].listen(changes.append)
    return changes


def card(client: FlaskClient, crm: str, deal_id: int) -> tuple[str, dict[str, Any]]:
    """The stage's name and the card of a deal, as the board shows them."""
    for stage in client.get(f"/sandbox/api/{crm}/board").get_json()["stages"]:
        for found in stage["deals"]:
            if found["id"] == deal_id:
                return stage["name"], found
    raise AssertionError(f"deal {deal_id} is not on the board")


@pytest.mark.parametrize("crm", list(CODES))
def test_a_move_goes_through_the_portal_in_the_managers_name(
    office: Office, client: FlaskClient, crm: str
) -> None:
    deal, changes = first_deal(office, crm), heard(office, crm)
    pipeline_id, before, after, _ = CODES[crm]
    answer = client.post(
        f"/sandbox/api/{crm}/deals/{deal.id}/move", json={"pipeline_id": pipeline_id, "stage": after}
    )
    assert answer.status_code == 200
    [change] = changes
    assert (change.before.stage, change.after.stage) == (before, after)
    assert change.by == deal.responsible_id
    assert card(client, crm, deal.id)[0] == "Встреча проведена"
    moves = client.get(f"/sandbox/api/{crm}/deals/{deal.id}").get_json()["timeline"]
    assert moves[0]["text"] == "«Встреча назначена» → «Встреча проведена»"
    assert moves[0]["author"] == "Анна Азарова"


@pytest.mark.parametrize("crm", list(CODES))
@pytest.mark.parametrize(("reason", "shown"), [(None, None), (1, "Дорого")])
def test_a_deal_is_lost_with_a_reason_or_without(
    office: Office, client: FlaskClient, crm: str, reason: int | None, shown: str | None
) -> None:
    deal = first_deal(office, crm)
    body = {"stage": CODES[crm][3], "loss_reason_id": reason}
    assert client.post(f"/sandbox/api/{crm}/deals/{deal.id}/move", json=body).status_code == 200
    stored = office.portals[crm].deals[deal.id]
    assert stored.loss_reason_id == reason
    assert stored.closed_at is not None
    assert card(client, crm, deal.id)[1]["loss_reason"] == shown


def test_a_move_of_the_key_owners_deal_is_still_a_persons(office: Office, client: FlaskClient) -> None:
    deal = first_deal(office)
    client.patch(f"/sandbox/api/amocrm/deals/{deal.id}", json={"responsible_id": 1})
    client.post(f"/sandbox/api/amocrm/deals/{deal.id}/move", json={"stage": "24"})
    assert office.portals["amocrm"].history[-1].by == 11


def test_a_deal_moves_to_another_pipeline(office: Office, client: FlaskClient) -> None:
    deal = first_deal(office)
    client.post(f"/sandbox/api/amocrm/deals/{deal.id}/move", json={"pipeline_id": 2, "stage": "31"})
    assert office.portals["amocrm"].deals[deal.id].pipeline_id == 2
    found = client.get(f"/sandbox/api/amocrm/deals/{deal.id}").get_json()
    assert found["pipeline"] == "Повторные продажи"
    assert "воронка «Повторные продажи»" in found["timeline"][0]["text"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("post", "deals/999999/move", {"stage": "24"}, 404),
        ("post", "deals/{id}/move", {"stage": "no such"}, 404),
        ("post", "deals/{id}/move", {"stage": "143", "loss_reason_id": 77}, 400),
        ("post", "deals/{id}/move", {"stage": "24", "pipeline_id": "1"}, 400),
        ("post", "deals/{id}/move", [], 400),
        ("patch", "deals/{id}", {"amount": "сто"}, 400),
        ("patch", "deals/{id}", {"amount": "-5"}, 400),
        ("patch", "deals/{id}", {"amount": "NaN"}, 400),
        ("patch", "deals/{id}", {"stage": "24"}, 400),
        ("patch", "deals/{id}", {"responsible_id": 777}, 400),
        ("patch", "deals/{id}", {"name": "x" * 3000}, 400),
        ("post", "deals/{id}/notes", {"text": "  "}, 400),
        ("patch", "contacts/999999", {"email": "a@example.test"}, 404),
        ("patch", "companies/1", {"nickname": "x"}, 400),
        ("post", "tasks/999999/done", {}, 404),
        ("post", "deals", {"pipeline_id": 77}, 404),
        ("post", "deals", {"contact_ids": [999999]}, 400),
        ("post", "deals", {"company_id": 999999}, 404),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(
    office: Office, client: FlaskClient, method: str, path: str, body: Any, status: int
) -> None:
    changes = heard(office)
    answer = getattr(client, method)(
        f"/sandbox/api/amocrm/{path.format(id=first_deal(office).id)}", json=body
    )
    assert answer.status_code == status
    assert answer.get_json()["error"]
    assert not changes


def test_an_unknown_crm_is_not_found(client: FlaskClient) -> None:
    assert client.get("/sandbox/api/otherm/board").status_code == 404
    assert client.get("/board/otherm").status_code == 404


@pytest.mark.parametrize("amount", ["250000", "250 000,00", "250\u00a0000.00"])
def test_rows_follow_an_edited_amount(office: Office, client: FlaskClient, amount: str) -> None:
    deal = first_deal(office)
    assert client.patch(f"/sandbox/api/amocrm/deals/{deal.id}", json={"amount": amount}).status_code == 200
    stored = office.portals["amocrm"].deals[deal.id]
    assert stored.amount == sum(row.price * row.quantity for row in stored.rows) == Decimal(250_000)


def test_an_amount_below_the_other_rows_leaves_one_row(office: Office, client: FlaskClient) -> None:
    portal = office.portals["amocrm"]
    deal = next(deal for deal in portal.deals.values() if len(deal.rows) == 3 and not deal.is_deleted)
    client.patch(f"/sandbox/api/amocrm/deals/{deal.id}", json={"amount": "0.01"})
    [row] = portal.deals[deal.id].rows
    assert row.price == Decimal("0.01")


def test_an_address_is_filled_in_and_taken_away(office: Office, client: FlaskClient) -> None:
    portal, changes = office.portals["amocrm"], heard(office)
    contact = next(contact for contact in portal.contacts.values() if not contact.emails)
    path = f"/sandbox/api/amocrm/contacts/{contact.id}"
    assert client.patch(path, json={"email": " ivan@example.test "}).status_code == 200
    assert portal.contacts[contact.id].emails == ["ivan@example.test"]
    assert [(change.entity, change.fields) for change in changes] == [("contact", ("emails",))]
    client.patch(path, json={"email": ""})
    assert portal.contacts[contact.id].emails == []


def test_requisites_are_edited_one_by_one(office: Office, client: FlaskClient) -> None:
    portal = office.portals["bitrix24"]
    company = next(one for one in portal.companies.values() if one.requisites and one.requisites.inn)
    assert company.requisites is not None
    path = f"/sandbox/api/bitrix24/companies/{company.id}"
    client.patch(path, json={"inn": "9901000073", "name": "ООО «Лютик»"})
    changed = portal.companies[company.id]
    assert changed.requisites is not None
    assert (changed.name, changed.requisites.inn) == ("ООО «Лютик»", "9901000073")
    assert changed.requisites.account == company.requisites.account
    assert company.requisites.inn != "9901000073", "the state before the change stays as it was"


def test_what_the_connector_leaves_is_seen_in_the_deal(office: Office, client: FlaskClient) -> None:
    portal, deal = office.portals["amocrm"], first_deal(office)
    now = portal.now()
    quiet = card(client, "amocrm", deal.id)[1]
    file = portal.add_file(StoredFile(0, "secret-uuid", "Договор № 1.pdf", "application/pdf", b"%PDF-1.7"))
    note = Note(0, "deal", deal.id, "attachment", "Договор № 1.pdf", 1, now, now, file_ids=[file.id])
    portal.add("note", note, by=1)
    task = Task(
        0, "Обсудить договор", deal.responsible_id, now + timedelta(days=1), "deal", deal.id, 1, now, now
    )
    portal.add("task", task, by=1)
    office.mailbox.start()
    letter = EmailMessage()
    letter["Subject"], letter["From"] = "Договор", "sales@example.ru"
    letter["To"] = portal.contacts[deal.contact_ids[0]].emails[0]
    letter.set_content("Здравствуйте!")
    with smtplib.SMTP(office.mailbox.smtp_host, office.mailbox.smtp_port, timeout=5) as server:
        server.send_message(letter)

    loud = card(client, "amocrm", deal.id)[1]
    assert [loud[key] - quiet[key] for key in ("files", "tasks", "letters")] == [1, 1, 1]
    found = client.get(f"/sandbox/api/amocrm/deals/{deal.id}").get_json()
    newest = {entry["kind"]: entry for entry in found["timeline"][:2]}
    assert newest["letter"]["text"] == "Договор"
    assert newest["attachment"]["author"] == "Ольга Огнева, через API"
    assert newest["attachment"]["text"] == ""
    [chip] = newest["attachment"]["files"]
    assert chip["name"] == "Договор № 1.pdf"
    answer = client.get(chip["url"])
    assert (answer.data, answer.mimetype) == (b"%PDF-1.7", "application/pdf")
    assert "Обсудить договор" in [one["text"] for one in found["tasks"] if not one["is_done"]]


def test_a_task_is_done_and_opened_again(office: Office, client: FlaskClient) -> None:
    portal, deal = office.portals["amocrm"], first_deal(office)
    task = next(one for one in portal.tasks.values() if one.entity_id == deal.id and not one.is_done)
    client.post(f"/sandbox/api/amocrm/tasks/{task.id}/done", json={"result": "Позвонил"})
    assert portal.tasks[task.id].is_done
    assert portal.tasks[task.id].result == "Позвонил"
    client.post(f"/sandbox/api/amocrm/tasks/{task.id}/done", json={"is_done": False})
    assert not portal.tasks[task.id].is_done


def test_a_deleted_note_leaves_the_timeline(office: Office, client: FlaskClient) -> None:
    portal, deal = office.portals["amocrm"], first_deal(office)
    path = f"/sandbox/api/amocrm/deals/{deal.id}"
    client.post(f"{path}/notes", json={"text": "Черновик"})
    assert client.get(path).get_json()["timeline"][0]["text"] == "Черновик"
    portal.delete("note", max(portal.notes), by=1)
    assert "Черновик" not in [entry["text"] for entry in client.get(path).get_json()["timeline"]]


def test_a_new_deal_comes_with_a_client_in_good_order(office: Office, client: FlaskClient) -> None:
    changes = heard(office)
    answer = client.post(
        "/sandbox/api/amocrm/deals",
        json={"company": "ООО «Лютик»", "amount": 1000, "contact_email": "l@example.test", "stage": "24"},
    )
    assert answer.status_code == 201
    found = answer.get_json()
    assert (found["stage_name"], found["amount"]) == ("Встреча проведена", "1000.00")
    assert found["contacts"][0]["emails"] == ["l@example.test"]
    assert found["company"]["requisites"]["inn"]
    assert [row["sum"] for row in found["rows"]] == ["1000.00"]
    assert [(change.entity, change.action) for change in changes] == [
        ("company", "add"), ("contact", "add"), ("deal", "add"),
    ]  # fmt: skip


def test_a_new_deal_begins_in_the_first_working_stage(client: FlaskClient) -> None:
    for crm in CODES:
        found = client.post(f"/sandbox/api/{crm}/deals", json={}).get_json()
        assert (found["stage_name"], found["amount"]) == ("Новая заявка", None)


def test_a_deal_without_a_contact_can_be_made(client: FlaskClient) -> None:
    found = client.post("/sandbox/api/bitrix24/deals", json={"contact_ids": [], "amount": 5}).get_json()
    assert found["contacts"] == []
    assert card(client, "bitrix24", found["id"])[1]["has_email"] is False


def test_a_deleted_deal_leaves_the_board(office: Office, client: FlaskClient) -> None:
    deal = first_deal(office)
    assert client.delete(f"/sandbox/api/amocrm/deals/{deal.id}").status_code == 204
    assert client.get(f"/sandbox/api/amocrm/deals/{deal.id}").status_code == 404
    assert client.delete(f"/sandbox/api/amocrm/deals/{deal.id}").status_code == 404


def test_column_heads_count_all_deals_and_money(office: Office, client: FlaskClient) -> None:
    portal = office.portals["amocrm"]
    for stage in client.get("/sandbox/api/amocrm/board").get_json()["stages"]:
        deals = [
            deal
            for deal in portal.deals.values()
            if (deal.pipeline_id, deal.stage) == (1, stage["code"]) and not deal.is_deleted
        ]
        assert stage["count"] == len(deals)
        assert Decimal(stage["amount"]) == sum(deal.amount or 0 for deal in deals)


def test_revision_grows_with_every_change(office: Office, client: FlaskClient) -> None:
    before = client.get("/sandbox/api/revision").get_json()
    client.post(f"/sandbox/api/amocrm/deals/{first_deal(office).id}/notes", json={"text": "Привет"})
    after = client.get("/sandbox/api/revision").get_json()
    assert after["amocrm"] > before["amocrm"]
    assert (after["bitrix24"], after["mail"]) == (before["bitrix24"], before["mail"])


def test_notices_are_shown_without_markup(office: Office, client: FlaskClient) -> None:
    office.portals["bitrix24"].add_notice(1, "[b]План[/b]: 71 %[br][url=https://example.test/r]Отчёт[/url]")
    [notice] = client.get("/sandbox/api/bitrix24/notices").get_json()
    assert notice["user"] == "Ольга Огнева"
    assert notice["text"] == "План: 71 %\nОтчёт https://example.test/r"


def test_an_outgoing_webhook_is_made_by_hand(office: Office, client: FlaskClient) -> None:
    path = "/sandbox/api/bitrix24/webhooks"
    made = client.post(path, json={"url": "http://127.0.0.1:1/hook", "events": ["ONCRMDEALUPDATE"]})
    assert made.status_code == 201
    assert office.webhooks == [("http://127.0.0.1:1/hook", ["ONCRMDEALUPDATE"])]
    for wrong in ({"url": "ftp://x", "events": ["A"]}, {"url": "http://x", "events": []}, {"events": ["A"]}):
        assert client.post(path, json=wrong).status_code == 400


@pytest.mark.parametrize("path", ["/board/amocrm", "/board/bitrix24", "/board/amocrm/deals/1001", "/mail"])
def test_pages_load_nothing_from_elsewhere(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for outside in ("http://", "https://", "//fonts"):
        assert outside not in answer.text.replace("http://www.w3.org/", "")


def test_links_of_the_demo_stand_on_every_page(office: Office, client: FlaskClient) -> None:
    office.board.links.append(("Коннектор", "http://127.0.0.1:8080/"))
    for path in ("/board/amocrm", "/mail"):
        assert 'href="http://127.0.0.1:8080/"' in client.get(path).text


def test_a_hostile_name_is_only_text(office: Office, client: FlaskClient) -> None:
    deal = next(one for one in office.portals["amocrm"].deals.values() if one.name.startswith(HOSTILE_CLIENT))
    assert "<script>" not in client.get(f"/board/amocrm/deals/{deal.id}").text.replace(
        '<script type="module"', ""
    )
    answer = client.get(f"/sandbox/api/amocrm/deals/{deal.id}")
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
