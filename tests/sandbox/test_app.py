"""The whole sandbox over HTTP: one port, both CRMs, the mail box, what it says of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.errors import ConfigError
from connector.sandbox.app import Sandbox, Secrets
from connector.sandbox.history_files import write_history
from tests.sandbox.office import past


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("history")
    write_history(past().history, folder)
    with Sandbox(history=folder) as made:
        yield made


def get(sandbox: Sandbox, path: str) -> Any:
    answer = requests.get(sandbox.base_url + path, timeout=5)
    assert answer.status_code == 200
    return answer.json()


def test_it_says_where_everything_is(sandbox: Sandbox) -> None:
    found = sandbox.describe()
    assert {key: set(value) if isinstance(value, dict) else value for key, value in found.items()} == {
        "amocrm": {"base_url", "token", "account_id"},
        "bitrix24": {"webhook_url", "oauth_token", "member_id", "application_token"},
        "oauth": {"amocrm", "bitrix24"},
        "yookassa": {"api_url", "shop_id", "secret_key"},
        "mail": {"smtp_host", "smtp_port", "inbox_url"},
        "board_url": f"{sandbox.base_url}/board",
    }
    assert json.loads(json.dumps(found)) == found
    assert requests.get(found["board_url"], timeout=5).status_code == 200
    assert requests.get(found["mail"]["inbox_url"], timeout=5).json() == []


def test_both_apis_answer_on_the_same_port(sandbox: Sandbox) -> None:
    amo, b24 = sandbox.describe()["amocrm"], sandbox.describe()["bitrix24"]
    account = requests.get(
        f"{amo['base_url']}/api/v4/account", headers={"Authorization": f"Bearer {amo['token']}"}, timeout=5
    )
    assert account.json()["id"] == amo["account_id"]
    profile = requests.post(f"{b24['webhook_url'].rstrip('/')}/profile", timeout=5)
    assert profile.json()["result"]["ID"] == "1"


def test_a_move_on_the_board_is_read_through_both_apis(sandbox: Sandbox) -> None:
    amo, b24 = sandbox.describe()["amocrm"], sandbox.describe()["bitrix24"]
    made = {
        crm: requests.post(
            f"{sandbox.base_url}/sandbox/api/{crm}/deals", json={"amount": 7}, timeout=5
        ).json()["id"]
        for crm in ("amocrm", "bitrix24")
    }
    for crm, stage in (("amocrm", "24"), ("bitrix24", "EXECUTING")):
        moved = requests.post(
            f"{sandbox.base_url}/sandbox/api/{crm}/deals/{made[crm]}/move", json={"stage": stage}, timeout=5
        )
        assert moved.status_code == 200
    lead = requests.get(
        f"{amo['base_url']}/api/v4/leads/{made['amocrm']}",
        headers={"Authorization": f"Bearer {amo['token']}"},
        timeout=5,
    ).json()
    assert lead["status_id"] == 24
    deal = requests.post(
        f"{b24['webhook_url'].rstrip('/')}/crm.deal.get", json={"id": made["bitrix24"]}, timeout=5
    ).json()["result"]
    assert deal["STAGE_ID"] == "EXECUTING"


def test_only_this_machine_is_served(sandbox: Sandbox) -> None:
    assert sandbox.base_url.startswith("http://127.0.0.1:")
    assert sandbox.mailbox.smtp_host == "127.0.0.1"


def test_faults_are_set_over_http(sandbox: Sandbox) -> None:
    url = f"{sandbox.base_url}/sandbox/api/faults"
    assert requests.patch(url, json={"delay_s": 0.5}, timeout=5).json()["delay_s"] == 0.5
    assert sandbox.faults.delay_s == 0.5
    requests.delete(url, timeout=5)


def test_secrets_differ_from_start_to_start_and_stay_out_of_sight() -> None:
    first, second = Secrets(), Secrets()
    assert first != second
    assert first.amocrm_token not in repr(first)
    assert first.oauth_token not in repr(first)


def test_a_stop_gives_the_port_back_and_time_can_be_given() -> None:
    then = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
    first = Sandbox(start_now=then).start()
    port = int(first.base_url.rpartition(":")[2])
    assert abs((first.portals["amocrm"].now() - then).total_seconds()) < 60
    assert max(row.at for row in first.portals["amocrm"].history) < then
    with requests.Session() as session:
        # A connection that is kept alive must not hold the port.
        session.get(first.base_url + "/sandbox/api/revision", timeout=5)
        first.stop()
    with Sandbox(port, start_now=then) as second:
        assert get(second, "/sandbox/api/revision")["mail"] == 0


def test_a_bad_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"account\.json"):
        Sandbox(history=tmp_path)


def test_the_command_prints_one_json_line_and_stops_on_a_signal() -> None:
    command = [sys.executable, "-m", "connector.sandbox", "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/board", found["board_url"])
        assert requests.get(found["board_url"], timeout=5).status_code == 200
        assert all(keys["client_id"] and keys["client_secret"] for keys in found["oauth"].values())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""


def test_orders_are_taken_as_curl_sends_them(sandbox: Sandbox) -> None:
    """`curl -d` says that it sends a form; the body is JSON all the same."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    orders = {
        "/sandbox/api/amocrm/oauth/configure": '{"redirect_uri": "https://example.ru/back"}',
        "/sandbox/bitrix24/app/register": '{"handler_url": "https://example.ru/page"}',
    }
    for path, body in orders.items():
        said = requests.post(sandbox.base_url + path, data=body, headers=form, timeout=5)
        assert said.status_code == 200, f"{path}: {said.text}"
    refused = requests.post(
        f"{sandbox.base_url}/sandbox/api/mail/refuse-next", '{"n": 0}', headers=form, timeout=5
    )
    assert refused.status_code == 400, "the number was not read"
