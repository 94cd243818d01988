"""The program as the system starts and stops it: as a module and a script, on a free and a taken port."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
import requests

from connector.config import CrmName
from connector.sandbox.app import Sandbox
from tests.e2e.programs import (
    HOOK_SECRET,
    Program,
    answers,
    child_env,
    crm_settings,
    free_port,
    mail_settings,
)
from tests.e2e.stand import TEMPLATES

SCRIPT = Path(sys.executable).with_name("connector")
MODULE = [sys.executable, "-m", "connector"]


def test_module_is_the_same_as_the_script(tmp_path: Path) -> None:
    if not SCRIPT.exists():
        pytest.skip("the package is not installed: there is no script to compare with")
    module, script = (
        Program([*start, "--help"], child_env({}), tmp_path) for start in (MODULE, [str(SCRIPT)])
    )
    assert (module.stop_by_itself(), script.stop_by_itself()) == (0, 0)
    said = [program.stdout.partition("\n")[2] for program in (module, script)]
    assert said[0] == said[1]
    assert all(command in said[0] for command in ("serve", "check", "connect", "dead-letters", "demo"))


def test_serve_answers_hooks_stops_when_told_and_shows_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    port = free_port()
    accounts: dict[str, CrmName] = {"alpha": "amocrm", "beta": "bitrix24"}
    env = {
        "ACCOUNT": ",".join(accounts),
        **{
            f"{name.upper()}__{key}": value
            for name, crm in accounts.items()
            for key, value in crm_settings(sandbox, crm).items()
        },
        **mail_settings(sandbox),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'connector.db'}",
        "TEMPLATES_DIR": str(TEMPLATES),
        "WEB_PORT": str(port),
        "LOG_LEVEL": "DEBUG",
    }
    serve = Program([*MODULE, "serve"], child_env(env), tmp_path)
    try:
        base = f"http://127.0.0.1:{port}"
        serve.wait_for(lambda: answers(f"{base}/health"), "serve")
        wrong = requests.post(f"{base}/hooks/amocrm/alpha/{'x' * 20}", data={"a": "b"}, timeout=10)
        noise = requests.post(f"{base}/hooks/amocrm/alpha/{HOOK_SECRET}", data={"a": "b"}, timeout=10)
        assert (wrong.status_code, noise.status_code) == (403, 400)

        second = Program([*MODULE, "serve"], child_env(env), tmp_path)
        assert second.stop_by_itself() == 1
        assert f"127.0.0.1:{port}" in second.stderr
        assert "WEB_PORT" in second.stderr
        assert serve.stop() == 0
    finally:
        serve.close()
    printed = serve.stdout + serve.stderr + second.stdout + second.stderr
    assert "Traceback" not in printed
    assert " DEBUG " in printed
    webhook_code = env["BETA__CRM_URL"].rstrip("/").rpartition("/")[2]
    for secret in (env["ALPHA__CRM_TOKEN"], env["BETA__APPLICATION_TOKEN"], webhook_code, HOOK_SECRET):
        assert secret not in printed


@pytest.mark.parametrize("command", ["demo", "sandbox"])
def test_taken_port_of_the_board_is_a_sentence(command: str, past: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [command, "--port", port, "--json", "--history", str(past)]
        program = Program([*MODULE, *words], child_env({}), tmp_path, cwd=TEMPLATES.parent)
        assert program.stop_by_itself() == 1
    assert port in program.stderr
    assert "Traceback" not in program.stderr
