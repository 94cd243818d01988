"""Doubts about writes, each a switch: empty patches, given times, kopecks; and hooks of lists."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import unquote_plus

import pytest

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import Office
from tests.sandbox.catcher import Catcher


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize("touches", [True, False])
def test_an_empty_patch_may_touch_the_entity(touches: bool) -> None:
    office = Office(switches=Switches(empty_patch_touches=touches))
    deal = next(iter(office.portal.deals.values()))
    contact = office.portal.contacts[deal.contact_ids[0]]
    office.portal.time_shift += timedelta(minutes=1)
    office.patch(f"/api/v4/leads/{deal.id}", {"name": deal.name})
    office.patch(f"/api/v4/contacts/{contact.id}", {"first_name": contact.name})
    assert (office.portal.deals[deal.id].updated_at > deal.updated_at) is touches
    assert (office.portal.contacts[contact.id].updated_at > contact.updated_at) is touches


def test_times_of_an_import_are_kept(office: Office) -> None:
    times = {"created_at": 1_600_000_000, "updated_at": 1_600_000_100, "closed_at": 1_600_000_050}
    made = office.post("/api/v4/leads", [{"name": "Из архива", "status_id": 142, **times}])
    lead_id = made.get_json(force=True)["_embedded"]["leads"][0]["id"]
    lead = office.read(f"/api/v4/leads/{lead_id}")
    assert {key: lead[key] for key in times} == times
    office.patch(f"/api/v4/leads/{lead_id}", {"updated_at": 1_600_000_200})
    assert office.read(f"/api/v4/leads/{lead_id}")["updated_at"] == 1_600_000_200


def test_kopecks_come_and_go_where_the_account_has_them() -> None:
    office = Office(switches=Switches(minor_units=True))
    made = office.post("/api/v4/leads", [{"name": "Дробная", "price": 10.5}])
    lead_id = made.get_json(force=True)["_embedded"]["leads"][0]["id"]
    lead = office.read(f"/api/v4/leads/{lead_id}")
    assert (lead["price"], lead["price_with_minor_units"]) == (11, 10.5)
    plain = Office()
    assert plain.post("/api/v4/leads", [{"name": "Дробная", "price": 10.5}]).status_code == 400
    assert "price_with_minor_units" not in plain.read("/api/v4/leads")["_embedded"]["leads"][0]


def test_whole_floats_are_ints_by_switch(office: Office) -> None:
    due = {"text": "Дело", "complete_till": 1_800_000_000.0}
    assert office.post("/api/v4/tasks", [due]).status_code == 200
    assert office.post("/api/v4/tasks", [{**due, "complete_till": 1_800_000_000.5}]).status_code == 400
    office.amo.world.switches.whole_floats_are_ints = False
    assert office.post("/api/v4/tasks", [due]).status_code == 400


def test_elements_of_lists_have_hooks(office: Office) -> None:
    catalog = office.read("/api/v4/catalogs")["_embedded"]["catalogs"][0]["id"]
    path = f"/api/v4/catalogs/{catalog}/elements"
    with Catcher() as catcher:
        codes = ["add_catalog", "update_catalog"]
        office.post("/api/v4/webhooks", {"destination": catcher.url, "settings": codes})
        price = {"field_code": "PRICE", "values": [{"value": "500"}]}
        made = office.post(path, [{"name": "Дверь", "custom_fields_values": [price]}]).get_json(force=True)
        element = made["_embedded"]["elements"][0]["id"]
        office.patch(f"{path}/{element}", {"name": "Дверь дубовая"})
        office.patch(path, [{"id": element, "name": "Дверь"}])
        office.amo.delivery.run_due()
        told = [unquote_plus(caught.body.decode()) for caught in catcher.caught]
    assert len(told) == 3
    assert f"catalogs[add][0][id]={element}&catalogs[add][0][catalog_id]={catalog}" in told[0]
    assert "[code]=PRICE" in told[0] and "[values][0][value]=500" in told[0]
    assert "catalogs[update][0][name]=Дверь дубовая" in told[1]
