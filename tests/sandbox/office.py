"""A sandbox without its dialects: two portals with a short past, a mail box and the board over them."""

from __future__ import annotations

import functools
from datetime import date

from flask import Flask

from connector.sandbox.board import Board
from connector.sandbox.generate import generate
from connector.sandbox.history_load import Past, load, prepare
from connector.sandbox.mailbox import Mailbox
from connector.sandbox.state import Portal

TODAY = date(2026, 11, 24)


@functools.cache
def past() -> Past:
    """Two months, the same for all tests."""
    return prepare(generate(TODAY, days=60))


def portal(dialect: str) -> Portal:
    """A fresh portal with that past."""
    made = Portal(dialect, name=dialect, timezone="Europe/Moscow")  # type: ignore[arg-type]
    load(past(), made)
    return made


class Office:
    """The board's Flask application and what it stands on."""

    def __init__(self) -> None:
        self.portals = {name: portal(name) for name in ("amocrm", "bitrix24")}
        self.mailbox = Mailbox(base_url="http://127.0.0.1:1")
        self.webhooks: list[tuple[str, list[str]]] = []
        self.board = Board(
            self.portals,
            self.mailbox,
            add_bitrix_webhook=lambda url, events: self.webhooks.append((url, list(events))),
        )
        self.flask = Flask("office", static_folder=None)
        self.flask.register_blueprint(self.board.blueprint())
        self.flask.register_blueprint(self.mailbox.blueprint())

    def close(self) -> None:
        self.mailbox.stop()
