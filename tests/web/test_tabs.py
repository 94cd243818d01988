"""A tab of ours in a deal of the CRM: who is shown the story, and what is not on that page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from connector.app import App
from connector.clock import FixedClock
from connector.config import Config
from connector.web.tabs import tab_path

ROOT = Path(__file__).resolve().parents[2]
SECRET = "0123456789abcdef"
TOKEN = "c0ffee00c0ffee00"
OPENED = {
    "AUTH_ID": "demo-access-token",
    "REFRESH_ID": "demo-refresh-token",
    "APPLICATION_TOKEN": TOKEN,
    "member_id": "d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4",
    "PLACEMENT": "CRM_DEAL_DETAIL_TAB",
    "PLACEMENT_OPTIONS": json.dumps({"ID": "1042"}),
}


@pytest.fixture
def app(database_url: str, clock: FixedClock) -> Iterator[App]:
    config = Config.from_env(
        {
            "ACCOUNT": "amo,b24",
            "AMO__CRM": "amocrm",
            "AMO__CRM_URL": "https://example.amocrm.example",
            "AMO__CRM_TOKEN": "long-lived",
            "B24__CRM": "bitrix24",
            "B24__CRM_URL": "https://portal.example/rest/1/code/",
            "B24__APPLICATION_TOKEN": TOKEN,
            "HOOK_SECRET": SECRET,
            "ADMIN_PASSWORD": "a-password-of-ours",
            "DATABASE_URL": database_url,
            "TEMPLATES_DIR": str(ROOT / "templates"),
        }
    )
    app = App(config, clock)
    app.prepare()
    yield app
    app.close()


@pytest.fixture
def client(app: App) -> FlaskClient:
    return app.web().test_client()


@pytest.fixture
def path(app: App) -> str:
    return tab_path(app.config.account("b24"))


def test_the_portal_is_shown_the_story_without_our_password(client: FlaskClient, path: str) -> None:
    answer = client.post(f"{path}?DOMAIN=portal.example&LANG=ru", data=OPENED)
    assert answer.status_code == 200
    page = answer.get_data(as_text=True)
    assert "Сделка 1042" in page
    # Nothing there that leads behind the password, and no reload of what came by POST.
    assert "<form" not in page
    assert 'http-equiv="refresh"' not in page
    assert "frame-ancestors https://portal.example" in answer.headers["Content-Security-Policy"]
    for secret in (TOKEN, SECRET, "demo-access-token", "code"):
        assert secret not in page + answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("token", ["", "wrong", "c0ffee00c0ffee0"])
def test_who_has_not_the_applications_token_sees_nothing(client: FlaskClient, path: str, token: str) -> None:
    answer = client.post(path, data={**OPENED, "APPLICATION_TOKEN": token})
    assert answer.status_code == 403
    assert "1042" not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "path",
    [
        f"/tabs/bitrix24/b24/{SECRET}x",
        f"/tabs/bitrix24/other/{SECRET}",
        f"/tabs/amocrm/amo/{SECRET}",
        "/tabs/x/y/z",
    ],
)
def test_a_wrong_address_is_refused(client: FlaskClient, path: str) -> None:
    assert client.post(path, data=OPENED).status_code == 403


def test_a_body_that_is_no_opened_tab_is_refused(client: FlaskClient, path: str) -> None:
    assert client.post(path, data={**OPENED, "PLACEMENT_OPTIONS": "{"}).status_code == 400
    assert client.post(path, data={**OPENED, "x": "y" * 70_000}).status_code == 413
    assert client.get(path).status_code == 405
