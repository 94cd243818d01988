"""`connector connect` by consent, as a person types it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from connector.app import App
from connector.clock import SystemClock
from connector.config import Config
from connector.web.server import WebServer
from tests.commands.typed import typed
from tests.crm.limiter import Turnstile
from tests.oauth.stand import Stand, of_amocrm, of_bitrix24


@pytest.fixture
def online(lone: Stand) -> Iterator[Stand]:
    """The installation with its web role running at BASE_URL, as the portal sees it."""
    server = WebServer("127.0.0.1", 0)
    lone.env["BASE_URL"] = f"http://127.0.0.1:{server.port}"
    app = App(Config.from_env(lone.env), SystemClock(), Turnstile())
    if lone.crm == "amocrm":
        lone.sandbox.amocrm.oauth.redirect_uri = app.config.account("main").redirect_url
    server.start(app.web())
    yield lone
    server.stop()
    app.close()


def test_a_pasted_code_connects_to_the_very_end(online: Stand) -> None:
    said = typed("connect", online.crm, "--code", online.code(), env=online.env)
    assert said.code == 0, said.err
    assert "Согласие получено" in said.out
    assert "Доступ есть" in said.out
    assert "Вебхук создан" in said.out
    again = typed("connect", online.crm, env=online.env)
    assert again.code == 0, again.err
    assert "Согласие CRM уже есть" in again.out
    assert "уже был и работает" in again.out


@of_bitrix24
def test_bitrix24s_events_are_bound_and_their_secret_learnt(online: Stand) -> None:
    said = typed("connect", online.crm, "--code", online.code(), env=online.env)
    assert "События приложения приходят и проверяются" in said.out, said.all
    told = online.sandbox.bitrix24.endpoints()["application_token"]
    assert online.app.grants.application_token("main") == told
    bound = {
        (one.event, urlsplit(one.url).path.split("/")[1]) for one in online.sandbox.bitrix24.events.online()
    }
    assert {("ONCRMDEALUPDATE", "hooks"), ("ONAPPUNINSTALL", "oauth"), ("ONAPPUPDATE", "oauth")} <= bound
    assert told not in said.all


@of_bitrix24
def test_portal_that_cannot_reach_us_is_said(lone: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.commands.connect.ANSWER_WITHIN", timedelta(0))
    said = typed("connect", lone.crm, "--code", lone.code(), env=lone.env)
    assert "BASE_URL должен открываться" in said.err


def test_the_address_of_the_page_is_as_good_as_the_code(lone: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"\nhttps://we.example/x?state=s&code={lone.code()}\n"))
    monkeypatch.setattr("connector.commands.connect.ANSWER_WITHIN", timedelta(0))
    said = typed("connect", lone.crm, env=lone.env)
    assert "Согласия ещё нет" in said.out
    assert "Согласие получено" in said.out, said.all
    assert "/oauth" in said.out


def test_without_a_key_one_is_made_and_its_place_told(lone: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.commands.connect.ANSWER_WITHIN", timedelta(0))
    lone.env["SECRET_KEY"] = ""
    said = typed("connect", lone.crm, "--code", lone.code(), env=lone.env)
    assert said.code == 1
    key = said.err.split("SECRET_KEY=")[1].split()[0]
    assert lone.token_calls == 0
    lone.env["SECRET_KEY"] = key
    assert "Согласие получено" in typed("connect", lone.crm, "--code", lone.code(), env=lone.env).out


@pytest.mark.parametrize("code", ["spent-long-ago", "это не код", "https://we.example/?error=access_denied"])
def test_a_bad_code_is_a_sentence(lone: Stand, code: str) -> None:
    said = typed("connect", lone.crm, "--code", code, env=lone.env)
    assert said.code == 1
    assert "код" in said.err
    assert lone.app.grants.state("main") is None


@of_amocrm
def test_wrong_client_secret_is_said_and_not_shown(lone: Stand) -> None:
    lone.env["CLIENT_SECRET"] = "wrong-secret-of-client"
    said = typed("connect", lone.crm, "--code", lone.code(), env=lone.env)
    assert "CLIENT_SECRET" in said.err
    assert "wrong-secret-of-client" not in said.all


def test_status_says_that_consent_is_missing(lone: Stand) -> None:
    said = typed("status", env=lone.env)
    assert said.code == 1
    assert f"connector connect {lone.crm} --account main" in said.out


def test_the_address_for_the_card_is_printed(lone: Stand) -> None:
    said = typed("install-url", env=lone.env)
    assert said.out.strip() == lone.app.config.account("main").redirect_url
    if lone.crm == "bitrix24":
        early = {**lone.env, "CLIENT_ID": "", "CLIENT_SECRET": ""}
        assert typed("install-url", env=early).out == said.out


@of_amocrm
def test_a_long_lived_token_is_never_renewed(lone: Stand) -> None:
    lone.env |= {"CRM_TOKEN": "long-lived-and-wrong"}
    said = typed("connect", lone.crm, env=lone.env)
    assert said.code == 1
    assert "CRM не приняла ключ" in said.err
    assert lone.token_calls == 0
    assert lone.sandbox.asked["/oauth2/account/current/subdomain"] == 0
