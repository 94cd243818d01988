"""Long lists: pages, indexes and order stay right while things change, and a list is searched once."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.sandbox.queries import KEPT
from connector.sandbox.state import Deal, Note, Portal, Task
from connector.sandbox.table import Table
from tests.sandbox.amocrm_office import MANAGER, NEW, SALES, Office
from tests.sandbox.b24 import B24

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_rows_come_in_the_order_of_ids_whatever_happens_to_the_table() -> None:
    table: Table[str] = Table({5: "e", 1: "a"})
    assert table.rows() == ["a", "e"]
    table[7] = "g"
    table[3] = "c"
    table[5] = "E"
    assert table.rows() == ["a", "c", "E", "g"]
    del table[1]
    assert table.pop(99, None) is None and table.pop(3) == "c"
    table.update({2: "b"})
    table.setdefault(2, "x")
    table |= {9: "i"}
    assert table.rows() == ["b", "E", "g", "i"] == [table[key] for key in sorted(table)]
    table.popitem()
    table.clear()
    assert (table.rows(), dict(table)) == ([], {})
    with pytest.raises(KeyError):
        table.pop(1)


def test_a_list_of_rows_is_the_callers_own() -> None:
    table: Table[str] = Table({1: "a"})
    rows = table.rows()
    table[2] = "b"
    assert rows == ["a"]


def office_portal() -> Portal:
    return Office().portal


def note(deal_id: int) -> Note:
    return Note(0, "deal", deal_id, "common", "текст", MANAGER, AT, AT)


def test_indexes_follow_every_change() -> None:
    portal = office_portal()
    index = portal.index
    (deal_id,), (contact_id,), (company_id,) = portal.deals, portal.contacts, portal.companies
    assert index.deals_of_contact.of(contact_id) == index.deals_of_company.of(company_id) == [deal_id]
    assert index.contacts_of_company.of(company_id) == [contact_id]
    assert index.notes.of("deal", deal_id) == index.open_tasks.of("deal", deal_id) == []

    first, second = (portal.add("note", note(deal_id), by=MANAGER) for _ in range(2))
    task = portal.add("task", Task(0, "т", MANAGER, AT, "deal", deal_id, MANAGER, AT, AT), by=MANAGER)
    assert index.notes.of("deal", deal_id) == [first.id, second.id]
    assert index.tasks.of("deal", deal_id) == index.open_tasks.of("deal", deal_id) == [task.id]
    portal.update("task", task.id, {"is_done": True}, by=MANAGER)
    portal.delete("note", first.id, by=MANAGER)
    assert (index.tasks.of("deal", deal_id), index.open_tasks.of("deal", deal_id)) == ([task.id], [])
    assert index.notes.of("deal", deal_id) == [second.id]

    portal.update_deal(deal_id, {"company_id": None}, by=MANAGER)
    assert (index.deals_of_company.of(company_id), index.deals_of_contact.of(contact_id)) == ([], [deal_id])
    portal.delete_deal(deal_id, by=MANAGER)
    assert index.deals_of_contact.of(contact_id) == []
    portal.notes = {}
    assert index.notes.of("deal", deal_id) == []


def many(portal: Portal, count: int, stage: str, pipeline_id: int) -> None:
    for number in range(count):
        deal = Deal(0, f"Сделка {number}", pipeline_id, stage, Decimal(number), responsible_id=MANAGER)
        portal.add_deal(deal, by=MANAGER)


class Counted:
    """Counts how often a portal's lists are really searched."""

    def __init__(self, portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.searches = 0
        find = portal.queries.rows

        def rows(key: Any, search: Any) -> Any:
            def counted() -> Any:
                # What is not in the trash is kept beside the lists that are made of it.
                self.searches += key != "live deals"
                return search()

            return find(key, counted)

        monkeypatch.setattr(portal.queries, "rows", rows)


def test_pages_of_amocrm_are_found_once_and_anew_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    many(office.portal, 60, str(NEW), SALES)
    counted = Counted(office.portal, monkeypatch)
    pages = [office.get(f"/api/v4/leads?limit=10&page={page}") for page in range(1, 8)]
    ids = [lead["id"] for page in pages for lead in page.get_json(force=True)["_embedded"]["leads"]]
    assert ids == sorted(office.portal.deals)
    assert counted.searches == 1
    office.read("/api/v4/leads?limit=10&page=1&filter[id]=5")
    assert counted.searches == 2
    office.patch("/api/v4/leads/5", {"price": 12345})
    lead = office.read("/api/v4/leads?limit=10&page=1")["_embedded"]["leads"][4]
    assert (lead["id"], lead["price"], counted.searches) == (5, 12345, 3)


def test_pages_of_bitrix24_are_found_once_and_anew_after_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    b24 = B24()
    b24.faults.limits_on = False
    many(b24.portal, 160, "NEW", 0)
    counted = Counted(b24.portal, monkeypatch)
    ids: list[int] = []
    for start in (0, 50, 100, 150):
        ids += [item["id"] for item in b24.result("crm.item.list", entityTypeId=2, start=start)["items"]]
    assert ids == sorted(b24.portal.deals)
    assert counted.searches == 1
    other = b24.result("crm.item.list", entityTypeId=2, filter={">id": ids[-2]})["items"]
    assert [item["id"] for item in other] == ids[-1:]
    b24.result("crm.item.update", entityTypeId=2, id=ids[0], fields={"title": "Новое имя"})
    first = b24.result("crm.item.list", entityTypeId=2)["items"][0]
    assert (first["title"], counted.searches) == ("Новое имя", 3)


def test_only_the_lists_of_late_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    office = Office()
    counted = Counted(office.portal, monkeypatch)
    for number in [*range(KEPT + 1), 0]:
        office.get(f"/api/v4/leads?filter[id]={number + 1}")
    assert counted.searches == KEPT + 2


def test_an_event_is_found_by_its_id_and_nonsense_is_not() -> None:
    office = Office()
    listed = office.read("/api/v4/events")["_embedded"]["events"]
    for event in listed:
        assert office.read(f"/api/v4/events/{event['id']}")["id"] == event["id"]
    for wrong in ("0" * 26, "x", "u" * 26, "й" * 26, listed[0]["id"][:-1]):
        assert office.get(f"/api/v4/events/{wrong}").status_code == 204
