"""Smart processes, invoices, quotes and leads: items, pipelines, stages, moves, rows and events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.b24 import B24

HOOK = "http://127.0.0.1:9/hook"


def made_type(b24: B24, **fields: Any) -> int:
    number: int = b24.result("crm.type.add", fields={"title": "Монтаж", **fields})["type"]["entityTypeId"]
    return number


def test_smart_process_is_made_listed_by_lower_case_names_and_deleted_when_empty() -> None:
    b24 = B24()
    type_id = made_type(b24)
    assert type_id == 128
    assert made_type(b24, entityTypeId=1040) == 1040
    rows = b24.result("crm.type.list", filter={">id": 0}, order={"id": "ASC"}, start=-1)["types"]
    assert [row["entityTypeId"] for row in rows] == [128, 1040]
    status, body = b24.post("crm.type.list", order={"ID": "ASC"})
    assert (status, body["error"]) == (400, "100") and "I_D" in body["error_description"]
    item = b24.result("crm.item.add", entityTypeId=128, fields={"title": "x"})["item"]
    number = rows[0]["id"]
    assert b24.post("crm.type.delete", id=number)[0] == 400
    assert b24.result("crm.item.delete", entityTypeId=128, id=item["id"]) == []
    assert b24.result("crm.type.delete", id=number) == []
    assert b24.post("crm.item.list", entityTypeId=128)[1]["error"] == "NOT_FOUND"


def test_element_moves_through_stages_of_its_kind_and_its_history_says_so() -> None:
    b24 = B24()
    type_id = made_type(b24)
    add = {"title": "Щит", "opportunity": 100, "isManualOpportunity": "Y", "parentId2": 10}
    item = b24.result("crm.item.add", entityTypeId=type_id, fields=add)["item"]
    category = item["categoryId"]
    assert item["stageId"] == f"DT128_{category}:NEW"
    assert (item["opportunity"], item["parentId2"], item["entityTypeId"]) == (100, 10, 128)
    change = {"stageId": f"DT128_{category}:SUCCESS"}
    moved = b24.result("crm.item.update", entityTypeId=type_id, id=item["id"], fields=change)["item"]
    assert (moved["previousStageId"], moved["stageId"]) == (
        f"DT128_{category}:NEW",
        f"DT128_{category}:SUCCESS",
    )
    rows = b24.result("crm.stagehistory.list", entityTypeId=type_id, order={"ID": "ASC"})["items"]
    assert [(row["TYPE_ID"], row["STAGE_SEMANTIC_ID"]) for row in rows] == [(1, "P"), (3, "S")]
    status, body = b24.post("crm.item.update", entityTypeId=type_id, id=item["id"], fields={"stageId": "WON"})
    assert (status, body["error"]) == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")


def test_element_changes_pipeline_with_its_stage_in_one_call() -> None:
    b24 = B24()
    type_id = made_type(b24)
    item = b24.result("crm.item.add", entityTypeId=type_id, fields={"title": "x"})["item"]
    fields = {"name": "Вторая", "sort": 700}
    second = b24.result("crm.category.add", entityTypeId=type_id, fields=fields)["category"]["id"]
    to = {"categoryId": second, "stageId": f"DT128_{second}:CLIENT"}
    moved = b24.result("crm.item.update", entityTypeId=type_id, id=item["id"], fields=to)["item"]
    assert (moved["categoryId"], moved["stageId"]) == (second, to["stageId"])
    last = b24.result("crm.stagehistory.list", entityTypeId=type_id, order={"ID": "DESC"})["items"][0]
    assert (last["TYPE_ID"], last["CATEGORY_ID"]) == (5, second)
    categories = b24.result("crm.category.list", entityTypeId=type_id)["categories"]
    assert [c["isDefault"] for c in categories] == ["Y", "N"]


@pytest.mark.parametrize(
    ("type_id", "names"),
    [
        (31, ["ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMUPDATE_31"]),
        (7, ["ONCRMQUOTEADD", "ONCRMQUOTEUPDATE"]),
    ],
)
def test_invoices_raise_events_of_dynamic_items_and_quotes_their_own(type_id: int, names: list[str]) -> None:
    b24 = B24()
    for name in names:
        b24.app_result("event.bind", event=name, handler=HOOK)
    number = b24.result("crm.item.add", entityTypeId=type_id, fields={"title": "x"})["item"]["id"]
    b24.result("crm.item.update", entityTypeId=type_id, id=number, fields={"title": "y"})
    b24.result("crm.item.update", entityTypeId=type_id, id=number, fields={"title": "y"})
    bodies = list(b24.bodies())
    assert [body["event"] for body in bodies] == names
    expected = "31" if type_id == 31 else None
    assert {body.get("data[FIELDS][ENTITY_TYPE_ID]") for body in bodies} == {expected}


def test_invoice_follows_its_rows_and_its_stages_stand_in_the_directory() -> None:
    b24 = B24()
    add = {"title": "Счёт", "parentId2": 10, "companyId": 3, "contactIds": [55], "mycompanyId": 3}
    invoice = b24.result("crm.item.add", entityTypeId=31, fields=add)["item"]
    assert (invoice["companyId"], invoice["contactIds"], invoice["opportunity"]) == (3, [55], 0)
    rows = [{"productName": "Работа", "price": 1000, "quantity": 2, "taxRate": 20}]
    b24.result("crm.item.productrow.set", ownerType="SI", ownerId=invoice["id"], productRows=rows)
    assert b24.result("crm.item.get", entityTypeId=31, id=invoice["id"])["item"]["opportunity"] == 2000
    listed = b24.result("crm.item.productrow.list", filter={"=ownerType": "SI", "=ownerId": invoice["id"]})[
        "productRows"
    ]
    assert [(row["ownerType"], row["price"]) for row in listed] == [("SI", 1000)]
    directory = f"SMART_INVOICE_STAGE_{invoice['categoryId']}"
    stages = b24.result("crm.status.list", filter={"ENTITY_ID": directory}, order={"SORT": "ASC"})
    assert [(s["STATUS_ID"].partition(":")[2], s["SEMANTICS"]) for s in stages] == [
        ("N", None),
        ("S", None),
        ("P", "S"),
        ("D", "F"),
    ]


def test_rows_of_quotes_leads_and_elements_have_their_own_owner_types() -> None:
    b24 = B24()
    type_id = made_type(b24)
    owners = {
        "Q": b24.result("crm.item.add", entityTypeId=7, fields={"title": "q"})["item"]["id"],
        "L": b24.result("crm.lead.add", fields={"TITLE": "l"}),
        "T80": b24.result("crm.item.add", entityTypeId=type_id, fields={"title": "t"})["item"]["id"],
    }
    for short, number in owners.items():
        fields = {"ownerType": short, "ownerId": number, "productName": "Н", "price": 10, "quantity": 3}
        row = b24.result("crm.item.productrow.add", fields=fields)["productRow"]
        assert (row["ownerType"].upper(), row["ownerId"]) == (short, number)
        assert b24.result("crm.item.productrow.get", id=row["id"])["productRow"]["quantity"] == 3
    assert b24.result("crm.lead.get", id=owners["L"])["OPPORTUNITY"] == "30.00"
    assert b24.result("crm.lead.productrows.get", id=owners["L"])[0]["OWNER_TYPE"] == "L"


def test_lead_leaves_history_with_status_and_without_category() -> None:
    b24 = B24()
    lead = b24.result("crm.lead.add", fields={"TITLE": "Заявка"})
    for status in ("IN_PROCESS", "IN_PROCESS", "JUNK"):
        b24.result("crm.lead.update", id=lead, fields={"STATUS_ID": status})
    rows = b24.result("crm.stagehistory.list", entityTypeId=1, filter={"OWNER_ID": lead})["items"]
    assert [(r["TYPE_ID"], r["STATUS_ID"], r["STATUS_SEMANTIC_ID"]) for r in rows] == [
        (1, "NEW", "P"),
        (2, "IN_PROCESS", "P"),
        (3, "JUNK", "F"),
    ]
    assert "CATEGORY_ID" not in rows[0]
    assert b24.result("crm.lead.get", id=lead)["DATE_CLOSED"]


def test_simple_mode_turns_a_lead_into_a_deal_at_once() -> None:
    b24 = B24()
    b24.switches.simple_crm = True
    number = b24.result("crm.lead.add", fields={"TITLE": "Заявка"})
    assert b24.post("crm.lead.get", id=number)[1]["error_description"] == "Not found"
    assert any(deal.name == "Заявка" for deal in b24.portal.deals.values())


def test_contacts_of_leads_and_quotes_companies_and_contacts_are_linked_both_ways() -> None:
    b24 = B24()
    lead = b24.result("crm.lead.add", fields={"TITLE": "x"})
    items = [{"CONTACT_ID": 55, "SORT": 20}, {"CONTACT_ID": 56, "SORT": 10, "IS_PRIMARY": "Y"}]
    assert b24.result("crm.lead.contact.items.set", id=lead, items=items) is True
    rows = b24.result("crm.lead.contact.items.get", id=lead)
    assert [(r["CONTACT_ID"], r["IS_PRIMARY"]) for r in rows] == [(56, "Y"), (55, "N")]
    b24.result("crm.lead.contact.delete", id=lead, fields={"CONTACT_ID": 56})
    assert [r["CONTACT_ID"] for r in b24.result("crm.lead.contact.items.get", id=lead)] == [55]
    assert [r["CONTACT_ID"] for r in b24.result("crm.company.contact.items.get", id=3)] == [55]
    b24.result("crm.company.contact.add", id=3, fields={"CONTACT_ID": 56})
    assert [r["COMPANY_ID"] for r in b24.result("crm.contact.company.items.get", id=56)] == [3]
    b24.result("crm.contact.company.items.set", id=56, items=[])
    assert [r["CONTACT_ID"] for r in b24.result("crm.company.contact.items.get", id=3)] == [55]
    assert b24.post("crm.lead.contact.add", id=lead, fields={"CONTACT_ID": 999})[0] == 400


def test_pipeline_of_deals_is_made_renamed_and_deleted_with_stages_of_its_own() -> None:
    b24 = B24()
    category = b24.result("crm.category.add", entityTypeId=2, fields={"name": "Сервис"})["category"]
    number = category["id"]
    stages = b24.result("crm.status.list", filter={"ENTITY_ID": f"DEAL_STAGE_{number}"})
    assert stages[0]["STATUS_ID"] == f"C{number}:NEW" and len(stages) == 8
    deal = b24.result("crm.deal.add", fields={"TITLE": "x", "CATEGORY_ID": number})
    assert b24.result("crm.deal.get", id=deal)["STAGE_ID"] == f"C{number}:NEW"
    assert b24.post("crm.category.delete", entityTypeId=2, id=number)[0] == 400
    b24.result("crm.deal.delete", id=deal)
    b24.result("crm.category.update", entityTypeId=2, id=number, fields={"name": "Ремонт"})
    assert b24.result("crm.category.get", entityTypeId=2, id=number)["category"]["name"] == "Ремонт"
    assert b24.result("crm.category.delete", entityTypeId=2, id=number) is None
    assert b24.post("crm.category.delete", entityTypeId=2, id=0)[0] == 400


def test_stage_is_added_before_the_success_with_the_prefix_of_its_pipeline() -> None:
    b24 = B24()
    fields = {"ENTITY_ID": "DEAL_STAGE_5", "STATUS_ID": "CHECK", "NAME": "Проверка", "SORT": 25}
    number = b24.result("crm.status.add", fields=fields)
    assert b24.result("crm.status.get", id=number)["STATUS_ID"] == "C5:CHECK"
    b24.result("crm.deal.update", id=12, fields={"STAGE_ID": "C5:CHECK"})
    assert b24.portal.deals[12].stage == "C5:CHECK"
    for wrong in ({**fields, "STATUS_ID": "LATE", "SORT": 99}, fields, {**fields, "STATUS_ID": "X" * 60}):
        status, body = b24.post("crm.status.add", fields=wrong)
        assert (status, body["error"]) == (400, "")
    assert b24.post("crm.status.delete", id=number)[0] == 400
    b24.result("crm.deal.update", id=12, fields={"STAGE_ID": "C5:NEW"})
    assert b24.result("crm.status.update", id=number, fields={"NAME": "Сверка"}) is True
    assert b24.result("crm.status.delete", id=number) is True


def test_directory_takes_entries_of_ones_own() -> None:
    b24 = B24()
    for entity_id in ("SOURCE", "DEAL_TYPE"):
        fields = {"ENTITY_ID": entity_id, "STATUS_ID": "FAIR", "NAME": "Выставка"}
        number = b24.result("crm.status.add", fields=fields)
        b24.result("crm.status.update", id=number, fields={"NAME": "Ярмарка"})
        (row,) = b24.result("crm.status.list", filter={"ENTITY_ID": entity_id, "STATUS_ID": "FAIR"})
        assert (row["ID"], row["NAME"]) == (str(number), "Ярмарка")
        assert b24.result("crm.status.delete", id=number) is True
