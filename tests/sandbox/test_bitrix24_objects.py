"""Deals, contacts, companies and leads: universal numbers, classic strings, what a write may change."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox.b24 import B24, SECRET


def test_universal_deal_has_numbers_and_flags() -> None:
    item = B24().result("crm.item.get", entityTypeId=2, id=10)["item"]
    expected = {
        "id": 10,
        "title": "Поставка",
        "categoryId": 0,
        "stageId": "NEW",
        "stageSemanticId": "P",
        "closed": "N",
        "opportunity": 130001,
        "isManualOpportunity": "N",
        "currencyId": "RUB",
        "companyId": 3,
        "contactId": 55,
        "contactIds": [55, 56],
        "assignedById": 7,
        "sourceId": "WEB",
        "utmSource": "yandex",
        "utmMedium": "cpc",
        "utmTerm": None,
        "ufCrmLossReason": None,
        "isWon": None,
        "observers": [],
        "entityTypeId": 2,
    }
    assert {name: item[name] for name in expected} == expected
    assert item["createdTime"].endswith("+03:00")
    assert item["begindate"].endswith("T03:00:00+03:00")


def test_classic_deal_has_strings() -> None:
    deal = B24().result("crm.deal.get", ID=10)
    expected = {
        "ID": "10",
        "CATEGORY_ID": "0",
        "STAGE_ID": "NEW",
        "OPPORTUNITY": "130001.00",
        "TAX_VALUE": "0.00",
        "CONTACT_ID": "55",
        "COMPANY_ID": "3",
        "LEAD_ID": None,
        "UTM_CAMPAIGN": None,
        "UF_CRM_LOSS_REASON": "",
    }
    assert {name: deal[name] for name in expected} == expected
    assert "CONTACT_IDS" not in deal
    assert "isWon" not in deal


def test_deal_without_company_has_zero_links_in_one_spelling_and_null_in_the_other() -> None:
    b24 = B24()
    item = b24.result("crm.item.get", entityTypeId=2, id=12)["item"]
    assert (item["companyId"], item["contactId"], item["contactIds"], item["opportunity"]) == (0, 0, [], 0)
    assert b24.result("crm.deal.get", id=12)["COMPANY_ID"] is None


def test_item_add_answers_with_the_whole_item_and_keeps_unknown_names_out() -> None:
    b24 = B24()
    fields = {
        "title": "Новая",
        "categoryId": 5,
        "stageId": "C5:PREPARATION",
        "opportunity": 999.99,
        "contactIds": [56],
        "ufCrmLossReason": "12",
        "originId": "42",
        "nonsense": 1,
        "createdBy": 7,
    }
    item = b24.result("crm.item.add", entityTypeId=2, fields=fields)["item"]
    got = [
        item[name]
        for name in ("stageId", "opportunity", "contactId", "ufCrmLossReason", "originId", "createdBy")
    ]
    assert got == ["C5:PREPARATION", 999.99, 56, 12, "42", 1]
    assert b24.portal.deals[item["id"]].amount == Decimal("999.99")
    assert "nonsense" not in item


def test_new_deal_starts_at_the_first_stage_of_the_main_pipeline() -> None:
    b24 = B24()
    number = b24.result("crm.deal.add", FIELDS={"TITLE": "x"})
    assert isinstance(number, int)
    deal = b24.portal.deals[number]
    assert (deal.pipeline_id, deal.stage, deal.created_by) == (0, "NEW", 1)


@pytest.mark.parametrize(
    ("stage", "semantics", "closed"), [("WON", "S", "Y"), ("LOSE", "F", "Y"), ("NEW", "P", "N")]
)
def test_closing_follows_the_stage(stage: str, semantics: str, closed: str) -> None:
    b24 = B24()
    assert b24.result("crm.deal.update", id=10, fields={"STAGE_ID": stage}) is True
    deal = b24.result("crm.deal.get", id=10)
    assert (deal["STAGE_SEMANTIC_ID"], deal["CLOSED"]) == (semantics, closed)
    assert (deal["CLOSEDATE"] is not None) is (closed == "Y")


def test_classic_update_ignores_another_pipelines_stage_and_the_category() -> None:
    b24 = B24()
    fields = {"STAGE_ID": "C5:WON", "CATEGORY_ID": 5, "TITLE": "Иначе"}
    assert b24.result("crm.deal.update", id=10, fields=fields) is True
    deal = b24.portal.deals[10]
    assert (deal.pipeline_id, deal.stage, deal.name) == (0, "NEW", "Иначе")


def test_universal_update_moves_between_pipelines() -> None:
    b24 = B24()
    fields = {"categoryId": 5, "stageId": "C5:WON"}
    item = b24.result("crm.item.update", entityTypeId=2, id=10, fields=fields)["item"]
    assert (item["categoryId"], item["stageId"], item["stageSemanticId"]) == (5, "C5:WON", "S")
    status, body = b24.post("crm.item.update", entityTypeId=2, id=10, fields={"stageId": "LOSE"})
    assert (status, body["error"]) == (400, "CRM_FIELD_ERROR_VALUE_NOT_VALID")


def test_update_without_a_difference_is_not_saved() -> None:
    b24 = B24()
    before, revision = b24.portal.deals[10], b24.portal.revision
    same = {"title": "Поставка", "opened": "Y", "contactIds": [55, 56], "comments": "", "sourceId": "WEB"}
    b24.result("crm.item.update", entityTypeId=2, id=10, fields=same)
    assert b24.portal.deals[10] is before
    assert b24.portal.revision == revision


def test_amount_is_ignored_while_it_follows_the_rows() -> None:
    b24 = B24()
    update = {"entityTypeId": 2, "id": 10}
    assert b24.result("crm.item.update", **update, fields={"opportunity": 5})["item"]["opportunity"] == 130001
    fields = {"opportunity": 5, "isManualOpportunity": "Y"}
    assert b24.result("crm.item.update", **update, fields=fields)["item"]["opportunity"] == 5
    back = b24.result("crm.item.update", **update, fields={"isManualOpportunity": "N"})["item"]
    assert back["opportunity"] == 130001


def test_changes_of_different_fields_at_once_do_not_undo_each_other() -> None:
    b24 = B24()
    b24.faults.limits_on = False
    names = ["ORIGIN_ID", "COMMENTS", "ADDITIONAL_INFO", "SOURCE_DESCRIPTION"]

    def write(name: str) -> None:
        app = b24.http.application.test_client()
        for number in range(25):
            app.post(
                f"/rest/1/{SECRET}/crm.deal.update", json={"id": 10, "fields": {name: f"{name} {number}"}}
            )

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deal = b24.result("crm.deal.get", id=10)
    assert [deal[name] for name in names] == [f"{name} 24" for name in names]


def test_delete_answers_an_empty_list_or_true_and_the_deal_is_gone() -> None:
    b24 = B24()
    assert b24.result("crm.item.delete", entityTypeId=2, id=10) == []
    assert b24.result("crm.deal.delete", id=11) is True
    assert b24.post("crm.item.get", entityTypeId=2, id=10)[0] == 400
    assert [row["ID"] for row in b24.result("crm.deal.list")] == ["12"]


def test_loss_reason_is_an_enumeration_field() -> None:
    b24 = B24()
    field = b24.result("crm.item.fields", entityTypeId=2)["fields"]["ufCrmLossReason"]
    assert (field["type"], field["upperName"], field["isDynamic"]) == (
        "enumeration",
        "UF_CRM_LOSS_REASON",
        True,
    )
    assert field["items"] == [{"ID": "11", "VALUE": "Дорого"}, {"ID": "12", "VALUE": "Купили у других"}]
    listed = b24.result("crm.deal.userfield.list", filter={"FIELD_NAME": "UF_CRM_LOSS_REASON"})
    assert [(item["ID"], item["VALUE"]) for item in listed[0]["LIST"]] == [
        ("11", "Дорого"),
        ("12", "Купили у других"),
    ]
    assert listed[0]["EDIT_FORM_LABEL"] == "Причина отказа"
    classic = b24.result("crm.deal.fields")["UF_CRM_LOSS_REASON"]
    assert (classic["title"], classic["formLabel"]) == ("UF_CRM_LOSS_REASON", "Причина отказа")


def test_original_names_of_user_fields_on_demand() -> None:
    b24 = B24()
    fields = {"UF_CRM_LOSS_REASON": 11}
    item = b24.result("crm.item.update", entityTypeId=2, id=10, fields=fields, useOriginalUfNames="Y")["item"]
    assert item["UF_CRM_LOSS_REASON"] == 11
    assert "ufCrmLossReason" not in item


def test_field_named_by_people_gets_a_stable_code() -> None:
    b24 = B24()
    b24.portal.update_deal(10, {"fields": {"Потребность": "склад"}}, by=1)
    fields = b24.result("crm.item.fields", entityTypeId=2)["fields"]
    names = [name for name, field in fields.items() if field["title"] == "Потребность"]
    item = b24.result("crm.item.get", entityTypeId=2, id=10)["item"]
    assert [item[name] for name in names] == ["склад"]
    b24.result("crm.item.update", entityTypeId=2, id=10, fields={names[0]: "офис"})
    assert b24.portal.deals[10].fields["Потребность"] == "офис"


def test_user_field_made_over_rest_takes_values() -> None:
    b24 = B24()
    made = {"FIELD_NAME": "note", "USER_TYPE_ID": "string", "EDIT_FORM_LABEL": {"ru": "Заметка"}}
    assert isinstance(b24.result("crm.deal.userfield.add", fields=made), int)
    b24.result("crm.deal.update", id=10, fields={"UF_CRM_NOTE": "x"})
    assert b24.result("crm.deal.list", filter={"UF_CRM_NOTE": "x"}, select=["UF_CRM_NOTE"]) == [
        {"ID": "10", "UF_CRM_NOTE": "x"}
    ]
    assert b24.post("crm.deal.userfield.add", fields=made)[1]["error"] == "ERROR_CORE"


def test_contacts_phones_have_ids_that_stay() -> None:
    b24 = B24()
    contact = b24.result("crm.contact.get", id=55)
    (phone,) = contact["PHONE"]
    assert {name: phone[name] for name in ("VALUE_TYPE", "VALUE", "TYPE_ID")} == {
        "VALUE_TYPE": "WORK",
        "VALUE": "+79160000001",
        "TYPE_ID": "PHONE",
    }
    item = b24.result("crm.item.get", entityTypeId=3, id=55)["item"]
    assert {"id": int(phone["ID"]), "typeId": "PHONE", "valueType": "WORK", "value": "+79160000001"} in item[
        "fm"
    ]
    assert "PHONE" not in b24.result("crm.contact.get", id=56)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            lambda number: {"n0": {"typeId": "PHONE", "valueType": "MOBILE", "value": "+7000"}},
            ["+79160000001", "+7000"],
        ),
        (lambda number: {number: {"typeId": "PHONE", "valueType": "WORK", "value": "+7111"}}, ["+7111"]),
        (lambda number: {number: {"typeId": "PHONE", "value": ""}}, []),
        (lambda number: {"n0": {"valueType": "WORK", "value": "+7000"}}, ["+79160000001"]),
    ],
)
def test_universal_multifield_update_adds_changes_and_deletes(changes: Any, expected: list[str]) -> None:
    b24 = B24()
    number = b24.result("crm.contact.get", id=55)["PHONE"][0]["ID"]
    b24.result("crm.item.update", entityTypeId=3, id=55, fields={"fm": changes(number)})
    assert b24.portal.contacts[55].phones == expected


def test_classic_multifield_without_id_piles_up() -> None:
    b24 = B24()
    entry = {"VALUE": "+79160000001", "VALUE_TYPE": "MOBILE"}
    assert b24.result("crm.contact.update", id=55, fields={"PHONE": [entry]}) is True
    assert b24.portal.contacts[55].phones == ["+79160000001", "+79160000001"]


def test_contact_needs_a_name_and_company_a_title() -> None:
    b24 = B24()
    assert b24.post("crm.contact.add", fields={"POST": "x"})[1]["error"] == ""
    assert b24.post("crm.company.add", fields={})[1]["error"] == ""
    number = b24.result("crm.contact.add", fields={"NAME": "Яна", "EMAIL": [{"VALUE": "y@example.ru"}]})
    assert b24.portal.contacts[number].emails == ["y@example.ru"]


def test_contacts_of_a_deal() -> None:
    b24 = B24()
    assert [
        (row["CONTACT_ID"], row["IS_PRIMARY"]) for row in b24.result("crm.deal.contact.items.get", id=10)
    ] == [
        (55, "Y"),
        (56, "N"),
    ]
    items = [{"CONTACT_ID": 55, "SORT": 10}, {"CONTACT_ID": 56, "SORT": 20, "IS_PRIMARY": "Y"}]
    assert b24.result("crm.deal.contact.items.set", id=10, items=items) is True
    assert b24.portal.deals[10].contact_ids == [56, 55]
    assert b24.result("crm.item.list", entityTypeId=2, filter={"contactId": 56}, select=["id"]) == {
        "items": [{"id": 10}]
    }


def test_duplicates_are_found_by_phone_in_any_writing() -> None:
    b24 = B24()
    assert b24.result("crm.duplicate.findbycomm", type="PHONE", values=["8 (916) 000-00-01"]) == {
        "CONTACT": [55]
    }
    assert b24.result("crm.duplicate.findbycomm", type="EMAIL", values=["no@example.ru"]) == []
    many = [str(n) for n in range(21)]
    assert b24.post("crm.duplicate.findbycomm", type="PHONE", values=many)[0] == 400


def test_lead_lives_beside_the_deals() -> None:
    b24 = B24()
    number = b24.result(
        "crm.lead.add", fields={"TITLE": "Заявка", "PHONE": [{"VALUE": "+7", "VALUE_TYPE": "MOBILE"}]}
    )
    lead = b24.result("crm.lead.get", id=number)
    assert (lead["STATUS_ID"], lead["STATUS_SEMANTIC_ID"], lead["PHONE"][0]["VALUE_TYPE"]) == (
        "NEW",
        "P",
        "MOBILE",
    )
    item = b24.result("crm.item.update", entityTypeId=1, id=number, fields={"stageId": "JUNK"})["item"]
    assert (item["stageId"], item["stageSemanticId"], item["fm"][0]["value"]) == ("JUNK", "F", "+7")
    assert b24.result("crm.item.delete", entityTypeId=1, id=number) == []


def test_classic_select_leaves_multiple_fields_out_unless_named() -> None:
    b24 = B24()
    assert "PHONE" not in b24.result("crm.contact.list", filter={"ID": 55})[0]
    row = b24.result("crm.contact.list", filter={"ID": 55}, select=["NAME", "PHONE"])[0]
    assert set(row) == {"ID", "NAME", "PHONE"}


def test_fm_comes_with_the_star_only() -> None:
    b24 = B24()
    items = {"entityTypeId": 3, "filter": {"id": 55}}
    assert "fm" in b24.result("crm.item.list", **items, select=["*"])["items"][0]
    assert set(b24.result("crm.item.list", **items, select=["name", "fm"])["items"][0]) == {"id", "name"}


def test_paging_by_offset_gives_total_and_next() -> None:
    b24 = B24()
    b24.add_deals(100)
    first = b24.post("crm.deal.list", select=["ID"])[1]
    assert (len(first["result"]), first["total"], first["next"]) == (50, 103, 50)
    last = b24.post("crm.deal.list", select=["ID"], start=100)[1]
    assert (len(last["result"]), last["total"], "next" in last) == (3, 103, False)
    assert list(first) == ["result", "next", "total", "time"]


def test_paging_by_key_counts_nothing_and_loses_nothing() -> None:
    b24 = B24()
    b24.add_deals(100)
    seen: list[int] = []
    while True:
        last = seen[-1] if seen else 0
        body = b24.post(
            "crm.item.list",
            entityTypeId=2,
            order={"id": "ASC"},
            filter={">id": last},
            select=["id"],
            start=-1,
        )[1]
        assert (body["total"], "next" in body) == (0, False)
        page = [item["id"] for item in body["result"]["items"]]
        seen += page
        if len(page) < 50:
            break
    assert seen == sorted(b24.portal.deals)


def test_order_by_a_field_and_descending() -> None:
    b24 = B24()
    rows = b24.result("crm.deal.list", order={"OPPORTUNITY": "DESC"}, select=["ID"])
    assert [row["ID"] for row in rows] == ["10", "11", "12"]
    items = b24.result("crm.item.list", entityTypeId=2, order={"OPPORTUNITY": "ASC"}, select=["TITLE"])[
        "items"
    ]
    assert items[0] == {"id": 12, "title": "Опт зимой"}
    status, body = b24.post("crm.item.list", entityTypeId=2, order={"colour": "ASC"})
    assert (status, body["error"]) == (400, "INVALID_ARG_VALUE")
