"""Single conversations with amoCRM that the sandbox cannot be brought to hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import responses
from responses import matchers

from connector.clock import FixedClock
from connector.config import AccountConfig
from connector.crm.amocrm.api import RULES, AmoApi
from connector.crm.amocrm.client import AmoCrmClient
from connector.crm.amocrm.files import SESSIONS, FileStore
from connector.crm.amocrm.subscription import EVENTS, SWITCHED_OFF
from connector.domain import CrmFile
from connector.errors import CrmError
from tests.crm.limiter import Turnstile

NOW = datetime(2025, 11, 24, 16, 0, tzinfo=UTC)
BASE = "https://romashka.amocrm.test"
API = f"{BASE}/api/v4"
TOKEN = "long-lived-token-of-a-test"
HOOK = "https://connector.example/hooks/main/secret"


@pytest.fixture
def web() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def limiter() -> Turnstile:
    return Turnstile()


@pytest.fixture
def client(limiter: Turnstile) -> AmoCrmClient:
    account = AccountConfig("main", "amocrm", BASE, TOKEN)
    return AmoCrmClient(account, limiter=limiter, clock=FixedClock(NOW))


def tell_account(web: responses.RequestsMock, **more: Any) -> None:
    web.get(
        f"{API}/account",
        json={
            "id": 30511207,
            "name": "Ромашка",
            "current_user_id": 9310001,
            "currency": "RUB",
            "drive_url": "https://drive.amocrm.test",
            "is_api_filter_enabled": False,
            "_embedded": {"datetime_settings": {"timezone": "Europe/Moscow"}},
            **more,
        },
    )


def hook(**more: Any) -> dict[str, Any]:
    return {"id": 1, "destination": HOOK, "disabled": False, "settings": list(EVENTS), **more}


def test_every_call_carries_the_token_and_no_error_does(client, web) -> None:
    web.get(
        f"{API}/leads/pipelines",
        status=400,
        json={"title": "Bad Request", "detail": f"Bearer {TOKEN}"},
        match=[matchers.header_matcher({"Authorization": f"Bearer {TOKEN}"})],
    )
    with pytest.raises(CrmError) as caught:
        client.pipelines()
    assert TOKEN not in str(caught.value)


def test_users_refused_to_an_external_integration_are_a_matter_of_set_up(client, web) -> None:
    web.get(f"{API}/users", status=403, json={"title": "Forbidden", "status": 403, "detail": "no"})
    with pytest.raises(CrmError) as caught:
        client.users()
    assert caught.value.kind == "config"
    assert "private integration" in caught.value.detail


@pytest.mark.parametrize("status", [200, 403])
def test_where_users_are_refused_the_webhooks_tell_an_administrator(client, web, status) -> None:
    tell_account(web)
    web.get(f"{API}/users/9310001", status=403, json={"title": "Forbidden"})
    web.get(f"{API}/webhooks", status=status, json={"_embedded": {"webhooks": [hook()]}})
    info = client.account_info()
    assert (info.user_id, info.user_name, info.is_admin) == ("9310001", "", status == 200)


def test_settings_are_read_once_an_hour(client, web) -> None:
    tell_account(web)
    web.get(f"{API}/leads/1", status=204)
    web.get(f"{API}/leads/2", status=204)
    assert client.deal("1") is None
    assert client.deal("2") is None
    assert len([call for call in web.calls if "/account" in call.request.url]) == 1


def test_a_zone_that_nobody_knows_is_an_unexpected_answer(client, web) -> None:
    tell_account(web, _embedded={"datetime_settings": {"timezone": "Mars/Olympus"}})
    with pytest.raises(CrmError) as caught:
        client.deal("1")
    assert (caught.value.kind, caught.value.code) == ("rejected", "UNEXPECTED_ANSWER")
    assert "time zone" in caught.value.detail


def lead(contact_id: int, element_id: int) -> dict[str, Any]:
    return {
        "id": 5,
        "name": "Сделка",
        "pipeline_id": 1,
        "status_id": 2,
        "price": 0,
        "created_at": 1764000000,
        "updated_at": 1764000000,
        "_embedded": {
            "contacts": [{"id": contact_id, "is_main": True}],
            "catalog_elements": [
                {"id": element_id, "metadata": {"quantity": 2, "catalog_id": 9, "price_id": None}}
            ],
        },
    }


def tell_parts(web: responses.RequestsMock) -> None:
    for number in (7, 8):
        price = {"field_id": 1, "field_name": "Цена", "field_code": "PRICE", "values": [{"value": number}]}
        web.get(f"{API}/contacts/{number}", json={"id": number, "name": f"Контакт {number}"})
        web.get(
            f"{API}/catalogs/9/elements/{number}",
            json={"id": number, "name": f"Товар {number}", "custom_fields_values": [price]},
        )


def leads_read(web: responses.RequestsMock) -> int:
    return len([call for call in web.calls if "/leads/5" in call.request.url])


@pytest.mark.parametrize("is_later_read", [False, True])
def test_a_card_comes_of_the_reading_of_its_deal_and_of_no_other(client, web, is_later_read) -> None:
    tell_account(web)
    web.assert_all_requests_are_fired = False
    tell_parts(web)
    web.get(f"{API}/leads/5", json=lead(7, 7))
    web.get(f"{API}/leads/5", json=lead(8, 8))
    first = client.deal("5")
    later = client.deal("5") if is_later_read else None
    card = client.card(first)
    assert ([one.name for one in card.contacts], [row.name for row in card.rows]) == (
        ["Контакт 7"],
        ["Товар 7"],
    )
    assert leads_read(web) == (2 if is_later_read else 1)
    if later is not None:
        assert client.card(later).rows[0].name == "Товар 8"


def test_a_deal_of_an_unknown_reading_is_read_anew_as_a_whole(client, web) -> None:
    tell_account(web)
    web.assert_all_requests_are_fired = False
    tell_parts(web)
    web.get(f"{API}/leads/5", json=lead(7, 7))
    web.get(f"{API}/leads/5", json=lead(8, 8))
    card = client.card(replace(client.deal("5"), name="Другая"))
    assert (card.deal.contact_ids, card.contacts[0].name, card.rows[0].name) == (
        ("8",),
        "Контакт 8",
        "Товар 8",
    )


def test_uploads_do_not_spend_from_the_limit_of_the_api(client, web, limiter) -> None:
    tell_account(web)
    drive = "https://drive.amocrm.test/v1.0"
    web.post(f"{drive}/sessions", status=429, headers={"Retry-After": "2"}, body=b"")
    with pytest.raises(CrmError):
        client.add_note("5", "", files=[CrmFile("kp.pdf", b"abc", "application/pdf")], since=NOW)
    assert set(limiter.asked) == {"amocrm:main", "amocrm-files:main"}
    assert {key for key, _ in limiter.pushed} == {"amocrm-files:main"}


def test_a_file_goes_up_in_parts_of_the_size_asked_for(client, web) -> None:
    tell_account(web)
    drive = "https://drive.amocrm.test/v1.0"
    part = f"{drive}/sessions/upload/first"
    web.post(f"{drive}/sessions", json={"upload_url": part, "max_part_size": 4, "session_id": 1})
    web.post(part, json={"next_url": f"{drive}/sessions/upload/second", "session_id": 1})
    web.post(
        f"{drive}/sessions/upload/second",
        json={
            "uuid": "u-1",
            "version_uuid": "v-1",
            "name": "kp",
            "size": 6,
            "created_at": 1764000000,
            "metadata": {"extension": "pdf"},
        },
    )
    web.put(f"{API}/leads/5/files", status=202, body=b"")
    web.post(f"{API}/leads/notes", json={"_embedded": {"notes": [{"id": 71}, {"id": 72}]}})
    note = client.add_note("5", "текст", files=[CrmFile("kp.pdf", b"abcdef", "application/pdf")], since=NOW)
    assert note == "72"
    bodies = [call.request.body for call in web.calls]
    assert bodies[2:4] == [b"abcd", b"ef"]


def stored(uuid: str, version: str, **more: Any) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "version_uuid": version,
        "name": "Договор",
        "size": 3,
        "created_at": 1764000000,
        "metadata": {"extension": "pdf"},
        **more,
    }


def store(limiter: Turnstile) -> FileStore:
    api = AmoApi(AccountConfig("main", "amocrm", BASE, TOKEN), limiter=limiter, clock=FixedClock(NOW))
    return FileStore(api, "https://drive.amocrm.test")


def test_a_new_version_is_sent_under_the_files_uuid_and_versions_are_listed(web, limiter) -> None:
    drive = "https://drive.amocrm.test/v1.0"
    part = f"{drive}/sessions/upload/first"
    asked = matchers.json_params_matcher({"file_uuid": "u-1"}, strict_match=False)
    session = {"upload_url": part, "max_part_size": 100, "max_file_size": 100, "session_id": 1}
    web.post(f"{drive}/sessions", json=session, match=[asked])
    web.post(part, json=stored("u-1", "v-2"))
    rows = [stored("v-2", "", file_uuid="u-1"), stored("v-1", "", file_uuid="u-1")]
    web.get(f"{drive}/files/u-1/versions", json={"_embedded": {"versions": rows}})
    files = store(limiter)
    file = CrmFile("Договор.pdf", b"abc", "application/pdf")
    assert files.upload(file, version_of="u-1").version_uuid == "v-2"
    assert [(one.uuid, one.version_uuid) for one in files.versions("u-1")] == [("u-1", "v-2"), ("u-1", "v-1")]


def test_a_file_larger_than_the_service_takes_is_not_sent_at_all(web, limiter) -> None:
    drive = "https://drive.amocrm.test/v1.0"
    session = {"upload_url": f"{drive}/x", "max_part_size": 2, "max_file_size": 2, "session_id": 1}
    web.post(f"{drive}/sessions", json=session)
    with pytest.raises(CrmError, match="3 bytes, 2 are allowed"):
        store(limiter).upload(CrmFile("Договор.pdf", b"abc", "application/pdf"))


def test_an_upload_that_breaks_again_and_again_is_given_up(web, limiter) -> None:
    drive = "https://drive.amocrm.test/v1.0"
    session = {"upload_url": f"{drive}/x", "max_part_size": 9, "max_file_size": 9, "session_id": 1}
    for _ in range(SESSIONS):
        web.post(f"{drive}/sessions", json=session)
        web.post(f"{drive}/x", status=504, body="<html>")
        web.post(f"{drive}/x", status=404, json={"title": "Not Found"})
    with pytest.raises(CrmError) as caught:
        store(limiter).upload(CrmFile("Договор.pdf", b"abc", "application/pdf"))
    assert caught.value.kind == "not_found"


def test_a_deal_of_the_same_name_without_our_tag_is_somebody_elses(client, web) -> None:
    tell_account(web)
    stranger = {"id": 1, "_embedded": {"tags": [{"id": 1, "name": "важно"}]}}
    web.get(f"{API}/leads", json={"_embedded": {"leads": [stranger]}})
    web.post(f"{API}/leads", json={"_embedded": {"leads": [{"id": 2}]}})
    web.post(f"{API}/leads/notes", json={"_embedded": {"notes": [{"id": 71}]}})
    web.post(f"{API}/tasks", json={"_embedded": {"tasks": [{"id": 81}]}})
    assert client.post_report("День", "Итого", to_user_id="9310002", since=NOW) == "71"
    assert b'"entity_id": 2' in web.calls[-1].request.body
    # The task is due at the end of the person's day: 23:59 in Moscow.
    assert b'"complete_till": 1764017940' in web.calls[-1].request.body


def test_a_webhook_that_is_on_is_left_alone(client, web) -> None:
    web.get(f"{API}/webhooks", json={"_embedded": {"webhooks": [hook(settings=[*EVENTS, "add_task"])]}})
    assert not client.subscribe(HOOK).created
    assert len(web.calls) == 1


def test_a_webhook_with_missing_events_gets_them_and_keeps_its_own(client, web) -> None:
    web.get(f"{API}/webhooks", json={"_embedded": {"webhooks": [hook(settings=["add_task", "add_lead"])]}})
    wanted = {"destination": HOOK, "settings": sorted({*EVENTS, "add_task"})}
    web.post(f"{API}/webhooks", status=201, json=hook(), match=[matchers.json_params_matcher(wanted)])
    assert client.subscribe(HOOK).manual_steps == ()


def test_a_webhook_that_stays_switched_off_is_made_anew_and_then_left_to_a_person(client, web) -> None:
    web.get(f"{API}/webhooks", json={"_embedded": {"webhooks": [hook(disabled=True)]}})
    web.post(f"{API}/webhooks", status=201, json=hook(disabled=True))
    web.delete(f"{API}/webhooks", status=204)
    web.post(f"{API}/webhooks", status=201, json=hook(disabled=True))
    assert client.subscribe(HOOK).manual_steps == (SWITCHED_OFF,)


def test_a_plan_without_webhooks_is_a_matter_of_set_up(client, web) -> None:
    web.get(f"{API}/webhooks", status=403, json={"title": "Forbidden"})
    with pytest.raises(CrmError) as caught:
        client.subscribe(HOOK)
    assert caught.value.kind == "config"


@pytest.mark.parametrize(
    ("status", "body", "code", "detail"),
    [
        (200, {"errors": []}, None, None),
        (
            400,
            {
                "validation-errors": [
                    {"request_id": "0", "errors": [{"code": "NotBlank", "path": "name", "detail": "empty"}]}
                ],
                "detail": "Request validation failed",
            },
            "NotBlank",
            "name: empty",
        ),
        (
            400,
            {
                "validation-errors": [
                    {
                        "request_id": "0",
                        "errors": [
                            {"code": "NotBlank", "path": "name", "detail": "empty"},
                            {"code": "InvalidType", "path": "price", "detail": "no int"},
                        ],
                    },
                    {"request_id": "1", "errors": [{"code": "X", "path": "status_id", "detail": "no"}]},
                ]
            },
            "NotBlank",
            "name: empty; price: no int; status_id: no",
        ),
        (
            400,
            {"errors": [{"request_id": "0", "errors": {"code": "EntityNotFound", "detail": "no"}}]},
            "EntityNotFound",
            "no",
        ),
        (
            400,
            {"title": "Bad Request", "detail": "Код ошибки 244. Обратитесь"},
            "244",
            "Код ошибки 244. Обратитесь",
        ),
        (
            401,
            {"title": "Unauthorized", "detail": "Неверный логин или пароль"},
            "",
            "Неверный логин или пароль",
        ),
        (401, {"hint": "Token has been revoked", "detail": "x"}, "", "Token has been revoked"),
        (500, [], None, None),
    ],
)
def test_error_bodies_are_told_apart(status: int, body: object, code: str | None, detail: str | None) -> None:
    fault = RULES.read(status, body)
    assert (fault.code, fault.detail) == (code, detail) if fault else code is None


def test_a_right_that_is_missing_is_no_fault_of_the_call(client, web) -> None:
    web.get(f"{API}/leads/pipelines", status=400, json={"detail": "Код ошибки 244. Нет прав"})
    with pytest.raises(CrmError) as caught:
        client.pipelines()
    assert caught.value.kind == "config"
