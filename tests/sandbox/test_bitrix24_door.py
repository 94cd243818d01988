"""The door and what stands behind switches: refusals, plans, XML, encodings, OAuth's hosts, control API."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from connector.sandbox.bitrix24.door import REFUSALS
from tests.sandbox.b24 import B24, SECRET, TOKEN

CONTROL = "/sandbox/bitrix24"


@pytest.mark.parametrize(
    ("code", "status"), [*((c, s) for c, (s, _) in REFUSALS.items()), ("PORTAL_DELETED", 410)]
)
def test_portal_refuses_every_call_with_the_error_it_is_told(code: str, status: int) -> None:
    b24 = B24()
    b24.switches.refuse_with = code
    got, body = b24.post("profile")
    assert (got, body["error"]) == (status, code) and body["error_description"]
    b24.switches.refuse_with = ""
    assert b24.post("profile")[0] == 200


@pytest.mark.parametrize("status", [401, 403])
def test_statuses_that_documents_and_clients_tell_apart_are_switches(status: Any) -> None:
    b24 = B24(webhook_scopes=["crm"])
    b24.switches.insufficient_scope_status = status
    b24.switches.invalid_credentials_status = status
    assert b24.post("user.get")[0] == status
    assert b24.http.get("/rest/1/wrong/profile").status_code == status


def test_webhook_that_ran_out_is_no_longer_known() -> None:
    b24 = B24()
    b24.switches.webhook_is_over = True
    assert b24.post("profile")[1]["error"] == "INVALID_CREDENTIALS"
    assert b24.app_post("profile")[0] == 200


def test_enterprise_lets_five_times_as_many_in_at_once() -> None:
    b24 = B24()
    b24.switches.plan = "enterprise"
    assert {b24.post("profile")[0] for _ in range(250)} == {200}
    assert b24.post("profile")[0] == 503


def test_measured_billing_halves_the_time_and_forgets_short_calls() -> None:
    b24 = B24()
    b24.switches.batch_billing = "measured"
    b24.switches.method_cost_s = {"profile": 0.05, "scope": 4.0}
    b24.post("profile")
    b24.post("scope")
    state = b24.server.site.operating.state
    now = b24.clock.now()
    assert state(("webhook", SECRET, "profile"), now)[0] == 0
    assert state(("webhook", SECRET, "scope"), now)[0] == 2.0


@pytest.mark.parametrize("ending", ["xml", "XML"])
def test_name_that_ends_in_xml_is_answered_in_xml(ending: str) -> None:
    b24 = B24()
    answer = b24.http.get(f"/rest/1/{SECRET}/crm.deal.list.{ending}?select[]=ID&select[]=TITLE")
    assert answer.content_type.startswith("text/xml")
    root = ElementTree.fromstring(answer.data)
    items = root.findall("result/item")
    assert next((item.findtext("ID"), item.findtext("TITLE")) for item in items) == ("10", "Поставка")
    assert root.findtext("total") == "3" and root.findtext("time/operating") is not None
    answer = b24.http.get(f"/rest/1/{SECRET}/no.such.method.{ending}")
    assert answer.status_code == 404
    assert ElementTree.fromstring(answer.data).findtext("error") == "ERROR_METHOD_NOT_FOUND"


@pytest.mark.parametrize(
    "path", ["CRM.Deal.GET.json", "crm.deal.get.JSON", "crm.deal.get/", "crm.deal.get.json/", "/crm.deal.get"]
)
def test_names_endings_and_a_last_slash_are_taken_as_they_come(path: str) -> None:
    answer = B24().http.get(f"/rest/1/{SECRET}/{path}?ID=10")
    assert answer.status_code == 200 and answer.json["result"]["ID"] == "10"


def test_megabyte_of_base64_passes_in_a_form_as_in_json() -> None:
    b24 = B24()
    content = base64.b64encode(bytes(900_000)).decode()
    form = {"id": "1", "data[NAME]": "big.bin", "fileContent[0]": "big.bin", "fileContent[1]": content}
    answer = b24.http.post(f"/rest/1/{SECRET}/disk.folder.uploadfile", data=form)
    assert answer.json["result"]["SIZE"] == "900000"


def test_keys_nested_deeper_than_php_takes_are_left_out_and_harm_nobody() -> None:
    b24 = B24()
    deep = "a" + "[b]" * 1000
    answer = b24.http.post(f"/rest/1/{SECRET}/crm.deal.get", data={"id": "10", deep: "1"})
    assert answer.json["result"]["ID"] == "10"
    body = "[" * 100_000
    headers = {"Content-Type": "application/json"}
    answer = b24.http.post(f"/rest/1/{SECRET}/crm.deal.get?id=10", data=body, headers=headers)
    assert answer.json["result"]["ID"] == "10"


@pytest.mark.parametrize("host", ["oauth.bitrix.info", "oauth.bitrix24.tech"])
def test_both_oauth_hosts_tell_whose_a_token_is_and_nothing_else(host: str) -> None:
    b24 = B24()
    url = f"https://{host}/rest/"
    answer = b24.http.get(f"{url}app.info/", query_string={"auth": TOKEN}, base_url=f"https://{host}")
    found = answer.json["result"]
    assert (found["user_id"], found["install"]["installed"]) == (1, True)
    assert found["install"]["client_endpoint"] == "http://portal.example/rest/"
    answer = b24.http.get("/rest/profile", query_string={"auth": TOKEN}, base_url=f"https://{host}")
    assert answer.status_code == 404
    answer = b24.http.get("/rest/app.info", query_string={"auth": "x"}, base_url=f"https://{host}")
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


def _refresh(b24: B24, token: str) -> Any:
    endpoints = b24.server.endpoints()
    form = {
        "grant_type": "refresh_token",
        "client_id": endpoints["client_id"],
        "client_secret": endpoints["client_secret"],
        "refresh_token": token,
    }
    return b24.http.post("/oauth/token/", data=form)


def test_oauth_server_has_an_address_of_its_own_if_it_is_told() -> None:
    b24 = B24()
    b24.switches.oauth_server = "https://oauth.bitrix24.tech"
    body = _refresh(b24, b24.server.endpoints()["refresh_token"]).json
    assert body["server_endpoint"] == "https://oauth.bitrix24.tech/rest/"
    assert body["domain"] == "oauth.bitrix24.tech"
    b24.server.add_outgoing_webhook("http://127.0.0.1:9/h", ["ONCRMDEALADD"])
    b24.result("crm.deal.add", fields={})
    assert next(iter(b24.bodies()))["auth[server_endpoint]"] == "https://oauth.bitrix24.tech/rest/"


def test_used_refresh_token_is_dead_unless_a_grace_period_is_set() -> None:
    b24 = B24()
    first = b24.server.endpoints()["refresh_token"]
    second = _refresh(b24, first).json["refresh_token"]
    assert _refresh(b24, first).json["error"] == "invalid_grant"
    b24.switches.refresh_grace_s = 10
    assert _refresh(b24, second).status_code == 200
    assert _refresh(b24, second).status_code == 200
    b24.clock.sleep(timedelta(seconds=11))
    assert _refresh(b24, second).json["error"] == "invalid_grant"


def test_exchange_of_a_code_may_leave_out_what_the_documents_leave_out() -> None:
    b24 = B24()
    b24.switches.exchange_is_terse = True
    endpoints = b24.server.endpoints()
    query = {
        "grant_type": "authorization_code",
        "client_id": endpoints["client_id"],
        "client_secret": endpoints["client_secret"],
        "code": b24.server.oauth.issue_code(1),
    }
    body = b24.http.get("/oauth/token/", query_string=query).json
    assert not {"expires", "user_id"} & set(body) and body["expires_in"] == 3600
    query["code"], query["scope"] = b24.server.oauth.issue_code(1), "crm,everything"
    answer = b24.http.get("/oauth/token/", query_string=query)
    assert (answer.status_code, answer.json["error"]) == (403, "INVALID_SCOPE")


def test_authorization_goes_to_the_application_without_a_redirect_uri() -> None:
    b24 = B24()
    b24.server.life.register("http://app.example/open?x=1")
    query = {"client_id": b24.server.endpoints()["client_id"], "state": "s"}
    location = b24.http.get("/oauth/authorize/", query_string=query).headers["Location"]
    assert location.startswith("http://app.example/open?x=1&code=") and "state=s" in location


def test_offline_queue_keeps_one_record_an_object_if_told_and_may_hide_its_data() -> None:
    b24 = B24()
    b24.switches.offline_key = "object"
    for event in ("ONCRMDEALADD", "ONCRMDEALUPDATE"):
        b24.app_result("event.bind", event=event, event_type="offline")
    number = b24.result("crm.deal.add", fields={"TITLE": "x"})
    b24.result("crm.deal.update", id=number, fields={"TITLE": "y"})
    (row,) = b24.app_result("event.offline.list")
    assert (row["EVENT_NAME"], row["EVENT_DATA"]) == ("ONCRMDEALUPDATE", {"FIELDS": {"ID": str(number)}})
    b24.switches.offline_has_data = False
    (row,) = b24.app_result("event.offline.list")
    assert (row["EVENT_DATA"], row["EVENT_ADDITIONAL"]) == (False, False)


def test_bells_of_the_offline_queue_keep_their_distance() -> None:
    b24 = B24()
    b24.app_result("event.bind", event="ONCRMDEALUPDATE", event_type="offline")
    bell = {"event": "ONOFFLINEEVENT", "handler": "http://127.0.0.1:9/h", "options": {"minTimeout": 5}}
    b24.app_result("event.bind", **bell)
    for title in "abc":
        b24.result("crm.deal.update", id=10, fields={"TITLE": title})
    assert len(list(b24.bodies())) == 1
    b24.clock.sleep(timedelta(seconds=5))
    b24.result("crm.deal.update", id=10, fields={"TITLE": "d"})
    assert len(list(b24.bodies())) == 2


def test_event_switches_change_what_goes_along() -> None:
    b24 = B24()
    b24.switches.set(
        events_carry_user=False, events_carry_refresh_token=True, comment_events_have_fields=True
    )
    b24.app_result("event.bind", event="ONCRMTIMELINECOMMENTADD", handler="http://127.0.0.1:9/h")
    fields = {"ENTITY_TYPE": "deal", "ENTITY_ID": 10, "COMMENT": "x"}
    number = b24.result("crm.timeline.comment.add", fields=fields)
    (body,) = b24.bodies()
    assert body["data[FIELDS][ID]"] == str(number)
    assert "auth[refresh_token]" in body and "auth[user_id]" not in body


def test_old_portal_answers_without_user_fields_unless_they_are_named() -> None:
    b24 = B24()
    b24.result("crm.deal.userfield.add", fields={"FIELD_NAME": "X", "USER_TYPE_ID": "string"})
    assert "UF_CRM_X" in b24.result("crm.deal.list")[0]
    b24.switches.user_fields_must_be_named = True
    assert "UF_CRM_X" not in b24.result("crm.deal.list")[0]
    assert "UF_CRM_X" in b24.result("crm.deal.list", select=["ID", "UF_*"])[0]


def test_control_turns_switches_and_says_what_is_wrong() -> None:
    b24 = B24()
    answer = b24.http.patch(f"{CONTROL}/switches", json={"plan": "enterprise", "refresh_grace_s": 5})
    assert answer.json["plan"] == "enterprise" and b24.switches.refresh_grace_s == 5
    for wrong in ({"plans": "x"}, {"https_required": "yes"}, {"event_delay_s": "1"}, {"plan": 1}):
        answer = b24.http.patch(f"{CONTROL}/switches", json=wrong)
        assert answer.status_code == 400 and next(iter(wrong)) in answer.json["error"]
    assert b24.http.get(f"{CONTROL}/switches").json["plan"] == "enterprise"


def test_control_does_what_a_person_does_in_the_interface() -> None:
    b24 = B24()

    def act(action: str, **body: Any) -> Any:
        answer = b24.http.post(f"{CONTROL}/{action}", json=body)
        return (
            answer.json["result"] if answer.status_code == 200 else (answer.status_code, answer.json["error"])
        )

    act("app/register", handler_url="http://127.0.0.1:9/app", api_only=False)
    assert act("app/frame")["form"]["PLACEMENT"] == "DEFAULT"
    act("app/finish")
    robot = {"CODE": "r", "HANDLER": "http://127.0.0.1:9/r", "NAME": "r"}
    b24.app_result("bizproc.robot.add", **robot)
    token = act("robots/run", code="r", document="LEAD_5")
    assert b24.server.site.application.workflows[token].document[2] == "LEAD_5"
    act("robots/put", stage="WON", url="http://127.0.0.1:9/w")
    act("triggers/put", stage="WON", code="t")
    b24.result("crm.automation.trigger", target="DEAL_10", code="t")
    assert b24.portal.deals[10].stage == "WON"
    assert isinstance(act("webhooks", url="http://127.0.0.1:9/h", events=["ONCRMDEALADD"]), int)
    act("tokens/expire")
    assert b24.app_post("profile")[1]["error"] == "expired_token"
    act("app/update", new_token=True)
    act("app/uninstall")
    assert b24.server.site.application.is_removed
    assert act("nothing")[0] == 404
    assert act("robots/run", code="r", document="10") == (
        400,
        "document: «DEAL_10», «LEAD_5», «DYNAMIC_128_3»",
    )
    assert act("app/register") == (400, "handler_url is missing")
    assert act("webhooks", url="http://127.0.0.1:9/h", events=["ONNOTHING"])[0] == 400


def test_answer_is_valid_json_whatever_the_method_gives() -> None:
    b24 = B24()
    answer = b24.http.get(f"/rest/1/{SECRET}/user.get?ID=1")
    assert json.loads(answer.data)["result"][0]["TIMESTAMP_X"] == {}
