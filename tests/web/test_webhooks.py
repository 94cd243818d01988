"""The receiver: who is let in, what is answered, and that nothing else happens there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from connector.app import App
from connector.clock import FixedClock
from connector.config import Config
from connector.store import inbox
from connector.store.schema import inbox as inbox_table
from connector.store.schema import jobs

ROOT = Path(__file__).resolve().parents[2]
SECRET = "0123456789abcdef"
TOKEN = "c0ffee00c0ffee00"
FORM = "application/x-www-form-urlencoded"

AMO = {
    "account[subdomain]": "example",
    "account[id]": "30000001",
    "leads[status][0][id]": "17",
    "leads[status][0][status_id]": "142",
    "leads[status][0][pipeline_id]": "7",
    "leads[status][0][old_status_id]": "140",
    "leads[status][0][last_modified]": "1795500000",
}
BITRIX = {
    "event": "ONCRMDEALUPDATE",
    "data[FIELDS][ID]": "17",
    "ts": "1795500000",
    "auth[domain]": "portal.example",
    "auth[member_id]": "d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4",
    "auth[application_token]": TOKEN,
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


def stored(app: App) -> list[tuple[str, str, str, int]]:
    with app.db.read() as conn:
        rows = conn.execute(select(inbox_table).order_by(inbox_table.c.id)).all()
    return [(row.account, row.kind, row.status, row.deliveries) for row in rows]


def job_count(app: App) -> int:
    with app.db.read() as conn:
        return conn.execute(select(func.count()).select_from(jobs)).scalar_one()


def refused(app: App, clock: FixedClock) -> list[tuple[str, str, int]]:
    with app.db.read() as conn:
        return inbox.refused(conn, clock.now().date())


@pytest.mark.parametrize(
    ("crm", "account", "body", "kind"),
    [("amocrm", "amo", AMO, "deal.stage_changed"), ("bitrix24", "b24", BITRIX, "deal.changed")],
)
def test_hook_is_stored_with_its_job_and_answered(
    app: App, client: FlaskClient, crm: str, account: str, body: dict[str, str], kind: str
) -> None:
    answer = client.post(f"/hooks/{crm}/{account}/{SECRET}", data=urlencode(body), content_type=FORM)
    assert (answer.status_code, answer.data) == (200, b"")
    assert stored(app) == [(account, kind, "new", 1)]
    assert job_count(app) == 1


def test_repeated_hook_is_one_row_that_counts(app: App, client: FlaskClient) -> None:
    for _ in range(3):
        client.post(f"/hooks/amocrm/amo/{SECRET}", data=urlencode(AMO), content_type=FORM)
    assert stored(app) == [("amo", "deal.stage_changed", "new", 3)]


@pytest.mark.parametrize(
    "path",
    [
        "/hooks/amocrm/amo/wrong-secret-0000",
        f"/hooks/bitrix24/amo/{SECRET}",
        f"/hooks/amocrm/nobody/{SECRET}",
        "/hooks/amocrm/amo/секрет",
    ],
)
def test_wrong_secret_or_address_is_403_and_leaves_nothing_but_a_count(
    app: App, client: FlaskClient, clock: FixedClock, path: str
) -> None:
    assert client.post(path, data=urlencode(AMO), content_type=FORM).status_code == 403
    assert stored(app) == []
    assert [reason for _, reason, _ in refused(app, clock)] == ["wrong secret"]


def test_wrong_application_token_is_403(app: App, client: FlaskClient) -> None:
    body = {**BITRIX, "auth[application_token]": "0" * 16}
    answer = client.post(f"/hooks/bitrix24/b24/{SECRET}", data=urlencode(body), content_type=FORM)
    assert answer.status_code == 403
    assert stored(app) == []


def test_body_of_no_crm_is_400_and_counted(app: App, client: FlaskClient, clock: FixedClock) -> None:
    for body, content_type in (
        (b"hello", FORM),
        (b'{"a": 1}', "application/json"),
        (b"", FORM),
        (b"\xff\xfe", FORM),
    ):
        answer = client.post(f"/hooks/amocrm/amo/{SECRET}", data=body, content_type=content_type)
        assert answer.status_code == 400, body
    assert stored(app) == []
    assert refused(app, clock) == [("amo", "not a CRM's body", 4)]


def test_known_event_that_nothing_uses_is_200_and_recorded_as_ignored(app: App, client: FlaskClient) -> None:
    body = {
        "account[subdomain]": "example",
        "account[id]": "30000001",
        "customers[add][0][id]": "5",
        "customers[add][0][name]": "Покупатель",
    }
    answer = client.post(f"/hooks/amocrm/amo/{SECRET}", data=urlencode(body), content_type=FORM)
    assert answer.status_code == 200
    assert [(kind, status) for _, kind, status, _ in stored(app)] == [("other", "ignored")]
    assert job_count(app) == 0


def test_tokens_of_the_body_are_not_stored(app: App, client: FlaskClient) -> None:
    body = {**BITRIX, "auth[access_token]": "sesame-access", "auth[refresh_token]": "sesame-refresh"}
    client.post(f"/hooks/bitrix24/b24/{SECRET}", data=urlencode(body), content_type=FORM)
    with app.db.read() as conn:
        payload = str(conn.execute(select(inbox_table.c.payload)).scalar_one())
    assert "ONCRMDEALUPDATE" in payload or "17" in payload
    for secret in ("sesame-access", "sesame-refresh", TOKEN):
        assert secret not in payload


def test_huge_body_is_413_and_read_no_further(app: App, client: FlaskClient) -> None:
    body = urlencode({**AMO, "leads[status][0][name]": "я" * 1_000_000})
    answer = client.post(f"/hooks/amocrm/amo/{SECRET}", data=body, content_type=FORM)
    assert answer.status_code == 413
    assert stored(app) == []


def test_hook_of_another_crm_account_is_403(app: App, client: FlaskClient) -> None:
    from connector.domain import AccountInfo
    from connector.store import facts

    info = AccountInfo("30000002", "Другой", "Europe/Moscow", "RUB", "1", "Админ", True)
    with app.db.begin() as conn:
        facts.save_account_info(conn, "amo", info)
    answer = client.post(f"/hooks/amocrm/amo/{SECRET}", data=urlencode(AMO), content_type=FORM)
    assert answer.status_code == 403
    assert stored(app) == []


def test_pages_without_a_password_open_on_this_machine_only(app: App, client: FlaskClient) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/", environ_base={"REMOTE_ADDR": "203.0.113.5"}).status_code == 403
    assert client.get("/", headers={"X-Forwarded-For": "203.0.113.5"}).status_code == 403
    assert client.get("/health", environ_base={"REMOTE_ADDR": "203.0.113.5"}).status_code == 200
    assert client.get("/favicon.ico", environ_base={"REMOTE_ADDR": "203.0.113.5"}).mimetype == "image/svg+xml"
