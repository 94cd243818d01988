"""The consent page, a portal's notices and the switch-off hook: who is believed, and that nobody else is."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient

from connector.errors import CrmError
from connector.sandbox.amocrm.tokens import switch_off_signature
from connector.store.jobs import DEFAULT_QUEUE
from connector.store.schema import jobs
from connector.worker import Worker
from tests.oauth.stand import HOOK_SECRET, Stand, get, of_amocrm, of_bitrix24, served

FORM = "application/x-www-form-urlencoded"


def web(stand: Stand) -> FlaskClient:
    return stand.app.web().test_client()


def path(stand: Stand) -> str:
    return urlsplit(stand.app.config.account("main").redirect_url).path


def walk(stand: Stand) -> str:
    """What a browser asks of us after the person said yes."""
    back = get(stand.app.consent.begin("main"))
    assert back.status_code == 302
    parts = urlsplit(back.headers["Location"])
    return f"{parts.path}?{parts.query}"


def has_grant(stand: Stand) -> bool:
    return stand.app.grants.state("main") is not None


def notice(stand: Stand, event: str = "", **changes: str) -> dict[str, str]:
    """What the portal posts: an event, or without one the page that a person opens."""
    door = stand.sandbox.bitrix24.endpoints()
    refresh = stand.sandbox.bitrix24.oauth.new_refresh_token(stand.sandbox.bitrix24.webhook_user_id)
    if not event:
        page = {
            "AUTH_ID": door["oauth_token"],
            "AUTH_EXPIRES": "3600",
            "REFRESH_ID": refresh,
            "APPLICATION_TOKEN": door["application_token"],
            "member_id": door["member_id"],
            "status": "L",
            "PLACEMENT": "DEFAULT",
        }
        return page | changes
    told = {
        "event": event,
        "data[VERSION]": "1",
        "ts": "1795500000",
        "auth[domain]": stand.sandbox.bitrix24.site.host,
        "auth[client_endpoint]": stand.sandbox.bitrix24.site.rest_url,
        "auth[member_id]": door["member_id"],
        "auth[application_token]": door["application_token"],
    }
    if event != "ONAPPUNINSTALL":
        told |= {"auth[refresh_token]": refresh, "auth[access_token]": door["oauth_token"]}
    return told | changes


def post(stand: Stand, body: dict[str, str], at: str = "") -> int:
    return web(stand).post(at or path(stand), data=urlencode(body), content_type=FORM).status_code


def test_the_way_to_the_consent_page_and_back_connects(lone: Stand) -> None:
    answer = web(lone).get(walk(lone))
    assert answer.status_code == 200
    assert "Готово" in answer.get_data(as_text=True)
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert lone.name()


def test_a_state_is_good_once_and_for_its_account(lone: Stand) -> None:
    back = walk(lone)
    assert web(lone).get(back).status_code == 200
    known = lone.stored()
    again = f"{path(lone)}?{urlencode({'code': lone.code(), 'state': parse_qs(back)['state'][0]})}"
    assert web(lone).get(again).status_code == 403
    assert lone.stored() == known


@pytest.mark.parametrize("state", ["", "guessed"])
def test_a_code_that_nobody_asked_for_is_refused_unasked(lone: Stand, state: str) -> None:
    """Else a stranger could connect us to an account of his own."""
    answer = web(lone).get(f"{path(lone)}?{urlencode({'code': lone.code(), 'state': state})}")
    assert answer.status_code == 403
    assert not has_grant(lone)
    assert lone.token_calls == 0


def test_a_person_who_says_no_reads_how_to_begin_again(lone: Stand) -> None:
    answer = web(lone).get(f"{path(lone)}?error=access_denied&state=x")
    assert "Согласие не дано" in answer.get_data(as_text=True)
    assert not has_grant(lone)


def test_a_bad_code_is_a_sentence(lone: Stand) -> None:
    state = parse_qs(urlsplit(lone.app.consent.begin("main")).query)["state"][0]
    answer = web(lone).get(f"{path(lone)}?{urlencode({'code': 'spent-code', 'state': state})}")
    assert answer.status_code == 400
    assert "Дайте согласие ещё раз" in answer.get_data(as_text=True)
    assert "spent-code" not in answer.get_data(as_text=True)


def test_consent_of_another_account_changes_nothing(stand: Stand) -> None:
    known = stand.stored()
    stand.change(account_id="another")
    answer = web(stand).get(walk(stand))
    assert answer.status_code == 403
    assert "другом аккаунте" in answer.get_data(as_text=True)
    assert stand.stored().grant.access_token == known.grant.access_token


@of_amocrm
def test_a_switched_off_integration_waits_and_goes_on(stand: Stand) -> None:
    stand.change(obtained_at=stand.app.clock.now() - timedelta(hours=1))
    with served(stand.app) as address:
        assert stand.sandbox.amocrm.oauth_hooks.switch_off(f"{address}{path(stand)}/off") == 200
    worker_sees(stand)
    problem = stand.app.status().accounts[0].access_problem
    assert "интеграцию отключили" in problem and "connector connect amocrm" in problem
    assert waiting(stand) == [("directory", "ready", 0)]
    stand.consent()
    assert stand.name()
    assert worker_sees(stand) == []
    assert stand.app.status().is_well


@of_amocrm
@pytest.mark.parametrize(
    "change", [{"signature": "0" * 64}, {"account_id": "1"}, {"client_uuid": "x"}, {"signature": "ы"}]
)
def test_a_switch_off_that_amocrm_did_not_sign_is_refused(stand: Stand, change: dict[str, str]) -> None:
    oauth, account_id = stand.sandbox.amocrm.oauth, stand.sandbox.amocrm.world.account_id
    query = {
        "account_id": str(account_id),
        "client_uuid": oauth.client_id,
        "signature": switch_off_signature(oauth.client_id, account_id, oauth.client_secret),
    }
    client = web(stand)
    assert client.get(f"{path(stand)}/off?{urlencode(query | change)}").status_code == 403
    assert waiting(stand) == []
    assert client.get(f"{path(stand)}/off?{urlencode(query)}").status_code == 200


@of_amocrm
def test_an_old_switch_off_hook_that_comes_again_changes_nothing(stand: Stand) -> None:
    """Its signature holds no time, so it is only a reason to ask."""
    oauth, account_id = stand.sandbox.amocrm.oauth, stand.sandbox.amocrm.world.account_id
    signature = switch_off_signature(oauth.client_id, account_id, oauth.client_secret)
    query = {"account_id": str(account_id), "client_uuid": oauth.client_id, "signature": signature}
    assert web(stand).get(f"{path(stand)}/off?{urlencode(query)}").status_code == 200
    assert worker_sees(stand) == []
    assert stand.app.status().is_well


@of_bitrix24
@pytest.mark.parametrize("event", ["", "ONAPPINSTALL"])
def test_an_installation_connects_and_teaches_the_secret_of_events(lone: Stand, event: str) -> None:
    assert post(lone, notice(lone, event)) == 200
    assert lone.name()
    told = lone.sandbox.bitrix24.endpoints()["application_token"]
    assert lone.app.grants.application_token("main") == told
    hook = {
        "event": "ONCRMDEALUPDATE",
        "data[FIELDS][ID]": "17",
        "ts": "1795500000",
        "auth[member_id]": lone.stored().grant.account_id,
        "auth[application_token]": told,
    }
    address = f"/hooks/bitrix24/main/{HOOK_SECRET}"
    assert post(lone, hook | {"auth[application_token]": "another"}, address) == 403
    assert post(lone, hook, address) == 200


@of_bitrix24
def test_no_event_is_taken_before_its_secret_is_known(stand: Stand) -> None:
    hook = {"event": "ONCRMDEALUPDATE", "data[FIELDS][ID]": "17", "auth[member_id]": "d4"}
    for token in ({}, {"auth[application_token]": ""}):
        assert post(stand, hook | token, f"/hooks/bitrix24/main/{HOOK_SECRET}") == 403


@of_bitrix24
@pytest.mark.parametrize("event", ["", "ONAPPINSTALL"])
def test_an_installation_with_another_applications_token_is_refused(lone: Stand, event: str) -> None:
    name = "auth[refresh_token]" if event else "REFRESH_ID"
    assert post(lone, notice(lone, event, **{name: "b2" * 35})) == 400
    assert not has_grant(lone)


@of_bitrix24
@pytest.mark.parametrize("event", ["", "ONAPPINSTALL"])
def test_an_installation_of_another_portal_is_refused(lone: Stand, event: str) -> None:
    name = "auth[member_id]" if event else "member_id"
    assert post(lone, notice(lone, event, **{name: "e5" * 16})) == 403
    lone.sandbox.bitrix24.site.base_url = lone.sandbox.base_url.replace("127.0.0.1", "localhost")
    assert post(lone, notice(lone, event)) == 403, "the portal of CRM_URL is another one"
    assert not has_grant(lone)


@of_bitrix24
def test_only_an_administrator_connects(lone: Stand) -> None:
    portal = lone.sandbox.portals["bitrix24"]
    manager = next(user.id for user in portal.users.values() if not user.is_admin and user.is_active)
    refresh = lone.sandbox.bitrix24.oauth.new_refresh_token(manager)
    assert post(lone, notice(lone, REFRESH_ID=refresh)) == 403
    assert not has_grant(lone)


@of_bitrix24
def test_whoever_opens_the_application_changes_nothing_while_all_is_well(stand: Stand) -> None:
    known = stand.stored()
    assert post(stand, notice(stand)) == 200
    assert stand.stored() == known
    assert stand.token_calls == 0


@of_bitrix24
def test_opening_the_application_heals_a_lost_consent(stand: Stand) -> None:
    stand.change(refresh_token="spent")
    stand.age()
    with pytest.raises(CrmError):
        stand.name()
    assert post(stand, notice(stand)) == 200
    assert stand.name()
    assert stand.app.status().is_well


@of_bitrix24
def test_a_wrong_address_or_a_strange_body_is_refused(lone: Stand) -> None:
    assert post(lone, notice(lone), "/oauth/bitrix24/main/guessed") == 404
    assert post(lone, notice(lone), f"/oauth/bitrix24/main/{HOOK_SECRET}") == 404
    assert post(lone, {"hello": "world"}) == 400
    assert web(lone).post(path(lone), data=b"x" * 100_000, content_type=FORM).status_code == 413
    assert lone.token_calls == 0


@of_bitrix24
def test_a_removed_application_is_told_and_only_by_the_portal(lone: Stand) -> None:
    assert post(lone, notice(lone, "ONAPPINSTALL")) == 200
    forged = notice(lone, "ONAPPUNINSTALL", **{"auth[application_token]": "another"})
    assert post(lone, forged) == 403
    assert lone.app.status().is_well
    assert post(lone, notice(lone, "ONAPPUNINSTALL")) == 200
    assert "удалено" in lone.app.status().accounts[0].access_problem


def waiting(stand: Stand) -> list[tuple[str, str, int]]:
    """Jobs that are not done: task, state, counted attempts."""
    with stand.app.db.read() as conn:
        rows = conn.execute(jobs.select().where(jobs.c.state != "done").order_by(jobs.c.id)).all()
    return [(row.task, row.state, row.attempts) for row in rows]


def worker_sees(stand: Stand) -> list[tuple[str, str, int]]:
    """Work off what is due, as the worker does; what is left."""
    handlers = {"directory": lambda job: stand.app.directories.refresh(job.account)}
    worker = Worker(stand.app.queue, handlers, clock=stand.app.clock, wakeup=stand.app.wakeup, threads=1)
    for job in stand.app.queue.claim("test:1:x", DEFAULT_QUEUE, 10, 10, timedelta(minutes=1)):
        worker._attempt(job)
    return waiting(stand)
