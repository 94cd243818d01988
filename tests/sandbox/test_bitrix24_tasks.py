"""Tasks with all that hangs on them, classic quotes, bots, and what descriptions of fields say."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import Any

import pytest
from PIL import Image

from tests.sandbox.b24 import B24, SECRET, TOKEN


def task(b24: B24, **fields: Any) -> str:
    added = b24.result("tasks.task.add", fields={"TITLE": "Позвонить", "RESPONSIBLE_ID": 7, **fields})
    return str(added["task"]["id"])


def status(b24: B24, number: str) -> str:
    return str(b24.result("tasks.task.get", taskId=number)["task"]["status"])


def test_a_task_goes_through_its_statuses_and_refuses_a_step_that_is_not_open_to_it() -> None:
    b24 = B24()
    number = task(b24)
    steps = {"start": "3", "pause": "2", "defer": "6", "complete": "5", "renew": "2"}
    for action, expected in steps.items():
        shown = b24.result("tasks.task.get", taskId=number)["task"]["action"]
        assert shown[action] is True
        assert b24.result(f"tasks.task.{action}", taskId=number)["task"]["status"] == expected
        assert status(b24, number) == expected
    code, body = b24.post("tasks.task.approve", taskId=number)
    assert (code, body["error_description"]) == (400, "Action on task is not allowed")


def test_a_task_under_control_waits_for_the_word_of_its_author() -> None:
    b24 = B24()
    number = task(b24, TASK_CONTROL="Y", CREATED_BY=7, RESPONSIBLE_ID=1)
    b24.result("tasks.task.complete", taskId=number)
    assert (status(b24, number), b24.portal.tasks[int(number)].is_done) == ("4", False)
    b24.result("tasks.task.disapprove", taskId=number)
    b24.result("tasks.task.complete", taskId=number)
    b24.result("tasks.task.approve", taskId=number)
    assert status(b24, number) == "5"


def test_a_status_that_only_this_portal_knows_is_told_to_handlers() -> None:
    b24 = B24()
    number = task(b24)
    b24.server.add_outgoing_webhook("https://hook.example/", ["ONTASKUPDATE"])
    b24.result("tasks.task.start", taskId=number)
    b24.result("tasks.task.update", taskId=number, fields={"PRIORITY": 2})
    b24.result("tasks.task.update", taskId=number, fields={"PRIORITY": 2})
    assert [body["data[FIELDS_AFTER][ID]"] for body in b24.bodies()] == [number, number]


def test_select_of_a_task_leaves_the_rest_out_but_what_comes_along() -> None:
    b24 = B24()
    number = task(b24, UF_CRM_TASK=["D_10"], AUDITORS=[1])
    wanted = ["ID", "TITLE", "RESPONSIBLE_ID", "UF_CRM_TASK", "AUDITORS"]
    row = b24.result("tasks.task.list", select=wanted)["tasks"][0]
    assert set(row) == {
        *("id", "title", "responsibleId", "responsible", "ufCrmTask", "auditors", "auditorsData"),
        *("descriptionInBbcode", "group"),
    }
    assert row["auditorsData"]["1"]["name"] == "Анна Смирнова"
    assert "ufCrmTask" not in b24.result("tasks.task.get", taskId=number)["task"]
    assert b24.result("tasks.task.get", taskId=number, select=["*", "ufCrmTask"])["task"]["ufCrmTask"] == [
        "D_10"
    ]


def test_the_check_list_is_written_by_name_by_place_and_by_a_bare_list() -> None:
    b24 = B24()
    number = task(b24)
    first = b24.result("task.checklistitem.add", TASKID=number, FIELDS={"TITLE": "Прайс"})
    second = b24.result("task.checklistitem.add", **{"0": number, "1": {"TITLE": "Договор"}})
    url = f"/rest/1/{SECRET}/task.checklistitem.complete"
    assert b24.http.post(url, json=[number, second]).json["result"] is True
    rows = b24.result("task.checklistitem.getlist", TASKID=number)
    assert [(row["TITLE"], row["IS_COMPLETE"]) for row in rows] == [("Прайс", "N"), ("Договор", "Y")]
    b24.result("task.checklistitem.delete", TASKID=number, ITEMID=first)
    assert b24.post("task.checklistitem.get", TASKID=number, ITEMID=first)[0] == 400
    assert b24.post("task.checklistitem.add", TASKID=number, FIELDS={})[1]["error"] == "ERROR_CORE"


def test_a_comment_becomes_a_result_and_time_is_counted() -> None:
    b24 = B24()
    number = task(b24)
    comment = b24.result("task.commentitem.add", TASKID=number, FIELDS={"POST_MESSAGE": "Договорились"})
    assert b24.result("tasks.task.result.list", taskId=number) == []
    b24.result("tasks.task.result.addFromComment", commentId=comment)
    (result,) = b24.result("tasks.task.result.list", taskId=number)
    assert (result["text"], result["taskId"]) == ("Договорились", int(number))
    assert b24.portal.tasks[int(number)].result == "Договорились"
    b24.result("task.elapseditem.add", TASKID=number, ARFIELDS={"SECONDS": 150})
    (spent,) = b24.result("task.elapseditem.getlist", TASKID=number)
    assert (spent["SECONDS"], spent["MINUTES"]) == ("150", "2")


def test_favourites_are_each_persons_own() -> None:
    b24 = B24()
    number = task(b24)
    b24.result("tasks.task.favorite.add", taskId=number)
    assert b24.result("tasks.task.get", taskId=number)["task"]["favorite"] == "Y"
    b24.result("tasks.task.favorite.remove", taskId=number)
    assert b24.result("tasks.task.get", taskId=number)["task"]["favorite"] == "N"


def test_a_classic_quote_is_the_universal_one_under_other_names() -> None:
    b24 = B24()
    number = b24.result("crm.quote.add", fields={"TITLE": "КП", "DEAL_ID": 10, "OPPORTUNITY": "100"})
    assert b24.result("crm.quote.update", id=number, fields={"STATUS_ID": "APPROVED"}) is True
    row = b24.result("crm.quote.get", id=number)
    assert (row["STATUS_ID"], row["CLOSED"], row["OPPORTUNITY"], row["DEAL_ID"]) == (
        *("APPROVED", "Y", "100.00", "10"),
    )
    assert b24.result("crm.item.get", entityTypeId=7, id=number)["item"]["stageId"] == "APPROVED"


def test_messages_to_a_bot_wait_until_a_higher_offset_is_asked_for() -> None:
    b24 = B24()
    bot = b24.result("imbot.v2.Bot.register", fields={"code": "helper", "properties": {"name": "Помощник"}})
    number = bot["bot"]["id"]
    for text in ("Привет", "Где счёт?"):
        b24.result("im.message.add", DIALOG_ID=number, MESSAGE=text)
    first = b24.result("imbot.v2.Event.get", botId=number, limit=1)
    assert (first["events"][0]["data"]["message"]["text"], first["hasMore"]) == ("Привет", True)
    rest = b24.result("imbot.v2.Event.get", botId=number, offset=first["nextOffset"])
    assert [event["data"]["message"]["text"] for event in rest["events"]] == ["Где счёт?"]
    assert b24.result("imbot.v2.Event.get", botId=number, offset=rest["nextOffset"])["events"] == []
    b24.result("imbot.v2.Chat.Message.send", botId=number, dialogId="7", fields={"message": "Вот он"})
    assert [n.text for n in b24.portal.notices.values() if n.user_id == 7] == ["Помощник: Вот он"]


def test_descriptions_of_fields_tell_parents_and_what_is_out_of_use() -> None:
    b24 = B24()
    deal = b24.result("crm.deal.fields")
    assert deal["COMPANY_ID"]["settings"] == {"parentEntityTypeId": 4}
    assert (deal["CONTACT_ID"]["isDeprecated"], "isDeprecated" in deal["COMPANY_ID"]) == (True, False)
    kind = b24.result("crm.type.add", fields={"title": "Закупки"})["type"]["entityTypeId"]
    fields = b24.result("crm.item.fields", entityTypeId=kind)["fields"]
    assert fields["stageId"]["statusType"].startswith(f"DYNAMIC_{kind}_STAGE_")
    assert fields["parentId2"]["settings"] == {"parentEntityTypeId": 2}


def test_directories_of_stages_tell_where_a_pipeline_begins_and_ends() -> None:
    rows = {row["ID"]: row for row in B24().result("crm.status.entity.types")}
    assert rows["DEAL_STAGE_5"]["SEMANTIC_INFO"] == {
        "START_FIELD": "C5:NEW",
        "FINAL_SUCCESS_FIELD": "C5:WON",
        "FINAL_UNSUCCESS_FIELD": "C5:LOSE",
        "FINAL_SORT": 0,
    }
    assert (rows["DEAL_STAGE"]["CATEGORY_ID"], rows["DEAL_STAGE_5"]["CATEGORY_ID"]) == (0, "5")


def test_a_product_of_the_catalogue_stays_in_its_row() -> None:
    b24 = B24()
    rows = [{"productId": 450, "productName": "Насос", "price": 10, "quantity": 1}]
    b24.result("crm.item.productrow.set", ownerType="D", ownerId=10, productRows=rows)
    (row,) = b24.result("crm.deal.productrows.get", id=10)
    assert (row["PRODUCT_ID"], row["RESERVE_ID"]) == (450, None)


def test_whom_a_call_was_with_is_told_in_full() -> None:
    b24 = B24()
    with_whom = [{"VALUE": "+79160000001", "ENTITY_ID": 55, "ENTITY_TYPE_ID": 3}]
    fields = {"OWNER_TYPE_ID": 2, "OWNER_ID": 10, "TYPE_ID": 2, "COMMUNICATIONS": with_whom}
    b24.result("crm.activity.add", fields=fields)
    (row,) = b24.result("crm.activity.list", select=["COMMUNICATIONS"])
    (told,) = row["COMMUNICATIONS"]
    assert (told["TYPE"], told["ENTITY_ID"], told["ENTITY_SETTINGS"]["COMPANY_TITLE"]) == (
        *("PHONE", "55", "Северный ветер"),
    )


@pytest.mark.parametrize(("name", "is_picture"), [("1.png", True), ("broken.png", False)])
def test_a_picture_in_a_comment_tells_its_size(name: str, is_picture: bool) -> None:
    b24, out = B24(), io.BytesIO()
    Image.new("RGB", (3, 2)).save(out, "PNG")
    content = b64encode(out.getvalue() if is_picture else b"no picture").decode()
    number = b24.result(
        "crm.timeline.comment.add",
        fields={"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": "x", "FILES": [[name, content]]},
    )
    (file,) = b24.result("crm.timeline.comment.get", id=number)["FILES"].values()
    assert file.get("image") == ({"width": 3, "height": 2} if is_picture else None)


def test_a_lead_read_by_the_universal_method_has_its_phone_in_short() -> None:
    b24 = B24()
    phones = [{"VALUE": "+79160000009", "VALUE_TYPE": "MOBILE"}]
    number = b24.result("crm.lead.add", fields={"TITLE": "Заявка", "PHONE": phones})
    item = b24.app_result("crm.item.get", entityTypeId=1, id=number, auth=TOKEN)["item"]
    assert (item["phone"], item["phoneMobile"], item["observers"], item["isConvert"]) == (
        *("+79160000009", "+79160000009", [], None),
    )
