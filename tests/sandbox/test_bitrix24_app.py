"""The local application: its life, places, robots, triggers and messages, as forms that leave the portal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from connector.sandbox.bitrix24.methods.messages import send_text
from tests.sandbox.b24 import APPLICATION, B24, MEMBER

HANDLER = "http://127.0.0.1:9/app"
INSTALL = "http://127.0.0.1:9/install"


def installed(**options: Any) -> B24:
    b24 = B24()
    b24.server.life.register(HANDLER, INSTALL, **options)
    return b24


def test_application_without_pages_is_told_of_its_installation_with_both_tokens() -> None:
    b24 = installed()
    (body,) = b24.bodies()
    assert (body["event"], body["data[INSTALLED]"], body["data[LANGUAGE_ID]"]) == ("ONAPPINSTALL", "Y", "ru")
    assert body["auth[application_token]"] == APPLICATION
    assert "event_handler_id" not in body
    assert b24.app_result("profile", auth=body["auth[access_token]"])["ID"] == "1"
    endpoints = b24.server.endpoints()
    answer = b24.http.post(
        "/oauth/token/",
        data={
            "grant_type": "refresh_token",
            "client_id": endpoints["client_id"],
            "client_secret": endpoints["client_secret"],
            "refresh_token": body["auth[refresh_token]"],
        },
    )
    assert answer.status_code == 200


def test_application_with_pages_hears_nothing_until_its_page_says_it_is_installed() -> None:
    b24 = installed(api_only=False)
    b24.app_result("event.bind", event="ONCRMDEALUPDATE", handler=HANDLER)
    b24.result("crm.deal.update", id=10, fields={"TITLE": "a"})
    assert list(b24.bodies()) == []
    assert b24.app_result("app.info")["INSTALLED"] is False
    url, _ = b24.server.life.frame()
    assert url.startswith(INSTALL)
    b24.server.life.finish()
    assert b24.app_result("app.info")["INSTALLED"] is True
    b24.result("crm.deal.update", id=10, fields={"TITLE": "b"})
    assert [body["event"] for body in b24.bodies()] == ["ONCRMDEALUPDATE"]


def test_removed_application_gets_a_last_event_without_tokens_and_loses_all() -> None:
    b24 = installed()
    for event in ("ONAPPUNINSTALL", "ONCRMDEALUPDATE"):
        b24.app_result("event.bind", event=event, handler=HANDLER)
    b24.app_result("placement.bind", PLACEMENT="CRM_DEAL_DETAIL_TAB", HANDLER=HANDLER)
    endpoints = b24.server.endpoints()
    b24.server.life.uninstall(clean=True)
    *_, body = b24.bodies()
    assert (body["event"], body["data[CLEAN]"]) == ("ONAPPUNINSTALL", "1")
    assert {key for key in body if "token" in key} == {"auth[application_token]"}
    assert b24.app_post("profile")[1]["error"] == "ERROR_OAUTH"
    query = {
        "grant_type": "refresh_token",
        "client_id": endpoints["client_id"],
        "client_secret": endpoints["client_secret"],
        "refresh_token": endpoints["refresh_token"],
    }
    answer = b24.http.get("/oauth/token/", query_string=query)
    assert (answer.status_code, answer.json["error"]) == (401, "NOT_INSTALLED")
    assert (b24.server.site.application.placements, b24.server.site.events.online()) == ([], [])


def test_update_may_bring_another_application_token() -> None:
    b24 = installed()
    b24.server.life.update(new_token=True)
    *_, body = b24.bodies()
    assert (body["event"], body["data[VERSION]"], body["data[PREVIOUS_VERSION]"]) == ("ONAPPUPDATE", "2", "1")
    assert body["auth[application_token]"] == b24.server.endpoints()["application_token"] != APPLICATION
    assert "auth[refresh_token]" in body


def test_place_is_opened_with_the_recorded_keys_and_escaped_slashes() -> None:
    b24 = installed()
    b24.app_result("placement.bind", PLACEMENT="crm_deal_detail_tab", HANDLER=f"{HANDLER}?a=1", TITLE="Счета")
    options = {"ID": "10", "URI": "/crm/deal/details/10/"}
    url, form = b24.server.life.frame("CRM_DEAL_DETAIL_TAB", options)
    query, sent = dict(parse_qsl(urlsplit(url).query)), dict(form)
    assert (query["a"], query["DOMAIN"], query["PROTOCOL"], query["LANG"]) == (
        "1",
        "portal.example",
        "0",
        "ru",
    )
    assert sorted(sent) == sorted(
        [
            "AUTH_ID",
            "AUTH_EXPIRES",
            "REFRESH_ID",
            "SERVER_ENDPOINT",
            "APPLICATION_TOKEN",
            "APPLICATION_SCOPE",
            "member_id",
            "status",
            "PLACEMENT",
            "PLACEMENT_OPTIONS",
        ]
    )
    assert r"\/crm\/deal\/details\/10\/" in sent["PLACEMENT_OPTIONS"]
    assert json.loads(sent["PLACEMENT_OPTIONS"]) == options
    assert b24.app_result("user.current", auth=sent["AUTH_ID"])["ID"] == "1"


def test_places_are_bound_listed_and_freed_with_errors_under_200() -> None:
    b24 = installed()
    bind = {"PLACEMENT": "CRM_LEAD_LIST_MENU", "HANDLER": HANDLER, "LANG_ALL": {"ru": {"TITLE": "т"}}}
    assert b24.app_result("placement.bind", **bind) is True
    (row,) = b24.app_result("placement.get")
    assert (row["placement"], row["userId"], row["options"], row["langAll"]) == (
        "CRM_LEAD_LIST_MENU",
        0,
        [],
        {"ru": {"TITLE": "т"}},
    )
    status, body = b24.app_post("placement.bind", **bind)
    assert (status, body["error"]) == (200, "ERROR_CORE")
    for wrong, code in (
        ({"PLACEMENT": "NOWHERE", "HANDLER": HANDLER}, "ERROR_PLACEMENT_NOT_FOUND"),
        ({"PLACEMENT": "CRM_DYNAMIC_128_DETAIL_TAB"}, "ERROR_ARGUMENT"),
    ):
        status, body = b24.app_post("placement.bind", **wrong)
        assert (status, body["error"]) == (200, code)
    b24.app_result("placement.bind", PLACEMENT="PAGE_BACKGROUND_WORKER", HANDLER=HANDLER)
    status, body = b24.app_post("placement.bind", PLACEMENT="PAGE_BACKGROUND_WORKER", HANDLER=INSTALL)
    assert (status, body["error"]) == (200, "ERROR_PLACEMENT_MAX_COUNT")
    assert b24.app_result("placement.unbind", PLACEMENT="CRM_LEAD_LIST_MENU", HANDLER=INSTALL) == {"count": 0}
    assert b24.app_result("placement.unbind", PLACEMENT="CRM_LEAD_LIST_MENU") == {"count": 1}
    assert b24.post("placement.get")[1]["error"] == "WRONG_AUTH_TYPE"


ROBOT = {
    "CODE": "invoice",
    "HANDLER": f"{HANDLER}/robot",
    "AUTH_USER_ID": 1,
    "NAME": "Счёт",
    "PROPERTIES": {
        "text": {"Name": "Текст", "Type": "text", "Default": "по умолчанию"},
        "n": {"Type": "int"},
    },
}


def test_robot_on_a_stage_calls_its_handler_and_goes_on_once_it_was_answered() -> None:
    b24 = installed()
    assert b24.app_result("bizproc.robot.add", **ROBOT) is True
    b24.server.automation.put_robot("PREPARATION", "invoice", {"n": 3})
    b24.result("crm.deal.update", id=10, fields={"STAGE_ID": "PREPARATION"})
    body = list(b24.bodies())[-1]
    assert [body[f"document_id[{n}]"] for n in range(3)] == ["crm", "CCrmDocumentDeal", "DEAL_10"]
    assert [body[f"document_type[{n}]"] for n in range(3)] == ["crm", "CCrmDocumentDeal", "DEAL"]
    assert (body["code"], body["use_subscription"], body["timeout_duration"]) == ("invoice", "Y", "660")
    assert (body["properties[text]"], body["properties[n]"]) == ("по умолчанию", "3")
    assert body["auth[member_id]"] == MEMBER and body["auth[refresh_token]"]
    token = body["event_token"]
    answer = {"EVENT_TOKEN": token, "RETURN_VALUES": {"number": "7"}, "LOG_MESSAGE": "готово"}
    assert b24.app_result("bizproc.event.send", **answer) is True
    run = b24.server.site.application.workflows[token]
    assert (run.is_over, run.answer, run.log) == (True, {"number": "7"}, ["готово"])
    for used in (token, "none"):
        assert b24.app_post("bizproc.event.send", EVENT_TOKEN=used)[1]["error"] == "ACCESS_DENIED"


def test_robot_that_does_not_wait_takes_no_answer() -> None:
    b24 = installed()
    b24.app_result("bizproc.robot.add", **{**ROBOT, "USE_SUBSCRIPTION": "N"})
    run = b24.server.automation.run("invoice", 2, 10, {})
    assert dict(list(b24.bodies())[-1])["use_subscription"] == "N"
    assert b24.app_post("bizproc.event.send", EVENT_TOKEN=run.token)[0] == 403


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"HANDLER": "ftp://127.0.0.1/x"}, "ERROR_UNSUPPORTED_PROTOCOL"),
        ({"HANDLER": "nonsense"}, "ERROR_WRONG_HANDLER_URL"),
        ({"HANDLER": "https://elsewhere.example/x"}, "ERROR_WRONG_HANDLER_URL"),
        ({"PROPERTIES": {"1x": {"Type": "int"}}}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"PROPERTIES": {"x": {"Type": "money"}}}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"NAME": ""}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
    ],
)
def test_bad_robot_is_refused_by_name(change: dict[str, Any], code: str) -> None:
    b24 = installed()
    status, body = b24.app_post("bizproc.robot.add", **{**ROBOT, **change})
    assert (status, body["error"]) == (400, code)


def test_robots_are_listed_changed_and_deleted_apart_from_activities() -> None:
    b24 = installed()
    b24.app_result("bizproc.robot.add", **ROBOT)
    b24.app_result("bizproc.activity.add", **{**ROBOT, "CODE": "step"})
    assert b24.app_post("bizproc.robot.add", **ROBOT)[1]["error"] == "ERROR_ACTIVITY_ALREADY_INSTALLED"
    assert b24.app_result("bizproc.robot.list") == ["invoice"]
    assert b24.app_result("bizproc.activity.list") == ["step"]
    b24.app_result("bizproc.robot.update", CODE="invoice", FIELDS={"USE_SUBSCRIPTION": "N"})
    assert b24.server.site.application.robots["invoice"].waits is False
    assert b24.app_post("bizproc.robot.delete", CODE="step")[0] == 400
    assert b24.app_result("bizproc.robot.delete", CODE="invoice") is True
    assert b24.post("bizproc.robot.list")[0] == 403


@pytest.mark.parametrize("has_token", [False, True])
def test_built_in_webhook_robot_fills_its_address_and_its_token_is_a_switch(has_token: bool) -> None:
    b24 = B24()
    b24.switches.webhook_robot_has_token = has_token
    b24.server.automation.put_webhook("WON", "http://127.0.0.1:9/hook?deal={{ID}}&stage={{Stage}}")
    b24.result("crm.deal.update", id=10, fields={"STAGE_ID": "WON"})
    (delivery,) = b24.server.events.pending()
    body = dict(b24.server.events.body(delivery))
    assert delivery.url == "http://127.0.0.1:9/hook?deal=10&stage=WON"
    assert body["document_id[2]"] == "DEAL_10" and body["auth[member_id]"] == MEMBER
    assert ("auth[application_token]" in body) is has_token
    assert "auth[access_token]" not in body


def test_trigger_of_the_interface_moves_a_deal_and_works_by_webhook() -> None:
    b24 = B24()
    b24.server.automation.put_trigger(0, "PREPARATION", "paid")
    assert b24.result("crm.automation.trigger", target="DEAL_10", code="paid") is True
    assert b24.portal.deals[10].stage == "PREPARATION"
    assert b24.result("crm.automation.trigger", target="DEAL_12", code="paid") is True
    assert b24.portal.deals[12].stage == "C5:NEW"
    assert b24.post("crm.automation.trigger", target="10", code="paid")[0] == 400
    assert b24.post("crm.automation.trigger", target="DEAL_999", code="paid")[0] == 400


def test_trigger_of_the_application_is_made_raised_and_deleted() -> None:
    b24 = installed()
    b24.app_result("crm.automation.trigger.add", CODE="own", NAME="Свой")
    b24.server.automation.put_trigger(0, "WON", "own")
    assert b24.app_result("crm.automation.trigger.list") == [{"NAME": "Свой", "CODE": "own"}]
    assert b24.app_result("crm.automation.trigger.execute", CODE="own", OWNER_TYPE_ID=2, OWNER_ID=10) is True
    assert b24.portal.deals[10].stage == "WON"
    assert b24.app_result("crm.automation.trigger.delete", CODE="own") is True
    assert b24.app_post("crm.automation.trigger.execute", CODE="own", OWNER_TYPE_ID=2, OWNER_ID=10)[0] == 400
    assert b24.post("crm.automation.trigger.add", CODE="x", NAME="x")[0] == 403


def test_provider_of_messages_gets_the_form_and_reports_the_status() -> None:
    b24 = installed()
    b24.app_result("messageservice.sender.add", CODE="sms", TYPE="SMS", HANDLER=HANDLER, NAME="СМС")
    message = send_text(b24.server.site, "sms", "+79990000000", "Код 1234", (3, 55), 1)
    body = list(b24.bodies())[-1]
    assert (body["bindings[0][OWNER_TYPE_ID]"], body["bindings[0][OWNER_ID]"]) == ("3", "55")
    assert (body["message_to"], body["message_body"], body["type"]) == ("+79990000000", "Код 1234", "SMS")
    report = {"CODE": "sms", "MESSAGE_ID": body["message_id"], "STATUS": "delivered"}
    assert b24.app_result("messageservice.message.status.update", **report) is True
    assert message.status == "delivered"
    report["STATUS"] = "eaten"
    assert b24.app_post("messageservice.message.status.update", **report)[0] == 400
    assert b24.app_result("messageservice.sender.list") == ["sms"]
    assert b24.app_result("messageservice.sender.delete", CODE="sms") is True


def test_events_of_application_are_limited_to_its_scopes_unless_all_are_asked_for() -> None:
    b24 = B24()
    assert "ONTASKADD" in b24.app_result("events")
    assert all(name.startswith("ONCRM") for name in b24.app_result("events", SCOPE="crm"))
    assert len(b24.app_result("events", FULL=True)) > len(b24.app_result("events", SCOPE="crm"))
