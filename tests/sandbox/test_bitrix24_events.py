"""Events: what raises them, the form as it is posted, delivery once, faults, and the offline queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response, request
from werkzeug.serving import make_server

from connector.sandbox.state import ROBOT
from tests.sandbox.b24 import APPLICATION, B24, MEMBER, SECRET

HOOK = "http://127.0.0.1:9/hook"
DEAL_EVENTS = ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE")


def names(b24: B24) -> list[str]:
    return [body["event"] for body in b24.bodies()]


def hooked(*events: str) -> B24:
    b24 = B24()
    b24.server.add_outgoing_webhook(HOOK, events or DEAL_EVENTS)
    return b24


def bound(event: str, **options: Any) -> B24:
    b24 = B24()
    b24.app_result("event.bind", event=event, handler=HOOK, **options)
    return b24


def test_outgoing_webhook_gets_the_id_and_five_auth_keys_and_no_token() -> None:
    b24 = hooked()
    b24.result("crm.deal.update", id=10, fields={"STAGE_ID": "WON"})
    (body,) = b24.bodies()
    assert body == {
        "event": "ONCRMDEALUPDATE",
        "event_handler_id": body["event_handler_id"],
        "data[FIELDS][ID]": "10",
        "ts": str(int(b24.clock.now().timestamp())),
        "auth[domain]": "portal.example",
        "auth[client_endpoint]": "http://portal.example/rest/",
        "auth[server_endpoint]": "http://portal.example/rest/",
        "auth[member_id]": MEMBER,
        "auth[application_token]": APPLICATION,
    }
    assert body["event_handler_id"].isdigit()


def test_application_gets_a_token_that_works_but_no_refresh_token() -> None:
    b24 = bound("ONCRMDEALADD")
    number = b24.result("crm.deal.add", fields={"TITLE": "x"})
    (body,) = b24.bodies()
    assert body["data[FIELDS][ID]"] == str(number)
    assert (body["auth[expires_in]"], body["auth[status]"], body["auth[user_id]"]) == ("3600", "L", "1")
    assert "auth[refresh_token]" not in body
    assert b24.app_result("profile", auth=body["auth[access_token]"])["ID"] == "1"


def test_change_made_by_the_system_carries_no_token() -> None:
    b24 = bound("ONCRMDEALUPDATE")
    b24.portal.update_deal(10, {"name": "Робот"}, by=ROBOT)
    (body,) = b24.bodies()
    assert not {key for key in body if "token" in key and key != "auth[application_token]"}
    assert "auth[user_id]" not in body


def test_token_is_that_of_the_user_in_auth_type() -> None:
    b24 = bound("ONCRMDEALUPDATE", auth_type=7)
    b24.result("crm.deal.update", id=10, fields={"TITLE": "y"})
    (body,) = b24.bodies()
    assert body["auth[user_id]"] == "7"


def test_add_update_and_delete_each_raise_their_event() -> None:
    b24 = hooked()
    number = b24.result("crm.deal.add", fields={"TITLE": "x"})
    b24.result("crm.deal.update", id=number, fields={"TITLE": "y"})
    b24.result("crm.deal.delete", id=number)
    assert names(b24) == list(DEAL_EVENTS)


def test_no_event_when_nothing_changed() -> None:
    b24 = hooked()
    b24.result("crm.deal.update", id=10, fields={"TITLE": "Поставка", "STAGE_ID": "NEW"})
    assert names(b24) == []


def test_pipeline_move_reaches_applications_as_its_own_event_and_webhooks_not_at_all() -> None:
    b24 = hooked()
    for event in ("ONCRMDEALMOVETOCATEGORY", "ONCRMDEALUPDATE"):
        b24.app_result("event.bind", event=event, handler=HOOK)
    fields = {"categoryId": 5, "stageId": "C5:NEW", "title": "z"}
    b24.result("crm.item.update", entityTypeId=2, id=10, fields=fields)
    (body,) = b24.bodies()
    data = {key: value for key, value in body.items() if key.startswith("data")}
    assert body["event"] == "ONCRMDEALMOVETOCATEGORY"
    assert data == {
        "data[FIELDS][ID]": "10",
        "data[FIELDS][CATEGORY_ID]": "5",
        "data[FIELDS][STAGE_ID]": "C5:NEW",
    }


@pytest.mark.parametrize("event", ["ONCRMDEALMOVETOCATEGORY", "ONOFFLINEEVENT", "ONNOTHING"])
def test_outgoing_webhook_cannot_be_made_for_what_the_interface_does_not_offer(event: str) -> None:
    with pytest.raises(ValueError, match=event):
        B24().server.add_outgoing_webhook(HOOK, [event])


def test_tasks_and_comments_have_shapes_of_their_own() -> None:
    b24 = hooked("ONTASKADD", "ONTASKUPDATE", "ONCRMTIMELINECOMMENTADD", "ONCRMTIMELINECOMMENTDELETE")
    task = b24.result("tasks.task.add", fields={"TITLE": "t", "RESPONSIBLE_ID": 7})["task"]["id"]
    b24.result("tasks.task.complete", taskId=task)
    comment = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": "c"}
    number = b24.result("crm.timeline.comment.add", fields=comment)
    b24.result("crm.timeline.comment.delete", id=number)
    added, updated, said, unsaid = (
        {key: value for key, value in body.items() if key.startswith("data")} for body in b24.bodies()
    )
    assert added == {
        "data[FIELDS_BEFORE]": "undefined",
        "data[FIELDS_AFTER][ID]": task,
        "data[IS_ACCESSIBLE_BEFORE]": "N",
        "data[IS_ACCESSIBLE_AFTER]": "undefined",
    }
    assert updated["data[FIELDS_BEFORE][ID]"] == updated["data[FIELDS_AFTER][ID]"] == task
    assert said == unsaid == {"data[ID]": str(number)}


def test_requisites_raise_their_event_and_by_a_switch_the_companys() -> None:
    b24 = hooked("ONCRMREQUISITEUPDATE", "ONCRMCOMPANYUPDATE")
    b24.result("crm.requisite.update", id=31, fields={"RQ_KPP": "770101001"})
    assert names(b24) == ["ONCRMREQUISITEUPDATE", "ONCRMCOMPANYUPDATE"]
    b24 = hooked("ONCRMREQUISITEUPDATE", "ONCRMCOMPANYUPDATE")
    b24.switches.requisites_raise_company_update = False
    b24.result("crm.requisite.update", id=31, fields={"RQ_KPP": "770101001"})
    assert [body["data[FIELDS][ID]"] for body in b24.bodies()] == ["31"]


def test_bank_details_are_an_object_of_their_own() -> None:
    events = [
        f"ONCRM{kind}{verb}" for kind in ("REQUISITE", "BANKDETAIL") for verb in ("ADD", "UPDATE", "DELETE")
    ]
    b24 = hooked(*events)
    b24.result("crm.requisite.bankdetail.update", id=31, fields={"RQ_BIK": "044525000"})
    b24.result("crm.requisite.bankdetail.delete", id=31)
    b24.result("crm.requisite.bankdetail.add", fields={"ENTITY_ID": 31, "RQ_BIK": "044525225"})
    b24.result("crm.requisite.delete", id=31)
    assert names(b24) == [
        "ONCRMBANKDETAILUPDATE",
        "ONCRMBANKDETAILDELETE",
        "ONCRMBANKDETAILADD",
        "ONCRMREQUISITEDELETE",
        "ONCRMBANKDETAILDELETE",
    ]


def test_rows_raise_an_update_by_a_switch() -> None:
    rows = {"ownerType": "D", "ownerId": 10, "productRows": [{"productName": "x", "price": 130001}]}
    b24 = hooked()
    b24.result("crm.item.productrow.set", **rows)
    assert names(b24) == ["ONCRMDEALUPDATE"]
    b24 = hooked()
    b24.switches.rows_raise_deal_update = False
    b24.result("crm.item.productrow.set", **rows)
    assert names(b24) == []


def test_lost_doubled_and_shuffled_deliveries() -> None:
    b24 = hooked()
    b24.faults.drop_share = 1.0
    b24.add_deals(3)
    assert names(b24) == []
    b24.faults.set(drop_share=0.0, duplicate=True)
    b24.add_deals(1)
    assert len(names(b24)) == 2
    b24 = hooked()
    b24.faults.reorder = True
    b24.add_deals(20)
    ids = [int(body["data[FIELDS][ID]"]) for body in b24.bodies()]
    assert ids != sorted(ids)
    assert len(set(ids)) == 20


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A handler that answers with `status` and keeps the forms it got."""
    app, got = Flask("receiver"), []

    @app.post("/hook")
    def hook() -> Response:
        got.append({"type": request.mimetype, **request.form})
        return Response("", status)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/hook", got
    finally:
        server.shutdown()
        thread.join()


def wait_for(got: list[Any], count: int) -> None:
    end = time.monotonic() + 5
    while len(got) < count and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("status", [200, 500])
def test_event_is_posted_once_whatever_the_handler_answers(status: int) -> None:
    b24 = B24()
    with receiver(status) as (url, got):
        b24.server.add_outgoing_webhook(url, DEAL_EVENTS)
        b24.server.start()
        b24.result("crm.deal.update", id=10, fields={"TITLE": "раз"})
        b24.result("crm.deal.update", id=11, fields={"TITLE": "два"})
        wait_for(got, 2)
        b24.server.stop()
    assert [form["data[FIELDS][ID]"] for form in got] == ["10", "11"]
    assert {form["type"] for form in got} == {"application/x-www-form-urlencoded"}
    assert b24.server.events.pending() == []


def test_handler_that_is_down_loses_the_event_and_nothing_else() -> None:
    b24 = B24()
    with receiver() as (url, got):
        b24.server.add_outgoing_webhook(HOOK, ["ONCRMDEALADD"])
        b24.server.add_outgoing_webhook(url, ["ONCRMDEALUPDATE"])
        b24.server.start()
        number = b24.result("crm.deal.add", fields={"TITLE": "x"})
        b24.result("crm.deal.update", id=number, fields={"TITLE": "y"})
        wait_for(got, 1)
        b24.server.stop()
    assert [form["event"] for form in got] == ["ONCRMDEALUPDATE"]


def test_bindings_are_listed_refused_twice_and_removed() -> None:
    b24 = bound("ONCRMDEALADD")
    b24.server.add_outgoing_webhook(HOOK, ["ONCRMDEALADD"])
    binding = {"event": "oncrmdealadd", "handler": HOOK}
    assert b24.app_result("event.get") == [
        {"event": "ONCRMDEALADD", "handler": HOOK, "auth_type": "0", "offline": 0}
    ]
    status, body = b24.app_post("event.bind", **binding)
    assert (status, body["error"]) == (400, "ERROR_CORE")
    assert b24.app_post("event.bind", event="ONX", handler=HOOK)[1]["error"] == "ERROR_EVENT_NOT_FOUND"
    assert b24.app_result("event.unbind", **binding, auth_type=7) == {"count": 0}
    assert b24.app_result("event.unbind", **binding) == {"count": 1}
    assert b24.app_result("event.get") == []


def test_self_check_of_a_handler_brings_the_arguments_back() -> None:
    b24 = bound("ONAPPTEST")
    assert b24.app_result("event.test", any="data") == 1
    (body,) = b24.bodies()
    assert body["data[QUERY][any]"] == "data"


def offline(connector: str = "") -> B24:
    b24 = B24()
    for event in ("ONCRMDEALADD", "ONCRMDEALUPDATE"):
        b24.app_result("event.bind", event=event, event_type="offline", auth_connector=connector)
    return b24


def test_offline_queue_collapses_changes_of_one_object() -> None:
    b24 = offline()
    for title in ("a", "b", "c"):
        b24.result("crm.deal.update", id=10, fields={"TITLE": title})
    b24.result("crm.deal.update", id=11, fields={"TITLE": "d"})
    answer = b24.app_result("event.offline.get")
    assert answer["process_id"] is None
    assert [event["EVENT_DATA"] for event in answer["events"]] == [
        {"FIELDS": {"ID": "10"}},
        {"FIELDS": {"ID": "11"}},
    ]
    assert set(answer["events"][0]) == {
        "ID",
        "TIMESTAMP_X",
        "EVENT_NAME",
        "EVENT_DATA",
        "EVENT_ADDITIONAL",
        "MESSAGE_ID",
    }
    assert b24.app_result("event.offline.get")["events"] == []


def test_reserved_records_are_hidden_until_acknowledged_or_failed() -> None:
    b24 = offline()
    for number in (10, 11, 12):
        b24.result("crm.deal.update", id=number, fields={"TITLE": "x"})
    answer = b24.app_result("event.offline.get", clear=0)
    process_id, ids = answer["process_id"], [event["MESSAGE_ID"] for event in answer["events"]]
    assert b24.app_result("event.offline.get", clear=0)["events"] == []
    assert len(b24.app_result("event.offline.get", process_id=process_id)["events"]) == 3
    b24.result("crm.deal.update", id=10, fields={"TITLE": "again"})
    assert len(b24.app_result("event.offline.list")) == 4
    assert b24.app_result("event.offline.error", process_id=process_id, message_id=[ids[0]]) is True
    assert b24.app_result("event.offline.clear", process_id=process_id, message_id=[ids[1]]) is True
    rows = b24.app_result("event.offline.list")
    assert [(row["MESSAGE_ID"], row["ERROR"], row["PROCESS_ID"] != "") for row in rows[:2]] == [
        (ids[0], "1", False),
        (ids[2], "0", True),
    ]
    assert len(b24.app_result("event.offline.get", clear=0)["events"]) == 1
    assert len(b24.app_result("event.offline.get", error=1)["events"]) == 1


def test_own_changes_are_not_queued_for_their_source() -> None:
    b24 = offline("mine")
    b24.result("crm.deal.update", id=10, fields={"TITLE": "x"}, auth_connector="mine")
    cmd = {"a": "crm.deal.update?id=11&fields[TITLE]=y", "b": "crm.deal.update?id=12&fields[TITLE]=y"}
    b24.result("batch", cmd=cmd, auth_connector="mine")
    assert b24.app_result("event.offline.get", auth_connector="mine")["events"] == []
    b24.result("crm.deal.update", id=10, fields={"TITLE": "z"})
    assert b24.app_result("event.offline.get")["events"] == []
    assert len(b24.app_result("event.offline.get", auth_connector="mine")["events"]) == 1


def test_bell_of_the_offline_queue_rings_with_a_refresh_token_and_without_data() -> None:
    b24 = offline()
    b24.app_result("event.bind", event="ONOFFLINEEVENT", handler=HOOK)
    b24.result("crm.deal.update", id=10, fields={"TITLE": "x"})
    (body,) = b24.bodies()
    assert body["event"] == "ONOFFLINEEVENT"
    assert body["auth[refresh_token]"]
    assert not [key for key in body if key.startswith("data")]


def test_offline_queue_needs_an_administrator_and_for_reserving_the_plan() -> None:
    b24 = offline()
    b24.switches.offline_extended = False
    assert b24.app_post("event.offline.get", clear=0)[1]["error"] == "ACCESS_DENIED"
    b24.portal.users[1].is_admin = False
    assert b24.app_post("event.offline.get")[0] == 403
    assert b24.http.get(f"/rest/1/{SECRET}/event.offline.get").status_code == 403
