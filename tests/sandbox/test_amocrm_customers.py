"""Customers of the sandbox's amoCRM: off at first, then with purchases, statuses and their events."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.sandbox.amocrm_office import Office
from tests.sandbox.catcher import Catcher

PATH = "/api/v4/customers"


@pytest.fixture
def office() -> Office:
    return Office()


def made(answer: Any, key: str) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.get_data(as_text=True)
    rows: list[dict[str, Any]] = answer.get_json(force=True)["_embedded"][key]
    return rows


def test_customers_are_off_until_the_mode_is_on(office: Office) -> None:
    assert office.get(PATH).status_code == 204
    assert office.post(PATH, [{"name": "Ромашка"}]).status_code == 422
    assert office.read("/api/v4/account")["customers_mode"] == "disabled"
    assert office.patch(f"{PATH}/mode", {"mode": "dance"}).status_code == 400
    on = office.patch(f"{PATH}/mode", {"mode": "segments", "is_enabled": True})
    assert on.get_json(force=True) == {"mode": "segments", "is_enabled": True}
    assert office.read("/api/v4/account")["customers_mode"] == "segments"


def test_a_customer_buys_and_changes_status(office: Office) -> None:
    office.patch(f"{PATH}/mode", {"mode": "segments"})
    contact = next(iter(office.portal.contacts))
    with Catcher() as catcher:
        codes = ["add_customer", "update_customer"]
        office.post("/api/v4/webhooks", {"destination": catcher.url, "settings": codes})
        item = {"name": "Ромашка", "next_price": 500, "_embedded": {"contacts": [{"id": contact}]}}
        (row,) = made(office.post(PATH, [item]), "customers")
        one = f"{PATH}/{row['id']}"
        made(office.post(f"{one}/transactions", [{"price": 100}, {"price": 300}]), "transactions")
        statuses = made(office.get(f"{PATH}/statuses"), "statuses")
        other = max(status["id"] for status in statuses)
        office.patch(one, {"status_id": other})
        office.amo.delivery.run_due()
        told = [unquote_plus(caught.body.decode()) for caught in catcher.caught]
    shown = office.read(f"{one}?with=contacts")
    assert (shown["ltv"], shown["purchases_count"], shown["average_check"]) == (400, 2, 200)
    assert shown["_embedded"]["contacts"][0]["id"] == contact and shown["status_id"] == other
    assert ["customers[add]" in told[0], "customers[update]" in told[1]] == [True, True]
    events = office.read("/api/v4/events?filter[entity]=customer")["_embedded"]["events"]
    assert [e["type"] for e in events] == [
        "customer_status_changed",
        *("transaction_added", "transaction_added"),
        "customer_added",
    ]
    assert events[0]["value_after"] == [{"customer_status": {"id": other}}]
    purchase = made(office.get(f"{PATH}/transactions"), "transactions")[0]
    assert office.call("DELETE", f"{PATH}/transactions/{purchase['id']}").status_code == 204
    assert office.read(one)["purchases_count"] == 1
    assert office.get(f"{PATH}?filter[status_id]=5").status_code == 204
    assert office.patch(PATH, [{"id": 5, "name": "х"}]).status_code == 400
    assert office.patch(one, {"status_id": 5}).status_code == 400
    assert office.get(f"{PATH}/999").status_code == 204


def test_bonus_points_never_go_below_zero(office: Office) -> None:
    office.patch(f"{PATH}/mode", {"mode": "segments"})
    (row,) = made(office.post(PATH, [{"name": "Ромашка"}]), "customers")
    path = f"{PATH}/{row['id']}/bonus_points"
    assert office.post(path, {"earn": 50}).get_json(force=True) == {"bonus_points": 50}
    assert office.post(path, {"redeem": 60}).status_code == 400
    assert office.post(path, {"redeem": 20}).get_json(force=True) == {"bonus_points": 30}


@pytest.mark.parametrize("kind", ["statuses", "segments"])
def test_statuses_and_segments_are_added_and_deleted(office: Office, kind: str) -> None:
    office.patch(f"{PATH}/mode", {"mode": "segments"})
    (row,) = made(office.post(f"{PATH}/{kind}", [{"name": "Новые"}]), kind)
    assert row["id"] in [one["id"] for one in made(office.get(f"{PATH}/{kind}"), kind)]
    assert office.call("DELETE", f"{PATH}/{kind}/{row['id']}").status_code == 204
    assert office.call("DELETE", f"{PATH}/{kind}/{row['id']}").status_code == 404
