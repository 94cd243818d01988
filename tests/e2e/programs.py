"""The connector as processes of its own, one a role, connected to a sandbox: to be stopped and killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import requests
from sqlalchemy import func, select

from connector.app import App
from connector.config import Config, CrmName
from connector.demo import BITRIX24_EVENTS
from connector.sandbox.app import Sandbox
from connector.store.schema import outbox
from connector.web.webhooks import hook_path
from tests.conftest import SETTINGS
from tests.e2e.office import Office
from tests.e2e.unlimited import NoLimit

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
HOOK_SECRET = "0123456789abcdefghij"

T = TypeVar("T")

#: Long enough for a busy machine; a passing test never waits for it.
PATIENCE_S = 60.0


class Program:
    """One child process. What it prints is kept in files, so that it never waits for a reader."""

    def __init__(
        self, command: Sequence[str], env: dict[str, str], folder: Path, *, cwd: Path | None = None
    ) -> None:
        number = len(list(folder.glob("*.out")))
        self._out, self._err = folder / f"{number:02}.out", folder / f"{number:02}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(command, cwd=cwd or folder, env=env, stdout=out, stderr=err)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def stdout(self) -> str:
        return self._out.read_text("utf-8")

    @property
    def stderr(self) -> str:
        return self._err.read_text("utf-8")

    def children(self) -> list[int]:
        """Process ids of what it started, where the system tells."""
        tasks = Path(f"/proc/{self.pid}/task")
        return [int(child) for file in tasks.glob("*/children") for child in file.read_text().split()]

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> int:
        """Ask it to end and wait; its exit code."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def stop_by_itself(self) -> int:
        """Wait for its own end; its exit code."""
        return self._process.wait(PATIENCE_S)

    def wait_for(self, question: Callable[[], T], what: str) -> T:
        """The first true answer; fails when the program ends before."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if answer := question():
                return answer
            assert self.is_running, self.stderr
            time.sleep(0.05)
        raise AssertionError(f"not seen in {PATIENCE_S:.0f} s: {what}; {self.stderr}")

    def close(self) -> None:
        if self.is_running:
            self.kill()


class Installation:
    """An account for each CRM of `sandbox` on one store, and `app` to look into it. Use as a context manager.

    No role runs until it is started; the web role's address is known before.
    """

    def __init__(
        self, sandbox: Sandbox, database_url: str, folder: Path, *, templates: Path = TEMPLATES
    ) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.offices: dict[CrmName, Office] = {
            "amocrm": Office(sandbox, "amocrm"),
            "bitrix24": Office(sandbox, "bitrix24"),
        }
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "ACCOUNT": ",".join(self.offices),
            **{
                f"{crm.upper()}__{name}": value
                for crm in self.offices
                for name, value in crm_settings(sandbox, crm).items()
            },
            "DATABASE_URL": database_url,
            "TEMPLATES_DIR": str(templates),
            "BASE_URL": self.base_url,
            "WEB_PORT": str(self.port),
            **mail_settings(sandbox),
            "LOG_LEVEL": "INFO",
        }
        self._stack = ExitStack()

    def __enter__(self) -> Installation:
        self.app = App(Config.from_env(self.settings), limiter=NoLimit())
        self._stack.callback(self.app.close)
        self.app.prepare()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self, role: str) -> Program:
        """One more process of that role."""
        program = Program(
            [sys.executable, "-m", "tests.e2e.unlimited", role], child_env(self.settings), self.folder
        )
        self._stack.callback(program.close)
        return program

    def start_web(self, role: str = "web") -> Program:
        """The receiver (or all roles in one: `serve`), ready and known to both CRMs."""
        web = self.start(role)
        self.wait_for(lambda: answers(f"{self.base_url}/health"), "the web role")
        for account in self.app.config.accounts:
            self.app.directories.refresh(account.name)
            address = self.base_url + hook_path(account)
            if account.crm == "bitrix24":
                self.sandbox.bitrix24.add_outgoing_webhook(address, BITRIX24_EVENTS)
            else:
                self.app.clients[account.name].subscribe(address)
        return web

    def effects_done(self) -> int:
        """How many effects are done: the measure of progress."""
        with self.app.db.read() as conn:
            done = select(func.count()).select_from(outbox).where(outbox.c.status == "done")
            return int(conn.execute(done).scalar_one())

    def wait_for(self, question: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
        """The first true answer; fails, saying what was waited for and where the work stands."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if answer := question():
                return answer
            time.sleep(0.02)
        raise AssertionError(f"not seen in {patience_s:.0f} s: {what}; {self.app.queue.counts()}")

    def settle(self) -> None:
        """Wait until nothing is left to do for a while: hooks of the last effects come a little later."""
        quiet_since = time.monotonic()

        def is_quiet() -> bool:
            nonlocal quiet_since
            counts = self.app.queue.counts()
            if counts.ready or counts.running:
                quiet_since = time.monotonic()
            return time.monotonic() - quiet_since > 1.0

        self.wait_for(is_quiet, "quiet")


def crm_settings(sandbox: Sandbox, crm: CrmName) -> dict[str, str]:
    """The settings of one account of `sandbox`."""
    door = sandbox.describe()[crm]
    return {
        "CRM": crm,
        "CRM_URL": door["base_url"] if crm == "amocrm" else door["webhook_url"],
        "CRM_TOKEN": door.get("token", ""),
        "APPLICATION_TOKEN": door.get("application_token", ""),
        "HOOK_SECRET": HOOK_SECRET,
    }


def mail_settings(sandbox: Sandbox) -> dict[str, str]:
    mail = sandbox.describe()["mail"]
    return {
        "SMTP_HOST": mail["smtp_host"],
        "SMTP_PORT": str(mail["smtp_port"]),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Отдел продаж <sales@example.ru>",
    }


def child_env(settings: dict[str, str]) -> dict[str, str]:
    """The environment of a child process: ours, without the settings of the person who runs the tests."""
    ours = re.compile(rf"([A-Z0-9_]+__)?({'|'.join(SETTINGS)})")
    inherited = {name: value for name, value in os.environ.items() if not ours.fullmatch(name)}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **settings}


def kit_with_daily_reports(folder: Path) -> Path:
    """A copy of our kit whose reports go out on every day, so that tests pass on weekends too."""
    kit = folder / "kit"
    shutil.copytree(TEMPLATES, kit)
    for line in ("on: working_days", "on: monday"):
        file = kit / "playbook" / "90-reports.yml"
        text = file.read_text("utf-8")
        assert line in text
        file.write_text(text.replace(line, "on: daily"), "utf-8")
    return kit


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def is_alive(pid: int) -> bool:
    """Whether that process still runs; one that ended and was not waited for does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
