"""Calls, open lines, and what else stands in a timeline: log messages, pins, bindings, to-dos, own cards."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

from connector.sandbox.bitrix24.methods.open_lines import client_wrote
from tests.sandbox.b24 import B24

HOOK = "http://127.0.0.1:9/hook"
CALL = {"USER_ID": 7, "PHONE_NUMBER": "+7 916 000-00-01", "TYPE": 2, "LINE_NUMBER": "3"}


def finished(b24: B24, **more: Any) -> dict[str, Any]:
    call_id = b24.app_result("telephony.externalCall.register", **CALL)["CALL_ID"]
    params = {"CALL_ID": call_id, "USER_ID": 7, "DURATION": 95, "STATUS_CODE": "200", **more}
    row: dict[str, Any] = b24.app_result("telephony.externalcall.finish", **params)
    return row


def test_call_finds_its_client_by_number_and_is_the_same_for_half_an_hour() -> None:
    b24 = B24()
    first = b24.app_result("telephony.externalcall.register", **CALL)
    assert (first["CRM_ENTITY_TYPE"], first["CRM_ENTITY_ID"]) == ("CONTACT", 55)
    assert (first["CRM_CREATED_LEAD"], first["CRM_CREATED_ENTITIES"]) == (None, [])
    assert b24.app_result("telephony.externalcall.register", **CALL)["CALL_ID"] == first["CALL_ID"]
    other = b24.app_result("telephony.externalcall.register", **CALL, EXTERNAL_CALL_ID="a-1")
    assert other["CALL_ID"] != first["CALL_ID"]
    assert b24.post("telephony.externalcall.register", **CALL)[1]["error"] == "WRONG_AUTH_TYPE"


def test_call_of_a_stranger_makes_a_lead_if_wanted() -> None:
    b24 = B24()
    call = {**CALL, "PHONE_NUMBER": "+74957770000", "CRM_CREATE": 1}
    made = b24.app_result("telephony.externalcall.register", **call)
    lead = b24.result("crm.lead.get", id=made["CRM_CREATED_LEAD"])
    assert (lead["PHONE"][0]["VALUE"], lead["ASSIGNED_BY_ID"]) == ("+74957770000", "7")
    assert made["CRM_CREATED_ENTITIES"] == [{"ENTITY_TYPE": "LEAD", "ENTITY_ID": made["CRM_CREATED_LEAD"]}]


def test_finished_call_leaves_an_activity_statistics_and_flat_events() -> None:
    b24 = B24()
    for event in ("ONVOXIMPLANTCALLSTART", "ONVOXIMPLANTCALLEND"):
        b24.app_result("event.bind", event=event, handler=HOOK)
    row = finished(b24, VOTE=5)
    assert (row["CALL_START_DATE"], row["CALL_STATUS"], row["CALL_VOTE"]) == ({}, 1, 5)
    activity = b24.result("crm.activity.get", id=row["CRM_ACTIVITY_ID"])
    assert (activity["PROVIDER_ID"], activity["DIRECTION"], activity["COMPLETED"]) == (
        "VOXIMPLANT_CALL",
        "1",
        "Y",
    )
    assert (activity["OWNER_TYPE_ID"], activity["OWNER_ID"]) == ("3", "55")
    (stat,) = b24.result("voximplant.statistic.get", FILTER={"CALL_TYPE": 2, ">CALL_DURATION": 90})
    assert (stat["CALL_DURATION"], stat["CALL_FAILED_CODE"], stat["PORTAL_USER_ID"]) == ("95", "200", "7")
    start, end = b24.bodies()
    assert start["data[CALL_ID]"] == end["data[CALL_ID]"] == row["CALL_ID"]
    assert (end["data[CALL_DURATION]"], end["data[CRM_ACTIVITY_ID]"]) == ("95", str(row["CRM_ACTIVITY_ID"]))


def test_missed_call_is_left_open() -> None:
    b24 = B24()
    row = finished(b24, DURATION=0, STATUS_CODE="304")
    assert b24.result("crm.activity.get", id=row["CRM_ACTIVITY_ID"])["COMPLETED"] == "N"
    assert b24.result("voximplant.statistic.get", SORT="ID", ORDER="DESC")[0]["CALL_FAILED_CODE"] == "304"


def test_record_is_attached_at_once_or_uploaded_afterwards() -> None:
    b24 = B24()
    call_id = finished(b24)["CALL_ID"]
    content = base64.b64encode(b"mp3").decode()
    record = {"CALL_ID": call_id, "FILENAME": "r.mp3"}
    attached = b24.app_result("telephony.externalCall.attachRecord", **record, FILE_CONTENT=content)
    assert b24.result("voximplant.statistic.get")[0]["RECORD_FILE_ID"] == attached["FILE_ID"]
    where = b24.app_result("telephony.externalCall.attachRecord", **record)
    path = where["uploadUrl"].removeprefix("http://portal.example")
    answer = b24.http.post(
        f"{path}&auth=first-oauth-token", data={where["fieldName"]: (io.BytesIO(b"m"), "r.mp3")}
    )
    assert answer.json["result"]["FILE_ID"] == b24.result("voximplant.statistic.get")[0]["RECORD_FILE_ID"]


def test_entities_are_searched_by_number_and_lines_are_kept() -> None:
    b24 = B24()
    (row,) = b24.result("telephony.externalCall.searchCrmEntities", PHONE_NUMBER="89160000001")
    assert (row["CRM_ENTITY_TYPE"], row["NAME"], row["ASSIGNED_BY_ID"]) == ("CONTACT", "Ольга Белова", 7)
    b24.app_result("telephony.externalLine.add", NUMBER="74950000000", NAME="Офис")
    assert b24.app_result("telephony.externalLine.get") == [{"NUMBER": "74950000000", "NAME": "Офис"}]
    assert b24.app_result("telephony.externalLine.delete", NUMBER="74950000000") == []


def test_employee_answers_in_the_chat_only_once_he_is_in_it() -> None:
    b24 = B24()
    b24.app_result("event.bind", event="ONOPENLINEMESSAGEADD", handler=HOOK)
    deal = {"CRM_ENTITY_TYPE": "deal", "CRM_ENTITY": 10}
    assert b24.result("imopenlines.crm.chat.get", **deal) == []
    assert b24.post("imopenlines.crm.chat.getLastId", **deal)[0] == 400
    chat = client_wrote(b24.server.site, "telegrambot", "Telegram", ("deal", 10), "Здравствуйте", set())
    (body,) = b24.bodies()
    assert body["data[DATA][0][message][text]"] == "Здравствуйте"
    (row,) = b24.result("imopenlines.crm.chat.get", **deal)
    assert (row["CHAT_ID"], row["CONNECTOR_ID"]) == (str(chat.id), "telegrambot")
    assert b24.result("imopenlines.crm.chat.getLastId", **deal) == chat.id
    message = {**deal, "USER_ID": 7, "CHAT_ID": chat.id, "MESSAGE": "Добрый день"}
    assert b24.post("imopenlines.crm.message.add", **message)[1]["error"] == "ACCESS_DENIED"
    b24.result("imopenlines.crm.chat.user.add", **deal, USER_ID=7, CHAT_ID=chat.id)
    assert isinstance(b24.result("imopenlines.crm.message.add", **message), int)
    assert chat.messages == [(0, "Здравствуйте"), (7, "Добрый день")]


def test_log_message_stands_in_the_timeline_and_is_no_comment() -> None:
    b24 = B24()
    fields = {"entityTypeId": 2, "entityId": 10, "title": "Счёт", "text": "оплачен", "iconCode": "info"}
    log = b24.result("crm.timeline.logmessage.add", fields=fields)["logMessage"]
    assert (log["title"], log["text"], log["iconCode"], log["authorId"]) == ("Счёт", "оплачен", "info", 1)
    rows = b24.result("crm.timeline.logmessage.list", entityTypeId=2, entityId=10)["logMessages"]
    assert [row["id"] for row in rows] == [log["id"]]
    filter_ = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10}
    assert b24.result("crm.timeline.comment.list", filter=filter_) == []
    assert b24.post("crm.timeline.logmessage.add", fields={**fields, "title": ""})[1]["error"] == "100"
    assert b24.result("crm.timeline.logmessage.delete", id=log["id"]) is None


@pytest.mark.parametrize("kind", ["lead", "quote", "dynamic_128"])
def test_comments_stand_at_kinds_that_the_shared_portal_has_not(kind: str) -> None:
    b24 = B24()
    b24.result("crm.type.add", fields={"title": "t"})
    type_id = {"lead": 1, "quote": 7, "dynamic_128": 128}[kind]
    number = b24.result("crm.item.add", entityTypeId=type_id, fields={"title": "x"})["item"]["id"]
    fields = {"ENTITY_TYPE": kind, "ENTITY_ID": number, "COMMENT": "текст"}
    comment = b24.result("crm.timeline.comment.add", fields=fields)
    filter_ = {"ENTITY_TYPE": kind, "ENTITY_ID": number}
    rows = b24.result("crm.timeline.comment.list", filter=filter_)
    assert [(row["ID"], row["ENTITY_TYPE"]) for row in rows] == [(str(comment), kind)]
    assert b24.result("crm.timeline.comment.list", filter={**filter_, "ENTITY_TYPE": "contact"}) == []


def test_comment_is_bound_to_a_second_owner_and_let_go() -> None:
    b24 = B24()
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": "текст"}
    comment = b24.result("crm.timeline.comment.add", fields=fields)
    bound = {"OWNER_ID": comment, "ENTITY_ID": 55, "ENTITY_TYPE": "contact"}
    assert b24.result("crm.timeline.bindings.bind", fields=bound) is True
    at_contact = {"ENTITY_TYPE": "contact", "ENTITY_ID": 55}
    assert [r["ID"] for r in b24.result("crm.timeline.comment.list", filter=at_contact)] == [str(comment)]
    rows = b24.result("crm.timeline.bindings.list", filter={"OWNER_ID": comment})
    assert [(row["ENTITY_TYPE"], row["ENTITY_ID"]) for row in rows] == [("deal", 10), ("contact", 55)]
    assert b24.result("crm.timeline.bindings.unbind", fields=bound) is True
    assert b24.post("crm.timeline.bindings.unbind", fields=bound)[0] == 400


def test_three_entries_are_pinned_at_most_and_each_takes_a_note() -> None:
    b24 = B24()
    owner = {"ownerTypeId": 2, "ownerId": 10}
    numbers = []
    for text in "абвг":
        fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": text}
        numbers.append(b24.result("crm.timeline.comment.add", fields=fields))
    for number in numbers[:3]:
        assert b24.result("crm.timeline.item.pin", id=number, **owner) is True
    assert b24.post("crm.timeline.item.pin", id=numbers[3], **owner)[1]["error"] == "PIN_LIMIT_EXCEEDED"
    assert b24.result("crm.timeline.item.unpin", id=numbers[0], **owner) is True
    assert b24.result("crm.timeline.item.pin", id=numbers[3], **owner) is True
    item = {**owner, "itemType": 1, "itemId": numbers[0]}
    b24.result("crm.timeline.note.save", **item, text="важно")
    assert b24.result("crm.timeline.note.get", **item) == {"text": "важно", "createdById": 1}
    b24.result("crm.timeline.note.delete", **item)
    assert b24.post("crm.timeline.note.get", **item)[1]["error"] == "NOT_FOUND"


def test_to_do_is_changed_piece_by_piece() -> None:
    b24 = B24()
    todo = {"ownerTypeId": 2, "ownerId": 10, "deadline": "2026-03-03T15:00:00+03:00", "title": "Позвонить"}
    number = b24.result("crm.activity.todo.add", **todo, pingOffsets=[0, 15], colorId="2")["id"]
    owner = {"id": number, "ownerTypeId": 2, "ownerId": 10}
    b24.result("crm.activity.todo.update", **owner, title="Написать", deadline="2026-03-04T15:00:00+03:00")
    b24.result("crm.activity.todo.updateDescription", **owner, value="о договоре")
    b24.result("crm.activity.todo.updateResponsibleUser", **owner, responsibleId=7)
    b24.result("crm.activity.todo.updateColor", **owner, colorId="5")
    row = b24.result("crm.activity.get", id=number)
    assert (row["SUBJECT"], row["DESCRIPTION"], row["RESPONSIBLE_ID"]) == ("Написать", "о договоре", "7")
    assert row["DEADLINE"] == "2026-03-04T15:00:00+03:00"
    assert row["SETTINGS"] == {"PING_OFFSETS": [0, 15], "COLOR": "5"}
    wrong = {**owner, "ownerId": 11, "value": "x"}
    assert b24.post("crm.activity.todo.updateDescription", **wrong)[1]["error"] == "OWNER_NOT_FOUND"
    assert b24.post("crm.activity.todo.add", **todo, colorId="9")[1]["error"] == "INVALID_ARG_VALUE"


def test_activity_has_several_owners_and_never_none() -> None:
    b24 = B24()
    todo = {"ownerTypeId": 2, "ownerId": 10, "deadline": "2026-03-03T15:00:00+03:00", "title": "x"}
    number = b24.result("crm.activity.todo.add", **todo)["id"]
    contact = {"activityId": number, "entityTypeId": 3, "entityId": 55}
    assert b24.result("crm.activity.binding.add", **contact) is True
    filter_ = {"BINDINGS": [{"OWNER_TYPE_ID": 3, "OWNER_ID": 55}]}
    assert [row["ID"] for row in b24.result("crm.activity.list", filter=filter_)] == [str(number)]
    b24.result("crm.activity.binding.delete", activityId=number, entityTypeId=2, entityId=10)
    assert b24.result("crm.activity.binding.list", activityId=number) == [{"entityTypeId": 3, "entityId": 55}]
    status, body = b24.post("crm.activity.binding.delete", **contact)
    assert (status, body["error"]) == (400, "LAST_BINDING_CANNOT_BE_DELETED")


def test_card_of_an_application_is_made_and_changed_by_applications_only() -> None:
    b24 = B24()
    params = {
        "ownerTypeId": 2,
        "ownerId": 10,
        "fields": {"typeId": "CONFIGURABLE", "completed": False, "originId": "7"},
        "layout": {"icon": {"code": "call"}, "header": {"title": "Договор"}},
    }
    made = b24.app_result("crm.activity.configurable.add", **params)["activity"]
    assert (made["fields"]["completed"], made["layout"]["header"]) == (False, {"title": "Договор"})
    changed = b24.app_result("crm.activity.configurable.update", id=made["id"], fields={"completed": True})
    assert changed["activity"]["fields"]["completed"] is True
    assert b24.app_result("crm.activity.configurable.get", id=made["id"])["activity"]["ownerId"] == 10
    assert b24.post("crm.activity.configurable.add", **params)[1]["error"] == "ACCESS_DENIED"


def test_duplicates_are_merged_unless_a_field_stands_in_the_way() -> None:
    b24 = B24()
    one = b24.result("crm.contact.add", fields={"NAME": "Ян", "PHONE": [{"VALUE": "+7999"}]})
    two = b24.result("crm.contact.add", fields={"NAME": "Ян", "POST": "Шеф", "PHONE": [{"VALUE": "+7888"}]})
    b24.app_result("event.bind", event="ONCRMCONTACTDELETE", handler=HOOK)
    merge = {"params": {"entityTypeId": 3, "entityIds": [one, two]}}
    assert b24.result("crm.entity.mergeBatch", **merge) == {"STATUS": "SUCCESS", "ENTITY_IDS": [two]}
    merged = b24.result("crm.contact.get", id=one)
    assert (merged["POST"], [p["VALUE"] for p in merged["PHONE"]]) == ("Шеф", ["+7999", "+7888"])
    assert [body["data[FIELDS][ID]"] for body in b24.bodies()] == [str(two)]
    conflict = {"params": {"entityTypeId": 3, "entityIds": [one, 55]}}
    assert b24.result("crm.entity.mergeBatch", **conflict)["STATUS"] == "CONFLICT"
    assert b24.result("crm.contact.get", id=55)["NAME"] == "Ольга"


def test_merged_cards_vanish_silently_if_the_switch_says_so() -> None:
    b24 = B24()
    b24.switches.merged_raise_delete = False
    ids = [b24.result("crm.contact.add", fields={"NAME": "Ян"}) for _ in range(2)]
    b24.app_result("event.bind", event="ONCRMCONTACTDELETE", handler=HOOK)
    b24.result("crm.entity.mergeBatch", params={"entityTypeId": 3, "entityIds": ids})
    assert list(b24.bodies()) == []
    b24.result("crm.contact.delete", id=ids[0])
    assert len(list(b24.bodies())) == 1


def test_signs_of_duplicates_are_seven_at_most() -> None:
    b24 = B24()
    for number in range(7):
        b24.result("crm.duplicate.volatileType.register", entityTypeId=3, fieldCode=f"F{number}")
    one_more = {"entityTypeId": 3, "fieldCode": "F8"}
    assert (
        b24.post("crm.duplicate.volatileType.register", **one_more)[1]["error"] == "MAX_TYPES_COUNT_EXCEEDED"
    )
    first = b24.result("crm.duplicate.volatileType.list")[0]["id"]
    b24.result("crm.duplicate.volatileType.unregister", id=first)
    assert b24.result("crm.duplicate.volatileType.register", **one_more)["id"]


def test_activity_answers_with_each_field_that_the_portal_says_it_has() -> None:
    b24 = B24()
    todo = {"ownerTypeId": 2, "ownerId": 10, "deadline": "2026-03-03T15:00:00+03:00", "title": "Позвонить"}
    number = b24.result("crm.activity.todo.add", **todo)["id"]
    fields = b24.result("crm.activity.fields")
    named = {name for name, field in fields.items() if not field["isMultiple"]} - {"IS_INCOMING_CHANNEL"}
    assert set(b24.result("crm.activity.get", id=number)) == named
    assert fields["TYPE_ID"] == {
        "type": "crm_enum_activitytype",
        "isRequired": True,
        "isReadOnly": False,
        "isImmutable": True,
        "isMultiple": False,
        "isDynamic": False,
        "title": "TYPE_ID",
    }
