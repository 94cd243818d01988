"""Single conversations with Bitrix24 that the sandbox cannot be brought to hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import responses

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.bitrix24.api import OVERLOAD_PAUSE, B24Api, read_error
from connector.crm.bitrix24.client import Bitrix24Client
from connector.crm.bitrix24.subscription import EVENTS, manual_steps
from connector.crm.tokens import Authorization, FixedToken
from connector.crm.wild import Wild
from connector.domain import CrmFile, DealChanges, EventKind
from connector.errors import CrmError, RetryLater
from tests.crm.limiter import Turnstile

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
BASE = "https://romashka.bitrix24.test/rest/1/hush0hush0hush"
SECRET = "hush0hush0hush"


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def limiter() -> Turnstile:
    return Turnstile()


@pytest.fixture
def account() -> AccountConfig:
    return AccountConfig("main", "bitrix24", BASE)


@pytest.fixture
def api(account: AccountConfig, limiter: Turnstile) -> B24Api:
    return B24Api(account, limiter=limiter, clock=FixedClock(NOW))


@pytest.fixture
def client(account: AccountConfig, limiter: Turnstile) -> Bitrix24Client:
    return Bitrix24Client(account, limiter=limiter, clock=FixedClock(NOW))


def address(method: str) -> str:
    return f"{BASE}/{method}.json"


def same(result: Wild) -> Any:
    return result.value


def sent(web: responses.RequestsMock, index: int = -1) -> dict[str, Any]:
    body = web.calls[index].request.body
    decoded: dict[str, Any] = json.loads(body)
    return decoded


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": "expired_token", "error_description": "x"}, "reauth"),
        (403, {"error": "INVALID_CREDENTIALS", "error_description": "x"}, "reauth"),
        (401, {"error": "insufficient_scope", "error_description": "x"}, "config"),
        (403, {"error": "ACCESS_DENIED", "error_description": "x"}, "config"),
        (404, {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "x"}, "config"),
        (400, {"error": "NOT_FOUND", "error_description": "Элемент не найден"}, "not_found"),
        (400, {"error": "", "error_description": "Not found"}, "not_found"),
        (400, {"error": "", "error_description": "Сделка не найдена"}, "not_found"),
        (400, {"error": "", "error_description": "ID is not defined or invalid."}, "rejected"),
        (400, {"error": "ERROR_CORE", "error_description": "Плохо<br>Совсем"}, "rejected"),
        (400, {"error": 0, "error_description": "Could not find value"}, "rejected"),
        (200, {"error": "ERROR_ARGUMENT", "error_description": "x"}, "rejected"),
    ],
)
def test_error_bodies_are_told_apart(api, web, status, body, kind) -> None:
    web.post(address("crm.item.get"), status=status, json=body)
    with pytest.raises(CrmError) as caught:
        api.call("crm.item.get", {}, same)
    assert caught.value.kind == kind
    assert "<" not in caught.value.detail
    assert SECRET not in str(caught.value)


def test_a_used_up_bucket_is_waited_out_even_for_a_write(api, web, limiter) -> None:
    refused = {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}
    web.post(address("crm.timeline.comment.add"), status=503, json=refused)
    web.post(address("crm.timeline.comment.add"), json={"result": 5})
    assert api.call("crm.timeline.comment.add", {}, same, repeatable=False) == 5
    assert limiter.pushed[0][0] == "bitrix24:main"


def test_an_overloaded_portal_is_left_alone_for_minutes(api, web, limiter) -> None:
    web.post(address("profile"), status=503, json={"error": "OVERLOAD_LIMIT", "error_description": "x"})
    with pytest.raises(CrmError) as caught:
        api.call("profile", {}, same)
    assert caught.value.retry_after == OVERLOAD_PAUSE
    assert limiter.pushed == [("bitrix24:main", NOW + OVERLOAD_PAUSE)]


def time_used(seconds: float, reset_in: int) -> dict[str, Any]:
    return {"operating": seconds, "operating_reset_at": int(NOW.timestamp()) + reset_in}


def test_a_method_near_its_execution_limit_is_not_called(api, web) -> None:
    web.post(address("crm.item.list"), json={"result": {}, "time": time_used(475.5, 300)})
    web.post(address("profile"), json={"result": {}, "time": time_used(1, 300)})
    api.call("crm.item.list", {}, same)
    with pytest.raises(RetryLater) as caught:
        api.call("crm.item.list", {}, same)
    assert caught.value.wait == timedelta(seconds=301)
    api.call("profile", {}, same)
    with pytest.raises(RetryLater):
        api.batch({"a": ("crm.item.list", {})})


def test_commands_of_a_batch_tell_the_execution_time_of_their_methods(api, web) -> None:
    answer = {"result": {"a": {}}, "result_error": [], "result_time": {"a": time_used(475.5, 300)}}
    web.post(address("batch"), json={"result": answer})
    api.batch({"a": ("crm.item.list", {})})
    with pytest.raises(RetryLater) as caught:
        api.call("crm.item.list", {}, same)
    assert caught.value.wait == timedelta(seconds=301)


def test_who_has_the_patience_waits_for_execution_time(account, limiter, web) -> None:
    clock = FixedClock(NOW)
    api = B24Api(account, limiter=limiter, clock=clock, patience=timedelta(minutes=30))
    web.post(address("crm.item.list"), json={"result": {}, "time": time_used(475.5, 300)})
    api.call("crm.item.list", {}, same)
    api.call("crm.item.list", {}, same)
    assert timedelta(seconds=301) in clock.waits


def test_a_method_over_its_execution_limit_waits_as_the_answers_before_said(api, web, limiter) -> None:
    web.post(address("crm.item.list"), json={"result": {}, "time": time_used(400, 120)})
    blocked = {"error": "OPERATION_TIME_LIMIT", "error_description": "Method is blocked"}
    web.post(address("crm.item.list"), status=429, json=blocked)
    api.call("crm.item.list", {}, same)
    with pytest.raises(CrmError) as caught:
        api.call("crm.item.list", {}, same)
    assert (caught.value.kind, caught.value.retry_after) == ("retry", timedelta(seconds=121))
    # Other methods of the portal go on.
    assert limiter.pushed == []


def test_a_batch_is_written_in_php_form_without_nulls(api, web) -> None:
    web.post(address("batch"), json={"result": {"result": {"a": 1}, "result_error": []}})
    api.batch({"a": ("crm.item.list", {"filter": {">id": 5, "@x": ["б+в", "&"]}, "select": None})})
    assert sent(web) == {
        "halt": 0,
        "cmd": {"a": "crm.item.list?filter[%3Eid]=5&filter[%40x][0]=%D0%B1%2B%D0%B2&filter[%40x][1]=%26"},
    }


@pytest.mark.parametrize(
    ("result", "errors"),
    [
        ({"a": [], "b": {"x": 1}}, []),
        ([[], {"x": 1}], []),
        ([[], {"x": 1}], {}),
    ],
)
def test_a_batchs_answers_keep_their_places_however_php_writes_them(api, web, result, errors) -> None:
    web.post(address("batch"), json={"result": {"result": result, "result_error": errors}})
    answers = api.batch({"a": ("user.get", {}), "b": ("profile", {})})
    assert answers.read("a", same) == []
    assert answers.read("b", lambda part: part["x"].int()) == 1


def test_a_failed_command_of_a_batch_fails_alone(api, web) -> None:
    errors = {"b": {"error": "NOT_FOUND", "error_description": "нет"}, "c": {"error": "ACCESS_DENIED"}}
    web.post(address("batch"), json={"result": {"result": {"a": 1}, "result_error": errors}})
    answers = api.batch({key: ("crm.item.get", {}) for key in "abc"})
    assert answers.read("a", same) == 1
    assert answers.find("b", same) is None
    with pytest.raises(CrmError) as caught:
        answers.read("c", same)
    assert (caught.value.kind, caught.value.call) == ("config", "crm.item.get")


def test_a_comment_carries_its_files_in_base64(client, web) -> None:
    web.post(address("crm.timeline.comment.add"), json={"result": 990})
    note = client.add_note("5", "", files=[CrmFile("kp.pdf", b"%PDF", "application/pdf")], since=NOW)
    assert note == "990"
    assert sent(web) == {
        "fields": {
            "ENTITY_ID": 5,
            "ENTITY_TYPE": "deal",
            "COMMENT": "kp.pdf",
            "FILES": [["kp.pdf", "JVBERg=="]],
        }
    }


def test_a_report_is_a_message_and_a_notification_that_replaces_its_copy(client, web) -> None:
    refusal = {"error": "insufficient_scope", "error_description": "The request requires higher privileges"}
    web.post(address("disk.storage.getlist"), json=refusal, status=401)
    web.post(address("im.message.add"), json={"result": 34239})
    web.post(address("im.notify.system.add"), json={"result": 12345})
    report = CrmFile("report.pdf", b"x", "application/pdf")
    assert client.post_report("День", "Итого", to_user_id="7", files=[report], since=NOW) == "34239"
    message = sent(web, 1)
    assert (message["DIALOG_ID"], "Итого" in message["MESSAGE"]) == ("7", True)
    assert "report.pdf" in message["MESSAGE"]
    first = sent(web, 2)
    web.post(address("im.dialog.messages.get"), json=dialog("[B]День[/B] Итого", "2025-11-24T19:00:05+03:00"))
    assert client.post_report("День", "Итого", to_user_id="7", may_exist=True, since=NOW) == "1"
    assert sent(web)["TAG"] == first["TAG"]
    assert sent(web)["CLIENT_ID"] == "connector"


def dialog(text: str, date: str) -> dict[str, Any]:
    return {"result": {"messages": [{"id": 1, "text": text, "date": date}], "users": [], "chat_id": 3}}


def test_a_message_of_yesterday_with_the_same_title_is_not_ours(client, web) -> None:
    web.post(address("im.dialog.messages.get"), json=dialog("[B]День[/B]", "2025-11-23T19:00:05+03:00"))
    web.post(address("im.message.add"), json={"result": 2})
    web.post(address("im.notify.system.add"), json={"result": 1})
    assert client.post_report("День", "Итого", to_user_id="7", may_exist=True, since=NOW) == "2"


def test_a_long_task_has_its_first_line_for_a_title(client, web) -> None:
    web.post(address("tasks.task.add"), json={"result": {"task": {"id": "515"}}})
    text = "з" * 300 + "\nподробности"
    assert client.add_task("5", text, responsible_id="7", due_at=NOW, since=NOW) == "515"
    fields = sent(web)["fields"]
    assert len(fields["TITLE"]) == 250
    assert fields["DESCRIPTION"] == text
    assert fields["UF_CRM_TASK"] == ["D_5"]


def test_the_portals_zone_is_told_by_its_clock_when_the_owner_has_none(client, web) -> None:
    answers = {
        "me": {"ID": "1", "ADMIN": True, "NAME": "Ольга", "LAST_NAME": "Светлова", "TIME_ZONE": ""},
        "now": "2025-11-24T21:00:00+05:00",
    }
    errors = {"currency": {"error": "ERROR_METHOD_NOT_FOUND", "error_description": "x"}}
    web.post(address("batch"), json={"result": {"result": answers, "result_error": errors}})
    info = client.account_info()
    assert (info.timezone, info.currency, info.user_name) == ("Asia/Yekaterinburg", "RUB", "Ольга Светлова")


def test_the_steps_name_the_missing_rights_first() -> None:
    steps = manual_steps("https://connector.example/hooks/main/secret", ["crm", "user_basic", "im"])
    assert "Задачи (task)" in steps[0]
    assert "Пользователи" not in steps[0]
    assert any("https://connector.example/hooks/main/secret" in step for step in steps)
    assert all(any(event in step for step in steps) for event in EVENTS)


def test_with_all_rights_the_steps_begin_in_the_developers_menu() -> None:
    steps = manual_steps("https://connector.example/h", ["crm", "user", "task", "im", "disk"])
    assert "Исходящий вебхук" in steps[0]


def test_a_body_without_an_error_key_is_no_error() -> None:
    assert read_error(200, {"result": []}) is None
    assert read_error(200, []) is None


def app_client(account: AccountConfig, limiter: Turnstile) -> Bitrix24Client:
    tokens = FixedToken(Authorization("app0token0app0token", BASE))
    return Bitrix24Client(account, limiter=limiter, clock=FixedClock(NOW), tokens=tokens)


def plan(web: responses.RequestsMock, value: str) -> None:
    told = {code: {"value": value} for code in ("rest_offline_extended", "rest_auth_connector")}
    web.post(address("batch"), json={"result": {"result": told, "result_error": []}})


def test_a_queued_event_that_shows_no_object_is_recorded_and_not_believed(account, limiter, web) -> None:
    plan(web, "N")
    row = {
        "ID": "1",
        "TIMESTAMP_X": "2025-11-24T19:00:00+03:00",
        "EVENT_NAME": "ONCRMDEALUPDATE",
        "EVENT_DATA": False,
        "EVENT_ADDITIONAL": False,
        "MESSAGE_ID": "1",
    }
    web.post(address("event.offline.get"), json={"result": {"process_id": None, "events": [row]}})
    batch = app_client(account, limiter).queued_events()
    assert batch is not None
    [event] = batch.events
    assert (event.kind, event.entity_id, event.note) == (
        EventKind.OTHER,
        "",
        "ONCRMDEALUPDATE without an object",
    )


def test_events_given_out_for_good_are_not_asked_for_twice(account, limiter, web) -> None:
    plan(web, "N")
    web.post(address("event.offline.get"), body="<h1>502</h1>", status=502)
    with pytest.raises(CrmError):
        app_client(account, limiter).queued_events()
    assert len([call for call in web.calls if "event.offline.get" in call.request.url]) == 1


def test_an_application_says_whose_change_it_is_and_a_webhook_does_not(account, limiter, client, web) -> None:
    web.post(address("crm.timeline.comment.add"), json={"result": 5})
    app_client(account, limiter).add_note("7", "Записка", since=NOW)
    assert sent(web)["auth_connector"] == "connector"
    client.add_note("7", "Записка", since=NOW)
    assert "auth_connector" not in sent(web)


def test_a_stage_that_the_portal_did_not_take_is_told(client, web) -> None:
    settings = {
        "categories": {"categories": [{"id": 0, "name": "Продажи", "isDefault": "Y"}]},
        "statuses": [
            {"ENTITY_ID": "DEAL_STAGE", "STATUS_ID": code, "NAME": code, "SORT": "10", "SEMANTICS": None}
            for code in ("NEW", "EXECUTING")
        ],
        "fields": {"fields": {}},
        "now": "2025-11-24T19:00:00+03:00",
    }
    item = {"id": 7, "title": "Кофе", "categoryId": 0, "stageId": "NEW", "assignedById": 1}
    web.post(address("batch"), json={"result": {"result": settings, "result_error": []}})
    web.post(address("crm.item.get"), json={"result": {"item": item}})
    web.post(address("crm.item.update"), json={"result": {"item": item}})
    with pytest.raises(CrmError, match=r"NOT_TAKEN.*stageId"):
        client.update_deal("7", DealChanges(stage_id="EXECUTING"))
    assert sent(web)["fields"] == {"stageId": "EXECUTING"}


def test_an_answer_of_another_shape_is_told_with_its_path(client, web) -> None:
    settings = {
        "categories": {"categories": [{"id": 0, "name": "Продажи", "isDefault": "Y"}]},
        "statuses": [],
        "fields": {"fields": {}},
        "now": "2025-11-24T19:00:00+03:00",
    }
    web.post(address("batch"), json={"result": {"result": settings, "result_error": []}})
    web.post(address("crm.item.get"), json={"result": {"item": {"id": 7, "title": "Кофе"}}})
    with pytest.raises(CrmError, match=r"UNEXPECTED_ANSWER.*categoryId"):
        client.update_deal("7", DealChanges(pipeline_id="0", stage_id=None))
