"""OAuth beyond the exchange: moved accounts, switched-off integrations, the service's hooks, other tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from connector.sandbox.amocrm import Switches
from connector.sandbox.amocrm.tokens import long_lived_token
from tests.sandbox.amocrm_office import ACCOUNT_ID, ADMIN, MANAGER, TOKEN, Office
from tests.sandbox.catcher import Catcher

API = "/sandbox/api/amocrm"


@pytest.fixture
def office() -> Office:
    return Office()


def claims(token: str, key: str | None = None, digest: Any = hashlib.sha256) -> dict[str, Any]:
    """What a JWT says; with `key` its signature is checked."""
    head, body, signature = token.split(".")
    if key is not None:
        wanted = hmac.new(key.encode(), f"{head}.{body}".encode(), digest).digest()
        assert base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)) == wanted
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def refresh(office: Office, token: str, host: str | None = None) -> TestResponse:
    oauth = office.amo.oauth
    body = {
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret,
        "grant_type": "refresh_token",
        "refresh_token": token,
        "redirect_uri": oauth.redirect_uri,
    }
    headers = {"Host": host} if host else {}
    return office.client.post("/oauth2/access_token", json=body, headers=headers)


def act(office: Office, name: str, **body: Any) -> Any:
    answer = office.client.post(f"{API}/{name}", json=body)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def test_access_token_is_a_jwt_with_its_end_and_shard(office: Office) -> None:
    office.amo.oauth.move("https://romashka.amocrm.ru", "romashka")
    pair = act(office, "oauth/tokens")
    found = claims(pair["access_token"], office.amo.oauth.client_secret)
    assert found["exp"] - found["iat"] == 86400 == pair["expires_in"]
    assert (found["account_id"], found["sub"], found["aud"]) == (
        ACCOUNT_ID,
        str(ADMIN),
        office.amo.oauth.client_id,
    )
    assert found["api_domain"] == "api-a.amocrm.ru"
    assert "." not in pair["refresh_token"] and len(pair["refresh_token"]) > 500


@pytest.mark.parametrize("status", ["401", "404"])
def test_a_moved_account_is_found_through_the_shard(status: Any) -> None:
    office = Office(switches=Switches(old_host_status=status))
    pair = act(office, "oauth/tokens")
    act(office, "oauth/move", base_url="https://novoe.amocrm.ru", subdomain="novoe")
    old = {"Host": "127.0.0.1:9000"}
    token = {"X-Refresh-Token": pair["refresh_token"]}
    assert office.get("/api/v4/account", headers=old).status_code == int(status)
    assert refresh(office, pair["refresh_token"], host="127.0.0.1:9000").status_code == int(status)
    home = office.client.get("/oauth2/account/current/subdomain", headers={**old, **token})
    assert home.get_json(force=True) == {
        "id": ACCOUNT_ID,
        "subdomain": "novoe",
        "domain": "novoe.amocrm.ru",
        "top_level_domain": "ru",
    }
    renewed = refresh(office, pair["refresh_token"], host="novoe.amocrm.ru")
    assert renewed.status_code == 200, "the refused tries did not spend the token"
    account = office.get("/api/v4/account", headers={"Host": "novoe.amocrm.ru"}).get_json(force=True)
    assert account["subdomain"] == "novoe"
    assert account["_links"]["self"]["href"] == "https://novoe.amocrm.ru/api/v4/account"


def test_the_shard_knows_nothing_by_a_spent_or_foreign_refresh_token(office: Office) -> None:
    pair = act(office, "oauth/tokens")
    assert refresh(office, pair["refresh_token"]).status_code == 200
    for token in (pair["refresh_token"], "x", ""):
        answer = office.client.get("/oauth2/account/current/subdomain", headers={"X-Refresh-Token": token})
        assert answer.status_code == 401


def test_the_older_address_answers_a_bearer_token(office: Office) -> None:
    assert office.read("/oauth2/account/subdomain")["subdomain"] == "sandbox"
    assert office.client.get("/oauth2/account/subdomain").status_code == 401


def test_a_second_use_may_kill_the_pair_of_the_first() -> None:
    office = Office(switches=Switches(reuse_kills_pair=True))
    first = act(office, "oauth/tokens")
    second = refresh(office, first["refresh_token"]).get_json(force=True)
    assert refresh(office, first["refresh_token"]).get_json(force=True)["hint"] == "Token has been revoked"
    assert office.get("/api/v4/account", token=second["access_token"]).status_code == 401
    assert refresh(office, second["refresh_token"]).status_code == 401


def test_by_default_a_second_use_harms_nobody_else(office: Office) -> None:
    first = act(office, "oauth/tokens")
    second = refresh(office, first["refresh_token"]).get_json(force=True)
    assert refresh(office, first["refresh_token"]).status_code == 401
    assert refresh(office, second["refresh_token"]).status_code == 200


def test_switching_off_kills_every_token_and_tells_with_a_signature(office: Office) -> None:
    pair, code = act(office, "oauth/tokens"), act(office, "oauth/code")["code"]
    with Catcher() as catcher:
        assert act(office, "oauth/switch-off", revoke_uri=f"{catcher.url}/off?from=crm") == {"status": 200}
        (caught,) = catcher.caught
    oauth = office.amo.oauth
    message = f"{oauth.client_id}|{ACCOUNT_ID}".encode()
    assert caught.method == "GET" and caught.query == {
        "from": "crm",
        "account_id": str(ACCOUNT_ID),
        "client_uuid": oauth.client_id,
        "signature": hmac.new(oauth.client_secret.encode(), message, hashlib.sha256).hexdigest(),
    }
    for token in (TOKEN, pair["access_token"]):
        assert office.get("/api/v4/account", token=token).status_code == 401
    assert refresh(office, pair["refresh_token"]).get_json(force=True)["hint"] == "Token has been revoked"
    body = {"client_id": oauth.client_id, "client_secret": oauth.client_secret, "redirect_uri": ""}
    spent = {**body, "grant_type": "authorization_code", "code": code}
    assert office.client.post("/oauth2/access_token", json=spent).status_code == 401
    again = act(office, "oauth/tokens")  # the admin installs it anew
    assert office.get("/api/v4/account", token=again["access_token"]).status_code == 200


def test_nobody_at_the_switch_off_address_changes_nothing(office: Office) -> None:
    assert act(office, "oauth/switch-off", revoke_uri="http://127.0.0.1:9/off") == {"status": 0}
    assert office.get("/api/v4/account").status_code == 401


def test_installing_a_widget_sends_the_code_by_itself(office: Office) -> None:
    with Catcher() as catcher:
        act(office, "oauth/configure", redirect_uri=f"{catcher.url}/oauth")
        assert act(office, "oauth/install") == {"status": 200}
        (caught,) = catcher.caught
    assert caught.query["from_widget"] == "1" and caught.query["platform"] == "1"
    oauth = office.amo.oauth
    body = {
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret,
        "grant_type": "authorization_code",
        "code": caught.query["code"],
        "redirect_uri": oauth.redirect_uri,
    }
    assert office.client.post("/oauth2/access_token", data=body).status_code == 200


def test_an_api_key_is_exchanged_for_a_code_on_the_redirect_uri(office: Office) -> None:
    oauth = office.amo.oauth
    with Catcher() as catcher:
        act(office, "oauth/configure", redirect_uri=f"{catcher.url}/oauth")
        body = {
            "login": "admin@romashka.example",
            "api_key": "0" * 40,
            "client_uuid": oauth.client_id,
            "client_secret": oauth.client_secret,
        }
        seen = [office.client.post("/oauth2/exchange_api_key", json=body).status_code for _ in range(11)]
        assert seen == [202] * 10 + [429]
        assert {caught.query["from_exchange"] for caught in catcher.caught} == {"1"}
        for wrong in ({"login": "x"}, {"client_secret": "x"}, {"client_uuid": "x"}, {"api_key": ""}):
            answer = office.client.post("/oauth2/exchange_api_key", json={**body, **wrong})
            assert answer.status_code == 401


def test_refused_consent_comes_back_with_its_error() -> None:
    office = Office(switches=Switches(consent_refused=True))
    act(office, "oauth/configure", redirect_uri="https://connector.example/oauth?tenant=1")
    answer = office.client.get(f"/oauth?client_id={office.amo.oauth.client_id}&state=s&mode=popup")
    assert answer.headers["Location"].endswith("/oauth?tenant=1&error=access_denied&state=s")


def test_long_lived_tokens_end_on_their_day_and_belong_to_no_public_integration(office: Office) -> None:
    token = act(office, "oauth/long-lived", days=30)["token"]
    assert office.get("/api/v4/account", token=token).status_code == 200
    office.portal.time_shift += timedelta(days=30, seconds=1)
    assert office.get("/api/v4/account", token=token).status_code == 401
    for days in (0, 6 * 365, "1"):
        assert office.client.post(f"{API}/oauth/long-lived", json={"days": days}).status_code == 400
    office.amo.world.switches.integration_kind = "public"
    assert office.client.post(f"{API}/oauth/long-lived", json={"days": 30}).status_code == 400


def test_the_sandbox_starts_with_a_jwt_of_five_years(office: Office) -> None:
    found = claims(long_lived_token(ACCOUNT_ID, office.portal.now()))
    assert found["exp"] - found["iat"] == 5 * 365 * 86400 and found["account_id"] == ACCOUNT_ID


def test_disposable_tokens_prove_the_widget_and_its_user(office: Office) -> None:
    act(office, "oauth/configure", redirect_uri="https://connector.example/oauth/amo")
    secret = office.amo.oauth.client_secret
    found = claims(act(office, "oauth/disposable-token", user_id=MANAGER)["token"], secret)
    assert found["exp"] - found["iat"] == 1800
    assert (found["aud"], found["user_id"], found["is_admin"]) == (
        "https://connector.example",
        MANAGER,
        False,
    )
    bot = office.amo.oauth_hooks.disposable_token(ADMIN, {"entity_id": 1, "entity_type": "2", "bot_type": 1})
    assert claims(bot, secret, hashlib.sha512)["entity_id"] == 1
    assert office.client.post(f"{API}/oauth/disposable-token", json={"user_id": 5}).status_code == 400
