"""The sandbox's state in a folder: an SQLite file with the first state and every change since.

`commit` is called before an answer leaves, so that what was acknowledged outlives `kill -9`; a power cut may
take the last moments, as the file is not synced to the disk at each answer. Large tables are written entry by
entry, the rest as one small blob a part when it differs. Knows no dialect: `kept` finds the state.
"""

from __future__ import annotations

import pickle
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from connector.errors import ConfigError, Problem
from connector.sandbox.kept import Parts
from connector.sandbox.moving_clock import MovingClock
from connector.sandbox.state import Portal
from connector.sandbox.table import Log, Table, Tracked

FILE = "sandbox.db"
#: Grows when a file of an older sandbox cannot be read any more.
FORMAT = 2
#: Entries of a large table in one blob of the first state.
CHUNK = 2000
#: How often changes that no request waits for (retries of webhooks) are written, seconds.
FLUSH_S = 1.0
#: Parts change under other threads' hands while they are looked through; then they are looked through again.
_ATTEMPTS = 20

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS base (
    name TEXT, number INTEGER, blob INTEGER NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses ON base (blob);
CREATE TABLE IF NOT EXISTS changes (
    name TEXT, key TEXT, entry BLOB NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
"""


class Journal:
    """One folder. Raises ConfigError for a file that is damaged, foreign, newer, or in use."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.Lock()
        self._parts = Parts({})
        self._portals: list[Portal] = []
        self._clock: MovingClock | None = None
        self._seen: dict[str, object] = {}
        self._frozen: dict[str, bytes] = {}
        self._lengths: dict[str, int] = {}
        #: Blobs read that another table will ask for too.
        self._shared: dict[int, list[tuple[Any, Any]]] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=0.5)
            self._db.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;" + _SCHEMA)
            self._db.execute("PRAGMA synchronous=NORMAL")
            row = self._db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        except (OSError, sqlite3.Error) as error:
            raise self._problem(error) from error
        self.is_new = row is None
        if row is not None and row[0] != str(FORMAT):
            text = f"формат состояния {row[0]}, а эта песочница читает {FORMAT}: нужна другая папка"
            raise ConfigError([Problem(str(self.path), text)])

    def restore(self, parts: Parts, *, large_too_of: Iterable[str] | None = None) -> None:
        """Put what the file holds into the parts.

        large_too_of: fill only those tables whose name begins so (None: all); a table is filled once.
        """
        try:
            prefixes = None if large_too_of is None else tuple(large_too_of)
            for name, container in parts.large():
                if prefixes is None or name.startswith(prefixes):
                    self._fill(parts, name, container)
            for name, state in self._db.execute("SELECT name, state FROM parts"):
                parts.thaw(name, state)
        except (sqlite3.Error, pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError,
                AttributeError, ImportError) as error:  # fmt: skip
            raise self._problem(error) from error

    def begin(self, parts: Parts, portals: Iterable[Portal], clock: MovingClock) -> None:
        """Write the state as it is now, and from here on every change."""
        self._parts, self._portals, self._clock = parts, list(portals), clock
        if self.is_new:
            self._db.execute("BEGIN")
            self._write_base()
            self._db.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))
            self._db.execute("COMMIT")
            self.is_new = False
        for name, container in parts.large():
            if isinstance(container, Log):
                self._lengths[name] = len(container)
            else:
                container.written = set()
        self.commit(force=True)
        self._thread = threading.Thread(target=self._flush, name="sandbox-journal", daemon=True)
        self._thread.start()

    def commit(self, *, force: bool = False) -> None:
        """Write what has changed. Without `force`, only when a portal says that it changed."""
        with self._lock:
            seen: dict[str, object] = {portal.dialect: portal.version for portal in self._portals}
            if self._clock is not None:
                seen["clock"] = self._clock.shift
            fresh = [name for name, version in seen.items() if force or self._seen.get(name) != version]
            if not fresh:
                return
            self._seen = seen
            for attempt in range(_ATTEMPTS):
                try:
                    self._write(None if force else fresh)
                    return
                except RuntimeError:  # a container changed its size while it was read
                    if attempt == _ATTEMPTS - 1:
                        raise
                    time.sleep(0.001)

    def close(self) -> None:
        """Write what is left and let the file go."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self.commit(force=True)
        with self._lock:
            self._db.close()

    def _flush(self) -> None:
        while not self._over.wait(FLUSH_S):
            self.commit(force=True)

    def _write(self, fresh: list[str] | None) -> None:
        """fresh: the words between dots in the names of the parts to look at; None: all."""
        changes: list[tuple[str, str, bytes]] = []
        states: list[tuple[str, bytes]] = []
        taken: list[tuple[Tracked[Any, Any], set[Any]]] = []
        lengths: dict[str, int] = {}
        for name, container in self._parts.large():
            if not _is_among(name, fresh):
                continue
            if isinstance(container, Log):
                start, end = self._lengths.get(name, 0), len(container)
                if end > start:
                    changes += self._entries(name, enumerate(container[start:end], start))
                    lengths[name] = end
            elif container.written:
                keys = set(container.written)
                taken.append((container, keys))
                entries = ((key, container[key]) if key in container else (key,) for key in keys)
                changes += self._entries(name, entries)
            elif container.written is None:
                container.written = set()  # a table that was put in place of another
                changes += self._entries(name, container.items())
        for name in self._parts.names():
            if not _is_among(name, fresh):
                continue
            state = self._parts.freeze(name)
            if self._frozen.get(name) != state:
                states.append((name, state))
        if not changes and not states:
            return
        self._db.execute("BEGIN")
        try:
            self._db.executemany("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)", changes)
            self._db.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?)", states)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        self._lengths |= lengths
        self._frozen.update(states)
        for container, keys in taken:
            if container.written is not None:
                container.written -= keys

    def _entries(self, name: str, entries: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str, str, bytes]]:
        """Rows of `changes`; an entry of a key alone is one that was removed."""
        for entry in entries:
            yield name, repr(entry[0]), self._parts.dump(tuple(entry))

    def _write_base(self) -> None:
        # Both portals share the notes and tasks of the past; what is shared is written, and made, once.
        known: dict[tuple[int, ...], int] = {}
        for name, container in self._parts.large():
            entries = iter(enumerate(container) if isinstance(container, Log) else container.items())
            for number, chunk in enumerate(iter(lambda e=entries: list(islice(e, CHUNK)), [])):  # type: ignore[misc]
                identity = tuple(id(value) for _, value in chunk)
                blob = known.get(identity)
                if blob is None:
                    written = self._db.execute(
                        "INSERT INTO blobs (data) VALUES (?)", (self._parts.dump(chunk),)
                    )
                    blob = known[identity] = int(written.lastrowid or 0)
                self._db.execute("INSERT INTO base VALUES (?, ?, ?)", (name, number, blob))

    def _fill(self, parts: Parts, name: str, container: Tracked[Any, Any] | Log[Any]) -> None:
        found: dict[Any, Any] = {}
        for (blob,) in self._db.execute("SELECT blob FROM base WHERE name = ? ORDER BY number", (name,)):
            found.update(self._blob(parts, blob))
        for (data,) in self._db.execute("SELECT entry FROM changes WHERE name = ?", (name,)):
            key, *value = parts.load(data)
            if value:
                found[key] = value[0]
            else:
                found.pop(key, None)
        if isinstance(container, Log):
            container[:] = [found[index] for index in range(len(found))]
        elif isinstance(container, Table):
            container.refill(found)
        else:
            container.clear()
            container.update(found)

    def _blob(self, parts: Parts, number: int) -> list[tuple[Any, Any]]:
        if number in self._shared:
            return self._shared.pop(number)
        (data,) = self._db.execute("SELECT data FROM blobs WHERE id = ?", (number,)).fetchone()
        rows: list[tuple[Any, Any]] = parts.load(data)
        (uses,) = self._db.execute("SELECT count(*) FROM base WHERE blob = ?", (number,)).fetchone()
        if uses > 1:
            self._shared[number] = rows
        return rows

    def _problem(self, error: Exception) -> ConfigError:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            text = "эта папка занята: с ней уже работает другая песочница"
        elif isinstance(error, OSError):
            text = f"папку состояния не открыть: {error.strerror or error}"
        else:
            reason = str(error) or type(error).__name__
            text = f"файл состояния повреждён ({reason}): верните его копию или уберите его и начните заново"
        return ConfigError([Problem(str(self.path), text)])


def _is_among(name: str, fresh: list[str] | None) -> bool:
    """Whether a part, «portal.amocrm:_deals» or «amocrm.world», belongs to one of `fresh`."""
    return fresh is None or name.removeprefix("portal.").startswith(tuple(fresh))
