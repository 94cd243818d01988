"""Tells idle workers that there is work: at once in this process, by NOTIFY in others on PostgreSQL.

Only a hint. Whoever waits also looks by itself every `poll`, so a lost hint costs that much and no more.
Never notifies inside a transaction of the facts: PostgreSQL takes one lock for the whole server at the
commit of each transaction that does, which cut enqueues to a third when measured.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from connector.store.database import Database

log = logging.getLogger(__name__)

CHANNEL = "connector_jobs"
#: At most one NOTIFY in this time, however many jobs are enqueued.
COALESCE_S = 0.02
RECONNECT_S = 1.0
#: How long the listener blocks before it looks whether it should end.
LISTEN_S = 0.25

POLL_POSTGRESQL = timedelta(seconds=1)
#: SQLite has no channel between processes: `connector requeue` in a second one is seen by looking.
POLL_SQLITE = timedelta(seconds=0.2)


class WakeUp:
    """A counter of hints that can be waited for. Threads start at first use, thereby after a fork."""

    def __init__(self, db: Database, poll: timedelta | None = None) -> None:
        self._db = db
        self.poll = poll or (POLL_POSTGRESQL if db.dialect == "postgresql" else POLL_SQLITE)
        self._changed = threading.Condition()
        self._hints = 0
        self._to_send = False
        self._closed = False
        self._threads: dict[str, threading.Thread] = {}

    @property
    def hints(self) -> int:
        """How many hints there were so far; read it before looking for work, and hand it to `wait`."""
        return self._hints

    def notify(self) -> None:
        """There is new work: wake this process now and the others soon. Returns at once."""
        with self._changed:
            self._to_send = self._db.dialect == "postgresql"
        if self._to_send:
            self._ensure("wakeup-notify", self._send)
        self.kick()

    def kick(self) -> None:
        """Wake this process only."""
        with self._changed:
            self._hints += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout: timedelta | None = None) -> bool:
        """Whether a hint came after the first `seen` ones; waits for it at most `timeout`, or `poll`."""
        if self._db.dialect == "postgresql":
            self._ensure("wakeup-listen", self._listen)
        with self._changed:
            return self._changed.wait_for(
                lambda: self._hints > seen or self._closed, (timeout or self.poll).total_seconds()
            )

    def close(self) -> None:
        """End the threads and let everybody who waits go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(timeout=RECONNECT_S + 2 * LISTEN_S)

    def _ensure(self, name: str, target: Any) -> None:
        with self._changed:
            if name in self._threads or self._closed:
                return
            thread = threading.Thread(target=self._keep, args=(target,), name=name, daemon=True)
            self._threads[name] = thread
            thread.start()

    def _keep(self, work: Any) -> None:
        while not self._closed:
            try:
                with self._db.autocommit() as conn:
                    work(conn.connection.dbapi_connection)
            except (SQLAlchemyError, psycopg.Error, OSError) as error:
                self._complain(error)

    def _complain(self, error: BaseException) -> None:
        if self._closed:
            return
        log.info(
            "wake-up channel lost (%s); workers look by themselves every %.1f s until it is back",
            type(error).__name__,
            self.poll.total_seconds(),
            extra={"action": "wakeup_lost"},
        )
        time.sleep(RECONNECT_S)

    def _send(self, connection: Any) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._to_send or self._closed)
                if self._closed and not self._to_send:
                    return
                self._to_send = False
            connection.execute(f"NOTIFY {CHANNEL}")
            time.sleep(COALESCE_S)

    def _listen(self, connection: Any) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        # What was enqueued before the channel was open has to be looked for.
        self.kick()
        while not self._closed:
            for _ in connection.notifies(timeout=LISTEN_S, stop_after=1):
                self.kick()
