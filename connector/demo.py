"""The demonstration: a sandbox of both CRMs and a connector that is connected to them, over HTTP and SMTP.

Nothing goes past the real seams: the sandbox calls the hooks, the connector reads and writes through the
APIs, letters go through an SMTP server. All of it lives in a temporary folder and is gone at the end.
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from connector.app import App
from connector.commands.roles import Running
from connector.config import AccountConfig, Config, CrmName, MailConfig, PaymentConfig
from connector.crm.bitrix24.subscription import EVENTS
from connector.sandbox.app import Sandbox
from connector.sandbox.options import USUAL_LATENCY_S
from connector.web.server import WebServer
from connector.web.webhooks import hook_path

#: What a person ticks in the form of an outgoing webhook.
BITRIX24_EVENTS = tuple(EVENTS)


class Demo:
    """Sandbox and connector in one process, as a context manager. port: the board's, 0 = any free one."""

    def __init__(
        self,
        port: int,
        templates_dir: Path,
        *,
        history: Path | None = None,
        latency_s: float = USUAL_LATENCY_S,
    ) -> None:
        self._stack = ExitStack()
        self._port = port
        self._templates_dir = templates_dir
        self._history = history
        self._latency_s = latency_s

    def __enter__(self) -> Demo:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connector-demo-")))
            self.sandbox = Sandbox(self._port, history=self._history, latency_s=self._latency_s)
            stack.enter_context(self.sandbox)
            server = WebServer("127.0.0.1", 0)
            self.base_url = f"http://127.0.0.1:{server.port}"
            self.config = self._settings(folder, server.port)
            self.app = App(self.config)
            stack.callback(self.app.close)
            self.app.prepare()
            self.app.playbook  # noqa: B018 - a mistake in the kit is said before anything starts
            stack.enter_context(Running(self.app, server=server, worker=True, scheduler=True))
            self._connect()
            self._stack = stack.pop_all()
        self.sandbox.add_link("Коннектор", self.base_url)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read_history(self) -> None:
        """Read each CRM's past in the background: reports need it, deals that move do not."""
        for account in self.config.accounts:
            threading.Thread(
                target=self.app.backfill.run,
                args=(account.name,),
                name=f"history-{account.name}",
                daemon=True,
            ).start()

    def describe(self) -> dict[str, Any]:
        """Addresses and secrets, as `connector demo --json` prints them."""
        hooks = {account.crm: self.base_url + hook_path(account) for account in self.config.accounts}
        return {**self.sandbox.describe(), "connector": {"base_url": self.base_url, "hooks": hooks}}

    def _settings(self, folder: Path, port: int) -> Config:
        doors = self.sandbox.describe()
        amocrm, bitrix24, shop = doors["amocrm"], doors["bitrix24"], doors["yookassa"]
        payment = PaymentConfig("yookassa", shop["shop_id"], shop["secret_key"], shop["api_url"])
        accounts = (
            _account("demo-amocrm", "amocrm", amocrm["base_url"], payment, token=amocrm["token"]),
            _account(
                "demo-bitrix24",
                "bitrix24",
                bitrix24["webhook_url"],
                payment,
                application_token=bitrix24["application_token"],
            ),
        )
        return Config(
            accounts=accounts,
            database_url=f"sqlite:///{folder / 'connector.db'}",
            figures_dir=folder / "figures",
            templates_dir=self._templates_dir,
            base_url=self.base_url,
            mail=MailConfig(
                host=doors["mail"]["smtp_host"],
                port=doors["mail"]["smtp_port"],
                sender="Отдел продаж <sales@severny-veter.example>",
                security="none",
            ),
            web_host="127.0.0.1",
            web_port=port,
            worker_threads=4,
            render_workers=1,
            admin_password="",
            log_level="WARNING",
        )

    def _connect(self) -> None:
        for account in self.config.accounts:
            self.app.directories.refresh(account.name)
            address = self.base_url + hook_path(account)
            # One shop for both accounts; each asks about its own payments and lets the others be.
            self.sandbox.yookassa.notify_urls.append(self.app.notice_address(account.name))
            if account.crm == "bitrix24":
                # By hand in the portal's form (docs/install.md): an inbound webhook may not subscribe.
                self.sandbox.bitrix24.add_outgoing_webhook(address, BITRIX24_EVENTS)
            else:
                self.app.clients[account.name].subscribe(address)


def _account(
    name: str,
    crm: CrmName,
    url: str,
    payment: PaymentConfig,
    *,
    token: str = "",
    application_token: str = "",
) -> AccountConfig:
    return AccountConfig(
        name,
        crm,
        url.rstrip("/"),
        token,
        secrets.token_urlsafe(24),
        application_token,
        payment=payment,
    )
