"""The whole sandbox in one process: two portals, their APIs, a mail box and a board, all on 127.0.0.1.

Only this module knows all parts of the sandbox. Secrets are made anew at every start unless they are given.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import secrets
import signal
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click
from flask import Flask, Response, request
from waitress.server import create_server

from connector.sandbox.admin import Admin
from connector.sandbox.amocrm import AmoCrm
from connector.sandbox.amocrm.tokens import long_lived_token
from connector.sandbox.bitrix24 import Bitrix24
from connector.sandbox.board import Board
from connector.sandbox.board_words import api_user_id
from connector.sandbox.faults import Faults
from connector.sandbox.garbage import no_garbage_collection
from connector.sandbox.generate import ZONE, generate
from connector.sandbox.history_files import Progress, read_history, silent
from connector.sandbox.history_load import Past, load, prepare
from connector.sandbox.journal import Journal
from connector.sandbox.kept import Parts
from connector.sandbox.mailbox import Mailbox
from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.options import USUAL_LATENCY_S
from connector.sandbox.state import Portal
from connector.sandbox.yookassa import YooKassaShop

#: More than `faults.MAX_HELD`, so that answers held back leave some for clearing the fault.
WEB_THREADS = 40

Dialect = Literal["amocrm", "bitrix24"]
_PORTAL_NAMES: dict[Dialect, str] = {"amocrm": "Песочница amoCRM", "bitrix24": "Песочница Битрикс24"}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything that opens the sandbox's doors, of the shapes that the real CRMs use."""

    amocrm_account_id: int = field(default_factory=lambda: 30_000_000 + secrets.randbelow(2_000_000))
    #: A long-lived token; one is made for the account when none is given.
    amocrm_token: str = field(default="", repr=False)
    webhook_secret: str = field(default_factory=lambda: secrets.token_hex(8), repr=False)
    oauth_token: str = field(default_factory=lambda: secrets.token_hex(35), repr=False)
    member_id: str = field(default_factory=lambda: secrets.token_hex(16))
    application_token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def __post_init__(self) -> None:
        if not self.amocrm_token:
            token = long_lived_token(self.amocrm_account_id, datetime.now(UTC))
            object.__setattr__(self, "amocrm_token", token)


class Sandbox:
    """Both CRMs with one past, ready to talk after `start`.

    port 0: any free one. history: a folder in the history format instead of the generated year. latency_s:
    how long each API answer takes. state: a folder in which everything outlives the process; what is kept
    there is used instead of the history. progress: hears what takes long. start_now: what the portals take
    for the present moment at start (aware); None = the machine's. Raises ConfigError for a bad folder,
    OSError for a taken port.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        history: Path | None = None,
        latency_s: float = 0.0,
        start_now: datetime | None = None,
        smtp_port: int = 0,
        keys: Secrets | None = None,
        state: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        keys = keys or Secrets()
        self.clock = MovingClock(start_now)
        self._journal = Journal(state) if state is not None else None
        with no_garbage_collection():
            self.portals = self._open_portals(history, start_now, progress)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.faults = Faults(clock=self.clock)
        self.faults.latency_s = latency_s
        self.mailbox = Mailbox(base_url=self.base_url, port=smtp_port)
        self.amocrm = AmoCrm(
            self.portals["amocrm"],
            base_url=self.base_url,
            token=keys.amocrm_token,
            account_id=keys.amocrm_account_id,
            faults=self.faults,
        )
        self.bitrix24 = Bitrix24(
            self.portals["bitrix24"],
            base_url=self.base_url,
            webhook_user_id=api_user_id(self.portals["bitrix24"]),
            webhook_secret=keys.webhook_secret,
            oauth_token=keys.oauth_token,
            member_id=keys.member_id,
            application_token=keys.application_token,
            faults=self.faults,
        )
        self.yookassa = YooKassaShop(self.base_url, self.clock, self.faults)
        self.board = Board(self.portals, self.mailbox, add_bitrix_webhook=self.bitrix24.add_outgoing_webhook)
        with no_garbage_collection():
            self._begin_journal(progress)
        self.flask = self._make_flask()
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def start(self) -> Sandbox:
        """Begin to answer; returns itself."""
        self.mailbox.start()
        self.amocrm.start()
        self.bitrix24.start()
        self.yookassa.start()
        self._server = create_server(
            self.flask,
            sockets=[self._socket],
            threads=WEB_THREADS,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="sandbox-web", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more and give the ports back."""
        if self._journal is not None:
            self._journal.close()
        self.amocrm.stop()
        self.bitrix24.stop()
        self.yookassa.stop()
        self.mailbox.stop()
        if self._server is not None and self._thread is not None:
            # The server's own loop must close its sockets: another thread would pull them from under it.
            # It may do so before the wake-up that was to tell it: then there is nobody left to wake.
            with contextlib.suppress(OSError):
                self._server.trigger.pull_trigger(self._close_server)
            self._thread.join(timeout=10)
            self._server.task_dispatcher.shutdown()
        self._socket.close()

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def describe(self) -> dict[str, Any]:
        """Addresses and secrets, as `connector sandbox --json` prints them: for keys, webhooks and OAuth."""
        return {
            "amocrm": _only(self.amocrm.endpoints(), "base_url", "token", "account_id"),
            "bitrix24": _only(
                self.bitrix24.endpoints(), "webhook_url", "oauth_token", "member_id", "application_token"
            ),
            "oauth": {
                "amocrm": _only(self.amocrm.endpoints(), "client_id", "client_secret"),
                "bitrix24": _only(self.bitrix24.endpoints(), "client_id", "client_secret"),
            },
            "yookassa": {
                "api_url": self.yookassa.api_url,
                "shop_id": self.yookassa.shop_id,
                "secret_key": self.yookassa.secret_key,
            },
            "mail": {
                "smtp_host": self.mailbox.smtp_host,
                "smtp_port": self.mailbox.smtp_port,
                "inbox_url": self.mailbox.inbox_url,
            },
            "board_url": f"{self.base_url}/board",
        }

    def add_link(self, title: str, url: str) -> None:
        """Show a link in the head of every page: the demo points at the connector's own pages."""
        self.board.links.append((title, url))

    def _make_flask(self) -> Flask:
        flask = Flask(__name__, static_folder=None)
        flask.json.ensure_ascii = False  # type: ignore[attr-defined]
        if self._journal is not None:
            flask.after_request(self._keep)
        for blueprint in (
            self.amocrm.blueprint(),
            self.bitrix24.blueprint(),
            Admin(self.faults, self.clock).blueprint(),
            self.mailbox.blueprint(),
            self.board.blueprint(),
            self.yookassa.blueprint(),
        ):
            flask.register_blueprint(blueprint)
        return flask

    def _open_portals(
        self, history: Path | None, start_now: datetime | None, progress: Progress
    ) -> dict[str, Portal]:
        """The portals with what they know: from the journal when it has something, else from the past."""
        portals: dict[str, Portal] = {
            name: Portal(name, name=title, timezone=ZONE, clock=self.clock)
            for name, title in _PORTAL_NAMES.items()
        }
        if self._journal is not None and not self._journal.is_new:
            progress("читаю сохранённое состояние", 0, 0)
            self._journal.restore(self._parts_of(portals))
            return portals
        past = _past(history, start_now, progress)
        for portal in portals.values():
            account = past.history.account
            portal.timezone, portal.currency = account.tz, account.currency
            progress(f"наполняю {portal.name}", 0, 0)
            load(past, portal)
        return portals

    def _parts_of(self, portals: Mapping[str, Portal], **more: Any) -> Parts:
        roots = {
            "clock": self.clock,
            **{f"portal.{name}": portal for name, portal in portals.items()},
            **more,
        }
        passing: list[Any] = [part for portal in portals.values() for part in (portal.index, portal.queries)]
        if more:
            site = self.bitrix24.site
            passing += [self.faults, self.amocrm.gate, site.bucket, site.operating, site.moves]
        return Parts(roots, passing=passing)

    def _begin_journal(self, progress: Progress) -> None:
        if self._journal is None:
            return
        parts = self._parts_of(self.portals, amocrm=self.amocrm, bitrix24=self.bitrix24)
        if self._journal.is_new:
            progress("записываю начальное состояние", 0, 0)
        else:
            self._journal.restore(parts, large_too_of=["amocrm", "bitrix24"])
        self._journal.begin(parts, self.portals.values(), self.clock)

    def _keep(self, response: Response) -> Response:
        """No answer leaves before what it acknowledges is written."""
        if self._journal is not None:
            self._journal.commit(force=request.path.startswith("/oauth"))
        return response

    def _close_server(self) -> None:
        for connection in list(self._server._map.values()):
            connection.close()


def main_loop(
    port: int,
    *,
    as_json: bool,
    history: Path | None = None,
    latency_s: float = USUAL_LATENCY_S,
    state: Path | None = None,
) -> None:
    """Run a sandbox until it is interrupted; prints one JSON line, or the addresses in words, when ready.

    What takes long is told on stderr.
    """
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    with no_garbage_collection():
        sandbox = Sandbox(port, history=history, latency_s=latency_s, state=state, progress=tell)
        # What was loaded stays: the search for garbage need not look through it again and again.
        gc.freeze()
    with sandbox:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        found = sandbox.describe()
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            click.echo(f"Доска:          {found['board_url']}")
            click.echo(f"Почтовый ящик:  {sandbox.base_url}/mail")
            if state is not None:
                click.echo(f"Состояние:      {state}, переживает перезапуск")
            click.echo("Ключи доступа печатает --json. Остановить: Ctrl+C.")
        over.wait()


def tell(what: str, done: int, total: int) -> None:
    """How far the loading of a long past is, one line a step, for a person."""
    share = f" из {total:,}" if total else ""
    count = f": {done:,}{share}".replace(",", " ") if done else ""
    click.echo(f"… {what}{count}", err=True)


def _only(found: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names}


def _past(folder: Path | None, start_now: datetime | None, progress: Progress) -> Past:
    if folder is not None:
        return prepare(read_history(folder, progress), use_up=True)
    return _generated((start_now or datetime.now(UTC)).astimezone(ZoneInfo(ZONE)).date())


@functools.lru_cache(maxsize=2)
def _generated(today: date) -> Past:
    return prepare(generate(today))
