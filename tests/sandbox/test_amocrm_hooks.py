"""Webhooks of the sandbox's amoCRM: subscriptions, bodies to the byte, delivery rules on a moved clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from connector.sandbox.amocrm.delivery import next_wait
from tests.sandbox.amocrm_office import ACCOUNT_ID, ADMIN, CONTRACT, LOST, MANAGER, NEW, SALES, WON, Office
from tests.sandbox.catcher import Catcher


class Receiver(Catcher):
    """What hooks brought, read as forms."""

    @property
    def bodies(self) -> list[bytes]:
        return [caught.body for caught in self.caught]

    @property
    def headers(self) -> list[dict[str, str]]:
        return [dict(caught.headers.items()) for caught in self.caught]

    def forms(self) -> list[dict[str, str]]:
        return [dict(parse_qsl(body.decode(), keep_blank_values=True)) for body in self.bodies]

    def actions(self) -> list[str]:
        """«leads[status]» of each delivery."""
        return [next(k for k in f if not k.startswith("account")).split("[0]")[0] for f in self.forms()]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def office() -> Office:
    return Office()


def subscribe(office: Office, url: str, *codes: str) -> dict[str, Any]:
    answer = office.post("/api/v4/webhooks", {"destination": url, "settings": list(codes)})
    assert answer.status_code == 201, answer.data
    body: dict[str, Any] = answer.get_json(force=True)
    return body


def move_clock(office: Office, **by: float) -> int:
    """Move the sandbox's clock and deliver what became due; how many tries were made."""
    office.portal.time_shift += timedelta(**by)
    return office.amo.delivery.run_due()


def test_subscribing_answers_201_and_the_same_address_updates(office: Office) -> None:
    first = subscribe(office, "https://crm.example/h", "add_lead")
    again = subscribe(office, "https://crm.example/h", "status_lead", "update_lead")
    assert first.keys() == {
        *("id", "destination", "created_at", "updated_at", "account_id", "created_by", "sort"),
        *("disabled", "settings"),
    }
    assert (again["id"], again["settings"]) == (first["id"], ["status_lead", "update_lead"])
    listed = office.read("/api/v4/webhooks?filter[destination]=https://crm.example/h")
    assert listed.keys() == {"_total_items", "_embedded"} and listed["_total_items"] == 1


def test_unsubscribing_is_by_destination_and_unknown_is_404(office: Office) -> None:
    subscribe(office, "https://crm.example/h", "add_lead")
    body = {"destination": "https://crm.example/h"}
    assert office.call("DELETE", "/api/v4/webhooks", json=body).status_code == 204
    assert office.call("DELETE", "/api/v4/webhooks", json=body).status_code == 404
    assert office.get("/api/v4/webhooks").status_code == 204


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://crm.example/", "https://пример.рф/h", "https://xn--e1afmkfd.xn--p1ai/", "http://"],
)
def test_bad_destination_is_refused_as_the_live_service_does(office: Office, url: str) -> None:
    answer = office.post("/api/v4/webhooks", {"destination": url, "settings": ["add_lead"]})
    error = answer.get_json(force=True)["validation-errors"][0]["errors"][0]
    assert answer.status_code == 400
    assert (error["path"], error["detail"]) == ("destination.destination", "Invalid URL")


def test_unknown_event_code_is_refused(office: Office) -> None:
    body = {"destination": "https://crm.example/", "settings": ["lead_added"]}
    assert office.post("/api/v4/webhooks", body).status_code == 400


def test_move_body_to_the_byte(office: Office, receiver: Receiver) -> None:
    office.post(
        "/api/v4/leads", [{"name": "Test & Ко", "price": 999, "created_by": 0, "responsible_user_id": 102}]
    )
    subscribe(office, receiver.url, "status_lead")
    office.patch("/api/v4/leads/2", {"status_id": CONTRACT})
    assert office.amo.delivery.run_due() == 1
    deal = office.portal.deals[2]
    created, updated = int(deal.created_at.timestamp()), int(deal.updated_at.timestamp())
    lead = "leads%5Bstatus%5D%5B0%5D"
    assert receiver.bodies[0].decode() == "&".join(
        [
            "account%5Bsubdomain%5D=sandbox",
            f"account%5Bid%5D={ACCOUNT_ID}",
            "account%5B_links%5D%5Bself%5D=http%3A%2F%2F127.0.0.1%3A9000",
            f"{lead}%5Bid%5D=2",
            f"{lead}%5Bname%5D=Test+%26+%D0%9A%D0%BE",
            f"{lead}%5Bstatus_id%5D={CONTRACT}",
            f"{lead}%5Bold_status_id%5D={NEW}",
            f"{lead}%5Bprice%5D=999",
            f"{lead}%5Bresponsible_user_id%5D={MANAGER}",
            f"{lead}%5Blast_modified%5D={updated}",
            f"{lead}%5Bmodified_user_id%5D={ADMIN}",
            f"{lead}%5Bcreated_user_id%5D=0",
            f"{lead}%5Bdate_create%5D={created}",
            f"{lead}%5Bpipeline_id%5D={SALES}",
            f"{lead}%5Baccount_id%5D={ACCOUNT_ID}",
            f"{lead}%5Bcreated_at%5D={created}",
            f"{lead}%5Bupdated_at%5D={updated}",
        ]
    )
    headers = receiver.headers[0]
    assert headers["User-Agent"] == "amoCRM-Webhooks/3.0"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert len(headers["X-amoCRM-RequestId"]) == 36


def test_one_move_is_two_notices_when_both_are_subscribed(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "status_lead", "update_lead", "responsible_lead")
    office.patch("/api/v4/leads/1", {"status_id": WON})
    office.portal.update_deal(1, {"responsible_id": ADMIN}, by=MANAGER)
    office.amo.delivery.run_due()
    assert receiver.actions() == ["leads[status]", "leads[update]", "leads[responsible]", "leads[update]"]
    assert receiver.forms()[1]["leads[update][0][old_status_id]"] == str(NEW)
    assert "leads[update][0][old_status_id]" not in receiver.forms()[3]
    assert receiver.forms()[2]["leads[responsible][0][old_responsible_user_id]"] == str(MANAGER)


def test_body_shows_the_deal_as_it_was_at_the_change(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "status_lead")
    office.patch("/api/v4/leads/1", {"status_id": CONTRACT})
    office.patch("/api/v4/leads/1", {"status_id": LOST})
    office.amo.delivery.run_due()
    assert [f["leads[status][0][status_id]"] for f in receiver.forms()] == [str(CONTRACT), str(LOST)]


def test_absent_price_and_v2_names_of_fields(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "update_lead")
    office.patch("/api/v4/leads/1", {"price": 0, "tags_to_add": [{"name": "опт"}]})
    office.amo.delivery.run_due()
    form = receiver.forms()[0]
    lead = "leads[update][0]"
    assert f"{lead}[price]" not in form
    assert form[f"{lead}[tags][0][name]"] == "опт"
    assert form[f"{lead}[custom_fields][0][name]"] == "Источник"
    assert form[f"{lead}[custom_fields][0][values][0][value]"] == "Сайт"
    assert int(form[f"{lead}[custom_fields][0][values][0][enum]"]) > 0
    assert form[f"{lead}[custom_fields][1][values][0][value]"] == "yandex"


def test_company_travels_under_contacts_with_its_type(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "update_company", "update_contact")
    office.patch("/api/v4/companies/1", {"name": "ООО «Южный ветер»"})
    office.patch("/api/v4/contacts/1", {"last_name": "Новый"})
    office.amo.delivery.run_due()
    company, contact = receiver.forms()
    assert company["contacts[update][0][type]"] == "company"
    assert company["contacts[update][0][linked_leads_id][1][ID]"] == "1"
    assert contact["contacts[update][0][type]"] == "contact"
    assert contact["contacts[update][0][company_name]"] == "ООО «Южный ветер»"
    assert contact["contacts[update][0][old_responsible_user_id]"] == str(MANAGER)
    assert contact["contacts[update][0][custom_fields][1][code]"] == "PHONE"


def test_notes_tasks_and_deletes_have_their_own_bodies(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "note_lead", "add_task", "update_task", "delete_lead")
    office.post("/api/v4/leads/1/notes", [{"note_type": "common", "params": {"text": "привет"}}])
    office.post("/api/v4/tasks", [{"text": "т", "complete_till": 1, "entity_id": 1, "entity_type": "leads"}])
    office.patch("/api/v4/tasks/1", {"is_completed": True, "result": {"text": "готово"}})
    office.portal.delete_deal(1, by=MANAGER)
    office.amo.delivery.run_due()
    note, added, closed, deleted = receiver.forms()
    assert note["leads[note][0][note][text]"] == "привет"
    assert note["leads[note][0][note][note_type]"] == "4"
    assert added["task[add][0][complete_till]"] == "1970-01-01 03:00:01"
    assert added["task[add][0][element_type]"] == "2"
    assert closed["task[update][0][action_close]"] == "1"
    assert closed["task[update][0][result][text]"] == "готово"
    assert {k for k in deleted if "leads" in k} == {
        f"leads[delete][0][{key}]" for key in ("id", "status_id", "pipeline_id")
    }


@pytest.mark.parametrize(
    ("status", "minutes"),
    [(500, [5, 15, 15, 60]), (499, [5, 15, 15, 60]), (404, [5, 15]), (302, [5, 15]), (0, [5, 15]), (200, [])],
)
def test_retry_ladder_depends_on_the_answer(
    office: Office, receiver: Receiver, status: int, minutes: list[int]
) -> None:
    subscribe(office, receiver.url, "status_lead")
    if status == 0:
        receiver.close()
    receiver.status = status
    office.patch("/api/v4/leads/1", {"status_id": CONTRACT})
    assert office.amo.delivery.run_due() == 1
    for wait in minutes:
        assert move_clock(office, minutes=wait - 0.2) == 0
        assert move_clock(office, minutes=0.3) == 1
    assert move_clock(office, days=1) == 0
    assert [a.status for a in office.amo.delivery.attempts] == [status] * (len(minutes) + 1)
    if status == 500:
        assert len({h["X-amoCRM-RequestId"] for h in receiver.headers}) == 1


def test_no_wait_after_the_fifth_try() -> None:
    assert [next_wait(attempt, 503) is None for attempt in range(1, 7)] == [False] * 4 + [True] * 2


def test_hundred_and_one_bad_answers_switch_the_hook_off(office: Office, receiver: Receiver) -> None:
    hook = subscribe(office, receiver.url, "update_lead")
    receiver.status = 404
    for price in range(100):
        office.portal.update_deal(1, {"amount": Decimal(price)}, by=MANAGER)
    assert office.amo.delivery.run_due() == 100
    assert not office.amo.delivery.hooks[hook["id"]].disabled
    office.portal.update_deal(1, {"amount": Decimal(1000)}, by=MANAGER)
    office.amo.delivery.run_due()
    assert office.read("/api/v4/webhooks")["_embedded"]["webhooks"][0]["disabled"] is True
    assert move_clock(office, minutes=6) and len(receiver.bodies) == 101
    assert subscribe(office, receiver.url, "update_lead")["disabled"] is False


def test_old_bad_answers_are_forgotten(office: Office, receiver: Receiver) -> None:
    hook = subscribe(office, receiver.url, "update_lead")
    receiver.status = 404
    for price in range(90):
        office.portal.update_deal(1, {"amount": Decimal(price)}, by=MANAGER)
    office.amo.delivery.run_due()
    assert len(office.amo.delivery.hooks[hook["id"]].invalid_at) == 90
    office.portal.time_shift += timedelta(hours=3)
    receiver.status = 200
    office.amo.delivery.run_due()
    receiver.status = 404
    office.portal.update_deal(1, {"amount": Decimal(1000)}, by=MANAGER)
    office.amo.delivery.run_due()
    assert len(office.amo.delivery.hooks[hook["id"]].invalid_at) == 1


def test_answer_after_two_seconds_is_no_answer(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    from connector.sandbox.amocrm import delivery

    monkeypatch.setattr(delivery, "ANSWER_WITHIN_S", 0.1)
    release = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            release.wait(5)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        subscribe(office, f"http://127.0.0.1:{server.server_port}/", "status_lead")
        office.patch("/api/v4/leads/1", {"status_id": CONTRACT})
        office.amo.delivery.run_due()
        assert [a.status for a in office.amo.delivery.attempts] == [499]
    finally:
        release.set()
        server.shutdown()
        server.server_close()


def test_faults_drop_double_and_delay_deliveries(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "update_lead")
    office.faults.drop_share = 1.0
    office.portal.update_deal(1, {"amount": Decimal(1)}, by=MANAGER)
    assert office.amo.delivery.run_due() == 0
    office.faults.set(drop_share=0.0, duplicate=True, delay_s=30.0)
    office.portal.update_deal(1, {"amount": Decimal(2)}, by=MANAGER)
    assert office.amo.delivery.run_due() == 0
    assert move_clock(office, seconds=31) == 2
    assert receiver.bodies[0] == receiver.bodies[1]


def test_faults_reorder_deliveries(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "update_lead")
    office.faults.reorder = True
    for price in range(1, 21):
        office.portal.update_deal(1, {"amount": Decimal(price)}, by=MANAGER)
    move_clock(office, seconds=3)
    prices = [int(f["leads[update][0][price]"]) for f in receiver.forms()]
    assert sorted(prices) == list(range(1, 21)) and prices != sorted(prices)


def test_thread_delivers_in_order_and_stops(office: Office, receiver: Receiver) -> None:
    subscribe(office, receiver.url, "update_lead")
    office.amo.start()
    try:
        for price in range(1, 31):
            office.portal.update_deal(1, {"amount": Decimal(price)}, by=MANAGER)
        waiting = threading.Event()
        for _ in range(500):
            if not office.amo.delivery.pending():
                break
            waiting.wait(0.01)
        assert [f["leads[update][0][price]"] for f in receiver.forms()] == [str(n) for n in range(1, 31)]
    finally:
        office.amo.stop()
    office.portal.update_deal(1, {"amount": Decimal(77)}, by=MANAGER)
    assert office.amo.delivery.pending() == 1
