"""A sandbox CRM and a connector that is connected to it over HTTP and SMTP, for tests of the whole way."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from sqlalchemy import func, select

from connector.app import App
from connector.commands.roles import Running
from connector.config import AccountConfig, Config, CrmName, MailConfig, PaymentConfig
from connector.demo import BITRIX24_EVENTS
from connector.explain import as_lines, tell
from connector.sandbox.app import Sandbox
from connector.store.schema import jobs
from connector.web.payments import notice_path
from connector.web.server import WebServer
from connector.web.webhooks import hook_path
from tests.e2e.office import Office
from tests.e2e.unlimited import NoLimit

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "templates"
HOOK_SECRET = "0123456789abcdefghij"

T = TypeVar("T")

#: A comparison that leaves nothing to hooks that may be on their way: the test knows that there are none.
NO_GRACE = timedelta(0)

#: Long enough for a busy machine; a passing test never waits for it.
PATIENCE_S = 25.0


class Stand(Office):
    """One account of one CRM, its sandbox and its connector. Use as a context manager."""

    def __init__(
        self,
        sandbox: Sandbox,
        crm: CrmName,
        database_url: str,
        *,
        worker: bool = True,
        templates: Path = TEMPLATES,
    ) -> None:
        super().__init__(sandbox, crm)
        self._stack = ExitStack()
        self._worker = worker
        self._server = WebServer("127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.port}"
        doors = sandbox.describe()
        door = doors[crm]
        settings = AccountConfig(
            name="main",
            crm=crm,
            url=(door["base_url"] if crm == "amocrm" else door["webhook_url"]).rstrip("/"),
            token=door.get("token", ""),
            hook_secret=HOOK_SECRET,
            application_token=door.get("application_token", ""),
            payment=PaymentConfig(
                "yookassa",
                doors["yookassa"]["shop_id"],
                doors["yookassa"]["secret_key"],
                doors["yookassa"]["api_url"],
            ),
        )
        self.config = Config(
            accounts=(settings,),
            database_url=database_url,
            templates_dir=templates,
            base_url=self.base_url,
            mail=MailConfig(
                doors["mail"]["smtp_host"], doors["mail"]["smtp_port"], "sales@example.ru", security="none"
            ),
            web_host="127.0.0.1",
            web_port=self._server.port,
            worker_threads=4,
            render_workers=1,
            admin_password="",
            log_level="WARNING",
            figures_dir=Path(self._stack.enter_context(TemporaryDirectory())),
        )
        self.app = App(self.config, limiter=NoLimit())
        self.notice_url = self.base_url + notice_path(settings)
        self.hook_url = self.base_url + hook_path(settings)

    def __enter__(self) -> Stand:
        self._stack.callback(self.app.close)
        self.app.prepare()
        self._stack.enter_context(
            Running(self.app, server=self._server, worker=self._worker, scheduler=False)
        )
        self.app.directories.refresh("main")
        shop = self.sandbox.yookassa
        shop.notify_urls.append(self.notice_url)
        self._stack.callback(shop.notify_urls.remove, self.notice_url)
        if self.crm == "bitrix24":
            self.sandbox.bitrix24.add_outgoing_webhook(self.hook_url, BITRIX24_EVENTS)
        else:
            self.app.clients["main"].subscribe(self.hook_url)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def story(self, deal_id: int) -> str:
        """What `connector why` says of the deal."""
        told = tell(self.app.db, "main", str(deal_id))
        return "\n".join(as_lines(told, lambda moment: moment, self.app.effects.describe))

    # Waiting

    def wait_for(self, question: Callable[[], T], what: str) -> T:
        """The first true answer; fails, saying what was waited for and where the work stands."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            answer = question()
            if answer:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"not seen in {PATIENCE_S:.0f} s: {what}; {self.app.status()}")

    def settle(self) -> None:
        """Wait until no job is due or running for a while: hooks of the last effects come a little later.

        Much work on a busy machine may take long; what fails is work that gets nowhere.
        """
        quiet = 0
        done = -1
        deadline = time.monotonic() + PATIENCE_S
        while quiet <= 10:
            counts = self.app.queue.counts("main")
            quiet = quiet + 1 if counts.due == 0 and counts.running == 0 else 0
            if (finished := self._finished()) > done:
                done, deadline = finished, time.monotonic() + PATIENCE_S
            if time.monotonic() > deadline:
                raise AssertionError(f"no work done for {PATIENCE_S:.0f} s; {self.app.status()}")
            time.sleep(0.05)

    def _finished(self) -> int:
        with self.app.db.read() as conn:
            over = select(func.count()).select_from(jobs).where(jobs.c.finished_at.is_not(None))
            return conn.execute(over).scalar_one()
