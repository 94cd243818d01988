"""What several commands need: the application from the settings, the account to work on, the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from connector.app import App
from connector.config import Config
from connector.store import facts

#: What a log record carries beside our own `extra`; everything else is ours and is shown.
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: Libraries whose details help nobody here; pytrovich's are people's names.
_CHATTY = (
    "alembic",
    "apscheduler",
    "fontTools",
    "PIL",
    "pytrovich",
    "urllib3",
    "waitress.queue",
    "weasyprint",
)


class LineFormatter(logging.Formatter):
    """One line a record: time, level, sentence, and our own `extra` as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        own = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return " ".join([text, *(f"{key}={value}" for key, value in own.items())])


def start_log(level: str) -> None:
    """Write the log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("apscheduler", "weasyprint", "fontTools", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # A burst of hooks waits its turn for milliseconds; that is no news.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


@contextmanager
def opened(*, connecting: bool = False, offline: bool = False) -> Iterator[App]:
    """The application from the environment, closed at the end. Raises ConfigError.

    connecting, offline: see `Config.from_env`.
    """
    config = Config.from_env(connecting=connecting, offline=offline)
    start_log(config.log_level)
    app = App(config)
    try:
        app.prepare(connecting=connecting)
        yield app
    finally:
        app.close()


def chosen_account(app: App, name: str | None, *, imported: bool = False) -> str:
    """The account called `name`, or the only one there is.

    imported: also those that history files fill; without a name a CRM's comes before them.
    """
    names = [account.name for account in app.config.accounts]
    if imported and (name is not None or not names):
        with app.db.read() as conn:
            names = list(dict.fromkeys([*names, *facts.account_names(conn)]))
    if name is None and len(names) == 1:
        return names[0]
    if name in names:
        return str(name)
    if not names:
        raise click.UsageError(
            "нет ни одного аккаунта: подключите CRM (connector connect) или загрузите историю"
        )
    asked = f"нет аккаунта «{name}»" if name else "аккаунтов несколько"
    raise click.UsageError(f"{asked}: назовите один из них в --account: {', '.join(names)}")


def local_time(app: App, account: str) -> ZoneInfo:
    """The account's time zone as its CRM told it."""
    with app.db.read() as conn:
        row = facts.account_row(conn, account)
    return ZoneInfo(row.timezone if row else "Europe/Moscow")


def stamp(moment: datetime | None, zone: ZoneInfo) -> str:
    """A moment for people, «ещё не было» when there was none."""
    return f"{moment.astimezone(zone):%d.%m.%Y %H:%M:%S}" if moment else "ещё не было"


account_option = click.option("--account", help="Имя аккаунта из ACCOUNT, если их несколько.")
