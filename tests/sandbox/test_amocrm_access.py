"""Who gets in: tokens, OAuth, limits, prepared faults."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from connector.sandbox.amocrm import Switches
from tests.sandbox.amocrm_office import ADMIN, MANAGER, Office

REDIRECT = "https://connector.example/oauth"


@pytest.fixture
def office() -> Office:
    return Office()


def exchange(office: Office, *, form: bool = False, **values: str) -> TestResponse:
    oauth = office.amo.oauth
    oauth.redirect_uri = REDIRECT
    body = {
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret,
        "redirect_uri": REDIRECT,
        **values,
    }
    how: dict[str, Any] = {"data": body} if form else {"json": body}
    return office.client.post("/oauth2/access_token", **how)


def first_pair(office: Office) -> dict[str, Any]:
    code = office.amo.oauth.issue_code()
    answer = exchange(office, grant_type="authorization_code", code=code)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.get_json(force=True)
    return body


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic abc", "Bearer ", "Bearer \u00e9"])
def test_without_a_valid_token_the_answer_is_the_recorded_401(office: Office, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    answer = office.client.get("/api/v4/leads", headers=headers)
    assert answer.status_code == 401 and answer.content_type == "application/problem+json"
    assert answer.get_json(force=True) == {
        "title": "Unauthorized",
        "type": "https://httpstatus.es/401",
        "status": 401,
        "detail": "Неверный логин или пароль",
    }


def test_code_gives_a_pair_that_opens_the_account(office: Office) -> None:
    pair = first_pair(office)
    assert pair.keys() == {"token_type", "expires_in", "server_time", "access_token", "refresh_token"}
    assert (pair["token_type"], pair["expires_in"]) == ("Bearer", 86400)
    assert office.get("/api/v4/account", token=pair["access_token"]).status_code == 200


def test_code_is_single_use_and_lives_twenty_minutes(office: Office) -> None:
    code = office.amo.oauth.issue_code()
    assert exchange(office, grant_type="authorization_code", code=code).status_code == 200
    again = exchange(office, grant_type="authorization_code", code=code)
    assert again.get_json(force=True)["hint"] == "Authorization code has been revoked"
    late = office.amo.oauth.issue_code()
    office.portal.time_shift += timedelta(minutes=21)
    assert exchange(office, grant_type="authorization_code", code=late).status_code == 401


def test_refresh_rotates_and_the_second_use_is_revoked(office: Office) -> None:
    pair = first_pair(office)
    renewed = exchange(office, form=True, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert renewed.status_code == 200
    assert renewed.get_json(force=True)["refresh_token"] != pair["refresh_token"]
    again = exchange(office, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert again.status_code == 401
    assert again.get_json(force=True) == {
        "hint": "Token has been revoked",
        "title": "Некорректный запрос",
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": 401,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    assert office.get("/api/v4/account", token=pair["access_token"]).status_code == 200


def test_switch_makes_refresh_kill_the_old_access_token() -> None:
    office = Office(switches=Switches(refresh_kills_access=True))
    pair = first_pair(office)
    exchange(office, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert office.get("/api/v4/account", token=pair["access_token"]).status_code == 401


def test_access_token_lives_a_day_and_refresh_three_months(office: Office) -> None:
    pair = first_pair(office)
    office.portal.time_shift += timedelta(hours=24, seconds=1)
    assert office.get("/api/v4/account", token=pair["access_token"]).status_code == 401
    assert office.get("/api/v4/account").status_code == 200
    office.portal.time_shift += timedelta(days=90)
    late = exchange(office, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert late.status_code == 401


@pytest.mark.parametrize(
    "values",
    [
        {"grant_type": "refresh_token"},
        {"grant_type": "refresh_token", "refresh_token": "x"},
        {"grant_type": "password"},
        {"client_secret": "wrong", "grant_type": "refresh_token", "refresh_token": "x"},
        {"redirect_uri": "https://other.example", "grant_type": "refresh_token", "refresh_token": "x"},
    ],
)
def test_malformed_exchanges_are_refused(office: Office, values: dict[str, str]) -> None:
    answer = exchange(office, **values)
    assert answer.status_code in (400, 401)
    assert answer.get_json(force=True)["title"] == "Некорректный запрос"


def test_consent_page_sends_the_code_back(office: Office) -> None:
    office.amo.oauth.redirect_uri = REDIRECT
    answer = office.client.get(f"/oauth?client_id={office.amo.oauth.client_id}&state=s")
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (answer.status_code, query["state"], query["platform"]) == (302, ["s"], ["1"])
    assert exchange(office, grant_type="authorization_code", code=query["code"][0]).status_code == 200


def test_context_user_decides_the_rights(office: Office) -> None:
    headers = {"X-Context-User-ID": str(MANAGER)}
    assert office.get("/api/v4/account", headers=headers).get_json(force=True)["current_user_id"] == MANAGER
    assert office.get("/api/v4/webhooks", headers=headers).status_code == 403
    assert office.get("/api/v4/account", headers={"X-Context-User-ID": "5"}).status_code == 403
    assert office.read("/api/v4/account")["current_user_id"] == ADMIN


def test_eighth_request_of_a_second_is_429_in_html() -> None:
    office = Office(limits_on=True)
    answers = [office.get("/api/v4/account") for _ in range(8)]
    assert [a.status_code for a in answers] == [200] * 7 + [429]
    assert answers[-1].content_type.startswith("text/html")
    office.clock.seconds += 0.15
    assert office.get("/api/v4/account").status_code == 200
    assert office.get("/api/v4/account").status_code == 429


def test_abuse_ends_in_the_nginx_block_for_five_minutes() -> None:
    office = Office(limits_on=True)
    for _ in range(7 + 100):
        last = office.get("/api/v4/account")
    assert last.status_code == 403 and b"<center>nginx</center>" in last.data
    office.clock.seconds += 299
    assert office.get("/api/v4/account").status_code == 403
    assert office.client.post("/oauth2/access_token", json={}).status_code == 403
    office.clock.seconds += 2
    assert office.get("/api/v4/account").status_code == 200


def test_limits_off_lets_everything_in(office: Office) -> None:
    assert {office.get("/api/v4/account").status_code for _ in range(20)} == {200}


def test_prepared_failure_is_answered_instead_of_the_request(office: Office) -> None:
    office.faults.fail_next(1, 502, "<html>Bad Gateway</html>", path_part="/leads", method="POST")
    assert office.get("/api/v4/leads").status_code == 200
    assert office.post("/api/v4/leads", [{"name": "А"}]).status_code == 502
    assert len(office.portal.deals) == 1
    assert office.post("/api/v4/leads", [{"name": "А"}]).status_code == 200


def test_failure_after_commit_makes_a_repeat_a_second_lead(office: Office) -> None:
    office.faults.fail_next(1, 504, after_commit=True)
    assert office.post("/api/v4/leads", [{"name": "А"}]).status_code == 504
    assert office.post("/api/v4/leads", [{"name": "А"}]).status_code == 200
    assert [deal.name for deal in office.portal.deals.values()].count("А") == 2


def test_faults_are_set_over_http_and_nonsense_is_refused(office: Office) -> None:
    url = "/sandbox/api/faults"
    assert office.client.patch(url, json={"drop_share": 0.5}).get_json()["drop_share"] == 0.5
    for body in ({"drop_share": 2}, {"drop": 1}, {"limits_on": "no"}, {"latency_s": -1}, [1], None):
        assert office.client.patch(url, json=body).status_code == 400
    assert office.client.get(url).get_json()["drop_share"] == 0.5
    made = office.client.post(url, json={"what": "status", "times": 2, "status": 503})
    assert (made.status_code, made.get_json()["left"]) == (201, 2)
    assert office.client.post(url, json={"what": "status", "times": 2, "status": 5}).status_code == 400
    assert len(office.client.get(url).get_json()["active"]) == 1
    assert office.client.delete(url).get_json()["active"] == []


def test_secrets_do_not_show_in_repr(office: Office) -> None:
    assert office.amo.oauth.client_secret not in repr(office.amo.oauth)
    assert office.amo.oauth.token not in repr(office.amo.oauth)
