"""What the sandbox's CRMs send on their own is understood by the parsers of the real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connector.crm import CRMS
from connector.crm.base import WebhookBody
from connector.crm.bitrix24.subscription import EVENTS
from connector.domain import CrmEvent, EventKind
from tests.contract.office import Office, fresh_deal


class Receiver:
    """An address that takes deliveries and keeps what the CRM's own parser reads in them."""

    def __init__(self, crm: str) -> None:
        self.bodies: list[WebhookBody] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(CRMS[crm].parse_webhook(raw, self.headers["Content-Type"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def wait_for(self, wanted: Callable[[CrmEvent], bool], timeout_s: float = 10) -> CrmEvent:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for body in list(self.bodies):
                for event in body.events:
                    if wanted(event):
                        return event
            time.sleep(0.05)
        raise AssertionError(f"not among {[body.events for body in self.bodies]}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(office: Office) -> Iterator[Receiver]:
    receiver = Receiver(office.crm)
    subscription = office.client.subscribe(receiver.url)
    if subscription.manual_steps:
        office.sandbox.bitrix24.add_outgoing_webhook(receiver.url, list(EVENTS))
    yield receiver
    receiver.close()


def test_a_deals_life_is_told(office: Office, receiver: Receiver) -> None:
    deal = fresh_deal(office)
    deal_id = str(deal.id)
    receiver.wait_for(lambda e: (e.kind, e.entity_id) == (EventKind.DEAL_ADDED, deal_id))
    stages = [stage.code for stage in office.portal.pipelines[deal.pipeline_id].stages]
    office.portal.update_deal(deal.id, {"stage": next(code for code in stages if code != deal.stage)}, by=2)
    moved = {
        "amocrm": EventKind.DEAL_STAGE_CHANGED,
        # The stage is in no notice of Bitrix24.
        "bitrix24": EventKind.DEAL_CHANGED,
    }
    receiver.wait_for(lambda e: (e.kind, e.entity_id) == (moved[office.crm], deal_id))
    office.portal.delete_deal(deal.id, by=2)
    receiver.wait_for(lambda e: (e.kind, e.entity_id) == (EventKind.DEAL_DELETED, deal_id))
    told = office.sandbox.describe()[office.crm]
    for body in receiver.bodies:
        assert body.account_id == str(told.get("account_id", told.get("member_id")))
        assert body.token == told.get("application_token", "")


def test_changes_of_clients_are_told(office: Office, receiver: Receiver) -> None:
    contact_id, company_id = next(iter(office.portal.contacts)), next(iter(office.portal.companies))
    office.portal.update("contact", contact_id, {"post": "Технолог"}, by=2)
    office.portal.update("company", company_id, {"name": "ООО «Новое имя»"}, by=2)
    receiver.wait_for(lambda e: (e.kind, e.entity_id) == (EventKind.CONTACT_CHANGED, str(contact_id)))
    receiver.wait_for(lambda e: (e.kind, e.entity_id) == (EventKind.COMPANY_CHANGED, str(company_id)))


def test_a_doubled_delivery_has_one_key(office: Office, receiver: Receiver) -> None:
    office.sandbox.faults.duplicate = True
    deal_id = str(fresh_deal(office).id)
    event = receiver.wait_for(lambda e: (e.kind, e.entity_id) == (EventKind.DEAL_ADDED, deal_id))
    until = time.monotonic() + 10
    same: list[CrmEvent] = []
    while time.monotonic() < until and len(same) < 2:
        same = [e for body in receiver.bodies for e in body.events if e.dedup == event.dedup]
        time.sleep(0.05)
    assert len(same) >= 2
