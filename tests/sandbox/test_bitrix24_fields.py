"""User fields as records, of classic kinds and of smart processes, and their values both ways."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.b24 import B24

LIST = [{"VALUE": "Малый"}, {"VALUE": "Большой", "XML_ID": "big"}]


def test_enumeration_is_made_changed_and_deleted_with_two_events_at_its_birth() -> None:
    b24 = B24()
    for verb in ("ADD", "SETENUMVALUES", "UPDATE", "DELETE"):
        event = f"ONCRMDEALUSERFIELD{verb}"
        b24.app_result("event.bind", event=event, handler="http://127.0.0.1:9/h")
    fields = {
        "FIELD_NAME": "SIZE",
        "USER_TYPE_ID": "enumeration",
        "LIST": LIST,
        "EDIT_FORM_LABEL": {"ru": "Размер"},
    }
    number = b24.result("crm.deal.userfield.add", fields=fields)
    row = b24.result("crm.deal.userfield.get", id=number)
    small, big = row["LIST"]
    assert (row["FIELD_NAME"], row["EDIT_FORM_LABEL"], big["VALUE"]) == ("UF_CRM_SIZE", "Размер", "Большой")
    change = {"LIST": [{"ID": small["ID"], "VALUE": "S"}, {"ID": big["ID"], "DEL": "Y"}, {"VALUE": "L"}]}
    assert b24.result("crm.deal.userfield.update", id=number, fields=change) is True
    values = [item["VALUE"] for item in b24.result("crm.deal.userfield.get", id=number)["LIST"]]
    assert values == ["S", "L"]
    assert b24.result("crm.deal.userfield.delete", id=number) is True
    assert b24.post("crm.deal.userfield.get", id=number)[1]["error"] == "ERROR_NOT_FOUND"
    bodies = list(b24.bodies())
    assert [body["event"][18:] for body in bodies] == [
        "ADD",
        "SETENUMVALUES",
        "SETENUMVALUES",
        "UPDATE",
        "DELETE",
    ]
    assert bodies[0]["data[FIELDS][FIELD_NAME]"] == "UF_CRM_SIZE"
    assert bodies[0]["data[FIELDS][ENTITY_ID]"] == "CRM_DEAL"


@pytest.mark.parametrize(
    ("kind", "sent", "classic", "universal"),
    [
        ("string", "текст", "текст", "текст"),
        ("integer", "7", "7", 7),
        ("double", "1.5", "1.5", 1.5),
        ("boolean", "1", "1", "Y"),
        ("date", "2026-03-05", "2026-03-05T03:00:00+03:00", "2026-03-05T03:00:00+03:00"),
        ("datetime", "2026-03-05T10:00:00+03:00", "2026-03-05T10:00:00+03:00", "2026-03-05T10:00:00+03:00"),
        ("money", "100.50|RUB", "100.50|RUB", "100.50|RUB"),
        ("employee", "7", "7", 7),
        ("crm", "D_10", "D_10", "D_10"),
        ("url", "https://a.example", "https://a.example", "https://a.example"),
        ("address", "Москва|55;37|9", "Москва|55;37|9", "Москва|55;37|9"),
    ],
)
def test_value_is_written_and_read_back_in_both_spellings(
    kind: str, sent: str, classic: str, universal: Any
) -> None:
    b24 = B24()
    b24.result("crm.deal.userfield.add", fields={"FIELD_NAME": "V", "USER_TYPE_ID": kind})
    b24.result("crm.deal.update", id=10, fields={"UF_CRM_V": sent})
    assert b24.result("crm.deal.get", id=10)["UF_CRM_V"] == classic
    assert b24.result("crm.item.get", entityTypeId=2, id=10)["item"]["ufCrmV"] == universal
    row = b24.result("crm.item.get", entityTypeId=2, id=10, useOriginalUfNames="Y")["item"]
    assert row["UF_CRM_V"] == universal


@pytest.mark.parametrize(
    "fields",
    [{"FIELD_NAME": "Ж"}, {"FIELD_NAME": "A" * 44}, {"FIELD_NAME": "A", "USER_TYPE_ID": "colour"}, {}],
)
def test_bad_field_is_refused(fields: dict[str, str]) -> None:
    status, body = B24().post("crm.lead.userfield.add", fields=fields)
    assert (status, body["error"]) == (400, "ERROR_CORE")


def test_fields_of_a_smart_process_are_made_by_their_config_only() -> None:
    b24 = B24()
    made = b24.result("crm.type.add", fields={"title": "t"})["type"]
    name = f"UF_CRM_{made['id']}_PLACE"
    field = {"entityId": f"CRM_{made['id']}", "fieldName": name, "userTypeId": "enumeration"}
    field |= {"enum": [{"value": "Двор"}], "editFormLabel": {"ru": "Место"}}  # type: ignore[dict-item]
    added = b24.result("userfieldconfig.add", moduleId="crm", field=field)["field"]
    assert (added["entityId"], added["editFormLabel"]) == (f"CRM_{made['id']}", {"ru": "Место"})
    camel = f"ufCrm{made['id']}Place"
    item = b24.result(
        "crm.item.add", entityTypeId=made["entityTypeId"], fields={camel: added["enum"][0]["id"]}
    )["item"]
    assert item[camel] == int(added["enum"][0]["id"])
    listed = b24.result("userfieldconfig.list", moduleId="crm", filter={"entityId": added["entityId"]})[
        "fields"
    ]
    assert [row["id"] for row in listed] == [added["id"]]
    b24.result("userfieldconfig.update", moduleId="crm", id=added["id"], field={"enum": [{"value": "Цех"}]})
    shown = b24.result("userfieldconfig.get", moduleId="crm", id=added["id"])["field"]
    assert [entry["value"] for entry in shown["enum"]] == ["Двор", "Цех"]
    assert b24.result("userfieldconfig.delete", moduleId="crm", id=added["id"]) is None
    assert b24.post("userfieldconfig.get", moduleId="crm", id=added["id"])[0] == 400
    for wrong in ({**field, "fieldName": "UF_CRM_X"}, {**field, "entityId": "CRM_NOTHING"}):
        assert b24.post("userfieldconfig.add", moduleId="crm", field=wrong)[1]["error"] == "INVALID_ARG_VALUE"
    assert "enumeration" in b24.result("userfieldconfig.getTypes", moduleId="crm")["fields"]
