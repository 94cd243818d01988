"""Leads, contacts and companies of the sandbox's amoCRM: shapes, writes, refusals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import (
    ACCOUNT_ID,
    ADMIN,
    BASE,
    CONTRACT,
    LOST,
    MANAGER,
    NEW,
    PARTNERS,
    SALES,
    WON,
    Office,
)

LEAD_KEYS = {
    *("id", "name", "price", "responsible_user_id", "group_id", "status_id", "pipeline_id"),
    *("loss_reason_id", "source_id", "created_by", "updated_by", "created_at", "updated_at", "closed_at"),
    *("closest_task_at", "is_deleted", "custom_fields_values", "score", "account_id", "_links", "_embedded"),
}


@pytest.fixture
def office() -> Office:
    return Office()


def lead(office: Office, lead_id: int = 1, with_: str = "") -> dict[str, Any]:
    found: dict[str, Any] = office.read(f"/api/v4/leads/{lead_id}?with={with_}")
    return found


def field_values(model: dict[str, Any], code: str) -> list[Any]:
    for item in model["custom_fields_values"] or ():
        if item["field_code"] == code:
            return [value["value"] for value in item["values"]]
    return []


def test_lead_has_the_keys_of_the_reference(office: Office) -> None:
    body = lead(office)
    assert body.keys() >= LEAD_KEYS
    assert body["account_id"] == ACCOUNT_ID
    assert (body["price"], body["status_id"], body["pipeline_id"]) == (22500, NEW, SALES)
    assert body["_embedded"].keys() == {"tags", "companies"}


def test_with_adds_contacts_products_and_source(office: Office) -> None:
    body = lead(office, 1, "contacts,catalog_elements,loss_reason,source,source_id")
    embedded = body["_embedded"]
    assert [(c["id"], c["is_main"]) for c in embedded["contacts"]] == [(1, True)]
    assert [row["metadata"]["quantity"] for row in embedded["catalog_elements"]] == [2, 1]
    assert embedded["loss_reason"] == []
    assert embedded["source"]["name"] == "Сайт" and body["source_id"] == embedded["source"]["id"]


def test_products_are_elements_with_price_and_vat(office: Office) -> None:
    link = lead(office, 1, "catalog_elements")["_embedded"]["catalog_elements"][0]
    element = office.read(f"/api/v4/catalogs/{link['metadata']['catalog_id']}/elements/{link['id']}")
    assert element["name"] == "Окно"
    assert field_values(element, "PRICE") == ["10000.00"]
    assert field_values(element, "VAT") == ["22%"]
    assert field_values(element, "SKU")


def test_channel_and_utm_are_custom_fields(office: Office) -> None:
    body = lead(office)
    assert field_values(body, "SOURCE") == ["Сайт"]
    assert field_values(body, "UTM_SOURCE") == ["yandex"]


def test_unknown_lead_is_204_without_a_body(office: Office) -> None:
    answer = office.get("/api/v4/leads/999")
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers


def test_company_carries_requisites_as_legal_entity(office: Office) -> None:
    company = office.read("/api/v4/companies/1")
    by_type = {f["field_type"]: f["values"][0]["value"] for f in company["custom_fields_values"]}
    entity = by_type["legal_entity"]
    assert (entity["vat_id"], entity["kpp"], entity["entity_type"]) == ("7701000000", "770101001", 2)
    assert (entity["bank_code"], entity["bank_account_number"]) == ("044525000", "40702810000000000001")
    assert entity["director"] == "Ветров Иван Петрович"


def test_written_legal_entity_reaches_the_portal_and_keeps_the_rest(office: Office) -> None:
    fields = office.read("/api/v4/companies/custom_fields?limit=250")["_embedded"]["custom_fields"]
    field_id = next(f["id"] for f in fields if f["type"] == "legal_entity")
    value = {"name": "АО «Ветер»", "vat_id": "7702000000", "kpp": "770201001"}
    item = {"field_id": field_id, "values": [{"value": value}]}
    assert office.patch("/api/v4/companies/1", {"custom_fields_values": [item]}).status_code == 200
    requisites = office.portal.companies[1].requisites
    assert requisites is not None
    assert (requisites.inn, requisites.full_name, requisites.bank_name) == (
        "7702000000",
        "АО «Ветер»",
        "АО «Банк»",
    )


def test_contact_phone_is_multitext_with_its_kind(office: Office) -> None:
    item = {"field_code": "PHONE", "values": [{"value": "+79990000002", "enum_code": "MOB"}]}
    answer = office.post("/api/v4/contacts", [{"first_name": "Олег", "custom_fields_values": [item]}])
    made = answer.get_json(force=True)["_embedded"]["contacts"][0]["id"]
    model = office.read(f"/api/v4/contacts/{made}")
    assert model["name"] == "Олег" and model["_embedded"]["companies"] == []
    value = model["custom_fields_values"][0]["values"][0]
    assert (value["value"], value["enum_code"]) == ("+79990000002", "MOB")


def test_create_answers_only_ids_and_echoes_request_id(office: Office) -> None:
    answer = office.post("/api/v4/leads", [{"name": "А"}, {"name": "Б", "request_id": "моё"}])
    assert answer.status_code == 200 and answer.content_type == "application/hal+json"
    body = answer.get_json(force=True)
    rows = body["_embedded"]["leads"]
    assert [row["request_id"] for row in rows] == ["0", "моё"]
    assert all(row.keys() == {"id", "request_id", "_links"} for row in rows)
    assert body["_links"]["self"]["href"] == f"{BASE}/api/v4/leads"


def test_new_lead_starts_in_the_first_stage_of_the_main_pipeline(office: Office) -> None:
    office.post("/api/v4/leads", [{}])
    body = lead(office, 2)
    assert (body["pipeline_id"], body["status_id"]) == (SALES, NEW)
    assert body["name"] == "Сделка #2"
    assert body["created_by"] == ADMIN


def test_created_by_zero_is_the_robot(office: Office) -> None:
    office.post("/api/v4/leads", [{"created_by": 0}])
    assert office.portal.deals[2].created_by == 0


def test_single_patch_answers_bare_object_and_closes(office: Office) -> None:
    answer = office.patch("/api/v4/leads/1", {"status_id": LOST, "loss_reason_id": 501})
    assert answer.get_json(force=True).keys() == {"id", "updated_at", "_links"}
    body = lead(office, 1, "loss_reason")
    assert body["closed_at"] is not None and body["updated_by"] == ADMIN
    assert [r["name"] for r in body["_embedded"]["loss_reason"]] == ["Дорого"]


def test_moving_back_opens_the_lead_again(office: Office) -> None:
    office.patch("/api/v4/leads/1", {"status_id": WON})
    office.patch("/api/v4/leads/1", {"status_id": CONTRACT})
    body = lead(office)
    assert body["closed_at"] is None and body["status_id"] == CONTRACT


def test_pipeline_alone_moves_to_its_first_stage(office: Office) -> None:
    office.patch("/api/v4/leads/1", {"pipeline_id": PARTNERS})
    assert lead(office)["status_id"] == NEW + 100


def test_tags_replace_add_delete_and_clear(office: Office) -> None:
    def names() -> list[str]:
        return [tag["name"] for tag in lead(office)["_embedded"]["tags"]]

    office.patch("/api/v4/leads/1", {"_embedded": {"tags": [{"name": "а"}, {"name": "б"}]}})
    office.patch("/api/v4/leads/1", {"tags_to_add": [{"name": "в"}], "tags_to_delete": [{"name": "а"}]})
    assert names() == ["б", "в"]
    office.patch("/api/v4/leads/1", {"_embedded": {"tags": [{"name": "г"}]}})
    assert names() == ["г"]
    office.patch("/api/v4/leads/1", {"_embedded": {"tags": None}})
    assert names() == []


def test_named_field_is_replaced_whole_and_others_stay(office: Office) -> None:
    fields = [{"name": "Услуги", "type": "multiselect", "enums": [{"value": "А"}, {"value": "Б"}]}]
    made = office.post("/api/v4/leads/custom_fields", fields)
    assert made.status_code == 201
    field = made.get_json(force=True)["_embedded"]["custom_fields"][0]
    first, second = (enum["id"] for enum in field["enums"])

    def write(values: Any) -> None:
        item = {"field_id": field["id"], "values": values}
        assert office.patch("/api/v4/leads/1", {"custom_fields_values": [item]}).status_code == 200

    def shown() -> list[int]:
        rows = [f for f in lead(office)["custom_fields_values"] if f["field_id"] == field["id"]]
        return [value["enum_id"] for row in rows for value in row["values"]]

    write([{"enum_id": first}, {"enum_id": second}])
    assert shown() == [first, second]
    write([{"value": "Б"}])
    assert shown() == [second]
    write(None)
    assert shown() == []
    assert field_values(lead(office), "SOURCE") == ["Сайт"]


def test_date_field_snaps_to_local_midnight(office: Office) -> None:
    made = office.post("/api/v4/leads/custom_fields", [{"name": "Дата", "type": "date"}])
    field_id = made.get_json(force=True)["_embedded"]["custom_fields"][0]["id"]
    item = {"field_id": field_id, "values": [{"value": 1634601600}]}
    office.patch("/api/v4/leads/1", {"custom_fields_values": [item]})
    value = next(f for f in lead(office)["custom_fields_values"] if f["field_id"] == field_id)["values"][0]
    assert value == {"value": 1634590800}


def test_one_bad_item_fails_the_whole_batch(office: Office) -> None:
    bad = {"custom_fields_values": [{"field_id": 1, "values": [{"value": "x"}]}]}
    answer = office.post("/api/v4/leads", [{"name": "годная"}, bad])
    assert answer.status_code == 400 and answer.content_type == "application/problem+json"
    assert answer.get_json(force=True) == {
        "validation-errors": [
            {
                "request_id": "1",
                "errors": [
                    {
                        "code": "NotSupportedChoice",
                        "path": "custom_fields_values.0.field_id",
                        "detail": "The value you selected is not a valid choice.",
                    }
                ],
            }
        ],
        "title": "Bad Request",
        "type": "https://httpstatus.es/400",
        "status": 400,
        "detail": "Request validation failed",
    }
    assert len(office.portal.deals) == 1


@pytest.mark.parametrize(
    ("item", "code", "path"),
    [
        ({"price": "100"}, "InvalidType", "price"),
        ({"price": 1.5}, "InvalidType", "price"),
        ({"price": True}, "InvalidType", "price"),
        ({"name": 5}, "InvalidType", "name"),
        ({"status_id": 7}, "NotSupportedChoice", "status_id"),
        ({"pipeline_id": 7}, "NotSupportedChoice", "pipeline_id"),
        ({"pipeline_id": PARTNERS, "status_id": CONTRACT}, "NotSupportedChoice", "status_id"),
        ({"responsible_user_id": 7}, "NotSupportedChoice", "responsible_user_id"),
        ({"loss_reason_id": 7}, "NotSupportedChoice", "loss_reason_id"),
        ({"created_at": -1}, "InvalidType", "created_at"),
        ({"created_at": 10**18}, "InvalidType", "created_at"),
        ({"_embedded": {"contacts": [{"id": 77}]}}, "NotSupportedChoice", "_embedded.contacts.0.id"),
        ({"_embedded": {"contacts": 5}}, "InvalidType", "_embedded.contacts"),
        ({"_embedded": {"tags": ["имя"]}}, "InvalidType", "_embedded.tags"),
        ({"tags_to_add": [{"id": 5}]}, "NotSupportedChoice", "tags_to_add.0.id"),
        ({"custom_fields_values": [5]}, "InvalidType", "custom_fields_values.0"),
        (
            {"custom_fields_values": [{"field_code": "SOURCE"}]},
            "FieldMissing",
            "custom_fields_values.0.values",
        ),
    ],
)
def test_broken_rules_are_named_by_code_and_path(
    office: Office, item: dict[str, Any], code: str, path: str
) -> None:
    answer = office.post("/api/v4/leads", [item])
    assert answer.status_code == 400
    error = answer.get_json(force=True)["validation-errors"][0]["errors"][0]
    assert (error["code"], error["path"]) == (code, path)


@pytest.mark.parametrize("path", ["/api/v4/leads", "/api/v4/contacts", "/api/v4/companies", "/api/v4/tasks"])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"5", b'"x"', b"[5]", b"[[]]", b"\xff\xfe", b"[NaN]", b"[" * 100_000]
)
def test_hostile_bodies_are_problems_not_crashes(office: Office, path: str, body: bytes) -> None:
    answer = office.call("POST", path, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["leads/1", "contacts/1", "companies/1", "leads", "tasks", "leads/notes"])
def test_there_is_no_delete(office: Office, path: str) -> None:
    answer = office.call("DELETE", f"/api/v4/{path}")
    assert answer.status_code == 405
    assert answer.get_json(force=True)["title"] == "Method Not Allowed"
    assert "GET" in answer.headers["Allow"]


def test_trash_is_listed_as_skeletons_only(office: Office) -> None:
    office.portal.delete_deal(1, by=MANAGER)
    assert office.get("/api/v4/leads").status_code == 204
    assert office.get("/api/v4/leads/1").status_code == 204
    row = office.read("/api/v4/leads?with=only_deleted")["_embedded"]["leads"][0]
    assert (row["is_deleted"], row["name"], row["price"], row["updated_by"]) == (True, None, None, MANAGER)


def test_switch_lets_a_deleted_lead_be_read() -> None:
    office = Office(switches=Switches(deleted_is_readable=True))
    office.portal.delete_deal(1, by=MANAGER)
    assert lead(office)["is_deleted"] is True


def test_complex_makes_and_links_three_entities(office: Office) -> None:
    tree = {
        "name": "С сайта",
        "price": 10,
        "request_id": "q",
        "_embedded": {"contacts": [{"first_name": "Ольга"}], "companies": [{"name": "ООО «Ольха»"}]},
    }
    answer = office.post("/api/v4/leads/complex", [tree]).get_json(force=True)
    assert answer == [{"id": 2, "contact_id": 2, "company_id": 2, "request_id": ["q"], "merged": False}]
    deal = office.portal.deals[2]
    assert (deal.contact_ids, deal.company_id, office.portal.contacts[2].company_id) == ([2], 2, 2)


def test_unsorted_lead_is_accepted_into_the_first_stage(office: Office) -> None:
    item = {
        "source_uid": "u",
        "source_name": "Форма",
        "metadata": {"form_id": "1"},
        "_embedded": {"leads": [{"name": "Заявка"}], "contacts": [{"name": "Кто-то"}]},
    }
    made = office.post("/api/v4/leads/unsorted/forms", [item]).get_json(force=True)
    uid = made["_embedded"]["unsorted"][0]["uid"]
    statuses = office.read(f"/api/v4/leads/pipelines/{SALES}/statuses")["_embedded"]["statuses"]
    assert lead(office, 2)["status_id"] == next(s["id"] for s in statuses if s["type"] == 1)
    assert office.read(f"/api/v4/leads/unsorted/{uid}")["category"] == "forms"
    assert office.post(f"/api/v4/leads/unsorted/{uid}/accept", {"user_id": MANAGER}).status_code == 200
    assert lead(office, 2)["status_id"] == NEW
    assert office.get("/api/v4/leads/unsorted").status_code == 204
    assert office.get(f"/api/v4/leads/unsorted/{uid}").status_code == 404


def test_links_are_written_with_is_main_and_read_with_main_contact(office: Office) -> None:
    office.post("/api/v4/contacts", [{"first_name": "Второй"}])
    body = [{"to_entity_id": 2, "to_entity_type": "contacts", "metadata": {"is_main": True}}]
    answer = office.post("/api/v4/leads/1/link", body)
    assert answer.get_json(force=True)["_embedded"]["links"][0]["metadata"] == {"main_contact": True}
    links = office.read("/api/v4/leads/1/links?filter[to_entity_type]=contacts")["_embedded"]["links"]
    assert [(link["to_entity_id"], link["metadata"]) for link in links] == [
        (2, {"main_contact": True}),
        (1, {"main_contact": False}),
    ]
    assert office.post("/api/v4/leads/1/unlink", body).status_code == 204
    assert office.portal.deals[1].contact_ids == [1]


def test_author_of_an_imported_contact_does_not_change_with_its_first_update(office: Office) -> None:
    office.amo.world.authors.clear()
    before = office.read("/api/v4/contacts/1")
    office.patch("/api/v4/contacts/1", {"last_name": "Другой"})
    after = office.read("/api/v4/contacts/1")
    assert (before["created_by"], after["created_by"], after["updated_by"]) == (MANAGER, MANAGER, ADMIN)


def test_first_linked_contact_is_the_main_one(office: Office) -> None:
    office.post("/api/v4/leads", [{"name": "без людей"}])
    answer = office.post("/api/v4/leads/2/link", [{"to_entity_id": 1, "to_entity_type": "contacts"}])
    assert answer.get_json(force=True)["_embedded"]["links"][0]["metadata"] == {"main_contact": True}


def test_answers_carry_a_request_id_of_their_own(office: Office) -> None:
    first, second = (office.get("/api/v4/account").headers["X-Request-Id"] for _ in range(2))
    assert first != second


def test_linked_element_becomes_a_product_row_and_follows_its_price(office: Office) -> None:
    fields = [{"field_code": "PRICE", "values": [{"value": "700.50"}]}]
    path = "/api/v4/catalogs/4521/elements"
    made = office.post(path, [{"name": "Дверь", "custom_fields_values": fields}]).get_json(force=True)
    element_id = made["_embedded"]["elements"][0]["id"]
    body = [{"to_entity_id": element_id, "to_entity_type": "catalog_elements", "metadata": {"quantity": 3}}]
    assert office.post("/api/v4/leads/1/link", body).status_code == 200
    row = office.portal.deals[1].rows[-1]
    assert (row.name, row.price, row.quantity) == ("Дверь", Decimal("700.50"), Decimal(3))
    change = {"custom_fields_values": [{"field_code": "PRICE", "values": [{"value": "800"}]}]}
    assert office.patch(f"{path}/{element_id}", change).status_code == 200
    assert office.portal.deals[1].rows[-1].price == Decimal(800)


def test_unknown_custom_field_is_404(office: Office) -> None:
    answer = office.get("/api/v4/leads/custom_fields/5")
    assert answer.status_code == 404
    assert answer.get_json(force=True) == {
        "title": "Not Found",
        "type": "https://httpstatus.es/404",
        "status": 404,
        "detail": "Custom field not found",
    }


def test_pipelines_show_the_unsorted_and_the_shared_statuses(office: Office) -> None:
    body = office.read("/api/v4/leads/pipelines")
    assert body["_total_items"] == 2
    shown = [
        [(s["type"], s["sort"]) for s in p["_embedded"]["statuses"]] for p in body["_embedded"]["pipelines"]
    ]
    assert shown == [[(1, 10), (0, 20), (0, 30), (0, 10000), (0, 11000)]] * 2
    ids = [{s["id"] for s in p["_embedded"]["statuses"]} for p in body["_embedded"]["pipelines"]]
    assert ids[0] & ids[1] == {WON, LOST}


def test_fields_filled_by_the_board_are_met_as_text(office: Office) -> None:
    office.portal.update_deal(1, {"fields": {"Объект": "Склад"}}, by=MANAGER)
    shown = {f["field_name"]: f["values"] for f in lead(office)["custom_fields_values"]}
    assert shown["Объект"] == [{"value": "Склад"}]
