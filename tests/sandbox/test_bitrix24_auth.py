"""Doors: webhook, OAuth, scopes, methods for applications only; each error with its status."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.sandbox.b24 import APPLICATION, B24, MEMBER, SECRET, TOKEN


def error_of(answer: Any) -> tuple[int, str, str]:
    assert "time" not in answer.json
    return answer.status_code, answer.json["error"], answer.json["error_description"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/rest/1/wrong/profile", (401, "INVALID_CREDENTIALS", "Invalid request credentials")),
        (f"/rest/7/{SECRET}/profile", (401, "INVALID_CREDENTIALS", "Invalid request credentials")),
        (f"/rest/{SECRET}/profile", (404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
        (f"/rest/1/{SECRET}/crm.deal.fly", (404, "ERROR_METHOD_NOT_FOUND", "Method not found!")),
        ("/rest/profile", (401, "NO_AUTH_FOUND", "Wrong authorization data")),
        ("/rest/profile?auth=stranger", (401, "invalid_token", "Unable to get application by token")),
        (
            f"/rest/1/{SECRET}/event.get",
            (403, "WRONG_AUTH_TYPE", "Current authorization type is denied for this method"),
        ),
        (f"/rest/1/{SECRET}/app.info", (403, "ACCESS_DENIED", "Access denied! Application context required")),
        (f"/rest/1/{SECRET}/crm.deal.get?id=404", (400, "", "Not found")),
        (f"/rest/1/{SECRET}/crm.deal.get", (400, "", "ID is not defined or invalid")),
        (f"/rest/1/{SECRET}/crm.item.get?entityTypeId=2&id=404", (400, "NOT_FOUND", "Item not found")),
        (
            f"/rest/1/{SECRET}/crm.item.list?entityTypeId=5",
            (400, "ENTITY_TYPE_NOT_SUPPORTED", "Entity type INVOICE is not supported"),
        ),
        (f"/rest/1/{SECRET}/crm.deal.add", (400, "100", "Could not find value for parameter {fields}")),
    ],
)
def test_error_has_its_status_code_and_text(url: str, expected: tuple[int, str, str]) -> None:
    assert error_of(B24().http.get(url)) == expected


def test_answer_has_the_time_block() -> None:
    status, body = B24().post("profile")
    assert status == 200
    assert body["result"] == {
        "ID": "1",
        "ADMIN": True,
        "NAME": "Анна",
        "LAST_NAME": "Смирнова",
        "PERSONAL_GENDER": "",
        "TIME_ZONE": "",
    }
    assert set(body["time"]) == {
        "start",
        "finish",
        "duration",
        "processing",
        "date_start",
        "date_finish",
        "operating_reset_at",
        "operating",
    }
    assert body["time"]["date_start"].endswith("+03:00")


def test_scope_that_is_not_ticked_refuses_the_method() -> None:
    b24 = B24(webhook_scopes=["crm"])
    assert error_of(b24.http.get(f"/rest/1/{SECRET}/user.get")) == (
        401,
        "insufficient_scope",
        "The request requires higher privileges than provided by the webhook token",
    )
    assert b24.result("scope") == ["crm"]
    assert b24.result("method.get", name="user.get") == {"isExisting": True, "isAvailable": False}


def test_narrow_scope_of_users_opens_their_methods() -> None:
    assert B24(webhook_scopes=["user_brief"]).post("user.current")[0] == 200


def test_plain_http_is_refused_to_webhooks_when_the_switch_is_on() -> None:
    b24 = B24()
    b24.switches.https_required = True
    assert error_of(b24.http.get(f"/rest/1/{SECRET}/profile")) == (400, "INVALID_REQUEST", "Https required.")
    assert b24.http.get(f"/rest/1/{SECRET}/profile", base_url="https://portal.example").status_code == 200
    assert b24.app_post("profile")[0] == 200


def test_application_is_let_in_by_token_in_query_form_or_json() -> None:
    b24 = B24()
    assert b24.http.get(f"/rest/profile?auth={TOKEN}").status_code == 200
    assert b24.http.post("/rest/profile.json", data={"auth": TOKEN}).status_code == 200
    assert b24.app_result("app.info")["INSTALLED"] is True


def refresh(b24: B24, **changes: str) -> tuple[int, Any]:
    ends = b24.server.endpoints()
    query = {"grant_type": "refresh_token"} | {
        n: ends[n] for n in ("client_id", "client_secret", "refresh_token")
    }
    answer = b24.http.get("/oauth/token/", query_string={**query, **changes})
    return answer.status_code, answer.json


def test_refresh_rotates_the_refresh_token() -> None:
    b24 = B24()
    status, body = refresh(b24)
    assert status == 200
    assert (body["expires_in"], body["member_id"], body["status"]) == (3600, MEMBER, "L")
    assert body["client_endpoint"] == "http://portal.example/rest/"
    assert b24.app_post("profile", auth=body["access_token"])[0] == 200
    assert refresh(b24) == (400, {"error": "invalid_grant"})
    assert refresh(b24, refresh_token=body["refresh_token"])[0] == 200


def test_access_token_ends_after_an_hour() -> None:
    b24 = B24()
    token = refresh(b24)[1]["access_token"]
    b24.clock.sleep(timedelta(seconds=3599))
    assert b24.app_post("profile", auth=token)[0] == 200
    b24.clock.sleep(timedelta(seconds=1))
    status, body = b24.app_post("profile", auth=token)
    assert (status, body) == (
        401,
        {"error": "expired_token", "error_description": "The access token provided has expired."},
    )


def test_tokens_can_be_made_to_expire_on_demand() -> None:
    b24 = B24()
    b24.server.oauth.expire_access_tokens()
    assert b24.app_post("profile")[1]["error"] == "expired_token"


@pytest.mark.parametrize(
    ("changes", "status", "body"),
    [
        ({"client_id": "local.unknown"}, 200, {"error": "wrong_client"}),
        ({"client_secret": "wrong"}, 400, {"error": "invalid_client"}),
        ({"refresh_token": "stale"}, 400, {"error": "invalid_grant"}),
        (
            {"refresh_token": ""},
            400,
            {"error": "invalid_request", "error_description": 'No "refresh_token" parameter found'},
        ),
    ],
)
def test_oauth_error(changes: dict[str, str], status: int, body: dict[str, str]) -> None:
    assert refresh(B24(), **changes) == (status, body)


def test_code_is_good_for_half_a_minute_and_once() -> None:
    b24 = B24()
    ends = b24.server.endpoints()
    login = {"client_id": ends["client_id"], "redirect_uri": "https://app.example/cb", "state": "s1"}
    answer = b24.http.get("/oauth/authorize/", query_string=login)
    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert location.startswith("https://app.example/cb?code=")
    assert f"&state=s1&domain=portal.example&member_id={MEMBER}&" in location
    code = location.split("code=")[1].split("&")[0]
    exchange = {"grant_type": "authorization_code", "code": code}
    exchange |= {name: ends[name] for name in ("client_id", "client_secret")}
    assert b24.http.post("/oauth/token", data=exchange).status_code == 200
    assert b24.http.post("/oauth/token", data=exchange).json == {"error": "invalid_grant"}
    late = {**exchange, "code": b24.server.oauth.issue_code(1)}
    b24.clock.sleep(timedelta(seconds=30))
    assert b24.http.post("/oauth/token", data=late).json == {"error": "invalid_grant"}


def test_endpoints_say_how_to_reach_the_portal() -> None:
    ends = B24().server.endpoints()
    assert ends["webhook_url"] == f"http://portal.example/rest/1/{SECRET}/"
    assert (ends["oauth_token"], ends["member_id"], ends["application_token"]) == (TOKEN, MEMBER, APPLICATION)


def test_dismissed_user_takes_webhook_and_tokens_along() -> None:
    b24 = B24()
    b24.portal.users[1].is_active = False
    refused = (401, {"error": "authorization_error", "error_description": "Unable to authorize user"})
    assert b24.post("profile") == refused
    assert b24.app_post("profile") == refused


def test_renamed_portal_redirects_every_call() -> None:
    b24 = B24()
    b24.switches.renamed_to = "https://new.example"
    answer = b24.http.post(f"/rest/1/{SECRET}/crm.deal.add?x=1", json={"fields": {}})
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"https://new.example/rest/1/{SECRET}/crm.deal.add?x=1"
    assert len(b24.portal.deals) == 3


def test_prepared_failure_comes_in_place_of_the_answer_or_after_the_write() -> None:
    b24 = B24()
    b24.faults.fail_next(1, 500, "<html>busy</html>")
    answer = b24.http.get(f"/rest/1/{SECRET}/profile")
    assert (answer.status_code, answer.data, answer.content_type) == (500, b"<html>busy</html>", "text/html")
    b24.faults.fail_next(1, 503, path_part="/oauth/token")
    assert refresh(b24)[0] == 503
    b24.faults.fail_next(1, 502, after_commit=True)
    before = len(b24.portal.deals)
    assert b24.http.post(f"/rest/1/{SECRET}/crm.deal.add", json={"fields": {"TITLE": "x"}}).status_code == 502
    assert len(b24.portal.deals) == before + 1
