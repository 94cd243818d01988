"""Salesbots: both addresses of a run, the backend that a bot asks, and what the backend sends back."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.amocrm_office import NEW, Office
from tests.sandbox.catcher import Catcher
from tests.sandbox.test_amocrm_oauth import claims

BOTS = "/api/v4/bots"


@pytest.fixture
def office() -> Office:
    return Office()


def deal_id(office: Office) -> int:
    return next(d.id for d in office.portal.deals.values() if d.stage == str(NEW))


def test_bots_are_listed_and_filtered(office: Office) -> None:
    bots = office.read(f"{BOTS}?with=favorite")["_embedded"]["items"]
    assert [bot["type_functionality"] for bot in bots] == ["greeting", "regular", "nps"]
    assert bots[2]["settings"] == {"active": False} and bots[0]["is_visual_editor"] is True
    some = office.read(f"{BOTS}?filter[id][]={bots[1]['id']}&filter[type_functionality][]=regular")
    assert [bot["id"] for bot in some["_embedded"]["items"]] == [bots[1]["id"]]
    assert office.get(f"{BOTS}/1").status_code == 404
    assert office.get(f"{BOTS}?filter[type_functionality]=marketing").status_code == 204


def test_both_addresses_start_bots(office: Office) -> None:
    lead = deal_id(office)
    assert office.post(f"{BOTS}/566/run", {"entity_id": lead, "entity_type": "leads"}).status_code == 202
    many = [{"bot_id": 565, "entity_id": lead, "entity_type": "leads"}] * 2
    answer = office.post(f"{BOTS}/run", many)
    assert (answer.status_code, answer.data) == (202, b"")
    old = office.post("/api/v2/salesbot/run", [{"bot_id": 565, "entity_id": lead, "entity_type": 2}])
    assert old.get_json(force=True) == {"success": True}
    assert [run.bot_id for run in office.amo.bots.runs] == [566, 565, 565, 565]
    for wrong in (
        {"bot_id": 1, "entity_id": lead, "entity_type": "leads"},
        {"bot_id": 565, "entity_id": 999, "entity_type": "leads"},
        {"bot_id": 565, "entity_id": lead, "entity_type": "tasks"},
        {"bot_id": 565, "entity_id": lead},
    ):
        assert office.post(f"{BOTS}/run", [wrong]).status_code == 400
    assert office.post(f"{BOTS}/run", many * 51).status_code == 400
    assert len(office.amo.bots.runs) == 4


def test_a_bot_asks_its_backend_and_is_answered_later(office: Office) -> None:
    lead = deal_id(office)
    with Catcher() as backend:
        office.amo.bots.bots[566].backend_url = backend.url
        office.post(f"{BOTS}/566/run", {"entity_id": lead, "entity_type": "leads"})
        (caught,) = backend.wait_for(1)
    asked = json.loads(caught.body)
    assert set(asked) == {"token", "data", "return_url"}
    assert caught.headers["user-agent"] == "amoCRM-Webhooks/3.0"
    assert claims(asked["token"])["entity_id"] == lead
    path = asked["return_url"].removeprefix(office.amo.world.base_url)
    show = {"handler": "show", "params": {"type": "text", "value": "Здравствуйте"}}
    assert office.post(path, {"data": {}, "execute_handlers": [show]}).status_code == 202
    for handlers in (
        [show] * 11,
        [{"handler": "run"}],
        [{"handler": "show", "params": {"value": "я" * 81}}],
        [{"handler": "show", "params": {"value": "да", "buttons": ["x"] * 26}}],
    ):
        assert office.post(path, {"data": {}, "execute_handlers": handlers}).status_code == 400
    office.post(f"{BOTS}/566/stop", {"entity_id": lead, "entity_type": "leads"})
    assert office.post(path, {"data": {}}).status_code == 404
    (run,) = office.amo.bots.runs
    assert run.is_stopped and len(run.continued) == 1
