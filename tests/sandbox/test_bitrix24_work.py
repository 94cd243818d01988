"""Comments with files, activities, tasks, messages, the Drive, product rows and requisites."""

from __future__ import annotations

import base64
import io
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.b24 import B24, SECRET

PDF = base64.b64encode(b"%PDF-1.7 contract").decode()


def fetch(b24: B24, url: str) -> tuple[int, bytes, str]:
    parts = urlsplit(url)
    answer = b24.http.get(f"{parts.path}?{parts.query}")
    return answer.status_code, answer.data, answer.content_type


def comment(b24: B24, **fields: Any) -> Any:
    return b24.result("crm.timeline.comment.add", fields={"ENTITY_TYPE": "deal", "ENTITY_ID": 10, **fields})


def test_comment_keeps_its_files_and_gives_them_back() -> None:
    b24 = B24()
    number = comment(b24, COMMENT="Договор", FILES=[["Договор №1.pdf", PDF], ["b.txt", PDF]], AUTHOR_ID=7)
    (row,) = b24.result("crm.timeline.comment.list", filter={"ENTITY_ID": 10, "ENTITY_TYPE": "deal"})
    assert (row["ID"], row["AUTHOR_ID"], row["COMMENT"]) == (str(number), "7", "Договор")
    first = next(iter(row["FILES"].values()))
    assert (first["name"], first["size"], first["authorName"]) == ("Договор №1.pdf", 17, "Пётр Козлов")
    assert list(row["FILES"]) == [str(file["id"]) for file in row["FILES"].values()]
    assert fetch(b24, first["urlDownload"]) == (200, b"%PDF-1.7 contract", "application/pdf")
    assert fetch(b24, first["urlDownload"].replace("token=", "token=x"))[0] == 404


def test_comment_without_files_has_an_empty_object_for_them() -> None:
    b24 = B24()
    assert b24.result("crm.timeline.comment.get", id=comment(b24, COMMENT="x"))["FILES"] == {}


def test_comment_update_replaces_all_files() -> None:
    b24 = B24()
    number = comment(b24, COMMENT="x", FILES=[["a.pdf", PDF]])
    assert b24.result("crm.timeline.comment.update", id=number, fields={"FILES": [["b.pdf", PDF]]}) is True
    kept = b24.result("crm.timeline.comment.get", id=number)["FILES"]
    assert [file["name"] for file in kept.values()] == ["b.pdf"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ENTITY_ID": 404, "COMMENT": "x"}, "OWNER_NOT_FOUND"),
        ({"ENTITY_TYPE": "order", "COMMENT": "x"}, "OWNER_NOT_FOUND"),
        ({"COMMENT": " "}, "INVALID_ARG_VALUE"),
    ],
)
def test_bad_comment(fields: dict[str, Any], code: str) -> None:
    wanted = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, **fields}
    status, body = B24().post("crm.timeline.comment.add", fields=wanted)
    assert (status, body["error"]) == (400, code)


def test_comments_are_listed_for_one_object_only() -> None:
    status, body = B24().post("crm.timeline.comment.list", filter={"ENTITY_ID": 10})
    assert (status, body["error"]) == (400, "INVALID_ARG_VALUE")


def todo(b24: B24, **changes: Any) -> Any:
    wanted = {"ownerTypeId": 2, "ownerId": 10, "deadline": "2026-03-03T15:00:00+03:00", "title": "Позвонить"}
    return b24.post("crm.activity.todo.add", **{**wanted, **changes})


def test_todo_is_an_activity_of_its_own_provider_and_a_task_of_the_portal() -> None:
    b24 = B24()
    number = todo(b24, responsibleId=7)[1]["result"]["id"]
    row = b24.result("crm.activity.get", id=number)
    expected = {
        "ID": str(number),
        "PROVIDER_ID": "CRM_TODO",
        "OWNER_ID": "10",
        "RESPONSIBLE_ID": "7",
        "DEADLINE": "2026-03-03T15:00:00+03:00",
        "COMPLETED": "N",
        "SETTINGS": [],
    }
    assert {name: row[name] for name in expected} == expected
    assert b24.result("tasks.task.list") == {"tasks": []}
    (task,) = b24.portal.tasks.values()
    assert (task.text, task.entity_id) == ("Позвонить", 10)
    b24.portal.update("task", task.id, {"is_done": True}, by=7)
    assert b24.result("crm.activity.list", filter={"COMPLETED": "Y"}, select=["ID"]) == [{"ID": str(number)}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ownerId": 404}, "OWNER_NOT_FOUND"),
        ({"deadline": "tomorrow"}, "WRONG_DATETIME_FORMAT"),
        ({"deadline": None}, "100"),
    ],
)
def test_bad_todo(changes: dict[str, Any], code: str) -> None:
    status, body = todo(B24(), **changes)
    assert (status, body["error"]) == (400, code)


def email(b24: B24, **changes: Any) -> tuple[int, Any]:
    fields = {
        "OWNER_TYPE_ID": 2,
        "OWNER_ID": 10,
        "TYPE_ID": 4,
        "DIRECTION": 2,
        "COMPLETED": "Y",
        "SUBJECT": "Счёт",
        "COMMUNICATIONS": [{"VALUE": "olga@example.ru", "ENTITY_ID": 55, "ENTITY_TYPE_ID": 3}],
        "FILES": [{"fileData": ["счёт.pdf", PDF]}],
    }
    return b24.post("crm.activity.add", fields={**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "is_sent"), [({}, True), ({"COMPLETED": "N"}, False), ({"DIRECTION": 1}, False)]
)
def test_email_leaves_only_on_all_three_conditions(changes: dict[str, Any], is_sent: bool) -> None:
    b24 = B24()
    assert email(b24, **changes)[0] == 200
    (note,) = b24.portal.notes.values()
    assert (note.kind, note.params["is_sent"]) == ("mail", is_sent)


def test_email_that_failed_is_stored_all_the_same() -> None:
    b24 = B24()
    b24.switches.fail_emails = True
    status, body = email(b24)
    assert (status, body["error"]) == (400, "")
    assert body["error_description"].startswith("Email send error")
    (row,) = b24.result(
        "crm.activity.list", filter={"SUBJECT": "Счёт"}, select=["*", "FILES", "COMMUNICATIONS"]
    )
    assert row["COMMUNICATIONS"][0]["VALUE"] == "olga@example.ru"
    assert fetch(b24, row["FILES"][0]["url"])[1] == b"%PDF-1.7 contract"
    assert "FILES" not in b24.result("crm.activity.list")[0]


def test_activity_needs_someone_to_talk_to() -> None:
    assert email(B24(), COMMUNICATIONS=[])[1]["error"] == ""


def test_task_comes_in_upper_and_goes_out_in_camel_case() -> None:
    b24 = B24()
    fields = {
        "TITLE": "Перезвонить",
        "RESPONSIBLE_ID": 7,
        "DEADLINE": "2026-03-04T10:00:00",
        "UF_CRM_TASK": ["C_55", "D_10"],
    }
    task = b24.result("tasks.task.add", fields=fields)["task"]
    expected = {
        "title": "Перезвонить",
        "status": "2",
        "responsibleId": "7",
        "createdBy": "1",
        "deadline": "2026-03-04T10:00:00+03:00",
        "closedDate": None,
        "group": [],
    }
    assert {name: task[name] for name in expected} == expected
    assert "ufCrmTask" not in task
    assert (b24.portal.tasks[int(task["id"])].entity, b24.portal.tasks[int(task["id"])].entity_id) == (
        "deal",
        10,
    )
    listed = b24.result("tasks.task.list", filter={"UF_CRM_TASK": "D_10"}, select=["ID", "UF_CRM_TASK"])
    assert listed["tasks"][0]["ufCrmTask"] == ["C_55", "D_10"]
    done = b24.result("tasks.task.complete", taskId=task["id"])["task"]
    assert (done["status"], done["closedDate"] is not None) == ("5", True)
    assert b24.result("tasks.task.list", filter={"STATUS": 2}) == {"tasks": []}


def test_missing_task_is_an_empty_result_to_get_and_an_error_to_update() -> None:
    b24 = B24()
    assert b24.result("tasks.task.get", taskId=404) == []
    assert b24.post("tasks.task.update", taskId=404, fields={"TITLE": "x"})[0] == 400
    assert b24.post("tasks.task.add", fields={"RESPONSIBLE_ID": 7})[1]["error"] == "ERROR_CORE"


def test_task_without_deadline_and_its_comment() -> None:
    b24 = B24()
    task = b24.result("tasks.task.add", fields={"TITLE": "t", "RESPONSIBLE_ID": 7})["task"]
    assert task["deadline"] is None
    number = b24.result("task.commentitem.add", TASKID=task["id"], FIELDS={"POST_MESSAGE": "Готово"})
    assert isinstance(number, int)
    assert b24.portal.tasks[int(task["id"])].result == "Готово"
    changed = b24.result("tasks.task.update", taskId=task["id"], fields={"TITLE": "u", "STATUS": 5})["task"]
    assert (changed["title"], changed["status"]) == ("u", "5")


def test_notification_with_a_tag_replaces_the_older_one() -> None:
    b24 = B24()
    first = b24.result("im.notify.system.add", USER_ID=7, MESSAGE="раз", TAG="t", CLIENT_ID="c")
    second = b24.result("im.notify.system.add", USER_ID=7, MESSAGE="два", TAG="t", CLIENT_ID="c")
    assert first != second
    assert [notice.text for notice in b24.portal.notices.values()] == ["два"]
    assert b24.post("im.notify.system.add", USER_ID=7, MESSAGE="")[1]["error"] == "MESSAGE_EMPTY"
    assert b24.post("im.notify.personal.add", USER_ID=404, MESSAGE="x")[1]["error"] == "USER_ID_EMPTY"


def test_message_is_found_again_in_its_dialog() -> None:
    b24 = B24()
    number = b24.result("im.message.add", DIALOG_ID="7", MESSAGE="Отчёт")
    messages = b24.result("im.dialog.messages.get", DIALOG_ID=7)["messages"]
    assert [(m["id"], m["text"], m["author_id"]) for m in messages] == [(number, "Отчёт", 1)]
    chat = b24.result("im.chat.add", TITLE="Продажи")
    b24.result("im.message.add", DIALOG_ID=f"chat{chat}", MESSAGE="Всем")
    assert len(b24.result("im.dialog.messages.get", DIALOG_ID=f"chat{chat}")["messages"]) == 1


def test_post_in_the_live_feed_reaches_whom_it_names() -> None:
    b24 = B24()
    assert isinstance(b24.result("log.blogpost.add", POST_TITLE="Итоги", POST_MESSAGE="x", DEST=["U7"]), int)
    assert [(notice.user_id, notice.kind) for notice in b24.portal.notices.values()] == [(7, "post")]


def test_file_goes_to_the_drive_in_one_step() -> None:
    b24 = B24()
    root = b24.result("disk.storage.getlist")[0]["ROOT_OBJECT_ID"]
    upload = {"id": root, "data": {"NAME": "a.pdf"}, "fileContent": ["a.pdf", PDF]}
    file = b24.result("disk.folder.uploadFile", **upload)
    assert (file["NAME"], file["SIZE"], file["PARENT_ID"], file["TYPE"]) == ("a.pdf", "17", "1", "file")
    assert b24.result("disk.file.get", id=file["ID"])["NAME"] == "a.pdf"
    assert fetch(b24, file["DOWNLOAD_URL"])[1] == b"%PDF-1.7 contract"
    assert b24.post("disk.folder.uploadfile", **upload)[1]["error"] == "DISK_OBJ_22000"
    assert b24.result("disk.folder.uploadfile", **upload, generateUniqueName=True)["NAME"] == "a (1).pdf"
    assert len(b24.result("disk.folder.getchildren", id=root)) == 2


def test_file_goes_to_the_drive_in_two_steps() -> None:
    b24 = B24()
    step = b24.result("disk.folder.uploadfile", id=1)
    parts = urlsplit(step["uploadUrl"])
    assert parts.path == f"/rest/1/{SECRET}/upload.json"
    form = {step["field"]: (io.BytesIO(b"big"), "big.bin")}
    answer = b24.http.post(f"{parts.path}?{parts.query}", data=form, content_type="multipart/form-data")
    assert answer.json is not None
    assert (answer.json["result"]["NAME"], answer.json["result"]["SIZE"]) == ("big.bin", "3")


def test_four_prices_of_a_row() -> None:
    status, body = B24().post("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": 10})
    assert (status, body["total"]) == (200, 2)
    first, second = body["result"]["productRows"]
    expected = {
        "id": 901,
        "ownerId": 10,
        "ownerType": "D",
        "price": 120000,
        "priceExclusive": 100000,
        "priceNetto": 110000,
        "priceBrutto": 132000,
        "discountSum": 10000,
        "discountRate": 9.09,
        "taxRate": 20,
        "taxIncluded": "Y",
        "measureCode": 796,
        "quantity": 1,
    }
    assert {name: first[name] for name in expected} == expected
    assert (second["price"], second["taxRate"], second["taxIncluded"], second["priceNetto"]) == (
        5000.5,
        None,
        "N",
        5000.5,
    )


def test_rows_need_their_owner_and_no_parameter_besides() -> None:
    b24 = B24()
    assert b24.post("crm.item.productrow.list", filter={"=ownerId": 10})[0] == 400
    both = {"=ownerType": "D", "=ownerId": 10}
    assert b24.post("crm.item.productrow.list", filter=both, entityTypeId=2)[0] == 400


def test_setting_rows_recomputes_the_amount_unless_kept_by_hand() -> None:
    b24 = B24()
    rows = [{"productName": "Лицензия", "price": 90, "quantity": 3, "discountTypeId": 2, "discountRate": 10}]
    (row,) = b24.result("crm.item.productrow.set", ownerType="D", ownerId=10, productRows=rows)["productRows"]
    assert (row["priceBrutto"], row["discountRate"]) == (100, 10)
    assert b24.portal.deals[10].amount == Decimal(270)
    b24.result("crm.deal.update", id=10, fields={"IS_MANUAL_OPPORTUNITY": "Y", "OPPORTUNITY": "5"})
    extra = {"ownerType": "D", "ownerId": 10, "productName": "Ещё", "price": 7}
    number = b24.result("crm.item.productrow.add", fields=extra)["productRow"]["id"]
    assert b24.portal.deals[10].amount == Decimal(5)
    assert (
        b24.result("crm.item.productrow.update", id=number, fields={"quantity": 4})["productRow"]["quantity"]
        == 4
    )
    classic = b24.result("crm.deal.productrows.get", id=10)
    assert [(r["PRODUCT_NAME"], r["PRICE"], r["QUANTITY"]) for r in classic] == [
        ("Лицензия", 90, 3),
        ("Ещё", 7, 4),
    ]
    assert b24.result("crm.deal.productrows.set", id=10, rows=[]) is True
    assert b24.portal.deals[10].rows == []


def test_requisites_bank_details_and_address_of_a_company() -> None:
    b24 = B24()
    (row,) = b24.result("crm.requisite.list", filter={"ENTITY_TYPE_ID": 4, "ENTITY_ID": 3})
    expected = {
        "ID": "31",
        "ENTITY_ID": "3",
        "PRESET_ID": "1",
        "DATE_MODIFY": "",
        "RQ_INN": "7712345678",
        "RQ_OGRN": "1027700132195",
        "RQ_OGRNIP": None,
        "RQ_DIRECTOR": "Иванов Иван Иванович",
        "RQ_BASE_DOC": "Устава",
        "RQ_OKPO": None,
    }
    assert {name: row[name] for name in expected} == expected
    (bank,) = b24.result(
        "crm.requisite.bankdetail.list", filter={"ENTITY_ID": 31}, select=["RQ_BIK", "RQ_ACC_NUM"]
    )
    assert bank == {"RQ_BIK": "044525225", "RQ_ACC_NUM": "40702810938000060473"}
    (address,) = b24.result("crm.address.list", filter={"ENTITY_TYPE_ID": 8, "ENTITY_ID": 31, "TYPE_ID": 6})
    assert address["ADDRESS_1"].startswith("127000")
    assert b24.result("crm.requisite.list", filter={"ENTITY_ID": 404}) == []


def test_requisites_are_made_changed_and_deleted() -> None:
    b24 = B24()
    company = b24.result("crm.company.add", fields={"TITLE": "Ромашка"})
    fields = {
        "ENTITY_TYPE_ID": 4,
        "ENTITY_ID": company,
        "PRESET_ID": 1,
        "NAME": "Осн.",
        "RQ_INN": "7700000000",
    }
    number = b24.result("crm.requisite.add", fields={**fields, "RQ_COMPANY_FULL_NAME": "ООО «Ромашка»"})
    bank = {"ENTITY_ID": number, "RQ_BIK": "044525225", "RQ_BANK_NAME": "Банк"}
    assert b24.result("crm.requisite.bankdetail.add", fields=bank) == number
    assert b24.result("crm.requisite.update", id=number, fields={"RQ_KPP": "770001001"}) is True
    place = {"TYPE_ID": 6, "ENTITY_TYPE_ID": 8, "ENTITY_ID": number, "ADDRESS_1": "ул. Новая"}
    assert b24.result("crm.address.add", fields=place) is True
    assert b24.post("crm.address.add", fields=place)[1]["error_description"] == "TypeAddress exists"
    kept = b24.portal.companies[company].requisites
    assert kept is not None
    assert (kept.full_name, kept.inn, kept.kpp, kept.bik, kept.address) == (
        "ООО «Ромашка»",
        "7700000000",
        "770001001",
        "044525225",
        "ул. Новая",
    )
    assert b24.result("crm.requisite.get", id=number)["NAME"] == "Осн."
    assert b24.result("crm.requisite.delete", id=number) is True
    assert b24.post("crm.requisite.get", id=number)[1] == {"error": "", "error_description": "Not found"}


def test_link_of_requisites_is_checked_against_the_deals_company() -> None:
    b24 = B24()
    link = {"ENTITY_TYPE_ID": 2, "ENTITY_ID": 10, "REQUISITE_ID": 31, "BANK_DETAIL_ID": 31}
    assert b24.result("crm.requisite.link.register", fields=link) is True
    assert b24.result("crm.requisite.link.list", filter={"ENTITY_ID": 10}) == [
        {
            "ENTITY_TYPE_ID": "2",
            "ENTITY_ID": "10",
            "REQUISITE_ID": "31",
            "BANK_DETAIL_ID": "31",
            "MC_REQUISITE_ID": "0",
            "MC_BANK_DETAIL_ID": "0",
        }
    ]
    status, body = b24.post("crm.requisite.link.register", fields={**link, "ENTITY_ID": 11})
    assert (status, body["error"]) == (400, "")
    assert "is not assigned to Company with ID '0'" in body["error_description"]
